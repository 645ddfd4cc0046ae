"""The parts of a resource that a client asks for: `_summary` and `_elements`.

They take away and never bring back: what is handed in is what the client may see. What is left says that it is not the
whole, with the tag `SUBSETTED`.
Source: https://hl7.org/fhir/R4/search.html#summary, #elements
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal

from gateway.fhir.elements import Elements, means
from gateway.fhir.redact import SUBSETTED

_ALWAYS = frozenset({"resourceType", "id", "meta"})
_RULES = frozenset({"implicitRules"})  # it may change what all else means, so it goes with every subset


def summary(resource: dict[str, Any], kind: Literal["true", "text", "data"], elements: Elements) -> dict[str, Any]:
    """What `_summary` leaves of a resource.

    Shape: `true` the elements that the standard marks as summary, at every level; `text` narrative, id, meta and what
    must be there; `data` all but the narrative. A resource that loses nothing is handed back as it is.
    """
    match kind:
        case "true":
            found = _summary(resource, resource["resourceType"], elements) | {
                name: resource[name] for name in _ALWAYS if name in resource
            }
        case "text":
            found = _kept(resource, {"text", *_mandatory(resource["resourceType"], elements)})
        case "data":
            found = {name: value for name, value in resource.items() if name not in {"text", "_text"}}
    return _marked(resource, found)


def elements_of(resource: dict[str, Any], names: Collection[str], elements: Elements) -> dict[str, Any]:
    """What `_elements` leaves of a resource: those right below it that are named, and what must be there."""
    return _marked(resource, _kept(resource, {*names, *_mandatory(resource["resourceType"], elements)}))


def _kept(resource: dict[str, Any], names: Collection[str]) -> dict[str, Any]:
    def wanted(member: str) -> bool:
        plain = member.removeprefix("_")
        # a choice is asked for by the name without its type, `deceased` for `deceasedBoolean`
        return plain in _ALWAYS | _RULES or any(means(name, plain) or means(f"{name}[x]", plain) for name in names)

    return {name: value for name, value in resource.items() if wanted(name)}


def _mandatory(resource_type: str, elements: Elements) -> list[str]:
    members = elements.members(resource_type)
    return [name for name, member in members.items() if member.definition.min > 0]


def _summary(node: dict[str, Any], below: str, elements: Elements) -> dict[str, Any]:
    members = elements.members(below)
    found: dict[str, Any] = {}
    for name, value in node.items():
        member = members.get(name.removeprefix("_"))
        if member is None or not member.definition.in_summary:
            continue
        # only backbone elements have summary elements of their own; a datatype goes whole
        inner = member.below if "." in member.below else None
        found[name] = value if inner is None else _each(value, inner, elements)
    return found


def _each(value: Any, below: str, elements: Elements) -> Any:
    if isinstance(value, list):
        return [_each(one, below, elements) for one in value]
    return _summary(value, below, elements) if isinstance(value, dict) else value


def _marked(whole: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """The rest in the order of the whole, tagged; the whole where nothing was taken away."""
    kept = {name: found[name] for name in whole if name in found}
    if kept == whole:
        return whole
    meta = kept.get("meta", {})
    tags = [tag for tag in meta.get("tag", ()) if tag.get("code") != SUBSETTED["code"]]
    rest = {name: value for name, value in kept.items() if name not in {"resourceType", "id", "meta"}}
    first: dict[str, Any] = {name: kept[name] for name in ("resourceType", "id") if name in kept}
    return {**first, "meta": {**meta, "tag": [*tags, SUBSETTED]}, **rest}
