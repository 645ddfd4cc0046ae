"""What is held back in numbers, inside of resources and behind conditions tells nothing either.

Source: `facade.md` of the design, "Narrow, then check again"; `rules-language.md`, meaning 10 and 11
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from httpx import Response

from gateway.interactions import filling
from gateway.interactions.paging import START, Paging, Place, Ticket
from tests.conformance.test_facade_bundles import bundle, entry
from tests.conformance.test_facade_leaks import LESS, PATIENT, of, pages, rules, world
from tests.conformance.test_facade_writes import ask, flag
from tests.running import Running, running

Json = dict[str, Any]
MANY = 45
"""More than fit into twenty pages of two."""
BEFORE = "check CF-C1"
FORBID = """
forbid CF-F1 "Flags that have ended are not shown"
  to search, read, history Flag
  when Flag.status is present and Flag.status is "inactive"

"""
PRACTITIONERS = """
permit CF-P4 "Flag keepers may look up clinicians"
  to read Practitioner
  when caller has role flag-keeper
  all rows

"""
CLINICIAN: Json = {"resourceType": "Practitioner", "id": "p", "name": [{"family": "Okafor"}]}
CONTAINING = flag(id="holder", contained=[CLINICIAN], extension=[{
    "url": "https://example.org/fhir/seen-by", "valueReference": {"reference": "#p"},
}])  # fmt: skip


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Iterator[Running]:
    """A store with many flags that nobody is shown, before two that are."""
    folder = tmp_path_factory.mktemp("ended")
    with running(folder / "data", rules(folder / "rules", repository, BEFORE, FORBID + BEFORE)) as one:
        names = [f"h{number:03}" for number in range(MANY)]
        hidden = [
            entry("PUT", f"Flag/{name}", {**of(name, "2026-01-01", "RDZ"), "status": "inactive"}) for name in names
        ]
        assert ask(one, "POST", "/", bundle("transaction", *hidden)).status_code == 200
        for name in ("v1", "v2"):
            assert ask(one, "PUT", f"/Flag/{name}", of(name, "2026-01-02", "RDZ")).status_code == 201
        yield one


@pytest.mark.parametrize("count", [1, 2])
def test_many_that_are_held_back_leave_no_empty_page(ended: Running, count: int) -> None:
    found = pages(ended, f"{PATIENT}&_count={count}")
    assert [len(body.get("entry", ())) for _, _, body in found] == [count] * (2 // count)


def test_a_condition_finds_what_stands_behind_many_that_are_held_back(ended: Running) -> None:
    found = ask(ended, "POST", "/Flag", flag(), If_None_Exist=f"{PATIENT.partition('?')[2]}&date=ge2026-01-01")
    assert found.status_code == 412, found.text
    assert "more than one" in found.text


def test_a_search_that_looks_through_too_much_is_refused(ended: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never a page that is short for no reason that the caller may know."""
    monkeypatch.setattr(filling, "MOST_LOOKED", MANY - 5)
    for count in (1, 2, 10):  # in which pages the caller asks makes no difference
        refused = ask(ended, "GET", f"{PATIENT}&_count={count}")
        assert refused.status_code == 400, refused.text
        assert "ask for less" in refused.text
    monkeypatch.setattr(filling, "MOST_LOOKED", MANY + 5)
    for count in (1, 2, 10):
        assert ask(ended, "GET", f"{PATIENT}&_count={count}").status_code == 200


def test_the_length_of_a_pages_token_tells_nothing_of_where_it_is() -> None:
    paging = Paging(b"A" * 43 + b"=")
    places = (
        START,
        Place("http://embedded/Flag?_page=MTIzLjQ1", 7),
        Place("http://embedded/Flag?_page=" + "M" * 40, 123),
    )
    tokens = [paging.token(Ticket("a", None, "Flag", (("patient", "1"),), "view", place)) for place in places]
    assert len({len(token) for token in tokens}) == 1
    read = [paging.ticket(token) for token in tokens]
    assert [ticket.place for ticket in read if ticket is not None] == list(places)


def test_hidden_and_absent_look_alike_to_a_conditional_update_of_who_may_not_create(
    tmp_path: Path, repository: Path
) -> None:
    """The id of the resource that is sent is no way to ask whether something stands under it."""
    with running(tmp_path / "data", rules(tmp_path / "rules", repository)) as one:
        world(one, hidden=True)
    with running(tmp_path / "data", rules(tmp_path / "less", repository, *LESS)) as one:
        answers: list[Response] = [
            ask(one, "PUT", "/Flag?identifier=nothing", of(name, "2026-01-01", "RDZ")) for name in ("h1", "absent")
        ]
        assert [answer.status_code for answer in answers] == [404, 404]
        assert [answer.json()["issue"] for answer in answers] == [answers[0].json()["issue"]] * 2
        assert ask(one, "PUT", "/Flag?identifier=nothing", of("v1", "2026-01-01", "RDZ")).status_code == 409


def test_what_a_resource_contains_is_judged_as_if_it_stood_alone(tmp_path: Path, repository: Path) -> None:
    """Contained resources are shown, written and replaced by who may read them alone."""
    open_, shut = (
        rules(tmp_path / "open", repository, BEFORE, PRACTITIONERS + BEFORE),
        rules(tmp_path / "shut", repository),
    )
    with running(tmp_path / "data", open_) as one:
        assert ask(one, "PUT", "/Flag/holder", CONTAINING).status_code == 201
        assert ask(one, "GET", "/Flag/holder").json()["contained"] == [CLINICIAN]
    with running(tmp_path / "data", shut) as one:
        for address in ("/Flag/holder", "/Flag?_id=holder", "/Flag/holder/_history", "/Flag/holder/_history/1"):
            answer = ask(one, "GET", address)
            assert answer.status_code == 200, answer.text
            assert "Okafor" not in answer.text
            assert "SUBSETTED" in answer.text
        for method, address, body in (
            ("PUT", "/Flag/holder", flag(id="holder")),  # would lose what is hidden
            ("POST", "/Flag", CONTAINING),
        ):
            refused = ask(one, method, address, body)
            assert refused.status_code == 403, refused.text
            assert "Flag.contained" in refused.text
