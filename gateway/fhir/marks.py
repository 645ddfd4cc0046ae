"""The gateway's own marks in `meta`: who contributed to a resource, and up to which moment it is told.

Every contributing organisation and domain has a tag, with systems below a base of our own. The moment that the last
written message tells of is an extension of `meta`: it is replaced on each write, where servers keep old tags.
Source: https://hl7.org/fhir/R4/resource.html#meta; the gateway's design (conversion, update)
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from gateway.fhir.jsonformat import Resource

DEFAULT_BASE = "https://healthcare-exchange-gateway.example/fhir"


@dataclass(frozen=True, slots=True)
class Marks:
    """Addresses of the marks, below a base without a slash at its end."""

    base: str = DEFAULT_BASE

    @property
    def organisation(self) -> str:
        """System of the tags that name contributing organisations."""
        return f"{self.base}/CodeSystem/contributing-organisation"

    @property
    def domain(self) -> str:
        """System of the tags that name the domains they contributed to."""
        return f"{self.base}/CodeSystem/contributing-domain"

    @property
    def told(self) -> str:
        """URL of the extension that holds the moment which the last written message tells of."""
        return f"{self.base}/StructureDefinition/told"


DEFAULT = Marks()


def contributed(
    resource: Resource, *, organisation: str, domain: str, source: str | None = None, marks: Marks = DEFAULT
) -> Resource:
    """The resource with the tags of its contributor, and `meta.source` where one is given."""
    meta = dict(resource.get("meta", {}))
    own = ({"system": marks.organisation, "code": organisation.upper()}, {"system": marks.domain, "code": domain})
    meta["tag"] = united(meta.get("tag", ()), own)
    if source is not None:
        meta["source"] = source
    return {**resource, "meta": meta}


def contributors(resource: Resource, marks: Marks = DEFAULT) -> tuple[frozenset[str], frozenset[str]]:
    """Organisations and domains that contributed to a resource, by its tags."""
    tags = resource.get("meta", {}).get("tag", ())
    organisations, domains = (
        frozenset(str(tag["code"]) for tag in tags if tag.get("system") == system and "code" in tag)
        for system in (marks.organisation, marks.domain)
    )
    return organisations, domains


def told_at(resource: Resource, marks: Marks = DEFAULT) -> str | None:
    """The moment that the message which last wrote the resource tells of, as it was written."""
    for extension in resource.get("meta", {}).get("extension", ()):
        if extension.get("url") == marks.told:
            return str(extension["valueInstant"])
    return None


def merged_meta(standing: Resource, draft: Resource, told: str, marks: Marks = DEFAULT) -> Resource:
    """Meta of a new version: tags, labels and profiles of both, the draft's source, and the moment told.

    Shape: without version id and time of update, which the server gives.
    """
    meta: Resource = {
        name: united(standing.get(name, ()), draft.get(name, ()))
        for name in ("profile", "security", "tag")
        if name in standing or name in draft
    }
    source = draft.get("source", standing.get("source"))
    if source is not None:
        meta["source"] = source
    others = (e for e in (*standing.get("extension", ()), *draft.get("extension", ())) if e.get("url") != marks.told)
    meta["extension"] = [*united(others, ()), {"url": marks.told, "valueInstant": told}]
    return meta


def without_history(meta: Resource, marks: Marks = DEFAULT) -> Resource:
    """What of `meta` is content: without version, times and the message that it came from; tags in one order."""
    content = {name: value for name, value in meta.items() if name not in {"versionId", "lastUpdated", "source"}}
    content["extension"] = [e for e in meta.get("extension", ()) if e.get("url") != marks.told]
    content["tag"] = sorted(meta.get("tag", ()), key=lambda tag: (tag.get("system", ""), tag.get("code", "")))
    return {name: value for name, value in content.items() if value}


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
