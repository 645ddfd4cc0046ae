"""Loads `specs/` into frozen dataclasses that remember the file and line they came from.

`rows` reads lines and CSV tables, `r4` puts the tables of `specs/fhir/` together: `elements`, `search` and `codes` are
FHIR's, `merging`, `settled` and `auditing` our own; `profiles` reads sets of profiles such as UK Core; `addresses` has
the URLs that short names stand for. Other tables are read with `table` by who needs them.
"""

from gateway.specs.addresses import FHIR, SEARCH_PARAMETERS, VALUE_SETS, absolute
from gateway.specs.auditing import AuditAction, Auditing, Coding
from gateway.specs.elements import ElementDefinition, ElementTable, TypeDefinition, TypeRef
from gateway.specs.invariants import Invariant
from gateway.specs.merging import ListMerge, MergeTable
from gateway.specs.profiles import (
    Asked,
    Asks,
    ExtensionDefinition,
    Profile,
    ProfileSet,
    profile_sets,
    profiles,
)
from gateway.specs.r4 import FhirTables, fhir
from gateway.specs.rows import ROOT, Origin, Row, SpecsError, lines_of, table
from gateway.specs.search import Component, SearchParameter
from gateway.specs.settled import Identity, Systems

__all__ = [
    "FHIR",
    "ROOT",
    "SEARCH_PARAMETERS",
    "VALUE_SETS",
    "Asked",
    "Asks",
    "AuditAction",
    "Auditing",
    "Coding",
    "Component",
    "ElementDefinition",
    "ElementTable",
    "ExtensionDefinition",
    "FhirTables",
    "Identity",
    "Invariant",
    "ListMerge",
    "MergeTable",
    "Origin",
    "Profile",
    "ProfileSet",
    "Row",
    "SearchParameter",
    "SpecsError",
    "Systems",
    "TypeDefinition",
    "TypeRef",
    "absolute",
    "fhir",
    "lines_of",
    "profile_sets",
    "profiles",
    "table",
]
