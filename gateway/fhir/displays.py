"""What references tell of their targets: `Reference.display` and `Reference.identifier`, left out where it may not.

Source: `facade.md` of the design, "Narrow, then check again"; https://hl7.org/fhir/R4/references.html#Reference
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.fhir.elements import Elements
from gateway.fhir.redact import MASKED

TELLING = ("display", "identifier")
"""Members of a Reference that tell what its target holds; `reference` and `type` only say which it is."""
_RESOURCE = "Resource"
"""The type of an element that holds a whole resource, which says itself what it is."""


@dataclass(frozen=True, slots=True)
class Telling:
    """A reference that tells of its target.

    Shape: `path` is the element that it is (`Encounter.subject`, `Extension.value[x]`).
    """

    value: Mapping[str, Any]
    path: str


def telling(resource: Mapping[str, Any], elements: Elements) -> list[Telling]:
    """The references of a resource, and of what it contains, that tell of their targets."""
    found: list[Telling] = []
    _find(resource, _below(elements, _RESOURCE), "", found)
    return found


def untelling(resource: dict[str, Any], elements: Elements, keep: Callable[[Telling], bool]) -> dict[str, Any]:
    """Copy of a resource whose references tell of their targets where `keep` says so; itself where all do."""
    if all(map(keep, telling(resource, elements))):
        return resource
    found: dict[str, Any] = _cut(resource, _below(elements, _RESOURCE), "", keep)
    return found


class _Below:
    """What may hold references below an object of one type.

    Shape: `whole` says that the object is a resource, which itself says of which type; `members` are those that may, by
    name: what stands below each, and its path.
    """

    __slots__ = ("_elements", "_members", "_name", "reference", "whole")

    def __init__(self, elements: Elements, name: str) -> None:
        """Look nothing up: the types refer to each other."""
        self._elements = elements
        self._name = name
        self._members: dict[str, tuple[_Below, str]] | None = None
        self.whole = name == _RESOURCE
        self.reference = name == "Reference"

    @property
    def members(self) -> dict[str, tuple[_Below, str]]:
        found = self._members
        if found is None:
            found = self._members = {}
            for name, member in self._elements.members(self._name).items():
                if self._elements.is_primitive(member.type.code):  # its extensions stand beside it
                    found[f"_{name}"] = (_below(self._elements, "Element"), member.definition.path)
                else:
                    found[name] = (_below(self._elements, member.below), member.definition.path)
        return found

    def of(self, node: Mapping[str, Any]) -> _Below:
        """The same for one object."""
        return _below(self._elements, str(node.get("resourceType"))) if self.whole else self


@functools.cache
def _below(elements: Elements, name: str) -> _Below:
    return _Below(elements, name)


def _tells(value: Mapping[str, Any]) -> bool:
    return "display" in value or "identifier" in value or "_display" in value


def _find(node: Mapping[str, Any], below: _Below, path: str, found: list[Telling]) -> None:
    """Gather what tells below an object: every resource that is shown is gone through, so nothing is built here."""
    if below.reference and _tells(node):
        found.append(Telling(node, path))
    members = below.of(node).members if below.whole else below.members
    # of most datatypes an extension alone may refer to something
    fewer = members if len(members) < len(node) else node
    for name in fewer:
        if name not in node or name not in members:
            continue
        value = node[name]
        if isinstance(value, dict):
            _find(value, *members[name], found)
        elif isinstance(value, list):
            for one in value:
                if isinstance(one, dict):
                    _find(one, *members[name], found)


def _cut(node: Any, below: _Below, path: str, keep: Callable[[Telling], bool]) -> Any:
    if isinstance(node, list):
        return [_cut(one, below, path, keep) for one in node]
    if not isinstance(node, dict):
        return node
    if below.reference and _tells(node) and not keep(Telling(node, path)):
        rest = {name: value for name, value in node.items() if name.removeprefix("_") not in TELLING}
        return rest or MASKED
    known = below.of(node).members
    return {name: _cut(value, *known[name], keep) if name in known else value for name, value in node.items()}
