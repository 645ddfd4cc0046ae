"""The statements that the rules of a domain stand on, in the order in which they need each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from gateway.language import messages
from gateway.language.check import check
from gateway.language.kinds import DECLARED
from gateway.language.limits import DEEPEST
from gateway.language.nodes import Named, Test, Text, Word, parts
from gateway.language.types import NamedSet
from gateway.rules.accepting import accept, between, converted_once, repeating, told_apart
from gateway.rules.clauses import Report, choose, declared, duration, every, one, said
from gateway.rules.declared import KEPT, Condition
from gateway.rules.ground import Ground, applies, not_accepted
from gateway.rules.nodes import Asked, On, Said, SetOf, Statement
from gateway.source import nearest

PROFILES = ("http-status", "hl7-over-http")
_WINDOW = timedelta(days=7)  # http-interface.md, "Keys"


@dataclass(frozen=True, slots=True)
class Heading:
    """What a `domain` statement says, apart from rules."""

    owner: str | None
    contact: str | None
    acknowledge: str
    outcome: bool
    same_control_id: str
    window: timedelta
    serves: str | None
    keeps: Mapping[str, timedelta]


def heading(statement: Statement, targets: Iterable[str], report: Report) -> Heading:
    """What a `domain` statement says."""

    def text(name: str) -> str | None:
        clause = said(statement, name, report)
        return None if clause is None else clause.texts[0].value

    loud, silent = said(statement, "acknowledge", report), said(statement, "acknowledge silent", report)
    if loud is not None and silent is not None:
        report.say(messages.TWICE.at(silent.span, word="acknowledge"))
    profile = loud or silent
    chosen = PROFILES[0] if profile is None else choose(profile.words[0], PROFILES, "way to acknowledge", report)
    same = said(statement, "same control id", report)
    reuse = (
        "refuse"
        if same is None
        else choose(same.words[0], ("refuse", "accept"), "answer to a control id that comes again", report)
    )
    window = None if same is None or len(same.words) == 1 else duration(same.words[1], same.words[2], report)
    serves = said(statement, "serves", report)
    return Heading(
        text("owner"),
        text("contact"),
        chosen or PROFILES[0],
        silent is None,
        reuse or "refuse",
        window or _WINDOW,
        None if serves is None else declared(serves.words[0], targets, "target", report),
        _keeps(statement, report),
    )


def _keeps(statement: Statement, report: Report) -> Mapping[str, timedelta]:
    """How long what was sent is kept, by how it ended: `keep refused for 30 days`."""
    told: dict[str, timedelta] = {}
    for clause in every(statement, Said):
        if clause.kind != "keep":
            continue
        word, count, unit = clause.words
        state, held = choose(word, KEPT, "outcome of a submission", report), duration(count, unit, report)
        if state in told:
            report.say(messages.TWICE.at(clause.span, word=f"keep {state}"))
        elif state is not None and held is not None:
            told[state] = held
    return {**KEPT, **told}


def named_set(statement: Statement, ground: Ground, report: Report) -> NamedSet | None:
    """A `set`: texts, message types, or declared names of one kind."""
    members = one(statement, SetOf, report)
    options = () if members is None else members.options
    if all(isinstance(option, Text) for option in options):
        return NamedSet("text", tuple(option.value for option in options if isinstance(option, Text)))
    words = [option for option in options if isinstance(option, Word)]
    if len(words) != len(options):
        report.say(messages.MIXED_SET.at(statement.span, word=statement.name.text))
        return None
    accepted = frozenset(t for a in ground.accepts for t in a.types)
    if any("^" in word.text for word in words) or (words and accepted.issuperset(word.text for word in words)):
        for word in words:
            if word.text not in accepted:
                report.say(not_accepted(word, ground.name, accepted))
        return NamedSet("category", tuple(word.text for word in words))
    return _declared_set(statement, words, ground, report)


def _declared_set(statement: Statement, words: list[Word], ground: Ground, report: Report) -> NamedSet | None:
    kinds = ground.declared()
    for kind in sorted(DECLARED):
        names = [word.text.upper() if kind == "organisation" else word.text for word in words]
        if kinds[kind].issuperset(names):
            return NamedSet(kind, tuple(names))
    for word in words:
        if not any((word.text.upper() if k == "organisation" else word.text) in kinds[k] for k in DECLARED):
            near = nearest(word.text, [name for known in kinds.values() for name in known])
            hint = f"did you mean `{near}`?" if near else f'a text stands in quotes: `"{word.text}"`'
            report.say(messages.UNDECLARED.at(word.span, hint, kind="name", word=word.text))
            return None
    report.say(messages.MIXED_SET.at(statement.span, word=statement.name.text))
    return None


def conditions(statements: Mapping[str, Statement], ground: Ground, report: Report) -> None:
    """Check the conditions of a domain, those that others need first; fills `ground.conditions`."""
    open_names: list[str] = []

    def visit(name: str) -> None:
        if name in ground.conditions or name in ground.broken:
            return
        statement = statements[name]
        if name in open_names:
            report.say(messages.CYCLE.at(statement.name.span, word=name))
            ground.broken.add(name)
            return
        if len(open_names) > DEEPEST:
            report.say(messages.TOO_DEEP.at(statement.name.span, most=DEEPEST))
            ground.broken.add(name)
            return
        open_names.append(name)
        means = next(iter(every(statement, Asked)), None)
        if means is not None:
            for needed in _needs(means.test):
                if needed in statements:
                    visit(needed)
            if name not in ground.broken:
                _condition(statement, means.test, ground, report)
        open_names.pop()

    for name in statements:
        visit(name)


def _needs(test: Test) -> Iterable[str]:
    if isinstance(test, Named):
        yield test.word.text
    for part in parts(test):
        yield from _needs(part)


def _condition(statement: Statement, test: Test, ground: Ground, report: Report) -> None:
    on = applies(one(statement, On, report), ground, report)
    if on.types:
        ground.broken.add(statement.name.text)
        report.say(
            messages.NOTHING_READ.at(statement.name.span, "a condition names no types", word=statement.name.text)
        )
        return
    data_type = on.data_types[0] if on.data_types else None
    checked = check(test, ground.scope(on, "spelled", ingest=data_type is not None))
    report.diagnostics.extend(checked.diagnostics)
    name = statement.name.text
    if checked.test is None:
        ground.broken.add(name)
    else:
        ground.conditions[name] = Condition(name, data_type, checked.test, statement.span)


def fill(statements: Mapping[str, list[Statement]], ground: Ground, report: Report) -> None:
    """Accepts, sets and conditions of a domain, in the order in which they need each other."""
    accepts = [accept(statement, ground.vocabulary, report) for statement in statements.get("accept", [])]
    ground.accepts = tuple(one_accept for one_accept in accepts if one_accept is not None)
    told_apart(ground, report)
    converted_once(ground, report)
    messages_taken = [a for a in ground.accepts if a.data_type == "Hl7v2"]
    versions = {v: None for a in messages_taken for v in between(a.versions, ground.vocabulary)}
    ground.dictionaries = {version: ground.vocabulary.dictionaries[version] for version in versions}
    ground.repeats = repeating(ground.accepts, ground.dictionaries, ground.vocabulary)
    for name, statement in unique(statements.get("set", []), report).items():
        found = named_set(statement, ground, report)
        if found is not None:
            ground.sets[name] = found
    conditions(unique(statements.get("condition", []), report), ground, report)


def unique(statements: Iterable[Statement], report: Report) -> dict[str, Statement]:
    """Statements by name; a second one of a name is an error."""
    found: dict[str, Statement] = {}
    for statement in statements:
        name = statement.name.text
        if name in found:
            first = str(found[name].span)
            report.say(messages.DUPLICATE.at(statement.name.span, kind=statement.kind, word=name, first=first))
        else:
            found[name] = statement
    return found
