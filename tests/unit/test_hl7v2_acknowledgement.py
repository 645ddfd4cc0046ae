"""Acknowledgements: HL7 v2 chapter 2.9.2, 2.15.5 (ERR), 2.15.8 (MSA); the page of the interface."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest

from gateway.finding import Finding, Severity
from gateway.hl7v2 import Message, acknowledge, read, read_acknowledgement
from gateway.hl7v2.acknowledgement import MOST_ERRORS, Acknowledged

NOW = datetime(2024, 2, 13, 14, 49, 32, 581000, tzinfo=UTC)
ID = "30d831e4-7f40-4bb9-9322-a42bfbc28bc5"
BAD_NUMBER = Finding("error", "code-invalid", "not a number", "PID-3[1].1", "EC-C1")


def received(version: str = "2.4", event: str = "ADT^A01", processing: str = "P") -> Message:
    return read(f"MSH|^~\\&|ENGINE|R0D|DEX|QVV|20240213||{event}|8457239|{processing}|{version}\rPID|1\r".encode())


def answer(
    message: Message | None,
    code: str = "AA",
    outcome: str | None = "{}",
    findings: tuple[Finding, ...] = (),
    *,
    domain: str = "emergency-care",
    organisation: str = "r0d",
    now: datetime = NOW,
) -> list[str]:
    raw = acknowledge(
        message,
        code=code,
        domain=domain,
        organisation=organisation,
        application="DEX",
        facility="QVV",
        outcome=outcome,
        findings=findings,
        id=ID,
        now=now,
    )
    text = raw.decode()
    assert text.endswith("\r")
    return text.removesuffix("\r").split("\r")


def test_the_example_of_the_interface() -> None:
    outcome = json.dumps({"resourceType": "OperationOutcome", "issue": [{"expression": ["PID-3[1].1"]}]})
    assert answer(received(), "AE", outcome, (BAD_NUMBER,)) == [
        f"MSH|^~\\&|DEX|QVV|emergency-care|r0d|20240213144932||ACK|{ID}|P|2.4",
        f"MSA|AE|8457239|{outcome}",
    ]


def test_from_2_5_on_the_type_has_three_components_and_errors_are_told() -> None:
    findings = (
        BAD_NUMBER,
        Finding("warning", "business-rule", "x", "OBX[2]-5"),
        Finding("information", "informational", "x", None),
        Finding("fatal", "structure", "x", "MSH[2]", "HL7-BYTES"),
        Finding("error", "required", "x", "Patient.birthDate"),
    )
    lines = answer(received("2.5.1", "ADT^A01^ADT_A01"), "AE", None, findings)
    assert lines == [
        f"MSH|^~\\&|DEX|QVV|emergency-care|r0d|20240213144932||ACK^A01^ACK|{ID}|P|2.5.1",
        "MSA|AE|8457239",
        "ERR||PID^1^3^1^1|103^Table value not found^HL70357|E",
        "ERR||OBX^2^5|207^Application internal error^HL70357|W",
        "ERR|||0^Message accepted^HL70357|I",
        "ERR||MSH^2|102^Data type error^HL70357|E",
        "ERR|||101^Required field missing^HL70357|E",
    ]


def test_errors_are_no_more_than_issues() -> None:
    lines = answer(received("2.8"), "AE", None, (BAD_NUMBER,) * 100)
    assert sum(line.startswith("ERR") for line in lines) == MOST_ERRORS == 20


@pytest.mark.parametrize(
    ("version", "structured"),
    [("2.1", False), ("2.4", False), ("2.5", True), ("2.5.1", True), ("2.8.2", True), ("2.10", True), ("3.0", True)],
)
def test_versions_are_compared_as_numbers(version: str, *, structured: bool) -> None:
    header, _, *errors = answer(received(version), "AE", None, (BAD_NUMBER,))
    assert ("|ACK^A01^ACK|" in header) is structured
    assert header.endswith(f"|P|{version}")
    assert bool(errors) is structured


@pytest.mark.parametrize("version", ["x", "2.5x", "\\X0D\\2.5", "99999.5", "²"])
def test_a_version_that_is_none_is_echoed_and_no_more(version: str) -> None:
    header, msa = answer(received(version), "AE", None, (BAD_NUMBER,))
    assert header.split("|")[8] == "ACK"
    assert header.endswith(f"|P|{version}")
    assert msa == "MSA|AE|8457239"


def test_what_the_sender_did_not_say_has_defaults() -> None:
    assert answer(None, "AR", None)[0].endswith(f"||ACK|{ID}|P|2.4")
    assert answer(None, "AR", None)[1] == "MSA|AR|"
    assert answer(read(b"\x0bMSH"), "AR", None)[1] == "MSA|AR|"
    assert answer(read(b"MSH|^~\\&|"), "AR", None)[0].endswith(f"||ACK|{ID}|P|2.4")
    assert answer(received('""', processing='""'))[0].endswith("|P|2.4")
    assert answer(received("2.5", "ADT"))[0].endswith(f"|ACK^^ACK|{ID}|P|2.5")


def test_processing_and_version_keep_their_components() -> None:
    assert answer(received("2.5.1^USA&x", processing="T^A"))[0].endswith("|T^A|2.5.1^USA&x")


def test_time_is_utc_without_offset() -> None:
    summer = datetime(2024, 7, 1, 0, 30, tzinfo=timezone(timedelta(hours=1)))
    assert answer(None, now=summer)[0].split("|")[6] == "20240630233000"


def test_an_outcome_decodes_back_to_the_same_json() -> None:
    resource = {"text": 'a|b^c&d~e\\f "q" \n \u2028 é \u0007', "n": 1}
    raw = "\r".join(answer(received(), "AE", json.dumps(resource, ensure_ascii=False))).encode()
    found = read_acknowledgement(raw)
    assert found is not None
    assert found.text is not None
    assert json.loads(found.text) == resource


def test_custom_delimiters_are_the_sender_s_alone() -> None:
    sent = read(b"MSH!@$%*!A!B!C!D!2024!!ADT@A01!x|y^z%F%!P@T!2.5\rPID!1")
    header, msa = answer(sent)
    assert header == f"MSH|^~\\&|DEX|QVV|emergency-care|r0d|20240213144932||ACK^A01^ACK|{ID}|P^T|2.5"
    assert msa == "MSA|AA|x\\F\\y\\S\\z!|{}"
    found = read_acknowledgement(f"{header}\r{msa}".encode())
    assert found == Acknowledged("AA", "x|y^z!", "{}")


def test_headers_are_escaped() -> None:
    lines = answer(received(), domain="a|b\rMSA|AA", organisation="x^y\nMSA|AE\\")
    assert len(lines) == 2
    assert "a\\F\\b\\X0D\\MSA\\F\\AA|x\\S\\y\\X0A\\MSA\\F\\AE\\E\\" in lines[0]


def test_a_lone_surrogate_harms_nobody() -> None:
    assert answer(None, domain="\udc80")[0].split("|")[4] == "?"


@pytest.mark.parametrize("severity", ["fatal", "error", "warning", "information"])
def test_every_severity_has_a_code(severity: Severity) -> None:
    line = answer(received("2.5"), "AE", None, (Finding(severity, "x", "y"),))[2]
    assert line == f"ERR|||207^Application internal error^HL70357|{severity[0].upper().replace('F', 'E')}"


# Reading


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"MSH|^~\\&|\rMSA|AA|42\r", Acknowledged("AA", "42", None)),
        (b"MSH|^~\\&|\nMSA|CE|42|no \\T\\ no^x\nERR|", Acknowledged("CE", "42", "no & no^x")),
        (b"MSH|^~\\&|\rMSA|AR", Acknowledged("AR", None, None)),
        (b"MSH|^~\\&|\rMSA|AE|1|na\xefve\r", Acknowledged("AE", "1", "na\ufffdve")),
        (b"MSH$%~?*$\rMSA$AA$4%2", Acknowledged("AA", "4%2", None)),
        (b"", None),
        (b"<html>", None),
        (b"MSH|^~\\&|\rPID|1", None),
        (b"MSH|^~\\&|\rMSA||1", None),
        (b"MSH|^~\\&|\rMSA|AA|1\rMSA|AE|1", None),
    ],
)
def test_read_acknowledgement(raw: bytes, expected: Acknowledged | None) -> None:
    assert read_acknowledgement(raw) == expected
