"""The share of a caller in the documents: agreements, purposes and scopes close what its roles would open."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from gateway import loading, rules, specs
from gateway.documents import Viewer
from gateway.documents.share import share_of
from gateway.rules import RuleSet

DAY = date(2026, 11, 22)
TREATING = frozenset({None, "TREAT"})


@pytest.fixture(scope="module")
def ruleset(repository: Path) -> RuleSet:
    found = rules.load(repository / "rules", loading.vocabulary(specs.ROOT))
    assert found.rules is not None
    return found.rules


def test_a_viewer_with_its_purpose_sees_what_its_role_opens(ruleset: RuleSet) -> None:
    assert "Patient" in share_of(ruleset, Viewer("dorset-gp", TREATING, DAY)).grants


@pytest.mark.parametrize(
    "viewer",
    [
        Viewer("dorset-gp", TREATING, date(2036, 4, 1)),
        Viewer("dorset-gp", TREATING, date(2026, 3, 31)),
        Viewer("dorset-gp", frozenset({None}), DAY),
        Viewer("dorset-gp", frozenset({"HOPERAT"}), DAY),
        Viewer("dorset-gp", TREATING, DAY, ("ingest",), lambda _action, _type: False),
        Viewer("nobody", TREATING, DAY),
    ],
)
def test_without_agreement_purpose_or_scope_nothing_is_told(ruleset: RuleSet, viewer: Viewer) -> None:
    share = share_of(ruleset, viewer)
    assert (share.grants, share.sends) == ({}, {})
