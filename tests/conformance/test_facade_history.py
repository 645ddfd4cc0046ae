"""Histories, page by page: what may be asked of one, what each page holds, and that it tells nothing of the hidden.

Source: https://hl7.org/fhir/R4/http.html#history; `facade.md` of the design, "Links"
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from httpx import Response

from gateway import loading
from tests.conformance.test_facade_patch import delete_directly, put_directly
from tests.conformance.test_facade_writes import ask, flag
from tests.running import Running, issues, running

Json = dict[str, Any]
ADDRESS = "/Flag/one/_history"
OWN, OTHER = {"reference": "Organization/RDZ"}, {"reference": "Organization/R0D"}
VERSIONS = 12
HIDDEN = (3, 4, 5, 9)
DELETED = (7, 10)
"""Of these the first is told, the version before it being seen; of the other, version 9, nobody sees."""
SEEN = ["12", "11", "8", "7", "6", "2", "1"]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, decisions: loading.Decisions) -> Iterator[Running]:
    """A flag of many versions, some of another organisation, and two deletions; and one that is another's."""
    with running(tmp_path_factory.mktemp("data"), decisions) as one:
        for number in range(1, VERSIONS + 1):
            if number in DELETED:
                delete_directly(one, "Flag/one")
            else:
                put_directly(one, version(number, OTHER if number in HIDDEN else OWN))
            time.sleep(0.003)  # else two versions could be of one moment
        put_directly(one, flag(id="hidden", author=OTHER))
        yield one


def version(number: int, author: Json, id_: str = "one") -> Json:
    """What no other version is: of the same again a server may make none."""
    return flag(id=id_, author=author, code={"text": f"version {number}"})


def told(answer: Response) -> list[str]:
    """The versions of a page, newest first."""
    assert answer.status_code == 200, answer.text
    return [entry["response"]["etag"].removeprefix('W/"').strip('"') for entry in answer.json().get("entry", ())]


def link(answer: Response, relation: str) -> str | None:
    links = {one["relation"]: one["url"] for one in answer.json()["link"]}
    return links[relation].removeprefix("http://localhost:8000") if relation in links else None


def moments(one: Running) -> dict[str, str]:
    found = ask(one, "GET", ADDRESS).json()["entry"]
    return {entry["response"]["etag"][3:-1]: entry["response"]["lastModified"] for entry in found}


def test_a_history_that_fits_one_page_says_how_many_there_are(filled: Running) -> None:
    answer = ask(filled, "GET", ADDRESS)
    assert told(answer) == SEEN
    assert answer.json()["total"] == len(SEEN)
    assert (link(answer, "self"), link(answer, "next")) == (ADDRESS, None)
    gone = next(entry for entry in answer.json()["entry"] if entry["response"]["etag"] == 'W/"7"')
    assert gone["request"]["method"] == "DELETE"
    assert "resource" not in gone


@pytest.mark.parametrize("count", [1, 2, 3, 6, 7, 100, 10**9])
def test_pages_hold_each_version_once_and_the_last_has_no_next(filled: Running, count: int) -> None:
    answer = ask(filled, "GET", f"{ADDRESS}?_count={count}")
    assert ("total" in answer.json()) == (count >= len(SEEN))
    found = told(answer)
    while (following := link(answer, "next")) is not None:
        assert len(told(answer)) == count
        answer = ask(filled, "GET", following)
        assert told(answer), "there was to be more"
        found += told(answer)
    assert found == SEEN


def test_what_is_written_between_two_pages_shifts_nothing(filled: Running) -> None:
    for number in range(1, 6):
        put_directly(filled, version(number, OWN, "shifting"))
    answer = ask(filled, "GET", "/Flag/shifting/_history?_count=2")
    found = told(answer)
    while (following := link(answer, "next")) is not None:
        number += 1
        put_directly(filled, version(number, OWN, "shifting"))
        answer = ask(filled, "GET", following)
        found += told(answer)
    assert found == ["5", "4", "3", "2", "1"]


def test_since_and_at_say_which_versions_come(filled: Running) -> None:
    when = moments(filled)

    def asked(**parameters: str) -> list[str]:
        return told(filled.http.get(ADDRESS, params={f"_{name}": text for name, text in parameters.items()}, headers={
            "Authorization": f"Bearer {filled.token('demo-writer')}", "purpose-of-use": "TREAT",
        }))  # fmt: skip

    assert asked(since=when["8"]) == ["12", "11", "8"]
    assert asked(since=when["8"], count="2") == ["12", "11"]
    # a deletion is told to who sees the version before it, which is too old to be told itself
    assert asked(since=when["7"]) == ["12", "11", "8", "7"]
    assert asked(since="2999-01-01T00:00:00Z") == []
    assert asked(at=when["6"]) == ["6"]
    assert asked(at=when["2"]) == ["2"]
    assert asked(at=when["7"]) == ["7"]
    assert asked(at="2999-01-01T00:00:00Z") == ["12"], "it stands still"
    assert asked(at="1999") == []
    assert asked(at=when["12"][:4]) == SEEN
    assert asked(at=when["12"][:4], since=when["11"]) == ["12", "11"]


def test_at_tells_nothing_of_a_version_that_is_hidden(filled: Running) -> None:
    hidden, plain = "of two authors", "of one author"
    flags = {hidden: "hiding", plain: "plain"}
    for id_ in flags.values():
        put_directly(filled, version(1, OWN, id_))
    time.sleep(0.05)
    put_directly(filled, version(2, OTHER, "hiding"))
    time.sleep(0.05)
    at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    time.sleep(0.05)
    for number in (3, 4):
        for id_ in flags.values():
            put_directly(filled, version(number, OWN, id_))
            time.sleep(0.003)
    found = {name: ask(filled, "GET", f"/Flag/{id_}/_history?_at={at}") for name, id_ in flags.items()}
    assert {name: told(answer) for name, answer in found.items()} == {hidden: ["1"], plain: ["1"]}
    # on a page of its own too, which begins behind what the page before it showed
    since = ask(filled, "GET", "/Flag/hiding/_history").json()["entry"][-1]["response"]["lastModified"]
    answer = ask(filled, "GET", f"/Flag/hiding/_history?_at={since[:4]}&_count=2")
    following = link(answer, "next")
    assert (told(answer), following is None) == (["4", "3"], False)
    assert told(ask(filled, "GET", str(following))) == ["1"]


REFUSED = [
    ("_count=0", "above 0"), ("_count=-1", "above 0"), ("_count=x", "above 0"), ("_since=x", "instant"),
    ("_at=x", "_at is a date"), ("_at=ge2020", "_at is a date"), ("_at=2020,2021", "_at is a date"),
    ("_at=eq2020", "_at is a date"), ("_count=1&_count=2", "once each"), ("_list=1", "_list"), ("_sort=_id", "_sort"),
    ("_page=x", "too old"), ("_page=x&_count=1", "send it alone"), ("_summary=count", "for searches"),
]  # fmt: skip


@pytest.mark.parametrize(("query", "word"), REFUSED)
def test_what_a_history_does_not_take_is_refused(filled: Running, query: str, word: str) -> None:
    refused = ask(filled, "GET", f"{ADDRESS}?{query}")
    assert (refused.status_code, word in refused.text) == (400, True), refused.text


def test_a_page_is_for_its_caller_its_resource_and_as_an_entry_of_a_batch_too(filled: Running) -> None:
    following = link(ask(filled, "GET", f"{ADDRESS}?_count=2"), "next")
    assert following is not None
    token = following.partition("?")[2]
    for address in (f"/Flag/hidden/_history?{token}", f"/Flag?{token}", f"/Flag/one?{token}"):
        assert ask(filled, "GET", address).status_code == 400
    for changed in ({"purpose": None}, {"principal": "demo-partner"}):
        assert ask(filled, "GET", following, **changed).status_code in {400, 403}
    entry = {"request": {"method": "GET", "url": following.removeprefix("/")}}
    batch = {"resourceType": "Bundle", "type": "batch", "entry": [entry]}
    (answered,) = ask(filled, "POST", "/", batch).json()["entry"]
    assert answered["resource"]["entry"] == ask(filled, "GET", following).json()["entry"]


def test_a_history_of_what_is_hidden_is_as_of_what_never_was(filled: Running) -> None:
    for query in ("", "?_count=1", "?_since=2999-01-01T00:00:00Z", "?_at=1999"):
        answers = [ask(filled, "GET", f"/Flag/{id_}/_history{query}") for id_ in ("hidden", "never1")]
        assert [answer.status_code for answer in answers] == [404, 404]
        assert issues(answers[0]) == issues(answers[1])


def test_a_history_of_many_upstream_pages_is_no_error(tmp_path: Path, decisions: loading.Decisions) -> None:
    with running(tmp_path, decisions) as one:
        for number in range(1, 130):
            put_directly(one, version(number, OTHER if number > 1 else OWN))
        answer = ask(one, "GET", f"{ADDRESS}?_count=1")
        assert (told(answer), link(answer, "next"), answer.json()["total"]) == (["1"], None, 1)
