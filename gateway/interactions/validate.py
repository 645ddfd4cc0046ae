"""`$validate`: whether a resource is valid by FHIR R4, and with a mode whether the checks here let it be written.

Source: https://hl7.org/fhir/R4/resource-operation-validate.html
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gateway import fhir
from gateway.finding import Finding
from gateway.interactions import respond
from gateway.interactions.access import record, refused
from gateway.interactions.call import Call, Resource, called, served
from gateway.interactions.conditions import NONE
from gateway.interactions.headers import shown
from gateway.interactions.heavy import size_of, worked
from gateway.interactions.operation import Operating, only_known, operating
from gateway.interactions.read import fetched
from gateway.interactions.refused import Refused, error
from gateway.interactions.respond import Reply
from gateway.interactions.sent import received

VALIDATE = "validate"
ACTION = f"operation {VALIDATE}"
MODES = ("create", "update")
TAKEN = ("mode", "profile", "_format", "_pretty")
FOUND = 200


async def validate(request: Request) -> Response:
    """Answer with what was found in the resource that was sent, or in the one that stands; 200 whatever that is.

    Errors: Refused: 400 for what is no resource, and for a profile, which nothing here knows; 403, 404, 413, 415;
    TargetDown, JournalUnavailable.
    """
    call, path = await called(request), request.path_params
    kind: str = path["type"]
    try:
        served(call.gateway, kind)
        under = operating(call, VALIDATE, kind)
        only_known(request.query_params.multi_items(), TAKEN)
        sent = await _sent(request, call, kind)
    except Refused as refusal:
        await refused(call, ACTION, kind, refusal)
        raise
    resource, mode = sent
    if resource is None:
        resource = await _standing(call, kind, path.get("id"))
    found = await worked(size_of(resource), _found, call, under, resource, kind, path.get("id"), mode)
    call.seen.update(rules=under.decision.by, outcome="permit")
    await record(call, ACTION, kind, rules=under.decision.by, outcome="permit")
    told = respond.whole_outcome(found or (Finding("information", "informational", "valid"),), call.gateway.clock())
    return respond.reply(Reply(FOUND, fhir.dump(told), pretty=request.query_params.get("_pretty") == "true"))


async def _sent(request: Request, call: Call, kind: str) -> tuple[Resource | None, str | None]:
    """The resource that was sent, None for none, and the mode that it is for.

    Errors: Refused.
    """
    query = request.query_params
    if request.headers.get("content-length", "0") == "0" and "transfer-encoding" not in request.headers:
        if "id" not in request.path_params:
            words = "send the resource as the body, or in Parameters"
            raise Refused("unreadable", error("required", words, "resource", "HTTP-O02"))
        return None, _mode(query.get("mode"), query.get("profile"))
    body = await received(request, call.gateway)
    if body["resourceType"] != "Parameters" or kind == "Parameters":
        return body, _mode(query.get("mode"), query.get("profile"))
    given = _parameters(body)
    resource = given.get("resource")
    if resource is None and "id" not in request.path_params:
        raise Refused("unreadable", error("required", "the Parameters have no resource", "resource", "HTTP-O02"))
    return resource, _mode(given.get("mode") or query.get("mode"), given.get("profile") or query.get("profile"))


def _parameters(body: Resource) -> dict[str, Any]:
    """The parameters by name. Errors: Refused (400) for others than the operation's own."""
    given: dict[str, Any] = {}
    parameters = body.get("parameter", [])
    for one in parameters if isinstance(parameters, list) else [None]:
        if not isinstance(one, dict):
            raise Refused("unreadable", error("structure", "parameter is a list of objects", "Parameters", "HTTP-O01"))
        name = one.get("name")
        if name not in {"resource", "mode", "profile"} or name in given:
            words = "Parameters of $validate have resource, mode and profile, each once at most"
            raise Refused("unreadable", error("invalid", words, "Parameters.parameter", "HTTP-O01"))
        values = [value for member, value in one.items() if member not in {"name", "id", "extension"}]
        if len(values) != 1 or (name == "resource" and not isinstance(one.get("resource"), dict)):
            words = f"parameter {name} has one value, and a resource stands under resource"
            raise Refused("unreadable", error("structure", words, "Parameters.parameter", "HTTP-O01"))
        given[name] = values[0]
    return given


def _mode(mode: Any, profile: Any) -> str | None:
    if profile:
        words = "profiles are not known here: leave profile out, and it is validated by FHIR R4 itself"
        raise Refused("unreadable", error("not-supported", words, "profile", "HTTP-O03"))
    if mode is not None and mode not in MODES:
        words = f"mode {shown(str(mode))} is not taken; take {' or '.join(MODES)}, or leave it out"
        raise Refused("unreadable", error("not-supported", words, "mode", "HTTP-O03"))
    return None if mode is None else str(mode)


async def _standing(call: Call, kind: str, id_: str | None) -> Resource:
    """What stands, as the caller may read it. Errors: Refused, as a read."""
    answer = await fetched(call, kind, id_ or "", None, [], NONE)
    return fhir.load(answer.body or b"")


def _found(
    call: Call, under: Operating, resource: Resource, kind: str, id_: str | None, mode: str | None
) -> tuple[Finding, ...]:
    """What is wrong with a resource: its type and id, its structure, and what the checks `on Fhir` say."""
    if resource.get("resourceType") != kind:
        words = f"the address says {kind}, the resource is {shown(str(resource.get('resourceType')))}"
        return (error("invalid", words, "resourceType", "HTTP-W05"),)
    found = list(fhir.validate(resource, call.gateway.elements, fhir.MOST_FINDINGS))
    if id_ is not None and resource.get("id") != id_:
        found.append(error("invalid", "the resource needs the id that the address says", f"{kind}.id", "HTTP-W06"))
    if mode is not None and not found:
        rules, own = call.gateway.rules, tuple(call.asking.caller.connects_as)
        for name in rules.serving(kind):
            facts = call.asking.facts(
                call.gateway, mode, type=kind, domain=name, organisation=own[0] if len(own) == 1 else call.organisation,
                data_type="Fhir", received=under.facts.now, resources={kind: [(kind, resource)]},
            )  # fmt: skip
            found += rules.check_submitted(facts, name, [(kind, resource)])
    return tuple(found)
