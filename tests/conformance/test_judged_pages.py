"""Pages whose resources are judged one by one tell nothing of what is held back: `rules-language.md` 9 and 10."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.interactions import filling
from tests import rule_sets
from tests.running import Running, message, running

pytestmark = pytest.mark.any_record

FORBID = """
forbid SR-T1 "Finished visits are not shown"
  to search, read Encounter
  when Encounter.status is present and Encounter.status is "finished"
"""
DISCHARGED = {"kind": "ADT^A03"}
VISITS = ["F1", "S1", "F2", "F3", "S2", "F4"]  # S are shown


@pytest.fixture
def judged(tmp_path: Path, repository: Path) -> Iterator[Running]:
    rules = tmp_path / "rules"
    rules.mkdir()
    for file in (repository / "rules").glob("*.rules"):
        text = file.read_text("utf-8")
        if file.name == "shared-record.rules":
            text = text.replace("  rows Encounter where Encounter.serviceProvider in caller.organisations\n", "")
            text = text.replace("all rows Patient, Condition", "all rows") + FORBID
        (rules / file.name).write_text(text, "utf-8")
    with running(tmp_path / "data", rule_sets.decisions(rules, repository / "specs")) as one:
        for visit in VISITS:
            kind = "ADT^A03" if visit.startswith("F") else "ADT^A01"
            reply = one.send(message(kind=kind, control_id=visit, visit=visit))
            assert reply.status_code == 200, reply.text
        yield one


def pages(one: Running, address: str) -> list[dict[str, object]]:
    found = []
    while address:
        page = one.search(address).json()
        found.append(page)
        links = {link["relation"]: link["url"] for link in page["link"]}
        address = links.get("next", "").removeprefix("http://localhost:8000")
    return found


@pytest.mark.parametrize(("count", "sizes"), [(1, [1, 1]), (2, [2]), (6, [2])])
def test_pages_are_full_and_end_with_what_is_shown(judged: Running, count: int, sizes: list[int]) -> None:
    found = pages(judged, f"/Encounter?patient=9990000018&_count={count}&_total=accurate")
    assert [len(page.get("entry", [])) for page in found] == sizes  # type: ignore[arg-type]  # JSON
    seen = [entry["resource"]["id"] for page in found for entry in page["entry"]]  # type: ignore[attr-defined]  # JSON
    assert len(seen) == len(set(seen))
    totals = {page.get("total") for page in found}
    assert totals <= {2, None}, "a total counts what is shown alone"


@pytest.mark.parametrize("wanted", ["_count=0", "_summary=count", "_summary=count&_count=1", "_count=0&_total=none"])
def test_a_count_counts_what_is_shown(judged: Running, wanted: str) -> None:
    answer = judged.search(f"/Encounter?patient=9990000018&{wanted}")
    assert answer.status_code == 200, answer.text
    assert answer.json()["total"] == 2
    assert "entry" not in answer.json()


def test_an_accurate_total_stands_on_every_page(judged: Running) -> None:
    found = pages(judged, "/Encounter?patient=9990000018&_count=1&_total=accurate")
    assert [page.get("total") for page in found] == [2, 2]
    for wanted in ("none", "estimate"):
        found = pages(judged, f"/Encounter?patient=9990000018&_count=1&_total={wanted}")
        assert [page.get("total") for page in found] == [None, None]


def test_how_much_is_hidden_refuses_no_small_page(judged: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filling, "MOST_LOOKED", len(VISITS))
    found = judged.search("/Encounter?patient=9990000018&_count=1")
    assert found.status_code == 200, found.text
    assert len(found.json()["entry"]) == 1
    assert [len(page["entry"]) for page in pages(judged, "/Encounter?patient=9990000018&_count=1")] == [1, 1]  # type: ignore[arg-type]  # JSON
