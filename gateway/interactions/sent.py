"""What a client sends to be stored: read, valid by FHIR R4, and fit for the address that it was sent to.

Source: https://hl7.org/fhir/R4/http.html#create, #update, #patch, #delete; https://hl7.org/fhir/R4/validation.html
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from starlette.requests import Request

from gateway import fhir
from gateway.finding import Finding, refuses
from gateway.interactions import body
from gateway.interactions.call import Resource
from gateway.interactions.conditions import NONE, Conditions
from gateway.interactions.gateway import Gateway
from gateway.interactions.headers import shown
from gateway.interactions.heavy import worked
from gateway.interactions.refused import Refused, error

JSON = ("application/fhir+json", "application/json", "application/json+fhir")
MAIN_JSON = JSON[0]
JSON_PATCH = "application/json-patch+json"
PATCHES = {"Accept-Patch": JSON_PATCH}
"""Source: RFC 5789 section 3.1."""
UTF_8 = frozenset({"utf-8", "utf8"})


Action = Literal["create", "update", "patch", "delete"]


@dataclass(frozen=True, slots=True)
class Sent:
    """One resource that a client wants to store, change or delete.

    Shape: `id` is that of the address; `condition` a search: what a change is for (`PUT /Type?...`), or what makes a
    create needless (`If-None-Exist`); `place` is where the resource stands in a Bundle, and `full_url` what other
    entries call it. `resource` is empty for a patch, which has `operations`, and for a delete.
    """

    action: Action
    type: str
    resource: Resource
    id: str | None = None
    condition: str | None = None
    conditions: Conditions = NONE
    place: str = ""
    full_url: str | None = None
    operations: tuple[Any, ...] = ()


async def received(request: Request, gateway: Gateway) -> Resource:
    """The resource in the body of a request.

    Errors: Refused: 415 for another Content-Type, 413 for too large a body, 400 for what is no FHIR JSON.
    """
    if not _sent_as(request, JSON):
        raise Refused("media-type", error(
            "not-supported", f"a resource is sent with Content-Type {MAIN_JSON}, in UTF-8", "Content-Type", "HTTP-W04"
        ))  # fmt: skip
    raw = await body.read(request, gateway.settings.body_limit)
    try:
        return await worked(len(raw), fhir.load, raw)
    except fhir.JsonError as fault:
        words = f"the body can not be read, {fault.place}: {fault.words}"
        raise Refused("unreadable", error("structure", words, None, "HTTP-W03")) from fault


async def received_patch(request: Request, gateway: Gateway) -> tuple[Any, ...]:
    """The operations in the body of a PATCH.

    Errors: Refused: 415 for anything but JSON Patch, 413 for too large a body, 400 for what is none.
    """
    if not _sent_as(request, (JSON_PATCH,)):
        words = f"a patch is sent with Content-Type {JSON_PATCH} (RFC 6902); FHIRPath Patch and XML Patch are not taken"
        raise Refused("media-type", error("not-supported", words, "Content-Type", "HTTP-W33"), headers=PATCHES)
    raw = await body.read(request, gateway.settings.body_limit)
    return await worked(len(raw), _operations, raw, None)


def patch_of(binary: Resource, place: str) -> tuple[Any, ...]:
    """The operations that an entry of a Bundle carries in a Binary.

    Errors: Refused (400), (415) for a Binary or a resource of another kind.
    Source: https://hl7.org/fhir/R4/http.html#patch, "PATCH operations in batch/transaction"
    """
    if binary.get("resourceType") != "Binary" or binary.get("contentType") != JSON_PATCH:
        words = f"an entry that patches has a Binary with contentType {JSON_PATCH}; FHIRPath Patch is not taken"
        raise Refused("media-type", error("not-supported", words, f"{place}.contentType", "HTTP-W33"))
    try:
        raw = base64.b64decode(binary.get("data", ""), validate=True)
    except (binascii.Error, TypeError, ValueError) as fault:
        words = "the patch in data is Base64"
        raise Refused("unreadable", error("value", words, f"{place}.data", "HTTP-W34")) from fault
    return _operations(raw, f"{place}.data")


def _operations(raw: bytes, place: str | None) -> tuple[Any, ...]:
    try:
        return tuple(fhir.read_patch(raw))
    except fhir.PatchError as fault:
        words = f"the patch can not be read, {fault.place}: {fault.words}"
        raise Refused("unreadable", error("structure", words, place, "HTTP-W34")) from fault


def asks_alone(operations: Sequence[Any]) -> bool:
    """Whether a patch only asks what stands: it changes nothing, so it makes no version.

    Source: RFC 6902 section 4.6.
    """
    return all(operation["op"] == "test" for operation in operations)


def _sent_as(request: Request, names: Collection[str]) -> bool:
    """Whether the body comes as one of these media types, told once, in UTF-8."""
    told = request.headers.getlist("content-type")
    if len(told) != 1:
        return False
    name, _, parameters = told[0].partition(";")
    key, _, charset = parameters.strip().partition("=")
    utf_8 = key.strip().lower() != "charset" or charset.strip().strip('"').lower() in UTF_8
    return name.strip().lower() in names and utf_8


def check_fit(sent: Sent, gateway: Gateway) -> None:
    """Whether a resource may stand where it was sent to.

    Errors: Refused: 400 for what R4 doesn't allow, for another type or id than the address says and for a condition
    that such a write doesn't have; 422 for a resource that says of itself that it is not the whole.
    """
    resource, kind = sent.resource, sent.type
    if resource.get("resourceType") != kind:
        words = f"the address says {kind}, the resource is {shown(str(resource.get('resourceType')))}"
        raise Refused("unreadable", error("invalid", words, "resourceType", "HTTP-W05"))
    found = fhir.validate(resource, gateway.elements, fhir.MOST_FINDINGS)
    if refuses(found):
        raise Refused("unreadable", *found)
    own = resource.get("id")
    if sent.id is not None and own != sent.id:
        words = f"the resource needs the id that the address says; its own is {shown(str(own)) if own else 'missing'}"
        raise Refused("unreadable", error("invalid", words, f"{kind}.id", "HTTP-W06"))
    if fhir.is_subset(resource):
        words = "this resource is tagged SUBSETTED, so it is not the whole: writing it would lose the rest"
        raise Refused("failed", error("business-rule", words, f"{kind}.meta.tag", "HTTP-W07"))


METHODS = {"create": "a create (POST)", "update": "an update (PUT)", "patch": "a patch", "delete": "a delete"}


def check_conditions(sent: Sent) -> None:
    """Whether each condition is one of such a write: one left aside would hold nothing off. Errors: Refused (400)."""
    conditions, create = sent.conditions, sent.action == "create"
    name, value = ("If-Match", conditions.if_match) if create else ("If-None-Exist", conditions.if_none_exist)
    if value is not None:
        words = f"{name} is no condition of {METHODS[sent.action]}; leave it out"
        raise Refused("unreadable", error("invalid", words, name, "HTTP-W31"))


def placed(sent: Sent, findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Findings about a resource, with its place in the Bundle before their own."""
    if not sent.place:
        return tuple(findings)
    return tuple(replace(finding, expression=_below(sent, finding.expression)) for finding in findings)


def _below(sent: Sent, expression: str | None) -> str:
    if not expression:
        return sent.place
    return f"{sent.place}.{expression.removeprefix(sent.type + '.')}"


def entries_of(bundle: dict[str, Any]) -> list[dict[str, Any]]:
    """Entries of a Bundle that was sent.

    Errors: Refused (400).
    """
    entries = bundle.get("entry", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise Refused("unreadable", error("structure", "entry is a list of objects", "Bundle.entry", "HTTP-W08"))
    return entries
