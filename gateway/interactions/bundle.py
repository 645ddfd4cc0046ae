"""`POST /`: several requests in one Bundle. A `batch` is judged entry by entry, a `transaction` whole before anything.

Each entry goes the way of the same request sent alone.
Source: https://hl7.org/fhir/R4/http.html#transaction; `facade.md` of the design, "Bundles"
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

import structlog
from starlette.requests import Request
from starlette.responses import Response

from gateway import fhir
from gateway.fhir.ids import ID
from gateway.interactions import conditions, respond
from gateway.interactions.call import Call, called
from gateway.interactions.conditions import Conditions
from gateway.interactions.faults import trace
from gateway.interactions.headers import ORGANISATION, once, shown
from gateway.interactions.history import versions
from gateway.interactions.read import fetched
from gateway.interactions.refused import Refused, error
from gateway.interactions.replied import preferred, replied
from gateway.interactions.respond import Reply
from gateway.interactions.search import pairs_of, searched
from gateway.interactions.sent import Action, Sent, entries_of, patch_of, received
from gateway.interactions.write import written
from gateway.journal import JournalUnavailable
from gateway.source import nearest
from gateway.upstream import TargetDown

log = structlog.get_logger()
MOST_ENTRIES = 500
KINDS = ("batch", "transaction")
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
ACTIONS: Mapping[str, Action] = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_ADDRESS = re.compile(
    rf"(?P<type>[A-Z][A-Za-z]+)(?:(?P<search>/_search)|/(?P<id>{ID})(?P<history>/_history(?:/(?P<version>{ID}))?)?)?"
    r"(?:\?(?P<query>.*))?"
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One request of a Bundle.

    Shape: `place` is where it stands (`Bundle.entry[2]`); `query` is None where the address has none; `search` says
    that it is a search by POST.
    """

    place: str
    method: str
    type: str
    id: str | None
    history: bool
    version: str | None
    query: str | None
    conditions: Conditions
    resource: Any
    full_url: str | None
    search: bool = False

    @property
    def reads(self) -> bool:
        """Whether it changes nothing."""
        return self.method == "GET" or self.search


async def bundle(request: Request) -> Response:
    """Answer a batch or a transaction.

    Errors: Refused: for the whole of a transaction, and for what is no Bundle of requests; JournalUnavailable.
    """
    call = await called(request)
    organisation, fault = once(request.headers, ORGANISATION)
    if fault is not None:
        raise Refused("unreadable", fault)
    call = replace(call, organisation=organisation)
    sent = await received(request, call.gateway)
    kind, entries = _checked(call, sent)
    call.seen.update(type=kind, entries=len(entries))
    wanted = preferred(request) or "minimal"
    answered = await (_batch(call, entries, wanted) if kind == "batch" else _transaction(call, entries, wanted))
    told: dict[str, Any] = {"resourceType": "Bundle", "type": f"{kind}-response"}
    if answered:
        told["entry"] = answered
    return respond.resource(fhir.dump(told))


def _checked(call: Call, sent: dict[str, Any]) -> tuple[str, list[dict[str, Any]]]:
    """Kind and entries of a Bundle of requests.

    Errors: Refused (400).
    """
    kind = sent.get("type")
    if sent.get("resourceType") != "Bundle" or kind not in KINDS:
        words = f"this address takes a Bundle of type {' or '.join(KINDS)}; send a resource to its type"
        raise Refused("unreadable", error("invalid", words, "Bundle.type", "HTTP-W27"))
    entries = entries_of(sent)
    if len(entries) > MOST_ENTRIES:
        words = f"a Bundle has at most {MOST_ENTRIES} entries here; split it"
        raise Refused("unreadable", error("too-costly", words, "Bundle.entry", "HTTP-W28"))
    _check_members(call, sent, "Bundle", "Bundle")
    named = [one["fullUrl"] for one in entries if isinstance(one.get("fullUrl"), str)]
    if kind == "transaction" and len(set(named)) < len(named):
        words = "two entries have the same fullUrl, so a reference to it could mean either"
        raise Refused("unreadable", error("invalid", words, "Bundle.entry.fullUrl", "HTTP-W32"))
    return str(kind), entries


def _check_members(call: Call, sent: Mapping[str, Any], path: str, place: str) -> None:
    """Whether all members are ones that R4 has: a slip (`ifmatch`) would leave out what was meant.

    Errors: Refused (400).
    """
    known = call.gateway.elements.children(path)
    for name in sent.keys() - {"resourceType"}:
        if name.removeprefix("_") not in known:
            near = nearest(name, known)
            words = f"{shown(name)} is no element of {path}" + (f"; did you mean {near}?" if near else "")
            raise Refused("unreadable", error("structure", words, f"{place}.{shown(name)}", "HTTP-W29"))


async def _batch(call: Call, entries: list[dict[str, Any]], wanted: str) -> list[dict[str, Any]]:
    """Answers of a batch: each entry stands alone, whatever becomes of the others."""
    answered = []
    deadline = asyncio.get_running_loop().time() + call.gateway.settings.answer_within
    for number, entry in enumerate(entries):
        # the log line of the request tells of the whole; each entry has its own row in the audit
        own = replace(
            call, seen={"request": call.seen["request"]}, around={}, inside=set(), sought=set(), hidden={}, whole={}
        )
        try:
            _check_time(deadline)
            told = await _one(own, _read(call, entry, number), wanted)
        except Refused as refusal:
            told = Reply(refusal.status, respond.outcome_body(refusal.findings, call.gateway.clock()))
        except TargetDown as fault:
            words = error("transient", f"target {fault.target} is down; ask again later", None, "TGT-01")
            told = Reply(503, respond.outcome_body((words,), call.gateway.clock()))
        except JournalUnavailable:
            # what was stored before this entry is told all the same
            words = error("transient", "the audit can't be written; send this entry again later", None, "JRN-01")
            told = Reply(503, respond.outcome_body((words,), call.gateway.clock()))
        except Exception as fault:  # noqa: BLE001 - what was stored before this entry is told all the same
            log.error("fault", request=call.seen["request"], **trace(fault))
            words = error("exception", "the gateway failed on this entry; tell its operator", None, "HTTP-500")
            told = Reply(500, respond.outcome_body((words,), call.gateway.clock()))
        answered.append(_entry(told))
    return answered


def _check_time(deadline: float) -> None:
    """Whether there is time for another entry. Errors: Refused (503)."""
    if asyncio.get_running_loop().time() > deadline:
        words = "this batch takes too long; send the entries that were not reached again"
        raise Refused("busy", error("transient", words, None, "HTTP-W30"))


async def _one(call: Call, entry: Entry, wanted: str) -> Reply:
    """The answer to one entry of a batch, by the same functions as the request alone."""
    if not entry.reads:
        (done,) = await written(call, [_sent(entry)])
        return replied(call, done, wanted)
    try:
        pairs = pairs_of(entry.query or "")
    except ValueError as fault:
        words = "the address of this entry can not be read"
        raise _wrong(entry.place, "url", words) from fault
    if entry.id is None:
        return await searched(call, entry.type, pairs, shown=not entry.search)
    if entry.history and entry.version is None:
        return await versions(call, entry.type, entry.id, pairs)
    return await fetched(call, entry.type, entry.id, entry.version, pairs, entry.conditions)


async def _transaction(call: Call, entries: list[dict[str, Any]], wanted: str) -> list[dict[str, Any]]:
    """Answers of a transaction. Errors: Refused, TargetDown: nothing was done then, or it isn't known (504)."""
    sends = []
    for number, entry in enumerate(entries):
        one = _read(call, entry, number)
        if one.reads:
            raise _wrong(one.place, "method", "a transaction writes here; put what reads into a batch")
        sends.append(_sent(one))
    done = await written(call, sends) if sends else ()
    return [_entry(replied(call, one, wanted)) for one in done]


def _read(call: Call, entry: dict[str, Any], number: int) -> Entry:
    """An entry as a request.

    Errors: Refused (400) for what is none, (405) for a method that is not offered.
    """
    place = f"Bundle.entry[{number}]"
    request = entry.get("request")
    method, url = (request.get("method"), request.get("url")) if isinstance(request, dict) else (None, None)
    if not isinstance(request, dict) or not isinstance(method, str) or not isinstance(url, str):
        raise _wrong(place, "", "an entry of a batch or transaction has a request with a method and a url")
    _check_members(call, entry, "Bundle.entry", place)
    _check_members(call, request, "Bundle.entry.request", f"{place}.request")
    if method not in METHODS:
        raise _wrong(place, "method", f"an entry is {', '.join(METHODS)} here", status=405)
    own = f"{call.gateway.settings.public_url}/"
    where = _ADDRESS.fullmatch(url.removeprefix(own).removeprefix("/"))
    if where is None:
        raise _wrong(place, "url", "an entry asks for Type, Type/id or Type?search, relative to this address")
    search = where["search"] is not None
    if search and (method != "POST" or entry.get("resource") is not None):
        words = "a search by POST is method POST and Type/_search?..., its parameters in the url and no resource"
        raise _wrong(place, "url", words)
    full_url = entry.get("fullUrl")
    found = Entry(
        place, method, where["type"], where["id"], where["history"] is not None, where["version"], where["query"],
        conditions.of_entry(request), entry.get("resource"), full_url if isinstance(full_url, str) else None, search,
    )  # fmt: skip
    if not found.reads:
        _check_write(found)
    return found


def _check_write(entry: Entry) -> None:
    """Whether an entry that writes is addressed and filled. Errors: Refused (400)."""
    named, searched_for = entry.id is not None, bool(entry.query)
    fits = not named and not searched_for if entry.method == "POST" else named != searched_for
    if entry.history or not fits:
        raise _wrong(entry.place, "url", "PUT, PATCH and DELETE go to Type/id or Type?search, POST to Type")
    if entry.method == "DELETE":
        if entry.resource is not None:
            words = "an entry that deletes has no resource; leave it out, or say PUT"
            raise Refused("unreadable", error("invalid", words, f"{entry.place}.resource", "HTTP-W29"))
        return
    if not isinstance(entry.resource, dict):
        raise Refused("unreadable", error(
            "required", "an entry that writes has a resource", f"{entry.place}.resource", "HTTP-W29"
        ))  # fmt: skip


def _sent(entry: Entry) -> Sent:
    action, place = ACTIONS[entry.method], f"{entry.place}.resource"
    condition = entry.conditions.if_none_exist if action == "create" else entry.query or None
    patch = patch_of(entry.resource, place) if action == "patch" else ()
    resource = entry.resource if action in {"create", "update"} else {}
    return Sent(
        action, entry.type, resource, entry.id, condition, entry.conditions, place if resource else entry.place,
        entry.full_url, patch,
    )  # fmt: skip


def _wrong(place: str, below: str, words: str, status: int | None = None) -> Refused:
    where = f"{place}.request.{below}" if below else f"{place}.request"
    return Refused(
        "unreadable", error("not-supported" if status else "invalid", words, where, "HTTP-W29"), status=status
    )


def _entry(told: Reply) -> dict[str, Any]:
    """A reply as the entry that answers one.

    Source: https://hl7.org/fhir/R4/bundle-definitions.html#Bundle.entry.response
    """
    response: dict[str, Any] = {"status": f"{told.status} {HTTPStatus(told.status).phrase}"}
    headers = {name.lower(): value for name, value in told.headers.items()}
    for name in ("location", "etag"):
        if name in headers:
            response[name] = headers[name]
    if "last-modified" in headers:
        response["lastModified"] = respond.instant(parsedate_to_datetime(headers["last-modified"]))
    return _with_body(told, response)


def _with_body(told: Reply, response: dict[str, Any]) -> dict[str, Any]:
    if told.body is None:
        return {"response": response}
    body: Mapping[str, Any] = fhir.load(told.body)
    if body["resourceType"] == "OperationOutcome":
        return {"response": {**response, "outcome": body}}
    if "lastModified" in response and (updated := body.get("meta", {}).get("lastUpdated")) is not None:
        response = {**response, "lastModified": updated}  # the header, which has no fractions, is not the same moment
    return {"resource": body, "response": response}
