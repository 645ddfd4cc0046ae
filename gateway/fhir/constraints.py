"""Invariants of R4 in FHIRPath, compiled for the element that they are stated of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gateway.fhir import fhirpath
from gateway.fhir.invariants import KEYS
from gateway.finding import Severity
from gateway.specs import FhirTables

_MOST_KEPT = 500


@dataclass(frozen=True, slots=True)
class Constraint:
    """One invariant. Shape: `holds` takes the element; text or number where it is a primitive."""

    key: str
    severity: Severity
    fhirpath: str
    holds: Callable[[Any], bool]


def constraints_of(tables: FhirTables, path: str, below: str) -> tuple[Constraint, ...]:
    """What is judged by FHIRPath of a type or an element, beyond what is judged by hand.

    Shape: `below` is the type, or the path, whose children its values have. One choice of several may have no such
    element as is asked of: it holds.
    """
    definition = tables.elements.get(path)
    if definition is None:
        return ()
    found = []
    for key in definition.invariants:
        stated = tables.invariants.get((key, path)) or tables.invariants.get((key, ""))
        if key in KEYS or stated is None or stated.reason:
            continue
        try:
            judged = fhirpath.invariant(stated.fhirpath, below, tables)
        except fhirpath.FhirPathError:
            if len(definition.types) > 1:
                continue
            raise
        severity: Severity = "warning" if stated.severity == "warning" else "error"
        read = fhirpath.members_read(stated.fhirpath, below, tables)
        found.append(Constraint(key, severity, stated.fhirpath, _holds(judged, read)))
    return tuple(found)


def _holds(judged: Callable[[Any], list[Any]], read: frozenset[str] | None) -> Callable[[Any], bool]:
    """Whether an invariant says true; where it says nothing it does not: `abstract = true` without abstract.

    Shape: `read` are the members of an element that decide, None where all do. What was said of the same simple values
    is kept: the items of a Questionnaire are much alike, and a hostile one has them by the hundred thousand.
    """
    if read is None:
        return lambda value: judged(value) == [True]
    kept: dict[Any, bool] = {}

    def holds(value: Any) -> bool:
        told = []
        for name in read:
            found = value.get(name)
            if found is not None:
                kind = type(found)
                if kind is dict or kind is list:
                    return judged(value) == [True]
                told.append((name, kind, found))
        key = tuple(told)
        known = kept.get(key)
        if known is None:
            known = judged(value) == [True]
            if len(kept) < _MOST_KEPT:
                kept[key] = known
        return known

    return holds
