"""What the index keeps of a value: one function from a FHIR value to index rows for each kind of table.

A row here is without parameter and resource. A value that doesn't have its type's form gives no row: it is stored all
the same, it just can't be found by.

Source: https://hl7.org/fhir/R4/search.html#ptypes, the tables of each parameter type.
"""

from __future__ import annotations

import calendar
import functools
import re
import unicodedata
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from gateway.fhir.ids import ID

Row = tuple[Any, ...]
Convert = Callable[[Any], Sequence[Row]]

KEPT = 2
"""Number of what the index keeps of values: raise it when that changes, and stores make their index anew."""
DAY = 86_400_000_000
"""Units: microseconds."""
FIRST = -(2**62)
LAST = 2**62
"""Bounds of a period without start or end. Units: microseconds since 1970."""
LEAST = -1.7e308
MOST = 1.7e308
"""Bounds of a range without low or high."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = _EPOCH.toordinal()
_DATE = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?")
_INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2})?(?:\.(\d+))?(?:Z|[+-]\d{2}:\d{2})?")
_LITERAL = re.compile(rf"([A-Z][A-Za-z]+)/({ID})(?:/_history/{ID})?")
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:\S+")
_HISTORY = re.compile(rf"/_history/{ID}$")
_CURRENCIES = "urn:iso:std:iso:4217"


def fold(text: str) -> str:
    """Text as string searches compare it: without case and accents, blanks made one.

    Source: https://hl7.org/fhir/R4/search.html#string
    """
    if text.isascii():
        folded = text.lower()
    else:
        apart = unicodedata.normalize("NFKD", text)
        folded = "".join(c for c in apart if not unicodedata.combining(c)).casefold()
    return " ".join(folded.split())


def without_punctuation(folded: str) -> str:
    """Folded text as it is without its punctuation; a dash parts words, as a blank does.

    Text that is punctuation alone stays as it is. Source: https://hl7.org/fhir/R4/search.html#string
    """
    if folded.replace(" ", "").isalnum():
        return folded
    categories = ((c, unicodedata.category(c)) for c in folded)
    kept = "".join(" " if kind == "Pd" else c for c, kind in categories if kind == "Pd" or kind[0] != "P")
    return " ".join(kept.split()) or folded


def microseconds(moment: datetime) -> int:
    """An aware moment as the index keeps it. Units: microseconds since 1970, UTC."""
    passed = moment - _EPOCH
    return passed.days * DAY + passed.seconds * 1_000_000 + passed.microseconds


@functools.lru_cache(maxsize=8192)
def stretch(text: str) -> tuple[int, int] | None:
    """First microsecond of a date, dateTime or instant, and the first one after it; None for another form.

    A moment without zone is read as UTC.
    Source: https://hl7.org/fhir/R4/search.html#date
    """
    try:
        if found := _DATE.fullmatch(text):
            return _days(int(found[1]), int(found[2] or 0), int(found[3] or 0))
        if found := _INSTANT.fullmatch(text):
            moment = datetime.fromisoformat(text)
            low = microseconds(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
            width = 60_000_000 if found[1] is None else 10 ** max(0, 6 - len(found[2] or ""))
            return low, low + width
    except ValueError:  # no such day
        return None
    return None


def _days(year: int, month: int, day: int) -> tuple[int, int]:
    first = date(year, month or 1, day or 1).toordinal()
    if day:
        length = 1
    elif month:
        length = calendar.monthrange(year, month)[1]
    else:
        length = 366 if calendar.isleap(year) else 365
    return (first - _EPOCH_DAY) * DAY, (first - _EPOCH_DAY + length) * DAY


def _moment(value: Any) -> Sequence[Row]:
    found = stretch(value) if isinstance(value, str) else None
    return () if found is None else (found,)


def _period(value: Any) -> Sequence[Row]:
    start, end = stretch(str(value.get("start", ""))), stretch(str(value.get("end", "")))
    if start is None and end is None:
        return ()
    return ((start[0] if start else FIRST, end[1] if end else LAST),)


def _timing(value: Any) -> Sequence[Row]:
    """Of a schedule the outer limits alone."""
    rows = [row for event in _list(value.get("event")) for row in _moment(event)]
    bounds = _object(value.get("repeat")).get("boundsPeriod")
    rows.extend(_period(bounds) if isinstance(bounds, dict) else ())
    return ((min(low for low, _ in rows), max(high for _, high in rows)),) if rows else ()


def _text(value: Any) -> Sequence[Row]:
    """What a text is, and where it has punctuation what it is without.

    Shape: the second of a row is the text itself, and empty in rows that are but another way to find it.
    """
    if not isinstance(value, str) or not value:
        return ()
    folded = fold(value)
    plain = without_punctuation(folded)
    return ((folded, value),) if plain == folded else ((folded, value), (plain, ""))


def family(value: Any) -> Sequence[Row]:
    """A family name, and from each of its further words on: who looks for the second of two finds them too."""
    rows = _text(value)
    if not rows or " " not in rows[0][0]:
        return rows
    words = rows[0][0].split(" ")
    return (*rows, *((" ".join(words[start:]), "") for start in range(1, len(words))))


def _texts(*names: str, **others: Convert) -> Convert:
    converts = {**dict.fromkeys(names, _text), **others}

    def convert(value: Any) -> list[Row]:
        return [row for name, rows in converts.items() for text in _list(value.get(name)) for row in rows(text)]

    return convert


def _code(value: Any) -> Sequence[Row]:
    return ((value, ""),) if isinstance(value, str) else ()


def _any_case(value: Any) -> Sequence[Row]:
    """A code that is plain text, found whatever the case. Source: https://hl7.org/fhir/R4/search.html#token."""
    return ((value.casefold(), ""),) if isinstance(value, str) else ()


def _boolean(value: Any) -> Sequence[Row]:
    return (("true" if value else "false", ""),) if isinstance(value, bool) else ()


def _coding(value: Any) -> Sequence[Row]:
    code, system = value.get("code"), value.get("system")
    return ((_string(code), _string(system)),) if code or system else ()


def _concept(value: Any) -> Sequence[Row]:
    return [row for coding in _list(value.get("coding")) if isinstance(coding, dict) for row in _coding(coding)]


def _identifier(value: Any) -> Sequence[Row]:
    text, system = value.get("value"), value.get("system")
    return ((_string(text), _string(system)),) if text or system else ()


def _contact(value: Any) -> Sequence[Row]:
    return _code(value.get("value"))


def _number(value: Any) -> Sequence[Row]:
    return ((float(value), float(value)),) if _is_number(value) else ()


def _is_number(value: Any) -> bool:
    return type(value) in {int, float, Decimal} and bool(abs(value) < MOST)


def _bounds(value: Any) -> tuple[float, float] | None:
    low: Any = _object(value.get("low")).get("value")
    high: Any = _object(value.get("high")).get("value")
    if not _is_number(low) and not _is_number(high):
        return None
    return float(low) if _is_number(low) else LEAST, float(high) if _is_number(high) else MOST


def _number_range(value: Any) -> Sequence[Row]:
    bounds = _bounds(value)
    return () if bounds is None else (bounds,)


def _unit(value: Any) -> tuple[str, str, str]:
    return _string(value.get("system")), _string(value.get("code")), _string(value.get("unit"))


def _quantity(value: Any) -> Sequence[Row]:
    number = value.get("value")
    if not _is_number(number):
        return ()
    match value.get("comparator"):
        case "<" | "<=":
            low, high = LEAST, float(number)
        case ">" | ">=":
            low, high = float(number), MOST
        case _:
            low = high = float(number)
    return ((low, high, *_unit(value)),)


def _quantity_range(value: Any) -> Sequence[Row]:
    bounds = _bounds(value)
    if bounds is None:
        return ()
    low = _object(value.get("low"))
    return ((*bounds, *_unit(low if "value" in low else _object(value.get("high")))),)


def _money(value: Any) -> Sequence[Row]:
    number = value.get("value")
    if not _is_number(number):
        return ()
    return ((float(number), float(number), _CURRENCIES, _string(value.get("currency")), ""),)


def _sampled(value: Any) -> Sequence[Row]:
    low, high = value.get("lowerLimit"), value.get("upperLimit")
    if not _is_number(low) or not _is_number(high):
        return ()
    return ((float(low), float(high), *_unit(_object(value.get("origin")))),)


def _uri(value: Any) -> Sequence[Row]:
    return ((value,),) if isinstance(value, str) and value else ()


def _reference(value: Any) -> Sequence[Row]:
    literal = value.get("reference") if type(value) is dict else None
    return _literal(literal) if type(literal) is str else ()


@functools.lru_cache(maxsize=4096)
def _literal(literal: str) -> tuple[Row, ...]:
    """Rows of a literal reference: kept, for one reference is the value of several parameters."""
    if found := _LITERAL.fullmatch(literal):
        return ((found[2], found[1]),)
    # a reference within the resource (`#name`) names nothing that a search could
    return ((_HISTORY.sub("", literal), ""),) if _ABSOLUTE.fullmatch(literal) else ()


def _canonical(value: Any) -> Sequence[Row]:
    if not isinstance(value, str) or not value:
        return ()
    url, _, version = value.partition("|")
    return ((url, f"|{version}" if version else ""),)


def _typed_identifier(value: Any) -> Sequence[Row]:
    text, codings = _string(value.get("value")), _list(_object(value.get("type")).get("coding"))
    return [(f"{row[0]}|{text}", row[1]) for each in codings if isinstance(each, dict) for row in _coding(each) if text]


def _logical(value: Any) -> Sequence[Row]:
    found = value.get("identifier") if type(value) is dict else None
    return _identifier(found) if type(found) is dict else ()


def _resource(value: Any) -> Sequence[Row]:
    name, id_ = value.get("resourceType"), value.get("id")
    return ((id_, name),) if isinstance(id_, str) and isinstance(name, str) else ()


def _string(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _of(convert: Convert) -> Convert:
    """The same for values that are objects; another value where an object belongs gives no row."""
    return lambda value: convert(value) if isinstance(value, dict) else ()


_PLAIN_CODES = dict.fromkeys(("code", "id", "uri", "oid", "uuid", "url", "canonical"), _code)
_MOMENTS = dict.fromkeys(("date", "dateTime", "instant"), _moment)
_NAME = _texts("text", "family", "given", "prefix", "suffix", family=family)
_ADDRESS = _texts("text", "line", "city", "district", "state", "postalCode", "country")

CONVERTERS: dict[tuple[str, str], Convert] = {
    **{("token", name): convert for name, convert in _PLAIN_CODES.items()},
    ("token", "string"): _any_case,
    ("token", "boolean"): _boolean,
    ("token", "Coding"): _of(_coding),
    ("token", "CodeableConcept"): _of(_concept),
    ("token", "Identifier"): _of(_identifier),
    ("token", "ContactPoint"): _of(_contact),
    ("string", "string"): _text,
    ("string", "markdown"): _text,
    ("string", "HumanName"): _of(_NAME),
    ("string", "Address"): _of(_ADDRESS),
    **{("date", name): convert for name, convert in _MOMENTS.items()},
    ("date", "Period"): _of(_period),
    ("date", "Timing"): _of(_timing),
    **dict.fromkeys([("number", name) for name in ("decimal", "integer", "positiveInt", "unsignedInt")], _number),
    ("number", "Range"): _of(_number_range),
    **dict.fromkeys(
        [("quantity", name) for name in ("Quantity", "Age", "Duration", "Count", "Distance")], _of(_quantity)
    ),
    ("quantity", "Money"): _of(_money),
    ("quantity", "Range"): _of(_quantity_range),
    ("quantity", "SampledData"): _of(_sampled),
    ("reference", "Reference"): _reference,
    ("reference", "canonical"): _canonical,
    ("reference", "uri"): _canonical,
    ("reference", "Resource"): _of(_resource),
    **{("uri", name): _uri for name in ("uri", "url", "canonical", "oid", "uuid")},
}
"""By search parameter type and FHIR type of the value.

A pair that isn't here has no meaning for a search (a date parameter over an Age, a reference over an Attachment).
"""


MODIFIED: dict[tuple[str, str], tuple[str, str, Convert]] = {
    ("token", "of-type"): ("Identifier", "token", _of(_typed_identifier)),
    ("reference", "identifier"): ("Reference", "token", _logical),
}
"""By search parameter type and modifier, rows that only the modifier asks for: of which FHIR type, and in which table.

Source: https://hl7.org/fhir/R4/search.html#token, #reference
"""


def _concept_texts(value: Any) -> list[str]:
    found = [value.get("text"), *(_object(coding).get("display") for coding in _list(value.get("coding")))]
    return [text for text in found if isinstance(text, str)]


TEXTS: dict[str, Callable[[Any], list[str]]] = {
    "CodeableConcept": lambda value: _concept_texts(_object(value)),
    "Coding": lambda value: _concept_texts({"coding": [value]}),
    "Identifier": lambda value: _concept_texts(_object(_object(value).get("type"))),
}
"""Texts that `:text` searches, by FHIR type. Source: https://hl7.org/fhir/R4/search.html#token"""


def bound_code(systems: dict[str, str]) -> Convert:
    """Rows of a code whose system its value set implies. Shape: `systems` by code."""

    def convert(value: Any) -> Sequence[Row]:
        return ((value, systems.get(value, "")),) if isinstance(value, str) else ()

    return convert
