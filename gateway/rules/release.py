"""Whether a stored resource may go to a caller, and what of it is hidden: decided for each resource.

A forbid that holds or errs keeps it back; a view that errs does not show it; a mask that errs hides.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.fhir.elements import means
from gateway.language.functions import ERRORS
from gateway.rules.around import Seeking, Want
from gateway.rules.compile import Forbidding, Granting, Masking
from gateway.rules.decision import Release, View
from gateway.rules.facts import Facts
from gateway.rules.grants import hidden_by
from gateway.rules.program import Program
from gateway.rules.queries import names_of
from gateway.rules.stored import Each, Row, Shown
from gateway.specs import SearchParameter


@dataclass(frozen=True, slots=True)
class Querying:
    """The rules of all domains for one action on one resource type.

    Shape: `usable` are the parameters that some permit lets someone use; `each` are the forbids that read a resource,
    `forbids` the others; `program` judges what the request alone settles; `views` are those that are the same for
    every caller, by permit.
    """

    permits: tuple[Granting, ...]
    usable: frozenset[str]
    forbids: tuple[Forbidding, ...]
    each: tuple[Forbidding, ...]
    program: Program
    views: Mapping[str, View]
    masks: tuple[Masking, ...] = ()


@dataclass(frozen=True, slots=True)
class ViewRows:
    """Which resources a view shows: those that the permit's own condition and the type's `rows` hold of."""

    each: Each | None
    rows: Mapping[str, Shown]

    def of(self, facts: Facts, row: Row) -> bool:
        """Whether it shows a resource. Errors: one of `ERRORS`."""
        if self.each is not None and not self.each.of_all(facts, row):
            return False
        shown = self.rows.get(row.resource["resourceType"])
        return shown is None or shown.of(facts, row)

    def wants(self, row: Row) -> Iterator[Want]:
        """What it reads beside the resource."""
        shown = self.rows.get(str(row.resource.get("resourceType")))
        if shown is not None:
            yield from shown.wants(row)
        if (self.each is not None and self.each.patient) or (shown is not None and shown.each.patient):
            yield from row.wants_patients()

    def seeks(self, rule: str, facts: Facts, row: Row) -> Iterator[Seeking]:
        """What it looks for among what refers to the resource, or to its patients."""
        shown = self.rows.get(str(row.resource.get("resourceType")))
        if shown is not None:
            yield from shown.seeks(rule, facts, row)


def rows_of(granting: Granting) -> ViewRows | None:
    """Which resources a permit shows; None for all."""
    return ViewRows(granting.each, granting.rows) if granting.rows or granting.each is not None else None


def holds(test: Callable[..., bool] | None, rule: str, erred: list[str], *arguments: Any) -> bool:
    """Whether a condition holds; one that can't be decided is put down as erred, and doesn't hold."""
    if test is None:
        return True
    try:
        return test(*arguments)
    except ERRORS:
        if rule not in erred:
            erred.append(rule)
        return False


def against(forbidding: Forbidding, facts: Facts, row: Row, erred: list[str]) -> bool:
    """Whether a forbid holds of one resource."""
    rule, each = forbidding.forbid.id, forbidding.each
    return holds(forbidding.when, rule, erred, facts) and (each is None or holds(each.of_any, rule, erred, facts, row))


def released(rules: Querying, views: Iterable[View], facts: Facts, row: Row) -> Release:
    """Whether one resource may go to the caller."""
    erred: list[str] = []
    forbidding = [f.forbid.id for f in rules.each if against(f, facts, row, erred)]
    if forbidding or erred:
        return Release(released=False, by=(*forbidding, *erred), erred=tuple(erred))
    name = str(row.resource.get("resourceType"))
    showing = [view for view in views if name in view.types and _shows(view, facts, row, erred)]
    hide = _hidden(tuple([_own(view.hide, name) for view in showing]))
    masking = [mask for mask in rules.masks if _masks(mask, facts, row, erred)]
    masked = tuple(mask.mask.id for mask in masking)
    if not showing or _searched(masking, facts, name):
        # to be found by what is hidden would show it
        return Release(released=False, by=masked if showing else (), erred=tuple(erred), masked=masked)
    if masking:
        hide |= frozenset().union(*(_own(mask.hide, name) for mask in masking))
    by = (*(view.permit for view in showing), *masked)
    return Release(released=True, hide=hide, by=by, erred=tuple(erred), masked=masked)


def _shows(view: View, facts: Facts, row: Row, erred: list[str]) -> bool:
    return view.rows is None or holds(view.rows.of, view.permit, erred, facts, row)


def _masks(masking: Masking, facts: Facts, row: Row, erred: list[str]) -> bool:
    """Whether a mask hides something of a resource; one that errs does."""
    failed: list[str] = []
    rule, each = masking.mask.id, masking.each
    hides = holds(masking.when, rule, failed, facts) and (each is None or holds(each.of_any, rule, failed, facts, row))
    erred += failed
    return hides or bool(failed)


def _searched(masking: Sequence[Masking], facts: Facts, name: str) -> bool:
    """Whether the query searches or sorts by what masks hide."""
    if facts.query is None or not masking:
        return False
    names = names_of(facts.query)
    return any(names & mask.parameters.get(name, frozenset()) for mask in masking)


def hidden_parameters(rules: Querying, facts: Facts, names: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Parameters of a query that search what a mask hides from the caller in every resource, each with the mask."""
    for masking in rules.masks:
        hit = names & masking.parameters.get(facts.type or "", frozenset())
        if hit and masking.each is None:
            failed: list[str] = []
            if holds(masking.when, masking.mask.id, failed, facts) or failed:
                yield from ((name, masking.mask.id) for name in sorted(hit))


def hiding(rules: Querying, views: Sequence[View], facts: Facts, parameter: SearchParameter) -> tuple[str, ...]:
    """Rules that hide what a parameter reads in every resource: masks, or all views together."""
    masks = tuple(rule for _, rule in hidden_parameters(rules, facts, frozenset({parameter.code})))
    if views and all(hidden_by(parameter, facts.type or "", view.hide) is not None for view in views):
        return (*masks, *(view.permit for view in views))
    return masks


def alike(rules: Querying, views: Sequence[View], facts: Facts) -> frozenset[str] | None:
    """What is hidden of each resource of a type that is asked for; None where they are judged one by one."""
    readers: list[Forbidding | Masking] = [*rules.each, *(mask for mask in rules.masks if mask.each is not None)]
    if any(view.rows is not None for view in views) or any(_may(rule, facts) for rule in readers):
        return None
    name = facts.type or ""
    masking = (_own(mask.hide, name) for mask in rules.masks if mask.each is None and _may(mask, facts))
    return _hidden(tuple([_own(view.hide, name) for view in views])).union(*masking)


def judges(rules: Querying, facts: Facts, names: frozenset[str]) -> bool:
    """Whether forbids or masks may keep single resources back from this request."""
    searched = [m for m in rules.masks if m.each and names & m.parameters.get(facts.type or "", frozenset())]
    return any(_may(one, facts) for one in rules.each) or any(_may(one, facts) for one in searched)


def _may(rule: Forbidding | Masking, facts: Facts) -> bool:
    """Whether a rule may hold of some resource, as far as the request tells."""
    failed: list[str] = []
    return holds(rule.when, "", failed, facts) or bool(failed)


def wants(rules: Querying, views: Iterable[View], facts: Facts, rows: Sequence[Row]) -> Iterator[Want]:
    """What the rules read beside resources of one type."""
    readers: list[Forbidding | Masking] = [*rules.each, *rules.masks]
    patients = any(rule.each is not None and rule.each.patient and _may(rule, facts) for rule in readers)
    asked = [view.rows for view in views if view.rows is not None]
    for row in rows:
        if patients:
            yield from row.wants_patients()
        for one in asked:
            try:
                yield from one.wants(row)
            except ERRORS:
                continue  # what can't be read makes the rule err when it is asked


def seeks(views: Iterable[View], facts: Facts, rows: Iterable[Row]) -> Iterator[Seeking]:
    """What the rules look for among what refers to resources of one type, or to their patients."""
    asked = [(view.permit, view.rows) for view in views if view.rows is not None]
    for row in rows:
        for rule, one in asked:
            try:
                yield from one.seeks(rule, facts, row)
            except ERRORS:
                continue  # what can't be read makes the rule err when it is asked


# every resource that is found is asked about with the same few sets
@functools.lru_cache(maxsize=4096)
def _own(hide: frozenset[str], name: str) -> frozenset[str]:
    return frozenset(path for path in hide if path.partition(".")[0] == name)


@functools.lru_cache(maxsize=4096)
def _hidden(hidden: tuple[frozenset[str], ...]) -> frozenset[str]:
    """Elements that each view hides, itself or with what holds it."""
    return frozenset(
        path
        for path in frozenset[str]().union(*hidden)
        if all(any(_holds_path(own, path) for own in view) for view in hidden)
    )


def _holds_path(own: str, path: str) -> bool:
    """Whether what stands at a path stands at or below another, which may be a choice as a whole."""
    steps, below = own.split("."), path.split(".")
    return len(steps) <= len(below) and all(
        step == other or means(step, other) for step, other in zip(steps, below, strict=False)
    )
