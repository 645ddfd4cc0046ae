"""Draws, patterns and lists of samples."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway import specs
from gateway.fhir.identity import valid_nhs_number
from gateway.sampling import HoleError, PatternError, load
from gateway.sampling.csv_sample import matching
from gateway.sampling.draw import PEOPLE, Draw, Form, nhs_number
from gateway.sampling.lists import load as load_lists
from gateway.specs import SpecsError

FORM = Form(lambda moment: moment.isoformat(), lambda day: day.isoformat(), lambda text: text.replace("&", "AND"))


def draw(seed: int = 1, index: int = 0, attempt: int = 0) -> Draw:
    return Draw(load(specs.ROOT), FORM, seed, index, attempt, {"organisation": "R0D", "type": "ADT^A01"})


@pytest.mark.parametrize("person", [0, 1, 2, 4999, PEOPLE - 1])
def test_every_person_has_a_valid_number_of_the_test_range(person: int) -> None:
    number = nhs_number(person)
    assert valid_nhs_number(number)
    assert "9990000000" <= number <= "9999999999"


def test_the_first_person_has_the_first_valid_number() -> None:
    assert nhs_number(0) == "9990000018"


def test_people_have_numbers_of_their_own() -> None:
    assert len({nhs_number(person) for person in range(5000)}) == 5000


def test_a_person_is_the_same_in_every_attempt_and_another_in_every_index() -> None:
    named = "{people@patient.family} {nhs-number} {birth@patient} {number}"
    assert draw(attempt=1).text(named) == draw(attempt=2).text(named)
    assert draw(index=1).text(named) != draw(index=2).text(named)
    assert draw().text("{nhs-number@former}") != draw().text("{nhs-number}")


def test_moments_are_before_and_after_the_one_of_the_sample() -> None:
    drawn = draw()
    assert drawn.text("{moment-2h}") < drawn.text("{moment-5m}") < drawn.text("{moment}") < drawn.text("{moment+1d}")
    assert drawn.text("{day}") == drawn.text("{moment}")[:10]


def test_a_list_is_drawn_once_for_each_part_and_goes_on_with_the_next() -> None:
    drawn, seen = draw(), set()
    for _ in range(6):
        drawn.begin()
        assert drawn.text("{results.code}") == drawn.text("{results.code}")
        seen.add(drawn.text("{results.code}"))
    assert len(seen) == 6


def test_facts_are_kept_apart_from_delimiters() -> None:
    drawn = Draw(load(specs.ROOT), FORM, 1, facts={"organisation": "A&E", "type": "x"})
    assert drawn.text("{organisation}") == "AANDE"


@pytest.mark.parametrize(
    ("hole", "words"),
    [("{momentt}", "did you mean moment?"), ("{people.familly}", "has the columns family"), ("{x}", "nothing fills")],
)
def test_a_hole_that_nothing_fills_is_told(hole: str, words: str) -> None:
    with pytest.raises(HoleError, match=re.escape(words)):
        draw().text(hole)


@pytest.mark.parametrize("pattern", ["[A-Z0-9]{3,6}", "[A-Z][0-9]{5}", r"\d{4}", "[ACDP]", "AB-[0-9]+x?"])
def test_patterns_are_matched(pattern: str) -> None:
    assert re.fullmatch(pattern, matching(pattern, draw()))


def test_a_pattern_that_is_beyond_it_is_told() -> None:
    with pytest.raises(PatternError, match=r"specs/samples/csv\.csv"):
        matching("(a|b)", draw())


def folder(tmp_path: Path, hl7v2: str) -> Path:
    (tmp_path / "samples" / "lists").mkdir(parents=True)
    for name in ("fhir", "csv"):
        (tmp_path / "samples" / f"{name}.csv").write_text("place,value,why\n")
    (tmp_path / "samples" / "hl7v2.csv").write_text(hl7v2)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("place,value,why\nPID-3,a,\nPID-3,b,\n", "`PID-3` stands twice"),
        ("place,value\nPID-3,a\n", "the columns are place, value, why"),
    ],
)
def test_mistakes_in_the_places_are_told_with_their_line(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(SpecsError, match=words):
        load_lists(folder(tmp_path, text))
