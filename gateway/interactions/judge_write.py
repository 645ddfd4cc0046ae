"""How the rules judge a write: who may, what stands there, what would stand then.

Source: `rules-language.md` of the design, meaning 7, 10 and 11; `facade.md`, "Narrow, then check again"
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC

from gateway import fhir
from gateway.finding import Finding, refuses
from gateway.interactions.access import absent, holds_whole
from gateway.interactions.call import Call, Resource, in_scope, permitted, served
from gateway.interactions.conditions import ANY
from gateway.interactions.gateway import Gateway
from gateway.interactions.headers import listed
from gateway.interactions.refused import Refused, error
from gateway.interactions.respond import instant
from gateway.interactions.scopes import check_access
from gateway.interactions.sent import Sent, check_conditions, check_fit
from gateway.interactions.telling import untold
from gateway.rules import Decision, Facts, Release
from gateway.upstream import FhirServer, Standing, TargetDown

DOING = {"create": "replace", "update": "replace", "patch": "change", "delete": "delete"}


@dataclass(frozen=True, slots=True)
class View:
    """What one action may do with a type: the facts that it was decided for, and the decision."""

    facts: Facts
    decision: Decision

    def release(self, call: Call, resource: Resource) -> Release:
        """Whether the action may have this resource."""
        return call.gateway.rules.release(self.facts, self.decision, resource, call.around)


@dataclass(frozen=True, slots=True)
class Authority:
    """A write that the caller may make, as far as the type says.

    Shape: `create`, `change` (what stands is updated, patched or deleted) and `read` are None where no rule permits
    them; `organisation` is whom it writes for, empty for a delete, which leaves nothing that is anybody's.
    """

    sent: Sent
    server: FhirServer
    organisation: str
    create: View | None
    change: View | None
    read: View | None

    def judgings(self) -> list[tuple[Facts, Decision]]:
        """What the rules are asked about its resources by."""
        return [(view.facts, view.decision) for view in (self.create, self.change, self.read) if view is not None]


@dataclass(frozen=True, slots=True)
class Located:
    """Where a write goes.

    Shape: `standing` is None where nothing stands; `needless` says that it fits `If-None-Exist`, so that nothing is
    written.
    """

    id: str
    standing: Standing | None
    needless: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """A write as it is to be made.

    Shape: `resource` as it is stored, or as it stands where nothing is written or it is deleted; `etag` the version
    that must stand, None where none may; `findings` are warnings of checks.
    """

    authority: Authority
    resource: Resource
    etag: str | None
    write: bool
    rules: tuple[str, ...]
    findings: tuple[Finding, ...] = ()

    @property
    def delete(self) -> bool:
        """Whether nothing is to stand."""
        return self.authority.sent.action == "delete"

    @property
    def name(self) -> str:
        """Type and id."""
        return f"{self.resource['resourceType']}/{self.resource['id']}"


def authorised(call: Call, sent: Sent) -> Authority:
    """What a caller may do with the type of a write, and whether the resource is fit for it.

    Errors: Refused: 403 with what is missing, 400 and 422 for the resource.
    """
    authority = may_write(call, sent)
    check_conditions(sent)
    if sent.action in {"create", "update"}:
        check_fit(sent, call.gateway)
    return authority


def may_write(call: Call, sent: Sent) -> Authority:
    """What a caller may do with the type of a write, before the resource is looked at.

    Shape: to change what stands needs the right to read too: who may not see a resource may not replace it. Only an
    update makes what is not there, where creating is permitted.
    Errors: Refused (403).
    """
    server = served(call.gateway, sent.type)
    for action in _needed(sent):
        check_access(call.asking.scopes, action, sent.type)
    own = _view(call, sent.action, sent.type)
    if sent.action == "create":
        return Authority(sent, server, _organisation(call), own, None, _maybe(call, "read", sent.type))
    read = _view(call, "read", sent.type)
    create = _maybe(call, "create", sent.type) if sent.action == "update" else None
    organisation = "" if sent.action == "delete" else _organisation(call)
    return Authority(sent, server, organisation, create, own, read)


def _view(call: Call, action: str, resource_type: str) -> View:
    facts = call.asking.facts(call.gateway, action, type=resource_type)
    return View(facts, permitted(call.gateway, facts))


def _maybe(call: Call, action: str, resource_type: str) -> View | None:
    try:
        return _view(call, action, resource_type)
    except Refused:
        return None


def _organisation(call: Call) -> str:
    """The organisation that a caller writes for: the one that it connects as, or that it names of several.

    Errors: Refused: 403 where it connects as none, 400 where it has to say which.
    """
    own, named = sorted(call.asking.caller.connects_as), call.organisation
    if not own:
        words = f"principal {call.asking.caller.name} connects as no organisation, so nothing says whose this is"
        raise Refused("denied", error("forbidden", words, None, "HTTP-W10"))
    if named is None and len(own) == 1:
        return own[0]
    if named is None or named.upper() not in own:
        words = f"say in header organisation-code for which organisation this is; you connect as {listed(tuple(own))}"
        raise Refused("unreadable", error("required", words, "organisation-code", "HTTP-W11"))
    return named.upper()


def judged(call: Call, authority: Authority, where: Located, resource: Resource) -> Change:
    """Judge one write against what stands.

    Shape: `resource` is the one that was sent, with its references in their final form.
    Errors: Refused: 404 for what the caller may not see, 403, 409, 412, 422, 428.
    """
    gateway = call.gateway
    stands = None if where.standing is None else resource_of(authority.server, where.standing)
    if stands is None:
        view = _for_new(authority)
    elif where.needless:
        return Change(authority, stands, None, write=False, rules=_rules(authority.create))
    else:
        view = standing_view(call, authority, where)
    domain = _domain(gateway, authority.sent.type, view)
    new = _marked(call, authority, domain, {**resource, "id": where.id}, stands)
    release = _checked_rows(call, authority, view, new)
    _check_contained(call, new)
    findings = _checked(call, authority, view, domain, new)
    etag = None if where.standing is None else where.standing.etag
    return Change(authority, new, etag, write=True, rules=_rules(view, release), findings=findings)


def standing_view(call: Call, authority: Authority, where: Located) -> View:
    """The view that changes what stands, which is the version that the client means.

    Errors: Refused: 404 for what the caller may not see, 403, 409, 412, 428.
    """
    if where.standing is None:
        raise absent(authority.sent.type)
    stands = resource_of(authority.server, where.standing)
    view = _for_standing(call, authority, stands)
    _check_match(call.gateway, authority.sent, where.standing)
    return view


def deleted(call: Call, authority: Authority, where: Located) -> Change:
    """Judge a delete: of what the caller sees whole, for what it doesn't see would go with it.

    Errors: Refused: 404 for what the caller may not see, 403, 412.
    """
    view = standing_view(call, authority, where)
    if where.standing is None:  # said before; what is below needs it
        raise absent(authority.sent.type)
    stands = resource_of(authority.server, where.standing)
    release = view.release(call, stands)
    return Change(authority, stands, where.standing.etag, write=True, rules=_rules(view, release))


def unwritten(call: Call, authority: Authority, standing: Standing) -> Change:
    """A patch that changes nothing, of what stands and the caller may change."""
    stands, view = resource_of(authority.server, standing), authority.change
    release = None if view is None else view.release(call, stands)
    return Change(authority, stands, standing.etag, write=False, rules=_rules(view, release))


def resource_of(server: FhirServer, standing: Standing) -> Resource:
    """What stands. Errors: TargetDown for bytes that are no resource."""
    try:
        return standing.resource
    except ValueError as fault:
        raise TargetDown(server.name, "its answer is no FHIR resource") from fault


def _for_new(authority: Authority) -> View:
    """The view that makes a resource where none stands; an update may make one where creating is permitted too.

    Errors: Refused (404): without that right, what is absent and what is hidden look alike.
    """
    conditions = authority.sent.conditions
    if authority.create is None or conditions.if_match is not None:
        raise absent(authority.sent.type)
    return authority.create


def check_seen(call: Call, authority: Authority, standing: Standing) -> None:
    """Whether the caller may see what stands. Errors: Refused (404)."""
    _seen(call, authority, resource_of(authority.server, standing))


def _seen(call: Call, authority: Authority, stands: Resource) -> Release:
    """What the caller may see of what stands. Errors: Refused (404)."""
    seen = None if authority.read is None else authority.read.release(call, stands)
    if seen is None or not seen.released or not all(in_scope(call, one, stands) for one in _needed(authority.sent)):
        raise absent(authority.sent.type)
    return seen


def _needed(sent: Sent) -> tuple[str, ...]:
    """What a token's scopes have to cover for a write: a patch can ask what stands, by `test` alone."""
    return (sent.action, "read") if sent.action == "patch" else (sent.action,)


def _for_standing(call: Call, authority: Authority, stands: Resource) -> View:
    """The view that replaces what stands.

    Errors: Refused: 404 where the caller may not see it, 403 where it may not see all of it, or not change it; 412
    where a create asked for a new one.
    """
    sent, change = authority.sent, authority.change
    seen = _seen(call, authority, stands)
    if change is None:
        raise Refused("conflict", error("conflict", f"there is such a {sent.type} already", None, "HTTP-W12"))
    may = change.release(call, stands)
    if seen.hide or may.hide:
        hidden = ", ".join(sorted(seen.hide | may.hide))
        words = f"you do not see {hidden}, so you can not {DOING[sent.action]} a {sent.type}: that would lose it"
        raise Refused("denied", error("forbidden", words, None, "HTTP-W13"), rules=seen.by)
    _check_contained(call, stands)
    if untold(call, stands):
        words = f"you may not read what references of this {sent.type} tell of, so you can not {DOING[sent.action]} it"
        raise Refused("denied", error("forbidden", words, None, "HTTP-W13"), rules=seen.by)
    if not may.released:
        words = f"this {sent.type} is not among those that {', '.join(change.decision.by)} lets you {sent.action}"
        raise Refused("denied", error("forbidden", words, None, "HTTP-W14"), rules=may.by or change.decision.by)
    return change


def _check_match(gateway: Gateway, sent: Sent, standing: Standing | None) -> None:
    """Whether the version that stands is the one that the client means.

    Errors: Refused: 412 for another one, 428 where the site wants to be told which.
    Source: https://hl7.org/fhir/R4/http.html#concurrency; RFC 9110 section 13.1, RFC 6585 section 3.
    """
    conditions, version = sent.conditions, standing.etag if standing is not None else None
    if conditions.if_none_match is not None and conditions.if_none_match & {ANY, version}:
        words = f'If-None-Match is not met: version W/"{version}" stands'
        raise Refused("conflict", error("conflict", words, "If-None-Match", "HTTP-W15"), status=412)
    if conditions.if_match is None:
        if gateway.settings.versioned_updates and sent.action != "delete":
            words = f'send If-Match with the version that you have changed; W/"{version}" stands'
            raise Refused("conflict", error("required", words, "If-Match", "HTTP-W16"), status=428)
    elif not conditions.if_match & {ANY, version}:
        words = f'If-Match is not met: version W/"{version}" stands; read it and change that'
        raise Refused("conflict", error("conflict", words, "If-Match", "HTTP-W15"), status=412)


def _domain(gateway: Gateway, resource_type: str, view: View) -> str:
    """The domain that a resource is written to: of those that serve its type, the one that permits it."""
    serving = gateway.rules.serving(resource_type)
    permitting = (gateway.rules.domain_of(rule) for rule in view.decision.by)
    return next((name for name in permitting if name in serving), serving[0])


def _marked(call: Call, authority: Authority, domain: str, sent: Resource, stands: Resource | None) -> Resource:
    gateway = call.gateway
    by = {
        "organisation": authority.organisation,
        "domain": domain,
        "source": f"urn:uuid:{call.seen['request']}",
    }
    told = instant(gateway.clock().astimezone(UTC))
    return fhir.marked(sent, stands, by, told=told, marks=gateway.merging.marks)


def relative(call: Call, server: FhirServer, resource: Resource) -> Resource:
    """A resource whose references to the gateway's own address, or the upstream's, name what is there, as it is stored.

    Shape: one to the upstream's own address would be judged as one to elsewhere, and lead there all the same.
    """
    own = f"{call.gateway.settings.public_url}/"
    return fhir.with_references(resource, lambda reference: server.relative(reference.removeprefix(own)))


def _checked_rows(call: Call, authority: Authority, view: View, new: Resource) -> Release:
    """Whether the rules let this be stored.

    Errors: Refused (403).
    """
    sent = authority.sent
    may = view.release(call, new)
    if not may.released:
        words = f"this {sent.type} is not among those that {', '.join(view.decision.by)} lets you {sent.action}"
        raise Refused("denied", error("forbidden", words, None, "HTTP-W14"), rules=may.by or view.decision.by)
    if not in_scope(call, sent.action, new):
        words = f"the scopes of this token leave out this {sent.type}: it is not of the patient in context"
        raise Refused("denied", error("forbidden", words, "Authorization", "HTTP-A05"))
    seen = None if authority.read is None else authority.read.release(call, new)
    hide = may.hide if seen is None or not seen.released else may.hide | seen.hide
    hidden = fhir.held(new, hide, call.gateway.elements)
    if hidden:
        words = f"you do not see {', '.join(hidden)}, so you can not write it"
        raise Refused("denied", error("forbidden", words, hidden[0], "HTTP-W13"), rules=may.by)
    return may


def _check_contained(call: Call, resource: Resource) -> None:
    """Whether the caller sees what a resource contains: what is hidden is neither written nor replaced.

    Errors: Refused (403).
    """
    if not holds_whole(call, resource):
        words = "you may not read all that this contains, so you can not write it; refer to resources of their own"
        path = f"{resource['resourceType']}.contained"
        raise Refused("denied", error("forbidden", words, path, "HTTP-W13"))


def _checked(call: Call, authority: Authority, view: View, domain: str, new: Resource) -> tuple[Finding, ...]:
    """What the checks `on Fhir` of the domains that serve the type tell beside refusing.

    Errors: Refused (422).
    """
    rules, kind = call.gateway.rules, authority.sent.type
    facts = call.asking.facts(
        call.gateway, view.facts.action, type=kind, domain=domain, organisation=authority.organisation,
        data_type="Fhir", received=view.facts.now, resources={kind: [(kind, new)]},
    )  # fmt: skip
    found = tuple(f for name in rules.serving(kind) for f in rules.check_submitted(facts, name, [(kind, new)]))
    if refuses(found):
        raise Refused("failed", *found, rules=tuple(dict.fromkeys(f.rule for f in found if f.rule)))
    return found


def _rules(view: View | None, release: Release | None = None) -> tuple[str, ...]:
    by = () if view is None else view.decision.by
    return tuple(sorted({*by, *(() if release is None else release.by)}))
