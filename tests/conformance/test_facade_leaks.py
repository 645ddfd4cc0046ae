"""Two stores that differ only in what a caller may not see are the same to it: status, headers, body, order, links.

The one exception is a write to a hidden id that stands: 404, where an absent one could be created.
Source: `facade.md` of the design, "Narrow, then check again"
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from httpx import Response

from gateway import loading
from tests import rule_sets
from tests.conformance.test_facade_bundles import bundle, entry
from tests.conformance.test_facade_writes import ask, flag
from tests.running import NHS_NUMBER, Running, message, running

pytestmark = pytest.mark.any_record

Json = dict[str, Any]
OTHER = """
principal other-writer "Writes for another"
  connects as r0d
  roles flag-keeper
  may assert purpose TREAT
"""
HIDING = """
permit CF-P2 "Sees a part"
  to read Flag
  when caller has role commissioner
  all rows
  hide Flag.code
permit CF-P3 "Writes"
  to create, update Flag
  when caller has role commissioner
  all rows
"""
LESS = "to search, read, history, create, update, patch,", "to search, read, history, update, patch,"
OWN = {"v1": "2026-01-02", "v2": "2026-01-04", "v3": "2026-01-06"}
HIDDEN = {"h0": "2026-01-01", "h1": "2026-01-03", "h2": "2026-01-05", "h3": "2026-01-07"}


def of(name: str, start: str, author: str) -> Json:
    return flag(
        id=name, period={"start": start}, author={"reference": f"Organization/{author}"},
        identifier=[{"system": "urn:example:flags", "value": name}],
    )  # fmt: skip


@dataclass(frozen=True)
class Worlds:
    """A store without what is hidden, and one with it, each behind a gateway."""

    without: Running
    beside: Running


def world(one: Running, *, hidden: bool) -> Running:
    assert one.send(message()).status_code == 200  # a record may find nothing by a reference to what it doesn't hold
    every = {**OWN, **HIDDEN} if hidden else OWN
    for name, start in sorted(every.items(), key=lambda item: item[1]):
        writer, author = ("demo-writer", "RDZ") if name in OWN else ("other-writer", "R0D")
        made = ask(one, "PUT", f"/Flag/{name}", of(name, start, author), principal=writer)
        assert made.status_code == 201, made.text
    return one


def rules(folder: Path, repository: Path, text: str = "", new: str = "") -> loading.Decisions:
    folder.mkdir()
    # without the tests beside the rules, which speak of the rules as they are
    for file in (one for one in (repository / "rules").glob("*.rules") if not one.name.endswith(".test.rules")):
        words = file.read_text("utf-8").replace(text, new) if text else file.read_text("utf-8")
        (folder / file.name).write_text(words + (OTHER if file.name == "registry.rules" else ""), "utf-8")
    return rule_sets.decisions(folder, repository / "specs")


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Iterator[Worlds]:
    folder = tmp_path_factory.mktemp("worlds")
    loaded = rules(folder / "rules", repository)
    with running(folder / "without", loaded) as without, running(folder / "beside", loaded) as beside:
        yield Worlds(world(without, hidden=False), world(beside, hidden=True))


def plain(answer: Response) -> tuple[int, dict[str, str], Any]:
    """An answer without what differs each time: clocks, random ids, encrypted tokens."""
    text = re.sub(r"_page=[^\"&]+", "_page=TOKEN", answer.text)
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}(?:#\w+)?", "UUID", text)  # HAPI puts its own id behind meta.source
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+(?:Z|\+00:00)", "INSTANT", text)
    text = re.sub(r"\w{3}, \d\d \w{3} \d{4} [\d:]+ GMT", "DATE", text)
    kept = {name: answer.headers[name] for name in ("etag", "content-type") if name in answer.headers}
    located = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "UUID", answer.headers.get("location", ""))
    return answer.status_code, {**kept, "location": located}, json.loads(text) if text else None


def pages(one: Running, address: str) -> list[Any]:
    found = []
    while address:
        answer = ask(one, "GET", address)
        found.append(plain(answer))
        links = {link["relation"]: link["url"] for link in answer.json().get("link", [])}
        address = links.get("next", "").removeprefix("http://localhost:8000")
    return found


PATIENT = f"/Flag?patient={NHS_NUMBER}"
ASKED = [
    PATIENT, f"{PATIENT}&_count=1", f"{PATIENT}&_count=2", f"{PATIENT}&_count=0", f"{PATIENT}&_summary=count",
    f"{PATIENT}&_total=accurate&_count=1", f"{PATIENT}&_total=none", f"{PATIENT}&_total=estimate&_count=2",
    f"{PATIENT}&_sort=date", f"{PATIENT}&_sort=-date&_count=2", f"{PATIENT}&_sort=-_lastUpdated&_count=1",
    f"{PATIENT}&_elements=status", f"{PATIENT}&_summary=true", f"{PATIENT}&_summary=data&_count=2",
    f"{PATIENT}&date=ge2026-01-03", f"{PATIENT}&date=lt2026-01-02", f"{PATIENT}&_lastUpdated=ge2020-01-01",
    "/Flag?_id=h1", "/Flag?_id=h1,v1", "/Flag?_id=h1&_total=accurate", "/Flag?_id=h1&_summary=count",
    "/Flag?identifier=urn:example:flags|h1", "/Flag?identifier=h1,v2&_sort=_id", "/Flag/h1", "/Flag/h1/_history",
    "/Flag/h1/_history/1", "/Flag/h1/_history/2", "/Flag/h1?_elements=status", "/Flag/v1", "/Flag/v1/_history",
]  # fmt: skip


@pytest.mark.parametrize("address", ASKED)
def test_what_is_hidden_changes_no_answer(worlds: Worlds, address: str) -> None:
    assert pages(worlds.without, address) == pages(worlds.beside, address)


REFUSED = [
    f"{PATIENT}&_include=Flag:author", f"{PATIENT}&_include:iterate=Flag:author", f"{PATIENT}&_include=*",
    f"{PATIENT}&_revinclude=Provenance:target", f"{PATIENT}&_has:Provenance:target:agent=R0D",
    f"{PATIENT}&author.name=Dorset", f"{PATIENT}&author:Organization.name=Dorset", f"{PATIENT}&_filter=id eq h1",
    f"{PATIENT}&_list=h1", f"{PATIENT}&_contained=true", f"{PATIENT}&_containedType=container",
    f"{PATIENT}&_query=everything", f"{PATIENT}&_type=Flag", f"{PATIENT}&_text=loop", f"{PATIENT}&_content=loop",
    f"{PATIENT}&author=Organization/R0D", f"{PATIENT}&_sort=author", f"{PATIENT}&_source=urn:x", f"{PATIENT}&_tag=R0D",
    "/Flag", "/Flag?_id:not=v1", "/Flag?_id:missing=false", "/Flag/h1?_include=Flag:author",
    "/Flag/h1/_history?_count=1", "/Flag/_history", "/Flag/h1/$everything", "/Flag/$lastn?patient=1",
]  # fmt: skip


@pytest.mark.parametrize("address", REFUSED)
def test_what_the_rules_do_not_judge_is_refused_whatever_there_is(worlds: Worlds, address: str) -> None:
    one, other = (ask(each, "GET", address) for each in (worlds.without, worlds.beside))
    assert 400 <= one.status_code < 500, one.text
    assert plain(one) == plain(other)


@pytest.mark.parametrize("name", ["_include=Flag:author", "_has:Provenance:target:agent=x", "author.name=x", "_list=1"])
def test_a_refusal_says_what_may_be_used(worlds: Worlds, name: str) -> None:
    refused = ask(worlds.beside, "GET", f"{PATIENT}&{name}")
    # 403 where somebody else may
    assert refused.status_code == (403 if "Flag:author" in name else 400)
    assert "you may search Flag by _id, _lastUpdated, date, identifier, patient;" in refused.text


WRITES: list[tuple[str, str, Json | None, dict[str, str]]] = [
    ("POST", "/Flag", of("h1", "2026-01-03", "RDZ"), {"If-None-Exist": "identifier=h1"}),
    ("PUT", "/Flag?identifier=h2", flag(identifier=[{"value": "h2"}]), {}),
    ("PUT", "/Flag/h1", of("h1", "2026-01-03", "RDZ"), {"If-Match": 'W/"1"'}),
    ("PUT", "/Flag/h1", of("h1", "2026-01-03", "RDZ"), {"If-Match": "*"}),
    ("PUT", "/Flag/h1", of("h1", "2026-01-03", "R0D"), {"If-Match": 'W/"7"'}),
    ("POST", "/", bundle("batch", entry("GET", "Flag?identifier=h3"), entry("GET", "Flag/h3/_history")), {}),
    ("POST", "/", bundle("transaction", entry("PUT", "Flag/h3", of("h3", "2026-01-07", "RDZ"), ifMatch="*")), {}),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(WRITES)))
def test_a_write_tells_nothing_of_what_is_hidden(worlds: Worlds, number: int) -> None:
    method, address, body, headers = WRITES[number]
    one, other = (ask(each, method, address, body, **headers) for each in (worlds.without, worlds.beside))
    assert plain(one) == plain(other)


def test_a_write_to_a_hidden_id_is_the_one_exception_and_changes_nothing(worlds: Worlds) -> None:
    body = of("h0", "2026-02-01", "RDZ")
    refused = ask(worlds.beside, "PUT", "/Flag/h0", body)
    absent = ask(worlds.beside, "GET", "/Flag/none")
    assert (refused.status_code, plain(refused)[2]) == (404, plain(absent)[2])
    still = ask(worlds.beside, "GET", "/Flag/h0", principal="other-writer")
    assert (still.headers["etag"], still.json()["author"]["reference"]) == ('W/"1"', "Organization/R0D")


def test_without_the_right_to_create_there_is_no_exception(tmp_path: Path, repository: Path) -> None:
    """Hidden and absent look alike to who may only update."""
    loaded = rules(tmp_path / "rules", repository)
    less = rules(tmp_path / "less", repository, *LESS)
    with running(tmp_path / "data", loaded) as one:
        world(one, hidden=True)
    with running(tmp_path / "data", less) as one:
        answers = [
            plain(ask(one, "PUT", f"/Flag/{name}", of(name, "2026-01-01", "RDZ"), **headers))
            for name in ("h1", "absent")
            for headers in ({}, {"If-Match": 'W/"1"'}, {"If-None-Match": "*"})
        ]
        assert [answer[0] for answer in answers] == [404] * 6
        assert all(answer == answers[0] for answer in answers)
        assert ask(one, "PUT", "/Flag/v1", of("v1", "2026-01-01", "RDZ")).status_code == 200


def test_a_caller_that_sees_a_part_may_not_replace_the_whole(tmp_path: Path, repository: Path) -> None:
    """A hidden element can't be written: `rules-language.md` meaning 11."""
    folder = tmp_path / "rules"
    folder.mkdir()
    for file in (one for one in (repository / "rules").glob("*.rules") if not one.name.endswith(".test.rules")):
        text = file.read_text("utf-8")
        if file.name == "care-flags.rules":
            text += HIDING
        if file.name == "registry.rules":
            text += OTHER.replace("flag-keeper", "commissioner")
        (folder / file.name).write_text(text, "utf-8")
    with running(tmp_path / "data", rule_sets.decisions(folder, repository / "specs")) as one:
        assert ask(one, "PUT", "/Flag/v1", of("v1", "2026-01-01", "RDZ")).status_code == 201
        writes = [("PUT", "/Flag/v1", of("v1", "2026-01-01", "R0D")), ("POST", "/Flag", flag())]
        for method, address, body in (*writes, ("PUT", "/Flag/n", flag(id="n"))):
            refused = ask(one, method, address, body, principal="other-writer")
            assert refused.status_code == 403, refused.text
            assert "Flag.code" in refused.text
        assert ask(one, "GET", "/Flag/v1").headers["etag"] == 'W/"1"'
