"""Enhanced acknowledgement mode over one HTTP reply: what MSH-15 and MSH-16 ask for, and what MSA-1 then says.

Source: HL7 v2.5.1, chapter 2.9.2 (original mode: neither is valued), 2.9.3 (enhanced mode), 2.15.8.1 (MSA-1, table
0008), 2.15.9.15 and 2.15.9.16 (MSH-15, MSH-16), table 0155; `http-interface.md` of the design, "Enhanced mode".
"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gateway.hl7v2 import acknowledge, read, read_acknowledgement
from tests.running import Running, acknowledged, message

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
OUTCOMES = ("AA", "AE", "AR")

# MSH-15 (accept), MSH-16 (application), and MSA-1 for the outcomes accepted, in error, rejected.
TABLE = """
        -   -   AA AE AR   2.9.2: neither is valued, so the original mode's rules hold
        AL  -   CA CE CR   2.9.3: commit acknowledgement alone
        NE  -   AA AE AR   nobody asked, and HTTP answers anyway
        ER  -   AA CE CR   no commit acknowledgement of a success was asked for
        SU  -   CA AE AR
        -   AL  AA AE AR   2.9.3: application acknowledgement alone
        AL  AL  AA AE AR   one reply: it is the application's
        NE  AL  AA AE AR
        ER  AL  AA AE AR
        SU  AL  AA AE AR
        -   NE  AA AE AR
        AL  NE  CA CE CR
        NE  NE  AA AE AR
        ER  NE  AA CE CR
        SU  NE  CA AE AR
        -   ER  AA AE AR
        AL  ER  CA AE AR   the success is committed, errors are the application's
        NE  ER  AA AE AR
        ER  ER  AA AE AR
        SU  ER  CA AE AR
        -   SU  AA AE AR
        AL  SU  AA CE CR   errors are told by the commit acknowledgement
        NE  SU  AA AE AR
        ER  SU  AA CE CR
        SU  SU  AA AE AR
"""
ROWS = [line.split()[:5] for line in TABLE.strip().splitlines()]
CASES = [
    (accept.strip("-"), application.strip("-"), outcome, expected)
    for accept, application, *codes in ROWS
    for outcome, expected in zip(OUTCOMES, codes, strict=True)
]


def answer(accept: str, application: str, outcome: str, version: str = "2.5.1", extra: str = "") -> list[str]:
    sent = read(f"MSH|^~\\&|A|B|C|D|2026||ADT^A01^ADT_A01|42|P|{version}|||{accept}|{application}\r{extra}".encode())
    raw = acknowledge(
        sent, code=outcome, domain="d", organisation="o", application="DEX", facility="QVV", outcome="{}",
        findings=(), id="i", now=NOW,
    )  # fmt: skip
    assert read_acknowledgement(raw) is not None
    return raw.decode().removesuffix("\r").split("\r")


def test_the_table_holds_every_combination() -> None:
    values = ("-", "AL", "NE", "ER", "SU")
    assert sorted((row[0], row[1]) for row in ROWS) == sorted((one, other) for one in values for other in values)
    assert len(CASES) == 75


@pytest.mark.parametrize(("accept", "application", "outcome", "expected"), CASES)
def test_msa_1(accept: str, application: str, outcome: str, expected: str) -> None:
    header, msa = answer(accept, application, outcome)
    assert msa == f"MSA|{expected}|42|{{}}"
    # MSH-9 is the general acknowledgement of the sender's event in either mode; nobody acknowledges it in turn.
    enhanced = "|||NE|NE" if accept or application else ""
    assert header == f"MSH|^~\\&|DEX|QVV|d|o|20261122120000||ACK^A01^ACK|i|P|2.5.1{enhanced}"


@pytest.mark.parametrize("sent", ['""', "XX", "al", "AL&x", "AL^x", "AL~NE"])
def test_what_table_0155_has_not_asks_for_nothing(sent: str) -> None:
    code = "CA" if sent[:3] in {"AL&", "AL^", "AL~"} else "AA"
    assert answer(sent, "", "AA")[1] == f"MSA|{code}|42|{{}}"


def test_a_null_is_no_value() -> None:
    """2.9.2: "both null" is the original mode."""
    assert answer('""', '""', "AE")[0].endswith("|P|2.5.1")


def test_before_2_5_the_type_is_one_word() -> None:
    header, msa = answer("AL", "NE", "AE", "2.3")
    assert header.split("|")[8:] == ["ACK", "i", "P", "2.3", "", "", "NE", "NE"]
    assert msa == "MSA|CE|42|{}"


@pytest.mark.parametrize("extra", ["MSA|AE|42\r", "MSA|CR|7|no\rMSA|AA|8\r", "NTE|1||\\X0D\\MSA|AA|42\r"])
@pytest.mark.parametrize("accept", ["", "AL"])
def test_there_is_one_msa_whatever_was_sent(extra: str, accept: str) -> None:
    lines = answer(accept, "", "AR", extra=extra)
    assert [line for line in lines if line.startswith("MSA")] == [lines[1]]


@pytest.mark.parametrize(
    ("accept", "application", "nhs_number", "code", "status"),
    [
        ("AL", "NE", "9990000018", "CA", 200),
        ("AL", "NE", "9990000019", "CE", 422),
        ("AL", "AL", "9990000018", "AA", 200),
        ("NE", "NE", "9990000019", "AE", 422),
    ],
)
def test_the_status_is_the_outcome_s_in_either_mode(
    gateway: Running, accept: str, application: str, nhs_number: str, code: str, status: int
) -> None:
    sent = message(control_id=f"{accept}-{application}-{code}", nhs_number=nhs_number)
    sent = sent.replace(b"|P|2.4\r", f"|P|2.4|||{accept}|{application}\r".encode())
    reply = gateway.send(sent)
    assert (reply.status_code, acknowledged(reply).code) == (status, code)
    if status == 200:
        assert gateway.send(sent).content == reply.content
