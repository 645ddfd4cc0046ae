"""PATCH by JSON Patch, and DELETE, by the same rules as all that is written.

Source: https://hl7.org/fhir/R4/http.html#patch, #delete; RFC 6902; `rules-language.md` meaning 10 and 11
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from httpx import Response

from gateway import loading
from tests import rule_sets
from tests.conformance.test_facade_bundles import entry, send, statuses
from tests.conformance.test_facade_writes import ask, flag, stored
from tests.running import Running, issues, running

pytestmark = pytest.mark.any_record

Json = dict[str, Any]
PATCH = "application/json-patch+json"
R0D = {"reference": "Organization/R0D"}
RULES = """
permit T-P1 "Keepers of tasks see all but their notes"
  to search, read, history, create Task
  when caller has role flag-keeper
  allowing _id, status, identifier
  all rows
  hide Task.note
permit T-P2 "and change and delete them"
  to update, patch, delete Task
  when caller has role flag-keeper
  all rows
permit T-P3 "Keepers of basics see those of patients"
  to search, read, history Basic
  when caller has role flag-keeper
  allowing _id, code, identifier
  rows Basic where Basic.author is present
permit T-P4 "and write what they like"
  to create, update, patch, delete Basic
  when caller has role flag-keeper
  all rows
"""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> loading.Decisions:
    return rule_sets.with_more(tmp_path_factory.mktemp("patched") / "rules", repository, {"care-flags.rules": RULES})


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory, loaded: loading.Decisions) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("data"), loaded) as gateway:
        yield gateway


def patch(gateway: Running, address: str, *operations: Json, raw: bytes | None = None, **headers: str) -> Response:
    sent = json.dumps(operations).encode() if raw is None else raw
    return ask(gateway, "PATCH", address, sent, **{"Content-Type": PATCH, **headers})


def op(name: str, path: str, *value: Any, **more: Any) -> Json:
    return {"op": name, "path": path, **({"value": value[0]} if value else {}), **more}


INACTIVE = op("replace", "/status", "inactive")


def basic(gateway: Running, **more: Any) -> str:
    """The id of a Basic; one without an author may not be read."""
    made: Json = {"resourceType": "Basic", "code": {"text": "of a test"}, **more}
    answer = ask(gateway, "POST", "/Basic", made)
    assert answer.status_code == 201, answer.text
    return answer.headers["location"].split("/")[-3]


SEEN = {"author": {"reference": "Practitioner/one"}}

# --- patches ---------------------------------------------------------------------------------------------------------


def test_a_patch_makes_a_version_of_what_stands(one: Running) -> None:
    id_ = stored(one)
    read = ask(one, "GET", f"/Flag/{id_}").json()
    answer = patch(one, f"/Flag/{id_}", op("test", "/status", "active"), INACTIVE)
    assert (answer.status_code, answer.headers["etag"]) == (200, 'W/"2"'), answer.text
    again = ask(one, "GET", f"/Flag/{id_}").json()
    assert (again["meta"]["versionId"], again["meta"]["tag"]) == ("2", answer.json()["meta"]["tag"])
    assert {**read, "status": "inactive", "meta": {}} == {**again, "meta": {}} == {**answer.json(), "meta": {}}


def test_a_patch_that_only_asks_makes_no_version(one: Running) -> None:
    id_ = stored(one)
    read = ask(one, "GET", f"/Flag/{id_}")
    answer = patch(one, f"/Flag/{id_}", op("test", "/status", "active"), op("test", "/id", id_))
    assert (answer.status_code, answer.headers["etag"]) == (200, 'W/"1"'), answer.text
    assert answer.json() == read.json()
    assert ask(one, "GET", f"/Flag/{id_}").headers["etag"] == 'W/"1"'
    wrong = patch(one, f"/Flag/{id_}", op("test", "/status", "inactive"))
    assert (wrong.status_code, issues(wrong)[0]["code"]) == (409, "conflict")
    assert patch(one, f"/Flag/{id_}", op("test", "/status", "active"), If_Match='W/"7"').status_code == 412


def test_a_patch_that_only_asks_holds_a_transaction_off(one: Running) -> None:
    asked, changed = stored(one), stored(one)
    for wanted, statuses_, version in (("inactive", 409, "1"), ("active", 200, "2")):
        answer = send(
            one, "transaction",
            entry("PATCH", f"Flag/{asked}", binary(op("test", "/status", wanted))),
            entry("PATCH", f"Flag/{changed}", binary(INACTIVE)),
        )  # fmt: skip
        assert answer.status_code == statuses_, answer.text
        assert ask(one, "GET", f"/Flag/{changed}").headers["etag"] == f'W/"{version}"'
        assert ask(one, "GET", f"/Flag/{asked}").headers["etag"] == 'W/"1"'


NOT_APPLIED: dict[str, tuple[tuple[Json, ...], int, str]] = {
    "a test that does not hold": ((op("test", "/status", "inactive"),), 409, "operation 1: test"),
    "no such place": ((INACTIVE, op("remove", "/category")), 409, "operation 2"),
    "no such member of a list": ((op("replace", "/identifier/1", {}),), 409, "operation 1"),
    "a move into itself": ((op("move", "/code/text", **{"from": "/code"}),), 409, "operation 1"),
    "what is no R4": ((op("add", "/nonsense", 1),), 400, "nonsense"),
    "an unknown code": ((op("replace", "/status", "activ"),), 400, "activ"),
    "what must be there": ((op("remove", "/code"),), 400, "code"),
    "another id": ((op("replace", "/id", "other"),), 400, "Flag.id"),
    "no id": ((op("remove", "/id"),), 400, "Flag.id"),
    "another type": ((op("replace", "/resourceType", "Patient"),), 400, "Patient"),
    "all of it": ((op("replace", "", []),), 409, "no resource"),
    "a check": ((op("remove", "/period"),), 422, "Flag.period.start"),
    "rows of what would stand": ((op("replace", "/author", R0D),), 403, "CF-P1"),
    "no author": ((op("remove", "/author"),), 403, "CF-P1"),
    "a reference to no entry": (
        (op("replace", "/subject/reference", "urn:uuid:6f1cf26a-4b15-4f8a-9f3c-0a5f2c1b7c11"),), 400, "fullUrl"
    ),
    "the mark of a part": ((op("add", "/meta/tag/-", {"code": "SUBSETTED"}),), 422, "SUBSETTED"),
    "what fills the memory": (
        (op("add", "/extension", []), *[op("copy", "/extension/-", **{"from": "/extension"})] * 60), 409, "too large"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NOT_APPLIED)
def test_a_patch_is_applied_whole_and_judged_as_an_update_or_not_at_all(one: Running, name: str) -> None:
    operations, status, word = NOT_APPLIED[name]
    id_ = stored(one)
    refused = patch(one, f"/Flag/{id_}", *operations)
    assert refused.status_code == status, refused.text
    assert word in refused.text
    assert ask(one, "GET", f"/Flag/{id_}").headers["etag"] == 'W/"1"'


NO_PATCH: dict[str, tuple[bytes, str, int, str]] = {
    "not JSON": (b"[", PATCH, 400, "line 1"),
    "an object": (b"{}", PATCH, 400, "array"),
    "no operation": (b'[{"path":"/status"}]', PATCH, 400, "operation 1"),
    "an unknown operation": (b'[{"op":"append","path":"/status","value":"x"}]', PATCH, 400, "operation 1"),
    "no value": (b'[{"op":"add","path":"/status"}]', PATCH, 400, "value"),
    "no pointer": (b'[{"op":"remove","path":"status"}]', PATCH, 400, "JSON Pointer"),
    "a member twice": (b'[{"op":"remove","op":"test","path":"/status"}]', PATCH, 400, "twice"),
    "a resource": (b'{"resourceType":"Flag"}', "application/fhir+json", 415, PATCH),
    "FHIRPath Patch": (b'{"resourceType":"Parameters"}', "application/fhir+json", 415, "FHIRPath"),
    "XML Patch": (b"<diff/>", "application/xml-patch+xml", 415, PATCH),
    "a merge patch": (b"{}", "application/merge-patch+json", 415, PATCH),
}


@pytest.mark.parametrize("name", NO_PATCH)
def test_what_is_no_json_patch_is_refused(one: Running, name: str) -> None:
    raw, media_type, status, word = NO_PATCH[name]
    refused = patch(one, f"/Flag/{stored(one)}", raw=raw, **{"Content-Type": media_type})
    assert refused.status_code == status, refused.text
    assert word in refused.text
    assert (refused.headers.get("accept-patch") == PATCH) is (status == 415)


@pytest.mark.parametrize(("tag", "status"), [('W/"1"', 200), ("*", 200), ('W/"2"', 412), ("", 400)])
def test_if_match_holds_the_version_of_a_patch_and_a_delete(one: Running, tag: str, status: int) -> None:
    id_ = stored(one)
    gone = {200: 204}.get(status, status)
    assert ask(one, "DELETE", f"/Flag/{stored(one)}", If_Match=tag).status_code == gone
    answer = patch(one, f"/Flag/{id_}", INACTIVE, If_Match=tag)
    assert answer.status_code == status, answer.text


def test_the_version_is_asked_before_the_patch(one: Running) -> None:
    """A patch for another version would fail by chance, or be applied by chance."""
    answer = patch(one, f"/Flag/{stored(one)}", op("test", "/status", "inactive"), If_Match='W/"7"')
    assert answer.status_code == 412


def test_a_site_that_wants_versions_wants_them_of_patches(tmp_path: Path, loaded: loading.Decisions) -> None:
    with running(tmp_path, loaded, versioned_updates=True) as gateway:
        id_ = stored(gateway)
        assert patch(gateway, f"/Flag/{id_}", INACTIVE).status_code == 428
        assert patch(gateway, f"/Flag/{id_}", INACTIVE, If_Match='W/"1"').status_code == 200


def test_a_narrative_that_a_patch_leaves_goes_and_one_that_it_brings_stays(one: Running) -> None:
    said = {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">Active</div>'}
    id_ = stored(one, flag(text=said))
    assert "text" not in patch(one, f"/Flag/{id_}", INACTIVE).json()
    again = patch(one, f"/Flag/{id_}", op("replace", "/status", "active"), op("add", "/text", said))
    assert again.json()["text"] == said


def test_a_patch_of_what_a_search_finds(one: Running) -> None:
    id_ = stored(one, flag(identifier=[{"value": "patched-by-search"}]))
    answer = patch(one, "/Flag?identifier=patched-by-search", INACTIVE)
    assert (answer.status_code, answer.json()["id"], answer.json()["status"]) == (200, id_, "inactive")
    assert patch(one, "/Flag?identifier=none-such", INACTIVE).status_code == 404
    assert patch(one, "/Flag?encounter=1", INACTIVE).status_code == 400
    assert patch(one, "/Flag?date=2026", INACTIVE).status_code == 403
    assert patch(one, "/Flag?", INACTIVE).status_code == 412
    stored(one, flag(identifier=[{"value": "patched-by-search"}]))
    assert patch(one, "/Flag?identifier=patched-by-search", INACTIVE).status_code == 412


# --- what a patch must not tell, or change ---------------------------------------------------------------------------


def test_an_element_that_is_hidden_is_neither_asked_by_test_nor_changed(one: Running) -> None:
    task: Json = {
        "resourceType": "Task", "id": "hidden-note", "status": "draft", "intent": "plan",
        "note": [{"text": "not for them"}],
    }  # fmt: skip
    put_directly(one, task)
    assert "note" not in ask(one, "GET", "/Task/hidden-note").json()
    answers = {
        patch(one, "/Task/hidden-note", *operations).text.split('"issue"')[1]
        for operations in (
            [op("test", "/note/0/text", "not for them")], [op("test", "/note/0/text", "something else")],
            [op("copy", "/description", **{"from": "/note/0/text"})], [op("remove", "/note")],
            [op("move", "/description", **{"from": "/note/0/text"})], [op("replace", "/status", "ready")],
            [op("add", "/note", [])], [op("remove", "/nowhere")],
        )
    }  # fmt: skip
    assert len(answers) == 1, "whatever is asked, the answer is the same"
    assert "Task.note" in answers.pop()
    refused = ask(one, "DELETE", "/Task/hidden-note")
    assert (refused.status_code, "Task.note" in refused.text) == (403, True)


def test_what_may_not_be_seen_is_patched_and_deleted_as_what_is_not_there(one: Running) -> None:
    hidden = basic(one)
    assert ask(one, "GET", f"/Basic/{hidden}").status_code == 404
    for method in ("PATCH", "DELETE"):
        for headers in ({}, {"If-Match": 'W/"1"'}, {"If-Match": 'W/"2"'}, {"If-Match": "*"}):
            sent = {"Content-Type": PATCH, **headers} if method == "PATCH" else headers
            body = json.dumps([op("test", "/code/text", "of a test")]).encode() if method == "PATCH" else None
            told = {
                address: ask(one, method, address, body, **sent)
                for address in (f"/Basic/{hidden}", "/Basic/there-is-none")
            }
            assert {answer.status_code for answer in told.values()} == {404}
            words = {answer.text.split('"issue"')[1] for answer in told.values()}
            assert len(words) == 1
    assert ask(one, "DELETE", f"/Basic?_id={hidden}").status_code == 204
    assert ask(one, "DELETE", "/Basic?_id=there-is-none").status_code == 204
    assert read_directly(one, f"Basic/{hidden}")["resourceType"] == "Basic"


def test_who_may_not_patch_or_delete_is_refused_before_anything_is_looked_at(one: Running) -> None:
    id_ = stored(one)
    for principal in ("demo-partner",):
        for address in (f"/Flag/{id_}", "/Flag/there-is-none", "/Flag?identifier=F-1"):
            refused = ask(one, "DELETE", address, principal=principal)
            assert (refused.status_code, "flag-keeper" in refused.text) == (403, True)
            refused = ask(one, "PATCH", address, b"[", principal=principal, **{"Content-Type": PATCH})
            assert (refused.status_code, "flag-keeper" in refused.text) == (403, True)
    for address in ("/Patient/1", "/Patient?_id=1"):
        assert "no rule lets anyone delete Patient" in ask(one, "DELETE", address).text


# --- deletes ---------------------------------------------------------------------------------------------------------


def test_a_deleted_resource_is_gone_to_those_who_could_see_it_and_never_was_to_others(one: Running) -> None:
    seen, hidden = basic(one, **SEEN), basic(one)
    assert ask(one, "DELETE", f"/Basic/{seen}").status_code == 204
    delete_directly(one, f"Basic/{hidden}")
    gone = ask(one, "GET", f"/Basic/{seen}")
    assert (gone.status_code, issues(gone)[0]["code"]) == (410, "deleted")
    none = ask(one, "GET", "/Basic/there-is-none")
    unseen = ask(one, "GET", f"/Basic/{hidden}")
    assert (unseen.status_code, issues(unseen)) == (404, issues(none))
    assert ask(one, "GET", f"/Basic?_id={seen}").json()["total"] == 0
    # deleting again changes nothing, and tells nothing to who could not see it
    assert ask(one, "DELETE", f"/Basic/{seen}").status_code == 204
    assert ask(one, "DELETE", f"/Basic/{hidden}").status_code == 404
    assert patch(one, f"/Basic/{seen}", op("remove", "/author")).status_code == 404
    assert [e["response"]["status"][:3] for e in send(
        one, "batch", entry("GET", f"Basic/{seen}"), entry("GET", f"Basic/{hidden}"), entry("DELETE", f"Basic/{seen}"),
        entry("DELETE", f"Basic/{hidden}"),
    ).json()["entry"]] == ["410", "404", "204", "404"]  # fmt: skip


def test_a_deletion_is_in_the_history_of_who_sees_the_version_before_it(one: Running) -> None:
    id_ = basic(one, **SEEN)
    unseen = {"resourceType": "Basic", "id": id_, "code": {"text": "without an author"}}
    assert ask(one, "DELETE", f"/Basic/{id_}").status_code == 204
    told = ask(one, "GET", f"/Basic/{id_}/_history").json()
    assert [(e["request"]["method"], "resource" in e) for e in told["entry"]] == [("DELETE", False), ("PUT", True)]
    assert told["entry"][0]["response"]["status"].startswith("204")
    assert told["total"] == 2
    put_directly(one, unseen)
    delete_directly(one, f"Basic/{id_}")
    assert ask(one, "GET", f"/Basic/{id_}/_history").json()["total"] == 2, "what came after is not its to see"
    assert ask(one, "GET", f"/Basic/{id_}").status_code == 404
    assert [e["request"]["method"] for e in ask(one, "GET", f"/Basic/{id_}/_history").json()["entry"]] == [
        "DELETE",
        "PUT",
    ]


def test_an_id_whose_resource_was_deleted_is_written_anew_by_who_could_see_it_alone(one: Running) -> None:
    """The number of the version would tell others that something was there."""
    seen, hidden = basic(one, **SEEN), basic(one)
    assert ask(one, "DELETE", f"/Basic/{seen}").status_code == 204
    delete_directly(one, f"Basic/{hidden}")
    made = {"resourceType": "Basic", "code": {"text": "anew"}, **SEEN}
    again = ask(one, "PUT", f"/Basic/{seen}", {**made, "id": seen})
    assert (again.status_code, again.headers["etag"]) == (201, 'W/"3"'), again.text
    assert ask(one, "PUT", f"/Basic/{hidden}", {**made, "id": hidden}).status_code == 404
    assert ask(one, "PUT", "/Basic?identifier=none-such", {**made, "id": hidden}).status_code == 404
    assert ask(one, "PUT", "/Basic/never-was", {**made, "id": "never-was"}).status_code == 201


def test_the_one_that_a_search_finds_is_deleted_and_never_one_of_several(one: Running) -> None:
    first = stored(one, flag(identifier=[{"value": "deleted-by-search"}]))
    second = stored(one, flag(identifier=[{"value": "deleted-by-search"}]))
    assert ask(one, "DELETE", "/Flag?identifier=deleted-by-search").status_code == 412
    assert ask(one, "DELETE", "/Flag?").status_code == 412
    assert ask(one, "DELETE", "/Flag?_count=1").status_code == 412
    assert ask(one, "DELETE", "/Flag?date=2026").status_code == 403
    assert ask(one, "DELETE", f"/Flag?_id={first}").status_code == 204
    assert ask(one, "GET", f"/Flag/{first}").status_code == 410
    assert ask(one, "DELETE", "/Flag?identifier=deleted-by-search", If_Match='W/"7"').status_code == 412
    assert ask(one, "DELETE", "/Flag?identifier=deleted-by-search").status_code == 204
    assert ask(one, "GET", f"/Flag/{second}").status_code == 410


@pytest.mark.parametrize(("prefer", "status"), [("return=minimal", 204), ("return=OperationOutcome", 200)])
def test_prefer_says_whether_a_delete_is_told_in_words(one: Running, prefer: str, status: int) -> None:
    id_ = stored(one)
    for words in ("deleted", "it was deleted already"):
        answer = ask(one, "DELETE", f"/Flag/{id_}", Prefer=prefer)
        assert answer.status_code == status
        assert not answer.content if status == 204 else issues(answer)[0]["diagnostics"] == words


@pytest.mark.parametrize(("method", "header"), [("DELETE", "If-None-Exist"), ("PATCH", "If-None-Exist")])
def test_a_condition_of_another_write_is_refused(one: Running, method: str, header: str) -> None:
    sent = {header: "_id=1", **({"Content-Type": PATCH} if method == "PATCH" else {})}
    body = json.dumps([INACTIVE]).encode() if method == "PATCH" else None
    refused = ask(one, method, f"/Flag/{stored(one)}", body, **sent)
    assert (refused.status_code, header in refused.text) == (400, True)


def test_a_header_that_is_sent_twice_holds_nothing_off_so_it_is_refused(one: Running) -> None:
    id_ = stored(one)
    headers = [
        ("Authorization", f"Bearer {one.token('demo-writer')}"), ("purpose-of-use", "TREAT"), ("If-Match", 'W/"1"'),
        ("If-Match", "*"),
    ]  # fmt: skip
    assert one.http.request("DELETE", f"/Flag/{id_}", headers=headers).status_code == 400
    twice = [*headers[:3], ("Content-Type", PATCH), ("Content-Type", "application/fhir+json")]
    assert one.http.request("PATCH", f"/Flag/{id_}", headers=twice, content=b"[]").status_code == 415


# --- in Bundles ------------------------------------------------------------------------------------------------------


def also(reference: str) -> list[Json]:
    return [{"url": "urn:example:also", "valueReference": {"reference": reference}}]


def binary(*operations: Json, media_type: str = PATCH) -> Json:
    data = base64.b64encode(json.dumps(operations).encode()).decode()
    return {"resourceType": "Binary", "contentType": media_type, "data": data}


def test_a_transaction_patches_deletes_and_writes_together_or_not_at_all(one: Running) -> None:
    first, second = stored(one), stored(one)
    new = "urn:uuid:0b6f1b0e-7a53-4c6f-9c39-3f6f7f3c6a03"
    entries = [
        entry("POST", "Flag", flag(), new),
        entry("PATCH", f"Flag/{first}", binary(op("add", "/extension", also(new))), ifMatch='W/"1"'),
        entry("DELETE", f"Flag/{second}", ifMatch='W/"1"'),
    ]
    refused = send(one, "transaction", *entries, entry("DELETE", "Flag/there-is-none"))
    assert refused.status_code == 404, refused.text
    assert "Bundle.entry[3]" in refused.text
    assert ask(one, "GET", f"/Flag/{second}").status_code == 200
    answer = send(one, "transaction", *entries, Prefer="return=representation")
    assert statuses(answer) == ["201", "200", "204"], answer.text
    made, changed, gone = answer.json()["entry"]
    assert changed["resource"]["extension"] == also(f"Flag/{made['resource']['id']}")
    assert "resource" not in gone
    assert ask(one, "GET", f"/Flag/{second}").status_code == 410


@pytest.mark.parametrize(
    ("sent", "status", "word"),
    [
        (entry("PATCH", "Flag/x", binary(INACTIVE, media_type="application/fhir+json")), "415", PATCH),
        (entry("PATCH", "Flag/x", {"resourceType": "Parameters"}), "415", "FHIRPath"),
        (entry("PATCH", "Flag/x", {"resourceType": "Binary", "contentType": PATCH, "data": "%"}), "400", "Base64"),
        (entry("PATCH", "Flag/x", {"resourceType": "Binary", "contentType": PATCH}), "400", "patch"),
        (entry("PATCH", "Flag/x"), "400", "resource"),
        (entry("PATCH", "Flag", binary(INACTIVE)), "400", "Type/id"),
        (entry("DELETE", "Flag"), "400", "Type/id"),
        (entry("DELETE", "Flag/x/_history/1"), "400", "Type/id"),
        (entry("DELETE", "Flag/x", flag()), "400", "no resource"),
        (entry("DELETE", "Flag/x"), "404", "no such Flag"),
        (entry("DELETE", "Flag?date=2026"), "403", "CF-P1"),
        (entry("PATCH", "Flag/x", binary(INACTIVE)), "404", "no such Flag"),
        (entry("HEAD", "Flag/x"), "405", "PATCH, DELETE"),
    ],
)
def test_entries_of_a_batch_are_refused_as_alone(one: Running, sent: Json, status: str, word: str) -> None:
    answer = send(one, "batch", sent)
    assert statuses(answer) == [status], answer.text
    assert word in answer.text


def test_a_resource_is_changed_once_in_a_transaction(one: Running) -> None:
    id_ = stored(one)
    for other in (entry("PATCH", f"Flag/{id_}", binary(INACTIVE)), entry("PUT", f"Flag/{id_}", flag(id=id_))):
        refused = send(one, "transaction", entry("DELETE", f"Flag/{id_}"), other)
        assert (refused.status_code, "once only" in refused.text) == (400, True)
    two = [entry("DELETE", f"Flag?_id={id_}"), entry("PATCH", f"Flag/{id_}", binary(INACTIVE))]
    assert send(one, "transaction", *two).status_code == 400


# --- addresses -------------------------------------------------------------------------------------------------------


ALLOWED = {
    "/Flag": "DELETE, GET, HEAD, PATCH, POST, PUT",
    "/Flag/one": "DELETE, GET, HEAD, PATCH, PUT",
    "/Flag/one/_history": "GET, HEAD",
    "/Flag/_search": "POST",
    "/": "POST",
    "/$export": "GET, HEAD, POST",
    "/Flag/$validate": "POST",
}


@pytest.mark.parametrize("address", ALLOWED)
def test_what_is_not_offered_is_405_with_what_is_and_options_says_so(one: Running, address: str) -> None:
    other = next(name for name in ("TRACE", "DELETE", "PATCH") if name not in ALLOWED[address])
    answer = ask(one, other, address)
    assert (answer.status_code, answer.headers["allow"]) == (405, ALLOWED[address])
    assert issues(answer)
    told = one.http.options(address)
    assert (told.status_code, told.headers["allow"]) == (204, f"{ALLOWED[address]}, OPTIONS")
    assert ("accept-patch" in told.headers) is ("PATCH" in ALLOWED[address])


# --- past the gateway ------------------------------------------------------------------------------------------------


def put_directly(one: Running, resource: Json) -> None:
    """Write to the record itself, as something else than the gateway may."""
    entries = [
        {"resource": resource, "request": {"method": "PUT", "url": f"{resource['resourceType']}/{resource['id']}"}}
    ]
    transact(one, entries)


def delete_directly(one: Running, name: str) -> None:
    transact(one, [{"request": {"method": "DELETE", "url": name}}])


def transact(one: Running, entries: list[Json]) -> None:
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    record = one.http.app.state.reload.gateway.targets["record"]  # type: ignore[attr-defined]  # a Starlette
    answer = one.http.portal.call(record.transact, json.dumps(bundle).encode())  # type: ignore[union-attr]
    assert answer.status == 200, answer.body


def read_directly(one: Running, name: str) -> Json:
    record = one.http.app.state.reload.gateway.targets["record"]  # type: ignore[attr-defined]  # a Starlette
    answer = one.http.portal.call(record.read, *name.split("/"))  # type: ignore[union-attr]
    return dict(json.loads(answer.body))
