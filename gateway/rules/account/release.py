"""Why a stored resource goes to a caller or not, and what of it is hidden: each rule that was asked of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from gateway.language import nodes
from gateway.language.compile import Absent
from gateway.language.functions import ERRORS
from gateway.rules.account import judge
from gateway.rules.account.judge import Clause, Judged
from gateway.rules.account.sight import Resource, Sight
from gateway.rules.account.walk import Seen, walk
from gateway.rules.around import NOTHING, Around
from gateway.rules.decide import RuleSet
from gateway.rules.decision import Decision, Release
from gateway.rules.declared import Forbid, Mask, Permit, Rows
from gateway.rules.facts import Facts
from gateway.rules.queries import names_of
from gateway.rules.stored import Row, linked, reads_patient, split


@dataclass(frozen=True, slots=True)
class Released:
    """Whether one resource is released, as `Release` has it, with the rules that were asked of it.

    Shape: `name` is its type and id; `decided` is what the gateway itself decides.
    """

    name: str
    decided: Release
    released: bool
    by: tuple[str, ...] = ()
    erred: tuple[str, ...] = ()
    masked: tuple[str, ...] = ()
    rules: tuple[Judged, ...] = ()

    def agrees(self) -> bool:
        """Whether it says what the gateway decides."""
        own = (self.released, self.by, self.erred, self.masked)
        return own == (self.decided.released, self.decided.by, self.decided.erred, self.decided.masked)


def release(rules: RuleSet, facts: Facts, decision: Decision, resource: Resource, around: Around = NOTHING) -> Released:
    """Why a resource that came back is released or not. Shape: as `RuleSet.release` takes them."""
    kind = str(resource.get("resourceType"))
    found = Released(
        f"{kind}/{resource.get('id')}", rules.release(facts, decision, resource, around), released=False
    )  # fmt: skip
    querying = rules.querying.get((facts.action, kind))
    if querying is None or decision.effect != "permit":
        return found
    row = Row(resource, around, rules.subjects.get(kind))
    forbids = tuple(_of_any(f.forbid, facts, row) for f in querying.each)
    erred = [judged.rule.id for judged in forbids if judged.outcome is None]
    against = [judged.rule.id for judged in forbids if judged.outcome]
    if against or erred:
        return replace(found, by=(*against, *erred), erred=tuple(erred), rules=forbids)
    shown = tuple(
        _shows(rules.granting[view.permit].permit, facts, row) for view in decision.views if kind in view.types
    )
    masks = tuple(_of_any(m.mask, facts, row) for m in querying.masks)
    asked = (*forbids, *shown, *masks)
    erred = [judged.rule.id for judged in (*shown, *masks) if judged.outcome is None]
    masked = tuple(judged.rule.id for judged in masks if judged.outcome is not False)
    showing = [judged.rule.id for judged in shown if judged.outcome]
    found = replace(found, erred=tuple(erred), masked=masked, rules=asked)
    hiding = [m for m in querying.masks if m.mask.id in masked]
    searched = facts.query is not None and any(
        names_of(facts.query) & m.parameters.get(kind, frozenset()) for m in hiding
    )
    if not showing or searched:
        return replace(found, by=masked if showing else ())
    return replace(found, released=True, by=(*showing, *masked))


def _of_any(rule: Forbid | Mask, facts: Facts, row: Row) -> Judged:
    """A forbid or a mask: it holds if it does of any of the patients."""
    request, resource = split(rule.when)
    judged = judge.condition(rule, request, Sight(facts), "passes")
    if judged.outcome is not True or resource is None:
        return judged
    of_each = judge.of_any(rule, _patients(resource, facts, row, row.resource, "when", "passes"))
    return replace(of_each, clauses=(*judged.clauses, *of_each.clauses))


def _patients(
    test: nodes.Test, facts: Facts, row: Row, resource: Resource, word: str, absent: Absent
) -> Iterator[Clause]:
    """A condition asked of a resource: once, or with each of its patients."""
    if not reads_patient(test):
        yield Clause(word, walk(test, Sight(facts, resource), absent))
        return
    for patient in row.patients():
        at = None if patient is None else f"Patient/{patient.get('id')}"
        yield Clause(word, walk(test, Sight(facts, resource, patient), absent), at)


def _shows(permit: Permit, facts: Facts, row: Row) -> Judged:
    """A permit by the parts that read the resource: its own condition and its rows must hold of all the patients."""
    own = split(permit.when)[1]
    judged = Judged(permit, outcome=True)
    if own is not None:
        judged = judge.of_all(permit, _patients(own, facts, row, row.resource, "when", "fails"))
    rows = permit.rows.get(str(row.resource.get("resourceType")))
    if judged.outcome is not True or rows is None:
        return judged
    shown = _rows(permit, rows, facts, row)
    return replace(shown, clauses=(*judged.clauses, *shown.clauses))


def _rows(permit: Permit, rows: Rows, facts: Facts, row: Row) -> Judged:
    word = f"rows {rows.type}"
    if rows.link is None:
        return judge.of_all(permit, _patients(rows.where, facts, row, row.resource, word, "fails"))
    clauses: list[Clause] = []
    try:
        for group in linked(rows.link, row):
            outcome: bool | None = False
            for one in group:
                judged = judge.of_all(permit, _patients(rows.where, facts, row, one, word, "fails"))
                at = f"{one.get('resourceType')}/{one.get('id')}"
                clauses += [replace(clause, at=at) for clause in judged.clauses]
                outcome = judged.outcome
                if outcome is not False:
                    break
            if outcome is not True:
                return Judged(permit, outcome, tuple(clauses))
    except ERRORS as error:
        seen = Seen(rows.where, None, why=str(error))
        return Judged(permit, None, (*clauses, Clause(word, seen, rows.link.path)))
    return Judged(permit, outcome=True, clauses=tuple(clauses))
