"""FHIR search text to a typed tree, and back.

What is not understood is refused with a finding, never dropped and never passed on: an upstream that ignored it would
answer more than was asked for. Source: https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from gateway.finding import Finding
from gateway.query.tree import Clause, Query, Sort
from gateway.query.values import ValueRefused, alternatives, escape, read
from gateway.source import nearest
from gateway.specs import FhirTables, SearchParameter

MODIFIERS_OFFERED = frozenset({"missing", "exact", "contains", "text", "not", "[type]"})
"""Modifiers that the gateway takes where the standard has them; the others are refused by name."""

PARAMETERS_NOT_OFFERED = frozenset(
    {"_include", "_revinclude", "_has", "_filter", "_list", "_query", "_type", "_contained", "_containedType", "_score"}
)
"""Standard parameters that are no entry of the search parameter table and that the gateway doesn't take yet."""

_LONGEST_SHOWN = 60
_LARGEST_COUNT = 10**9

_Pairs = Sequence[tuple[str, str]]


class _Refused(Exception):  # noqa: N818  carries one finding to the loop that collects them
    def __init__(self, code: str, rule: str, words: str) -> None:
        super().__init__(words)
        self.code = code
        self.rule = rule


def parse(resource_type: str, pairs: _Pairs, tables: FhirTables) -> Query | tuple[Finding, ...]:
    """A search as a typed tree, or every reason why it can't be one.

    Shape: `pairs` are names and values after URL decoding, those of the URL before those of a body.
    """
    definition = tables.types.get(resource_type)
    if definition is None or definition.kind != "resource" or definition.abstract:
        names = (n for n, d in tables.types.items() if d.kind == "resource" and not d.abstract)
        words = f"{_shown(resource_type)} is not a resource type of FHIR R4{_meant(resource_type, names)}"
        return (Finding("error", "not-supported", words, None, "SEARCH-TYPE"),)
    findings: list[Finding] = []
    clauses: list[Clause] = []
    results: dict[str, Any] = {}
    for name, raw in pairs:
        try:
            if name in _RESULT_PARAMETERS:
                _take(results, resource_type, name, raw, tables)
            else:
                clauses.append(_clause(resource_type, name, raw, tables))
        except _Refused as refused:
            findings.append(Finding("error", refused.code, str(refused), _shown(name), refused.rule))
    if findings:
        return tuple(findings)
    return Query(resource_type, tuple(clauses), **results)


def render(query: Query) -> list[tuple[str, str]]:
    """Names and values of a query, before URL encoding; `parse` makes the same query of them."""
    pairs = [(_full_name(clause), ",".join(value.raw for value in clause.values)) for clause in query.clauses]
    if query.count is not None:
        pairs.append(("_count", str(query.count)))
    if query.sort:
        pairs.append(("_sort", ",".join(("-" if key.descending else "") + key.name for key in query.sort)))
    if query.elements:
        pairs.append(("_elements", ",".join(query.elements)))
    if query.pretty is not None:
        pairs.append(("_pretty", "true" if query.pretty else "false"))
    rest = (
        ("_total", query.total),
        ("_summary", query.summary),
        ("_format", query.format),
        ("_page", query.page),
    )
    pairs.extend((name, text) for name, text in rest if text is not None)
    return pairs


def narrow(query: Query, name: str, values: Iterable[str], tables: FhirTables) -> Query:
    """The query with one more clause, any of whose values may hold.

    Shape: `values` are not escaped. Errors: ValueError for what the type has no such parameter or value for.
    """
    try:
        clause = _clause(query.type, name, ",".join(escape(value) for value in values), tables)
    except _Refused as refused:
        raise ValueError(str(refused)) from refused
    return dataclasses.replace(query, clauses=(*query.clauses, clause))


def names(resource_type: str, tables: FhirTables) -> tuple[str, ...]:
    """Names of the search parameters that a type has and the gateway can take, in alphabetical order."""
    found = (p for (base, _), p in tables.search_parameters.items() if base == resource_type)
    return tuple(sorted(p.code for p in found if _offered(p)))


def _take(results: dict[str, Any], resource_type: str, name: str, raw: str, tables: FhirTables) -> None:
    """Read a result parameter into its field of the query."""
    field, reader = _RESULT_PARAMETERS[name]
    if field in results:
        raise _Refused("invalid", "SEARCH-TWICE", f"{name} may stand once only")
    results[field] = None  # taken, even where its value is refused
    results[field] = reader(resource_type, raw, tables)


def _offered(parameter: SearchParameter) -> bool:
    return parameter.type not in {"composite", "special"} and bool(parameter.fhirpath)


def _full_name(clause: Clause) -> str:
    return clause.name if clause.modifier is None else f"{clause.name}:{clause.modifier}"


def _shown(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "..."


def _meant(word: str, known: Iterable[str]) -> str:
    near = nearest(word[:_LONGEST_SHOWN], known)
    return f" (did you mean {near}?)" if near is not None else ""


def _clause(resource_type: str, full_name: str, raw: str, tables: FhirTables) -> Clause:
    name, colon, modifier = full_name.partition(":")
    parameter = _parameter(resource_type, name, full_name, tables)
    taken = _modifier(parameter, modifier) if colon else None
    if not raw:
        raise _Refused("required", "SEARCH-EMPTY", f"{_shown(full_name)} has no value: leave it out or give one")
    values = []
    for part in alternatives(raw):
        if not part:
            raise _Refused("required", "SEARCH-EMPTY", f"{_shown(full_name)} has an empty value between commas")
        try:
            values.append(read(parameter, taken, part))
        except ValueRefused as refused:
            words = f"{_shown(full_name)} can not be {_shown(part)}: {refused}"
            raise _Refused("value", "SEARCH-VALUE", words) from refused
    return Clause(name, parameter, taken, tuple(values))


def _parameter(resource_type: str, name: str, full_name: str, tables: FhirTables) -> SearchParameter:
    parameter = tables.search_parameters.get((resource_type, name))
    if parameter is not None and _offered(parameter):
        return parameter
    if "." in full_name:
        raise _Refused("not-supported", "SEARCH-CHAIN", f"chained search ({_shown(full_name)}) is not offered yet")
    if parameter is not None or name in PARAMETERS_NOT_OFFERED:
        raise _Refused("not-supported", "SEARCH-PARAMETER", f"{name} is not offered yet")
    known = names(resource_type, tables)
    words = (
        f"{resource_type} has no search parameter {_shown(name)}{_meant(name, (*known, *_RESULT_PARAMETERS))}:"
        f" there are {', '.join(known)} and {', '.join(_RESULT_PARAMETERS)}"
    )
    raise _Refused("not-supported", "SEARCH-PARAMETER", words)


def _modifier(parameter: SearchParameter, modifier: str) -> str:
    if "." in modifier:
        words = f"chained search ({_shown(parameter.code + ':' + modifier)}) is not offered yet"
        raise _Refused("not-supported", "SEARCH-CHAIN", words)
    general = "[type]" if modifier in parameter.targets else modifier
    if general not in parameter.modifiers:
        offered = [m for m in parameter.modifiers if m in MODIFIERS_OFFERED]
        known = [*offered, *parameter.targets] if "[type]" in offered else offered
        listed = ", ".join(m if m != "[type]" else "the name of a target type" for m in offered) or "none"
        words = f"{parameter.code} has no modifier {_shown(modifier)}{_meant(modifier, known)}: there are {listed}"
        raise _Refused("not-supported", "SEARCH-MODIFIER", words)
    if general not in MODIFIERS_OFFERED:
        raise _Refused("not-supported", "SEARCH-MODIFIER", f"the modifier {general} is not offered yet")
    return modifier


def _count(_: str, raw: str, __: FhirTables) -> int:
    if not re.fullmatch("[0-9]+", raw) or len(raw) > len(str(_LARGEST_COUNT)) or int(raw) > _LARGEST_COUNT:
        raise _Refused("value", "SEARCH-VALUE", f"_count can not be {_shown(raw)}: it is a whole number from 0")
    return int(raw)


def _sort(resource_type: str, raw: str, tables: FhirTables) -> tuple[Sort, ...]:
    keys = tuple(Sort(word.removeprefix("-"), word.startswith("-")) for word in raw.split(","))
    for key in keys:
        parameter = tables.search_parameters.get((resource_type, key.name))
        if parameter is None or not _offered(parameter):
            known = names(resource_type, tables)
            words = (
                f"_sort can not be by {_shown(key.name) or 'nothing'}{_meant(key.name, known)}: there are"
                f" {', '.join(known)}, each with a hyphen before it for descending order"
            )
            raise _Refused("value", "SEARCH-VALUE", words)
    if len({key.name for key in keys}) < len(keys):
        raise _Refused("value", "SEARCH-VALUE", "_sort names a parameter twice")
    return keys


def _elements(resource_type: str, raw: str, tables: FhirTables) -> tuple[str, ...]:
    found = tuple(raw.split(","))
    known = [e.path.partition(".")[2].removesuffix("[x]") for e in tables.elements.children(resource_type)]
    for name in found:
        if name not in known:
            words = f"_elements can not have {_shown(name) or 'an empty name'}{_meant(name, known)}"
            raise _Refused("value", "SEARCH-VALUE", f"{words}: it names elements right below {resource_type}")
    return found


def _one_of(name: str, *allowed: str) -> Callable[[str, str, FhirTables], str]:
    def reader(_: str, raw: str, __: FhirTables) -> str:
        if raw not in allowed:
            words = f"{name} can not be {_shown(raw) or 'empty'}: it is one of {', '.join(allowed)}"
            raise _Refused("value", "SEARCH-VALUE", words)
        return raw

    return reader


def _pretty(resource_type: str, raw: str, tables: FhirTables) -> bool:
    return _one_of("_pretty", "true", "false")(resource_type, raw, tables) == "true"


def _text(name: str) -> Callable[[str, str, FhirTables], str]:
    def reader(_: str, raw: str, __: FhirTables) -> str:
        if not raw:
            raise _Refused("required", "SEARCH-EMPTY", f"{name} has no value: leave it out or give one")
        return raw

    return reader


# Name to field of Query and reader; `_page` is the gateway's own.
# Source: https://hl7.org/fhir/R4/search.html#modifyingresults
_RESULT_PARAMETERS: Mapping[str, tuple[str, Callable[[str, str, FhirTables], Any]]] = {
    "_count": ("count", _count),
    "_sort": ("sort", _sort),
    "_total": ("total", _one_of("_total", "none", "estimate", "accurate")),
    "_summary": ("summary", _one_of("_summary", "true", "text", "data", "count", "false")),
    "_elements": ("elements", _elements),
    "_format": ("format", _text("_format")),
    "_pretty": ("pretty", _pretty),
    "_page": ("page", _text("_page")),
}
