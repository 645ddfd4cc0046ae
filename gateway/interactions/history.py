"""`GET /{Type}/{id}/_history`: the versions of a resource, each judged as if it stood, page by page.

Source: https://hl7.org/fhir/R4/http.html#history; `facade.md` of the design, "Narrow, then check again" and "Links"
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from gateway import fhir, query
from gateway.interactions import respond
from gateway.interactions.access import absent, loaded, record, refused, released
from gateway.interactions.around import gather
from gateway.interactions.call import Call, Resource, called, permitted, served
from gateway.interactions.conditions import version_of
from gateway.interactions.everything import count_of, since_of
from gateway.interactions.filling import MOST_LOOKED
from gateway.interactions.judging import Judging
from gateway.interactions.limits import limited
from gateway.interactions.paging import START, Place, Ticket
from gateway.interactions.refused import Refused, error
from gateway.interactions.respond import Reply
from gateway.interactions.scopes import check_access
from gateway.interactions.searchsets import behind
from gateway.interactions.shaping import Pairs, parsed, read_shape, shaped
from gateway.upstream import FhirServer, TargetDown

FOUND = 200
TOLD = ("status", "etag", "lastModified")
"""What is passed on of how each version came about; an address of the upstream never is."""
PAGE = "_page"
OWN = ("_count", "_since", "_at", PAGE)
"""Parameters of a history. The others are those of a read."""
Entry = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which versions a client asks for.

    Shape: those written at `since` or after, and those that stood at some time of `at`, first moment and first after.
    """

    count: int
    since: datetime | None = None
    at: tuple[datetime, datetime] | None = None

    def holds(self, written: datetime | None, until: datetime | None) -> bool:
        """Whether a version is asked for. Shape: `until` is when the next was written, None while it stands."""
        if written is None:
            return self.since is None and self.at is None
        if self.since is not None and written < self.since:
            return False
        return self.at is None or (written < self.at[1] and (until is None or until > self.at[0]))

    def past(self, written: datetime | None) -> bool:
        """Whether all that is older than a version is too old."""
        return self.since is not None and written is not None and written < self.since


@dataclass(frozen=True, slots=True)
class Versions:
    """A page. Shape: of each entry what is shown of it, None for a deletion; `any` says that some version is shown."""

    shown: tuple[tuple[Entry, Resource | None], ...]
    following: Place | None
    any: bool


async def history(request: Request) -> Response:
    """Answer with the versions of a resource, newest first.

    Errors: Refused: 404 both for what is absent and where this caller may see no version; TargetDown,
    JournalUnavailable.
    """
    call = await called(request)
    path, pairs = request.path_params, list(request.query_params.multi_items())
    return respond.reply(await versions(call, path["type"], path["id"], pairs))


async def versions(call: Call, resource_type: str, resource_id: str, sent: Pairs) -> Reply:
    """The answer to a request for the history of a resource.

    Errors: Refused, TargetDown, JournalUnavailable.
    """
    gateway, name = call.gateway, f"{resource_type}/{resource_id}"
    by: set[str] = set()
    try:
        server = served(gateway, resource_type)
        check_access(call.asking.scopes, "history", resource_type)
        facts = call.asking.facts(gateway, "history", type=resource_type)
        judging = Judging(facts, permitted(gateway, facts))
        view = " ".join((gateway.rules.digest, *judging.decision.by))
        place, pairs = _place(call, f"{name}/_history", view, sent)
        asked = read_shape(call, resource_type, [(key, value) for key, value in pairs if key not in OWN])
        wanted = _wanted(call, resource_type, pairs)
        async with asyncio.timeout(gateway.settings.answer_within):
            page = await _page(call, server, judging, (resource_type, resource_id), wanted, place, by)
    except Refused as refusal:
        await refused(call, "history", resource_type, refusal)
        raise
    except TimeoutError as fault:
        raise TargetDown(server.name, "what this history asks of it takes too long: ask for less") from fault
    rules = tuple(sorted({*judging.decision.by, *by}))
    found = [shown for _, shown in page.shown if shown is not None]
    await limited(call, "history", resource_type, found, rules)
    there = page.any or place != START
    outcome = "permit" if there else "not-found"
    call.seen.update(rules=rules, outcome=outcome, resources=len(page.shown))
    await record(call, "history", resource_type, rules=rules, outcome=outcome, seen=(name,), about=found)
    if not there:
        raise absent(resource_type)
    here = f"{gateway.settings.public_url}/{name}"
    address = f"{here}/_history"
    links = [{"relation": "self", "url": f"{address}?{urlencode(pairs)}" if pairs else address}]
    if page.following is not None:
        token = gateway.paging.token(
            Ticket(call.asking.caller.name, call.asking.purpose, f"{name}/_history", tuple(pairs), view, page.following)
        )
        links.append({"relation": "next", "url": f"{address}?{urlencode({PAGE: token})}"})
    bundle = {
        "resourceType": "Bundle",
        "type": "history",
        **({"total": len(page.shown)} if place == START and page.following is None else {}),
        "link": links,
        "entry": [
            {
                "fullUrl": here,
                **({} if shown is None else {"resource": shaped(gateway, asked, shown)}),
                "request": {"method": "DELETE" if shown is None else "PUT", "url": name},
                "response": _told(entry, shown),
            }
            for entry, shown in page.shown
        ],
    }
    if not bundle["entry"]:
        del bundle["entry"]
    return Reply(FOUND, fhir.dump(bundle), pretty=bool(asked.pretty))


# --- what is asked for -----------------------------------------------------------------------------------------------


def _place(call: Call, here: str, view: str, sent: Pairs) -> tuple[Place, Pairs]:
    """Where the page begins, and the parameters, which a page's token carries. Errors: Refused (400)."""
    tokens = [value for name, value in sent if name == PAGE]
    if not tokens:
        return START, sent
    if len(sent) > 1:
        words = f"{PAGE} carries the whole request: send it alone"
        raise Refused("unreadable", error("invalid", words, PAGE, "HTTP-F06"))
    ticket = call.gateway.paging.ticket(tokens[0])
    own = call.asking.caller.name, call.asking.purpose, here, view
    if ticket is None or (ticket.caller, ticket.purpose, ticket.resource_type, ticket.view) != own:
        words = f"{PAGE} is not a page of this history of this caller, or is too old; ask again without it"
        raise Refused("unreadable", error("expired", words, PAGE, "HTTP-F07"))
    return ticket.place, list(ticket.pairs)


def _wanted(call: Call, resource_type: str, pairs: Pairs) -> Wanted:
    """Which versions are asked for. Errors: Refused (400)."""
    own = [(name, value) for name, value in pairs if name in OWN]
    given = dict(own)
    if len(given) < len(own):
        words = "a history takes _count, _since and _at once each"
        raise Refused("unreadable", error("invalid", words, "_history", "HTTP-F13"))
    at = None if "_at" not in given else _stretch(call, resource_type, given["_at"])
    return Wanted(count_of(call, given.get("_count")), since_of(given.get("_since")), at)


def _stretch(call: Call, resource_type: str, text: str) -> tuple[datetime, datetime]:
    """The time that `_at` names. Errors: Refused (400)."""
    try:
        (clause,) = parsed(call, resource_type, [("_lastUpdated", text)]).clauses
    except Refused:
        found: tuple[object, ...] = ()
    else:
        found = clause.values
    for value in found if len(found) == 1 and text[:1].isdigit() else ():
        if isinstance(value, query.DateValue):
            return value.low, value.high
    words = "_at is a date or a moment, such as 2026-11-22 or 2026-11-22T09:00:00Z"
    raise Refused("unreadable", error("value", words, "_at", "HTTP-F13"))


# --- what is shown ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Seen:
    """A version that the caller sees.

    Shape: `at` is the upstream's page that it stands on, None for its first; `until` is when the next newer version
    that the caller sees was written: a hidden one tells not even that it is there.
    """

    entry: Entry
    shown: Resource | None
    at: str | None
    until: datetime | None


async def _page(
    call: Call, server: FhirServer, judging: Judging, name: tuple[str, str], wanted: Wanted, place: Place, by: set[str]
) -> Versions:
    """One page: there is a next one only where something more would be shown.

    Errors: TargetDown; Refused (400) where too much is looked through.
    """
    found: list[Seen] = []
    seen = False
    async for one in _visible(call, _entries(server, name, wanted.count, place), (server, judging), by):
        seen = True
        written = _written(one.entry)
        if wanted.holds(written, one.until):
            if len(found) == wanted.count:
                last = found[-1]
                return Versions(_shown(found), Place(json.dumps([last.at, _key(last.entry)])), seen)
            found.append(one)
        elif wanted.past(written):
            break
    return Versions(_shown(found), None, seen)


def _shown(found: Sequence[Seen]) -> tuple[tuple[Entry, Resource | None], ...]:
    return tuple((one.entry, one.shown) for one in found)


async def _visible(
    call: Call, pages: AsyncIterator[list[Seen]], judging: tuple[FhirServer, Judging], by: set[str]
) -> AsyncIterator[Seen]:
    """The versions that the caller sees, newest first.

    Shape: a deletion shows nothing by which it could be judged: it is told to those who see the version before it.
    """
    server, by_rules = judging
    deletions: list[Seen] = []
    until: datetime | None = None
    async for page in pages:
        until = until or (page[0].until if page else None)
        stored = [one.entry["resource"] for one in page if "resource" in one.entry]
        await gather(call, server, [(by_rules.facts, by_rules.decision)], stored)
        for one in page:
            if "resource" not in one.entry:
                deletions.append(one)
                continue
            shown = released(call, by_rules.facts, by_rules.decision, by, one.entry["resource"])
            if shown is not None:
                for seen in (*deletions, replace(one, shown=shown)):
                    yield replace(seen, until=until)
                    until = _written(seen.entry) or until
            deletions.clear()


async def _entries(server: FhirServer, name: tuple[str, str], count: int, place: Place) -> AsyncIterator[list[Seen]]:
    """Entries of a history, page by page, behind a place; none where there is no such resource.

    Shape: the `until` of each is when the version at the place was written, which the page before showed.
    Errors: TargetDown; Refused (400) for more than is looked through.
    """
    at, after = json.loads(place.address) if place.address is not None else (None, None)
    answer = await (server.history(*name, count=count) if at is None else server.page(at))
    until: datetime | None = None
    looked = 0
    while answer.status == FOUND:
        bundle = loaded(server, answer)
        page: list[Seen] = []
        for entry in bundle.get("entry", ()):
            if after is None:
                page.append(Seen(entry, None, at, until))
            elif _key(entry) == after:
                after, until = None, _written(entry)
            looked += 1
        yield page
        at = behind(server, bundle, at)
        if at is None:
            return
        if looked >= MOST_LOOKED:
            words = f"this {name[0]} has too many versions to see which of them you may see; ask for less by _since"
            raise Refused("unreadable", error("too-costly", words, None, "HTTP-F13"))
        answer = await server.page(at)


def _key(entry: Entry) -> str:
    """What tells a version from the others of its resource."""
    version = entry.get("resource", {}).get("meta", {}).get("versionId")
    response = entry.get("response", {})
    return str(version or version_of(str(response.get("etag", ""))) or response.get("lastModified"))


def _written(entry: Entry) -> datetime | None:
    """When a version was written, where its server says."""
    told = entry.get("resource", {}).get("meta", {}).get("lastUpdated") or entry.get("response", {}).get("lastModified")
    try:
        moment = datetime.fromisoformat(str(told))
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _told(entry: Entry, shown: Resource | None) -> dict[str, Any]:
    """How a version came about, as far as the upstream says; its tag and time are in the version too."""
    meta, response = (shown or {}).get("meta", {}), entry.get("response", {})
    told = {name: response[name] for name in TOLD if name in response}
    own = {"status": "204 No Content" if shown is None else "200 OK"}
    if "versionId" in meta:
        own["etag"] = f'W/"{meta["versionId"]}"'
    if "lastUpdated" in meta:
        own["lastModified"] = meta["lastUpdated"]
    return {**own, **told}
