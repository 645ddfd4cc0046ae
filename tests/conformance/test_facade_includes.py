"""`_include` and `_revinclude` as a partner asks them: fetched by the gateway, each as that partner may see it.

Source: `facade.md` of the design, "Query parsing"; https://hl7.org/fhir/R4/search.html#include
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.interactions import including
from tests import rule_sets
from tests.conformance.linked_record import (
    HIDDEN,
    VISIBLE,
    Json,
    encounter,
    fill,
    found,
    rules,
    told,
)
from tests.conformance.test_facade_leaks import Worlds, plain
from tests.conformance.test_facade_masks import details, rows
from tests.conformance.test_facade_writes import ask
from tests.running import Running, issues, message, running

pytestmark = pytest.mark.any_record
HIDES = """
mask T-M1 "Nobody is told whose visit it was"
  to search, read Encounter
  when caller has role viewer
  hide Encounter.subject
"""


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Iterator[Worlds]:
    folder = tmp_path_factory.mktemp("linked")
    loaded = rules(folder / "rules", repository)
    with running(folder / "without", loaded) as without, running(folder / "beside", loaded) as beside:
        # visits to patients who may not be seen stand in both: that they are hidden is what is asked
        shown = [*VISIBLE, encounter("x2", "h1"), encounter("x5", "h2")]
        others = [one for one in HIDDEN if one["id"] not in {"x2", "y2"}]
        yield Worlds(fill(without, *shown), fill(beside, *shown, *others))


@pytest.fixture
def one(worlds: Worlds) -> Running:
    return worlds.beside


ITERATE = "&".join(
    f"_include:iterate={name}" for name in ("Observation:has-member", "Observation:encounter", "Encounter:patient")
)
VISITS, RESULTS, DOCTORS = "_revinclude=Encounter:patient", "_revinclude=Observation:patient", "Encounter:participant"
FOUND = [
    ("Encounter?patient=p1&_include=Encounter:patient", ["e1", "e3", "+p1"]),
    ("Encounter?patient=p1&_include=Encounter:subject:Patient", ["e1", "e3", "+p1"]),
    ("Encounter?_id=e1,e2&_include=Encounter:subject", ["e1", "e2", "+p1", "+p2"]),
    ("Encounter?_id=e1,x2,x5&_include=Encounter:subject", ["e1", "x2", "x5", "+p1"]),
    ("Encounter?_id=e3&_include=Encounter:part-of", ["e3", "+e1"]),
    ("Encounter?_id=e1,e3&_include=Encounter:part-of", ["e1", "e3"]),
    ("Encounter?_id=e1&_include=*", ["e1", "+d1", "+p1"]),
    ("Encounter?_id=e1&_include=Encounter:*", ["e1", "+d1", "+p1"]),
    ("Encounter?_id=e1&_include=Encounter:patient&_include=Encounter:participant", ["e1", "+d1", "+p1"]),
    ("Observation?_id=o1&_include=Observation:encounter&_include=Encounter:participant", None),
    (f"Observation?_id=o1&_include=Observation:encounter&_include:iterate={DOCTORS}", ["o1", "+e1", "+d1"]),
    ("Observation?_id=o3&_include:iterate=Observation:has-member", ["o3", "+o1"]),
    (
        f"Observation?_id=o3&{ITERATE}",
        ["o3", "+o1", "+e1", "+p1"],
    ),
    ("Encounter?_id=e1&_revinclude=Provenance:target", ["e1", "+v1"]),
    ("Encounter?_id=e2&_revinclude=Provenance:target", ["e2"]),
    ("Encounter?patient=p1&_revinclude=Provenance:target:Encounter", ["e1", "e3", "+v1"]),
    ("Patient?_id=p1,p2&_revinclude=Encounter:patient", ["p1", "p2", "+e1", "+e2", "+e3"]),
    ("Patient?_id=p1&_revinclude=Observation:patient", ["p1", "+o1", "+o3"]),
    ("Patient?_id=p1&_revinclude=Encounter:patient&_revinclude:iterate=Provenance:target", ["p1", "+e1", "+e3", "+v1"]),
    (f"Patient?_id=p1&{VISITS}&{RESULTS}", ["p1", "+e1", "+e3", "+o1", "+o3"]),
    ("Patient?_id=p2&_revinclude=*", ["p2", "+e2", "+o2"]),
    (f"Patient?_id=p1&{VISITS}&_include:iterate={DOCTORS}", ["p1", "+e1", "+e3", "+d1"]),
    ("Patient?_id=nobody&_revinclude=Encounter:patient", []),
    ("Encounter?patient.identifier=p1&_include=Encounter:patient", ["e1", "e3", "+p1"]),
]  # fmt: skip


@pytest.mark.parametrize(("address", "ids"), FOUND)
def test_what_comes_along_is_what_the_caller_could_read_or_find(
    one: Running, address: str, ids: list[str] | None
) -> None:
    if ids is None:
        assert ask(one, "GET", f"/{address}", principal="demo-partner").status_code == 400
        return
    names = found(one, f"/{address}")
    matches = [name for name in names if not name.startswith("+")]
    assert sorted(names, key=lambda name: (name.startswith("+"), ids.index(name) if name in ids else -1)) == ids, names
    assert names[: len(matches)] == matches, "matches come first"


@pytest.mark.parametrize(("address", "ids"), FOUND)
def test_what_is_hidden_comes_not_along_and_changes_no_answer(
    worlds: Worlds, address: str, ids: list[str] | None
) -> None:
    for more in ("", "&_summary=count", "&_count=1&_total=accurate", "&_count=1&_sort=-_id", "&_elements=status"):
        if ("_sort" in more and not address.startswith("Encounter?_id")) or (ids is None and more):
            continue
        without, beside = (_pages(each, f"/{address}{more}") for each in (worlds.without, worlds.beside))
        assert without == beside, more


def _pages(one: Running, address: str) -> list[object]:
    answers: list[object] = []
    while address:
        answer = ask(one, "GET", address, principal="demo-partner")
        answers.append(plain(answer))
        links = {link["relation"]: link["url"] for link in answer.json().get("link", ())}
        address = links.get("next", "").removeprefix("http://localhost:8000")
    return answers


REFUSED = [
    ("Encounter?_id=e1&_include=Encounter:service-provider", 403, "which you may not read"),
    ("Encounter?_id=e1&_include=Encounter:location", 400, "it brings Location, which you may not read"),
    ("Encounter?_id=e1&_include=Encounter:subject:Group", 400, "it brings Group"),
    ("Encounter?_id=e1&_include=Encounter:participant:RelatedPerson", 403, "it brings RelatedPerson"),
    ("Encounter?_id=e1&_revinclude=Condition:encounter", 400, "_revinclude=Condition:encounter"),
    ("Encounter?_id=e1&_revinclude=Condition:subject", 400, "not to Encounter"),
    ("Patient?_id=p1&_revinclude=Condition:patient", 403, "_revinclude=Condition:patient"),
    ("Encounter?_id=e1&_revinclude=Observation:encounter", 403, "a search of Observation must carry"),
    ("Patient?_id=p1&_revinclude=Observation:performer", 400, "performer can not be used"),
    ("Encounter?_id=e1&_include=Observation:encounter", 400, "starts from Encounter"),
    ("Encounter?_id=e1&_include=Encounter:nothing", 400, "no reference parameter nothing"),
    ("Encounter?_id=e1&_include=Encounter", 400, "it is Type:parameter"),
    ("Encounter?_id=e1&_include=", 400, "it is Type:parameter"),
    ("Encounter?_id=e1&_include:once=Encounter:patient", 400, "there are _include and _include:iterate"),
    ("Encounter?_id=e1&_include=Encounter:patient&_summary=text", 400, "can not go with _summary=text"),
    ("Encounter?_id=e1&_contained=true", 400, "_contained"),
    ("Encounter?_id=e1&_contained=false", 400, "_contained"),
    ("Observation?_id=o3&_include=Observation:device", 403, "device of Observation is hidden from you"),
]


@pytest.mark.parametrize(("address", "status", "words"), REFUSED)
def test_what_may_not_come_along_is_refused_with_what_may_be_asked(
    worlds: Worlds, address: str, status: int, words: str
) -> None:
    refused = ask(worlds.beside, "GET", f"/{address}", principal="demo-partner")
    assert refused.status_code == status, refused.text
    assert words in told(refused), refused.text
    assert "this would work: GET" in told(refused)
    assert plain(refused) == plain(ask(worlds.without, "GET", f"/{address}", principal="demo-partner"))


def test_a_total_counts_matches_alone_and_nothing_is_there_twice(one: Running) -> None:
    body = ask(
        one, "GET", "/Encounter?patient=p1&_include=Encounter:part-of&_include=*", principal="demo-partner"
    ).json()
    names = [entry["fullUrl"] for entry in body["entry"]]
    assert len(names) == len(set(names))
    assert body["total"] == sum(entry["search"]["mode"] == "match" for entry in body["entry"]) == 2


def test_a_match_that_refers_to_another_match_is_there_once(one: Running) -> None:
    names = found(one, "/Observation?_revinclude=Observation:has-member", "other-writer")
    assert sorted(names) == ["o1", "o2", "o3"]
    assert sorted(found(one, "/Observation?code=sodium&_revinclude=Observation:has-member", "other-writer")) == [
        "+o3",
        "o1",
    ]


def test_what_is_included_is_shown_as_a_read_shows_it(one: Running) -> None:
    address = "/Encounter?_id=e1&_include=*"
    entries = ask(one, "GET", address, principal="demo-partner").json()["entry"]
    for entry in entries:
        name = entry["fullUrl"].removeprefix("http://localhost:8000")
        assert ask(one, "GET", name, principal="demo-partner").json() == entry["resource"]
    included = next(e["resource"] for e in entries if e["resource"]["id"] == "p1")
    assert "telecom" not in included
    assert any(tag["code"] == "SUBSETTED" for tag in included["meta"]["tag"])


def test_elements_are_of_the_matches_and_a_summary_of_all(one: Running) -> None:
    address = "/Encounter?_id=e1&_include=Encounter:patient"
    match, come = ask(one, "GET", f"{address}&_elements=period", principal="demo-partner").json()["entry"]
    assert ("period" in match["resource"], "subject" in match["resource"]) == (True, False)
    assert "name" in come["resource"], "elements name those of the type that is searched"
    counted = ask(one, "GET", f"{address}&_summary=count", principal="demo-partner").json()
    assert (counted["total"], "entry" in counted) == (1, False)


def test_a_hidden_reference_brings_nothing_and_may_not_be_named(tmp_path: Path, repository: Path) -> None:
    with running(tmp_path / "data", rules(tmp_path / "rules", repository, HIDES)) as one:
        fill(one, *VISIBLE)
        for name in ("Encounter:subject", "Encounter:patient"):
            refused = ask(one, "GET", f"/Encounter?_id=e1&_include={name}", principal="demo-partner")
            assert (refused.status_code, "is hidden from you" in told(refused)) == (403, True), refused.text
        assert found(one, "/Encounter?_id=e1&_include=*") == ["e1", "+d1"]
        refused = ask(one, "GET", "/Patient?_id=p1&_revinclude=Encounter:patient", principal="demo-partner")
        assert (refused.status_code, "patient searches what is hidden" in told(refused)) == (403, True), refused.text


def test_a_reference_that_a_mask_hides_in_one_resource_brings_nothing_of_it(tmp_path: Path, repository: Path) -> None:
    with running(tmp_path / "data", rules(tmp_path / "rules", repository)) as one:
        fill(one, *VISIBLE, *HIDDEN)
        assert found(one, "/Observation?_id=y2&_include=Observation:subject") == ["y2"]
        assert sorted(found(one, "/Observation?_id=y2,o2&_include=Observation:subject")) == ["+p2", "o2", "y2"]
        assert found(one, "/Patient?_id=p3&_revinclude=Observation:patient") == ["p3"]


def test_pages_bring_each_their_own(tmp_path: Path, repository: Path) -> None:
    with running(tmp_path / "data", rules(tmp_path / "rules", repository)) as one:
        fill(one, *VISIBLE, *(encounter(f"n{number}", f"p{number % 3 + 1}") for number in range(6)))
        address = "/Encounter?patient=p1,p2,p3&_include=Encounter:patient&_count=2&_total=accurate"
        for page in pages_of(one, address):
            entries = page["entry"]
            asked = {e["resource"]["subject"]["reference"] for e in entries if e["search"]["mode"] == "match"}
            come = {f"Patient/{e['resource']['id']}" for e in entries if e["search"]["mode"] == "include"}
            assert asked == come
            assert page["total"] == 9


def pages_of(one: Running, address: str) -> Iterator[Json]:
    while address:
        body = ask(one, "GET", address, principal="demo-partner").json()
        yield body
        links = {link["relation"]: link["url"] for link in body["link"]}
        address = links.get("next", "").removeprefix("http://localhost:8000")


def test_who_is_included_counts_for_the_day(tmp_path: Path, repository: Path) -> None:
    rules(tmp_path / "rules", repository)
    registry = tmp_path / "rules" / "registry.rules"
    registry.write_text(registry.read_text("utf-8").replace("limit 500 Patient", "limit 1 Patient"), "utf-8")
    with running(tmp_path / "data", rule_sets.decisions(tmp_path / "rules", repository / "specs")) as one:
        fill(one, *VISIBLE)
        origin = "/Provenance?target=Encounter/e1"
        assert ask(one, "GET", origin, principal="demo-partner").status_code == 200
        refused = ask(one, "GET", f"{origin}&_include=Provenance:target", principal="demo-partner")
        assert refused.status_code == 429, refused.text


def test_more_than_a_page_takes_is_refused(tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(including, "MOST", 3)
    with running(tmp_path / "data", rules(tmp_path / "rules", repository)) as one:
        fill(one, *VISIBLE, *(encounter(f"n{number}", "p3") for number in range(4)))
        refused = ask(one, "GET", "/Patient?_id=p3&_revinclude=Encounter:patient", principal="demo-partner")
        assert (refused.status_code, "smaller pages" in told(refused)) == (400, True), refused.text
        assert len(found(one, "/Patient?_id=p1&_revinclude=Encounter:patient")) == 3


def test_the_audit_tells_of_whatever_was_shown(tmp_path: Path, repository: Path) -> None:
    with running(tmp_path / "data", rules(tmp_path / "rules", repository)) as one:
        fill(one, *VISIBLE)
        found(one, "/Encounter?_id=e1&_include=Encounter:patient&_revinclude=Provenance:target")
        _, what, _ = rows(one)[-1]
        assert what == "Encounter?_id&_include=Encounter:patient&_revinclude=Provenance:target"
        assert len(details(one)[-1]["seen"]) == 3, "the visit, the patient and the Provenance"


# --- where it came from, by the rules that are shipped -------------------------------------------------------------


def test_a_provenance_says_which_message_a_visit_was_made_of(gateway: Running) -> None:
    assert gateway.send(message()).status_code == 200
    shown = gateway.search("/Encounter?patient=9990000018&_revinclude=Provenance:target")
    assert shown.status_code == 200, shown.text
    visit, origin = (entry["resource"] for entry in shown.json()["entry"])
    assert shown.json()["total"] == 1
    assert origin["resourceType"] == "Provenance"
    assert f"Encounter/{visit['id']}" in [target["reference"] for target in origin["target"]]
    what = [entity["what"] for entity in origin["entity"]]
    assert what[0] == {"identifier": {"value": "C-1"}, "display": "HL7 v2 message ADT^A01 2.4 from PAS R0D"}
    assert visit["meta"]["source"] == origin["meta"]["source"]
    tags = {tag["system"].rpartition("/")[2]: tag["code"] for tag in visit["meta"]["tag"]}
    assert tags["contributing-organisation"] == "R0D"
    assert tags["contributing-domain"] == "emergency-care"
    refused = gateway.search("/Encounter?patient=9990000018&_revinclude=Provenance:target", purpose=None)
    assert refused.status_code == 403
    assert issues(refused)
