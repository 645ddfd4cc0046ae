"""Invariants of R4 that cost little: those of Bundle, of what all resources have, and of common datatypes and types.

Each is asked of JSON that may be wrong in other ways, so it holds wherever it can't be judged.
Source: https://hl7.org/fhir/R4/ and the type's name in lower case, its list of constraints, by key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from gateway.fhir.narrative import forbidden

Broken = tuple[str, str, str]
"""Key, place below the object (empty: the object itself), and words."""

_REQUESTING = frozenset({"batch", "transaction", "history"})
_ANSWERING = frozenset({"batch-response", "transaction-response", "history"})
_ENDED = frozenset({"inactive", "resolved", "remission"})
_ERROR = "entered-in-error"


def broken(below: str, value: Mapping[str, Any]) -> Iterator[Broken]:
    """The invariants that an object breaks. Shape: `below` is its type, or the path of its backbone element."""
    for check in _CHECKS.get(below, ()):
        yield from check(value)


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
    if isinstance(start, str) and isinstance(end, str) and _after(start, end):
        yield "per-1", "", "a period ends when it starts, or later"


def _after(first: str, second: str) -> bool:
    """Whether a moment is after another; dates of one precision compare as texts, other pairs are left alone."""
    if "T" not in first and "T" not in second:
        return len(first) == len(second) and first > second
    try:
        return datetime.fromisoformat(first) > datetime.fromisoformat(second)
    except (ValueError, TypeError):
        return False


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


def _narrative(value: Mapping[str, Any]) -> Iterator[Broken]:
    div = value.get("div")
    found = forbidden(div) if isinstance(div, str) else None
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
    "Narrative": (_narrative,),
    "Observation": (_observation,),
    "Organization": (_organization,),
    "Patient.contact": (_patient_contact,),
    "Period": (_period,),
    "Quantity": (_quantity,),
}

KEYS = (
    "ait-1", "ait-2", "app-1", "app-2", "app-3", "att-1", "bdl-1", "bdl-2", "bdl-3", "bdl-4", "bdl-5", "bdl-7", "bdl-8",
    "bdl-9", "bdl-10", "bdl-11", "bdl-12", "con-4", "con-5", "cpt-2", "dom-2", "dom-4", "dom-5", "ext-1", "obs-6",
    "org-1", "pat-1", "per-1", "qty-3", "ref-1", "txt-1",
)  # fmt: skip
"""The keys that are judged."""
