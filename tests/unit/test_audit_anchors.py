"""The log of anchors: whatever a writer met, what is written after it is no false alarm.

Source: "Audit" in `trust.md` of the design.
"""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gateway.journal import audit_anchors
from gateway.journal.audit_anchors import Anchor, anchor, line, put_down, read
from gateway.journal.audit_chain import Link, keys_of

KEYS = keys_of([b"k" * 32])
AT = "2026-11-22T12:00:00+00:00"


def put(path: Path, seq: int, chain: str = "a") -> Anchor:
    return put_down(path, lambda before: anchor(KEYS, AT, Link(chain, seq, KEYS.current, b"m%d" % seq), before))


def told(path: Path) -> list[int | str]:
    """The numbers of the anchors in a log, and what is wrong with its other lines."""
    found = read(path.name, path.read_bytes(), KEYS)
    return [one.seq if isinstance(one, Anchor) else one.why for one in found]


@pytest.mark.parametrize("tail", [1, audit_anchors.TAIL])
@pytest.mark.parametrize("before", [0, 2])
def test_a_torn_line_is_taken_away_before_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: int, tail: int
) -> None:
    monkeypatch.setattr(audit_anchors, "TAIL", tail)
    log = tmp_path / "anchors.ndjson"
    for seq in range(1, before + 1):
        put(log, seq)
    with log.open("ab") as file:
        file.write(b'{"at":"2026-11-22T12:0')
    put(log, 3)
    put(log, 4)
    assert told(log) == [*range(1, before + 1), 3, 4]


def test_a_torn_line_of_a_log_that_may_only_grow_is_the_only_bad_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(handle: int, length: int) -> None:  # noqa: ARG001 - as the system call is called
        raise PermissionError(errno.EPERM, "append only")

    log = tmp_path / "anchors.ndjson"
    put(log, 1)
    with log.open("ab") as file:
        file.write(b'{"at":"2026-11-22T12:0')
    monkeypatch.setattr(os, "ftruncate", refuse)
    put(log, 2)
    put(log, 3)
    assert told(log) == [1, "it is no anchor", 2, 3]


def test_a_line_that_is_written_in_parts_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log, write = tmp_path / "anchors.ndjson", os.write
    monkeypatch.setattr(os, "write", lambda handle, content: write(handle, content[:50]))
    made = [put(log, seq) for seq in (1, 2)]
    assert log.read_bytes() == b"".join(map(line, made))


def test_a_disk_that_is_full_in_the_middle_of_a_line_leaves_the_log_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, write = tmp_path / "anchors.ndjson", os.write
    put(log, 1)
    before, written = log.read_bytes(), list[int]()

    def fill(handle: int, content: bytes) -> int:
        if written:
            raise OSError(errno.ENOSPC, "no space left")
        written.append(write(handle, content[:50]))
        return written[0]

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", fill)
        with pytest.raises(OSError, match="no space left"):
            put(log, 2)
    assert (written, log.read_bytes()) == ([50], before)
    put(log, 2)
    assert told(log) == [1, 2]


def test_several_gateways_write_to_one_log_and_each_line_stands_behind_the_one_before_it(tmp_path: Path) -> None:
    log = tmp_path / "worm" / "anchors.ndjson"
    with ThreadPoolExecutor(8) as several:
        list(several.map(lambda seq: put(log, seq, f"chain {seq % 8}"), range(1, 201)))
    assert sorted(told(log), key=str) == sorted(range(1, 201), key=str)
    assert log.stat().st_mode & 0o777 == 0o600
