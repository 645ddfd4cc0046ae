"""What rules read beside the resource that is judged: its patients, and what it is linked with.

Rules look nothing up. They say what they want, whoever asks them fetches it, and what was not found makes the rule
that reads it err.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from gateway.fhir import fhirpath
from gateway.fhir.elements import Elements
from gateway.fhir.ids import is_id
from gateway.specs import FhirTables

Resource = Mapping[str, Any]

PATIENT = "Patient"


class Reading(NamedTuple):
    """One resource, by type and id."""

    type: str
    id: str


class Referring(NamedTuple):
    """All resources of a type that refer to one by a search parameter. Shape: `to` is `Patient/123`."""

    type: str
    parameter: str
    to: str


Want = Reading | Referring
Around = Mapping[Want, tuple[Resource, ...] | None]
"""What was found of what rules want; None, as what is not there at all, could not be found.

Of what refers to a resource it need not be all: one that each rule looks for is enough, where there is one (`Seeking`).
"""


@dataclass(frozen=True, slots=True)
class Seeking:
    """What a rule looks for among all that refers to a resource: one that its condition holds of is enough.

    Shape: `name` tells apart what is looked for of the same `want`; `narrow` are search parameters that what fits has,
    with their values, none of them where nothing can fit; `fits` is the condition, which is asked once what rules read
    of the row's patients was found. Errors of `fits`: one of `ERRORS`, and then the rule errs.
    """

    want: Referring
    name: str
    narrow: tuple[tuple[str, tuple[str, ...]], ...]
    fits: Callable[[Resource], bool]


NOTHING: Around = {}

_TYPED = re.compile(r"(?:^|/)([A-Z][A-Za-z]+)/[A-Za-z0-9.-]{1,64}(?:/_history/[^/]+)?$")

Subjects = Callable[[Resource], tuple[Reading | None, ...]]
"""The patients that a resource of one type is about; None stands for one that can't be told."""


def subjects(resource_type: str, elements: Elements, tables: FhirTables) -> Subjects | None:
    """What tells the patients of a type's resources; None for a type outside the Patient compartment.

    Source: https://hl7.org/fhir/R4/compartmentdefinition-patient.html
    """
    if resource_type == PATIENT:
        return _itself
    if not elements.in_patient_compartment(resource_type):
        return None
    references = functools.cache(lambda: _references(resource_type, elements, tables))  # a start need not wait for it
    numbers = _numbers(tables)

    def found(resource: Resource) -> tuple[Reading | None, ...]:
        named: dict[Reading | None, None] = {}
        for one, of_patients in references():
            for value in one(dict(resource)):
                if _patient(value, resource, numbers, of_patients=of_patients):
                    named[_named(value)] = None
        # of a resource that names nobody it is not known that it is nobody's
        return tuple(named) or (None,)

    return found


def _references(
    resource_type: str, elements: Elements, tables: FhirTables
) -> tuple[tuple[Callable[[dict[str, Any]], Sequence[Any]], bool], ...]:
    """What reads the references of a type that may be to patients, each with whether it is there to name them."""
    return tuple(
        (
            fhirpath.compile(path, context=resource_type, tables=tables),
            path.endswith(_SUBJECTS)
            or (_OF_PATIENTS not in parameter.fhirpath and _PATIENTS.issuperset(parameter.targets)),
        )
        for name in elements.compartment_parameters(resource_type)
        for parameter in (tables.search_parameters[resource_type, name],)
        for path in _paths(parameter.fhirpath, resource_type)
    )


_OF_PATIENTS = ".where(resolve() is Patient)"
_SUBJECTS = (".subject", ".patient")
_PATIENTS = frozenset({PATIENT, "Group"})


def _paths(expression: str, resource_type: str) -> list[str]:
    """The parts of a parameter's expression that read one type.

    Shape: they read every reference, those too of which nothing tells whether they are of a patient.
    """
    own = (part for part in map(str.strip, expression.split("|")) if part.startswith(f"{resource_type}."))
    return [part.removesuffix(_OF_PATIENTS) for part in own]


def _itself(resource: Resource) -> tuple[Reading | None, ...]:
    return (Reading(PATIENT, str(resource.get("id"))),)


def _patient(value: Any, resource: Resource, numbers: frozenset[str], *, of_patients: bool) -> bool:
    """Whether a reference may be one to a patient.

    Shape: `of_patients` says that the element is there to name patients; in others, what tells no type is one to a
    patient where it has a patient's number.
    """
    if not isinstance(value, dict):
        return of_patients
    kind = kind_of(value, resource)
    if kind is not None:
        return kind == PATIENT
    return of_patients or _numbered(value, numbers) or "reference" in value


def is_patients(value: Mapping[str, Any], tables: FhirTables) -> bool:
    """Whether a reference has a number by which patients are known here, whatever element it stands in."""
    return _numbered(value, _numbers(tables))


def _numbered(value: Mapping[str, Any], numbers: frozenset[str]) -> bool:
    identifier = value.get("identifier")
    return isinstance(identifier, dict) and identifier.get("system") in numbers


def _numbers(tables: FhirTables) -> frozenset[str]:
    return frozenset(one.system for one in tables.identities.get(PATIENT, ()) if one.system)


def kind_of(value: Mapping[str, Any], resource: Resource) -> str | None:
    """The type of what a reference names; None where nothing tells it.

    Source: https://hl7.org/fhir/R4/references.html#Reference
    """
    reference, kind = value.get("reference"), value.get("type")
    if isinstance(reference, str):
        if reference.startswith("#"):
            within = (one for one in resource.get("contained", ()) if one.get("id") == reference[1:])
            return next((str(one.get("resourceType")) for one in within), None)
        typed = _TYPED.search(reference)
        if typed is not None:
            return typed[1]
    return kind.rpartition("/")[2] if isinstance(kind, str) else None


def _named(value: Mapping[str, Any]) -> Reading | None:
    """The patient that a reference names; None for one that is not known by a type and an id here."""
    return reading(value.get("reference"), (PATIENT,))


def reading(reference: object, types: Iterable[str]) -> Reading | None:
    """The resource that a relative reference names, if it is of one of these types.

    Shape: what can't be an id, as `$everything`, names none: it might be read as another address.
    """
    parts = reference.split("/") if isinstance(reference, str) else []
    if len(parts) not in {2, 4} or parts[0] not in set(types) or not is_id(parts[1]):
        return None
    return Reading(parts[0], parts[1])
