"""What `make bench` says of converters: figures by type, and of each peer its figure or why there is none."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.bench import converters, other_converters
from tests.bench.converters import Figure, section, spread
from tests.bench.linuxforhealth import launch

STEPS = (0.0001, 0.0002, 0.0003, 0.0001)  # of which one read of each is counted: half a millisecond


def figure(kind: str, times: float = 1) -> Figure:
    return Figure(kind, 2000, tuple(step * times for step in STEPS))


def test_types_are_listed_from_the_slowest_and_reading_is_counted_once() -> None:
    found = spread([figure("ADT^A01"), figure("ORU^R01", 4), figure("ORU^R01", 6), figure("ADT^A01")])
    assert [(kind, number, round(seconds, 5)) for kind, number, seconds in found] == [
        ("ORU^R01", 2, 0.0025), ("ADT^A01", 2, 0.0005)
    ]  # fmt: skip


def test_a_type_slower_than_the_bar_is_told() -> None:
    usual = [figure("ADT^A01")] * 5
    assert "(bar 10, held)" in "\n".join(section([*usual, figure("ORU^R01", 9)], [], 6))
    text = "\n".join(section([*usual, figure("ORU^R01", 11)], [], 6))
    assert "Slowest of 2 types: ORU^R01, 11.0 times the median (bar 10, NOT HELD)." in text
    assert "| ORU^R01 | 1 | 182 | 11.00 |" in text
    assert "| read, validate, convert, serialise | 2,000 (bar 2,500) |" in text


def test_a_peer_that_is_not_there_is_told_with_the_reason() -> None:
    peers: list[dict[str, Any]] = [
        {"name": "one", "version": "1.0", "what": "read", "done": 3, "median": 0.01},
        {"name": "two", "version": "", "what": "read", "missing": "No package metadata was found for two"},
    ]
    text = "\n".join(section([figure("ADT^A01")], peers, 1))
    assert "| one 1.0 | read | 100 | 3 |" in text
    assert "not measured: No package metadata was found for two" in text


def test_peers_run_in_an_interpreter_of_their_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, repository: Path
) -> None:
    monkeypatch.setenv("GATEWAY_BENCH_PEERS", sys.executable)
    monkeypatch.setenv("PATH", str(tmp_path))  # where there is no JVM
    raw = (repository / "rules/samples/emergency-care/accepted-a01-admission.hl7").read_bytes()
    found = {(one["name"], one["what"]): one for one in converters.others([raw], rounds=1)}
    assert found["hl7apy", "read"]["done"] == 1
    assert "brightohir" in found["brightohir", "read, convert to R5, serialise"]["missing"]
    assert found[launch.NAME, launch.WHAT]["missing"] == "java is not installed"


def test_peers_get_messages_whose_segments_end_as_hl7_has_it() -> None:
    assert other_converters.text(b"MSH|1\r\nPID|1\nPV1|1\rPV2|\xff") == "MSH|1\rPID|1\rPV1|1\rPV2|\ufffd"
