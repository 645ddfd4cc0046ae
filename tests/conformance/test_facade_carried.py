"""What stands within a resource: entries of a stored Bundle, and elements whose content stands in several places.

Source: `facade.md` of the design, "Narrow, then check again"; https://hl7.org/fhir/R4/bundle.html,
https://hl7.org/fhir/R4/elementdefinition-definitions.html#ElementDefinition.contentReference
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import rule_sets
from tests.conformance.linked_record import REGISTRY, RESTRICTED, encounter, fill, patient, rules, shown, subsetted
from tests.conformance.test_facade_writes import ask
from tests.running import Running, running

pytestmark = pytest.mark.any_record
Json = dict[str, Any]
MORE = """
permit T-P1 "Keepers keep documents and answers"
  to search, read, create, update, delete
    Bundle, QuestionnaireResponse, List
  when caller has role keeper
  all rows

permit T-P2 "Viewers see documents and answers"
  to search, read, create, update Bundle
  when caller has role viewer
  allowing _id
  all rows

permit T-P3 "And send answers that they don't see"
  to create QuestionnaireResponse
  when caller has role viewer
  all rows

permit T-P4 "Of which they see the questions"
  to search, read QuestionnaireResponse
  when caller has role viewer
  allowing _id
  all rows
  hide QuestionnaireResponse.item.answer
"""


LIST: Json = {"resourceType": "List", "status": "current", "mode": "working", "title": "Secret"}


@pytest.fixture
def one(tmp_path: Path, repository: Path) -> Iterator[Running]:
    with running(tmp_path / "data", rules(tmp_path / "rules", repository, MORE)) as found:
        yield found


def bundle(*resources: Json) -> Json:
    return {
        "resourceType": "Bundle", "id": "b1", "type": "collection",
        "entry": [{"fullUrl": f"https://elsewhere.example/{one['resourceType']}/{one['id']}", "resource": one}
                  for one in resources],
    }  # fmt: skip


def test_a_bundle_whose_entries_may_be_read_is_shown_whole(one: Running) -> None:
    seen = shown(one, bundle(encounter("e1", "p1")))
    assert seen["entry"][0]["resource"]["id"] == "e1"
    assert not subsetted(seen)


@pytest.mark.parametrize(
    "carried",
    [
        patient("h1", "Secret", "1980-02-14", "RDZ"),  # no row of this caller's
        patient("p1", "Secret", "1980-02-14"),  # who is shown without telecom
        encounter("y1", "p1", meta=RESTRICTED, reasonCode=[{"text": "Secret"}]),  # which a forbid holds back
        encounter("y1", "p1", contained=[{**LIST, "id": "h1"}],
                  extension=[{"url": "urn:x", "valueReference": {"reference": "#h1"}}]),
        {**LIST, "id": "l1"},
        {**bundle(patient("h1", "Secret", "1980-02-14", "RDZ")), "id": "b2"},
    ],
)  # fmt: skip
def test_one_that_carries_what_may_not_be_read_is_shown_without_entries(one: Running, carried: Json) -> None:
    new = ask(one, "PUT", "/Bundle/b1", bundle(carried), principal="demo-partner")
    assert new.status_code == 403, "who may not read it may not write it"
    fill(one, bundle(carried))
    seen = ask(one, "GET", "/Bundle/b1", principal="demo-partner")
    assert seen.status_code == 200, seen.text
    assert "entry" not in seen.json()
    assert "Secret" not in seen.text
    assert subsetted(seen.json())
    found = ask(one, "GET", "/Bundle?_id=b1", principal="demo-partner")
    assert "Secret" not in found.text
    again = ask(one, "PUT", "/Bundle/b1", bundle(encounter("e1", "p1")), principal="demo-partner")
    assert again.status_code == 403, "it would lose what it does not see"


def test_whom_its_entries_are_about_counts_as_seen(tmp_path: Path, repository: Path) -> None:
    folder = tmp_path / "rules"
    rules(folder, repository, MORE)
    (folder / "registry.rules").write_text(REGISTRY.replace("limit 500 Patient", "limit 2 Patient"), "utf-8")
    with running(tmp_path / "data", rule_sets.decisions(folder, repository / "specs")) as one:
        fill(one, bundle(*(encounter(f"e{n}", f"p{n}") for n in range(3))))
        seen = ask(one, "GET", "/Bundle/b1", principal="demo-partner")
        assert seen.status_code == 429, "three patients are more than two a day"
        fill(one, {**bundle(*(encounter(f"e{n}", f"p{n}") for n in range(2))), "id": "b2"})
        assert ask(one, "GET", "/Bundle/b2", principal="demo-partner").status_code == 200


ANSWERS: Json = {"resourceType": "QuestionnaireResponse", "id": "q1", "status": "completed", "item": [
    {"linkId": "1", "answer": [{"valueString": "Secret", "item": [
        {"linkId": "1.1", "answer": [{"valueString": "Secret"}]}]}]},
    {"linkId": "2", "item": [
        {"linkId": "2.1", "answer": [{"valueString": "Secret"}]},
        {"linkId": "2.2", "item": [{"linkId": "2.2.1", "answer": [{"valueString": "Secret"}]}]}]},
]}  # fmt: skip


def test_what_is_hidden_of_an_item_is_hidden_of_its_own_items(one: Running) -> None:
    seen = shown(one, ANSWERS)
    assert "Secret" not in json.dumps(seen)
    below = [{"linkId": "2.1"}, {"linkId": "2.2", "item": [{"linkId": "2.2.1"}]}]
    assert seen["item"] == [{"linkId": "1"}, {"linkId": "2", "item": below}]
    new = {**ANSWERS, "item": ANSWERS["item"][1:]}
    written = ask(one, "POST", "/QuestionnaireResponse", new, principal="demo-partner")
    assert written.status_code == 403, "what is not seen is not written"
