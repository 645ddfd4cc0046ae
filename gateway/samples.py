"""`gateway sample`: who a sample is from, and what the gateway would make of it, without a server."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from gateway import fhir, hl7v2, sampling, tabular
from gateway.finding import Finding, refuses
from gateway.hl7v2 import dictionary
from gateway.interactions.fhir_conversion import converted
from gateway.interactions.gateway import LONDON
from gateway.interactions.refused import Refused
from gateway.loading import Decisions
from gateway.mapping import Context
from gateway.mapping.rows import RowMap, told
from gateway.rules import Caller, Facts, RuleSet
from gateway.rules.accepting import overlays
from gateway.sampling import Judge, NotSampled, Sample, Sampler, Standards, Verdict
from gateway.source import nearest

ALL = "all"
INVENTED = "sampler"
SUFFIXES = {"Hl7v2": ".hl7", "Fhir": ".json", "Csv": ".csv"}
NOWHERE = "XXX"  # the organisation of a registry that has none


@dataclass(frozen=True, slots=True)
class Judging:
    """What a body is judged by. Shape: `facts` are those of the submission but for its content."""

    loaded: Decisions
    facts: Facts
    context: Context


def sampler(
    loaded: Decisions, specs: Path, domain: str, kind: str, *,
    principal: str | None = None, environment: str = "production",
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Sampler:  # fmt: skip
    """What makes samples of a type for a domain, as its own rules judge them.

    Shape: `principal` sends them; without one it is the first that is registered for it.
    Errors: NotSampled, SpecsError.
    """
    found = loaded.rules.domains.get(domain)
    if found is None:
        near = nearest(domain, loaded.rules.domains)
        more = f"did you mean {near}?" if near else f"there are {', '.join(loaded.rules.domains)}"
        raise NotSampled(f"no rule file declares a domain {domain}; {more}")
    data_type = next((a.data_type for a in found.accepts if kind in a.types), "Hl7v2")
    caller, organisation = sender(loaded.rules, domain, kind, principal)
    standards = Standards(
        sampling.load(specs), dictionary.Dictionaries(specs), dictionary.versions(specs), loaded.elements,
        {name: rows.layout for name, rows in loaded.row_maps.items()},
    )  # fmt: skip
    now = clock()
    facts = Facts(
        action="ingest", caller=caller, environment=environment, now=now, today=now.astimezone(LONDON).date(),
        domain=domain, organisation=organisation, data_type=data_type, type=kind, received=now,
    )  # fmt: skip
    context = Context(
        organisation=organisation, domain=domain, received=now, receipt="sample", rules_digest=loaded.rules.digest
    )
    judging = Judging(loaded, facts, context)
    return sampling.sampler(found, kind, standards, organisation, judge_of(judging))


def made(
    sampler: Sampler, seed: int, count: int, faulty: str | None, left_out: Callable[[str], object]
) -> list[Sample]:
    """So many samples; with `faulty` by that check, or one for each check that refuses.

    Shape: `left_out` is told of the checks that a sample of this type can't break.
    Errors: NotSampled.
    """
    if faulty is None:
        return [sampler.one(seed, index) for index in range(count)]
    if faulty != ALL:
        return [sampler.faulty(sampler.check(faulty), seed, index) for index in range(count)]
    found: list[Sample] = []
    for check in sampler.breakable():
        try:
            found += [sampler.faulty(check, seed, index) for index in range(count)]
        except NotSampled as fault:
            left_out(str(fault))
    if not found:
        raise NotSampled(f"no check of {sampler.domain.name} refuses a sample of {sampler.type}")
    return found


def written(sampler: Sampler, samples: Sequence[Sample], folder: Path) -> Iterator[Path]:
    """A file for each sample; rows that are valid stand in one.

    Errors: OSError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    whole = sampler.data_type == "Csv" and samples[0].breaks is None
    bodies = [(samples[0], sampler.joined(samples))] if whole else [(sample, sample.body) for sample in samples]
    for sample, body in bodies:
        # a control id is of one type, seed and person
        name = f"{'accepted' if sample.breaks is None else f'refused-{sample.breaks}'}-{sample.control_id}"
        path = folder / f"{name.lower()}{SUFFIXES[sample.data_type]}"
        path.write_bytes(body)
        yield path


def sender(rules: RuleSet, domain: str, kind: str, wanted: str | None) -> tuple[Caller, str]:
    """Who may send this, and as whom: the first principal that is registered for it, else an invented one that may all.

    Shape: a caller, and an organisation code in upper case; `wanted` is the principal that it is to be, None for any.
    Errors: NotSampled.
    """
    registry = rules.registry
    if wanted is not None and wanted not in registry.principals:
        raise NotSampled(f"no rule file declares a principal {wanted}")
    for name, principal in registry.principals.items():
        caller = rules.caller(name) if wanted in {name, None} else None
        if caller is not None and kind in principal.sends.get(domain, ()) and principal.sends_as:
            return caller, principal.sends_as[0]
    if wanted is not None:
        raise NotSampled(f"{wanted} is not registered to send {kind} to {domain}: see `sends category` in the registry")
    every = frozenset(registry.organisations)
    types = frozenset(t for a in rules.domains[domain].accepts for t in a.types)
    invented = Caller(
        INVENTED, every, every, every, {domain: types}, frozenset(registry.roles), frozenset(registry.purposes)
    )
    return invented, min(every, default=NOWHERE)


def judge_of(judging: Judging) -> Judge:
    """What tells of a body whether it would be taken."""
    kinds: dict[str | None, Callable[[Judging, bytes], Verdict]] = {"Hl7v2": _message, "Fhir": _resource, "Csv": _file}
    judge = kinds[judging.facts.data_type]
    return lambda raw: judge(judging, raw)


def _message(judging: Judging, raw: bytes) -> Verdict:
    message = hl7v2.read(raw)
    if refuses(message.findings):
        return _refused(message.findings)
    facts = replace(judging.facts, message=message, type=message.type)
    decided = _decided(judging, facts)
    accepts = judging.loaded.rules.domains[judging.context.domain].accepts
    laid = overlays(accepts, message.type, message.version)
    made = judging.loaded.maps.convert(message, replace(judging.context, overlays=laid))
    if not decided.accepted or refuses(made.findings):
        return _refused((*decided.findings, *made.findings), decided.by, made.loss.unmapped)
    return _checked(judging, facts, made.drafts, (*decided.findings, *made.findings), made.loss.unmapped)


def _resource(judging: Judging, raw: bytes) -> Verdict:
    elements = judging.loaded.elements
    try:
        resource = fhir.load(raw)
    except fhir.JsonError as fault:
        return _refused((Finding("error", "structure", fault.words, fault.place, "FHIR-JSON"),))
    findings = fhir.validate(resource, elements)
    if refuses(findings):
        return _refused(findings)
    facts = replace(judging.facts, resources=fhir.placed(resource), type=str(resource["resourceType"]))
    decided = _decided(judging, facts)
    if not decided.accepted:
        return decided
    marks = fhir.Marks(judging.loaded.tables.systems.marks)
    try:
        made = converted(resource, "", hashlib.sha256(raw).hexdigest(), judging.context, elements, marks)
    except Refused as refusal:
        return _refused(refusal.findings)
    return _checked(judging, facts, made.drafts, (*findings, *decided.findings, *made.findings))


def _file(judging: Judging, raw: bytes) -> Verdict:
    """The first row that is refused, or what all were told."""
    rows = judging.loaded.row_maps[judging.facts.type or ""]
    begun = tabular.begin(raw, (rows.layout,))
    if isinstance(begun, Finding):
        return _refused((begun,))
    findings: list[Finding] = []
    made: tuple[fhir.Resource, ...] = ()
    for row in tabular.Reading(begun, rows.known).rows((raw,)):
        verdict = _row(judging, rows, row)
        if not verdict.accepted:
            return verdict
        findings += verdict.findings
        made += verdict.made
    return Verdict(accepted=True, by=(), findings=tuple(findings), made=made)


def _row(judging: Judging, rows: RowMap, row: tabular.Row) -> Verdict:
    if row.findings:
        return _refused(row.findings)
    facts = replace(judging.facts, row=row.values)
    decided = _decided(judging, facts)
    made = rows.convert(row, told(judging.context, rows.marks))
    if not decided.accepted or refuses(made.findings):
        return _refused((*decided.findings, *made.findings), decided.by)
    return _checked(judging, facts, made.drafts, (*decided.findings, *made.findings))


def _decided(judging: Judging, facts: Facts) -> Verdict:
    decision = judging.loaded.rules.decide(facts)
    if decision.effect == "permit":
        return Verdict(accepted=True, by=(), findings=decision.findings)
    return _refused((*decision.findings, *decision.wanting), decision.by)


def _checked(
    judging: Judging, facts: Facts, drafts: tuple[fhir.Draft, ...], findings: tuple[Finding, ...],
    unmapped: tuple[str, ...] = (),
) -> Verdict:  # fmt: skip
    found = (*findings, *judging.loaded.rules.check_result(facts, [draft.resource for draft in drafts]))
    if refuses(found):
        return _refused(found, (), unmapped)
    made = tuple(draft.resource for draft in drafts)
    return Verdict(accepted=True, by=(), findings=found, unmapped=unmapped, made=made)


def _refused(findings: tuple[Finding, ...], by: tuple[str, ...] = (), unmapped: tuple[str, ...] = ()) -> Verdict:
    rules = (f.rule for f in findings if f.rule is not None and f.severity == "error")
    return Verdict(accepted=False, by=by or tuple(dict.fromkeys(rules)), findings=findings, unmapped=unmapped)
