"""Leaving elements out of a resource, and saying so.

Source: `facade.md` of the design, "Narrow, then check again"; https://hl7.org/fhir/R4/security-labels.html#core
(`SUBSETTED`, https://terminology.hl7.org/CodeSystem-v3-ObservationValue.html).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

SUBSETTED = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}


def redact(resource: dict[str, Any], hide: Iterable[str]) -> dict[str, Any]:
    """Copy of a resource without the hidden elements and without its narrative, tagged `SUBSETTED`.

    Shape: `hide` holds paths such as `Patient.telecom`; the resource that is handed in is left as it is.
    """
    shown = {key: value for key, value in resource.items() if key not in {"text", "_text"}}
    for path in hide:
        resource_type, _, rest = path.partition(".")
        if resource_type == resource["resourceType"]:
            shown = _without(shown, rest.split("."))
    meta = dict(shown.get("meta", {}))
    tags = [tag for tag in meta.get("tag", ()) if tag.get("code") != SUBSETTED["code"]]
    return {**shown, "meta": {**meta, "tag": [*tags, SUBSETTED]}}


def _without(node: Any, steps: list[str]) -> Any:
    """Copy of a JSON node without what stands at the end of the steps, in every repetition."""
    if isinstance(node, list):
        return [_without(item, steps) for item in node]
    if not isinstance(node, dict):
        return node
    first, *rest = steps
    if not rest:
        return {key: value for key, value in node.items() if key not in {first, f"_{first}"}}
    return {key: _without(value, rest) if key == first else value for key, value in node.items()}
