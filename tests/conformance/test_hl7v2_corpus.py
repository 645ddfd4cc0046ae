"""Every message of the corpus is read without loss, and acknowledged with one MSA (bars of the design's conversion)."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.hl7v2 import acknowledge, read, read_acknowledgement


def messages(shared: Path, folder: str) -> list[Path]:
    return sorted((shared / "corpus" / folder).glob("*.hl7"))


@pytest.mark.parametrize(("folder", "count"), [("microsoft", 139), ("reportstream", 144)])
def test_every_message_comes_back_byte_for_byte(shared: Path, folder: str, count: int) -> None:
    found = messages(shared, folder)
    assert len(found) == count
    for path in found:
        raw = path.read_bytes()
        message = read(raw)
        assert bytes(message) == raw, path.name
        assert message.readable, (path.name, message.findings)
        assert message.findings == (), path.name
        assert message.type, path.name
        assert "".join(s.line for s in message.segments) == "".join(raw.decode("utf-8-sig").split("\n")), path.name


@pytest.mark.parametrize("folder", ["microsoft", "reportstream"])
def test_every_message_gets_one_msa_with_its_control_id(shared: Path, folder: str) -> None:
    for path in messages(shared, folder):
        message = read(path.read_bytes())
        raw = acknowledge(
            message,
            code="AA",
            domain="emergency-care",
            organisation="r0d",
            application="DEX",
            facility="QVV",
            outcome="{}",
            findings=(),
            id="1",
            now=datetime(2026, 4, 1, tzinfo=UTC),
        )
        found = read_acknowledgement(raw)
        assert found is not None, path.name
        # in enhanced mode one that asks for an accept acknowledgement alone gets that
        code = "CA" if message.text("MSH", 15) == "AL" and message.text("MSH", 16) != "AL" else "AA"
        assert (found.code, found.control_id) == (code, message.control_id), path.name
        assert raw.count(b"\r") == 2, path.name
