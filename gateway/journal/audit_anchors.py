"""Anchors: how far a chain was, in a log that only grows, so that rows which go from its end are missed.

Each line is sealed with a key of the chain, and with the seal of the line before it. The log is worth most where who
can write to the journal can't write: on another disk, or as lines of the gateway's own log on another machine.
"""

from __future__ import annotations

import contextlib
import fcntl
import hmac
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import orjson

from gateway.journal.audit_chain import Keys, Link

TAIL = 1 << 16
"""So much of a log's end is read first, since the last line is in it. Units: bytes."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """One line: that a chain had a row with this number and hash.

    Shape: `mac` and `seal` in hexadecimal; `before` is the seal of the line before it, empty for the first.
    Units: `at` is an ISO 8601 instant.
    """

    at: str
    chain: str
    seq: int
    key: str
    mac: str
    before: str = ""
    seal: str = ""


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line of a log that is no anchor as this gateway wrote it. Shape: `line` counts from 1."""

    file: str
    line: int
    why: str


def anchor(keys: Keys, at: str, head: Link, before: str) -> Anchor:
    """The anchor of a chain's last row. Errors: KeyError for a row whose key is not there."""
    made = Anchor(at, head.chain, head.seq, head.key, head.mac.hex(), before)
    return replace(made, seal=_seal(keys, made))


def _seal(keys: Keys, one: Anchor) -> str:
    told = orjson.dumps((one.at, one.chain, one.seq, one.key, one.mac, one.before))
    return hmac.digest(keys.secrets[one.key], b"anchor\x00" + told, "sha256").hex()


def line(one: Anchor) -> bytes:
    """An anchor as a line of the log."""
    return orjson.dumps(asdict(one), option=orjson.OPT_APPEND_NEWLINE)


def put_down(path: Path, made: Callable[[str], Anchor]) -> Anchor:
    """Write one anchor behind those that are there, durable on return; of several gateways, one at a time.

    Shape: `made` makes it from the seal of the line before it, which is empty where there is none. What a torn write
    left behind the last line is taken away first.
    Errors: OSError as the file system says: then the log is as it was; and those of `made`.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        _mend(handle)
        one = made(_last_seal(handle))
        _write(handle, line(one))
    finally:
        os.close(handle)  # which gives the lock back
    return one


def _mend(handle: int) -> None:
    """Take a torn line away from the end, or end it where a log may only grow: no other is glued to it then."""
    size = os.fstat(handle).st_size
    tail = next(_tails(handle, size), b"")
    if not tail or tail.endswith(b"\n"):
        return
    whole = next((size - len(each) + each.rindex(b"\n") + 1 for each in _tails(handle, size) if b"\n" in each), 0)
    try:
        os.ftruncate(handle, whole)
    except PermissionError:
        _write(handle, b"\n")


def _last_seal(handle: int) -> str:
    """The seal of the last line that is an anchor, as `read` goes on from it; empty where there is none."""
    size = os.fstat(handle).st_size
    for tail in _tails(handle, size):
        # the first line of a part may have begun before it
        lines = tail.splitlines()[0 if len(tail) == size else 1 :]
        for text in reversed(lines):
            found = _read(text)
            if isinstance(found, Anchor):
                return found.seal
    return ""


def _tails(handle: int, size: int) -> Iterator[bytes]:
    """The end of a file, in ever longer parts until it is all of it; nothing of an empty one."""
    length = 0
    while length < size:
        length = min(max(TAIL, 2 * length), size)
        yield os.pread(handle, length, size - length)


def _write(handle: int, content: bytes) -> None:
    """Write all of it at the end, or nothing. Errors: OSError as the file system says."""
    end, rest = os.fstat(handle).st_size, content
    try:
        while rest:
            rest = rest[os.write(handle, rest) :]
        os.fsync(handle)
    except OSError:
        with contextlib.suppress(OSError):  # what can't be taken away now is before the next line is written
            os.ftruncate(handle, end)
        raise


def read(name: str, content: bytes, keys: Keys) -> Iterator[Anchor | BadLine]:
    """The lines of a log, each held to its seal and to the line before it."""
    before: str | None = None
    for number, text in enumerate(content.splitlines(), 1):
        found = _read(text)
        if isinstance(found, str):
            yield BadLine(name, number, found)
            continue
        if found.key not in keys.secrets:
            yield BadLine(name, number, f"its key {found.key} is not here")
        elif not hmac.compare_digest(_seal(keys, found), found.seal):
            yield BadLine(name, number, "its seal does not fit: it was changed")
        elif before is not None and found.before != before:
            yield BadLine(name, number, "it does not stand behind the line before it: lines were taken out or moved")
        else:
            yield found
        before = found.seal


def _read(text: bytes) -> Anchor | str:
    """The anchor of a line, or what is wrong with it. Lines of the gateway's own log may hold more."""
    try:
        told = orjson.loads(text)
        return Anchor(*(told[name] for name in ("at", "chain", "seq", "key", "mac", "before", "seal")))
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return "it is no anchor"


def latest(anchors: Iterable[Anchor]) -> dict[str, Anchor]:
    """The last anchor of each chain."""
    found: dict[str, Anchor] = {}
    for one in anchors:
        if one.chain not in found or found[one.chain].seq < one.seq:
            found[one.chain] = one
    return found
