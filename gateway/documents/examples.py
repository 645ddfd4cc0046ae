"""Examples of bodies and acknowledgements, made from the samples beside the rules by judging them with the rules.

A sample is judged as a sender that may do everything would see it, at the time that the message tells: so the example
of a refusal holds the rule's own words, and a changed rule changes its example.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from gateway import fhir, hl7v2
from gateway.documents import batch_examples, fhir_examples
from gateway.documents.offer import Offer, Published
from gateway.documents.outcomes import BY_NAME, OUTCOMES, UNREAD, Outcome
from gateway.documents.samples import Sample
from gateway.finding import Finding, Severity
from gateway.rules import Caller, Facts, RuleSet
from gateway.rules.declared import Domain

LONDON = ZoneInfo("Europe/London")
ENVIRONMENT = "documents"
EPOCH = datetime(2026, 1, 1, 12, tzinfo=UTC)
NAMESPACE = uuid.UUID("9d0b7a52-6f0e-5d55-8f0b-2b0d0c7a4a11")
"""Namespace of the ids in examples, so that they never change; chosen at random once."""


@dataclass(frozen=True, slots=True)
class Example:
    """One example of the document.

    Shape: `status` is that of the answer which it shows, or None where it shows a body to send; then `organisation` is
    the ODS code to send it as. `types` are the message types of what is sent, as far as they could be read.
    """

    key: str
    summary: str
    data_type: str
    value: Any
    status: int | None = None
    organisation: str | None = None
    domain: str = ""
    types: frozenset[str] = frozenset()

    def component(self) -> dict[str, Any]:
        """Example Object of OpenAPI."""
        return {"summary": self.summary, "value": self.value}


@dataclass(frozen=True, slots=True)
class _Case:
    """One answer to show: what it answers and what it says."""

    key: str
    summary: str
    domain: Domain
    organisation: str
    message: hl7v2.Message | None
    outcome: Outcome
    findings: tuple[Finding, ...]


def examples(
    rules: RuleSet, published: Published, samples: Iterable[Sample], elements: fhir.Elements
) -> tuple[Example, ...]:
    """Bodies and their acknowledgements, sample by sample, then an acknowledgement for each other outcome.

    Shape: samples of domains that accept nothing are left out; the other outcomes are shown once for each domain, by
    its first sample.
    """
    made: list[Example] = []
    cases: dict[str, list[_Case]] = {}
    told: dict[str, list[tuple[_Case, str, str]]] = {}
    for sample in samples:
        domain = rules.domains.get(sample.domain)
        if domain is None or not domain.accepts:
            continue
        message = hl7v2.read(sample.text.encode()) if sample.data_type == "Hl7v2" else None
        organisation = _organisation(rules, message)
        about = frozenset({message.type} if message is not None and message.type else ())
        made.append(Example(
            sample.key, sample.summary, sample.data_type, sample.text, None, organisation, domain.name, about
        ))  # fmt: skip
        if sample.data_type == "Fhir":
            made.extend(_fhir_answer(rules, domain, sample, organisation, elements))
        case = _case(rules, domain, sample, message, organisation) if message is not None else None
        if case is not None:
            made.append(_answer(published, case))
            cases.setdefault(domain.name, []).append(case)
            told.setdefault(domain.name, []).append((case, sample.text, str(made[-1].value)))
    made.extend(one for rows in told.values() for one in _batch(published, rows))
    return (*made, *(_answer(published, other) for shown in cases.values() for other in _others(shown)))


def of_offer(shown: Iterable[Example], whole: Offer, offer: Offer) -> tuple[Example, ...]:
    """Examples of what is in an offer; those of types that it leaves out of the whole are left out."""
    left = _types(whole) - _types(offer)
    domains = {domain.name for domain in offer.domains}
    return tuple(
        one
        for one in shown
        if one.domain in domains
        and one.data_type in offer.data_types
        and not any((one.domain, name) in left for name in one.types)
    )


def _types(offer: Offer) -> frozenset[tuple[str, str]]:
    return frozenset((d.name, name) for d in offer.domains for accept in d.accepts for name in accept.types)


def _fhir_answer(
    rules: RuleSet, domain: Domain, sample: Sample, organisation: str, elements: fhir.Elements
) -> Iterator[Example]:
    """The answer to a `Fhir` sample, in JSON."""

    def facts(name: str, more: dict[str, Any]) -> Facts:
        asked = replace(_facts(rules, domain, None, organisation), data_type="Fhir", type=name, **more)
        return replace(asked, today=asked.now.astimezone(LONDON).date())

    found = fhir_examples.answered(rules, domain, sample, elements, facts)
    if found is not None:
        status, body = found
        yield Example(f"{sample.key}.answer", f"{sample.summary} ({status})", "Fhir", body, status, None, domain.name)


def _case(rules: RuleSet, domain: Domain, sample: Sample, message: hl7v2.Message, organisation: str) -> _Case | None:
    """A sample as the rules judge it, unless that is not the outcome in its name."""
    name, findings = _judged(rules, domain, message, organisation)
    outcome = BY_NAME[name]
    if (sample.outcome == "accepted") != (outcome.code == "AA"):
        return None
    summary = f"{sample.summary} ({outcome.code})"
    return _Case(f"{sample.key}.ack", summary, domain, organisation, message, outcome, findings)


def _batch(published: Published, rows: Sequence[tuple[_Case, str, str]]) -> Iterator[Example]:
    """A batch of a domain's first message that is accepted and the first that is not, and its answer.

    Shape: `rows` hold a case, the body and its acknowledgement; nothing where a domain has not both.
    """
    taken = next((row for row in rows if row[0].outcome.code == "AA"), None)
    refused = next((row for row in rows if row[0].outcome.code != "AA"), None)
    if taken is None or refused is None:
        return
    case, pair = taken[0], (taken, refused)
    domain, organisation, moment = case.domain.name, case.organisation, _told(case.message).astimezone(UTC)
    key, summary = f"{domain}.batch.hl7", f"{domain}, batch: one accepted, one refused"
    sent = batch_examples.body(published, domain, organisation, [body for _, body, _ in pair], moment)
    types = frozenset(one.message.type for one, _, _ in pair if one.message is not None and one.message.type)
    yield Example(key, summary, "Hl7v2", sent, None, organisation, domain, types)
    answer = batch_examples.answer(
        published, domain=domain, organisation=organisation, acknowledgements=[ack for _, _, ack in pair],
        id=str(uuid.uuid5(NAMESPACE, f"{key}#answer")), told=moment,
    )  # fmt: skip
    yield Example(
        f"{key}.answer", f"{summary} (AA, {refused[0].outcome.code})", "Hl7v2", answer, 200, None, domain, types
    )


def _others(cases: Sequence[_Case]) -> Iterator[_Case]:
    """The outcomes that no sample of a profile brings about, as answers to its first sample."""
    first, shown = cases[0], {case.outcome for case in cases}
    for outcome in OUTCOMES:
        if outcome in shown:
            continue
        severity: Severity = "information" if outcome.code == "AA" else "error"
        yield replace(
            first,
            key=f"{first.domain.name}.{outcome.name}.ack",
            summary=f"{first.domain.name}: {outcome.name.replace('-', ' ')} ({outcome.code})",
            message=None if outcome.name in UNREAD else first.message,
            outcome=outcome,
            findings=(Finding(severity, outcome.issue, outcome.words),),
        )


def _answer(published: Published, case: _Case) -> Example:
    """Acknowledgement of a case, with ids and times that never change."""
    findings = case.findings
    if case.outcome.code == "AA":
        receipt = f"{published.public_url}/$ingest/receipts/{_id(case, 'receipt')}"
        findings = (Finding("information", "informational", f"receipt {receipt}"), *findings)
    moment = _told(case.message).astimezone(UTC)
    told = moment.isoformat(timespec="milliseconds")
    issues = fhir.operation_outcome(findings, id=_id(case, "outcome"), last_updated=told)
    body = hl7v2.acknowledge(
        case.message,
        code=case.outcome.code,
        domain=case.domain.name,
        organisation=case.organisation,
        application=published.application,
        facility=published.facility,
        outcome=fhir.dump(issues).decode() if case.domain.outcome else None,
        findings=findings,
        id=_id(case, "acknowledgement"),
        now=moment,
    )
    about = frozenset({case.message.type} if case.message is not None and case.message.type else ())
    status = case.outcome.status(case.domain.acknowledge)
    return Example(case.key, case.summary, "Hl7v2", body.decode(), status, None, case.domain.name, about)


def _judged(
    rules: RuleSet, domain: Domain, message: hl7v2.Message, organisation: str
) -> tuple[str, tuple[Finding, ...]]:
    """Outcome and findings of a message, as far as the rules alone decide it."""
    types = {name for accept in domain.accepts if accept.data_type == "Hl7v2" for name in accept.types}
    if message.type not in types:
        listed = ", ".join(sorted(name.replace("^", " ") for name in types))
        words = f"domain {domain.name} does not accept this message type; it accepts {listed}"
        return "unreadable", (Finding("error", "not-supported", words, "MSH-9"),)
    decision = rules.decide(_facts(rules, domain, message, organisation))
    if decision.effect == "permit":
        return "stored", decision.findings
    return ("failed" if decision.effect == "refuse" else "denied"), decision.findings or tuple(decision.wanting)


def _facts(rules: RuleSet, domain: Domain, message: hl7v2.Message | None, organisation: str) -> Facts:
    """Facts as they are for a sender that may do everything, at the time that the message tells."""
    everyone = frozenset(rules.registry.organisations)
    types = frozenset(name for accept in domain.accepts for name in accept.types)
    caller = Caller(
        name="example",
        organisations=everyone,
        connects_as=everyone,
        sends_as=everyone,
        categories={domain.name: types},
        roles=frozenset(rules.registry.roles),
        may_assert=frozenset(rules.registry.purposes),
    )
    now = _told(message)
    return Facts(
        action="ingest",
        caller=caller,
        environment=ENVIRONMENT,
        now=now,
        today=now.date(),
        domain=domain.name,
        organisation=organisation,
        data_type="Hl7v2",
        message=message,
        type=message.type if message is not None else None,
        received=now,
    )


def _organisation(rules: RuleSet, message: hl7v2.Message | None) -> str:
    """The declared organisation that the message names in MSH-4, else the first declared."""
    named = (_field(message, 4) or "").upper()
    declared = sorted(rules.registry.organisations)
    return named if named in declared or not declared else declared[0]


def _told(message: hl7v2.Message | None) -> datetime:
    """Time of MSH-7 to the minute, in London where it has no offset; a fixed one where it can't be read."""
    match = re.match(r"[0-9]{12}", _field(message, 7) or "")
    try:
        return datetime.strptime(match.group(), "%Y%m%d%H%M").replace(tzinfo=LONDON) if match else EPOCH
    except ValueError:
        return EPOCH


def _field(message: hl7v2.Message | None, number: int) -> str | None:
    return message.text("MSH", number) if message is not None else None


def _id(case: _Case, what: str) -> str:
    return str(uuid.uuid5(NAMESPACE, f"{case.key}#{what}"))
