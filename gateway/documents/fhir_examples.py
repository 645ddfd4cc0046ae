"""Answers to the `Fhir` samples beside the rules, made by judging them with the rules as `examples.py` does."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any

from gateway import fhir
from gateway.documents.outcomes import BY_NAME
from gateway.documents.samples import Sample
from gateway.fhir import Elements, Resource
from gateway.finding import Finding, refuses
from gateway.rules import Facts, RuleSet
from gateway.rules.declared import Domain

NAMESPACE = uuid.UUID("5b9d6f5c-0b5e-4c7e-9d0f-6f0a7f5e2c31")
"""Namespace of the ids in these examples, so that they never change; chosen at random once."""


def answered(
    rules: RuleSet, domain: Domain, sample: Sample, elements: Elements, facts: Callable[[str, dict[str, Any]], Facts]
) -> tuple[int, Resource] | None:
    """Status and body of the answer, unless they are not of the outcome in the sample's name.

    Shape: `facts` gives those of the sender from the resource type and what is told of the resources.
    """
    name, findings, submission = _judged(rules, domain, sample, elements, facts)
    outcome = BY_NAME[name]
    if (sample.outcome == "accepted") != (outcome.code == "AA"):
        return None
    told = _told(submission)
    if outcome.code == "AA":
        findings = (Finding("information", "informational", f"receipt {_id(sample, 'receipt')}"), *findings)
    body = fhir.operation_outcome(findings, id=_id(sample, "outcome"), last_updated=told)
    kind = submission.get("type") if submission.get("resourceType") == "Bundle" else None
    if outcome.code == "AA" and kind in fhir.REQUESTED:
        body = _response(str(kind), sample, submission, elements, body)
    return outcome.http_status, body


def _judged(
    rules: RuleSet, domain: Domain, sample: Sample, elements: Elements, facts: Callable[[str, dict[str, Any]], Facts]
) -> tuple[str, tuple[Finding, ...], Resource]:
    """Outcome, findings and the submission, as far as the rules and the standard decide it."""
    try:
        submission = fhir.load(sample.text.encode())
    except fhir.JsonError as fault:
        return "unreadable", (Finding("error", "structure", fault.words, fault.place, "FHIR-JSON"),), {}
    name = submission["resourceType"]
    types = sorted(t for accept in domain.accepts if accept.data_type == "Fhir" for t in accept.types)
    if name not in types:
        words = f"domain {domain.name} does not accept this resource type; it accepts {', '.join(types)}"
        return "unreadable", (Finding("error", "not-supported", words, "resourceType", "FHIR-A01"),), submission
    invalid = fhir.validate(submission, elements)
    if refuses(invalid):
        return "unreadable", invalid, submission
    asked = facts(name, {"resources": fhir.placed(submission), "now": datetime.fromisoformat(_told(submission))})
    decision = rules.decide(asked)
    if decision.effect != "permit":
        told = decision.findings or tuple(decision.wanting)
        return ("failed" if decision.effect == "refuse" else "denied"), told, submission
    taken = fhir.taken(submission)
    found = _identified(taken, sample, elements)
    made = rules.check_result(asked, [draft.resource for draft in found.drafts])
    findings = (*taken.findings, *found.findings, *made)
    return ("failed" if refuses(findings) else "stored"), (*decision.findings, *findings), submission


def _identified(taken: fhir.Taken, sample: Sample, elements: Elements) -> fhir.Identified:
    naming = fhir.Naming(elements.tables, "", _id(sample, "body"))
    return fhir.identified(taken.entries, naming, elements, fhir.Marks(elements.tables.systems.marks), {})


def _response(kind: str, sample: Sample, submission: Resource, elements: Elements, told: Resource) -> Resource:
    names = _identified(fhir.taken(submission), sample, elements).names
    entries: list[Resource] = [
        {"response": {"status": "201 Created", "location": f"{type_}/{id_}/_history/1", "etag": 'W/"1"'}}
        for type_, id_ in names
    ]
    entries[0]["response"]["outcome"] = told
    return {"resourceType": "Bundle", "id": _id(sample, "bundle"), "type": f"{kind}-response", "entry": entries}


def _told(submission: Resource) -> str:
    """A fixed time: the submission's own where it has one."""
    sent = submission.get("timestamp", submission.get("meta", {}).get("lastUpdated"))
    fixed = "2026-01-01T12:00:00.000+00:00"
    try:
        return datetime.fromisoformat(sent).isoformat(timespec="milliseconds") if isinstance(sent, str) else fixed
    except ValueError:
        return fixed


def _id(sample: Sample, what: str) -> str:
    return str(uuid.uuid5(NAMESPACE, f"{sample.key}#{what}"))
