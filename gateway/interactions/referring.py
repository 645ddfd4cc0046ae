"""References between what is sent together: a resource, or a patch, that names other entries by their `fullUrl`.

Source: https://hl7.org/fhir/R4/http.html#trules
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gateway import fhir
from gateway.interactions.call import Resource
from gateway.interactions.headers import shown
from gateway.interactions.refused import Refused, error


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
