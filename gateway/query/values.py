"""Values of search parameters, read by the parameter's type.

Every reader takes one alternative as it was written and answers the typed value, or raises `ValueRefused` with words
for the client. Source: https://hl7.org/fhir/R4/search.html#ptypes
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta, timezone
from decimal import Context, Decimal
from typing import cast

from gateway.query.tree import (
    CompositeValue,
    DateValue,
    MissingValue,
    NumberValue,
    OfTypeValue,
    Prefix,
    QuantityValue,
    ReferenceValue,
    StringValue,
    TokenValue,
    UriValue,
    Value,
)
from gateway.specs import FhirTables, SearchParameter

_DATE = re.compile(
    r"(?P<year>[0-9]{4})(?:-(?P<month>[0-9]{2})(?:-(?P<day>[0-9]{2})"
    r"(?:T(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?:\.(?P<fraction>[0-9]{1,12}))?)?"
    r"(?P<zone>Z|[+-][0-9]{2}:[0-9]{2})?)?)?)?"
)
_NUMBER = re.compile(r"[+-]?[0-9]{1,40}(?:\.[0-9]{1,40})?(?:[eE](?P<exponent>[+-]?[0-9]{1,3}))?")
_ID = re.compile(r"[A-Za-z0-9.\-]{1,64}")
_RELATIVE = re.compile(
    r"(?P<type>[A-Z][A-Za-z]+)/(?P<id>[A-Za-z0-9.\-]{1,64})(?:/_history/(?P<version>[A-Za-z0-9.\-]{1,64}))?"
)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:\S+")
_PREFIX = re.compile(r"[a-z]{2}(?=[0-9+\-.])")
_FURTHEST_EXPONENT = 100
_EXACT = Context(prec=400)  # holds any number that _NUMBER lets through


class ValueRefused(Exception):  # noqa: N818  it is a value's refusal, told to the client, not a fault of the program
    """A value that its parameter can't have; the words tell the client why."""


def alternatives(raw: str) -> Iterator[str]:
    """Parts of a value between commas that no backslash precedes, still escaped."""
    return _split(raw, ",")


def unescape(text: str) -> str:
    r"""Text without the escapes `\,` `\|` `\$` `\\`.

    Errors: ValueRefused for a backslash before anything else.
    Source: https://hl7.org/fhir/R4/search.html#escaping
    """
    if "\\" not in text:
        return text
    found: list[str] = []
    characters = iter(text)
    for character in characters:
        if character != "\\":
            found.append(character)
            continue
        escaped = next(characters, "")
        if escaped not in {",", "|", "$", "\\"}:
            raise ValueRefused("a backslash stands only before a comma, bar, dollar sign or backslash")
        found.append(escaped)
    return "".join(found)


def escape(text: str) -> str:
    """The opposite of `unescape`."""
    return re.sub(r"([\\,|$])", r"\\\1", text)


def read(resource_type: str, parameter: SearchParameter, modifier: str | None, raw: str, tables: FhirTables) -> Value:
    """One alternative as a typed value.

    Errors: ValueRefused.
    """
    if modifier in _BY_MODIFIER:
        return _BY_MODIFIER[modifier](raw)
    if parameter.code == "_id" and _ID.fullmatch(raw) is None:
        raise ValueRefused("an id is 1 to 64 letters, digits, dots and hyphens")
    if parameter.type == "composite":
        return _composite(resource_type, parameter, raw, tables)
    if parameter.type == "reference":
        return _reference(parameter, modifier, raw)
    if parameter.type in _COMPARED:
        prefix, rest = _prefix(parameter, raw)
        return _COMPARED[parameter.type](raw, prefix, rest)
    return _PLAIN[parameter.type](raw)


def _split(raw: str, separator: str) -> Iterator[str]:
    start = position = 0
    while position < len(raw):
        if raw[position] == "\\":
            position += 1
        elif raw[position] == separator:
            yield raw[start:position]
            start = position + 1
        position += 1
    yield raw[start:]


def _missing(raw: str) -> MissingValue:
    if raw not in {"true", "false"}:
        raise ValueRefused(":missing is true or false")
    return MissingValue(raw, raw == "true")


def _string(raw: str) -> StringValue:
    return StringValue(raw, unescape(raw))


def _uri(raw: str) -> UriValue:
    return UriValue(raw, unescape(raw))


def _token(raw: str) -> TokenValue:
    parts = [unescape(part) for part in _split(raw, "|")]
    match parts:
        case [code]:
            return TokenValue(raw, None, code)
        case [system, code] if system or code:
            return TokenValue(raw, system, code or None)
        case _:
            raise ValueRefused("a token is a code, a system and a code with a bar between, or either beside a bar")


def _of_type(raw: str) -> OfTypeValue:
    match [unescape(part) for part in _split(raw, "|")]:
        case [system, code, value] if code and value:
            return OfTypeValue(raw, system, code, value)
        case _:
            raise ValueRefused("it is the system and code of the identifier's type and its value, with bars between")


def _composite(resource_type: str, parameter: SearchParameter, raw: str, tables: FhirTables) -> CompositeValue:
    """One value for each component. Source: https://hl7.org/fhir/R4/search.html#composite."""
    components = [component(resource_type, each.url, tables) for each in parameter.components]
    texts = list(_split(raw, "$"))
    if len(texts) != len(components) or not all(texts):
        form = "$".join(found.code for found in components)
        raise ValueRefused(f"it has {len(components)} values with a dollar sign between: {form}")
    parts = [
        (found, read(resource_type, found, None, text, tables)) for found, text in zip(components, texts, strict=True)
    ]
    return CompositeValue(raw, tuple(parts))


@functools.cache
def component(resource_type: str, url: str, tables: FhirTables) -> SearchParameter:
    """The search parameter of a type that a composite's component names.

    Errors: ValueRefused where the type has none.
    """
    for (base, _), found in tables.search_parameters.items():
        if base == resource_type and found.url == url:
            return found
    raise ValueRefused(f"{resource_type} has no search parameter {url}")


def _prefix(parameter: SearchParameter, raw: str) -> tuple[Prefix, str]:
    found = _PREFIX.match(raw)
    if found is None:
        return "eq", raw
    if found.group() not in parameter.comparators:
        raise ValueRefused(f"prefix {found.group()} is unknown: there are {', '.join(parameter.comparators)}")
    return cast(Prefix, found.group()), raw[2:]


def _date(raw: str, prefix: Prefix, rest: str) -> DateValue:
    found = _DATE.fullmatch(rest)
    if found is None:
        # a plus sign that isn't percent-encoded reaches us as a blank
        hint = ": write the plus sign of a zone as %2B" if re.search(r"T.* [0-9]{2}:[0-9]{2}$", rest) else ""
        raise ValueRefused("a date is YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm:ss with Z or +hh:mm" + hint)
    try:
        low, high = _stretch(found.groupdict())
    except (ValueError, OverflowError) as error:
        raise ValueRefused("there is no such date or time") from error
    return DateValue(raw, prefix, low, high)


def _stretch(part: Mapping[str, str | None]) -> tuple[datetime, datetime]:
    """First moment and first moment after a date of any precision.

    Errors: ValueError, OverflowError for a date that the calendar doesn't have.
    """
    year, month, day = int(part["year"] or 0), int(part["month"] or 1), int(part["day"] or 1)
    if part["hour"] is None:
        low = datetime(year, month, day, tzinfo=UTC)
        if part["month"] is None:
            return low, datetime(year + 1, 1, 1, tzinfo=UTC)
        if part["day"] is None:
            return low, datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
        return low, low + timedelta(days=1)
    low = datetime(year, month, day, int(part["hour"]), int(part["minute"] or 0), tzinfo=_zone(part["zone"]))
    low = low.astimezone(UTC)
    if part["second"] is None:
        return low, low + timedelta(minutes=1)
    seconds = int(part["second"])
    if seconds > 60:  # noqa: PLR2004  60 is a leap second, which dateTime allows
        raise ValueError(seconds)
    low += timedelta(seconds=seconds)
    fraction = part["fraction"]
    if fraction is None:
        return low, low + timedelta(seconds=1)
    # a microsecond is the finest that a datetime holds
    low += timedelta(microseconds=int(fraction[:6].ljust(6, "0")))
    return low, low + timedelta(microseconds=10 ** max(0, 6 - len(fraction)))


def _zone(text: str | None) -> timezone:
    if text is None or text == "Z":
        return UTC
    hours, minutes = int(text[1:3]), int(text[4:6])
    if hours > 14 or minutes > 59:  # noqa: PLR2004  the limits of xs:dateTime, which FHIR follows
        raise ValueError(text)
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(-offset if text[0] == "-" else offset)


def _range(text: str) -> tuple[Decimal, Decimal, Decimal]:
    """A number and the range that its precision implies: half a unit of the last digit to either side.

    With a positive exponent the standard's own example (`1e2` is 95 to 105) takes a tenth of that.
    """
    found = _NUMBER.fullmatch(text)
    if found is None or abs(int(found["exponent"] or 0)) > _FURTHEST_EXPONENT:
        raise ValueRefused("a number is digits with an optional fraction and exponent")
    number = Decimal(text)
    exponent = number.as_tuple().exponent
    last = int(exponent) if int(exponent) <= 0 else int(exponent) - 1
    half = Decimal((0, (5,), last - 1))
    return number, _EXACT.subtract(number, half), _EXACT.add(number, half)


def _number(raw: str, prefix: Prefix, rest: str) -> NumberValue:
    return NumberValue(raw, prefix, *_range(rest))


def _quantity(raw: str, prefix: Prefix, rest: str) -> QuantityValue:
    parts = [unescape(part) for part in _split(rest, "|")]
    match parts:
        case [number]:
            return QuantityValue(raw, prefix, *_range(number), None, None)
        case [number, system, code] if code:
            return QuantityValue(raw, prefix, *_range(number), system or None, code)
        case _:
            raise ValueRefused("a quantity is a number, or a number, system and code with bars between")


def _reference(parameter: SearchParameter, modifier: str | None, raw: str) -> ReferenceValue:
    text = unescape(raw)
    if _ID.fullmatch(text):
        return ReferenceValue(raw, modifier, text, None)
    if found := _RELATIVE.fullmatch(text):
        url = None
    elif _SCHEME.fullmatch(text):
        url = text
        found = re.search(rf"/{_RELATIVE.pattern}$", text)
        if found is None:
            return ReferenceValue(raw, modifier, None, url)
    else:
        raise ValueRefused("a reference is an id, a type and an id with a slash between, or an absolute URL")
    if parameter.targets and found["type"] not in parameter.targets:
        raise ValueRefused(f"{parameter.code} refers to {', '.join(parameter.targets)}, not to {found['type']}")
    if modifier is not None and modifier != found["type"]:
        raise ValueRefused(f"the modifier says {modifier} and the value {found['type']}")
    return ReferenceValue(raw, found["type"], found["id"], url, found["version"])


_BY_MODIFIER: Mapping[str | None, Callable[[str], Value]] = {
    "missing": _missing,
    "text": _string,
    "of-type": _of_type,
    "identifier": _token,
}
_PLAIN: Mapping[str, Callable[[str], Value]] = {"string": _string, "token": _token, "uri": _uri}
_COMPARED: Mapping[str, Callable[[str, Prefix, str], Value]] = {
    "date": _date,
    "number": _number,
    "quantity": _quantity,
}
