"""Leaving elements out of a resource, and saying so.

Source: `facade.md` of the design, "Narrow, then check again"; https://hl7.org/fhir/R4/security-labels.html#core
(`SUBSETTED`, https://terminology.hl7.org/CodeSystem-v3-ObservationValue.html).
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from gateway.fhir.again import Again, stands_again
from gateway.fhir.elements import Elements, means

_WHOLE = frozenset({"text", "_text", "contained"})
"""Members that may tell what is hidden elsewhere: the narrative, and resources that nobody has judged.

A reference to a contained resource (`#1`) stays and leads nowhere, as one to a resource that may not be read does.
"""

SUBSETTED = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}
MASKED: dict[str, Any] = {"extension": [{
    "url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "masked",
}]}  # fmt: skip
"""What stands for an element that has to be there and is not shown.

Source: http://hl7.org/fhir/R4/extension-data-absent-reason.html
"""
_CHOICE = "[x]"
_NOTHING: Mapping[str, Any] = MappingProxyType({})


def redact(resource: dict[str, Any], hide: Iterable[str], elements: Elements | None = None) -> dict[str, Any]:
    """Copy of a resource without the hidden elements, its narrative and what it contains, tagged `SUBSETTED`.

    Shape: `hide` holds paths such as `Patient.telecom`, as rule files write them: `Patient.deceased[x]` hides whichever
    choice there is, `Patient.deceasedBoolean` that one alone; paths of other types hide nothing here. By the table of
    `elements`, what has to be there says that it is masked, and what stands within itself (an item of an item) or has
    another element's content is hidden there too. The resource that is handed in is left as it is.
    """
    plan = _plan(frozenset(hide), resource["resourceType"], elements)
    shown = {key: value for key, value in resource.items() if key not in plan.members}
    for steps, stands in plan.below:
        shown = _without(shown, steps, stands)
    if plan.again is not None:
        shown = plan.again.of(shown)
    return subsetted(shown)


@dataclass(frozen=True, slots=True)
class _Plan:
    """How a type is redacted: the members that go, then what goes by its steps, and what stands for it.

    Shape: `again` takes out what stands in several places, None where nothing does.
    """

    members: frozenset[str]
    below: tuple[tuple[list[str], dict[str, Any]], ...]
    again: Again | None = None


@functools.lru_cache(maxsize=4096)
def _plan(hide: frozenset[str], resource_type: str, elements: Elements | None) -> _Plan:
    members: set[str] = set(_WHOLE)
    below: list[tuple[list[str], dict[str, Any]]] = []
    again: dict[str, Mapping[str, Any]] = {}
    for path in sorted(hide):
        own, _, rest = path.partition(".")
        if own != resource_type:
            continue
        stands = {} if elements is None else _stands(path, elements)
        if elements is not None and stands_again(path, elements):
            again[path] = stands
        elif "." in rest or rest.endswith(_CHOICE) or stands:
            below.append((rest.split("."), stands))
        else:
            members.update((rest, f"_{rest}"))
    found = None if elements is None or not again else Again(resource_type, again, elements)
    return _Plan(frozenset(members), tuple(below), found)


def _stands(path: str, elements: Elements) -> dict[str, Any]:
    """What stands for an element that has to be there; nothing for any other.

    Shape: of a choice of types the first, so that nothing tells which there was; a primitive says it beside its value.
    """
    definition = elements.resolve(path)
    name = path.rpartition(".")[2]
    if definition is None or definition.min == 0:
        return {}
    if name.endswith(_CHOICE):
        first = definition.types[0].code
        name = name.removesuffix(_CHOICE) + first[:1].upper() + first[1:]
    elif definition.path.endswith(_CHOICE):
        return {}  # one of several choices: another may be there
    member = f"_{name}" if elements.is_primitive(definition.types[0].code) else name
    return {member: MASKED if definition.max == 1 else [MASKED]}


def subsetted(resource: dict[str, Any]) -> dict[str, Any]:
    """Copy of a resource that says of itself that it is not the whole."""
    meta = dict(resource.get("meta", {}))
    tags = [tag for tag in meta.get("tag", ()) if tag.get("code") != SUBSETTED["code"]]
    return {**resource, "meta": {**meta, "tag": [*tags, SUBSETTED]}}


def held(resource: dict[str, Any], paths: Iterable[str], elements: Elements | None = None) -> tuple[str, ...]:
    """Those of the paths whose element the resource has, wherever `redact` would take it out; in alphabetical order."""
    own = (path for path in sorted(paths) if path.partition(".")[0] == resource["resourceType"])
    return tuple(path for path in own if _taken(resource, path, elements) != resource)


def _taken(resource: dict[str, Any], path: str, elements: Elements | None) -> dict[str, Any]:
    """Copy of a resource without one of its elements, and nothing in its place."""
    if elements is not None and stands_again(path, elements):
        return Again(resource["resourceType"], {path: _NOTHING}, elements).of(resource)
    found: dict[str, Any] = _without(resource, path.split(".")[1:])
    return found


def _without(node: Any, steps: list[str], stands: Mapping[str, Any] = _NOTHING) -> Any:
    """Copy of a JSON node without what stands at the end of the steps, in every repetition, and with what does instead.

    A primitive's extensions (`_birthDate`) belong to the element as its value does.
    """
    if isinstance(node, list):
        return [_without(item, steps, stands) for item in node]
    if not isinstance(node, dict):
        return node
    first, *rest = steps
    meant = {key for key in node if means(first, key.removeprefix("_"))}
    if not rest:
        return {**{key: value for key, value in node.items() if key not in meant}, **stands}
    return {key: _without(value, rest, stands) if key in meant else value for key, value in node.items()}
