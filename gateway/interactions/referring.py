"""References of what is sent: to other entries by their `fullUrl`, and to what is here in a form that names something.

Source: https://hl7.org/fhir/R4/http.html#trules; https://hl7.org/fhir/R4/references.html#literal, #contained
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from gateway import fhir
from gateway.fhir.ids import ID, is_id
from gateway.interactions.call import Call, Resource
from gateway.interactions.headers import shown
from gateway.interactions.refused import Refused, error

_RELATIVE = re.compile(rf"([A-Z][A-Za-z]+)/({ID})(?:/_history/({ID}))?")
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:.+")
"""Source: RFC 3986 section 3.1."""


def linked(resource: Resource, links: Mapping[str, str]) -> Resource:
    """A resource whose references to other entries name what these are stored as.

    Errors: Refused (400) for one to no entry.
    """
    return fhir.with_references(resource, lambda reference: _followed(reference, links))


def linked_patch(operations: Sequence[Any], links: Mapping[str, str]) -> list[Any]:
    """Operations of a patch, the references that they bring along changed alike; what stands is left as it is.

    Errors: Refused (400) for one to no entry.
    """
    made = []
    for operation in operations:
        value, one = operation.get("value"), operation
        if isinstance(value, str) and operation["path"].endswith("/reference"):
            one = {**operation, "value": _followed(value, links)}
        elif isinstance(value, dict | list):
            one = {**operation, **linked({"value": value}, links)}
        made.append(one)
    return made


def _followed(reference: str, links: Mapping[str, str]) -> str:
    if reference in links:
        return links[reference]
    if reference.startswith(("urn:uuid:", "urn:oid:")):
        words = f"{shown(reference)} is the fullUrl of no entry that is sent with it"
        raise Refused("unreadable", error("invalid", words, None, "HTTP-W25"))
    if "?" in reference:
        words = "references by search are not taken; name the resource by its id"
        raise Refused("unreadable", error("not-supported", words, None, "HTTP-W26"))
    return reference


def check_named(call: Call, resource: Resource, stands: Resource | None) -> None:
    """Whether each reference names something: nobody finds what another one does, and rules that follow it err.

    Shape: one that stands already in what is replaced, `stands`, may stay.
    Errors: Refused (400).
    """
    before = set() if stands is None else set(_references(stands))
    for reference in _references(resource):
        if reference not in before and not _names(call, reference):
            raise Refused("unreadable", error("value", _why(call, reference), None, "HTTP-W36"))


def _references(resource: Resource) -> list[str]:
    found: list[str] = []

    def seen(reference: str) -> str:
        found.append(reference)
        return reference

    fhir.with_references(resource, seen)
    return found


def _names(call: Call, reference: str) -> bool:
    """Whether a literal reference is of a form that R4 has: to what is contained, elsewhere, or of this record."""
    if reference.startswith("#") or _ABSOLUTE.fullmatch(reference):
        return True
    found = _RELATIVE.fullmatch(reference)
    if found is None or not call.gateway.elements.is_resource(found[1]):
        return False
    return is_id(found[2]) and (found[3] is None or is_id(found[3]))


def _why(call: Call, reference: str) -> str:
    name, fragment, _ = reference.partition("#")
    if fragment and _names(call, name):
        words = f"{shown(reference)} names a part of another resource, which nobody finds from outside of it"
        return f"{words}; refer to {shown(name)} itself, or contain the part here and refer to it by # and its id"
    return f"{shown(reference)} names no resource; a reference here is Type/id, maybe with /_history/version behind it"
