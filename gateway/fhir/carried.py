"""Resources within a resource: those that it contains, and those that a stored Bundle or Parameters carry.

Source: https://hl7.org/fhir/R4/references.html#contained, https://hl7.org/fhir/R4/bundle.html,
https://hl7.org/fhir/R4/parameters.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from gateway.fhir.jsonformat import Resource

_CARRIES = {"Bundle": "entry", "Parameters": "parameter"}
"""The element that carries other resources, by type."""


def carried(resource: Resource) -> Iterator[Resource]:
    """The resources that stand within a resource; what those carry themselves is theirs."""
    yield from resource.get("contained", ())
    yield from _entries(resource)


def with_carried(resources: Iterable[Resource]) -> Iterator[Resource]:
    """Resources, each followed by those that it carries as a Bundle or Parameters, which stand in the record's words.

    Shape: without what is contained, which has no name outside of what contains it.
    """
    for resource in resources:
        yield resource
        yield from with_carried(_entries(resource))


def _entries(resource: Resource) -> Iterator[Resource]:
    element = _CARRIES.get(str(resource.get("resourceType")))
    if element is not None:
        yield from _of(resource.get(element, ()))


def _of(node: Any) -> Iterator[Resource]:
    """The resources below an entry or a parameter, the outermost of each: `resource`, `response.outcome`, `part`."""
    if isinstance(node, list):
        for one in node:
            yield from _of(one)
    elif isinstance(node, dict):
        if "resourceType" in node:
            yield node
        else:
            for value in node.values():
                yield from _of(value)


def emptied(resource: Resource) -> Resource:
    """A Bundle or Parameters without what they carry, entries and all; any other resource as it is."""
    element = _CARRIES.get(str(resource.get("resourceType")))
    return resource if element is None else {name: value for name, value in resource.items() if name != element}
