"""What all interactions with stored resources share: releasing, hiding and recording access.

Source: `facade.md` of the design, "Narrow, then check again"; `rules-language.md`, meaning 10 and 11.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from gateway import fhir
from gateway.interactions.broken_glass import Shown, broken
from gateway.interactions.call import Call, Resource, in_scope, readable
from gateway.interactions.gateway import Gateway, agreements_of, keyed_hash
from gateway.interactions.patients import patients_by
from gateway.interactions.refused import Refused, error
from gateway.interactions.scopes import bounds
from gateway.interactions.telling import may_tell
from gateway.journal import AuditRow
from gateway.rules import Decision, Facts
from gateway.upstream import Answer, FhirServer, TargetDown

PAGES = frozenset({"searchset", "history"})
_PATIENT = "Patient/"
MOST_WHOLE = 5000
"""So many resources are kept as they are stored, of one request that breaks glass: more than a page shows."""


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

    Shape: what it contains goes along where the caller may read all of it, whole; else none of it does, and of a stored
    Bundle no entry. What its references say of their targets goes along where the caller may read these.
    """
    found = _shown(call, resource, hide)
    if found is not resource:
        _remember(call, resource, found)
    return found


def _remember(call: Call, resource: Resource, found: Resource) -> None:
    """Keep of what is shown in part whose it is: the audit asks, and that may be hidden.

    Names alone, for a search may look through many; what is stored only where glass is broken, for routes ask that.
    """
    told, name = patients_by(call.gateway.elements), _name(resource)
    patients, known = call.hidden.get(name, (frozenset(), frozenset()))
    call.hidden[name] = patients.union(told.of(resource)), known.union(told.known(resource))
    if call.asking.reason is not None and len(call.whole) < MOST_WHOLE:
        call.whole[id(found)] = found, call.whole.get(id(resource), (resource, resource))[1]


def _name(resource: Resource) -> str:
    return f"{resource.get('resourceType')}/{resource.get('id')}"


def _shown(call: Call, resource: Resource, hide: Collection[str]) -> Resource:
    holds = holds_whole(call, resource)
    whole = not hide and holds
    seen = resource if whole else fhir.redact(resource, hide, call.gateway.elements)
    if not holds:
        seen = fhir.emptied(seen)
    if call.silent.get(id(resource)) is resource:
        return seen  # what is hidden makes no reference say more
    told = fhir.untelling(seen, call.gateway.elements, lambda one: may_tell(call, seen, one))
    if told is seen:
        return seen
    # its narrative may say the same
    return fhir.subsetted({name: value for name, value in told.items() if name not in {"text", "_text"}})


def holds_whole(call: Call, resource: Resource) -> bool:
    """Whether the caller may read all that a resource contains, and all that a Bundle or Parameters carry."""
    return all(_whole(call, one) for one in fhir.carried(resource))


def _whole(call: Call, contained: Resource) -> bool:
    """Whether the caller could read a contained resource whole, with what that contains, if it stood alone."""
    right = readable(call, str(contained.get("resourceType")))
    if right is None or bounds(call.asking.scopes, "read", str(contained.get("resourceType"))) is not None:
        return False
    release = call.gateway.rules.release(right.facts, right.decision, contained, call.around)
    return release.released and not release.hide and holds_whole(call, contained)


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
    call: Call, action: str, what: str, *, rules: tuple[str, ...], outcome: str, seen: Sequence[str] = (),
    about: Sequence[Resource] = (),
) -> None:  # fmt: skip
    """Write one audit row before the answer leaves; the ids of what was seen stand in it as keyed hashes.

    Shape: `seen` are names (`Patient/1`), `about` what was shown or written of it, by which the patients are known.
    Where glass is broken, a row of its own tells why, and whoever the rules say is told.
    """
    told, every = patients_by(call.gateway.elements), [*fhir.with_carried(about)]
    patients = dict.fromkeys(name for one in every for name in told.of(one))
    patients |= dict.fromkeys(name for name in seen if name.startswith(_PATIENT))
    known = {pair for one in every for pair in told.known(one)}
    for one in about if call.hidden else ():
        more = call.hidden.get(_name(one))
        if more is not None:
            patients |= dict.fromkeys(sorted(more[0]))
            known |= more[1]
    hashed = _Hashes(call.gateway).__getitem__
    row = _row(
        call, action, what, rules, outcome,
        seen=tuple(map(hashed, seen)),
        patients=tuple(map(hashed, patients)),
        known=tuple((hashed(name), hashed(number)) for name, number in sorted(known)),
    )  # fmt: skip
    await call.gateway.journal.audit(row)
    if call.asking.reason is not None:
        stored = tuple(call.whole.get(id(one), (one, one))[1] for one in about)
        await broken(call, row, Shown(stored, tuple(patients), tuple(seen)))


class _Hashes(dict[str, str]):
    """The stand-ins of names, each made once."""

    def __init__(self, gateway: Gateway) -> None:
        super().__init__()
        self._gateway = gateway

    def __missing__(self, name: str) -> str:
        found = self[name] = keyed_hash(self._gateway, name)
        return found


def _row(call: Call, action: str, what: str, rules: tuple[str, ...], outcome: str, **more: Any) -> AuditRow:
    """Who asked for what, and how it was decided; `more` are what was shown and whose that is."""
    gateway, asking, erred = call.gateway, call.asking, tuple(call.seen.get("erred", ()))
    return AuditRow(
        at=gateway.clock().isoformat(), principal=asking.caller.name, user=asking.user, purpose=asking.purpose,
        action=action, what=" ".join((what, "erred:", *erred)) if erred else what, rules=rules, outcome=outcome,
        digest=gateway.rules.digest, agreements=agreements_of(gateway, rules), erred=erred,
        request=call.seen.get("request"), address=asking.address, **more,
    )  # fmt: skip
