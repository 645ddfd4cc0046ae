"""What is remembered to change nothing."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.fhir import Draft
from gateway.interactions import unchanged
from gateway.interactions.unchanged import SHORT, Unchanged, content

WARD = ("server", "Location", "w1", "1")


def draft(*clears: str, source: str = "urn:uuid:1", **elements: Any) -> Draft:
    return Draft({"resourceType": "Location", "id": "w1", "meta": {"source": source, "tag": []}, **elements}, clears)


def test_the_same_content_is_known_for_that_version_alone() -> None:
    known = Unchanged()
    known.learn(WARD, content(draft(name="A")))
    assert known.knows(WARD, content(draft(name="A", source="urn:uuid:2")))
    assert not known.knows((*WARD[:3], "2"), content(draft(name="A")))


@pytest.mark.parametrize(
    "other", [draft(name="B"), draft("Location.status", name="A"), draft(name="A", status="active")]
)
def test_other_content_is_not_known(other: Draft) -> None:
    known = Unchanged()
    known.learn(WARD, content(draft(name="A")))
    assert not known.knows(WARD, content(other))


@pytest.mark.parametrize(("one", "other"), [(1, True), (0, False), (1, 1.0)])
def test_values_that_python_holds_for_equal_are_told_apart(one: object, other: object) -> None:
    assert content(draft(x=one)) != content(draft(x=other))


def test_a_long_text_is_kept_as_its_digest() -> None:
    long = [content(draft(name=name * SHORT)) for name in "AB"]
    assert [len(each) for each in long] == [32, 32]
    assert long[0] != long[1]


def test_a_draft_is_left_as_it_is() -> None:
    told = draft(name="A")
    content(told)
    assert told == draft(name="A")


def test_what_was_told_of_longest_ago_is_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unchanged, "CAPACITY", 2)
    known = Unchanged()
    wards = [("server", "Location", f"w{i}", "1") for i in range(3)]
    known.learn(wards[0], b"0")
    known.learn(wards[1], b"1")
    assert known.knows(wards[0], b"0")
    known.learn(wards[2], b"2")
    assert [known.knows(ward, str(i).encode()) for i, ward in enumerate(wards)] == [True, False, True]
