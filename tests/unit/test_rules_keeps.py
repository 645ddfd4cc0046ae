"""How long what was sent is kept, as domains say it. Source: `trust.md`, "Journal": retention by rule."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from gateway import rules
from gateway.interactions.retention import planned
from gateway.rules import RuleSet
from gateway.rules.account.difference import difference
from gateway.rules.account.show import table
from gateway.rules.account.words import kept
from gateway.rules.declared import KEPT
from tests.conformance.rules.support import NOW, ROOT, shipped, vocabulary

HEAD = "  acknowledge http-status"


def saying(folder: Path, *clauses: str) -> RuleSet:
    """The shipped rules, with clauses more in the domain of emergency care."""
    for path in (ROOT / "rules").rglob("*"):
        if path.is_file() and not path.name.endswith(".test.rules"):
            copy = folder / path.relative_to(ROOT / "rules")
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    file = folder / "emergency-care.rules"
    file.write_text(file.read_text("utf-8").replace(HEAD, "\n".join((HEAD, *clauses)), 1), "utf-8")
    loaded = rules.load(folder, vocabulary())
    assert loaded.rules is not None, loaded.diagnostics
    return loaded.rules


def test_a_domain_that_says_nothing_keeps_for_so_long() -> None:
    assert shipped().domains["pathology"].keeps == KEPT
    assert KEPT["accepted"] == timedelta(days=400)
    assert set(KEPT) == {"accepted", "refused", "denied", "failed"}


def test_a_domain_says_how_long_for_each_outcome(tmp_path: Path) -> None:
    ruled = saying(tmp_path, "  keep refused for 30 days", "  keep accepted for 52 weeks")
    keeps = ruled.domains["emergency-care"].keeps
    assert keeps == {**KEPT, "refused": timedelta(days=30), "accepted": timedelta(weeks=52)}
    assert kept(keeps) == "accepted 364 days, refused 30 days, denied and failed 90 days"
    shown = {row.domain: row.kept for row in table(ruled) if "ingest" in row.may}
    assert shown["emergency-care"] == kept(keeps)
    assert {row.kept for row in table(ruled) if "ingest" not in row.may} == {""}
    over = {(one.domain, one.state): one.before for one in planned(ruled, ["gone"], NOW)}
    assert over["emergency-care", "refused"] == NOW - timedelta(days=30)
    assert over["gone", "accepted"] == NOW - KEPT["accepted"]
    assert len(over) == 4 * len({"gone", *ruled.domains})


def test_a_difference_in_how_long_is_said_in_words(tmp_path: Path) -> None:
    (change,) = difference(shipped(), saying(tmp_path, "  keep denied for 1 days")).changes
    assert change.sentence.endswith("now keeps what was denied for 1 day (before: 90 days)")
