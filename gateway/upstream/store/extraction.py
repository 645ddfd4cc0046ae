"""Index rows of a resource, by every search parameter of its type.

The expressions come from the search parameter table and are compiled once per type. They are kept by the JSON member
that they start from, so that a parameter costs nothing where the resource has no value for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from gateway.fhir import fhirpath
from gateway.specs import FhirTables, SearchParameter
from gateway.upstream.store.values import CONVERTERS, Convert, Row, bound_code

# these two are columns of the resource table
BUILT_IN = frozenset({"_id", "_lastUpdated"})

Rows = dict[str, set[Row]]
"""By table (the type of the parameter): (parameter, values...)."""


class _Step(NamedTuple):
    """One alternative of one parameter: from the values of a member to rows of a table."""

    table: str
    parameter: int
    function: Callable[[list[Any]], list[Any]]
    convert: Convert


@dataclass(frozen=True, slots=True)
class Extractor:
    """All parameters of one resource type, compiled.

    Shape: `steps` by member; those under None look at the whole resource.
    """

    steps: Mapping[str | None, tuple[_Step, ...]]

    def rows(self, resource: Mapping[str, Any]) -> Rows:
        """Index rows of a resource of the type."""
        found: Rows = {}
        for key, value in resource.items():
            if steps := self.steps.get(key):
                values = [v for v in value if v is not None] if type(value) is list else [value]
                _collect(found, steps, values)
        if whole := self.steps.get(None):
            _collect(found, whole, [resource])
        return found


def _collect(found: Rows, steps: Iterable[_Step], values: list[Any]) -> None:
    for table, parameter, function, convert in steps:
        for value in function(values):
            for row in convert(value):
                if table in found:
                    found[table].add((parameter, *row))
                else:
                    found[table] = {(parameter, *row)}


def compile_type(type_: str, parameters: Mapping[tuple[str, str], int], tables: FhirTables) -> Extractor:
    """The extractor of a resource type.

    Shape: `parameters` numbers every (type, code) that is indexed.
    """
    steps: dict[str | None, list[_Step]] = {}
    for (base, code), parameter in tables.search_parameters.items():
        if base == type_ and is_indexed(parameter):
            for branch in fhirpath.branches(parameter.fhirpath, type_, tables):
                convert = _converter(parameter.type, branch, tables)
                if convert is not None:
                    step = _Step(parameter.type, parameters[base, code], branch.function, convert)
                    steps.setdefault(branch.key, []).append(step)
    return Extractor({key: tuple(found) for key, found in steps.items()})


def is_indexed(parameter: SearchParameter) -> bool:
    """Whether a search parameter has rows of its own: one type of value, found by an expression."""
    return (
        bool(parameter.fhirpath) and parameter.type not in {"composite", "special"} and parameter.code not in BUILT_IN
    )


def is_searchable(parameter: SearchParameter) -> bool:
    """Whether the store can search by a parameter."""
    return parameter.code in BUILT_IN or is_indexed(parameter)


def _converter(parameter_type: str, branch: fhirpath.Branch, tables: FhirTables) -> Convert | None:
    codings = tables.codings.get(branch.value_set or "")
    if parameter_type == "token" and branch.type == "code" and codings is not None:
        return bound_code({code: system for system, code in codings})
    return CONVERTERS.get((parameter_type, branch.type))
