"""Whose answer other rules change, and whose no rule does: `gateway journal replay --dry-run`."""

from __future__ import annotations

import pytest

from gateway.interactions.rehearse import Verdict
from gateway.journal import Delivery
from gateway.journal.browsing import Entry
from gateway.rejudging import Changed, Rejudged, _differs, _unjudged, _was, told
from tests.journal_rows import submission


def entry(
    state: str = "accepted", rules: tuple[str, ...] = ("P",), *targets: tuple[str, str], purged: str | None = None
) -> Entry:
    lines = tuple(Delivery(name, at, 1, None, None, None) for name, at in targets)  # type: ignore[arg-type]  # a state
    return Entry(1, submission("r1"), state, rules, None, lines, purged)


def verdict(state: str = "accepted", rules: tuple[str, ...] = ("P",), *targets: str) -> Verdict:
    return Verdict(state, rules, frozenset(targets) if state == "accepted" else None)  # type: ignore[arg-type]  # a state


@pytest.mark.parametrize(
    ("before", "now", "changed"),
    [
        (entry("accepted", ("P",), ("a", "delivered")), verdict("accepted", ("P",), "a"), False),
        (entry("accepted", ("P",), ("a", "dead")), verdict("accepted", ("P",), "a"), False),
        (entry("accepted", ("P",), ("a", "delivered")), verdict("accepted", ("P",), "a", "b"), True),
        (entry("accepted", ("P",), ("a", "delivered")), verdict("accepted", ("Q",), "a"), True),
        (entry("accepted", (), ("a", "delivered")), Verdict("accepted", (), None), False),
        (entry("accepted"), verdict("refused", ("C",)), True),
        (entry("refused", ("C",)), verdict("refused", ("C",)), False),
        (entry("refused", ("C", "D")), verdict("refused", ("D", "C")), False),
        (entry("refused", ("C",)), verdict("refused", ("D",)), True),
        (entry("refused", ("C",)), verdict("denied", ("C",)), True),
        (entry("refused", ("C",)), verdict("accepted"), True),
        (entry("failed", ("R",)), verdict("accepted"), False),
        (entry("failed", ("R",)), verdict("refused", ("C",)), True),
        (entry("refused", ("R",), ("a", "rejected")), verdict("accepted"), False),
        (entry("refused", ("R",), ("a", "rejected")), verdict("denied", ("F",)), True),
    ],
)
def test_an_answer_is_another_where_rules_make_it_so(before: Entry, now: Verdict, changed: bool) -> None:  # noqa: FBT001 - a case
    assert _differs(before, _was(before), now) is changed


@pytest.mark.parametrize(
    ("before", "why"),
    [
        (entry("received"), "it is in hand"),
        (entry(purged="2026-03-01"), "its body was taken out by retention"),
        (entry("refused", ("HL7-K01",)), "its key was taken, whatever rules say"),
        (entry("failed", ("CSV-K02",)), "its key was taken, whatever rules say"),
        (entry("refused", ("HL7-A01",)), None),
        (entry(), None),
    ],
)
def test_what_no_rule_decided_is_not_judged_again(before: Entry, why: str | None) -> None:
    assert _unjudged(before) == why


def test_changes_are_counted_by_what_they_were_and_are() -> None:
    counts = Rejudged()
    one = Changed(entry(), verdict("accepted", ("P",), "b", "a"), verdict("refused", ("C",)))
    for found in (one, None, "it is in hand", one):
        counts.count(found)
    assert (counts.judged, counts.changed, dict(counts.skipped)) == (3, 2, {"it is in hand": 1})
    assert dict(counts.by_rule) == {("accepted by P, to a, b", "refused by C"): 2}
    assert told(verdict("denied", ())) == "denied"
