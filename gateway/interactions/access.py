"""What `search` and `read` share: deciding, releasing, hiding and recording access to stored resources.

Source: `facade.md` of the design, "Narrow, then check again"; `rules-language.md`, meaning 10 and 11.
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request

from gateway import fhir
from gateway.interactions.gateway import Gateway, keyed_hash, serving
from gateway.interactions.identify import Asking
from gateway.interactions.refused import Refused, error
from gateway.journal import AuditRow
from gateway.rules import Decision, Facts
from gateway.upstream import FhirServer

TAKEN = ("application/fhir+json", "application/json", "application/*", "*/*", "text/json", "json")


def check_format(request: Request) -> None:
    """Whether the client takes JSON.

    Errors: Refused (406) where `_format` or `Accept` names other forms alone.
    Source: https://hl7.org/fhir/R4/http.html#mime-type
    """
    wanted = request.query_params.getlist("_format") or [
        part.split(";")[0].strip() for part in request.headers.get("accept", "*/*").split(",")
    ]
    if not any(name.lower() in TAKEN for name in wanted):
        raise Refused(
            "media-type",
            error("not-supported", "answers are in JSON alone; ask for application/fhir+json", "Accept", "HTTP-F01"),
            status=406,
        )


def served(gateway: Gateway, resource_type: str) -> FhirServer:
    """Server that holds a type.

    Errors: Refused (404) for a name that is no R4 resource type, (403) where no rule serves it.
    """
    if resource_type not in gateway.tables.types:
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


def released(
    gateway: Gateway, facts: Facts, decision: Decision, by: set[str], resource: dict[str, Any]
) -> dict[str, Any] | None:
    """Resource as this caller may see it, or nothing where no view releases it; `by` gathers the rules that decided."""
    release = gateway.rules.release(facts, decision, resource)
    by.update(release.by)
    if not release.released:
        return None
    return fhir.redact(resource, release.hide) if release.hide else resource


async def refused(
    request: Request, gateway: Gateway, asking: Asking, action: str, what: str, refusal: Refused
) -> None:  # fmt: skip
    """Write the audit row of a request that is refused, whatever for."""
    request.state.log.update(rules=refusal.rules)
    outcome = "denied" if refusal.reason == "denied" else "refused"
    await record(gateway, asking, action, what, rules=refusal.rules, outcome=outcome)


async def record(
    gateway: Gateway, asking: Asking, action: str, what: str, *, rules: tuple[str, ...], outcome: str,
    seen: tuple[str, ...] = (),
) -> None:  # fmt: skip
    """Write one audit row before the answer leaves; the ids of what was seen stand in it as keyed hashes."""
    hashes = " ".join(keyed_hash(gateway, name) for name in seen)
    await gateway.journal.audit(AuditRow(
        at=gateway.clock().isoformat(), principal=asking.caller.name, user=asking.user, purpose=asking.purpose,
        action=action, what=f"{what} {hashes}".strip(), rules=rules, outcome=outcome, digest=gateway.rules.digest,
    ))  # fmt: skip
