"""FHIR paths and JSON members, resolved by the R4 element table."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from gateway.specs import ElementDefinition, FhirTables, TypeRef

_INLINE = frozenset({"Element", "BackboneElement"})


def means(element: str, name: str) -> bool:
    """Whether a JSON member is an element of that name; `deceased[x]` is each of its choices.

    Shape: `name` without the `_` of a primitive's extensions; `deceasedBoolean` is that one choice alone. Told by
    spelling, without tables: where a sibling is spelt like a choice (R4 has eleven, such as `amountType` beside
    `amount[x]` of SubstanceAmount), it counts as one.
    Source: https://hl7.org/fhir/R4/formats.html#choice
    """
    if not element.endswith("[x]"):
        return name == element
    stem = element.removesuffix("[x]")
    return name.startswith(stem) and name[len(stem) : len(stem) + 1].isupper()


@dataclass(frozen=True, slots=True)
class Member:
    """What a JSON member of an object means.

    Shape: `name` is the JSON name (`deceasedBoolean`), `definition` the element (`Patient.deceased[x]`), `type` the one
    type that the member has, `below` the path whose children its value has (a type, or a backbone element).
    Source: https://hl7.org/fhir/R4/json.html, https://hl7.org/fhir/R4/formats.html#choice
    """

    name: str
    definition: ElementDefinition
    type: TypeRef
    below: str


class Elements:
    """The element table with the walks that rules, maps, merge and validation need. Answers are kept."""

    def __init__(self, tables: FhirTables) -> None:
        """Wrap the tables; nothing is read until asked for."""
        self.tables = tables
        self._members: dict[str, Mapping[str, Member]] = {}

    def resolve(self, path: str) -> ElementDefinition | None:
        """The element that a path means, or None.

        Shape: `Patient.contact.name.family` gives `HumanName.family`; `Patient.deceasedBoolean` gives
        `Patient.deceased[x]` with that one type; `Patient.deceased[x]` gives the whole choice, whose children can't be
        named; a content reference is followed.
        """
        head, *names = path.split(".")
        if head not in self.tables.types:
            return None
        definition: ElementDefinition | None = self.tables.elements.get(head)
        below: str | None = head
        for name in names:
            if below is None:
                return None
            member = self.members(below).get(name)
            if member is not None:
                definition, below = _narrowed(member), member.below
            elif name.endswith("[x]"):
                definition, below = self.tables.elements.get(f"{below}.{name}"), None
            else:
                return None
        return definition

    def children(self, path: str) -> tuple[str, ...]:
        """Names that may stand below a path, choices both whole (`value[x]`) and by type (`valueString`)."""
        below = self._below(path)
        if below is None:
            return ()
        whole = [e.path.rpartition(".")[2] for e in self.tables.elements.children(below) if e.path.endswith("[x]")]
        return (*self.members(below), *whole)

    def members(self, below: str) -> Mapping[str, Member]:
        """JSON members of a type, or of the backbone element at that path.

        Shape: by JSON name, in the standard's order. The value of a primitive is no member.
        """
        found = self._members.get(below)
        if found is None:
            found = self._members[below] = MappingProxyType(self._read(below))
        return found

    def is_resource(self, name: str) -> bool:
        """Whether this is the name of a resource type that instances may have."""
        definition = self.tables.types.get(name)
        return definition is not None and definition.kind == "resource" and not definition.abstract

    def is_primitive(self, name: str) -> bool:
        """Whether this type is written as a JSON string, number or boolean."""
        definition = self.tables.types.get(name)
        return definition is not None and definition.kind == "primitive"

    def in_patient_compartment(self, name: str) -> bool:
        """Whether resources of this type may be in a Patient's compartment.

        Source: https://hl7.org/fhir/R4/compartmentdefinition-patient.html
        """
        return name in self.tables.compartment

    def compartment_parameters(self, name: str) -> tuple[str, ...]:
        """The search parameters by which a resource of this type is in a Patient's compartment."""
        return self.tables.compartment.get(name, ())

    def _below(self, path: str) -> str | None:
        """Path whose children stand below `path`."""
        head, *names = path.split(".")
        below = head if head in self.tables.types else None
        for name in names:
            member = self.members(below).get(name) if below is not None else None
            below = None if member is None else member.below
        return below

    def _read(self, below: str) -> dict[str, Member]:
        found: dict[str, Member] = {}
        primitive = self.is_primitive(below)
        for element in self.tables.elements.children(below):
            name = element.path.rpartition(".")[2]
            if element.content_reference is not None:
                target = self.tables.elements[element.content_reference]
                found[name] = Member(name, element, target.types[0], target.path)
            elif name.endswith("[x]"):
                for ref in element.types:
                    choice = name[:-3] + ref.code[0].upper() + ref.code[1:]
                    found[choice] = Member(choice, element, ref, ref.code)
            elif not (primitive and name == "value"):
                ref = element.types[0]
                found[name] = Member(name, element, ref, element.path if ref.code in _INLINE else ref.code)
        return found


def _narrowed(member: Member) -> ElementDefinition:
    if len(member.definition.types) <= 1:
        return member.definition
    return dataclasses.replace(member.definition, types=(member.type,))
