"""A valid `Fhir` submission to drafts, with what goes with it: the sender's organisation and a Provenance.

Source: `conversion.md` of the design, "Identity" and "Update".
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from gateway import fhir
from gateway.fhir import Draft, Elements, Marks, Resource
from gateway.fhir.provenance import Submitted, provenance, submitted_as
from gateway.finding import Finding, refuses
from gateway.interactions.content import Made
from gateway.interactions.refused import Refused
from gateway.mapping import Context

AHEAD = timedelta(days=1)
"""So far ahead of its receipt a submission may tell of, as a message may."""

SHOWN_LOSS = 40


def converted(
    submission: Resource, name: str, body_hash: str, context: Context, elements: Elements, marks: Marks
) -> Made:
    """Entries under the ids that the record gives them.

    Shape: `name` is what the sender calls the submission, empty for nothing.
    Errors: Refused (failed).
    """
    taken = fhir.taken(submission)
    if refuses(taken.findings):
        raise Refused("failed", *taken.findings)
    tables = elements.tables
    sender = {"context.organisation": f"Organization/{context.organisation}"}
    found = fhir.identified(
        taken.entries, fhir.Naming(tables, context.organisation, body_hash), elements, marks,
        {path: sender[fact] for path, fact in tables.filled.items()},
    )  # fmt: skip
    findings = (*taken.findings, *found.findings)
    if refuses(findings):
        raise Refused("failed", *findings)
    told, early = _told(submission, context.received)
    drafts = found.drafts
    if ("Organization", context.organisation) not in found.names:
        drafts = (_organisation(context.organisation, tables.systems.ods), *drafts)
    source = _source(taken, submission, submitted_as(name, body_hash, tables.systems))
    recorded = context.received.astimezone(UTC).isoformat(timespec="milliseconds")
    submitted = Submitted(
        context.organisation, context.receipt, told, recorded, context.rules_digest, _activity(taken)
    )  # fmt: skip
    about = [(draft.resource["resourceType"], draft.resource["id"]) for draft in drafts]
    drafts = (*drafts, Draft(provenance(submitted, about, (source,), tables.systems)))
    marked = tuple(_marked(draft, context, marks) for draft in drafts)
    return Made(marked, (*early, *findings), told, _loss(taken), versions=True, names=found.names)


def _told(submission: Resource, received: datetime) -> tuple[str, tuple[Finding, ...]]:
    """The instant that a submission tells of: the Bundle's timestamp, else when it was last changed or received."""
    instead = received.astimezone(UTC).isoformat(timespec="milliseconds")
    name = submission["resourceType"]
    for path, sent in (("timestamp", submission.get("timestamp")), ("meta.lastUpdated", _last_updated(submission))):
        if not isinstance(sent, str):
            continue
        moment = _moment(sent)
        if moment is not None and moment - received <= AHEAD:
            return sent, ()
        place = f"{name}.{path}"
        why = "is more than a day ahead" if moment is not None else "is none of any clock"
        words = f"the time at {place} {why}, so the submission counts from when it was received"
        return instead, (Finding("warning", "value", words, place, "FHIR-AHEAD"),)
    return instead, ()


def _moment(sent: str) -> datetime | None:
    """A FHIR instant; None for a leap second, which FHIR allows and Python's clock does not have."""
    try:
        return datetime.fromisoformat(sent)
    except ValueError:
        return None


def _last_updated(resource: Resource) -> Any:
    return resource.get("meta", {}).get("lastUpdated")


def _organisation(code: str, system: str) -> Draft:
    """The sending organisation, which what was sent may refer to."""
    return Draft({"resourceType": "Organization", "id": code, "identifier": [{"system": system, "value": code}]})


def _marked(draft: Draft, context: Context, marks: Marks) -> Draft:
    resource = fhir.contributed(
        draft.resource, organisation=context.organisation, domain=context.domain, marks=marks,
        source=f"urn:uuid:{context.receipt}",
    )  # fmt: skip
    return Draft(resource, draft.clears, draft.only_new)


def _source(taken: fhir.Taken, submission: Resource, instead: Resource) -> Resource:
    """The submission as a Provenance names it: by its own identifier, else by the one that we have for it."""
    identifier = submission.get("identifier") if taken.bundle is not None else None
    kind = submission["resourceType"] if taken.bundle is None else f"Bundle {taken.bundle}"
    source = (taken.header or {}).get("source", {})
    by = source.get("name") or source.get("endpoint")
    display = f"FHIR R4 {kind}" + (f" from {by}" if by else "")
    return {"role": "source", "what": {"identifier": instead if identifier is None else identifier, "display": display}}


def _activity(taken: fhir.Taken) -> Resource | None:
    """What a message's header says that it is about."""
    header = taken.header or {}
    if "eventCoding" in header:
        return {"coding": [header["eventCoding"]]}
    return {"text": header["eventUri"]} if "eventUri" in header else None


def _loss(taken: fhir.Taken) -> tuple[Finding, ...]:
    """What of a submission is not stored: all of its resources are, but for a message's header."""
    counts = f"{len(taken.entries)} resources taken, {len(taken.left)} parts of the submission not stored"
    return (
        Finding("information", "informational", counts),
        *(Finding("information", "informational", "not stored", path) for path in taken.left[:SHOWN_LOSS]),
    )
