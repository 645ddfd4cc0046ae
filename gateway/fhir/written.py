"""A resource as a client of the facade sent it, made ready to be stored: references, links between entries, `meta`.

Source: https://hl7.org/fhir/R4/http.html#update, #transaction; https://hl7.org/fhir/R4/resource.html#Meta
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gateway.fhir.jsonformat import Resource
from gateway.fhir.marks import Marks, contributed, is_mark, merged_meta
from gateway.fhir.redact import SUBSETTED

_SERVERS = frozenset({"versionId", "lastUpdated", "source"})


def is_subset(resource: Resource) -> bool:
    """Whether a resource says of itself that it is not the whole; writing it back would lose the rest."""
    return any(tag.get("code") == SUBSETTED["code"] for tag in resource.get("meta", {}).get("tag", ()))


def with_references(resource: Resource, change: Callable[[str], str]) -> Resource:
    """Copy of a resource in which each literal reference is what `change` makes of it.

    Source: https://hl7.org/fhir/R4/references.html#literal
    """
    found: Resource = _changed(resource, change)
    return found


def _changed(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, dict):
        return {
            name: change(item) if name == "reference" and isinstance(item, str) else _changed(item, change)
            for name, item in value.items()
        }
    return [_changed(item, change) for item in value] if isinstance(value, list) else value


def marked(sent: Resource, standing: Resource | None, by: Mapping[str, str], *, told: str, marks: Marks) -> Resource:
    """The resource with the `meta` that it is stored with.

    Shape: version, time and source are the servers' and the gateway's, whatever the client sent, and so are the marks
    of contributors and of the moment told. Tags, labels and profiles of the standing version stay: a label that a
    client leaves out is not taken off. `by` is `organisation`, `domain` and `source` of who writes.
    """
    meta = {name: value for name, value in sent.get("meta", {}).items() if name not in _SERVERS}
    kept = {
        **meta,
        "tag": [tag for tag in meta.get("tag", ()) if not is_mark(tag)],
        "extension": [one for one in meta.get("extension", ()) if one.get("url") != marks.told],
    }
    merged = merged_meta({} if standing is None else standing.get("meta", {}), kept, told, marks)
    first: Resource = {name: sent[name] for name in ("resourceType", "id") if name in sent}
    rest = {name: value for name, value in sent.items() if name not in {"resourceType", "id", "meta"}}
    return contributed(
        {**first, "meta": merged, **rest},
        organisation=by["organisation"], domain=by["domain"], source=by["source"], marks=marks,
    )  # fmt: skip
