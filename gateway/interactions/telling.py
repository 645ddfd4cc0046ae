"""What references say of their targets, told to who may read these: `Reference.display` and `Reference.identifier`.

Source: `facade.md` of the design, "Narrow, then check again".
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from gateway import fhir
from gateway.interactions.call import Call, Resource, Right, in_scope, readable
from gateway.interactions.scopes import bounds
from gateway.rules.around import Reading, is_patients, kind_of, reading

HARMLESS = frozenset({"ContactPoint", "Attachment", "Reference", "BackboneElement", "Annotation"})
"""Types of elements that no display is made of: of a target of which nothing else is hidden, a reference may tell."""


def may_tell(call: Call, resource: Resource, one: fhir.Telling) -> bool:
    """Whether the caller may be told what a reference says of its target: it has to be one that it may read.

    Shape: the type settles most; where the rules judge it resource by resource, the target is in `call.around`, or it
    was not found. A reference that names no target is a text of its own, except where it says whose record this is.
    """
    reference = one.value.get("reference")
    if isinstance(reference, str) and reference.startswith("#"):
        inside = (held.get("id") for held in resource.get("contained", ()))
        return reference == "#" or reference[1:] in inside
    kind = kind_of(one.value, resource)
    if kind is None:
        patients = _of_patients(call, one.path) or is_patients(one.value, call.gateway.tables)
        return reference is None and (not patients or _all_told(call, "Patient"))
    right = readable(call, kind)
    if right is None:
        return False
    return _all_told(call, kind) or _target_told(call, right, reading(reference, (kind,)))


def untold(call: Call, resource: Resource) -> bool:
    """Whether some reference of a resource says of its target what the caller may not read."""
    return not all(may_tell(call, resource, one) for one in fhir.telling(resource, call.gateway.elements))


def to_look_up(call: Call, resources: Sequence[Resource]) -> dict[str, list[Reading]]:
    """Targets, by type, that have to be read before it can be said whether references may tell of them."""
    names: dict[Reading, None] = {}
    call.silent.clear()
    for resource in resources:
        told = fhir.telling(resource, call.gateway.elements)
        if not told:
            call.silent[id(resource)] = resource
        for one in told:
            kind = kind_of(one.value, resource)
            name = None if kind is None else reading(one.value.get("reference"), (kind,))
            if name is not None and readable(call, name.type) is not None and not _all_told(call, name.type):
                names[name] = None
    found: dict[str, list[Reading]] = {}
    for name in names:
        found.setdefault(name.type, []).append(name)
    return found


def _of_patients(call: Call, path: str) -> bool:
    """Whether an element says whose record a resource is, or may.

    Source: https://hl7.org/fhir/R4/compartmentdefinition-patient.html
    """
    kind, elements, table = path.partition(".")[0], call.gateway.elements, call.gateway.tables.search_parameters
    found = (table[kind, name].fhirpath.split("|") for name in elements.compartment_parameters(kind))
    paths = {part.strip().partition(".where(")[0] for parts in found for part in parts}
    return path in paths or path.startswith("Extension.")


def _all_told(call: Call, kind: str) -> bool:
    """Whether the caller may be told of all resources of a type."""
    right = readable(call, kind)
    if right is None or bounds(call.asking.scopes, "read", kind) is not None:
        return False
    hide = call.gateway.rules.alike(right.facts, right.decision)
    return hide is not None and _harmless(call, hide)


def _target_told(call: Call, right: Right, name: Reading | None) -> bool:
    """Whether the caller may be told of one resource."""
    found = None if name is None else call.around.get(name)
    if not found:
        return False
    release = call.gateway.rules.release(right.facts, right.decision, found[0], call.around)
    return release.released and in_scope(call, "read", dict(found[0])) and _harmless(call, release.hide)


def _harmless(call: Call, hide: Collection[str]) -> bool:
    found = (call.gateway.elements.resolve(path) for path in hide)
    return all(one is not None and all(ref.code in HARMLESS for ref in one.types) for one in found)
