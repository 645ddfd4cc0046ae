"""The types of FHIR paths: of the resource that is read, of its patient, and of what loops stand for.

Source: the R4 element table.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.fhir.elements import Elements
from gateway.language import messages
from gateway.language.kinds import Kind, Type
from gateway.language.nodes import Element, Item, Word
from gateway.language.types import FHIR_PATH, BoundItem, Scope
from gateway.source import Diagnostic, nearest
from gateway.specs import ElementDefinition, FhirTables

PATIENT: Final = "patient"
"""The fact that is the subject of a resource, and the root of paths into it."""

QUANTITIES = frozenset({"Quantity", "Age", "Count", "Distance", "Duration"})
"""Types that are a number with its unit. Source: https://hl7.org/fhir/R4/datatypes.html#quantity"""

CODED = frozenset({"CodeableConcept", "Coding"})
"""Types that hold codings."""

# FHIR primitive types, by what they compare as; those not here are texts
FHIR_KINDS: Mapping[str, Kind] = {
    "boolean": "boolean",
    "integer": "number",
    "positiveInt": "number",
    "unsignedInt": "number",
    "decimal": "number",
    "date": "date",
    "dateTime": "instant",
    "instant": "instant",
}


def element_of(word: Word, scope: Scope) -> Element | Diagnostic:
    """The FHIR path that a word names, typed by the R4 element table.

    Errors: a Diagnostic for a type that isn't read here, an unknown element, or one that the types don't share.
    """
    match = FHIR_PATH.fullmatch(word.text)
    elements, tables = scope.elements, scope.tables
    if match is None or elements is None or tables is None:
        return messages.UNKNOWN_WORD.at(word.span, word=word.text)
    root, steps = match[1], tuple(match[2][1:].split("."))
    if root == PATIENT:
        return _of_patient(word, steps, elements, tables)
    if root != "resource" and not elements.is_resource(root):
        near = nearest(root, (name for name in tables.types if elements.is_resource(name)))
        hint = f"did you mean `{near}{match[2]}`?" if near else None
        return messages.UNKNOWN_ELEMENT.at(word.span, hint, word=word.text)
    types = scope.resources if root == "resource" else frozenset({root})
    if not types or (root != "resource" and scope.resources != types):
        readable = ", ".join(sorted(scope.resources))
        hint = f"this statement reads {readable}" if readable else "this statement reads no resource"
        return messages.NOT_READABLE.at(word.span, hint, word=word.text)
    found: set[Type] = set()
    for name in sorted(types):
        typed = _element_type(word, name, steps, elements, tables)
        if isinstance(typed, Diagnostic):
            return typed
        found.add(typed)
    if len(found) > 1:
        return messages.NOT_READABLE.at(
            word.span, "the types of this statement have different elements of this name", word=word.text
        )
    return Element(None if root == "resource" else root, steps, found.pop(), word.span, tables.systems.ods)


def _of_patient(word: Word, steps: tuple[str, ...], elements: Elements, tables: FhirTables) -> Element | Diagnostic:
    typed = _element_type(word, "Patient", steps, elements, tables)
    if isinstance(typed, Diagnostic):
        return typed
    return Element("Patient", steps, typed, word.span, tables.systems.ods, PATIENT)


def item_of(word: Word, scope: Scope) -> Item | Diagnostic | None:
    """What a word names of a variable of `any` or `every`; None if it begins with none.

    Errors: a Diagnostic for an element that what it stands for lacks.
    """
    variable, _, below = word.text.partition(".")
    bound, elements, tables = scope.bound.get(variable), scope.elements, scope.tables
    if not isinstance(bound, BoundItem):
        return None
    system = "" if tables is None else tables.systems.ods
    if not below:
        return Item(variable, (), bound.type, word.span, system)
    if elements is None or tables is None or not bound.paths:
        return messages.UNKNOWN_ELEMENT.at(word.span, f"`{variable}` is one value", word=word.text)
    steps = tuple(below.split("."))
    found: set[Type] = set()
    for path in bound.paths:
        typed = _element_type(word, path, steps, elements, tables)
        if isinstance(typed, Diagnostic):
            return typed
        found.add(typed)
    if len(found) > 1:
        return messages.NOT_READABLE.at(
            word.span, "the types of this statement have different elements of this name", word=word.text
        )
    return Item(variable, steps, found.pop(), word.span, system)


def paths_of(leaf: Element | Item, scope: Scope) -> tuple[str, ...]:
    """The element paths that a leaf stands for, one for each type that is read."""
    if isinstance(leaf, Item):
        bound = scope.bound[leaf.variable]
        roots = bound.paths if isinstance(bound, BoundItem) else ()
    else:
        roots = (leaf.resource,) if leaf.resource is not None else tuple(sorted(scope.resources))
    return tuple(".".join((root, *leaf.steps)) for root in roots)


def _element_type(
    word: Word, resource: str, steps: tuple[str, ...], elements: Elements, tables: FhirTables
) -> Type | Diagnostic:
    path = resource
    many = False
    definition: ElementDefinition | None = None
    for number, step in enumerate(steps):
        definition = elements.resolve(f"{path}.{step}")
        if definition is None:
            near = nearest(step, elements.children(path))
            at, *rest = word.text.rsplit(".", len(steps) - number)
            hint = f"did you mean `{'.'.join((at, near, *rest[1:]))}`?" if near else None
            return messages.UNKNOWN_ELEMENT.at(word.span, hint, word=word.text)
        many = many or definition.max is None or definition.max > 1
        path = f"{path}.{step}"
    codes = [] if definition is None else [t.code for t in definition.types]
    targets = () if definition is None else definition.types[0].targets if definition.types else ()
    if len(codes) != 1:
        return Type("complex", many=many, optional=True, composite=True)
    if codes[0] == "Reference":
        organisation = "Organization" in targets
        return Type("organisation" if organisation else "complex", many=many, optional=True, composite=not organisation)
    if codes[0] in QUANTITIES:
        return Type("quantity", many=many, optional=True)
    if codes[0] in CODED:
        return Type("complex", many=many, optional=True, composite=True, coded=True)
    primitive = codes[0] in tables.types and tables.types[codes[0]].kind == "primitive"
    if not primitive and not codes[0].startswith("http"):  # ids and urls have a FHIRPath type by URL
        return Type("complex", many=many, optional=True, composite=True)
    closed = tables.codes.get(definition.value_set or "") if definition is not None and definition.binding else None
    closed = closed if codes[0] == "code" else None
    return Type(FHIR_KINDS.get(codes[0], "text"), many=many, optional=True, codes=closed)
