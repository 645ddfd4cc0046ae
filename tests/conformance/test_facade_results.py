"""The result parameters of a search, and what a read takes.

Source: https://hl7.org/fhir/R4/search.html#modifyingresults; `http-interface.md` of the design, "The facade"
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import rule_sets
from tests.running import NHS_NUMBER, Running, issues, message, running

pytestmark = pytest.mark.any_record

Json = dict[str, Any]
SORTABLE = "allowing gender, _lastUpdated", "allowing gender, _lastUpdated, date, status"
COUNTER = """
permit SR-T2 "Commissioners count"
  to count Encounter
  when caller has role commissioner and purpose is HOPERAT
  asking date
  rows Encounter where Encounter.status is "in-progress"
"""
VISITS = [("V-1", "ADT^A01"), ("V-2", "ADT^A03"), ("V-3", "ADT^A01")]
ENCOUNTERS = f"/Encounter?patient={NHS_NUMBER}"
PATIENT = f"/Patient?_id={NHS_NUMBER}"


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("results")
    for beside in ("lists", "codes"):
        shutil.copytree(repository / "rules" / beside, folder / "rules" / beside)
    for file in (one for one in (repository / "rules").glob("*.rules") if not one.name.endswith(".test.rules")):
        text = file.read_text("utf-8")
        if file.name == "shared-record.rules":
            text = text.replace(*SORTABLE) + COUNTER
        if file.name == "registry.rules":
            text = text.replace(
                'principal demo-writer "Demonstration of a partner that writes"', 'principal demo-writer "x"'
            )
            text = text.replace(
                "  roles flag-keeper\n  may assert purpose TREAT", "  roles commissioner\n  may assert purpose HOPERAT"
            )
        (folder / "rules" / file.name).write_text(text, "utf-8")
    with running(folder / "data", rule_sets.decisions(folder / "rules", repository / "specs")) as one:
        for number, (visit, kind) in enumerate(VISITS):
            sent = message(kind=kind, control_id=f"C-{number}", visit=visit, sent=f"202611{10 + number}101500")
            assert one.send(sent).status_code == 200
        yield one


def entries(one: Running, address: str) -> list[Json]:
    answer = one.search(address)
    assert answer.status_code == 200, answer.text
    return [entry["resource"] for entry in answer.json().get("entry", [])]


@pytest.mark.parametrize(("key", "turned"), [("date", False), ("-date", True)])
def test_a_sort_is_by_what_may_be_searched(filled: Running, key: str, turned: bool) -> None:  # noqa: FBT001 - a case's answer
    found = [one["period"]["start"] for one in entries(filled, f"{ENCOUNTERS}&_sort={key}")]
    assert found == sorted(found, reverse=turned)
    assert len(found) == len(VISITS)


@pytest.mark.parametrize("key", ["class", "type,-date", "-location"])
def test_a_sort_by_what_may_not_be_searched_is_refused(filled: Running, key: str) -> None:
    refused = filled.search(f"{ENCOUNTERS}&_sort={key}")
    assert refused.status_code in {400, 403}
    assert any(key.partition(",")[0].strip("-") in issue["diagnostics"] for issue in issues(refused))


SHAPES: list[tuple[str, set[str], set[str]]] = [
    ("_elements=name", {"name"}, {"gender", "address", "telecom"}),
    ("_elements=telecom,name", {"name"}, {"telecom", "gender"}),
    ("_summary=true", {"name", "gender"}, {"telecom", "maritalStatus"}),
    ("_summary=data", {"name", "address"}, {"telecom", "text"}),
    ("_summary=text", set(), {"name", "telecom"}),
    ("_summary=false", {"name", "address"}, {"telecom"}),
]


@pytest.mark.parametrize(("wanted", "there", "gone"), SHAPES)
def test_a_part_is_shown_and_never_what_is_hidden(
    filled: Running, wanted: str, there: set[str], gone: set[str]
) -> None:
    (found,) = entries(filled, f"{PATIENT}&{wanted}")
    read = filled.search(f"/Patient/{NHS_NUMBER}?{wanted}")
    assert read.json() == found
    assert there <= found.keys()
    assert not gone & found.keys()
    assert {"id", "meta"} <= found.keys()
    assert any(tag["code"] == "SUBSETTED" for tag in found["meta"]["tag"])
    assert read.headers["etag"] == 'W/"1"'


def test_pretty_is_for_people_and_says_the_same(filled: Running) -> None:
    for address in (PATIENT, f"/Patient/{NHS_NUMBER}?_format=json"):
        plain = filled.search(address)
        pretty = filled.search(address + "&_pretty=true")
        assert "\n  " in pretty.text
        assert "\n" not in plain.text
        if "?_id" not in address:
            assert pretty.json() == plain.json()


@pytest.mark.parametrize("wanted", ["json", "application/fhir%2Bjson", "application/json"])
def test_the_formats_that_there_are(filled: Running, wanted: str) -> None:
    assert filled.search(f"{PATIENT}&_format={wanted}").status_code == 200


@pytest.mark.parametrize(
    ("address", "status", "word"),
    [
        (f"{PATIENT}&_format=xml", 406, "JSON"),
        (f"/Patient/{NHS_NUMBER}?_format=xml", 406, "JSON"),
        (f"{PATIENT}&_summary=most", 400, "_summary"),
        (f"{PATIENT}&_elements=nonsense", 400, "_elements"),
        (f"{PATIENT}&_elements=name&_summary=true", 400, "_elements"),
        (f"{PATIENT}&_count=-1", 400, "_count"),
        (f"{PATIENT}&_total=exact", 400, "_total"),
        (f"/Patient/{NHS_NUMBER}?_count=1", 400, "_count"),
        (f"/Patient/{NHS_NUMBER}?gender=female", 400, "gender"),
        (f"/Patient/{NHS_NUMBER}?_summary=count", 400, "_summary"),
        (f"/Patient/{NHS_NUMBER}/_history", 403, "no rule lets anyone see the history of Patient"),
        (f"/Patient/{NHS_NUMBER}/_history/1", 403, "no rule lets anyone see the history of Patient"),
    ],
)
def test_what_is_not_taken_is_refused_with_words(filled: Running, address: str, status: int, word: str) -> None:
    refused = filled.search(address)
    assert refused.status_code == status, refused.text
    assert any(word in issue["diagnostics"] for issue in issues(refused)), refused.text


def test_a_form_says_its_format_too(filled: Running) -> None:
    headers = {"Authorization": f"Bearer {filled.token('demo-partner')}", "purpose-of-use": "TREAT"}
    form = {"_id": NHS_NUMBER, "_format": "xml"}
    assert filled.http.post("/Patient/_search", data=form, headers=headers).status_code == 406


@pytest.mark.parametrize("how", ["_summary=count", "_count=0"])
def test_who_may_only_count_gets_the_number_alone(filled: Running, how: str) -> None:
    address = "/Encounter?date=ge2026-01-01&date=lt2027-01-01"
    counted = filled.search(f"{address}&{how}", principal="demo-writer", purpose="HOPERAT")
    assert counted.status_code == 200, counted.text
    assert (counted.json()["total"], "entry" in counted.json()) == (2, False), "the finished visit is not counted"
    for wanted in ("", "&_count=1", "&_summary=true", "&_total=accurate"):
        refused = filled.search(f"{address}{wanted}", principal="demo-writer", purpose="HOPERAT")
        assert refused.status_code == 403, refused.text


def test_who_may_search_may_count_what_it_would_see(filled: Running) -> None:
    assert filled.search(f"{ENCOUNTERS}&_summary=count").json()["total"] == len(VISITS)
    assert filled.search(f"{PATIENT}&_count=0").json()["total"] == 1
    assert filled.search("/Encounter?date=ge2026-01-01&_summary=count").status_code == 403
