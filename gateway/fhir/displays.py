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
    _find(resource, _RESOURCE, "", elements, found)
    return found


def untelling(resource: dict[str, Any], elements: Elements, keep: Callable[[Telling], bool]) -> dict[str, Any]:
    """Copy of a resource whose references tell of their targets where `keep` says so; itself where all do."""
    if all(map(keep, telling(resource, elements))):
        return resource
    found: dict[str, Any] = _cut(resource, _RESOURCE, "", elements, keep)
    return found


@functools.cache
def _complex(elements: Elements, below: str) -> Mapping[str, tuple[str, str]]:
    """Members of a type that may hold references: what stands below each (`Reference` in one), and its path."""
    return {
        name: (member.below, member.definition.path)
        for name, member in elements.members(below).items()
        if not elements.is_primitive(member.type.code)
    }


def _tells(value: Mapping[str, Any]) -> bool:
    return "display" in value or "identifier" in value or "_display" in value


def _type(node: Mapping[str, Any], below: str) -> str:
    return str(node.get("resourceType")) if below == _RESOURCE else below


def _find(node: Mapping[str, Any], below: str, path: str, elements: Elements, found: list[Telling]) -> None:
    """Gather what tells below an object: every resource that is shown is gone through, so nothing is built here."""
    if below == "Reference" and _tells(node):
        found.append(Telling(node, path))
    known = _complex(elements, _type(node, below))
    for name, value in node.items():
        at = known.get(name)
        if at is None:
            continue
        for one in value if isinstance(value, list) else (value,):
            if isinstance(one, dict):
                _find(one, *at, elements, found)


def _cut(node: Any, below: str, path: str, elements: Elements, keep: Callable[[Telling], bool]) -> Any:
    if isinstance(node, list):
        return [_cut(one, below, path, elements, keep) for one in node]
    if not isinstance(node, dict):
        return node
    if below == "Reference" and _tells(node) and not keep(Telling(node, path)):
        rest = {name: value for name, value in node.items() if name.removeprefix("_") not in TELLING}
        return rest or MASKED
    known = _complex(elements, _type(node, below))
    return {name: _cut(value, *known[name], elements, keep) if name in known else value for name, value in node.items()}
