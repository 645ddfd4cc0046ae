"""What is answered to a write: its status, its headers, and the resource as far as the caller may read it.

Source: https://hl7.org/fhir/R4/http.html#create, #update, #patch, #delete, #ops; RFC 7240
"""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request

from gateway import fhir
from gateway.finding import Finding
from gateway.interactions import respond
from gateway.interactions.access import shown_of
from gateway.interactions.call import Call, Resource
from gateway.interactions.conditions import http_date
from gateway.interactions.judge_write import Change
from gateway.interactions.respond import Reply
from gateway.interactions.scopes import bounds, covers

OK, CREATED, NO_CONTENT = 200, 201, 204


@dataclass(frozen=True, slots=True)
class Done:
    """A write that was made, or that was needless.

    Shape: `version` and `modified` (an instant) are the upstream's, None where it didn't say.
    """

    change: Change
    status: int
    version: str | None
    modified: str | None


def preferred(request: Request) -> str | None:
    """What the client wants back of a write: `minimal`, `representation`, `OperationOutcome`, or None.

    Source: https://hl7.org/fhir/R4/http.html#ops; RFC 7240.
    """
    for header in request.headers.getlist("prefer"):
        for part in header.replace(";", ",").split(","):
            name, _, value = part.strip().partition("=")
            if name.strip().lower() == "return":
                return value.strip().strip('"')
    return None


def replied(call: Call, done: Done, wanted: str | None) -> Reply:
    """The answer to one write: the resource, as far as the caller may read it, unless it wants another."""
    base, change = call.gateway.settings.public_url, done.change
    headers: dict[str, str] = {}
    if change.delete:
        return _deleted(call, done, wanted)
    if done.version is not None:
        headers["ETag"] = f'W/"{done.version}"'
        if done.status == CREATED or not change.write:
            headers["Location"] = f"{base}/{change.name}/_history/{done.version}"
    elif done.status == CREATED:
        headers["Location"] = f"{base}/{change.name}"
    if done.modified is not None and (modified := http_date(done.modified)) is not None:
        headers["Last-Modified"] = modified
    if wanted == "minimal":
        return Reply(done.status, None, headers)
    if wanted == "OperationOutcome":
        stored = Finding("information", "informational", "stored" if change.write else "it was there already")
        told = respond.outcome_body((stored, *change.findings), call.gateway.clock())
        return Reply(done.status, told, headers)
    shown_one = _representation(call, done)
    return Reply(done.status, None if shown_one is None else fhir.dump(shown_one), headers)


def _deleted(call: Call, done: Done, wanted: str | None) -> Reply:
    """The answer to a delete: no content, unless it is wanted in words."""
    headers = {} if done.version is None else {"ETag": f'W/"{done.version}"'}
    if wanted != "OperationOutcome":
        return Reply(NO_CONTENT, None, headers)
    words = "deleted" if done.change.write else "it was deleted already"
    told = respond.outcome_body((Finding("information", "informational", words),), call.gateway.clock())
    return Reply(OK, told, headers)


def _representation(call: Call, done: Done) -> Resource | None:
    """The stored version as this caller may read it."""
    read, resource = done.change.authority.read, done.change.resource
    seen = None if read is None else read.release(call, resource)
    if seen is None or not seen.released or not covers(call.asking.scopes, "read", resource["resourceType"]):
        return None
    if done.change.write and bounds(call.asking.scopes, "read", resource["resourceType"]) is not None:
        return None  # whether the query of a scope finds what is new was not asked
    known = {"versionId": done.version, "lastUpdated": done.modified}
    meta = {**{name: value for name, value in known.items() if value is not None}, **resource.get("meta", {})}
    whole = {**resource, "meta": meta}
    return shown_of(call, whole, seen.hide)
