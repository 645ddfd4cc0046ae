"""Which files a command is to go through: those named, those in folders, and standard input."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_SPOOLED = 16 * 1024 * 1024
"""Bytes of standard input that are held in memory; more goes to a file."""

_AT_ONCE = 64 * 1024

STDIN = Path("-")
"""What stands for standard input."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """One file. Shape: `made` is where what is made of it goes: a path below some folder, without an ending."""

    path: Path
    made: Path


def gathered(paths: Iterable[Path], suffixes: Collection[str]) -> Iterator[Gathered]:
    """The files of a command line: a folder stands for those in it, at any depth, whose names end in `suffixes`.

    Shape: what is made of a file of a folder goes into folders of the same names.
    """
    for path in paths:
        if path == STDIN:
            yield Gathered(path, Path("stdin"))
        elif path.is_dir():
            inside = (one for one in sorted(path.rglob("*")) if one.suffix.lower() in suffixes and one.is_file())
            yield from (Gathered(one, one.relative_to(path).with_suffix("")) for one in inside)
        else:
            yield Gathered(path, Path(path.stem))


def processes(taken: Collection[Gathered], workers: int | None) -> int | None:
    """How many processes go through files: one where standard input is among them, which no other process has."""
    return 1 if any(one.path == STDIN for one in taken) else workers


def opened(path: Path) -> BinaryIO:
    """A file, or standard input, that can be read from its beginning again. Errors: OSError."""
    if path != STDIN:
        return path.open("rb")
    spooled = tempfile.SpooledTemporaryFile(max_size=_SPOOLED)  # noqa: SIM115 - the caller closes it
    while chunk := sys.stdin.buffer.read(_AT_ONCE):
        spooled.write(chunk)
    spooled.seek(0)
    return spooled  # type: ignore[return-value]  # typeshed has it beside BinaryIO, not below it
