"""What values of the primitive data types look like: an exact answer, and a quick pattern that is never too lenient.

Source: HL7 v2.5.1, chapter 2.A: DT, DTM, NM, SI, TM; v2.7, chapter 2.A: SNM. ST, TX, FT, ID, IS and their kind hold
any text; what a table says of codes is asked elsewhere. TN (to 2.4) describes telephone numbers of the United States
and is not asked of others' numbers; a GTS is a text here.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable, Mapping
from dataclasses import dataclass

_MONTH = "(?:0[1-9]|1[0-2])"
# 29 February is left to the exact answer, which knows leap years
_DAY = "(?:(?:0[1-9]|1[0-2])(?:0[1-9]|1[0-9]|2[0-8])|(?:0[13-9]|1[0-2])(?:29|30)|(?:0[13578]|1[02])31)"
_YEAR = "[0-9]{4}"
_TIME = r"(?:[01][0-9]|2[0-3])(?:[0-5][0-9](?:[0-5][0-9](?:\.[0-9]{1,4})?)?)?"
_ZONE = "(?:[+-](?:0[0-9]|1[0-4])[0-5][0-9])?"

_PARTS = re.compile(rf"([0-9]{{4}})(?:({_MONTH})(?:([0-9]{{2}})(?:{_TIME})?)?)?{_ZONE}")
_WHOLE_TIME = re.compile(f"{_TIME}{_ZONE}")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)")
_SEQUENCE = re.compile("[0-9]+")
_TELEPHONE = re.compile(r"\+?[0-9]*")
_DATE_LENGTHS = frozenset({4, 6, 8})


@dataclass(frozen=True, slots=True)
class Format:
    """How values of a data type look.

    Shape: `pattern` fits sound values alone, though not all of them; `sound` is exact; `words` say how to write one.
    """

    pattern: str
    sound: Callable[[str], bool]
    words: str


def _moment(text: str) -> bool:
    found = _PARTS.fullmatch(text)
    if found is None:
        return False
    year, month, day = found.groups()
    return day is None or (year != "0000" and 0 < int(day) <= monthrange(int(year), int(month))[1])


def _date(text: str) -> bool:
    return len(text) in _DATE_LENGTHS and text.isdigit() and _moment(text)


def _fits(pattern: re.Pattern[str]) -> Callable[[str], bool]:
    return lambda text: pattern.fullmatch(text) is not None


_DATE_PATTERN = f"(?!0000){_YEAR}(?:{_DAY}|{_MONTH})?"
_MOMENT_PATTERN = f"(?!0000){_YEAR}(?:{_DAY}(?:{_TIME})?|{_MONTH})?{_ZONE}"
_MOMENT = Format(_MOMENT_PATTERN, _moment, "YYYYMMDDHHMMSS and as +ZZZZ the offset from UTC, as far as it is known")

FORMATS: Mapping[str, Format] = {
    "DT": Format(_DATE_PATTERN, _date, "YYYYMMDD, as far as it is known"),
    "DTM": _MOMENT,
    "TS": _MOMENT,
    "TM": Format(f"{_TIME}{_ZONE}", _fits(_WHOLE_TIME), "HHMMSS, as far as it is known"),
    "NM": Format(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)", _fits(_NUMBER), "digits with a decimal point, such as 72.5"),
    "SI": Format("[0-9]+", _fits(_SEQUENCE), "digits alone, such as 1"),
    "SNM": Format(r"\+?[0-9]*", _fits(_TELEPHONE), "digits, a plus sign before them where the country is named"),
}
"""The data types whose values have a form, by name."""
