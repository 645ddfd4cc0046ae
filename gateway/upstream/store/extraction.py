"""Index rows of a resource, by every search parameter of its type.

The expressions come from the search parameter table and are compiled once per type. They are kept by the JSON member
that they start from, so that a parameter costs nothing where the resource has no value for it.

Some modifiers ask for what the parameter's own rows don't hold. What is rare has rows of its own, under the name with
the modifier (`subject:identifier`); what every resource has (`code:text`) is read from the candidates' bodies instead.
"""

from __future__ import annotations

import functools
import hashlib
import marshal
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from gateway.fhir import fhirpath
from gateway.specs import FhirTables, SearchParameter
from gateway.upstream.store.values import CONVERTERS, KEPT, MODIFIED, TEXTS, Convert, Row, bound_code, family

# these two are columns of the resource table
BUILT_IN = frozenset({"_id", "_lastUpdated"})

PARTS = frozenset({"token", "number", "quantity", "reference"})
"""Tables whose rows say of which repetition of an element they are, so that a composite's values can be told to stand
together: 1 for the first, 0 where no composite asks."""

_WHOLE = "%resource."
_FAMILY = re.compile(r"\.name\.family\b")
"""The element of the type HumanName, by which a search parameter goes to family names."""

Rows = dict[str, set[Row]]
"""By table (the type of the parameter): (parameter, values...)."""

_KEPT = 2048
"""Members of a resource type whose rows are kept: much is told again and again (a status, a class, who contributed)."""
_PLAIN = 2
"""Version of `marshal` that writes the same bytes for the same value, however it was made."""


class _Output(NamedTuple):
    """Where the values of a step go: one row for each parameter."""

    table: str
    parameters: tuple[int, ...]
    convert: Convert
    tail: Row


class _Step(NamedTuple):
    """One way to values of a member, and what becomes of them; a counted one tells the member's repetitions apart."""

    function: Callable[[list[Any]], list[Any]]
    outputs: tuple[_Output, ...]
    counted: bool


@dataclass(frozen=True, slots=True)
class Extractor:
    """All parameters of one resource type, compiled.

    Shape: `steps` by member; those under None look at the whole resource; `kept` answers the rows of a member, by its
    name and its marshalled value.
    """

    steps: Mapping[str | None, tuple[_Step, ...]]
    kept: Callable[[str, bytes], Rows]

    def rows(self, resource: Mapping[str, Any]) -> Rows:
        """Index rows of a resource of the type."""
        found: Rows = {}
        for key, value in resource.items():
            if key == "meta" and type(value) is dict:
                for name, part in value.items():  # some of it is told anew by each message, and some never changes
                    self._add(found, key, {name: part})
            elif key in self.steps:
                self._add(found, key, value)
        if whole := self.steps.get(None):
            _collect(found, whole, [resource])
        return found

    def _add(self, found: Rows, key: str, value: Any) -> None:
        try:
            told = marshal.dumps(value, _PLAIN)
        except ValueError:  # a decimal
            rows = _rows_of(self.steps[key], value)
        else:
            rows = self.kept(key, told)
        for table, some in rows.items():
            if table in found:
                found[table] |= some
            else:
                found[table] = set(some)


def _extractor(steps: Mapping[str | None, tuple[_Step, ...]]) -> Extractor:
    @functools.lru_cache(_KEPT)
    def kept(key: str, told: bytes) -> Rows:
        return _rows_of(steps[key], marshal.loads(told))  # noqa: S302 - dumped by this process  # nosec B302

    return Extractor(steps, kept)


def _rows_of(steps: Iterable[_Step], value: Any) -> Rows:
    found: Rows = {}
    _collect(found, steps, [v for v in value if v is not None] if type(value) is list else [value])
    return found


def _collect(found: Rows, steps: Iterable[_Step], values: list[Any]) -> None:
    for function, outputs, counted in steps:
        if counted:
            for place, value in enumerate(values, 1):
                _add(found, outputs, function([value]), (place,))
        elif selected := function(values):
            _add(found, outputs, selected, None)


def _add(found: Rows, outputs: Iterable[_Output], values: list[Any], part: Row | None) -> None:
    for table, parameters, convert, tail in outputs:
        for value in values:
            if rows := convert(value):
                end = part or tail
                kept = found.get(table)
                if kept is None:
                    kept = found[table] = set()
                for row in rows:
                    for parameter in parameters:
                        kept.add((parameter, *row, *end))


def compile_type(type_: str, parameters: Mapping[tuple[str, str], int], tables: FhirTables) -> Extractor:
    """The extractor of a resource type.

    Shape: `parameters` numbers every (type, code) that is indexed.
    """
    repeated = _repeated(type_, tables)
    # steps that take the same way to the same kind of row go it once
    ways: dict[tuple[str | None, bool, Any], dict[tuple[str, Convert], list[int]]] = {}
    for (base, code), parameter in tables.search_parameters.items():
        if base != type_ or not is_indexed(parameter):
            continue
        for branch in fhirpath.branches(parameter.fhirpath, type_, tables):
            counted = branch.key is not None and (code, branch.key) in repeated
            way = ways.setdefault((branch.key, counted, branch.function), {})
            convert = _converter(parameter, branch, tables)
            if convert is not None:
                way.setdefault((parameter.type, convert), []).append(parameters[base, code])
            for modifier, table, more in _modified(parameter.type, branch):
                way.setdefault((table, more), []).append(parameters[base, f"{code}:{modifier}"])
    steps: dict[str | None, list[_Step]] = {}
    for (key, counted, function), found in ways.items():
        outputs = tuple(
            _Output(table, tuple(numbers), convert, (0,) if table in PARTS else ())
            for (table, convert), numbers in found.items()
        )
        if outputs:
            steps.setdefault(key, []).append(_Step(function, outputs, counted))
    return _extractor({key: tuple(found) for key, found in steps.items()})


def is_indexed(parameter: SearchParameter) -> bool:
    """Whether a search parameter has rows of its own: one type of value, found by an expression."""
    return (
        bool(parameter.fhirpath) and parameter.type not in {"composite", "special"} and parameter.code not in BUILT_IN
    )


def is_searchable(parameter: SearchParameter) -> bool:
    """Whether the store can search by a parameter."""
    return parameter.code in BUILT_IN or is_indexed(parameter) or parameter.type == "composite"


def indexed(tables: FhirTables) -> list[tuple[str, str]]:
    """Type and code of everything that has rows of its own, what modifiers ask for among it."""
    found = []
    for key, parameter in tables.search_parameters.items():
        if is_indexed(parameter):
            found.append(key)
            found += [(key[0], f"{key[1]}:{name}") for (type_, name) in MODIFIED if type_ == parameter.type]
    return found


def digest(version: int, tables: FhirTables) -> str:
    """What the rows of an index depend on: one that was made by another digest has to be made anew."""
    hashed = hashlib.sha256(f"{version} {KEPT}".encode())
    for key, found in sorted(tables.search_parameters.items(), key=lambda item: item[0]):
        hashed.update(repr((key, found.type, found.fhirpath, found.components)).encode())
    return hashed.hexdigest()


@functools.cache
def stands_together(type_: str, parameter: SearchParameter, tables: FhirTables) -> tuple[bool, ...]:
    """For each component of a composite, whether its value must be of the same repetition as the others'."""
    apart = any(_repeats(type_, branch, tables) for branch in fhirpath.branches(parameter.fhirpath, type_, tables))
    return tuple(apart and not component.fhirpath.startswith(_WHOLE) for component in parameter.components)


@functools.cache
def value_rows(type_: str, code: str, tables: FhirTables) -> Callable[[Mapping[str, Any]], set[Row]]:
    """Function from a resource to the values that it has for a search parameter, without parameter and repetition."""
    parameter = tables.search_parameters[type_, code]
    ways = [
        (branch, convert)
        for branch in fhirpath.branches(parameter.fhirpath, type_, tables)
        if (convert := _converter(parameter, branch, tables)) is not None
    ]
    return lambda resource: {
        row for branch, convert in ways for v in branch_values(branch, resource) for row in convert(v)
    }


@functools.cache
def texts(type_: str, code: str, tables: FhirTables) -> Callable[[Mapping[str, Any]], list[str]] | None:
    """Function from a resource to the texts beside the codes of a token parameter; None where its values have none."""
    parameter = tables.search_parameters[type_, code]
    ways = [
        (branch, TEXTS[branch.type])
        for branch in fhirpath.branches(parameter.fhirpath, type_, tables)
        if branch.type in TEXTS
    ]
    if not ways:
        return None
    return lambda resource: [
        text for branch, read in ways for value in branch_values(branch, resource) for text in read(value)
    ]


def branch_values(branch: fhirpath.Branch, resource: Mapping[str, Any]) -> list[Any]:
    """Values that one alternative of an expression selects."""
    if branch.key is None:
        return branch.function([resource])
    value = resource.get(branch.key)
    values = [v for v in value if v is not None] if type(value) is list else [] if value is None else [value]
    return branch.function(values)


@functools.cache
def has_values(type_: str, code: str, kind: str, tables: FhirTables) -> bool:
    """Whether some value of a parameter is of this FHIR type."""
    parameter = tables.search_parameters[type_, code]
    return any(branch.type == kind for branch in fhirpath.branches(parameter.fhirpath, type_, tables))


@functools.cache
def is_canonical(type_: str, code: str, tables: FhirTables) -> bool:
    """Whether some value of a reference parameter is a canonical URL."""
    return has_values(type_, code, "canonical", tables) or has_values(type_, code, "uri", tables)


def has_modified(type_: str, parameter: SearchParameter, modifier: str, tables: FhirTables) -> bool:
    """Whether some value of a parameter is of a type that a modifier with rows of its own is for."""
    branches = fhirpath.branches(parameter.fhirpath, type_, tables)
    return any(modifier == name for branch in branches for name, _, _ in _modified(parameter.type, branch))


def _modified(parameter_type: str, branch: fhirpath.Branch) -> Iterable[tuple[str, str, Convert]]:
    for (of, modifier), (value_type, table, convert) in MODIFIED.items():
        if of == parameter_type and value_type == branch.type:
            yield modifier, table, convert


def _repeated(type_: str, tables: FhirTables) -> set[tuple[str, str]]:
    """Parameters (by code and the member they start from) whose rows some composite wants told apart."""
    found: set[tuple[str, str]] = set()
    codes = {p.url: p.code for (base, _), p in tables.search_parameters.items() if base == type_}
    for (base, _), parameter in tables.search_parameters.items():
        if base == type_ and parameter.type == "composite":
            for branch in fhirpath.branches(parameter.fhirpath, type_, tables):
                if branch.key is not None and _repeats(type_, branch, tables):
                    found.update((codes[each.url], branch.key) for each in parameter.components if each.url in codes)
    return found


def _repeats(type_: str, branch: fhirpath.Branch, tables: FhirTables) -> bool:
    return branch.key is not None and tables.elements[f"{type_}.{branch.key}"].max is None


def _converter(parameter: SearchParameter, branch: fhirpath.Branch, tables: FhirTables) -> Convert | None:
    codings = tables.codings.get(branch.value_set or "")
    if parameter.type == "token" and branch.type == "code" and codings is not None:
        return bound_code({code: system for system, code in codings})
    if parameter.type == branch.type == "string" and _FAMILY.search(parameter.fhirpath):
        return family
    return CONVERTERS.get((parameter.type, branch.type))
