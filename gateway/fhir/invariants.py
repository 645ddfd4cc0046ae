"""Invariants of R4 that are judged by hand: the common ones, for speed, and those that FHIRPath's subset can't ask.

All others are judged in FHIRPath (`constraints.py`); a test holds those here to the standard's FHIRPath too. Each is
asked of JSON that may be wrong in other ways, so it holds wherever it can't be judged.
Source: https://hl7.org/fhir/R4/ and the type's name in lower case, its list of constraints, by key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from gateway.fhir.jsonformat import canonical
from gateway.fhir.moments import compared
from gateway.fhir.narrative import forbidden, tells

Broken = tuple[str, str, str]
"""Key, place below the object (empty: the object itself), and words."""

_REQUESTING = frozenset({"batch", "transaction", "history"})
_ANSWERING = frozenset({"batch-response", "transaction-response", "history"})
_ENDED = frozenset({"inactive", "resolved", "remission"})
_ERROR = "entered-in-error"


def of(below: str) -> tuple[Check, ...]:
    """The checks of an object. Shape: `below` is its type, or the path of its backbone element."""
    return _CHECKS.get(below, ())


def of_resource(value: Mapping[str, Any]) -> Iterator[Broken]:
    """The invariants of all resources that one breaks."""
    for i, contained in enumerate(_objects(value.get("contained"))):
        meta = _object(contained.get("meta"))
        if "contained" in contained:
            yield "dom-2", f"contained[{i}].contained", "a contained resource contains no other"
        if "versionId" in meta or "lastUpdated" in meta:
            yield "dom-4", f"contained[{i}].meta", "a contained resource has no version of its own"
        if "security" in meta:
            yield "dom-5", f"contained[{i}].meta.security", "a contained resource has no security label of its own"
    told = frozenset(_fragments(value))
    for i, contained in enumerate(_objects(value.get("contained"))):
        if f"#{contained.get('id')}" not in told and "#" not in frozenset(_fragments(contained)):
            yield "dom-3", f"contained[{i}]", "a contained resource is referred to, or refers to what contains it"


def _fragments(value: Any) -> Iterator[str]:
    """Every text that begins with #, as references to contained resources do."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            waiting.extend(one.values())
        elif isinstance(one, list):
            waiting.extend(one)
        elif isinstance(one, str) and one.startswith("#"):
            yield one


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _objects(value: Any) -> list[Mapping[str, Any]]:
    return [_object(each) for each in value] if isinstance(value, list) else []


def _codes(value: Any) -> frozenset[str]:
    """Codes of a CodeableConcept."""
    return frozenset(str(coding.get("code")) for coding in _objects(_object(value).get("coding")))


def _any(value: Mapping[str, Any], *stems: str) -> bool:
    """Whether any of the elements stands, each of its choices counted."""
    return any(name.lstrip("_").startswith(stems) for name in value)


# --- Bundle --------------------------------------------------------------------------------------------------------


def _bundle(value: Mapping[str, Any]) -> Iterator[Broken]:
    kind, entries = str(value.get("type")), _objects(value.get("entry"))
    if "total" in value and kind not in {"searchset", "history"}:
        yield "bdl-1", "total", "only a searchset or a history has a total"
    yield from _bundle_entries(kind, entries)
    if kind == "document":
        identifier = _object(value.get("identifier"))
        if "system" not in identifier or "value" not in identifier:
            yield "bdl-9", "identifier", "a document has an identifier with system and value"
        if "timestamp" not in value:
            yield "bdl-10", "timestamp", "a document has a timestamp"
    first = _object(entries[0].get("resource")).get("resourceType") if entries else None
    for wanted, of, key in (("Composition", "document", "bdl-11"), ("MessageHeader", "message", "bdl-12")):
        if kind == of and first != wanted:
            yield key, "entry", f"the first resource of a {of} is a {wanted}"


def _bundle_entries(kind: str, entries: list[Mapping[str, Any]]) -> Iterator[Broken]:
    seen: set[tuple[str, str]] = set()
    for i, entry in enumerate(entries):
        at = f"entry[{i}]"
        if "search" in entry and kind != "searchset":
            yield "bdl-2", f"{at}.search", "only entries of a searchset say how they were found"
        if ("request" in entry) != (kind in _REQUESTING):
            words = "has one in each entry" if kind in _REQUESTING else "has none"
            yield "bdl-3", f"{at}.request", f"entry.request: a {kind} {words}"
        if ("response" in entry) != (kind in _ANSWERING):
            words = "has one in each entry" if kind in _ANSWERING else "has none"
            yield "bdl-4", f"{at}.response", f"entry.response: a {kind} {words}"
        full_url = entry.get("fullUrl")
        if not isinstance(full_url, str):
            continue
        if "/_history/" in full_url:
            yield "bdl-8", f"{at}.fullUrl", "a fullUrl names no version"
        version = str(_object(_object(entry.get("resource")).get("meta")).get("versionId", ""))
        if kind != "history" and (full_url, version) in seen:
            yield "bdl-7", f"{at}.fullUrl", "an entry before this one has the same fullUrl"
        seen.add((full_url, version))


def _entry(value: Mapping[str, Any]) -> Iterator[Broken]:
    if not _any(value, "resource", "request", "response"):
        yield "bdl-5", "", "an entry has a resource, a request or a response"


# --- datatypes -----------------------------------------------------------------------------------------------------


def _extension(value: Mapping[str, Any]) -> Iterator[Broken]:
    if ("extension" in value) == _any(value, "value"):
        yield "ext-1", "", "an extension has either a value or extensions of its own"


def _period(value: Mapping[str, Any]) -> Iterator[Broken]:
    start, end = value.get("start"), value.get("end")
    if isinstance(start, str) and isinstance(end, str) and compared(start, end) == 1:
        yield "per-1", "", "a period ends when it starts, or later"


def _quantity(value: Mapping[str, Any]) -> Iterator[Broken]:
    if "code" in value and not _any(value, "system"):
        yield "qty-3", "", "a code of a unit has a system"


def _contact_point(value: Mapping[str, Any]) -> Iterator[Broken]:
    if "value" in value and not _any(value, "system"):
        yield "cpt-2", "", "a contact point with a value has a system"


def _attachment(value: Mapping[str, Any]) -> Iterator[Broken]:
    if "data" in value and not _any(value, "contentType"):
        yield "att-1", "", "data has a contentType"


# --- resources -----------------------------------------------------------------------------------------------------


def _patient_contact(value: Mapping[str, Any]) -> Iterator[Broken]:
    if not _any(value, "name", "telecom", "address", "organization"):
        yield "pat-1", "", "a contact has a name, a way to reach it, or an organisation"


def _organization(value: Mapping[str, Any]) -> Iterator[Broken]:
    if not _any(value, "identifier", "name"):
        yield "org-1", "", "an organisation has an identifier or a name"


def _observation(value: Mapping[str, Any]) -> Iterator[Broken]:
    if "dataAbsentReason" in value and _any(value, "value"):
        yield "obs-6", "dataAbsentReason", "a reason for the lack of a value stands beside a value"
    if _any(value, "value"):
        own = {canonical(dict(one)) for one in _objects(_object(value.get("code")).get("coding"))}
        for i, component in enumerate(_objects(value.get("component"))):
            if any(canonical(dict(one)) in own for one in _objects(_object(component.get("code")).get("coding"))):
                yield "obs-7", f"component[{i}].code", "the Observation has a value, so no component has its code"


def _condition(value: Mapping[str, Any]) -> Iterator[Broken]:
    clinical = _codes(value.get("clinicalStatus"))
    if _any(value, "abatement") and clinical and not clinical & _ENDED:
        yield "con-4", "clinicalStatus", "what has abated is inactive, resolved or in remission"
    if "clinicalStatus" in value and _ERROR in _codes(value.get("verificationStatus")):
        yield "con-5", "clinicalStatus", "what was entered in error has no clinical status"


def _allergy(value: Mapping[str, Any]) -> Iterator[Broken]:
    in_error = _ERROR in _codes(value.get("verificationStatus"))
    if not in_error and "clinicalStatus" not in value:
        yield "ait-1", "", "an allergy has a clinicalStatus unless it was entered in error"
    if in_error and "clinicalStatus" in value:
        yield "ait-2", "clinicalStatus", "what was entered in error has no clinical status"


def _appointment(value: Mapping[str, Any]) -> Iterator[Broken]:
    # an element that has an extension alone, such as the reason why its value is absent, is there (FHIRPath `exists`)
    if _any(value, "start") != _any(value, "end"):
        yield "app-2", "", "an appointment has start and end, or neither"
    if not _any(value, "start") and str(value.get("status")) not in {"proposed", "cancelled", "waitlist"}:
        yield "app-3", "", "only a proposed, cancelled or waiting appointment lacks start and end"


def _participant(value: Mapping[str, Any]) -> Iterator[Broken]:
    if not _any(value, "type", "actor"):
        yield "app-1", "", "a participant has a type or an actor"


def _guide(value: Mapping[str, Any]) -> Iterator[Broken]:
    versions = value.get("fhirVersion")
    known = frozenset(map(str, versions)) if isinstance(versions, list) else frozenset[str]()
    for i, resource in enumerate(_objects(_object(value.get("definition")).get("resource"))):
        told = resource.get("fhirVersion")
        if isinstance(told, list) and any(str(one) not in known for one in told):
            yield "ig-2", f"definition.resource[{i}].fhirVersion", "a version of FHIR that the guide itself has not"


def _guide_definition(value: Mapping[str, Any]) -> Iterator[Broken]:
    known = {str(one.get("id")) for one in _objects(value.get("grouping"))}
    for i, resource in enumerate(_objects(value.get("resource"))):
        if "groupingId" in resource and str(resource["groupingId"]) not in known:
            yield "ig-1", f"resource[{i}].groupingId", "there is no grouping of this id"


def _structure(value: Mapping[str, Any]) -> Iterator[Broken]:
    if value.get("kind") == "logical":
        return
    for key, view, whole in (("sdf-8", "snapshot", True), ("sdf-8a", "differential", False)):
        paths = [str(one.get("path")) for one in _objects(_object(value.get(view)).get("element"))]
        kind = str(value.get("type"))
        if not paths:
            continue
        if paths[0] != kind and (whole or not paths[0].startswith(kind)):
            yield key, f"{view}.element[0].path", "the first element is the type itself"
        root = paths[0] if whole else paths[0].partition(".")[0]
        for i, path in enumerate(paths[1:], 1):
            if not path.startswith(f"{root}."):
                yield key, f"{view}.element[{i}].path", "every element stands below the first"


def _narrative(value: Mapping[str, Any]) -> Iterator[Broken]:
    div = value.get("div")
    found = forbidden(div) if isinstance(div, str) else None
    if isinstance(div, str) and not tells(div):
        yield "txt-2", "div", "a narrative has some text"
    if found is not None:
        yield "txt-1", "div", f"a narrative holds formatted text alone, and here is {found}: leave it out"


Check = Callable[[Mapping[str, Any]], Iterator[Broken]]

_CHECKS: Mapping[str, tuple[Check, ...]] = {
    "Age": (_quantity,),
    "AllergyIntolerance": (_allergy,),
    "Appointment": (_appointment,),
    "Appointment.participant": (_participant,),
    "Attachment": (_attachment,),
    "Bundle": (_bundle,),
    "Bundle.entry": (_entry,),
    "Condition": (_condition,),
    "ContactPoint": (_contact_point,),
    "Count": (_quantity,),
    "Distance": (_quantity,),
    "Duration": (_quantity,),
    "Extension": (_extension,),
    "ImplementationGuide": (_guide,),
    "ImplementationGuide.definition": (_guide_definition,),
    "Narrative": (_narrative,),
    "Observation": (_observation,),
    "Organization": (_organization,),
    "Patient.contact": (_patient_contact,),
    "Period": (_period,),
    "Quantity": (_quantity,),
    "StructureDefinition": (_structure,),
}

KEYS = (
    "ait-1", "ait-2", "app-1", "app-2", "app-3", "att-1", "bdl-1", "bdl-2", "bdl-3", "bdl-4", "bdl-5", "bdl-7", "bdl-8",
    "bdl-9", "bdl-10", "bdl-11", "bdl-12", "con-4", "con-5", "cpt-2", "dom-2", "dom-3", "dom-4", "dom-5", "ele-1",
    "ext-1", "ig-1", "ig-2", "obs-6", "obs-7", "org-1", "pat-1", "per-1", "qty-3", "ref-1", "sdf-8", "sdf-8a", "txt-1",
    "txt-2",
)  # fmt: skip
"""The keys that are judged here; ele-1 as FHIR-EMPTY, ref-1 beside the types of targets (`checks.py`)."""
