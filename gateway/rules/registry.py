"""Statements of the registry, checked: organisations, roles, purposes, targets, agreements, principals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from gateway.language import messages
from gateway.language.nodes import Word
from gateway.rules.clauses import Report, choose, day, declared, every, words
from gateway.rules.declared import Agreement, Named, Organisation, PrincipalDeclaration, Registry, Target
from gateway.rules.nodes import Said, SendsCategory, Statement

TAKES = ("Fhir", "Hl7v2", "Csv")

KINDS = frozenset({"organisation", "role", "purpose", "target", "agreement", "principal"})
"""Statements of the registry; they may stand in any file."""

D = TypeVar("D")


def build(statements: Iterable[Statement], domains: Mapping[str, frozenset[str]], report: Report) -> Registry:
    """The registry of all files.

    Shape: `domains` are the message types that each domain accepts, for `sends category`.
    """
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
    principals = {n: _principal(s, found, domains, report) for n, s in by_kind["principal"].items()}
    return Registry(organisations, roles, purposes, targets, agreements, principals)


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


def _principal(
    statement: Statement, registry: Registry, domains: Mapping[str, frozenset[str]], report: Report
) -> PrincipalDeclaration:
    def names(clause: str, known: Iterable[str], kind: str) -> tuple[str, ...]:
        return _declared(words(statement, clause, report), known, kind, report)

    return PrincipalDeclaration(
        statement.name.text,
        statement.title,
        names("connects as", registry.organisations, "organisation"),
        names("sends as", registry.organisations, "organisation"),
        _categories(statement, domains, report),
        names("roles", registry.roles, "role"),
        names("may assert", registry.purposes, "purpose"),
        statement.span,
    )


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
