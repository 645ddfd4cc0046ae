"""Validation of a resource against the R4 element table.

Found here: members that the type doesn't have, cardinality, JSON types, formats of primitives, required codes, empty
objects and lists, several values of one choice, types of reference targets, and invariants (`invariants.py` by hand,
the others in FHIRPath). The table is compiled to closures, type by type as they are first met (`checks.py`).
Source: https://hl7.org/fhir/R4/validation.html, https://hl7.org/fhir/R4/json.html
"""

from __future__ import annotations

import functools
import sys

from gateway.fhir.checks import Checks, Run
from gateway.fhir.cleaning import clean
from gateway.fhir.elements import Elements
from gateway.fhir.faults import Faults
from gateway.fhir.jsonformat import Resource
from gateway.finding import Finding

MOST_FINDINGS = 1000
"""So many are looked for in what somebody sent: more are told of nothing, and a hostile body has them by thousands."""


def validate(
    resource: Resource, elements: Elements, most: int | None = None, *, advice: bool = False
) -> tuple[Finding, ...]:
    """Everything that is wrong with a resource, in the order of its members; empty where nothing is.

    Shape: `most` ends the search after so many findings; `advice` adds the invariants that the standard has as
    warnings; each finding's `expression` is a FHIRPath-like place with indices from 0 (`Patient.name[0].family`), its
    `rule` one of the FHIR- codes or an invariant's key.
    """
    limit = sys.maxsize if most is None else most
    run = Run(limit, advice, resource)
    return findings(_checks(elements).resource(resource, run), _named(resource, elements))[:limit]


def findings(faults: Faults, root: str) -> tuple[Finding, ...]:
    """Faults of a whole as findings with their places."""
    return tuple(
        Finding(severity, code, clean(words), root + place, rule) for place, severity, code, rule, words in faults
    )


def _named(resource: object, elements: Elements) -> str:
    name = resource.get("resourceType") if isinstance(resource, dict) else None
    return name if isinstance(name, str) and elements.is_resource(name) else "Resource"


@functools.cache
def _checks(elements: Elements) -> Checks:
    return Checks(elements)
