"""What all interactions with stored resources share: deciding, releasing, hiding and recording access.

Source: `facade.md` of the design, "Narrow, then check again"; `rules-language.md`, meaning 10 and 11.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from starlette.requests import Request

from gateway import fhir
from gateway.identity import Scope
from gateway.interactions.gateway import Gateway, keyed_hash, of, serving
from gateway.interactions.identify import Asking, identify, reason_of
from gateway.interactions.refused import Refused, error
from gateway.interactions.scoped import Narrowing, settled
from gateway.interactions.scopes import bounds, covers
from gateway.journal import AuditRow
from gateway.rules import Decision, Facts
from gateway.rules.around import Reading, Want, is_patients, kind_of, reading
from gateway.upstream import Answer, FhirServer, TargetDown

TAKEN = ("application/fhir+json", "application/json", "application/*", "*/*", "text/json", "json")
PAGES = frozenset({"searchset", "history"})
PATIENT_CONTEXT = "patient"
BREAK_GLASS = "break-glass"
"""The audit's word for a use of broken glass."""
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
    organisation-code names, for writes; `around` holds what was fetched because rules read it; `rights` what is known
    of the caller's right to read each type. `narrowings` are the queries of the token's scopes, `inside` what each of
    them was found to show, by its id.
    """

    gateway: Gateway
    asking: Asking
    seen: dict[str, Any]
    organisation: str | None = None
    narrowings: Mapping[Scope, Narrowing] = field(default_factory=dict)
    inside: set[tuple[Scope, str]] = field(default_factory=set)
    around: dict[Want, tuple[Mapping[str, Any], ...] | None] = field(default_factory=dict)
    rights: dict[str, Right | None] = field(default_factory=dict)


async def called(request: Request) -> Call:
    """Authenticate a request, and see that it takes an answer of the form that there is.

    Errors: Refused.
    """
    gateway = of(request)
    asking = await identify(request, gateway)
    asking, narrowings = settled(gateway, replace(asking, reason=reason_of(request, asking.caller)))
    call = Call(gateway, asking, request.state.log, narrowings=narrowings)
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
    if not release.released or not in_scope(call, facts.action, resource):
        return None
    return shown_of(call, resource, release.hide)


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


def untold(call: Call, resource: Resource) -> bool:
    """Whether some reference of a resource says of its target what the caller may not read."""
    return not all(may_tell(call, resource, one) for one in fhir.telling(resource, call.gateway.elements))


def readable(call: Call, resource_type: str) -> Right | None:
    """The caller's right to read resources of a type, those that the rules then release; None where it has none."""
    if resource_type not in call.rights:
        facts = call.asking.facts(call.gateway, "read", type=resource_type)
        decision, server = call.gateway.rules.decide(facts), serving(call.gateway, resource_type)
        may = decision.effect == "permit" and covers(call.asking.scopes, "read", resource_type)
        call.rights[resource_type] = Right(facts, decision, server) if may and server is not None else None
    return call.rights[resource_type]


# --- what references say of their targets --------------------------------------------------------------------------

HARMLESS = frozenset({"ContactPoint", "Attachment", "Reference", "BackboneElement", "Annotation"})
"""Types of elements that no display is made of: of a target of which nothing else is hidden, a reference may tell."""


def may_tell(call: Call, resource: Resource, one: fhir.Telling) -> bool:
    """Whether the caller may be told what a reference says of its target: it has to be one that it may read.

    Shape: the type settles most; where the rules judge it resource by resource, the target is in `call.around`, or it
    was not found. A reference that names no target is a text of its own, except where it says whose record this is.
    """
    reference = one.value.get("reference")
    if isinstance(reference, str) and reference.startswith("#"):
        inside = (held.get("id") for held in resource.get("contained", ()))
        return reference == "#" or reference[1:] in inside
    kind = kind_of(one.value, resource)
    if kind is None:
        patients = _of_patients(call, one.path) or is_patients(one.value, call.gateway.tables)
        return reference is None and (not patients or _all_told(call, "Patient"))
    right = readable(call, kind)
    if right is None:
        return False
    return _all_told(call, kind) or _target_told(call, right, reading(reference, (kind,)))


def _of_patients(call: Call, path: str) -> bool:
    """Whether an element says whose record a resource is, or may.

    Source: https://hl7.org/fhir/R4/compartmentdefinition-patient.html
    """
    kind, elements, table = path.partition(".")[0], call.gateway.elements, call.gateway.tables.search_parameters
    found = (table[kind, name].fhirpath.split("|") for name in elements.compartment_parameters(kind))
    paths = {part.strip().partition(".where(")[0] for parts in found for part in parts}
    return path in paths or path.startswith("Extension.")


def _all_told(call: Call, kind: str) -> bool:
    """Whether the caller may be told of all resources of a type."""
    right = readable(call, kind)
    if right is None or bounds(call.asking.scopes, "read", kind) is not None:
        return False
    hide = call.gateway.rules.alike(right.facts, right.decision)
    return hide is not None and _harmless(call, hide)


def _target_told(call: Call, right: Right, name: Reading | None) -> bool:
    """Whether the caller may be told of one resource."""
    found = None if name is None else call.around.get(name)
    if not found:
        return False
    release = call.gateway.rules.release(right.facts, right.decision, found[0], call.around)
    return release.released and in_scope(call, "read", dict(found[0])) and _harmless(call, release.hide)


def _harmless(call: Call, hide: Collection[str]) -> bool:
    found = (call.gateway.elements.resolve(path) for path in hide)
    return all(one is not None and all(ref.code in HARMLESS for ref in one.types) for one in found)


def to_look_up(call: Call, resources: Sequence[Resource]) -> dict[str, list[Reading]]:
    """Targets, by type, that have to be read before it can be said whether references may tell of them."""
    names: dict[Reading, None] = {}
    for resource in resources:
        for one in fhir.telling(resource, call.gateway.elements):
            kind = kind_of(one.value, resource)
            name = None if kind is None else reading(one.value.get("reference"), (kind,))
            if name is not None and readable(call, name.type) is not None and not _all_told(call, name.type):
                names[name] = None
    found: dict[str, list[Reading]] = {}
    for name in names:
        found.setdefault(name.type, []).append(name)
    return found


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
