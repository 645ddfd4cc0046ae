"""The least that R4 takes as a resource, a datatype or a backbone element, made from the element table."""

from __future__ import annotations

import copy
from typing import Any

from gateway import fhir
from gateway.fhir.elements import Member

PRIMITIVES: dict[str, Any] = {
    "boolean": True, "integer": 1, "positiveInt": 1, "unsignedInt": 1, "decimal": 1, "date": "2026-01-01",
    "dateTime": "2026-01-01", "instant": "2026-01-01T10:00:00Z", "time": "10:00:00", "base64Binary": "QUJD",
    "uri": "urn:x", "url": "http://x.example", "canonical": "urn:x", "oid": "urn:oid:1.2", "code": "x", "id": "x",
    "uuid": "urn:uuid:c757873d-ec9a-4326-a141-556f43239520", "string": "x", "markdown": "x",
    "xhtml": '<div xmlns="http://www.w3.org/1999/xhtml">x</div>',
}  # fmt: skip
# what invariants ask for beyond the elements that have to be there
BEYOND: dict[str, dict[str, Any]] = {
    "Age": {"value": 1, "code": "a", "system": "http://unitsofmeasure.org"},
    "AllergyIntolerance": {
        "clinicalStatus": {
            "coding": [
                {"system": "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical", "code": "active"}
            ]
        }
    },
    "Annotation": {"text": "x"},
    "Appointment": {"status": "proposed"},
    "Appointment.participant": {"type": [{"text": "x"}]},
    "Attachment": {"title": "x"},
    "CodeableConcept": {"text": "x"},
    "Coding": {"display": "x"},
    "Composition.section": {"entry": [{"display": "x"}]},
    "Consent": {"policyRule": {"text": "x"}},
    "Extension": {"valueString": "x"},
    "Identifier": {"value": "x"},
    "Organization": {"name": "x"},
    "Patient.contact": {"name": {"text": "x"}},
    "Period": {"start": "2026-01-01"},
    "Quantity": {"value": 1},
    "Reference": {"display": "x"},
    "RequestGroup.action": {"resource": {"display": "x"}},
}


class Minimal:
    """Makes them by one element table."""

    def __init__(self, elements: fhir.Elements) -> None:
        """Wrap the table."""
        self.elements = elements

    def resource(self, name: str) -> dict[str, Any]:
        """The least of a resource type."""
        return {"resourceType": name, **self.object(name)}

    def object(self, below: str) -> dict[str, Any]:
        """The least of a datatype or a backbone element."""
        made: dict[str, Any] = copy.deepcopy(BEYOND.get(below, {}))
        filled: set[str] = set()
        for name, member in self.elements.members(below).items():
            definition = member.definition
            if definition.min and name not in made and definition.path not in filled:
                filled.add(definition.path)
                made[name] = self.value(member)
        return made

    def value(self, member: Member) -> Any:
        """The least of a member: a list where it repeats."""
        one = self.one(member)
        return [one] if member.definition.max is None or member.definition.max > 1 else one

    def one(self, member: Member) -> Any:
        """One value of a member."""
        tables, value_set = self.elements.tables, member.definition.value_set or ""
        code = member.type.code
        if code == "CodeableConcept" and value_set in tables.codings:
            system, bound = min(tables.codings[value_set])
            return {"coding": [{"system": system, "code": bound}]}
        if code == "Coding" and value_set in tables.codings:
            system, bound = min(tables.codings[value_set])
            return {"system": system, "code": bound}
        if code in PRIMITIVES:
            return min(tables.codes[value_set]) if value_set in tables.codes else PRIMITIVES[code]
        if code == "Resource":
            return self.resource("Basic")
        return self.object(member.below)
