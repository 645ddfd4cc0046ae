"""What all interactions with stored resources share: releasing, hiding and recording access.

Source: `facade.md` of the design, "Narrow, then check again"; `rules-language.md`, meaning 10 and 11.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from gateway import fhir
from gateway.interactions.call import Call, Resource, in_scope, readable
from gateway.interactions.gateway import keyed_hash
from gateway.interactions.refused import Refused, error
from gateway.interactions.scopes import bounds
from gateway.interactions.telling import may_tell
from gateway.journal import AuditRow
from gateway.rules import Decision, Facts
from gateway.upstream import Answer, FhirServer, TargetDown

PAGES = frozenset({"searchset", "history"})
BREAK_GLASS = "break-glass"
"""The audit's word for a use of broken glass."""


def released(call: Call, facts: Facts, decision: Decision, by: set[str], resource: Resource) -> Resource | None:
    """Resource as this caller may see it, or nothing where no view releases it; `by` gathers the rules that decided."""
    release = call.gateway.rules.release(facts, decision, resource, call.around)
    by.update(release.by)
    if release.erred:
        call.seen["erred"] = tuple(sorted({*call.seen.get("erred", ()), *release.erred}))
    if not release.released or not in_scope(call, facts.action, resource):
        return None
    return shown_of(call, resource, release.hide)


def shown_of(call: Call, resource: Resource, hide: Collection[str]) -> Resource:
    """A resource that is released, without what of it is hidden; itself where nothing is.

    Shape: what it contains goes along where the caller may read all of it, whole; else none of it does. What its
    references say of their targets goes along where the caller may read these.
    """
    whole = not hide and holds_whole(call, resource)
    seen = resource if whole else fhir.redact(resource, hide, call.gateway.elements)
    told = fhir.untelling(seen, call.gateway.elements, lambda one: may_tell(call, seen, one))
    if told is seen:
        return seen
    # its narrative may say the same
    return fhir.subsetted({name: value for name, value in told.items() if name not in {"text", "_text"}})


def holds_whole(call: Call, resource: Resource) -> bool:
    """Whether the caller may read all that a resource contains."""
    return all(_whole(call, one) for one in resource.get("contained", ()))


def _whole(call: Call, contained: Resource) -> bool:
    """Whether the caller could read a contained resource whole if it stood alone."""
    right = readable(call, str(contained.get("resourceType")))
    if right is None or bounds(call.asking.scopes, "read", str(contained.get("resourceType"))) is not None:
        return False
    release = call.gateway.rules.release(right.facts, right.decision, contained, call.around)
    return release.released and not release.hide


def loaded(server: FhirServer, answer: Answer) -> Resource:
    """Resource of an answer, or the Bundle of a search or history, whose links are still the server's.

    Shape: references to the server's own address are relative in what goes on from here.
    Errors: TargetDown for what is no FHIR resource.
    """
    try:
        found = fhir.load(answer.body)
    except fhir.JsonError as fault:
        raise TargetDown(server.name, "its answer is no FHIR resource") from fault
    if found["resourceType"] != "Bundle" or str(found.get("type")) not in PAGES:
        return server.taken_out(found) if server.names_itself(answer.body) else found
    parts = found.get("link", []), found.get("entry", [])
    if not all(isinstance(part, list) and all(isinstance(one, dict) for one in part) for part in parts):
        raise TargetDown(server.name, "its answer is a Bundle whose links and entries are none")
    told = [one.get(name) for part, name in zip(parts, ("url", "fullUrl"), strict=True) for one in part]
    if not server.names_itself(answer.body, [text for text in told if isinstance(text, str)]):
        return found  # it names itself where its pages and entries are, and nowhere else
    entries = [
        {**entry, "resource": server.taken_out(entry["resource"])} if isinstance(entry.get("resource"), dict) else entry
        for entry in found.get("entry", ())
    ]
    return {**found, **({"entry": entries} if entries else {})}


def absent(resource_type: str) -> Refused:
    """What is answered for a resource that there isn't, or that this caller may not see: the same words for both."""
    return Refused("unreadable", error("not-found", f"there is no such {resource_type}"), status=404)


async def refused(call: Call, action: str, what: str, refusal: Refused) -> None:
    """Write the audit row of a request that is refused, whatever for."""
    call.seen.update(rules=refusal.rules)
    outcome = "denied" if refusal.reason == "denied" else "refused"
    await record(call, action, what, rules=refusal.rules, outcome=outcome)


async def record(
    call: Call, action: str, what: str, *, rules: tuple[str, ...], outcome: str, seen: Sequence[str] = ()
) -> None:
    """Write one audit row before the answer leaves; the ids of what was seen stand in it as keyed hashes.

    Shape: rules that could not be decided are told behind them; where glass is broken, a row of its own tells why.
    """
    gateway, asking = call.gateway, call.asking
    hashes = " ".join(keyed_hash(gateway, name) for name in seen)
    erred = " ".join(("erred:", *call.seen["erred"])) if call.seen.get("erred") else ""
    told = " ".join(filter(None, (what, hashes, erred)))
    row = AuditRow(
        at=gateway.clock().isoformat(), principal=asking.caller.name, user=asking.user, purpose=asking.purpose,
        action=action, what=told, rules=rules, outcome=outcome, digest=gateway.rules.digest,
    )  # fmt: skip
    await gateway.journal.audit(row)
    if asking.reason is not None:
        await gateway.journal.audit(replace(row, action=BREAK_GLASS, what=f"{action} {row.what}: {asking.reason}"))
