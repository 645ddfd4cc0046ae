"""Whatever the sender put into its message and headers: one MSA, one line a segment, the same JSON back."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.finding import Finding, Severity
from gateway.hl7v2 import acknowledge, read, read_acknowledgement
from tests.bounded import examples

NOW = datetime(2024, 2, 13, tzinfo=UTC)
_NASTY = st.lists(
    st.sampled_from(
        [
            "\r", "\n", "\r\n", "MSA|AA|", "MSA", "|", "^", "~", "\\", "&", "!", "\\X0D\\", "\\X0D4D53417C41417C\\",
            "\\F\\", "%X0D%", "\\.br\\", "\u2028", "\u0085", "\x0b", "\x1c", "é", '"', '""', "2.5.1", "A01", "\\E\\",
        ]
    ),
    max_size=8,
).map("".join)  # fmt: skip
_TEXTS = st.one_of(_NASTY, st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
_HEADS = st.sampled_from(["MSH|^~\\&|", "MSH!@$%*!", "MSH$|~\\&$", "MSH|^~\\&#|", "MSH\\^~|&\\"])
_SEVERITIES: tuple[Severity, ...] = ("fatal", "error", "warning", "information")
_FINDINGS = st.lists(
    st.builds(
        Finding,
        st.sampled_from(_SEVERITIES),
        st.one_of(st.sampled_from(["required", "code-invalid", "*"]), _TEXTS),
        _TEXTS,
        st.one_of(st.none(), st.sampled_from(["PID-3[1].1", "OBX[2]"]), _TEXTS),
        st.one_of(st.none(), _TEXTS),
    ),
    max_size=3,
).map(tuple)


@given(_HEADS, st.lists(_TEXTS, max_size=11), _TEXTS, _TEXTS, _FINDINGS, st.dictionaries(_TEXTS, _TEXTS, max_size=3))
@settings(max_examples=examples(200))
def test_one_msa_and_one_line_a_segment(
    head: str,
    fields: list[str],
    domain: str,
    organisation: str,
    findings: tuple[Finding, ...],
    outcome: dict[str, str],
) -> None:
    sent = read((head + head[3].join(fields)).encode())
    raw = acknowledge(
        sent,
        code="AE",
        domain=domain,
        organisation=organisation,
        application="DEX",
        facility="QVV",
        outcome=json.dumps(outcome, ensure_ascii=False),
        findings=findings,
        id="1",
        now=NOW,
    )
    lines = raw.decode().splitlines()
    assert [line[:4] for line in lines[:2]] == ["MSH|", "MSA|"]
    assert all(line.startswith("ERR|") for line in lines[2:])
    assert raw.count(b"\r") == len(lines)
    assert b"\n" not in raw

    answer = read(raw)
    assert answer.readable
    assert answer.delimiters.encoding_characters == "^~\\&"
    found = read_acknowledgement(raw)
    assert found is not None
    assert found.code == "AE"
    assert found.control_id == sent.control_id
    assert found.text is not None
    assert json.loads(found.text) == outcome
    header = answer.first("MSH")
    assert header is not None
    assert header.whole(5) == (domain or None)
    assert header.whole(6) == (organisation or None)
    for error in answer.all("ERR"):
        assert len(error.field(3)) == 1
        assert error.text(4) in {"E", "W", "I"}
