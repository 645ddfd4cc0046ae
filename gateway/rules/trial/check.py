"""`test` statements to tests: every name looked up, every clause and outcome fitting what is given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import cast
from urllib.parse import parse_qsl

from gateway import query
from gateway.language import messages
from gateway.language.nodes import Text, Word
from gateway.rules.clauses import Report, choose, day, declared, every, missing, one, said
from gateway.rules.declared import Check, Domain, Permit, Registry
from gateway.rules.facts import ACTIONS, OPERATIONS, operation
from gateway.rules.ground import Vocabulary, resource_type
from gateway.rules.nodes import Expect, FromPrincipal, FromSource, Said, Statement
from gateway.rules.trial import messages as own
from gateway.rules.trial.declared import (
    ASPECTS,
    DAY,
    ENVIRONMENT,
    PATCH,
    SEARCHED,
    SUBMITTED,
    Expected,
    Outcome,
    Trial,
    writes,
)
from gateway.rules.trial.places import place, tells_of
from gateway.source import Span, nearest

_RULES = frozenset({"permit", "forbid", "check", "route", "mask"})

_ANSWERS: Mapping[str, tuple[str, ...]] = {
    "sent": ("accept", "refuse", "warn", "deny", "want"),
    "written": ("permit", "refuse", "warn", "deny", "want", "notice", "silence"),
    "asked": ("permit", "deny", "want", "notice", "silence"),
}
_WORDS: Mapping[str, str] = {
    "accept": "accept",
    "refuse": "refuse by",
    "warn": "warn by",
    "deny": "deny by",
    "want": "deny for want of",
    "permit": "permit by",
    "notice": "notice to",
    "silence": "no notice",
}
OPERATION = "operation"
_MOST_STEPS = 2  # a type and an id
_SENDING = frozenset({"from source", "returning", "with", "breaking glass"})
"""Clauses that speak of stored resources and of those who ask for them."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the rule files declare, as far as tests name it.

    Shape: `kinds` has the kind of every rule that is written, by its id; `permits` and `checks` those that could be
    used.
    """

    registry: Registry
    domains: Mapping[str, Domain]
    kinds: Mapping[str, str]
    permits: Mapping[str, Permit]
    checks: Mapping[str, Check]
    vocabulary: Vocabulary


def known(
    statements: Iterable[Statement], registry: Registry, domains: Mapping[str, Domain], vocabulary: Vocabulary
) -> Known:
    """What tests may name: a rule that is wrong itself is said to be so where it stands, not where it is named."""
    kinds = {statement.name.text: statement.kind for statement in statements if statement.kind in _RULES}
    permits = {permit.id: permit for domain in domains.values() for permit in domain.permits}
    checks = {check.id: check for domain in domains.values() for check in domain.checks}
    return Known(registry, domains, kinds, permits, checks, vocabulary)


def trials(statements: Iterable[Statement], names: Known, report: Report) -> tuple[Trial, ...]:
    """The tests among statements; one with an error is left out."""
    found = []
    first: dict[tuple[str, str], Span] = {}
    for statement in statements:
        if statement.kind != "test":
            continue
        title = (statement.span.source.name, statement.title)
        if title in first:
            stands = str(first[title])
            report.say(messages.DUPLICATE.at(statement.name.span, kind="test", word=statement.title, first=stands))
        first.setdefault(title, statement.span)
        mistakes = len(report.diagnostics)
        trial = _Reading(statement, names, report).trial()
        if trial is not None and len(report.diagnostics) == mistakes:
            found.append(trial)
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _About:
    """What a test gives.

    Shape: `type` of an address or a search alone; `counts` where only the number is asked for; `writes` where it gives
    the file of what is written.
    """

    kind: str
    type: str | None
    counts: bool
    writes: bool

    @property
    def actions(self) -> frozenset[str]:
        """The actions that it may be judged as."""
        if self.kind in SUBMITTED:
            return frozenset({"ingest"})
        return frozenset({self.kind, "count"}) if self.counts else frozenset({self.kind})


@dataclass(frozen=True, slots=True)
class _Reading:
    """One `test` statement being looked up."""

    statement: Statement
    names: Known
    report: Report

    def trial(self) -> Trial | None:
        """The test. Shape: None where it can't be told what it gives."""
        report, statement = self.report, self.statement
        given = said(statement, "given", report)
        if given is None:
            missing(statement, "given", report, 'add `given message "samples/..."`, or `given search "Patient?..."`')
            return None
        asked = tuple(action for action in ACTIONS if action != "ingest")
        kind = choose(given.words[0], (*SUBMITTED, *asked, OPERATION), "thing that a test gives", report)
        if kind is None:
            return None
        text = given.texts[0]
        if kind == OPERATION:
            kind = self._operation(text)
            if kind is None:
                return None
        about, search = self._address(kind, text)
        sender = one(statement, FromPrincipal, report)
        principal, organisation, domain = self._sender(kind, sender)
        purpose = self._words("for purpose", self.names.registry.purposes, "purpose")
        when = said(statement, "on", report)
        where = said(statement, "in environment", report)
        self._fit(kind)
        if kind == PATCH and writes(kind, text.value) and said(statement, "returning", Report()) is None:
            report.say(own.NEEDS_RETURNING.at(text.span, word=kind))
        return Trial(
            statement.title, kind, text, principal, organisation, domain, about, search,
            purpose[0] if purpose else None,
            self._texts("returning"),
            self._beside(),
            *self._source(),
            next((reason.value for reason in self._texts("breaking glass")), None),
            (day(when.words[0], report) if when is not None else None) or DAY,
            where.texts[0].value if where is not None else ENVIRONMENT,
            self._expected(_About(kind, about, search is not None and counts_alone(search), writes(kind, text.value))),
            statement.span,
        )  # fmt: skip

    # --- what is given ---------------------------------------------------------------------------------------------

    def _address(self, kind: str, text: Text) -> tuple[str | None, query.Query | None]:
        """The resource type of an address, and the search."""
        if kind in SUBMITTED or writes(kind, text.value):
            return None, None
        if kind.startswith(OPERATION):
            name = text.value.partition("/")[0]
            known = resource_type(_begins(text, name), self.names.vocabulary, self.report)
            return (name if known else None), None
        mark = "?" if kind in SEARCHED else "/"
        name, found, rest = text.value.partition(mark)
        if kind not in SEARCHED and (not found or not rest or "/" in rest):
            self.report.say(own.NO_ADDRESS.at(text.span, word=text.value))
            return None, None
        if not resource_type(_begins(text, name), self.names.vocabulary, self.report):
            return None, None
        return name, self._search(name, rest, text) if kind in SEARCHED else None

    def _operation(self, text: Text) -> str | None:
        """The action of an operation, by its address."""
        address, mark, name = text.value.rpartition("/$")
        if not mark or not 0 < len(address.split("/")) <= _MOST_STEPS:
            hint = "write it as `Patient/9990000018/$everything`"
            self.report.say(own.NO_ADDRESS.at(text.span, hint, word=text.value))
            return None
        chosen = choose(Word(name, text.span), OPERATIONS, "operation", self.report)
        return None if chosen is None else operation(chosen)

    def _search(self, name: str, asked: str, text: Text) -> query.Query | None:
        found = query.parse(name, parse_qsl(asked, keep_blank_values=True), self.names.vocabulary.tables)
        if isinstance(found, query.Query):
            return found
        self.report.say(own.NO_SEARCH.at(text.span, found[0].diagnostics, word=text.value))
        return None

    def _sender(self, kind: str, sender: FromPrincipal | None) -> tuple[str, str | None, str | None]:
        report, registry = self.report, self.names.registry
        if sender is None:
            if kind in SUBMITTED:
                report.say(own.NO_DOMAIN_GIVEN.at(self.statement.name.span, given=kind))
            else:
                missing(self.statement, "from", report, "add `from PRINCIPAL`")
            return "", None, None
        principal = declared(sender.principal, registry.principals, "principal", report)
        if kind in SUBMITTED and (sender.organisation is None or sender.domain is None):
            report.say(own.NO_DOMAIN_GIVEN.at(sender.span, given=kind))
        if kind not in SUBMITTED and sender.domain is not None:
            report.say(own.STRANGE_CLAUSE.at(sender.domain.span, word=f"to {sender.domain.text}", given=kind))
            return principal or "", None, None
        organisation = domain = None
        if sender.organisation is not None:
            organisation = declared(sender.organisation, registry.organisations, "organisation", report)
        if sender.domain is not None:
            domain = declared(sender.domain, self.names.domains, "domain", report)
        return principal or "", organisation, domain

    def _words(self, clause: str, names: Iterable[str], kind: str) -> tuple[str, ...]:
        found = said(self.statement, clause, self.report)
        names = tuple(names)
        looked = [] if found is None else [declared(word, names, kind, self.report) for word in found.words]
        return tuple(name for name in looked if name is not None)

    def _source(self) -> tuple[tuple[str, ...], str | None]:
        """Who contributed what is stored, and to which domain."""
        report = self.report
        source = one(self.statement, FromSource, report)
        if source is None:
            return (), None
        known = self.names.registry.organisations
        looked = [declared(word, known, "organisation", report) for word in source.organisations]
        domain = None if source.domain is None else declared(source.domain, self.names.domains, "domain", report)
        return tuple(name for name in looked if name is not None), domain

    def _texts(self, clause: str) -> tuple[Text, ...]:
        found = said(self.statement, clause, self.report)
        return () if found is None else found.texts

    def _beside(self) -> tuple[tuple[str, tuple[Text, ...]], ...]:
        """What stands beside: `with patient "..."`, `with Encounter "..."`."""
        found = []
        for clause in every(self.statement, Said):
            if clause.kind == "with":
                word = clause.words[0]
                others = ("patient",) if word.text[:1].islower() else ()
                if word.text == "patient":
                    found.append(("Patient", clause.texts))
                elif resource_type(word, self.names.vocabulary, self.report, others):
                    found.append((word.text, clause.texts))
        return tuple(found)

    def _fit(self, kind: str) -> None:
        """Whether the clauses go with what is given."""
        for clause in self.statement.clauses:
            strange = kind in SUBMITTED and clause.kind in _SENDING
            if strange or (kind == "create" and clause.kind == "returning"):
                self.report.say(own.STRANGE_CLAUSE.at(clause.span, word=clause.kind, given=kind))

    # --- what is expected ------------------------------------------------------------------------------------------

    def _expected(self, about: _About) -> tuple[Expected, ...]:
        clauses = every(self.statement, Expect)
        if not clauses:
            self.report.say(own.NOTHING_EXPECTED.at(self.statement.name.span, word=self.statement.title))
        found = (self._expectation(about, clause) for clause in clauses)
        return tuple(expected for expected in found if expected is not None)

    def _expectation(self, about: _About, clause: Expect) -> Expected | None:
        report, kind = self.report, about.kind
        way = "sent" if kind in SUBMITTED else "written" if about.writes else "asked"
        if clause.outcome not in _ANSWERS[way]:
            can = ", ".join(f"`{_WORDS[name]} ...`" for name in _ANSWERS[way])
            word = _WORDS[clause.outcome]
            report.say(own.STRANGE_OUTCOME.at(clause.span, f"it can come to {can}", given=kind, word=word))
            return None
        rule = self._rule(clause)
        if rule is None or not self._speaks(rule, about, clause):
            return None
        names = tuple(self._name(clause, rule, word) for word in clause.names)
        narrowed = tuple(self._narrowed(rule, leaf) for leaf in clause.narrowed)
        if None in names or None in narrowed:
            return None
        at = None if clause.at is None else clause.at.value if isinstance(clause.at, Text) else clause.at.text
        check = self.names.checks.get(rule)
        if at is not None and clause.at is not None and check is not None and not tells_of(check, at):
            told = place(check)
            hint = f"it tells of `{told}`" if told else "leave the place out"
            report.say(own.STRANGE_PLACE.at(clause.at.span, hint, rule=rule, word=at))
            return None
        return Expected(
            cast("Outcome", clause.outcome),
            rule,
            frozenset(name for name in names if name is not None),
            tuple(one_of for one_of in narrowed if one_of is not None),
            at,
            clause.span,
        )

    def _speaks(self, rule: str, about: _About, clause: Expect) -> bool:
        """Whether a permit speaks of what the test gives at all; and of rows only where there is one."""
        permit, word = self.names.permits.get(rule), clause.rule
        if permit is None or word is None:
            return True
        if not about.actions & {*permit.actions} or (about.type is not None and about.type not in permit.types):
            shown = f"`{' or '.join(sorted(about.actions))}{'' if about.type is None else ' ' + about.type}`"
            hint = f"it speaks of `{', '.join(permit.actions)} {', '.join(permit.types)}".rstrip() + "`"
            self.report.say(own.OFF_POINT.at(word.span, hint, word=word.text, about=shown))
            return False
        rows = [name for name in clause.names if clause.outcome == "want" and name.text == "rows"]
        if rows and about.type is not None and said(self.statement, "returning", Report()) is None:
            self.report.say(own.NEEDS_RETURNING.at(rows[0].span, word="rows"))
            return False
        return True

    def _rule(self, clause: Expect) -> str | None:
        """The id of the rule that is expected to decide; empty where none is named."""
        word = clause.rule
        if word is None:
            return ""
        wanted = {"refuse": "check", "warn": "check", "deny": "forbid"}.get(clause.outcome, "permit")
        kind = self.names.kinds.get(word.text)
        # a mask too keeps from the answer what was searched by what it hides
        if kind == wanted or (wanted, kind) == ("forbid", "mask"):
            return word.text
        if kind is not None:
            say = _WORDS[clause.outcome].removesuffix(" by")
            self.report.say(own.OTHER_KIND.at(word.span, word=word.text, kind=kind, outcome=say, wanted=wanted))
            return None
        near = nearest(word.text, [name for name, one_of in self.names.kinds.items() if one_of == wanted])
        hint = f"did you mean `{near}`?" if near else None
        self.report.say(messages.UNDECLARED.at(word.span, hint, kind=wanted, word=word.text))
        return None

    def _name(self, clause: Expect, rule: str, word: Word) -> str | None:
        """A target, what is wanting, or a hidden path."""
        if clause.outcome in {"accept", "notice"}:
            return declared(word, self.names.registry.targets, "target", self.report)
        if clause.outcome == "want":
            return choose(word, ASPECTS, "thing that a permit wants", self.report)
        permit = self.names.permits.get(rule)
        elements = self.names.vocabulary.elements
        root = word.text.partition(".")[0]
        if permit is not None and root not in permit.types:
            near = nearest(root, permit.types)
            hint = f"did you mean `{near}{word.text.removeprefix(root)}`?" if near else None
            said_so = messages.NOT_GRANTED.at(word.span, hint, word=root, types=", ".join(permit.types))
            self.report.say(said_so)
            return None
        if elements.resolve(word.text) is None:
            above = word.text.rpartition(".")[0]
            near = nearest(word.text.rpartition(".")[2], elements.children(above)) if above else None
            meant = f"did you mean `{above}.{near}`?" if near else None
            self.report.say(messages.UNKNOWN_ELEMENT.at(word.span, meant, word=word.text))
            return None
        return word.text

    def _narrowed(self, rule: str, leaf: Word | Text) -> tuple[str, frozenset[str] | None] | None:
        """A search parameter that rows put into the search, with its values where the test says them."""
        name, equals, values = (leaf.value if isinstance(leaf, Text) else leaf.text).partition("=")
        permit = self.names.permits.get(rule)
        types = permit.types if permit is not None else ()
        table = self.names.vocabulary.tables.search_parameters
        if permit is not None and not any((one_of, name) in table for one_of in types):
            near = nearest(name, [code for one_of, code in table if one_of in types])
            self.report.say(
                messages.UNKNOWN_PARAMETER.at(leaf.span, f"did you mean `{near}`?" if near else None, word=name)
            )
            return None
        return name, frozenset(values.split(",")) if equals else None


def _begins(text: Text, word: str) -> Word:
    """The word that a text begins with."""
    start = text.span.start + 1
    return Word(word, Span(text.span.source, start, start + len(word)))


def counts_alone(search: query.Query) -> bool:
    """Whether a search asks for nothing but the number."""
    return search.summary == "count" or search.count == 0
