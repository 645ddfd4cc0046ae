"""Chains and `_has` as a partner asks them: each a search of its own, made as that partner.

Source: `facade.md` of the design, "Query parsing"; https://hl7.org/fhir/R4/search.html#chaining, #has
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.linked_record import (
    BESIDE,
    HIDDEN,
    VISIBLE,
    fill,
    found,
    observation,
    patient,
    rules,
    told,
)
from tests.conformance.test_facade_leaks import Worlds, plain
from tests.conformance.test_facade_masks import rows
from tests.conformance.test_facade_writes import ask
from tests.running import SECRETS, Running, running

pytestmark = pytest.mark.any_record
MARLOW = "subject:Patient.family=Marlow&subject:Patient.birthdate=1980-02-14"


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Iterator[Worlds]:
    folder = tmp_path_factory.mktemp("linked")
    loaded = rules(folder / "rules", repository)
    with running(folder / "without", loaded) as without, running(folder / "beside", loaded) as beside:
        hidden = [one for one in HIDDEN if one["id"] not in BESIDE]
        yield Worlds(fill(without, *VISIBLE), fill(beside, *VISIBLE, *hidden))


@pytest.fixture
def one(worlds: Worlds) -> Running:
    return worlds.beside


FOUND = [
    ("Encounter?patient.identifier=urn:example:numbers|p1", ["e1", "e3"]),
    ("Encounter?patient:Patient.identifier=p2", ["e2"]),
    ("Encounter?patient._id=p1,p2", ["e1", "e2", "e3"]),
    ("Encounter?patient.family=Marlow&patient.birthdate=1980-02-14", ["e1", "e3"]),
    (f"Encounter?patient=p1&{MARLOW}", ["e1", "e3"]),
    (f"Encounter?patient=p2&{MARLOW}", []),
    ("Encounter?patient=p1&subject.identifier=p1", ["e1", "e3"]),
    ("Encounter?patient=p1&subject.identifier=p2", []),
    ("Encounter?patient.identifier=nobody", []),
    ("Encounter?patient=p1&part-of.patient=p1", ["e3"]),
    ("Encounter?patient=p1&part-of.patient.identifier=p1", ["e3"]),
    ("Encounter?patient=p1&part-of:Encounter.patient.identifier=p2", []),
    ("Encounter?patient=p1&participant:Practitioner.family=Okafor", ["e1"]),
    ("Encounter?patient=p1&participant.family=Okafor", ["e1"]),
    ("Encounter?patient=p1&participant.family=Nobody", []),
    ("Encounter?patient=http://localhost:8000/Patient/p1&part-of.patient=http://localhost:8000/Patient/p1", ["e3"]),
    ("Observation?patient=p1&encounter.patient.identifier=p1", ["o1"]),
    ("Patient?_id=p1,p2,p3&_has:Observation:patient:code=sodium", ["p1"]),
    ("Patient?_id=p1,p2,p3&_has:Observation:patient:code=urn:example:codes|potassium", ["p2"]),
    ("Patient?_id=p1,p2,p3&_has:Observation:patient:code=nothing", []),
    ("Patient?_id=p1,p2,p3&_has:Observation:subject:_id=o2", ["p2"]),
    ("Patient?family=Marlow&birthdate=1980-02-15&_has:Encounter:patient:status=finished", ["p2"]),
    ("Patient?_id=p1,p2&_has:Observation:patient:code=sodium&_has:Observation:patient:code=panel", ["p1"]),
    ("Patient?_id=p1,p2&_has:Observation:patient:code=sodium&_has:Observation:patient:code=potassium", []),
    ("Patient?_id=p1,p2,p3&_has:Encounter:patient:_has:Provenance:target:agent=d1", ["p1"]),
    ("Encounter?patient=p1&_has:Provenance:target:agent=Practitioner/d1", ["e1"]),
    ("Encounter?_has:Observation:encounter:_id=o2", ["e2"]),
    ("Patient?_has:Observation:patient:_id=o2", ["p2"]),
    ("Observation?patient=p1&_has:Observation:has-member:code=panel", None),
    ("Encounter?patient=p1&diagnosis:Condition.code=x", None),
]


@pytest.mark.parametrize(("address", "ids"), FOUND)
def test_a_chain_finds_what_the_same_searches_one_by_one_find(
    one: Running, address: str, ids: list[str] | None
) -> None:
    if ids is None:
        assert ask(one, "GET", f"/{address}", principal="demo-partner").status_code == 403
    else:
        assert sorted(found(one, f"/{address}")) == ids


@pytest.mark.parametrize(("address", "ids"), FOUND)
def test_what_is_hidden_takes_no_part_and_changes_no_answer(
    worlds: Worlds, address: str, ids: list[str] | None
) -> None:
    for more in ("", "&_summary=count", "&_total=accurate&_count=1", "&_count=1&_sort=-_id"):
        if more.endswith("_id") and ids is None:
            continue
        one, other = [
            plain(ask(each, "GET", f"/{address}{more}", principal="demo-partner"))
            for each in (worlds.without, worlds.beside)
        ]
        assert one == other, more


def test_a_form_and_an_entry_of_a_batch_are_asked_alike(one: Running) -> None:
    address = "Encounter?patient:Patient.identifier=p1"
    headers = {"Authorization": f"Bearer {one.token('demo-partner')}"}
    form = one.http.post("/Encounter/_search", data={"patient:Patient.identifier": "p1"}, headers=headers)
    batch = {"resourceType": "Bundle", "type": "batch", "entry": [{"request": {"method": "GET", "url": address}}]}
    entry = ask(one, "POST", "/", batch, principal="demo-partner").json()["entry"][0]["resource"]
    alone = ask(one, "GET", f"/{address}", principal="demo-partner").json()
    assert alone["total"] == 2
    assert form.json()["entry"] == entry["entry"] == alone["entry"]


REFUSED = [
    # what the rules let this caller ask for of the type that it leads to, and no less
    ("Encounter?patient=p1&subject:Patient.family=Marlow", 403, "subject:Patient.family: a search of Patient must"),
    ("Encounter?patient=p1&subject:Patient.telecom=01202", 400, "telecom can not be used to search Patient"),
    ("Encounter?patient=p1&subject:Patient.family=Marlow&part-of.patient.gender=male", 403, "Patient must carry"),
    ("Encounter?patient=p1&service-provider.name=x", 400, "service-provider can not be used"),
    ("Encounter?patient=p1&participant:RelatedPerson.name=x", 403, "participant:RelatedPerson.name"),
    ("Encounter?subject:Patient._id=p1", 403, "a search of Encounter must carry"),
    ("Patient?_id=p1&_has:Observation:patient:value-string=x", 400, "value-string can not be used"),
    ("Patient?_id=p1&_has:Observation:performer:code=x", 400, "performer"),
    ("Patient?_id=p1&_has:Condition:patient:code=x", 403, "_has:Condition:patient:code"),
    ("Patient?_has:Observation:patient:code=sodium", 403, "_has:Observation:patient:code alone is too little"),
    ("Patient?_id=p1&_has:Encounter:patient:_has:Observation:encounter:value-string=x", 400, "value-string"),
    ("Patient?_id=p1&_has:Observation:code=x", 400, "_has"),
    ("Patient?_id=p1&_has:Observation:patient", 400, "_has"),
    ("Encounter?patient.nothing=1", 400, "nothing there has a parameter nothing"),
    ("Encounter?patient:Practitioner.name=x", 400, "not to Practitioner"),
    ("Encounter?patient=p1&subject:Group.identifier=x", 403, "Group"),
    ("Encounter?patient=p1" + "&part-of.patient=p1" * 11, 400, "at most 10 chains and _has"),
    ("Encounter?patient=p1" + "&_include=Encounter:part-of" * 21, 400, "20 includes"),
    ("Encounter?subject:identifier=p1&patient=p1", 400, "the modifier identifier is not offered"),
]  # fmt: skip


@pytest.mark.parametrize(("address", "status", "words"), REFUSED)
def test_a_node_that_the_caller_may_not_ask_for_is_refused_with_what_it_may(
    worlds: Worlds, address: str, status: int, words: str
) -> None:
    refused = ask(worlds.beside, "GET", f"/{address}", principal="demo-partner")
    assert refused.status_code == status, refused.text
    assert words in told(refused), refused.text
    assert "search in portions" in told(refused) or "this would work: GET" in told(refused)
    assert plain(refused) == plain(ask(worlds.without, "GET", f"/{address}", principal="demo-partner"))


def test_what_a_refusal_says_would_work_works(one: Running) -> None:
    for kind in ("Patient", "Encounter", "Observation", "Provenance", "Practitioner"):
        refused = ask(one, "GET", f"/{kind}?nonsense=1", principal="demo-partner")
        assert refused.status_code == 400
        address = told(refused).rpartition("this would work: GET ")[2].split()[0]
        assert ask(one, "GET", f"/{address}", principal="demo-partner").status_code == 200, address
    nobody = ask(one, "GET", "/Encounter?nonsense=1", principal="other-writer")
    assert (nobody.status_code, "the principal does not have the role" in told(nobody)) == (400, True)


def test_who_may_search_all_of_a_type_may_ask_whom_it_refers_to(one: Running) -> None:
    """`_id` is what `_has` gives: a view that asks for it has it."""
    assert found(one, "/Patient?_has:Observation:patient:code=potassium", "other-writer") == ["p2"]
    assert found(one, "/Patient?_id=p1&_has:Observation:patient:code=sodium", "other-writer") == ["p1"]
    assert found(one, "/Patient?_id=p2&_has:Observation:patient:code=sodium", "other-writer") == []


SCOPES = [
    ("Encounter?patient.identifier=p1", "system/Encounter.s system/Patient.s", 200),
    ("Encounter?patient.identifier=p1", "system/Encounter.s system/Patient.r", 403),
    ("Encounter?patient.identifier=p1", "system/Encounter.s", 403),
    ("Encounter?patient=p1&_include=Encounter:patient", "system/Encounter.s system/Patient.r", 200),
    ("Encounter?patient=p1&_include=Encounter:patient", "system/Encounter.s system/Patient.s", 403),
    ("Encounter?_id=e1&_revinclude=Provenance:target", "system/Encounter.s system/Provenance.s", 200),
    ("Encounter?_id=e1&_revinclude=Provenance:target", "system/Encounter.s system/Provenance.r", 403),
    ("Patient?_id=p1&_has:Observation:patient:code=sodium", "system/Patient.s system/Observation.s", 200),
    ("Patient?_id=p1&_has:Observation:patient:code=sodium", "system/Patient.s", 403),
]


@pytest.mark.parametrize(("address", "scope", "status"), SCOPES)
def test_the_scopes_of_a_token_hold_for_every_node(one: Running, address: str, scope: str, status: int) -> None:
    form = {"grant_type": "client_credentials", "scope": scope}
    granted = one.http.post("/$ingest/auth", data=form, auth=("demo-partner", SECRETS["demo-partner"]))
    token = granted.json()["access_token"]
    answer = one.http.get(f"/{address}", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == status, answer.text


def test_a_hidden_subject_leads_nowhere_and_back(tmp_path: Path, repository: Path) -> None:
    """What a mask hides of a resource is neither followed nor found by."""
    with running(tmp_path / "data", rules(tmp_path / "rules", repository)) as one:
        fill(one, *VISIBLE, *HIDDEN)
        assert found(one, "/Patient?_id=p1,p2,p3&_has:Observation:patient:code=sodium") == ["p1"]
        assert found(one, "/Observation?patient=p3&code=sodium") == []
        assert found(one, "/Observation?_id=y2") == ["y2"]
        assert found(one, "/Patient?_has:Observation:patient:code=sodium", "other-writer") == ["p1"]
        # a visit that may be seen, of a patient who may not
        assert found(one, "/Encounter?_id=x2") == ["x2"]
        assert found(one, "/Encounter?_id=x2&subject.identifier=h1") == []


def test_pages_of_a_chain_are_stable_and_complete(tmp_path: Path, repository: Path) -> None:
    many = [observation(f"n{number}", "p1", "sodium", encounter={"reference": "Encounter/e1"}) for number in range(5)]
    with running(tmp_path / "data", rules(tmp_path / "rules", repository)) as one:
        fill(one, *VISIBLE, *many)
        address = "/Observation?patient=p1&encounter.patient.identifier=p1&_count=2&_total=accurate"
        seen = found(one, address)
        assert len(seen) == len(set(seen)) == 6
        first = ask(one, "GET", address, principal="demo-partner").json()
        assert first["total"] == 6
        fill(one, observation("late", "p1", "sodium", encounter={"reference": "Encounter/e1"}))
        following = next(link["url"] for link in first["link"] if link["relation"] == "next")
        rest = found(one, following.removeprefix("http://localhost:8000"))
        shown = [entry["resource"]["id"] for entry in first["entry"]]
        assert sorted(set(shown + rest) - {"late"}) == sorted(seen)
        assert len(shown + rest) == len(set(shown + rest))


def test_more_than_can_be_asked_for_is_refused_and_nothing_is_dropped(tmp_path: Path, repository: Path) -> None:
    with running(tmp_path / "data", rules(tmp_path / "rules", repository)) as one:
        fill(one, *VISIBLE, *(patient(f"q{number}", "Marlow", "1980-02-14") for number in range(10)))
        refused = ask(
            one, "GET", "/Encounter?patient.family=Marlow&patient.birthdate=1980-02-14", principal="demo-partner"
        )
        assert (refused.status_code, "leads to more than" in told(refused)) == (400, True), refused.text
        # where the rules ask for something else beside it, eleven are not too many
        assert sorted(found(one, f"/Encounter?patient=p1&{MARLOW}")) == ["e1", "e3"]


def test_a_condition_of_a_write_may_be_a_chain(tmp_path: Path, repository: Path) -> None:
    with running(tmp_path / "data", rules(tmp_path / "rules", repository)) as one:
        fill(one, *VISIBLE)
        new = {**next(each for each in VISIBLE if each["id"] == "o2")}
        new.pop("id")
        stands = ask(one, "POST", "/Observation", new, If_None_Exist="subject:Patient.identifier=p2&code=potassium")
        assert stands.status_code == 200, stands.text
        made = ask(one, "POST", "/Observation", new, If_None_Exist="subject:Patient.identifier=p3&code=potassium")
        assert made.status_code == 201, made.text
        comes = ask(one, "POST", "/Observation", new, If_None_Exist="code=x&_include=Observation:subject")
        assert (comes.status_code, "_include" in told(comes)) == (400, True), comes.text


def test_the_audit_names_every_node_and_every_rule(tmp_path: Path, repository: Path) -> None:
    with running(tmp_path / "data", rules(tmp_path / "rules", repository)) as one:
        fill(one, *VISIBLE)
        found(one, "/Encounter?patient:Patient.identifier=p1&_include=Encounter:subject")
        action, what, outcome = rows(one)[-1]
        assert (action, outcome) == ("search", "permit")
        assert what == "Encounter?patient:Patient.identifier&_include=Encounter:subject"
        assert "p1" not in what
