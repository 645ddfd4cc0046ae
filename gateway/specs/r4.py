"""FHIR R4 as the gateway works by it: the tables of `specs/fhir/` put together."""

from __future__ import annotations

import functools
import gc
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gateway.specs.auditing import Auditing, read_auditing
from gateway.specs.codes import read_codings
from gateway.specs.elements import ElementTable, TypeDefinition, read_types
from gateway.specs.invariants import Invariant, read_invariants
from gateway.specs.merging import MergeTable, read_merging
from gateway.specs.rows import ROOT, table
from gateway.specs.search import SearchParameter, read_search_parameters
from gateway.specs.settled import Identity, Systems, read_identities, read_systems


@dataclass(frozen=True, slots=True, eq=False)
class FhirTables:
    """The facts of FHIR R4 (4.0.1) that the gateway works by.

    Shape: `elements` by path; `types` by name; `search_parameters` by (type, code), with the inherited ones under every
    resource type; `codes` by value set URL; `codings` the same as (system, code); `formats` regular expression by
    primitive; `invariants` by key and element (an empty one: wherever the key stands); `compartment` the search
    parameters by which a type is in the Patient compartment; `merging`, `systems`, `identities` (by type, those of `*`
    last), `filled` (facts by path) and `auditing` (how the audit is told as AuditEvents) are our own.
    """

    elements: ElementTable
    types: Mapping[str, TypeDefinition]
    search_parameters: Mapping[tuple[str, str], SearchParameter]
    codes: Mapping[str, frozenset[str]]
    codings: Mapping[str, frozenset[tuple[str, str]]]
    formats: Mapping[str, str]
    invariants: Mapping[tuple[str, str], Invariant]
    compartment: Mapping[str, tuple[str, ...]]
    merging: MergeTable
    systems: Systems
    identities: Mapping[str, tuple[Identity, ...]]
    filled: Mapping[str, str]
    auditing: Auditing


@functools.cache
def fhir(root: Path = ROOT) -> FhirTables:
    """FHIR R4's tables from `root/fhir`, loaded once.

    Errors: SpecsError.
    """
    folder = root / "fhir"
    # Some 30,000 small objects that live for ever: the collector would walk them over and over while they are made.
    collecting = gc.isenabled()
    gc.disable()
    try:
        types = read_types(folder / "types.csv")
        codings = read_codings(folder / "codes.txt")
        elements = ElementTable(folder / "elements.txt", types)
        codes = {url: frozenset(code for _, code in pairs) for url, pairs in codings.items()}
        return FhirTables(
            elements=elements,
            types=types,
            search_parameters=read_search_parameters(folder, types),
            codes=codes,
            codings=codings,
            formats={t.name: t.format for t in types.values() if t.format},
            invariants=read_invariants(folder),
            compartment={
                row.values["type"]: tuple(row.values["parameters"].split())
                for row in table(folder / "compartment-patient.csv")
            },
            merging=read_merging(folder, types, elements),
            systems=read_systems(folder / "systems.csv"),
            identities=read_identities(folder / "identities.csv", types),
            filled={row.values["path"]: row.values["fact"] for row in table(folder / "filled.csv")},
            auditing=read_auditing(folder, codes),
        )
    finally:
        if collecting:
            gc.enable()
