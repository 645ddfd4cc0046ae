"""An account as data: what `--format json` prints, and what the page is made from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from gateway.finding import Finding
from gateway.hl7v2 import Message
from gateway.language import nodes
from gateway.rules.account.explain import Account
from gateway.rules.account.judge import Judged
from gateway.rules.account.nearest import Nearest
from gateway.rules.account.release import Released
from gateway.rules.account.sight import Repetition
from gateway.rules.account.walk import Seen
from gateway.rules.account.words import Titles, condition, titles
from gateway.rules.decision import Routing
from gateway.rules.declared import Check, Forbid, Mask, Permit, Registry, Route
from gateway.rules.facts import Caller

Data = dict[str, Any]

KINDS: Mapping[type, str] = {Permit: "permit", Forbid: "forbid", Mask: "mask", Check: "check", Route: "route"}

_OUTCOMES: Mapping[str, tuple[str, str, str]] = {
    "permit": ("grants", "does not grant", "could not be decided, so it grants nothing"),
    "forbid": ("forbids", "does not apply", "could not be decided, so it forbids"),
    "mask": ("hides", "does not apply", "could not be decided, so it hides"),
    "check": ("found something", "found nothing", "could not be decided"),
    "route": ("leads", "does not lead", "could not be decided, so it leads nowhere"),
}
"""What a rule did, where its outcome is true, false and undecided."""


def account(found: Account, registry: Registry) -> Data:
    """An account as JSON values. Shape: it holds what was sent; `values` are by what was read."""
    names = titles(registry)
    facts = found.facts
    return {
        "effect": found.effect,
        "digest": found.decision.digest,
        "asked": {
            "action": facts.action, "principal": facts.caller.name, "organisation": facts.organisation,
            "domain": facts.domain, "dataType": facts.data_type, "type": facts.type, "purpose": facts.purpose,
            "user": facts.user, "environment": facts.environment, "now": facts.now.isoformat(),
        },
        "by": list(found.by),
        "erred": list(found.erred),
        "findings": [_finding(finding) for finding in found.findings],
        "wanting": [_finding(finding) for finding in found.decision.wanting],
        "convertedWith": list(found.overlays),
        "routes": [_leg(routing) for routing in found.routes],
        "notices": [_leg(routing) for routing in found.notices],
        "rules": [rule(judged, names) for judged in (*found.deciding(), *found.others())],
        "nearest": None if found.nearest is None else nearest(found.nearest, names),
    }  # fmt: skip


def _leg(routing: Routing) -> Data:
    hold = routing.hold
    return {**routing._asdict(), "hold": None if hold is None else int(hold.total_seconds())}


def _finding(finding: Finding) -> Data:
    return {name: value for name, value in asdict(finding).items() if value is not None}


def release(found: Released, registry: Registry) -> Data:
    """What becomes of one resource that came back, as JSON values."""
    names = titles(registry)
    return {
        "resource": found.name,
        "released": found.released,
        "by": list(found.by),
        "erred": list(found.erred),
        "hide": sorted(found.decided.hide),
        "rules": [rule(judged, names) for judged in found.rules],
    }


def rule(judged: Judged, names: Titles) -> Data:
    """One rule with what became of it."""
    own = judged.rule
    return {
        "id": own.id,
        "kind": KINDS[type(own)],
        "title": own.title,
        "place": f"{own.span.source.name}:{own.span.line}",
        "source": own.span.text.rstrip(),
        "outcome": judged.outcome,
        "did": did(judged),
        "asked": judged.asked,
        "closed": list(judged.closed),
        "clauses": [{"clause": c.word, "at": c.at, "condition": seen(c.seen, names)} for c in judged.clauses],
        "findings": [_finding(finding) for finding in judged.findings],
    }


def did(judged: Judged) -> str:
    """What a rule did, in words."""
    if not judged.asked:
        return "was not come to"
    yes, no, undecided = _OUTCOMES[KINDS[type(judged.rule)]]
    if judged.outcome is None and judged.routes:  # of broken glass
        return "could not be decided, so it leads all the same"
    return undecided if judged.outcome is None else yes if judged.outcome else no


def nearest(found: Nearest, names: Titles) -> Data:
    """The nearest permit, with what kept it from granting."""
    return {
        **rule(found.judged, names),
        "failed": [seen(one, names) for one in found.failed],
        "lacks": list(found.lacks),
    }


def seen(found: Seen, names: Titles) -> Data:
    """One condition with what was seen."""
    return {
        "text": " ".join(found.test.span.text.split()),
        "place": str(found.test.span),
        "words": condition(found.test, names),
        "outcome": found.outcome,
        "asked": found.asked,
        "absent": found.absent,
        "why": found.why,
        "values": dict(values(found)),
        "parts": [seen(part, names) for part in found.parts],
    }


def values(found: Seen) -> Iterable[tuple[str, Any]]:
    """What a condition read, by how the author called it; literals say nothing."""
    for read in found.reads:
        if isinstance(read.operand, nodes.Literal) or isinstance(read.value, Caller | Message):
            continue
        name = read.operand.span.text
        if isinstance(found.test, nodes.Phrased) and read.operand is found.test.left:
            name = f"{name} {found.test.phrase}"
        if isinstance(read.value, Mapping) and "resourceType" in read.value:
            yield from _of_resource(name, found.test, read.value)
        else:
            yield name, plain(read.value)


def _of_resource(name: str, test: nodes.Test, resource: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    """Of a whole resource, which one it is and what the condition asked it for."""
    yield name, f"{resource['resourceType']}/{resource.get('id')}"
    if isinstance(test, nodes.HasAge):
        yield f"{name}.birthDate", plain(resource.get("birthDate"))


def plain(value: Any) -> Any:
    """A value as JSON has it: lists in order, days and instants as ISO's."""
    match value:
        case None | bool() | int() | str():
            return value
        case frozenset() | set():
            return sorted(map(plain, value), key=str)
        case Repetition():
            return f"repetition {value.number}"
        case Mapping():
            return {str(k): plain(v) for k, v in value.items()}
        case Sequence():
            return [plain(one) for one in value]
        case _ if hasattr(value, "isoformat"):
            return value.isoformat()
        case _:
            return str(value)
