"""Requests as the store understands them: addresses, conditions, resources, whether sent alone or in a Bundle."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from gateway.fhir import ids
from gateway.query import WHOLE, Query, parse
from gateway.specs import FhirTables
from gateway.upstream.store.refusal import Refusal
from gateway.upstream.store.versions import Version

ID = re.compile(ids.ID)
"""Source: https://hl7.org/fhir/R4/datatypes.html#id"""
_ADDRESS = re.compile(
    rf"(?P<type>[A-Z][A-Za-z]+)(?:/(?P<id>{ids.ID}))?"
    r"(?P<history>/_history(?(id)(?:/(?P<version>[0-9]{1,18}))?))?"
    r"(?:\?(?P<query>.*))?"
)
_MOST_PARAMETERS = 1000


@dataclass(frozen=True, slots=True)
class Address:
    """What a request of a Bundle's entry is for: a type, a resource, a version, their history, or a search."""

    type: str
    id: str | None
    history: bool
    version: int | None
    query: str | None


def address(url: str, tables: FhirTables) -> Address:
    """A relative address taken apart.

    Errors: Refusal for an absolute one, an unknown type or form.
    """
    found = _ADDRESS.fullmatch(url)
    if found is None:
        raise Refusal(400, "invalid", "an entry asks for Type, Type/id or Type?search relative to this server", url)
    known_type(found["type"], tables)
    version = found["version"]
    return Address(
        found["type"], found["id"], found["history"] is not None, int(version) if version else None, found["query"]
    )


def known_type(type_: str, tables: FhirTables) -> None:
    """Check that a type is a resource type.

    Errors: Refusal (404).
    """
    definition = tables.types.get(type_)
    if definition is None or definition.kind != "resource" or definition.abstract:
        raise Refusal(404, "not-supported", "there is no such resource type in FHIR R4", type_)


def query(type_: str, tables: FhirTables, *texts: str) -> Query:
    """A search from the texts that name and value pairs stand in: of the address, and of a form.

    Errors: Refusal for what can't be understood.
    """
    pairs: list[tuple[str, str]] = []
    for text in texts:
        try:
            pairs += parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=_MOST_PARAMETERS)
        except ValueError as error:  # too many, or bytes that are not UTF-8
            raise Refusal(400, "invalid", "the search can not be read: it is UTF-8, at most 1000 parameters") from error
    parsed = parse(type_, pairs, tables, WHOLE)
    if isinstance(parsed, tuple):
        raise Refusal.of(400, parsed)
    if parsed.format not in {None, "json", "application/json", "application/fhir+json"}:
        raise Refusal(406, "not-supported", "the store speaks JSON alone", "_format")
    return parsed


def criteria(type_: str, tables: FhirTables, text: str) -> Query:
    """The condition of a conditional write: a search with at least one search parameter.

    Errors: Refusal.
    """
    found = query(type_, tables, text)
    if not found.clauses and not found.links:
        raise Refusal(412, "required", "a condition has at least one search parameter", type_)
    return found


def there(version: Version | None, place: str) -> Version:
    """A version that is there and no deletion.

    Errors: Refusal: 404, 410 for what was deleted.
    """
    if version is None:
        raise Refusal(404, "not-found", "there is no such resource", place)
    if version.deleted:
        raise Refusal(410, "deleted", f"this resource was deleted as version {version.version}", place)
    return version


def checked(resource: Mapping[str, Any], type_: str, id_: str | None) -> None:
    """Check what a resource says of itself against where it is sent.

    Errors: Refusal (400).
    """
    if resource.get("resourceType") != type_:
        raise Refusal(400, "invalid", f"the address says {type_}, the resource is of another type", "resourceType")
    if not isinstance(resource.get("meta", {}), dict):
        raise Refusal(400, "structure", "meta is an object", f"{type_}.meta")
    own = resource.get("id")
    if own is not None and (not isinstance(own, str) or not ID.fullmatch(own)):
        raise Refusal(400, "value", "an id is 1 to 64 letters, digits, hyphens and points", f"{type_}.id")
    if id_ is not None and own != id_:
        raise Refusal(400, "invalid", "the id of the address and that of the resource differ", f"{type_}.id")
