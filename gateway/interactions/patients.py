"""Whose a resource is, by name: what the audit keeps, as keyed hashes, of whatever is shown, written or sent.

Source: https://hl7.org/fhir/R4/compartmentdefinition-patient.html
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from gateway.fhir import Elements, Resource, fhirpath
from gateway.specs import FhirTables

PATIENT = "Patient"
_OF_PATIENTS = ".where(resolve() is Patient)"
Values = Callable[[Resource], Iterable[Any]]


def number_name(number: str) -> str:
    """What a patient's number is called where it stands for the patient: no id of a resource looks so."""
    return f"{PATIENT}?identifier={number}"


class Patients:
    """Tells whose resources are. What it asks of the tables is asked once for each type."""

    def __init__(self, elements: Elements) -> None:
        """Take the tables."""
        self._elements = elements
        self._tables: FhirTables = elements.tables
        self._systems = frozenset(one.system for one in self._tables.identities.get(PATIENT, ()) if one.system)
        self._read: dict[str, tuple[Values, ...]] = {}

    def of(self, resource: Resource) -> tuple[str, ...]:
        """Names of the patients that a resource is about: `Patient/1`, or a number's name where no id is told."""
        kind = str(resource.get("resourceType"))
        if kind == PATIENT:
            return (f"{PATIENT}/{resource['id']}",) if "id" in resource else ()
        read = self._read.get(kind)
        if read is None:
            read = self._read[kind] = self._paths(kind)
        found: dict[str, None] = {}
        for values in read:
            for value in values(resource):
                name = self._name(value)
                if name is not None:
                    found[name] = None
        return tuple(found)

    def known(self, resource: Resource) -> tuple[tuple[str, str], ...]:
        """A Patient's name with those of its numbers, where its id is none of them."""
        if resource.get("resourceType") != PATIENT or not isinstance(resource.get("identifier"), list):
            return ()
        if "id" not in resource:
            return ()  # a Bundle may carry one that is nobody of the record
        name = f"{PATIENT}/{resource['id']}"
        told = (one for one in resource["identifier"] if isinstance(one, dict) and one.get("system") in self._systems)
        numbers = {str(one["value"]) for one in told if one.get("value")}
        return tuple((name, number_name(number)) for number in sorted(numbers) if f"{PATIENT}/{number}" != name)

    def _name(self, value: Any) -> str | None:
        if not isinstance(value, dict):
            return None
        reference = value.get("reference")
        if isinstance(reference, str):
            parts = reference.split("/")
            return f"{PATIENT}/{parts[1]}" if parts[0] == PATIENT and len(parts) in {2, 4} else None
        identifier = value.get("identifier")
        if isinstance(identifier, dict) and identifier.get("system") in self._systems and identifier.get("value"):
            return number_name(str(identifier["value"]))
        return None

    def _paths(self, kind: str) -> tuple[Values, ...]:
        if not self._elements.in_patient_compartment(kind):
            return ()
        found: dict[str, Values] = {}
        for name in self._elements.compartment_parameters(kind):
            expression = self._tables.search_parameters[kind, name].fhirpath
            for part in map(str.strip, expression.split("|")):
                path = part.removesuffix(_OF_PATIENTS)
                if part.startswith(f"{kind}."):
                    found[path] = self._values(kind, path)
        return tuple(found.values())

    def _values(self, kind: str, path: str) -> Values:
        """What stands at a path; the plain ones, which nearly all are, without an evaluation."""
        steps = path.split(".")[1:]
        if all(step.isalpha() for step in steps):
            return functools.partial(_walked, steps)
        compiled = fhirpath.compile(path, context=kind, tables=self._tables)
        return lambda resource: compiled(dict(resource))


def _walked(steps: Sequence[str], resource: Resource) -> list[Any]:
    found: list[Any] = [resource]
    for step in steps:
        below = [value[step] for value in found if isinstance(value, dict) and step in value]
        found = [one for value in below for one in (value if isinstance(value, list) else (value,))]
    return found


@functools.lru_cache(maxsize=4)
def patients_by(elements: Elements) -> Patients:
    """The one that tells by these tables."""
    return Patients(elements)
