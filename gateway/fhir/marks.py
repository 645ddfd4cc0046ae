"""The gateway's own marks in `meta`: who contributed to a resource, and up to which moment it is told.

Every contributing organisation and domain has a tag, with systems below a base of our own. The moment that the last
written message tells of is an extension of `meta`: it is replaced on each write, where servers keep old tags.
Source: https://hl7.org/fhir/R4/resource.html#meta; the gateway's design (conversion, update)
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

from gateway.fhir.jsonformat import Resource

ORGANISATION = "/CodeSystem/contributing-organisation"
DOMAIN = "/CodeSystem/contributing-domain"
"""How the systems of such tags end, whatever the base: by that rules know them."""


def is_mark(tag: Mapping[str, Any]) -> bool:
    """Whether a tag says who contributed: only the gateway writes such ones, under its own base or any other."""
    return str(tag.get("system")).endswith((ORGANISATION, DOMAIN))


@dataclass(frozen=True, slots=True)
class Marks:
    """Addresses of the marks, below a base without a slash at its end.

    Shape: `organisation` and `domain` are the systems of the tags that name contributing organisations and the domains
    they contributed to; `told` is the URL of the extension with the moment that the last written message tells of.
    """

    base: str
    organisation: str = field(init=False)
    domain: str = field(init=False)
    told: str = field(init=False)

    def __post_init__(self) -> None:
        """Put the addresses together once: each resource of each message asks for them."""
        object.__setattr__(self, "organisation", f"{self.base}{ORGANISATION}")
        object.__setattr__(self, "domain", f"{self.base}{DOMAIN}")
        object.__setattr__(self, "told", f"{self.base}/StructureDefinition/told")


def contributed(
    resource: Resource, *, organisation: str, domain: str, marks: Marks, source: str | None = None
) -> Resource:
    """The resource with the tags of its contributor, and `meta.source` where one is given."""
    meta = dict(resource.get("meta", {}))
    own = ({"system": marks.organisation, "code": organisation.upper()}, {"system": marks.domain, "code": domain})
    meta["tag"] = united(meta.get("tag", ()), own)
    if source is not None:
        meta["source"] = source
    return {**resource, "meta": meta}


def contributors(resource: Resource, marks: Marks) -> tuple[frozenset[str], frozenset[str]]:
    """Organisations and domains that contributed to a resource, by its tags."""
    tags = resource.get("meta", {}).get("tag", ())
    organisations, domains = (
        frozenset(str(tag["code"]) for tag in tags if tag.get("system") == system and "code" in tag)
        for system in (marks.organisation, marks.domain)
    )
    return organisations, domains


def told_at(resource: Resource, marks: Marks) -> str | None:
    """The moment that the message which last wrote the resource tells of, as it was written."""
    for extension in resource.get("meta", {}).get("extension", ()):
        if extension.get("url") == marks.told:
            return str(extension["valueInstant"])
    return None


_UNITED = ("profile", "security", "tag")
_HISTORY = frozenset({"versionId", "lastUpdated", "source"})
_KEPT = frozenset({*_UNITED, "source", "extension"})


def merged_meta(standing: Resource, draft: Resource, told: str, marks: Marks) -> Resource:
    """Meta of a new version: tags, labels and profiles of both, the draft's source, and the moment told.

    Shape: without version id and time of update, which the server gives.
    """
    meta: Resource = {}
    for name in _UNITED:
        old, new = standing.get(name), draft.get(name)
        if old or new:
            meta[name] = united(old or (), new or ())
    source = draft.get("source", standing.get("source"))
    if source is not None:
        meta["source"] = source
    moment = {"url": marks.told, "valueInstant": told}
    others = _others(standing, draft, marks)
    meta["extension"] = [*others, moment] if others else [moment]
    return meta


def same_meta(merged: Resource, standing: Resource, marks: Marks) -> bool:
    """Whether a merged meta has the content of the standing one: all but version, times and where it came from.

    Shape: each entry of the standing one that is told again is the standing one's own, so that equal is the same.
    """
    if any(standing.get(name) for name in standing.keys() - _KEPT - _HISTORY):
        return False
    if any((merged.get(name) or []) != (standing.get(name) or []) for name in _UNITED):
        return False
    before = [entry for entry in standing.get("extension", ()) if entry.get("url") != marks.told]
    others: list[Any] = merged["extension"][:-1]
    return others == before


def _others(standing: Resource, draft: Resource, marks: Marks) -> list[Any]:
    """Extensions of both but for the moment told."""
    old, new = standing.get("extension"), draft.get("extension")
    if not old and not new:
        return []
    entries = (entry for entry in (*(old or ()), *(new or ())) if entry.get("url") != marks.told)
    return united(entries, ())


def instant(text: str) -> datetime:
    """A moment, aware; without an offset it is read as UTC.

    Errors: ValueError.
    """
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


_FEW = 8
"""So many entries are compared one by one sooner than each is given a key."""


def united(first: Iterable[Any], second: Iterable[Any]) -> list[Any]:
    """Entries of both in order, each once."""
    entries = [*first, *second]
    if len(entries) <= _FEW:
        few: list[Any] = []
        for entry in entries:
            if entry not in few:
                few.append(entry)
        return few
    found: dict[Hashable, Any] = {}
    for entry in entries:
        found.setdefault(frozen(entry), entry)
    return list(found.values())


def frozen(value: Any) -> Hashable:
    """A key of a JSON value: two values have the same where they are equal."""
    if isinstance(value, dict):
        return (dict, frozenset((name, frozen(each)) for name, each in value.items()))
    if isinstance(value, list):
        return (list, tuple(frozen(each) for each in value))
    return cast("Hashable", value)
