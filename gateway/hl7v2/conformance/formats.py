"""What values of the primitive data types look like, from `formats.csv`: a pattern each, put together of pieces."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from gateway import specs
from gateway.specs import SpecsError

_PIECE = re.compile(r"<([A-Za-z]+)>")


@dataclass(frozen=True, slots=True)
class Format:
    """How values of a data type look.

    Shape: `pattern` is a regular expression that fits sound values alone, and all of them; `sound` asks it of a whole
    value; `words` say how to write one.
    """

    pattern: str
    sound: Callable[[str], object]
    words: str


def read_formats(path: Path) -> Mapping[str, Format]:
    """The data types whose values have a form, by name.

    Errors: SpecsError for a pattern that is none, or that names a piece which is not above it.
    """
    pieces: dict[str, str] = {}
    found: dict[str, Format] = {}
    for row in specs.table(path):
        name, words = row.values["name"], row.values["written"]
        unknown = sorted(set(_PIECE.findall(row.values["pattern"])) - set(pieces))
        if unknown:
            raise SpecsError(row.origin, f"no row above is named {', '.join(unknown)}: add it, or correct the name")
        pattern = _PIECE.sub(lambda piece: pieces[piece[1]], row.values["pattern"])
        try:
            sound = re.compile(pattern).fullmatch
        except re.error as error:
            raise SpecsError(row.origin, f"the pattern is no regular expression ({error}): correct it") from error
        pieces[name] = f"(?:{pattern})"
        if words:
            found[name] = Format(pieces[name], sound, words)
    return found
