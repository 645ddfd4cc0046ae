"""One request for stored resources: who asks, what was found out for it, and what it may by type.

Source: `facade.md` of the design, "Narrow, then check again"; `rules-language.md`, meaning 10 and 11.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from starlette.requests import Request

from gateway.identity import Scope
from gateway.interactions.at_the_door import turned_away
from gateway.interactions.gateway import Gateway, decided, of, serving
from gateway.interactions.identify import Asking, identify, reason_of
from gateway.interactions.refused import Refused, error
from gateway.interactions.scoped import Narrowing, settled
from gateway.interactions.scopes import bounds, covers
from gateway.rules import Decision, Facts
from gateway.rules.around import Reading, Want
from gateway.upstream import FhirServer
from gateway.upstream.asker import ASKER

TAKEN = ("application/fhir+json", "application/json", "application/*", "*/*", "text/json", "json")
PATIENT_CONTEXT = "patient"
Resource = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Right:
    """The right to read a type: what it was decided for, how, and where the type is."""

    facts: Facts
    decision: Decision
    server: FhirServer


@dataclass(frozen=True, slots=True)
class Call:
    """One request for stored resources, sent alone or as an entry of a Bundle.

    Shape: `seen` gathers what the log line of the request tells; `organisation` is the one that header
    organisation-code names, for writes; `around` holds what was fetched because rules read it, and `sought` names what
    was looked for of it; `rights` what is known of the caller's right to read each type; `hidden` whose each resource
    is that is shown in part, with the numbers of patients, by its name, and `whole` such resources as they are stored,
    where glass is broken. `narrowings` are the queries of the token's scopes, `inside` what each of them was found to
    show, by its id. `silent` are resources, of those that were gathered for last, whose references tell nothing of
    their targets, by their identity.
    """

    gateway: Gateway
    asking: Asking
    seen: dict[str, Any]
    organisation: str | None = None
    narrowings: Mapping[Scope, Narrowing] = field(default_factory=dict)
    inside: set[tuple[Scope, str]] = field(default_factory=set)
    around: dict[Want, tuple[Mapping[str, Any], ...] | None] = field(default_factory=dict)
    sought: set[tuple[Want, str]] = field(default_factory=set)
    rights: dict[str, Right | None] = field(default_factory=dict)
    hidden: dict[str, tuple[frozenset[str], frozenset[tuple[str, str]]]] = field(default_factory=dict)
    whole: dict[int, tuple[Resource, Resource]] = field(default_factory=dict)
    silent: dict[int, Resource] = field(default_factory=dict)


async def called(request: Request) -> Call:
    """Authenticate a request, and see that it takes an answer of the form that there is.

    Errors: Refused.
    """
    gateway = of(request)
    asking = await identify(request, gateway)
    try:
        reason = reason_of(request, asking.caller)
        asking, narrowings = settled(gateway, asking if reason is None else replace(asking, reason=reason))
        check_format(request)
    except Refused as refusal:
        await turned_away(request, gateway, refusal)
        raise
    ASKER.set(asking.caller.name)
    return Call(gateway, asking, request.scope["state"]["log"], narrowings=narrowings)


def check_format(request: Request) -> None:
    """Whether the client takes JSON.

    Errors: Refused (406) where `_format` or `Accept` names other forms alone.
    Source: https://hl7.org/fhir/R4/http.html#mime-type
    """
    formats = request.query_params.getlist("_format") if request.scope["query_string"] else ()
    check_taken(formats or request.headers.get("accept", "*/*").split(","))


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
    decision = decided(gateway, facts)
    if decision.effect != "permit":
        findings = (*decision.findings, *decision.wanting)
        ids = decision.by or tuple(dict.fromkeys(finding.rule for finding in findings if finding.rule))
        raise Refused("unreadable" if decision.unusable else "denied", *findings, rules=ids)
    return decision


def readable(call: Call, resource_type: str) -> Right | None:
    """The caller's right to read resources of a type, those that the rules then release; None where it has none."""
    if resource_type not in call.rights:
        facts = call.asking.facts(call.gateway, "read", type=resource_type)
        decision, server = decided(call.gateway, facts), serving(call.gateway, resource_type)
        may = decision.effect == "permit" and covers(call.asking.scopes, "read", resource_type)
        call.rights[resource_type] = Right(facts, decision, server) if may and server is not None else None
    return call.rights[resource_type]


def in_scope(call: Call, action: str, resource: Resource) -> bool:
    """Whether the scopes of the token leave a resource that the rules release."""
    kind, held = str(resource.get("resourceType")), call.asking.scopes
    found = bounds(held, action, kind)
    return found is None or any(_fits(call, scope, kind, resource) for scope in found)


def _fits(call: Call, scope: Scope, kind: str, resource: Resource) -> bool:
    """Whether a resource is one that a scope is for."""
    if scope.context == PATIENT_CONTEXT:
        about = call.gateway.rules.subjects.get(kind)
        named = Reading("Patient", call.asking.scopes.patient or "")
        if about is None or any(one != named for one in about(resource)):
            return False
    return not scope.query or (scope, str(resource.get("id"))) in call.inside
