"""A test run: what the rules make of what it gives.

Submissions go the way of `interactions/ingest.py` without the journal and the targets: decide, convert, the checks
`on result`. What is asked for and written goes the way of `interactions/search.py`, `read.py` and `judge_write.py`:
decide, then judge each resource that the test says is stored.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from gateway import fhir
from gateway.fhir import Resource, fhirpath
from gateway.finding import Finding, refuses
from gateway.rules.around import Around, Reading, Want
from gateway.rules.decision import Decision
from gateway.rules.facts import Facts
from gateway.rules.trial.check import counts_alone
from gateway.rules.trial.declared import CHANGING, PATCH, SUBMITTED, Trial
from gateway.rules.trial.given import Sent, Unusable, World, facts, read, sent, stored, tagged
from gateway.rules.trial.lacks import lacks, withheld

Effect = Literal["accept", "refuse", "permit", "deny", "unread"]

BROKEN = 10
"""So many characters a reason has at least, for glass to be broken. Source: the table of facts, `breaks glass`."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one thing: a submission, a row, a question, a stored resource.

    Shape: `name` is how it is called; `by` are the ids of the rules that decided, `lacks` what each permit wants that
    was asked and does not grant; `hide` and `narrow` what a permit hides and puts into the search; `made` what
    conversion made; `notices` the targets that are told of broken glass; `stages` how far it came, for coverage.
    """

    name: str
    effect: Effect
    facts: Facts
    by: tuple[str, ...] = ()
    erred: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    targets: frozenset[str] = frozenset()
    lacks: Mapping[str, frozenset[str]] = field(default_factory=dict)
    hide: frozenset[str] = frozenset()
    narrow: Mapping[str, frozenset[str]] = field(default_factory=dict)
    resource: Resource | None = None
    made: tuple[Resource, ...] = ()
    around: Around = field(default_factory=dict)
    notices: frozenset[str] = frozenset()


def run(trial: Trial, world: World) -> tuple[Answer, ...]:
    """What came of a test, each thing that it gives.

    Errors: Unusable for a sample that can't be used, OSError for one that can't be read.
    """
    if trial.kind in SUBMITTED:
        return tuple(_submitted(world, one) for one in sent(world, trial))
    return tuple(_noticed(world, tuple((_written if trial.writes else _asked)(world, trial))))


def _noticed(world: World, answers: Sequence[Answer]) -> Iterator[Answer]:
    """The same, with where the use of broken glass is told: once for all that was shown."""
    shown = [one.resource for one in answers if one.effect == "permit" and one.resource is not None]
    around = {want: found for one in answers for want, found in one.around.items()}
    for one in answers:
        told = world.rules.notices(one.facts, () if one.facts.action == "count" else shown, around)
        yield replace(one, notices=frozenset(routing.target for routing in told))


# --- submissions ---------------------------------------------------------------------------------------------------


def _submitted(world: World, one: Sent) -> Answer:
    if one.wrong:
        return Answer(one.name, "unread", one.facts, findings=one.wrong)
    decision = world.rules.decide(one.facts)
    if decision.effect == "deny":
        rules = world.rules.ingesting.get((one.facts.domain, one.facts.data_type, one.facts.type))
        # where a forbid holds, or could not be decided, no permit is asked
        asked = () if rules is None or decision.by else rules.permits
        wanting = {permit.permit.id: lacks(permit, one.facts) for permit in asked}
        return Answer(
            one.name, "deny", one.facts, decision.by, decision.erred, (*decision.findings, *decision.wanting),
            lacks=wanting,
        )  # fmt: skip
    if decision.effect == "refuse":
        return Answer(one.name, "refuse", one.facts, _refusing(decision.findings), decision.erred, decision.findings)
    made = one.convert()
    checked = world.rules.check_result(one.facts, made.resources)
    found = (*decision.findings, *made.findings, *checked)
    if refuses(found):
        return Answer(one.name, "refuse", one.facts, _refusing(found), decision.erred, found, made=made.resources)
    return Answer(
        one.name, "accept", one.facts, (*decision.by, *dict.fromkeys(r.rule for r in decision.routes)),
        decision.erred, found, frozenset(routing.target for routing in decision.routes), made=made.resources,
    )  # fmt: skip


def _refusing(findings: Sequence[Finding]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(f.rule for f in findings if f.rule is not None and f.severity in {"error", "fatal"}))


# --- what is asked for ---------------------------------------------------------------------------------------------


def _asked(world: World, trial: Trial) -> Iterator[Answer]:
    asked = asking(world, trial, trial.kind, trial.type or "")
    decision = world.rules.decide(asked)
    counts = trial.query is not None and counts_alone(trial.query)
    if trial.kind == "search" and counts and decision.effect != "permit":
        # who may not search may be allowed to count, which is what this search does
        counting = replace(asked, action="count")
        counted = world.rules.decide(counting)
        asked, decision = (counting, counted) if counted.effect == "permit" else (asked, decision)
    name = f"{asked.action} {trial.given.value}"
    resources = tuple(stored(world, trial, trial.returning))
    if decision.effect != "permit" or not resources:
        yield _decided(world, asked, decision, name)
        return
    everything = (*resources, *_beside(world, trial))
    for resource in resources:
        refused = None
        if trial.kind in CHANGING:
            refused = _not_replaced(world, trial, asked, decision, resource, everything)
        yield refused or released(world, asked, decision, resource, everything)


def _beside(world: World, trial: Trial) -> Iterator[Resource]:
    """What stands beside the resources that are asked for. Errors: Unusable, OSError."""
    for name, texts in trial.beside:
        for text in texts:
            for one in stored(world, trial, (text,)):
                if one["resourceType"] != name:
                    raise Unusable(f"{text.value} holds {one['resourceType']}, and the test says {name}")
                yield one


def asking(world: World, trial: Trial, action: str, resource_type: str) -> Facts:
    """The facts of a question or a write."""
    known = facts(world, trial, action, type=resource_type, query=trial.query)
    reason = trial.reason or ""
    return replace(known, glass=known.caller.may_break_glass and len(reason.strip()) >= BROKEN)


def _decided(world: World, asked: Facts, decision: Decision, name: str) -> Answer:
    """What was decided of a request alone."""
    if decision.effect == "permit":
        hidden = [set(view.hide) for view in decision.views]
        shown = [p for p in hidden[0] if all(p in other for other in hidden)] if hidden else []
        narrow = {n: frozenset(values) for view in decision.views for n, values in view.narrow}
        return Answer(
            name, "permit", asked, decision.by, decision.erred, decision.findings, hide=frozenset(shown), narrow=narrow
        )
    return Answer(
        name, "deny", asked, decision.by, decision.erred, (*decision.findings, *decision.wanting),
        lacks={} if decision.by else _wanting(world, asked),
    )  # fmt: skip


def _wanting(world: World, asked: Facts) -> dict[str, frozenset[str]]:
    rules = world.rules.querying.get((asked.action, asked.type or ""))
    return {} if rules is None else {granting.permit.id: lacks(granting, asked) for granting in rules.permits}


def released(
    world: World, asked: Facts, decision: Decision, resource: Resource, everything: Sequence[Resource]
) -> Answer:
    """What becomes of one stored resource, where the request is permitted."""
    name = f"{resource['resourceType']}/{resource.get('id', '')}"
    around = beside(world, asked, decision, resource, everything)
    release = world.rules.release(asked, decision, resource, around)
    if release.released:
        narrow = {n: frozenset(values) for view in decision.views for n, values in view.narrow}
        by = (*release.by, *release.masked)
        return Answer(
            name, "permit", asked, by, release.erred, hide=release.hide, narrow=narrow, resource=resource, around=around
        )
    # where a forbid holds, or could not be decided, no permit is asked
    wants = {} if release.by else withheld(world.rules, asked, decision, resource, around)
    wants = {**wants, **{rule: own for rule, own in _wanting(world, asked).items() if own and not release.by}}
    return Answer(name, "deny", asked, release.by, release.erred, lacks=wants, resource=resource, around=around)


def beside(
    world: World, asked: Facts, decision: Decision, resource: Resource, everything: Sequence[Resource]
) -> dict[Want, tuple[Resource, ...] | None]:
    """What stands beside a resource, of what rules want of it."""
    return {want: _found(world, want, everything) for want in world.rules.wants(asked, decision, (resource,))}


def _found(world: World, want: Want, everything: Sequence[Resource]) -> tuple[Resource, ...] | None:
    """What a test says is stored of what rules want; None where it says nothing of a single resource."""
    if isinstance(want, Reading):
        found = tuple(r for r in everything if (r["resourceType"], r.get("id")) == (want.type, want.id))
        return found or None
    tables = world.vocabulary.tables
    parameter = tables.search_parameters[want.type, want.parameter]
    refers = fhirpath.compile(parameter.fhirpath, context=want.type, tables=tables)
    return tuple(
        one
        for one in everything
        if one["resourceType"] == want.type
        and any(isinstance(value, dict) and value.get("reference") == want.to for value in refers(dict(one)))
    )


# --- what is written -----------------------------------------------------------------------------------------------


def _written(world: World, trial: Trial) -> Iterator[Answer]:
    """What becomes of a create, an update or a patch; `returning` is what stands."""
    standing = tuple(stored(world, trial, trial.returning))
    new = _patched(world, trial, standing) if trial.kind == PATCH else read(world.sample(trial.given))
    findings = fhir.validate(new, world.elements)
    if refuses(findings):
        raise Unusable(f"{trial.given.value} is not valid FHIR R4: {findings[0].diagnostics}")
    kind = str(new["resourceType"])
    asked = asking(world, trial, trial.kind, kind)
    decision = world.rules.decide(asked)
    name = f"{trial.kind} {kind}"
    if decision.effect != "permit":
        yield _decided(world, asked, decision, name)
        return
    beside = tuple(_beside(world, trial))
    if trial.kind in CHANGING:
        for one in standing:
            refused = _not_replaced(world, trial, asked, decision, one, (*standing, *beside))
            if refused is not None:
                yield refused
                return
    domains = world.rules.serving(kind)
    writer = trial.organisation or min(asked.caller.connects_as, default=None)
    new = tagged(new, (writer,) if writer else (), domains[0] if domains else "", world.marks)
    stored_so = released(world, asked, decision, new, (new, *beside))
    if stored_so.effect == "deny":
        yield replace(stored_so, name=name)
        return
    known = replace(
        asked, data_type="Fhir", received=asked.now, resources={kind: [(kind, new)]}, organisation=writer
    )  # fmt: skip
    found = tuple(
        finding
        for domain in domains
        for finding in world.rules.check_submitted(replace(known, domain=domain), domain, [(kind, new)])
    )
    by = _refusing(found) if refuses(found) else stored_so.by
    effect: Effect = "refuse" if refuses(found) else "permit"
    yield replace(stored_so, name=name, effect=effect, by=by, findings=found, facts=known)


def _patched(world: World, trial: Trial, standing: Sequence[Resource]) -> Resource:
    """What stands after a patch. Errors: Unusable, OSError."""
    if len(standing) != 1:
        raise Unusable(f"a patch is made to one resource, and `returning` holds {len(standing)}")
    try:
        return fhir.patched(standing[0], fhir.read_patch(world.sample(trial.given)))
    except fhir.PatchError as fault:
        raise Unusable(f"{trial.given.value} can not be made to what stands: {fault}") from fault


def _not_replaced(
    world: World, trial: Trial, asked: Facts, decision: Decision, standing: Resource, everything: Sequence[Resource]
) -> Answer | None:
    """Why what stands may not be replaced: who does not see all of it may not change it."""
    reading = asking(world, trial, "read", asked.type or "")
    seen = world.rules.decide(reading)
    if seen.effect != "permit":
        return _decided(world, reading, seen, f"read {asked.type}")
    shown = released(world, reading, seen, standing, everything)
    if shown.effect == "deny" or shown.hide:
        hidden = Finding("error", "forbidden", f"the caller does not see {', '.join(sorted(shown.hide))}")
        return replace(shown, effect="deny", findings=(hidden,) if shown.hide else shown.findings)
    may = released(world, asked, decision, standing, everything)
    return may if may.effect == "deny" else None
