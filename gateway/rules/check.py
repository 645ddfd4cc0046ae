"""Statements of all files to what they declare: typed, with every name looked up; all errors collected."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal, cast

from gateway.language import messages
from gateway.rules import domain as domains
from gateway.rules import flow, glass, grants, registry
from gateway.rules.accepting import accept
from gateway.rules.clauses import Report
from gateway.rules.declared import Check, Domain, Forbid, Mask, Permit, Registry, Route
from gateway.rules.ground import Ground, Vocabulary, resource_type, written
from gateway.rules.lists import Read
from gateway.rules.nodes import On, Statement, To
from gateway.rules.trial import check as tests
from gateway.rules.trial.declared import Trial
from gateway.source import Diagnostic, Source, Span

SOON = timedelta(days=60)
"""How long before an end its warning comes."""


@dataclass(frozen=True, slots=True)
class File:
    """One rule file as read."""

    source: Source
    statements: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class Checked:
    """What all files declare. Shape: whole only where no diagnostic is an error."""

    registry: Registry
    domains: Mapping[str, Domain]
    served: Mapping[str, str]
    diagnostics: tuple[Diagnostic, ...]
    trials: tuple[Trial, ...] = ()


def check(
    files: Sequence[File], vocabulary: Vocabulary, today: date | None = None, read: Read = lambda _file: None
) -> Checked:
    """Look up and type everything.

    Shape: `today` (Europe/London) adds the warnings of what ends soon; `read` gives the files of lists.
    Errors: diagnostics, unsorted.
    """
    report = Report()
    headings = {file.source.name: _heading(file, report) for file in files}
    names = _names(headings.values(), report)
    accepted = _accepted(files, headings, vocabulary)
    statements = [s for file in files for s in file.statements if s.kind in registry.KINDS]
    beside = registry.Beside(
        {name: accepted.get(name, frozenset()) for name in names},
        lambda word, saying: resource_type(word, vocabulary, saying),
        read,
        today,
    )
    found = registry.build(statements, beside, report)
    built: dict[str, Domain] = {}
    for file in files:
        heading = headings[file.source.name]
        if heading is not None and names.get(heading.name.text) is heading:
            built[heading.name.text] = _domain(
                file, heading, Ground(heading.name.text, vocabulary, found, frozenset(names)), report
            )
    _ids(built.values(), report)
    served = _served(built, report)
    if today is not None:
        _soon(found, built.values(), today, report)
    every = [statement for file in files for statement in file.statements]
    trials = tests.trials(every, tests.known(every, found, built, vocabulary), report)
    return Checked(found, built, served, tuple(_causes(every, report.diagnostics)), trials)


def _causes(statements: Iterable[Statement], said: Sequence[Diagnostic]) -> Iterable[Diagnostic]:
    """What is said, but for what can't be read only because a statement's `on` or `to` is wrong itself."""
    errors = [d for d in said if d.severity == "error" and d.code != messages.NOT_READABLE.code]
    wrong = [
        statement.span
        for statement in statements
        for clause in statement.clauses
        if isinstance(clause, On | To) and any(_within(d.span, clause.span) for d in errors)
    ]
    return (d for d in said if d.code != messages.NOT_READABLE.code or not any(_within(d.span, span) for span in wrong))


def _within(inner: Span, outer: Span) -> bool:
    return inner.source is outer.source and outer.start <= inner.start and inner.end <= outer.end


def _heading(file: File, report: Report) -> Statement | None:
    first: Statement | None = None
    for statement in file.statements:
        if statement.kind == "domain":
            if first is None:
                first = statement
            else:
                report.say(messages.SECOND_DOMAIN.at(statement.name.span))
    for statement in file.statements:
        if first is None and statement.kind not in registry.KINDS and statement.kind != "test":
            shown = f"{statement.kind} {statement.name.text}"
            report.say(messages.NO_DOMAIN.at(statement.name.span, word=shown))
    return first


def _names(headings: Iterable[Statement | None], report: Report) -> dict[str, Statement]:
    return domains.unique([statement for statement in headings if statement is not None], report)


def _accepted(
    files: Sequence[File], headings: Mapping[str, Statement | None], vocabulary: Vocabulary
) -> dict[str, frozenset[str]]:
    """Types that each domain accepts; what is wrong with the statements is said when the domain is checked."""
    found: dict[str, frozenset[str]] = {}
    for file in files:
        heading = headings[file.source.name]
        if heading is not None:
            accepts = [accept(s, vocabulary, Report()) for s in file.statements if s.kind == "accept"]
            found[heading.name.text] = frozenset(t for a in accepts if a is not None for t in a.types)
    return found


def _domain(file: File, heading: Statement, ground: Ground, report: Report) -> Domain:
    by_kind: dict[str, list[Statement]] = {}
    for statement in file.statements:
        by_kind.setdefault(statement.kind, []).append(statement)
    said = domains.heading(heading, ground.registry.targets, report)
    ground.written = written(by_kind.get("permit", []))
    domains.fill(by_kind, ground, report)
    permits = [grants.permit(s, ground, report) for s in by_kind.get("permit", [])]
    forbids = [grants.forbid(s, ground, report) for s in by_kind.get("forbid", [])]
    masks = [grants.mask(s, ground, report) for s in by_kind.get("mask", [])]
    checks = [flow.check(s, ground, report) for s in by_kind.get("check", [])]
    routes = [_route(s, ground, report) for s in by_kind.get("route", [])]
    kept = tuple(r for r in routes if r is not None)
    if len(kept) == len(routes):
        # a route with an error is no gap
        flow.gaps(ground, kept, heading.name.span, report)
    return Domain(
        ground.name,
        heading.title,
        said.owner,
        said.contact,
        cast('Literal["http-status", "hl7-over-http"]', said.acknowledge),
        said.outcome,
        cast('Literal["refuse", "accept"]', said.same_control_id),
        said.window,
        said.serves,
        ground.accepts,
        ground.sets,
        ground.conditions,
        tuple(p for p in permits if p is not None),
        tuple(f for f in forbids if f is not None),
        tuple(c for c in checks if c is not None),
        kept,
        heading.span,
        tuple(m for m in masks if m is not None),
        said.keeps,
    )


def _route(statement: Statement, ground: Ground, report: Report) -> Route | None:
    led = glass.route if glass.is_of_glass(statement) else flow.route
    return led(statement, ground, report)


def rules_of(domain: Domain) -> tuple[Permit | Forbid | Mask | Check | Route, ...]:
    """All rules of a domain that have an id."""
    return (*domain.permits, *domain.forbids, *domain.masks, *domain.checks, *domain.routes)


def _ids(found: Iterable[Domain], report: Report) -> None:
    """Decisions name rules by id, so an id stands for one rule over all files."""
    first: dict[str, Span] = {}
    for domain in found:
        for rule in rules_of(domain):
            if rule.id in first:
                span = Span(
                    rule.span.source, rule.span.start, rule.span.start + len(rule.span.source.line(rule.span.line))
                )
                report.say(messages.DUPLICATE.at(span, kind="rule", word=rule.id, first=str(first[rule.id])))
            else:
                first[rule.id] = rule.span


def _served(found: Mapping[str, Domain], report: Report) -> dict[str, str]:
    """The one target that each granted resource type is served from."""
    only = {domain.serves for domain in found.values() if domain.serves is not None}
    served: dict[str, str] = {}
    for domain in found.values():
        for permit in domain.permits if domain.serves is not None else ():
            for name in permit.types:
                target = served.setdefault(name, domain.serves or "")
                if target != domain.serves:
                    said = messages.SERVED_TWICE.at(_head(permit.span), word=name, first=target, second=domain.serves)
                    report.say(said)
    for domain in found.values():
        for permit in domain.permits:
            for name in permit.types:
                if name in served:
                    continue
                if len(only) == 1:
                    served[name] = next(iter(only))
                else:
                    report.say(messages.NOT_SERVED.at(_head(permit.span), word=name))
    return served


def _head(span: Span) -> Span:
    """The first line of a statement."""
    return Span(span.source, span.start, min(span.end, span.start + len(span.source.line(span.line))))


def _soon(found: Registry, built: Iterable[Domain], today: date, report: Report) -> None:
    for agreement in found.agreements.values():
        if agreement.last - today < SOON:
            span = _head(agreement.span)
            report.say(messages.SOON.at(span, kind="agreement", word=agreement.id, day=agreement.last))
    for domain in built:
        rules: tuple[Permit | Forbid | Mask, ...] = (*domain.permits, *domain.forbids, *domain.masks)
        for rule in rules:
            if rule.review_by is not None and rule.review_by - today < SOON:
                report.say(messages.SOON.at(_head(rule.span), kind="review of", word=rule.id, day=rule.review_by))
