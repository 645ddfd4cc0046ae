"""`permit`, `forbid` and `mask`, checked; and which element a search parameter searches."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date

from gateway.language import messages
from gateway.language.check import check
from gateway.language.nodes import BreaksGlass, Test, Text, Word, parts
from gateway.rules import messages as own
from gateway.rules.clauses import Report, choose, day, every, missing, one, said, words
from gateway.rules.declared import Applies, Because, Forbid, Mask, Permit
from gateway.rules.facts import ACTIONS, OPERATIONS, SHOWING, WRITES, operation
from gateway.rules.ground import Ground, Vocabulary, applies, resource_type, submitted
from gateway.rules.nodes import Asked, Asking, On, Said, Statement, To
from gateway.rules.nodes import Because as BecauseClause
from gateway.rules.reading import PATIENT, reads
from gateway.rules.rows import rows_of
from gateway.source import nearest
from gateway.specs import SearchParameter

_QUERY_CLAUSES = frozenset({"asking", "allowing", "rows", "all rows", "hide"})


@dataclass(frozen=True, slots=True)
class _Reach:
    """What a permit or forbid is about. Shape: `any_type` for `to search any`."""

    actions: tuple[str, ...]
    types: tuple[str, ...]
    ingest: bool
    any_type: bool


def permit(statement: Statement, ground: Ground, report: Report) -> Permit | None:
    """One `permit`; None where it can't be used."""
    reach = _reach(statement, ground, report)
    if reach is None:
        return None
    if reach.ingest:
        for clause in statement.clauses:
            if clause.kind in _QUERY_CLAUSES:
                report.say(messages.QUERY_CLAUSE.at(clause.span, word=clause.kind))
    on = _on(statement, ground, reach, report)
    when, unguarded = _when(statement, ground, on, reach, report, exempt=("purpose",))
    if WRITES.issuperset(reach.actions):
        for clause in statement.clauses:
            if clause.kind in {"asking", "allowing"}:
                report.say(messages.WRITE_CLAUSE.at(clause.span, word=clause.kind))
    asking = one(statement, Asking, report)
    alternatives = () if asking is None else tuple(tuple(w.text for w in ws) for ws in asking.alternatives)
    hide = () if reach.ingest else _hide(statement, ground.vocabulary, reach, report)
    _parameters(statement, asking, ground.vocabulary, reach, hide, report)
    return Permit(
        statement.name.text,
        statement.title,
        reach.actions,
        reach.types,
        on,
        when,
        unguarded,
        alternatives,
        tuple(w.text for w in words(statement, "allowing", report)),
        {} if reach.ingest else rows_of(statement, reach.types, ground, report),
        hide,
        because(statement, ground, report),
        _review(statement, report),
        statement.span,
    )


def forbid(statement: Statement, ground: Ground, report: Report) -> Forbid | None:
    """One `forbid`; None where it can't be used."""
    reach = _reach(statement, ground, report, wide=True)
    if reach is None:
        return None
    on = _on(statement, ground, reach, report)
    when, _ = _when(statement, ground, on, reach, report)
    return Forbid(
        statement.name.text,
        statement.title,
        reach.actions,
        reach.types,
        on,
        when,
        because(statement, ground, report),
        _review(statement, report),
        statement.span,
    )


def mask(statement: Statement, ground: Ground, report: Report) -> Mask | None:
    """One `mask`; None where it can't be used."""
    reach = _reach(statement, ground, report)
    if reach is None:
        return None
    to = every(statement, To)[0]
    for word in (*to.actions, *to.operations):
        if word.text not in SHOWING:
            report.say(own.NOT_MASKED.at(word.span, word=word.text))
            return None
    if said(statement, "hide", report) is None:
        missing(statement, "hide", report, f"add `hide {reach.types[0] if reach.types else 'Patient'}.ELEMENT`")
        return None
    on = _on(statement, ground, reach, report)
    when, _ = _when(statement, ground, on, reach, report)
    return Mask(
        statement.name.text,
        statement.title,
        reach.actions,
        reach.types,
        when,
        _hide(statement, ground.vocabulary, reach, report),
        because(statement, ground, report),
        _review(statement, report),
        statement.span,
    )


def _reach(statement: Statement, ground: Ground, report: Report, *, wide: bool = False) -> _Reach | None:
    to = one(statement, To, report)
    if to is None:
        missing(statement, "to", report, "add `to ingest`, or `to search, read Patient`")
        return None
    actions = [word.text for word in to.actions if choose(word, ACTIONS, "action", report) is not None]
    named = [word.text for word in to.operations if choose(word, OPERATIONS, "operation", report) is not None]
    actions += map(operation, named)
    if not actions:
        return None
    ingest = "ingest" in actions
    if ingest and len(actions) > 1:
        report.say(messages.MIXED_ACTIONS.at(to.span))
        return None
    if ingest and to.types:
        report.say(messages.NO_TYPES.at(to.types[0].span))
        return None
    any_type = wide and [word.text for word in to.types] == ["any"]
    words = () if any_type else to.types
    others = ("any",) if wide else ()
    types = tuple(w.text for w in words if resource_type(w, ground.vocabulary, report, others))
    if not ingest and not to.types:
        report.say(messages.NEEDS_TYPES.at(to.span, word=", ".join(actions)))
        return None
    if to.types and not types and not any_type:
        return None  # what is wrong with them is said; all else would follow from it
    return _Reach(tuple(actions), types, ingest, any_type)


def _on(statement: Statement, ground: Ground, reach: _Reach, report: Report) -> Applies:
    clause = one(statement, On, report)
    if clause is not None and not reach.ingest:
        report.say(messages.NOTHING_READ.at(clause.span, "a query carries no submission", word=clause.span.text))
        return Applies()
    return applies(clause, ground, report, entries=statement.kind == "forbid")


def _when(
    statement: Statement, ground: Ground, on: Applies, reach: _Reach, report: Report, exempt: Iterable[str] = ()
) -> tuple[Test | None, frozenset[str]]:
    clause = one(statement, Asked, report)
    if clause is None:
        return None, frozenset()
    # of any type, what all types have can be read, as `resource. ...`
    resources = ("Resource",) if reach.any_type else reach.types or submitted(on)
    scope = ground.scope(on, "spelled", ingest=reach.ingest, resources=resources, exempt=exempt)
    checked = check(clause.test, scope)
    report.diagnostics.extend(checked.diagnostics)
    glass = next(_glass(clause.test), None) if reach.ingest else None
    if glass is not None:
        report.say(own.GLASS_INGEST.at(glass.span))
    if checked.test is not None and PATIENT in reads(checked.test):
        _compartment(statement, reach, ground.vocabulary, report)
    return checked.test, checked.unguarded


def _glass(test: Test) -> Iterator[BreaksGlass]:
    if isinstance(test, BreaksGlass):
        yield test
    for part in parts(test):
        yield from _glass(part)


def _compartment(statement: Statement, reach: _Reach, vocabulary: Vocabulary, report: Report) -> None:
    """Warn of types that are nobody's, where a rule reads the patient."""
    for word in every(statement, To)[0].types:
        if word.text in reach.types and not vocabulary.elements.in_patient_compartment(word.text):
            report.say(own.NO_PATIENT.at(word.span, word=word.text))


def because(statement: Statement, ground: Ground, report: Report) -> Because | None:
    """Why a rule stands: an agreement, or a text."""
    clause = one(statement, BecauseClause, report)
    if clause is None:
        return None
    reason = clause.reason
    if isinstance(reason, Text):
        return Because(None, reason.value)
    if isinstance(reason, Word) and reason.text in ground.registry.agreements:
        return Because(reason.text, None)
    near = nearest(reason.span.text, ground.registry.agreements)
    hint = f"did you mean `{near}`?" if near else "declare it with `agreement`, or give the reason in quotes"
    report.say(messages.UNDECLARED.at(reason.span, hint, kind="agreement", word=reason.span.text))
    return None


def _review(statement: Statement, report: Report) -> date | None:
    clause = said(statement, "review", report)
    return None if clause is None else day(clause.words[0], report)


# --- parameters and what they search -------------------------------------------------------------------------------


def _hide(statement: Statement, vocabulary: Vocabulary, reach: _Reach, report: Report) -> tuple[str, ...]:
    found: list[str] = []
    for word in words(statement, "hide", report):
        root, _, below = word.text.partition(".")
        if root not in reach.types or not below:
            near = nearest(root, reach.types) if below else None
            hint = f"did you mean `{near}.{below}`?" if near else "the rule grants " + ", ".join(reach.types)
            report.say(messages.HIDES_NEEDED.at(word.span, hint if root not in reach.types else None, word=word.text))
        elif vocabulary.elements.resolve(word.text) is None:
            above = word.text.rpartition(".")[0]
            near = nearest(word.text.rpartition(".")[2], vocabulary.elements.children(above))
            meant = f"did you mean `{above}.{near}`?" if near else None
            report.say(messages.UNKNOWN_ELEMENT.at(word.span, meant, word=word.text))
        elif below.partition(".")[0] in {"id", "meta"}:
            report.say(messages.HIDES_NEEDED.at(word.span, "every resource is known by its id", word=word.text))
        else:
            found.append(word.text)
            if not {"update", "patch"}.isdisjoint(reach.actions):
                report.say(messages.HIDES_WRITTEN.at(word.span, word=root))
    return tuple(found)


def _parameters(
    statement: Statement,
    asking: Asking | None,
    vocabulary: Vocabulary,
    reach: _Reach,
    hide: tuple[str, ...],
    report: Report,
) -> None:
    asked = () if asking is None else tuple(w for ws in asking.alternatives for w in ws)
    table = vocabulary.tables.search_parameters
    for word in (*asked, *words_of(statement, "allowing")):
        having = [name for name in reach.types if (name, word.text) in table]
        if not having and reach.types:
            near = nearest(word.text, [code for (resource, code) in table if resource in reach.types])
            hint = f"did you mean `{near}`?" if near else None
            report.say(messages.UNKNOWN_PARAMETER.at(word.span, hint, word=word.text))
        for name in having:
            hidden = hidden_by(table[name, word.text], name, hide)
            if hidden is not None:
                report.say(messages.HIDDEN_PARAMETER.at(word.span, word=word.text, path=hidden))
    if asking is not None:
        for name in reach.types:
            if not usable(tuple(tuple(w.text for w in ws) for ws in asking.alternatives), name, vocabulary):
                report.say(messages.NEVER_ASKED.at(asking.span, word=name))


def words_of(statement: Statement, name: str) -> tuple[Word, ...]:
    """Words of all clauses of that name; that there is one alone is said elsewhere."""
    return tuple(word for clause in every(statement, Said) if clause.kind == name for word in clause.words)


def usable(
    alternatives: tuple[tuple[str, ...], ...], resource: str, vocabulary: Vocabulary
) -> tuple[tuple[str, ...], ...]:
    """The alternatives of `asking` that a type has whole.

    An alternative of which a type has a part alone would ask for less than the rule says, so it counts for none.
    """
    table = vocabulary.tables.search_parameters
    return tuple(names for names in alternatives if all((resource, name) in table for name in names))


_STEP = re.compile(r"\.([a-z]\w*)(?!\w*\()")


def searched(parameter: SearchParameter, resource: str) -> tuple[str, ...]:
    """Element paths of a type that a parameter searches; empty where it may search anything.

    Source: the FHIRPath expressions of R4's search parameters; functions end a path.
    """
    found: list[str] = []
    for match in re.finditer(rf"\b(?:{re.escape(resource)}|Resource|DomainResource)\b", parameter.fhirpath):
        path, at = resource, match.end()
        while (step := _STEP.match(parameter.fhirpath, at)) is not None:
            path, at = f"{path}.{step[1]}", step.end()
        found.append(path)
    return tuple(dict.fromkeys(found))


def hidden_by(parameter: SearchParameter, resource: str, hide: Iterable[str]) -> str | None:
    """A hidden element that a parameter searches, or could; None where it searches none."""
    own = [path for path in hide if path.partition(".")[0] == resource]
    paths = searched(parameter, resource)
    for path in own:
        if not paths or any(_overlap(path, other) for other in paths):
            return path
    return None


def _overlap(one_path: str, other: str) -> bool:
    """Whether one path is, holds or is held by the other; a choice is the same by each of its names."""
    return all(_same(a, b) for a, b in zip(one_path.split("."), other.split("."), strict=False))


def _same(a: str, b: str) -> bool:
    a, b = a.removesuffix("[x]"), b.removesuffix("[x]")
    short, long = sorted((a, b), key=len)
    return long == short or (long.startswith(short) and long[len(short)].isupper())
