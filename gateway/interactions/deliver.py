"""What is handed to targets: at once for an ingest, and later for what the journal queued (`queue.py`).

The order for a FHIR target: read what stands, merge, write in one transaction with `If-Match`; a lost race is merged
again. Source: `conversion.md` of the design, "Update"; `http-interface.md`, "Targets".
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from gateway import fhir
from gateway.fhir import Draft, Resource
from gateway.finding import Finding
from gateway.interactions.gateway import Gateway, Target
from gateway.interactions.refused import Refused, error
from gateway.interactions.target_issues import issues
from gateway.interactions.unchanged import content
from gateway.journal import TargetState
from gateway.rules import Routing
from gateway.upstream import FhirServer, FolderTarget, Name, NotAsked, Standing, TargetDown, Unconnected

MERGES = 4
AGAIN = "merged again"
LOST_RACE = frozenset({409, 412})
LATE = "it did not answer in time"
EVENT = "event"


@dataclass(frozen=True, slots=True)
class Written:
    """What stands under a name after a delivery. Shape: `etag` is the version's id, None where it isn't known."""

    created: bool
    etag: str | None


@dataclass(frozen=True, slots=True)
class Parcel:
    """What one submission hands over.

    Shape: `raw` the body as it came, `drafts` what it was converted to, `told` the instant that it tells of; `written`
    is filled with what stands at the FHIR target then, for a sender that is told (None: it isn't). `event` is what the
    gateway itself tells, where that is all.
    """

    receipt: str
    raw: bytes
    drafts: tuple[Draft, ...]
    told: str
    organisation: str
    domain: str
    written: dict[Name, Written] | None = None
    event: Resource | None = None


def packed(parcel: Parcel) -> bytes:
    """Parcel as the queue keeps it."""
    around = {
        "receipt": parcel.receipt,
        "raw": base64.b64encode(parcel.raw).decode(),
        "drafts": fhir.drafts_to_json(parcel.drafts, told=parcel.told).decode(),
        "organisation": parcel.organisation,
        "domain": parcel.domain,
    }
    return json.dumps(around).encode()


def unpacked(payload: bytes) -> Parcel:
    """Parcel from the queue."""
    around = json.loads(payload)
    if EVENT in around:
        event = around[EVENT]
        return Parcel(str(event["id"]), fhir.dump(event), (), str(event["recorded"]), "", "", event=event)
    drafts, told = fhir.drafts_from_json(around["drafts"].encode())
    raw = base64.b64decode(around["raw"])
    return Parcel(around["receipt"], raw, drafts, told, around["organisation"], around["domain"])


class MayStand(TargetDown):
    """A target that was sent something, and didn't say what became of it."""


class TargetRefused(Exception):  # noqa: N818 - a target's answer, passed on, not an error of the program
    """A target answered 4xx; its issues are `findings`."""

    def __init__(self, target: str, findings: tuple[Finding, ...]) -> None:
        """Keep the target's own issues."""
        super().__init__(target)
        self.target = target
        self.findings = findings


async def deliver(
    gateway: Gateway, routings: Sequence[Routing], parcel: Parcel, deadline: float
) -> tuple[tuple[TargetState, ...], tuple[Finding, ...]]:
    """Hand a parcel to every target of its routes, those that may refuse it first.

    Shape: the state of each target, and what is worth telling. The caller holds the turns of their order keys until it
    has settled. Units: `deadline` on the event loop's clock: a target that has not answered by then counts as down.
    Errors: Refused: `failed` where a target answered 4xx, `down` where one is down and its route says reject; with the
    states of those that had taken it.
    """
    states: list[TargetState] = []
    told: list[Finding] = []
    waiting = await gateway.journal.waiting((routing.target, routing.order_key) for routing in routings)
    for routing in sorted(routings, key=lambda r: r.on_failure != "reject"):
        in_turn = (routing.target, routing.order_key) not in waiting
        state, findings = await _one(gateway, routing, parcel, deadline, tuple(states), in_turn=in_turn)
        states.append(state)
        told.extend(findings)
    return tuple(states), tuple(told)


async def _one(
    gateway: Gateway, routing: Routing, parcel: Parcel, deadline: float, before: tuple[TargetState, ...], *,
    in_turn: bool,
) -> tuple[TargetState, tuple[Finding, ...]]:  # fmt: skip
    if not in_turn:
        return _put_off(gateway, routing, parcel, "earlier messages with the same order key are waiting for it", before)
    try:
        target = target_of(gateway, routing.target)
        async with asyncio.timeout_at(deadline):
            findings = await hand_over(gateway, target, parcel)
    except TargetRefused as fault:
        return _rejected(routing, fault, before)
    except (TargetDown, TimeoutError) as fault:
        why = fault.why if isinstance(fault, TargetDown) else LATE
        return _put_off(gateway, routing, parcel, why, before, unsure=isinstance(fault, MayStand | TimeoutError))
    return TargetState(routing.target, "delivered", None, None, None, None), findings


def _rejected(
    routing: Routing, fault: TargetRefused, before: tuple[TargetState, ...]
) -> tuple[TargetState, tuple[Finding, ...]]:
    """What a target's 4xx means: the message is refused, unless others took it and this one may fail later anyway."""
    why = "; ".join(finding.diagnostics for finding in fault.findings)
    state = TargetState(routing.target, "rejected", None, None, None, why)
    if routing.on_failure == "queue" and before:
        return state, tuple(replace(finding, severity="warning") for finding in fault.findings)
    raise Refused("failed", *fault.findings, rules=(routing.rule,), states=(*before, state)) from fault


def _put_off(
    gateway: Gateway, routing: Routing, parcel: Parcel, why: str, before: tuple[TargetState, ...], *,
    unsure: bool = False,
) -> tuple[TargetState, tuple[Finding, ...]]:  # fmt: skip
    """What a target that is down means, by its route."""
    if routing.on_failure == "reject" or routing.hold is None:
        words = f"target {routing.target} is down: {why}; send the message again later"
        raise Refused(
            "down", error("transient", words, rule=routing.rule), headers={"Retry-After": "10"}, rules=(routing.rule,),
            states=before, unsure=unsure,
        )  # fmt: skip
    until = (gateway.clock() + routing.hold).isoformat()
    words = f"queued for target {routing.target}, which is down: {why}"
    waits = Finding("information", "informational", words, rule=routing.rule)
    return TargetState(routing.target, "queued", packed(parcel), routing.order_key, until, why), (waits,)


def target_of(gateway: Gateway, name: str) -> Target:
    """A target by its name.

    Errors: TargetDown for one without an address.
    """
    target = gateway.targets.get(name)
    if target is None:
        raise TargetDown(name, "no address is configured for it")
    return target


async def hand_over(gateway: Gateway, target: Target, parcel: Parcel) -> tuple[Finding, ...]:
    """Give one target its form of a parcel.

    Errors: TargetDown, TargetRefused.
    """
    if isinstance(target, FhirServer):
        return await _write(gateway, target, parcel) if parcel.event is None else await _tell(target, parcel.event)
    if isinstance(target, FolderTarget) and parcel.event is not None:
        await target.deliver(parcel.raw, parcel.receipt, "json")
        return ()
    with _sending():
        answer = await target.deliver(parcel.raw, parcel.receipt)
    if answer.status >= 400:  # noqa: PLR2004 - HTTP's first client error
        raise TargetRefused(target.name, issues(target.name, answer))
    return ()


@contextmanager
def _sending() -> Iterator[None]:
    """Around what changes a target.

    Errors: MayStand where it isn't known whether it did; TargetDown where it didn't.
    """
    try:
        yield
    except (NotAsked, Unconnected):
        raise
    except TargetDown as fault:
        raise MayStand(fault.target, fault.why) from fault


async def _tell(server: FhirServer, event: Resource) -> tuple[Finding, ...]:
    """Write what the gateway tells under its own id; where it stands, it was told before."""
    name = event["resourceType"], event["id"]
    if name not in await server.read_many([name]):
        answer = await server.write([(event, None)])
        if answer.status >= 400 and answer.status not in LOST_RACE:  # noqa: PLR2004 - HTTP's first client error
            raise TargetRefused(server.name, issues(server.name, answer))
    return ()


async def _write(gateway: Gateway, server: FhirServer, parcel: Parcel) -> tuple[Finding, ...]:
    """Merge into what stands and write in one transaction, again where another was quicker.

    Those who lost a race go one after the other: of many that tell of the same new ward at once, only one would get
    through each time.
    """
    for times in range(MERGES):
        turn = {server.name: AGAIN} if times else {}
        async with gateway.order.turns(turn.items()):
            findings = await _attempted(gateway, server, parcel)
        if findings is not None:
            return findings
    raise TargetDown(server.name, f"others changed the same resources {MERGES} times in a row")


async def _attempted(gateway: Gateway, server: FhirServer, parcel: Parcel) -> tuple[Finding, ...] | None:
    """What is worth telling of what was written, or nothing where another changed the same resources meanwhile."""
    names = [(draft.resource["resourceType"], draft.resource["id"]) for draft in parcel.drafts]
    standing = await server.read_many(names)
    changes, findings = _merged(gateway, server.name, parcel, standing)
    if changes:
        with _sending():
            answer = await server.write(changes)
        if answer.status in LOST_RACE:
            return None
        if answer.status >= 400:  # noqa: PLR2004 - HTTP's first client error
            raise TargetRefused(server.name, issues(server.name, answer))
    await _note(server, parcel, standing)
    return findings


async def _note(server: FhirServer, parcel: Parcel, before: Mapping[Name, Standing]) -> None:
    """Note which versions stand now; that they can't be read any more changes nothing about what was written."""
    if parcel.written is None:
        return
    names = [(draft.resource["resourceType"], draft.resource["id"]) for draft in parcel.drafts]
    try:
        now = await server.read_many(names)
    except TargetDown:
        now = {}
    for name in names:
        stands = now.get(name)
        parcel.written[name] = Written(name not in before, None if stands is None else stands.etag)


def _merged(
    gateway: Gateway, server: str, parcel: Parcel, standing: Mapping[Name, Standing]
) -> tuple[list[tuple[Resource, str | None]], tuple[Finding, ...]]:
    """What has to be written, each with the version that it was merged into, and what is worth telling."""
    changes: list[tuple[Resource, str | None]] = []
    findings: list[Finding] = []
    for draft in parcel.drafts:
        name = draft.resource["resourceType"], draft.resource["id"]
        stands = standing.get(name)
        if stands is not None and draft.only_new:
            continue
        if stands is None:
            merged = gateway.merging.merge(None, draft, told=parcel.told)
        else:
            key, told = (server, *name, stands.etag), content(draft)
            if gateway.unchanged.knows(key, told):
                continue
            resource = stands.resource
            _check_owner(gateway, server, resource, parcel.organisation)
            _check_subject(gateway, server, resource, draft.resource)
            merged = gateway.merging.merge(resource, draft, told=parcel.told)
            if merged.resource is None and not merged.stale:
                gateway.unchanged.learn(key, told)
        if merged.stale:
            findings.append(_stale(name[0]))
        if merged.resource is not None:
            changes.append((merged.resource, stands.etag if stands else None))
    return changes, tuple(dict.fromkeys(findings))


def _check_owner(gateway: Gateway, server: str, standing: Resource, organisation: str) -> None:
    """Whether a resource is the sender's to change: of a type that says whose it is, only those who told it may.

    Errors: TargetRefused.
    """
    kind = standing["resourceType"]
    if not any(path.startswith(f"{kind}.") for path in gateway.tables.filled):
        return
    organisations, _ = fhir.contributors(standing, gateway.merging.marks)
    if organisations and organisation.upper() not in organisations:
        words = (
            f"the stored {kind} with this identifier is another organisation's, which alone may change it; refer to it "
            "without telling it anew, or name your own by an identifier of your own"
        )
        raise TargetRefused(server, (error("conflict", words, kind, "DLV-02"),))


def _check_subject(gateway: Gateway, server: str, standing: Resource, told: Resource) -> None:
    """Whether a resource still speaks of the same patient; one that moved would be lost to the first.

    Errors: TargetRefused.
    """
    kind = told["resourceType"]
    for element in ("subject", "patient"):
        old, new = _references(standing.get(element)), _references(told.get(element))
        # what is replaced whole would lose its patient where it names none, and could be given another the next time
        if old and not old & new and (new or not gateway.merging.merges(kind)):
            words = f"the stored {kind} with this identifier is of another patient; give each its own, or merge the two"
            if not new:
                words = f"the stored {kind} with this identifier names its patient, and this one names none; name it"
            raise TargetRefused(server, (error("conflict", words, f"{kind}.{element}", "DLV-01"),))


def _references(value: Any) -> set[str]:
    """What a reference, or a list of them (Account.subject), refers to."""
    found = value if isinstance(value, list) else [value]
    return {each["reference"] for each in found if isinstance(each, dict) and isinstance(each.get("reference"), str)}


def _stale(resource_type: str) -> Finding:
    return Finding(
        "information", "informational",
        f"the stored {resource_type} was told of by a later message, so this one left it as it is", resource_type,
    )  # fmt: skip
