"""Leaving elements out of a resource, and saying so.

Source: `facade.md` of the design, "Narrow, then check again"; https://hl7.org/fhir/R4/security-labels.html#core
(`SUBSETTED`, https://terminology.hl7.org/CodeSystem-v3-ObservationValue.html).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gateway.fhir.elements import means

_WHOLE = frozenset({"text", "_text", "contained"})
"""Members that may tell what is hidden elsewhere: the narrative, and resources that nobody has judged.

A reference to a contained resource (`#1`) stays and leads nowhere, as one to a resource that may not be read does.
"""

SUBSETTED = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}


def redact(resource: dict[str, Any], hide: Iterable[str]) -> dict[str, Any]:
    """Copy of a resource without the hidden elements, its narrative and what it contains, tagged `SUBSETTED`.

    Shape: `hide` holds paths such as `Patient.telecom`, as rule files write them: `Patient.deceased[x]` hides whichever
    choice there is, `Patient.deceasedBoolean` that one alone; paths of other types hide nothing here. The resource that
    is handed in is left as it is.
    """
    shown = {key: value for key, value in resource.items() if key not in _WHOLE}
    for path in hide:
        resource_type, _, rest = path.partition(".")
        if resource_type == resource["resourceType"]:
            shown = _without(shown, rest.split("."))
    meta = dict(shown.get("meta", {}))
    tags = [tag for tag in meta.get("tag", ()) if tag.get("code") != SUBSETTED["code"]]
    return {**shown, "meta": {**meta, "tag": [*tags, SUBSETTED]}}


def held(resource: dict[str, Any], paths: Iterable[str]) -> tuple[str, ...]:
    """Those of the paths whose element the resource has, in alphabetical order."""
    own = (path.partition(".") for path in sorted(paths))
    return tuple(
        f"{resource_type}.{rest}"
        for resource_type, _, rest in own
        if resource_type == resource["resourceType"] and _without(resource, rest.split(".")) != resource
    )


def _without(node: Any, steps: list[str]) -> Any:
    """Copy of a JSON node without what stands at the end of the steps, in every repetition.

    A primitive's extensions (`_birthDate`) belong to the element as its value does.
    """
    if isinstance(node, list):
        return [_without(item, steps) for item in node]
    if not isinstance(node, dict):
        return node
    first, *rest = steps
    meant = {key for key in node if means(first, key.removeprefix("_"))}
    if not rest:
        return {key: value for key, value in node.items() if key not in meant}
    return {key: _without(value, rest) if key in meant else value for key, value in node.items()}
