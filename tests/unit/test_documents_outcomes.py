"""The outcomes that the document tells are those that requests are answered with."""

from __future__ import annotations

from typing import get_args

from gateway.documents import outcomes
from gateway.interactions import refused


def test_outcomes_are_the_reasons_of_the_answering_side() -> None:
    assert set(outcomes.BY_NAME) == set(get_args(refused.Reason))


def test_statuses_of_one_profile() -> None:
    assert list(outcomes.told(["http-status"])) == [200, 202, 400, 401, 403, 409, 413, 415, 422, 429, 503]
    assert list(outcomes.told(["hl7-over-http", "hl7-over-http"])) == [200, 400, 401, 413, 415, 429, 503]


def test_statuses_of_two_profiles_name_the_profile_of_each_outcome() -> None:
    both = outcomes.told(outcomes.PROFILES)
    assert [(profile, outcome.name) for profile, outcome in both[400]] == [
        ("http-status", "unreadable"),
        ("http-status", "no-domain"),
        ("hl7-over-http", "no-domain"),
    ]
    assert ("hl7-over-http", outcomes.BY_NAME["denied"]) in both[200]


def test_profiles_may_come_one_by_one() -> None:
    assert 403 not in outcomes.told(profile for profile in ["hl7-over-http"])
    assert 202 in outcomes.told(profile for profile in reversed(outcomes.PROFILES))


def test_no_profile_no_status() -> None:
    assert outcomes.told([]) == {}
