"""Writing generated tables, and telling where what is written has drifted from what would be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

_WIDEST = 120
"""The repository's line length."""


def written(files: Mapping[str, str], out: Path) -> None:
    """Write each file by its name."""
    out.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (out / name).write_text(text, encoding="utf-8", newline="\n")


def drifted(files: Mapping[str, str], out: Path) -> tuple[str, ...]:
    """Names of the files in `out` that differ from these, each with its first differing line."""
    found: list[str] = []
    for name, text in files.items():
        path = out / name
        if not path.is_file():
            found.append(f"{name}: missing")
            continue
        stands, expected = path.read_text(encoding="utf-8").split("\n"), text.split("\n")
        differing = (i for i, pair in enumerate(zip(stands, expected, strict=False), 1) if pair[0] != pair[1])
        first = next(differing, None if len(stands) == len(expected) else min(len(stands), len(expected)) + 1)
        if first is not None:
            found.append(f"{name}:{first}: differs from the reference")
    return tuple(found)


def wrapped(start: str, words: Iterable[str]) -> Iterator[str]:
    """Words after a beginning, which stands again on each further line."""
    line = start
    for word in words:
        if len(line) + len(word) >= _WIDEST and line != start:
            yield line
            line = start
        line += " " + word
    yield line
