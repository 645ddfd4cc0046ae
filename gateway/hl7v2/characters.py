"""Character sets: from MSH-18's spelling to a codec, and bytes to text.

Source: HL7 v2.5.1, chapter 2.15.9.18 (MSH-18) and table 0211; `specs/hl7v2/dictionary/character-sets.csv` holds the
spellings.
"""

from __future__ import annotations

import codecs
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from gateway import specs

BYTE_ORDER_MARK = codecs.BOM_UTF8
DEFAULT = "utf-8"
_TABLE = "hl7v2/dictionary/character-sets.csv"


@dataclass(frozen=True, slots=True)
class BadByte:
    """The first byte that doesn't fit a character set.

    Units: `offset` in bytes from 0 of what was decoded; `count` of places where bytes don't fit.
    """

    offset: int
    value: int
    count: int


@functools.cache
def spellings() -> Mapping[str, str]:
    """Codec by spelling of MSH-18, letter case and blanks at the ends ignored; empty for a set that isn't offered.

    Errors: SpecsError.
    """
    rows = specs.table(specs.ROOT / _TABLE)
    return MappingProxyType({row.values["spelling"].casefold(): row.values["codec"] for row in rows})


@functools.lru_cache(maxsize=256)
def codec_of(spelling: str) -> str | None:
    """The codec that a spelling of MSH-18 names: empty if the set is known and not offered, None if it is unknown."""
    return spellings().get(spelling.strip().casefold())


def decode(body: bytes, codec: str) -> tuple[str, BadByte | None]:
    """Text of a body, with U+FFFD where bytes don't fit."""
    try:
        return body.decode(codec), None
    except UnicodeDecodeError as error:
        text = body.decode(codec, errors="replace")
        return text, BadByte(error.start, body[error.start], text.count("\ufffd"))
