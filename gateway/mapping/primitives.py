"""Texts of HL7 v2 to values of FHIR's primitive types.

Every function takes an unescaped text that isn't empty and the zone of times that carry no offset, and gives the JSON
value, or None where the text is no value of the type: the caller reports it. Dates are never shifted; a time gets the
offset that it carries or that its zone had then. Source: HL7 v2.5.1, 2.A (DT, DTM, NM, TM, TS); FHIR R4 datatypes.
"""

from __future__ import annotations

import base64
import functools
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta, tzinfo
from decimal import Decimal
from typing import Any

from gateway.fhir import nhs_number_digits

Primitive = Callable[[str, tzinfo], Any]

_TIMES = 4096
"""How many times, as they were sent, are known with what they became."""

_DTM = re.compile(r"(\d{4})(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(\.\d{1,9})?)?)?)?)?)?([+-]\d{4})?", re.ASCII)
_TM = re.compile(r"(\d\d)(\d\d)?(\d\d)?(\.\d{1,9})?(?:[+-]\d{4})?", re.ASCII)
_NM = re.compile(r"([+-]?)0*(\d+)(?:\.(\d*))?", re.ASCII)
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2})+", re.ASCII)
_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}", re.ASCII)
_ID = re.compile(r"[A-Za-z0-9.-]{1,64}", re.ASCII)
_LAST_SECOND, _LAST_MINUTE, _LAST_HOUR = 60, 59, 23
_LARGEST = 2**31 - 1
_SECONDS: Mapping[str, int] = {"s": 1, "min": 60, "h": 3600, "d": 86400, "wk": 604800}
UNITS_OF_TIME = frozenset(_SECONDS)
"""UCUM's units of time that have one length."""
_FARTHEST = 14  # hours; the widest offset that FHIR's format takes


def string(text: str, _: tzinfo) -> str | None:
    """A text without blanks at its ends; markdown is one too."""
    return text.strip() or None


def code(text: str, _: tzinfo) -> str | None:
    """A code: no blanks at its ends, single ones inside."""
    if text.isalnum():
        return text
    return " ".join(text.split()) or None


def uri(text: str, _: tzinfo) -> str | None:
    """A URI, a URL or a canonical: no blanks."""
    words = text.split()
    return words[0] if len(words) == 1 else None


def identifier(text: str, _: tzinfo) -> str | None:
    """An id."""
    return text if _ID.fullmatch(text) else None


def boolean(text: str, _: tzinfo) -> bool | None:
    """`true` and `false`, as code maps of Y and N give them."""
    return {"true": True, "false": False}.get(text)


def number(text: str, _: tzinfo) -> Decimal | None:
    """A number as precise as it was sent."""
    match = _NM.fullmatch(text.strip())
    if match is None:
        return None
    sign = "-" if match[1] == "-" else ""
    return Decimal(sign + match[2] + ("." + match[3] if match[3] else ""))


def integer(text: str, zone: tzinfo) -> int | None:
    """A whole number of 32 bits."""
    value = number(text, zone)
    return int(value) if value is not None and value == value.to_integral_value() and abs(value) <= _LARGEST else None


def unsigned(text: str, zone: tzinfo) -> int | None:
    """A whole number from 0."""
    value = integer(text, zone)
    return value if value is not None and value >= 0 else None


def positive(text: str, zone: tzinfo) -> int | None:
    """A whole number from 1."""
    value = integer(text, zone)
    return value if value is not None and value > 0 else None


@functools.lru_cache(maxsize=_TIMES)
def day(text: str, _: tzinfo) -> str | None:
    """The date of a DT or DTM, as precise as it was sent; what time of the day it was makes no difference."""
    match = _DTM.fullmatch(text.strip())
    return _day(match) if match is not None else None


@functools.lru_cache(maxsize=_TIMES)
def moment(text: str, zone: tzinfo) -> str | None:
    """A dateTime: a date as it is, a time with its offset; one message tells of one moment many times."""
    match = _DTM.fullmatch(text.strip())
    if match is None:
        return None
    found = _day(match)
    if found is None or match[4] is None:
        return found
    clock = _clock(match[4], match[5], match[6])
    if clock is None:
        return None
    offset = _carried(match[8]) if match[8] else _offset(found, clock, zone)
    return None if offset is None else f"{found}T{clock}{match[7] or ''}{offset}"


def timed(text: str, zone: tzinfo) -> str | None:
    """A dateTime that tells a time; of a date alone, nothing."""
    found = moment(text, zone)
    return found if found is not None and "T" in found else None


def later(start: str, length: str, unit: str | None, zone: tzinfo) -> str | None:
    """A time with a length of time added; `unit` is UCUM's. Nothing where one of them is none or the sum no date."""
    begins, count = timed(start, zone) if start else None, number(length, zone) if length else None
    if begins is None or count is None or unit is None or unit not in _SECONDS or abs(count) > _LARGEST:
        return None
    try:
        return (datetime.fromisoformat(begins) + timedelta(seconds=float(count) * _SECONDS[unit])).isoformat()
    except OverflowError:
        return None


def counted(length: str, unit: str, wanted: str, zone: tzinfo) -> str | None:
    """A length of time in another unit, as a text; both units are UCUM's. Nothing where one of them is none."""
    count = number(length, zone)
    if count is None or unit not in _SECONDS or wanted not in _SECONDS or abs(count) > _LARGEST:
        return None
    return format((count * _SECONDS[unit] / _SECONDS[wanted]).normalize(), "f")


def instant(text: str, zone: tzinfo) -> str | None:
    """A moment; what tells less than a time is none."""
    return timed(text, zone)


def time(text: str, _: tzinfo) -> str | None:
    """The time of a day."""
    match = _TM.fullmatch(text.strip())
    clock = _clock(match[1], match[2], match[3]) if match is not None else None
    return None if match is None or clock is None else clock + (match[4] or "")


def _day(match: re.Match[str]) -> str | None:
    year, month, dayth = match[1], match[2], match[3]
    try:
        date(int(year), int(month or 1), int(dayth or 1))
    except ValueError:
        return None
    return "-".join(part for part in (year, month, dayth) if part)


def _clock(hour: str, minute: str | None, second: str | None) -> str | None:
    minute, second = minute or "00", second or "00"
    fits = int(hour) <= _LAST_HOUR and int(minute) <= _LAST_MINUTE and int(second) <= _LAST_SECOND
    return f"{hour}:{minute}:{second}" if fits else None


def _carried(offset: str) -> str | None:
    hours, minutes = int(offset[1:3]), int(offset[3:])
    fits = (hours < _FARTHEST and minutes <= _LAST_MINUTE) or (hours == _FARTHEST and minutes == 0)
    return f"{offset[:3]}:{offset[3:]}" if fits else None


def _offset(found: str, clock: str, zone: tzinfo) -> str:
    """The zone's offset then; of an hour that came twice, the first; a leap second is in the minute that it ends."""
    year, month, dayth = int(found[:4]), int(found[5:7]), int(found[8:])
    shift = datetime(year, month, dayth, int(clock[:2]), int(clock[3:5]), tzinfo=zone).utcoffset()
    return _shown(shift) if shift is not None else "+00:00"


@functools.lru_cache(maxsize=256)
def _shown(shift: timedelta) -> str:
    minutes = round(shift.total_seconds() / 60)
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"


def octets(text: str, _: tzinfo) -> str | None:
    """Bytes as base64, without the line ends that senders put into it."""
    whole = "".join(text.split())
    return whole if whole and len(whole) % 4 == 0 and _BASE64.fullmatch(whole) else None


PRIMITIVES: Mapping[str, Primitive] = {
    "string": string,
    "markdown": string,
    "code": code,
    "uri": uri,
    "url": uri,
    "canonical": uri,
    "oid": uri,
    "uuid": uri,
    "id": identifier,
    "boolean": boolean,
    "decimal": number,
    "integer": integer,
    "unsignedInt": unsigned,
    "positiveInt": positive,
    "date": day,
    "dateTime": moment,
    "instant": instant,
    "time": time,
    "base64Binary": octets,
}
"""By FHIR type."""


def nhs_number(text: str, _: tzinfo) -> str | None:
    """The ten digits of a valid NHS number."""
    return nhs_number_digits(text.strip())


def packed(text: str, _: tzinfo) -> str | None:
    """A text as base64 of its UTF-8."""
    return base64.b64encode(text.encode()).decode() or None


def unhexed(text: str, _: tzinfo) -> str | None:
    """Hexadecimal digits as base64 of what they say."""
    digits = "".join(text.split())
    return base64.b64encode(bytes.fromhex(digits)).decode() if digits and _HEX.fullmatch(digits) else None


def times(text: str, zone: tzinfo) -> list[str] | None:
    """Times of the day, parted by commas; nothing where one of them is none."""
    found = [time(part, zone) for part in text.split(",")]
    return None if None in found else [each for each in found if each is not None]


EACH = "each"
"""The variant of a reading that gives a list, whose every value stands for itself."""

VARIANTS: Mapping[tuple[str, str], Primitive] = {
    ("time", EACH): times,
    ("dateTime", "timed"): timed,
    ("string", "nhs-number"): nhs_number,
    ("base64Binary", "plain"): packed,
    ("base64Binary", "hexadecimal"): unhexed,
}
"""By FHIR type and the word after `as`."""
