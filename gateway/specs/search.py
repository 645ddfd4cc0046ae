"""FHIR's search parameters: `search-parameters.csv`, and what `search-types.csv` says of their types."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from gateway.specs.addresses import SEARCH_PARAMETERS
from gateway.specs.elements import TypeDefinition
from gateway.specs.rows import Origin, SpecsError, table


@dataclass(frozen=True, slots=True)
class Component:
    """One part of a composite search parameter: the URL of the parameter and the path to its value."""

    url: str
    fhirpath: str


@dataclass(frozen=True, slots=True)
class SearchParameter:
    """One search parameter.

    Shape: `type` is FHIR's (token, string, date, ...); `comparators` and `modifiers` are those of its type, and the
    modifier `[type]` stands for any target type's name.
    Source: https://hl7.org/fhir/R4/searchparameter-registry.html
    """

    code: str
    bases: tuple[str, ...]
    type: str
    targets: tuple[str, ...]
    fhirpath: str
    comparators: tuple[str, ...]
    modifiers: tuple[str, ...]
    components: tuple[Component, ...]
    url: str
    origin: Origin


def read_search_parameters(folder: Path, types: Mapping[str, TypeDefinition]) -> dict[tuple[str, str], SearchParameter]:
    """Search parameters by (type, code), the inherited ones under every resource type.

    Errors: SpecsError.
    """
    offers = {
        row.values["type"]: (tuple(row.values["comparators"].split()), tuple(row.values["modifiers"].split()))
        for row in table(folder / "search-types.csv")
    }
    lists: Callable[[str], tuple[str, ...]] = functools.cache(lambda text: tuple(text.split()))
    found: dict[tuple[str, str], SearchParameter] = {}
    for row in table(folder / "search-parameters.csv"):
        cell = row.values
        if cell["type"] not in offers:
            raise SpecsError(row.origin, f"unknown parameter type `{cell['type']}`: search-types.csv lists them")
        comparators, modifiers = offers[cell["type"]]
        parameter = SearchParameter(
            code=cell["code"],
            bases=lists(cell["bases"]),
            type=cell["type"],
            targets=lists(cell["targets"]),
            fhirpath=cell["fhirpath"],
            comparators=comparators,
            modifiers=modifiers,
            components=_components(cell["components"]),
            url=SEARCH_PARAMETERS + cell["url"],
            origin=row.origin,
        )
        for base in parameter.bases:
            found[base, parameter.code] = parameter
    return _inherited(found, types)


def _inherited(
    own: dict[tuple[str, str], SearchParameter], types: Mapping[str, TypeDefinition]
) -> dict[tuple[str, str], SearchParameter]:
    general: dict[str, list[SearchParameter]] = {}
    for (base, _), parameter in own.items():
        if base in {"Resource", "DomainResource"}:
            general.setdefault(base, []).append(parameter)
    found = dict(own)
    for definition in types.values():
        base = definition.base if definition.kind == "resource" else ""
        while base:
            for parameter in general.get(base, ()):
                found.setdefault((definition.name, parameter.code), parameter)
            base = types[base].base
    return found


def _components(text: str) -> tuple[Component, ...]:
    if not text:
        return ()
    pairs = (part.split(": ", 1) for part in text.split("; "))
    return tuple(Component(SEARCH_PARAMETERS + name, fhirpath) for name, fhirpath in pairs)
