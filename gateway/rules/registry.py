"""Statements of the registry, checked: organisations, roles, purposes, targets, agreements, lists, principals."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import TypeVar

from gateway.language import messages
from gateway.language.nodes import Word
from gateway.rules import lists
from gateway.rules import messages as own
from gateway.rules.clauses import Report, choose, day, declared, every, said, words
from gateway.rules.declared import Agreement, Named, Organisation, PrincipalDeclaration, Registry, Target
from gateway.rules.nodes import Limit, Said, SendsCategory, Statement

TAKES = ("Fhir", "Hl7v2", "Csv")

KINDS = frozenset({"organisation", "role", "purpose", "target", "agreement", "list", "codes", "principal"})
"""Statements of the registry; they may stand in any file."""

_COUNT = re.compile(r"[1-9]\d{0,6}")

D = TypeVar("D")


@dataclass(frozen=True, slots=True)
class Beside:
    """What the registry stands on beside its statements.

    Shape: `domains` are the message types that each domain accepts, for `sends category`; `is_resource` tells the
    resource types, for limits; `read` gives the files of lists; with `today` (Europe/London) stale ones are warned of.
    """

    domains: Mapping[str, frozenset[str]]
    is_resource: Callable[[Word, Report], bool]
    read: lists.Read
    today: date | None = None


def build(statements: Iterable[Statement], beside: Beside, report: Report) -> Registry:
    """The registry of all files."""
    by_kind: dict[str, dict[str, Statement]] = {kind: {} for kind in KINDS}
    for statement in statements:
        known = by_kind[statement.kind]
        name = statement.name.text.upper() if statement.kind == "organisation" else statement.name.text
        if name in known:
            first = str(known[name].span)
            report.say(
                messages.DUPLICATE.at(statement.name.span, kind=statement.kind, word=statement.name.text, first=first)
            )
        else:
            known[name] = statement
    organisations = _organisations(by_kind["organisation"], report)
    roles = {n: Named(n, s.title, s.span) for n, s in by_kind["role"].items()}
    purposes = {n: Named(n, s.title, s.span) for n, s in by_kind["purpose"].items()}
    targets = _kept({n: _target(s, report) for n, s in by_kind["target"].items()})
    agreements = _kept({n: _agreement(s, purposes, report) for n, s in by_kind["agreement"].items()})
    found = Registry(organisations, roles, purposes, targets, agreements)
    principals = {n: _principal(s, found, beside, report) for n, s in by_kind["principal"].items()}
    listed = _kept({n: lists.values(s, beside.read, beside.today, report) for n, s in by_kind["list"].items()})
    codes = _kept({n: lists.codings(s, beside.read, report) for n, s in by_kind["codes"].items()})
    return Registry(organisations, roles, purposes, targets, agreements, principals, listed, codes)


def _kept(found: Mapping[str, D | None]) -> dict[str, D]:
    return {name: one for name, one in found.items() if one is not None}


def _loose(statement: Statement) -> tuple[Word, ...]:
    """Words of the statement itself, outside of any clause."""
    return tuple(word for clause in every(statement, Said) if clause.kind == "" for word in clause.words)


def _organisations(statements: Mapping[str, Statement], report: Report) -> dict[str, Organisation]:
    found: dict[str, Organisation] = {}
    for code, statement in statements.items():
        parents = _declared(words(statement, "names", report), statements, "organisation", report)
        found[code] = Organisation(code, statement.title, parents, statement.span)
    for code, organisation in found.items():
        if code in _above(code, found):
            report.say(messages.REPEATED_PART.at(organisation.span, word=statements[code].name.text))
    return found


def _above(code: str, organisations: Mapping[str, Organisation]) -> frozenset[str]:
    """All that an organisation is part of, directly and not."""
    seen: set[str] = set()
    open_ends = [*organisations[code].part_of]
    while open_ends:
        parent = open_ends.pop()
        if parent not in seen and parent in organisations:
            seen.add(parent)
            open_ends.extend(organisations[parent].part_of)
    return frozenset(seen)


def parts_of(codes: Iterable[str], organisations: Mapping[str, Organisation]) -> frozenset[str]:
    """Organisations and all that are part of them, directly and not."""
    wanted = frozenset(codes)
    return wanted | {code for code in organisations if wanted & _above(code, organisations)}


def _target(statement: Statement, report: Report) -> Target | None:
    takes = choose(_loose(statement)[0], TAKES, "data type", report)
    return None if takes is None else Target(statement.name.text, statement.title, takes, statement.span)


def _agreement(statement: Statement, purposes: Mapping[str, Named], report: Report) -> Agreement | None:
    from_word, until_word = _loose(statement)
    first, last = day(from_word, report), day(until_word, report)
    named = _declared(words(statement, "for purpose", report), purposes, "purpose", report)
    if first is None or last is None:
        return None
    if last < first:
        report.say(messages.ORDER_OF_TWO.at(from_word.span, first=from_word.text, last=until_word.text))
    return Agreement(statement.name.text, statement.title, first, last, named, statement.span)


def _declared(named: Iterable[Word], known: Iterable[str], kind: str, report: Report) -> tuple[str, ...]:
    names = tuple(known)
    return tuple(name for word in named if (name := declared(word, names, kind, report)) is not None)


def _principal(statement: Statement, registry: Registry, beside: Beside, report: Report) -> PrincipalDeclaration:
    def names(clause: str, known: Iterable[str], kind: str) -> tuple[str, ...]:
        return _declared(words(statement, clause, report), known, kind, report)

    return PrincipalDeclaration(
        statement.name.text,
        statement.title,
        names("connects as", registry.organisations, "organisation"),
        names("sends as", registry.organisations, "organisation"),
        _categories(statement, beside.domains, report),
        names("roles", registry.roles, "role"),
        names("may assert", registry.purposes, "purpose"),
        statement.span,
        may_break_glass=said(statement, "may break glass", report) is not None,
        per_second=_per_second(statement, report),
        per_day=_per_day(statement, beside, report),
    )


def _per_second(statement: Statement, report: Report) -> int | None:
    """How many requests a second."""
    found: int | None = None
    for clause in every(statement, Limit):
        if clause.type is None and choose(clause.unit, ("second",), "time of a limit on requests", report) is not None:
            if found is not None:
                report.say(messages.TWICE.at(clause.span, word="limit per second"))
            found = found or _count(clause.count, report)
    return found


def _per_day(statement: Statement, beside: Beside, report: Report) -> dict[str, int]:
    """How many resources of a type a day."""
    found: dict[str, int] = {}
    for clause in every(statement, Limit):
        if clause.type is None:
            continue
        day_said = choose(clause.unit, ("day",), "time of a limit on resources", report) is not None
        count = _count(clause.count, report)
        if clause.type.text in found:
            report.say(messages.TWICE.at(clause.span, word=f"limit {clause.type.text}"))
        elif beside.is_resource(clause.type, report) and day_said and count is not None:
            found[clause.type.text] = count
    return found


def _count(word: Word, report: Report) -> int | None:
    if _COUNT.fullmatch(word.text) is None:
        report.say(own.BAD_COUNT.at(word.span, word=word.text))
        return None
    return int(word.text)


def _categories(
    statement: Statement, domains: Mapping[str, frozenset[str]], report: Report
) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for clause in every(statement, SendsCategory):
        domain = declared(clause.domain, domains, "domain", report)
        if domain is None:
            continue
        if domain in found:
            report.say(messages.TWICE.at(clause.span, word=f"sends category {domain}"))
        for word in clause.types:
            if word.text not in domains[domain]:
                hint = "it accepts " + (", ".join(f"`{t}`" for t in sorted(domains[domain])) or "nothing")
                report.say(messages.NOT_ACCEPTED.at(word.span, hint, domain=domain, word=word.text))
        found[domain] = (*found.get(domain, ()), *(word.text for word in clause.types))
    return found
