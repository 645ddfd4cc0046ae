"""`$everything` of a patient, by GET and POST: it, and what refers to it, type by type, as this caller could search.

Of each type comes what the rules release to this operation and to a search by the patient, both; a type that the caller
may not search so is left out.
Source: https://hl7.org/fhir/R4/operation-patient-everything.html
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from gateway import fhir, query
from gateway.interactions import respond
from gateway.interactions.access import absent, record, refused
from gateway.interactions.around import gather, referred
from gateway.interactions.call import Call, Resource, called, served
from gateway.interactions.filling import Releasing, filled
from gateway.interactions.headers import shown
from gateway.interactions.judging import Permitted, narrowed, own
from gateway.interactions.limits import limited
from gateway.interactions.operation import Operating, only_known, operating, released_by_both
from gateway.interactions.paging import START, Place, Ticket
from gateway.interactions.parameters import Pairs, joined
from gateway.interactions.parameters import asked as asked_of
from gateway.interactions.refused import Refused, error
from gateway.interactions.respond import Reply
from gateway.specs import SearchParameter

EVERYTHING = "everything"
ACTION = f"operation {EVERYTHING}"
PATIENT = "Patient"
TAKEN = ("_since", "_type", "_count", "_page", "_format", "_pretty")
FOUND = 200
MOST_SEARCHES = 40
"""Searches of one page; what is left of them comes with the next."""


@dataclass(frozen=True, slots=True)
class Part:
    """One of the searches that it is made of.

    Shape: `before` are the parameters of the same type that were asked by before: what refers by them came then.
    """

    under: Operating
    search: Permitted
    before: tuple[SearchParameter, ...] = ()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a client asks for."""

    since: datetime | None
    types: frozenset[str] | None
    count: int


async def everything(request: Request) -> Response:
    """Answer with a page of it.

    Errors: Refused: 404 both for a patient that there isn't and for one that this caller may not see; 400, 403;
    TargetDown, JournalUnavailable.
    """
    call, path = await called(request), request.path_params
    resource_type, id_ = path["type"], path["id"]
    try:
        _check_type(resource_type)
        served(call.gateway, PATIENT)
        operating(call, EVERYTHING, PATIENT)
        sent = joined(await asked_of(request, call.gateway), "_type")
        only_known(sent, TAKEN)
        pairs, ticket = _ticket(call, sent, id_)
        wanted = _wanted(call, pairs)
        parts = tuple(_parts(call, id_))
        view = " ".join((call.gateway.rules.digest, *(name for part in parts for name in _by(part))))
        if ticket is not None and ticket.view != view:
            raise _no_page()
        by: set[str] = set()
        await _check_patient(call, parts, by)
        found, following = await _page(call, parts, wanted, START if ticket is None else ticket.place, by)
    except Refused as refusal:
        await refused(call, ACTION, PATIENT, refusal)
        raise
    names = [f"{one['resourceType']}/{one['id']}" for one in found]
    rules = tuple(sorted({*(name for part in parts for name in _by(part)), *by}))
    await limited(call, ACTION, PATIENT, found, rules)
    call.seen.update(rules=rules, resources=len(found), outcome="permit")
    await record(call, ACTION, PATIENT, rules=rules, outcome="permit", seen=names, about=found)
    base, here = call.gateway.settings.public_url, _here(id_)
    links = {"self": f"{base}/{here}" + (f"?{urlencode(pairs)}" if pairs else "")}
    if following is not None:
        token = call.gateway.paging.token(
            Ticket(call.asking.caller.name, call.asking.purpose, here, tuple(pairs), view, following)
        )
        links["next"] = f"{base}/{here}?{urlencode({'_page': token})}"
    entries = [(f"{base}/{name}", one, "match") for name, one in zip(names, found, strict=True)]
    bundle = fhir.dump(fhir.searchset(entries, links=links))  # type: ignore[arg-type]  # "match" is one of its modes
    return respond.reply(Reply(FOUND, bundle, pretty=dict(pairs).get("_pretty") == "true"))


def _check_type(resource_type: str) -> None:
    if resource_type != PATIENT:
        words = f"${EVERYTHING} is for a Patient here: GET /Patient/[id]/${EVERYTHING}"
        raise Refused("unreadable", error("not-supported", words, None, "HTTP-O04"), status=404)


def _here(id_: str) -> str:
    return f"{PATIENT}/{id_}/${EVERYTHING}"


def _ticket(call: Call, sent: Pairs, id_: str) -> tuple[list[tuple[str, str]], Ticket | None]:
    """The parameters, which a page's token carries. Errors: Refused."""
    token = dict(sent).get("_page")
    if token is None:
        return sent, None
    if len(sent) > 1:
        words = "_page carries the whole request: send it alone"
        raise Refused("unreadable", error("invalid", words, "_page", "HTTP-F06"))
    ticket = call.gateway.paging.ticket(token)
    mine = call.asking.caller.name, call.asking.purpose, _here(id_)
    if ticket is None or (ticket.caller, ticket.purpose, ticket.resource_type) != mine:
        raise _no_page()
    return list(ticket.pairs), ticket


def _no_page() -> Refused:
    words = "_page is not a page of this request by this caller, or is too old; ask again without it"
    return Refused("unreadable", error("expired", words, "_page", "HTTP-F07"))


def _wanted(call: Call, pairs: Sequence[tuple[str, str]]) -> Wanted:
    """Errors: Refused (400)."""
    sent = dict(pairs)
    return Wanted(since_of(sent.get("_since")), types_of(call, sent.get("_type")), count_of(call, sent.get("_count")))


def count_of(call: Call, text: str | None) -> int:
    """How many resources a page holds. Errors: Refused (400)."""
    settings = call.gateway.settings
    count = str(settings.page_size) if text is None else text
    if not (count.isascii() and count.isdigit() and int(count[:9]) > 0):
        raise Refused("unreadable", error("value", "_count is a number above 0", "_count", "HTTP-O05"))
    return min(int(count[:9]), settings.page_limit)


def since_of(text: str | None) -> datetime | None:
    """The moment of `_since`. Errors: Refused (400)."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError as fault:
        words = "_since is an instant, such as 2026-11-22T09:00:00Z"
        raise Refused("unreadable", error("value", words, "_since", "HTTP-O05")) from fault
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def types_of(call: Call, text: str | None) -> frozenset[str] | None:
    """The types of `_type`. Errors: Refused (400) for a name that is none."""
    if text is None:
        return None
    named = frozenset(text.split(","))
    strangers = sorted(name for name in named if not call.gateway.elements.is_resource(name))
    if strangers:
        words = f"_type names FHIR R4 resource types, separated by commas; {shown(strangers[0])} is none"
        raise Refused("unreadable", error("value", words, "_type", "HTTP-O05"))
    return named


def changed_since(resource: Mapping[str, object], since: datetime | None) -> bool:
    """Whether a resource was written at a moment or after; one that doesn't say when was not."""
    if since is None:
        return True
    meta = resource.get("meta")
    told = meta.get("lastUpdated") if isinstance(meta, dict) else None
    try:
        moment = datetime.fromisoformat(str(told))
    except ValueError:
        return False
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)) >= since


# --- what it is made of ----------------------------------------------------------------------------------------------


def _parts(call: Call, id_: str) -> Iterator[Part]:
    """The searches that this caller may make: the patient itself, then each type by each way to refer to a patient.

    Errors: Refused where it may not search for the patient.
    """
    gateway = call.gateway
    itself = query.narrow(query.Query(PATIENT), "_id", [id_], gateway.tables)
    yield Part(operating(call, EVERYTHING, PATIENT), own(call, itself))
    for kind in sorted(gateway.rules.served):
        if kind == PATIENT or not gateway.elements.in_patient_compartment(kind):
            continue
        before: list[SearchParameter] = []
        for name in gateway.elements.compartment_parameters(kind):
            parameter = gateway.tables.search_parameters[kind, name]
            try:
                under = operating(call, EVERYTHING, kind)
                asked = query.narrow(query.Query(kind), name, [f"{PATIENT}/{id_}"], gateway.tables)
                search = own(call, asked)
            except Refused:
                continue  # this caller may not search so: what it may does not depend on what is stored
            yield Part(under, search, tuple(before))
            before.append(parameter)


def _by(part: Part) -> tuple[str, ...]:
    return *part.under.decision.by, *(rule for one in part.search.judgings for rule in one.decision.by)


def _releasing(call: Call, part: Part, wanted: Wanted, by: set[str], patient: str) -> Releasing:
    """How what a search finds is judged, by the operation's rules and the search's own."""
    judgings = [(one.facts, one.decision) for one in part.search.judgings]

    async def ready(resources: Sequence[Resource]) -> None:
        every = [*judgings, (part.under.facts, part.under.decision)]
        await gather(call, part.search.server, every, resources)

    def release(resource: Resource) -> Resource | None:
        seen = (released_by_both(call, part.under, facts, decision, by, resource) for facts, decision in judgings)
        found = next((one for one in seen if one is not None), None)
        if found is None or not changed_since(found, wanted.since):
            return None
        came = any("/".join(name) == patient for one in part.before for name in referred(call, one, found))
        return None if came else found

    return Releasing(ready, release, judged=True)


async def _check_patient(call: Call, parts: Sequence[Part], by: set[str]) -> None:
    """Whether the caller sees the patient. Errors: Refused (404)."""
    found, _ = await _page(call, parts[:1], Wanted(None, None, 1), START, by)
    if not found:
        raise absent(PATIENT)


async def _page(
    call: Call, parts: Sequence[Part], wanted: Wanted, place: Place, by: set[str]
) -> tuple[list[Resource], Place | None]:
    """A page, and where the next one begins: the number of the search, and the place in it."""
    number, at = (0, START) if place.address is None else _within(place)
    found: list[Resource] = []
    patient = f"{PATIENT}/{parts[0].search.asked.clauses[0].values[0].raw}"
    for _ in range(MOST_SEARCHES):
        part = parts[number]
        if wanted.types is None or part.search.asked.type in wanted.types:
            asked = replace(part.search.asked, count=wanted.count - len(found), total="none")
            sent = narrowed(call.gateway, part.search.judgings, asked)
            if sent is not None:
                releasing = _releasing(call, part, wanted, by, patient)
                page = await filled(part.search.server, sent, at, releasing, limit=call.gateway.settings.page_limit)
                found += page.resources
                if page.following is not None:
                    return found, _beyond(number, page.following)
        number, at = number + 1, START
        if number == len(parts):
            return found, None
        if len(found) == wanted.count:
            break
    return found, _beyond(number, START)


def _beyond(number: int, place: Place) -> Place:
    return Place(json.dumps([number, place.address]), place.skip, place.asked)


def _within(place: Place) -> tuple[int, Place]:
    number, address = json.loads(place.address or "[0, null]")
    return int(number), Place(address, place.skip)
