"""What all interactions with stored resources share: deciding, releasing, hiding and recording access.

Source: `facade.md` of the design, "Narrow, then check again"; `rules-language.md`, meaning 10 and 11.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from starlette.requests import Request

from gateway import fhir
from gateway.interactions.gateway import Gateway, keyed_hash, of, serving
from gateway.interactions.identify import Asking, identify, reason_of
from gateway.interactions.refused import Refused, error
from gateway.interactions.scopes import covers
from gateway.journal import AuditRow
from gateway.rules import Decision, Facts
from gateway.rules.around import Want
from gateway.upstream import Answer, FhirServer, TargetDown

TAKEN = ("application/fhir+json", "application/json", "application/*", "*/*", "text/json", "json")
BREAK_GLASS = "break-glass"
"""The audit's word for a use of broken glass."""
Resource = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """One request for stored resources, sent alone or as an entry of a Bundle.

    Shape: `seen` gathers what the log line of the request tells; `organisation` is the one that header
    organisation-code names, for writes; `around` holds what was fetched because rules read it.
    """

    gateway: Gateway
    asking: Asking
    seen: dict[str, Any]
    organisation: str | None = None
    around: dict[Want, tuple[Mapping[str, Any], ...] | None] = field(default_factory=dict)


async def called(request: Request) -> Call:
    """Authenticate a request, and see that it takes an answer of the form that there is.

    Errors: Refused.
    """
    gateway = of(request)
    asking = await identify(request, gateway)
    call = Call(gateway, replace(asking, reason=reason_of(request, asking.caller)), request.state.log)
    check_format(request)
    return call


def check_format(request: Request) -> None:
    """Whether the client takes JSON.

    Errors: Refused (406) where `_format` or `Accept` names other forms alone.
    Source: https://hl7.org/fhir/R4/http.html#mime-type
    """
    check_taken(request.query_params.getlist("_format") or request.headers.get("accept", "*/*").split(","))


def check_taken(wanted: Sequence[str]) -> None:
    """Whether one of these media types is JSON.

    Errors: Refused (406).
    """
    if not any(name.partition(";")[0].strip().lower() in TAKEN for name in wanted):
        raise Refused(
            "media-type",
            error("not-supported", "answers are in JSON alone; ask for application/fhir+json", "Accept", "HTTP-F01"),
            status=406,
        )


def served(gateway: Gateway, resource_type: str) -> FhirServer:
    """Server that holds a type.

    Errors: Refused (404) for a name that is no R4 resource type, (403) where no rule serves it.
    """
    if not gateway.elements.is_resource(resource_type):
        raise Refused(
            "unreadable", error("not-found", f"{resource_type} is no FHIR R4 resource type", None, "HTTP-F02"),
            status=404,
        )  # fmt: skip
    server = serving(gateway, resource_type)
    if server is None:
        raise Refused("denied", error("forbidden", f"no rule lets anybody see {resource_type} here", None, "HTTP-F03"))
    return server


def permitted(gateway: Gateway, facts: Facts) -> Decision:
    """Decide a request for stored resources.

    Errors: Refused: 400 for a parameter that nobody may use, 403 with what is missing.
    """
    decision = gateway.rules.decide(facts)
    if decision.effect != "permit":
        findings = (*decision.findings, *decision.wanting)
        ids = decision.by or tuple(dict.fromkeys(finding.rule for finding in findings if finding.rule))
        raise Refused("unreadable" if decision.unusable else "denied", *findings, rules=ids)
    return decision


def released(call: Call, facts: Facts, decision: Decision, by: set[str], resource: Resource) -> Resource | None:
    """Resource as this caller may see it, or nothing where no view releases it; `by` gathers the rules that decided."""
    release = call.gateway.rules.release(facts, decision, resource, call.around)
    by.update(release.by)
    if release.erred:
        call.seen["erred"] = tuple(sorted({*call.seen.get("erred", ()), *release.erred}))
    if not release.released:
        return None
    return shown_of(call, resource, release.hide)


def shown_of(call: Call, resource: Resource, hide: Collection[str]) -> Resource:
    """A resource that is released, without what of it is hidden; itself where nothing is.

    Shape: what it contains goes along where the caller may read all of it, whole; else none of it does.
    """
    whole = not hide and all(_readable(call, one) for one in resource.get("contained", ()))
    return resource if whole else fhir.redact(resource, hide)


def _readable(call: Call, contained: Resource) -> bool:
    """Whether the caller could read a contained resource whole if it stood alone."""
    kind = str(contained.get("resourceType"))
    if not covers(call.asking.scopes, "read", kind):
        return False
    facts = call.asking.facts(call.gateway, "read", type=kind)
    release = call.gateway.rules.release(facts, call.gateway.rules.decide(facts), contained, call.around)
    return release.released and not release.hide


def loaded(server: FhirServer, answer: Answer) -> Resource:
    """Resource of an answer.

    Errors: TargetDown for what is no FHIR resource.
    """
    try:
        return fhir.load(answer.body)
    except fhir.JsonError as fault:
        raise TargetDown(server.name, "its answer is no FHIR resource") from fault


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
