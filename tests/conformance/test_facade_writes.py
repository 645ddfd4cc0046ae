"""What a partner may write, through the application with the real store behind it.

Source: `http-interface.md` "The facade", `rules-language.md` meaning 7, 10 and 11;
https://hl7.org/fhir/R4/http.html#create, #update, #ccreate, #cond-update, #concurrency
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from httpx import Response

from gateway import loading
from tests.running import NHS_NUMBER, Running, issues, running

pytestmark = pytest.mark.any_record

Json = dict[str, Any]
JSON = {"Content-Type": "application/fhir+json"}
FLAG: Json = {
    "resourceType": "Flag",
    "identifier": [{"system": "urn:example:flags", "value": "F-1"}],
    "status": "active",
    "code": {"text": "Needs a hearing loop"},
    "subject": {"reference": f"Patient/{NHS_NUMBER}"},
    "period": {"start": "2026-01-01"},
    "author": {"reference": "Organization/RDZ"},
}


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory, decisions: loading.Decisions) -> Iterator[Running]:
    """One gateway for the cases that store nothing."""
    with running(tmp_path_factory.mktemp("still"), decisions) as one:
        yield one


@pytest.fixture(scope="module")
def shared_one(tmp_path_factory: pytest.TempPathFactory, decisions: loading.Decisions) -> Iterator[Running]:
    """One gateway for the cases that store a flag of their own."""
    with running(tmp_path_factory.mktemp("shared"), decisions) as one:
        yield one


def flag(**changed: Any) -> Json:
    """A flag of the writer's organisation; None leaves an element out."""
    return {name: value for name, value in {**FLAG, **changed}.items() if value is not None}


def ask(
    one: Running, method: str, address: str, body: Json | bytes | None = None, *, principal: str = "demo-writer",
    purpose: str | None = "TREAT", **headers: str,
) -> Response:  # fmt: skip
    """Ask as a principal; header names with underscores for hyphens."""
    sent = {"Authorization": f"Bearer {one.token(principal)}", **(JSON if body is not None else {})}
    if purpose is not None:
        sent["purpose-of-use"] = purpose
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    answer: Response = one.http.request(method, address, content=raw, headers=sent)
    return answer


def stored(one: Running, body: Json | None = None) -> str:
    """The id of a flag that was created."""
    answer = ask(one, "POST", "/Flag", body or flag())
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def test_a_create_answers_with_what_was_stored_and_where(gateway: Running) -> None:
    answer = ask(gateway, "POST", "/Flag", flag())
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert answer.headers["location"] == f"http://localhost:8000/Flag/{made['id']}/_history/1"
    assert answer.headers["etag"] == 'W/"1"'
    assert answer.headers["last-modified"].endswith("GMT")
    assert answer.headers["cache-control"] == "no-store"
    read = ask(gateway, "GET", f"/Flag/{made['id']}")
    assert read.json() == made
    tags = {(tag["system"].rsplit("/", 1)[-1], tag["code"]) for tag in made["meta"]["tag"]}
    assert tags == {("contributing-organisation", "RDZ"), ("contributing-domain", "care-flags")}
    assert made["meta"]["source"].startswith("urn:uuid:")


NO_ENTRY = "urn:uuid:6f1cf26a-4b15-4f8a-9f3c-0a5f2c1b7c11"
REFUSALS: dict[str, tuple[str, str, Json | bytes, dict[str, Any], int, str]] = {
    "no purpose": ("POST", "/Flag", flag(), {"purpose": None}, 403, "CF-P1"),
    "no role": ("POST", "/Flag", flag(), {"principal": "demo-partner"}, 403, "flag-keeper"),
    "no permit for the type": ("POST", "/Patient", {"resourceType": "Patient"}, {}, 403, "no rule lets anyone create"),
    "a type that nobody serves": ("POST", "/Task", {"resourceType": "Task"}, {}, 403, "Task"),
    "no such type": ("POST", "/Nonsense", {"resourceType": "Nonsense"}, {}, 404, "Nonsense"),
    "rows of what is written": ("POST", "/Flag", flag(author={"reference": "Organization/R0D"}), {}, 403, "CF-P1"),
    "no author": ("POST", "/Flag", flag(author=None), {}, 403, "CF-P1"),
    "not JSON": ("POST", "/Flag", b"{", {}, 400, "line 1"),
    "a member twice": ("POST", "/Flag", b'{"resourceType":"Flag","id":"1","id":"2"}', {}, 400, "twice"),
    "unknown element": ("POST", "/Flag", flag(nonsense=1), {}, 400, "nonsense"),
    "unknown code": ("POST", "/Flag", flag(status="activ"), {}, 400, "activ"),
    "missing element": ("POST", "/Flag", flag(code=None), {}, 400, "code"),
    "another type": ("POST", "/Flag", {"resourceType": "Patient"}, {}, 400, "Patient"),
    "another id": ("PUT", "/Flag/one", flag(id="two"), {}, 400, "two"),
    "no id": ("PUT", "/Flag/one", flag(), {}, 400, "missing"),
    "a check on Fhir": ("POST", "/Flag", flag(period=None), {}, 422, "Flag.period.start is missing"),
    "not the whole": ("POST", "/Flag", flag(meta={"tag": [{"code": "SUBSETTED"}]}), {}, 422, "SUBSETTED"),
    "a tag that is none": ("PUT", "/Flag/one", flag(id="one"), {"If-Match": "3"}, 400, "If-Match"),
    "a parameter": ("POST", "/Flag?dry-run=true", flag(), {}, 400, "dry-run"),
    "a form": ("POST", "/Flag", b"status=a", {"Content-Type": "application/x-www-form-urlencoded"}, 415, "fhir+json"),
    "XML back": ("POST", "/Flag", flag(), {"Accept": "application/fhir+xml"}, 406, "JSON"),
    "a condition that asks nothing": ("PUT", "/Flag?", flag(), {}, 412, "condition"),
    "a condition that nobody may ask": ("PUT", "/Flag?encounter=1", flag(), {}, 400, "encounter"),
    "a condition that is too wide": ("PUT", "/Flag?date=2026", flag(), {}, 403, "_id"),
    "another organisation": ("POST", "/Flag", flag(), {"organisation-code": "r0d"}, 400, "RDZ"),
    "a reference to no entry": ("POST", "/Flag", flag(subject={"reference": NO_ENTRY}), {}, 400, "fullUrl"),
    "a reference into another": ("POST", "/Flag", flag(subject={"reference": "Patient/h1#x"}), {}, 400, "outside"),
    "a reference with an empty part": ("POST", "/Flag", flag(subject={"reference": "Patient/h1#"}), {}, 400, "itself"),
    "a reference without type": ("POST", "/Flag", flag(subject={"reference": "h1"}), {}, 400, "Type/id"),
    "a reference to no type": ("POST", "/Flag", flag(encounter={"reference": "Nothing/h1"}), {}, 400, "Type/id"),
    "a reference to no id": ("POST", "/Flag", flag(subject={"reference": "Patient/.."}), {}, 400, "Type/id"),
    "a reference by search": ("POST", "/Flag", flag(subject={"reference": "Patient?identifier=1"}), {}, 400, "search"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSALS)
def test_what_may_not_be_written_is_refused_with_words_and_stores_nothing(still: Running, name: str) -> None:
    method, address, body, changed, status, word = REFUSALS[name]
    refused = ask(still, method, address, body, **changed)
    assert refused.status_code == status, refused.text
    assert any(word in json.dumps(issue) for issue in issues(refused)), refused.text
    assert ask(still, "GET", f"/Flag?patient={NHS_NUMBER}").json()["total"] == 0


def test_without_a_token_nothing_is_written(still: Running) -> None:
    answer = still.http.post("/Flag", json=FLAG, headers=JSON)
    assert answer.status_code == 401
    assert "www-authenticate" in answer.headers


@pytest.mark.parametrize("method", ["POST", "TRACE"])
def test_what_is_not_offered_is_405_with_what_is(still: Running, method: str) -> None:
    answer = ask(still, method, "/Flag/one")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "DELETE, GET, HEAD, PATCH, PUT"
    assert issues(answer)


def test_an_update_makes_a_version_and_keeps_who_contributed(shared_one: Running) -> None:
    id_ = stored(shared_one)
    read = ask(shared_one, "GET", f"/Flag/{id_}").json()
    answer = ask(shared_one, "PUT", f"/Flag/{id_}", {**read, "status": "inactive"})
    assert (answer.status_code, answer.headers["etag"]) == (200, 'W/"2"'), answer.text
    assert "location" not in answer.headers
    again = ask(shared_one, "GET", f"/Flag/{id_}").json()
    assert again == answer.json()
    assert again["status"] == "inactive"
    assert len(again["meta"]["tag"]) == 2
    history = ask(shared_one, "GET", f"/Flag/{id_}/_history").json()
    assert [entry["resource"]["status"] for entry in history["entry"]] == ["inactive", "active"]
    assert history["total"] == 2
    first = ask(shared_one, "GET", f"/Flag/{id_}/_history/1")
    assert first.json() == read
    assert ask(shared_one, "GET", f"/Flag/{id_}/_history/3").status_code == 404


def test_an_update_under_a_new_id_creates_where_creating_is_permitted(gateway: Running) -> None:
    answer = ask(gateway, "PUT", "/Flag/own-1", flag(id="own-1"))
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"].endswith("/Flag/own-1/_history/1")
    assert ask(gateway, "PUT", "/Flag/own-1", flag(id="own-1"), If_None_Match="*").status_code == 412


def test_what_a_client_says_of_meta_is_the_gateways_to_say(shared_one: Running) -> None:
    organisation = "https://example.org/CodeSystem/of-a-client"
    meta = {
        "versionId": "77", "lastUpdated": "2020-01-01T00:00:00Z", "source": "urn:example:client",
        "tag": [{"system": organisation, "code": "kept"}], "profile": ["https://example.org/a-profile"],
    }  # fmt: skip
    made = ask(shared_one, "POST", "/Flag", flag(meta=meta)).json()
    assert made["meta"]["versionId"] == "1"
    assert made["meta"]["source"] != "urn:example:client"
    assert made["meta"]["profile"] == ["https://example.org/a-profile"]
    assert {tag["code"] for tag in made["meta"]["tag"]} == {"kept", "RDZ", "care-flags"}
    forged = next(tag["system"] for tag in made["meta"]["tag"] if tag["code"] == "RDZ")
    other = ask(shared_one, "POST", "/Flag", flag(meta={"tag": [{"system": forged, "code": "R0D"}]})).json()
    assert {tag["code"] for tag in other["meta"]["tag"]} == {"RDZ", "care-flags"}


def test_a_label_that_a_client_leaves_out_stays(shared_one: Running) -> None:
    # not R, which is shown to who breaks glass alone
    label = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "N"}
    id_ = stored(shared_one, flag(meta={"security": [label]}))
    assert ask(shared_one, "PUT", f"/Flag/{id_}", flag(id=id_)).json()["meta"]["security"] == [label]


def test_a_reference_to_the_gateways_own_address_is_kept_relative(shared_one: Running) -> None:
    own = {"reference": f"http://localhost:8000/Patient/{NHS_NUMBER}"}
    other = {"reference": "https://elsewhere.example.org/Encounter/1"}
    made = ask(shared_one, "POST", "/Flag", flag(subject=own, encounter=other)).json()
    assert made["subject"]["reference"] == f"Patient/{NHS_NUMBER}"
    assert made["encounter"] == other


@pytest.mark.parametrize(
    "reference", ["Encounter/h1/_history/2", "https://elsewhere.example/fhir/Encounter/h1#x", "https://a.example/h1"]
)
def test_a_reference_of_a_form_that_r4_has_is_stored(shared_one: Running, reference: str) -> None:
    id_ = stored(shared_one, flag(encounter={"reference": reference}))
    assert ask(shared_one, "GET", f"/Flag/{id_}").json()["encounter"]["reference"] == reference


@pytest.mark.parametrize(
    ("prefer", "kind"),
    [("return=minimal", None), ("return=representation", "Flag"), ("return=OperationOutcome", "OperationOutcome"),
     ("handling=lenient, return=minimal", None), ("return=nonsense", "Flag")],
)  # fmt: skip
def test_prefer_says_what_comes_back(shared_one: Running, prefer: str, kind: str | None) -> None:
    answer = ask(shared_one, "POST", "/Flag", flag(), Prefer=prefer)
    assert answer.status_code == 201
    assert (answer.json()["resourceType"] if answer.content else None) == kind
    assert "etag" in answer.headers


IF_MATCH = [('W/"1"', 200), ('"1"', 200), ('W/"7", W/"1"', 200), ("*", 200), ('W/"2"', 412), ('W/"7"', 412)]


@pytest.mark.parametrize(("tag", "status"), IF_MATCH)
def test_if_match_holds_the_version(shared_one: Running, tag: str, status: int) -> None:
    id_ = stored(shared_one)
    answer = ask(shared_one, "PUT", f"/Flag/{id_}", flag(id=id_, status="inactive"), If_Match=tag)
    assert answer.status_code == status, answer.text


@pytest.mark.parametrize(
    ("header", "value", "status"),
    [
        ("If-None-Match", 'W/"1"', 304), ("If-None-Match", '"1"', 304), ("If-None-Match", "*", 304),
        ("If-None-Match", 'W/"2", W/"1"', 304), ("If-None-Match", 'W/"11"', 200),
        ("If-Modified-Since", "Sun, 22 Nov 2020 12:00:00 GMT", 200), ("If-Modified-Since", "yesterday", 200),
    ],
)  # fmt: skip
def test_a_read_is_conditional(shared_one: Running, header: str, value: str, status: int) -> None:
    id_ = stored(shared_one)
    answer = ask(shared_one, "GET", f"/Flag/{id_}", None, **{header: value})
    assert answer.status_code == status, answer.text
    assert answer.headers["etag"] == 'W/"1"'


def test_a_read_since_it_was_written_finds_nothing_new(shared_one: Running) -> None:
    """The embedded store stamps what it writes by the clock of the machine."""
    id_ = stored(shared_one)
    written = ask(shared_one, "GET", f"/Flag/{id_}").headers["last-modified"]
    answer = ask(shared_one, "GET", f"/Flag/{id_}", None, If_Modified_Since=written)
    assert answer.status_code == 304, answer.text
    assert answer.headers["etag"] == 'W/"1"'


@pytest.mark.parametrize(
    ("method", "header", "value"),
    [("PUT", "If-Match", ""), ("PUT", "If-Match", " "), ("PUT", "If-Match", '"*"'), ("PUT", "If-None-Exist", "_id=1"),
     ("POST", "If-Match", 'W/"1"')],
)  # fmt: skip
def test_a_condition_that_holds_nothing_off_is_refused(
    shared_one: Running, method: str, header: str, value: str
) -> None:
    """A variable that nobody filled, or a condition of another write, is no leave to overwrite."""
    own = stored(shared_one)
    address, body = (f"/Flag/{own}", flag(id=own)) if method == "PUT" else ("/Flag", flag())
    refused = ask(shared_one, method, address, body, **{header: value})
    assert refused.status_code == 400, refused.text
    assert header in refused.text
    assert ask(shared_one, "GET", f"/Flag/{own}").headers["etag"] == 'W/"1"'


@pytest.mark.parametrize(("scope", "shown"), [("system/Flag.u", False), ("system/Flag.ru", True)])
def test_a_token_that_may_not_read_gets_no_representation(shared_one: Running, scope: str, shown: bool) -> None:  # noqa: FBT001 - a case's answer
    own = stored(shared_one)
    form = {"grant_type": "client_credentials", "scope": scope}
    secret = ("demo-writer", "a-writers-secret-for-tests")
    token = shared_one.http.post("/$ingest/auth", data=form, auth=secret).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}", "purpose-of-use": "TREAT", **JSON}
    answer = shared_one.http.put(f"/Flag/{own}", json=flag(id=own), headers=headers)
    assert (answer.status_code, answer.headers["etag"]) == (200, 'W/"2"')
    assert bool(answer.content) is shown


def test_if_none_exist_makes_one_and_finds_it_again(gateway: Running) -> None:
    condition = {"If-None-Exist": "identifier=urn:example:flags|F-1"}
    first = ask(gateway, "POST", "/Flag", flag(), **condition)
    second = ask(gateway, "POST", "/Flag", flag(status="inactive"), **condition)
    assert (first.status_code, second.status_code) == (201, 200)
    assert second.json() == first.json()
    assert second.headers["location"] == first.headers["location"]
    stored(gateway)
    assert ask(gateway, "POST", "/Flag", flag(), **condition).status_code == 412


@pytest.mark.parametrize("condition", ["?identifier=a?b", "Flag?identifier=a?b", "identifier=a%3Fb"])
def test_a_condition_is_what_stands_behind_the_question_mark(gateway: Running, condition: str) -> None:
    body = flag(identifier=[{"value": "a?b"}])
    made = [ask(gateway, "POST", "/Flag", body, **{"If-None-Exist": condition}).status_code for _ in range(2)]
    assert made == [201, 200]


def test_a_conditional_update_finds_none_one_or_several(gateway: Running) -> None:
    address = "/Flag?identifier=urn:example:flags|F-1"
    made = ask(gateway, "PUT", address, flag())
    assert made.status_code == 201, made.text
    id_ = made.json()["id"]
    changed = ask(gateway, "PUT", address, flag(status="inactive"))
    assert (changed.status_code, changed.json()["id"]) == (200, id_)
    assert ask(gateway, "PUT", address, flag(id="another")).status_code == 400
    assert ask(gateway, "PUT", "/Flag?identifier=F-2", flag(id=id_)).status_code == 409
    stored(gateway)
    assert ask(gateway, "PUT", address, flag()).status_code == 412


def test_of_two_writers_with_one_version_one_is_told(shared_one: Running) -> None:
    id_ = stored(shared_one)

    def write(number: int) -> int:
        body = flag(id=id_, code={"text": f"Told by {number}"})
        return ask(shared_one, "PUT", f"/Flag/{id_}", body, If_Match='W/"1"').status_code

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(write, range(4))) == [200, 412, 412, 412]
    assert ask(shared_one, "GET", f"/Flag/{id_}").headers["etag"] == 'W/"2"'


def test_of_many_creates_on_one_condition_one_is_made(gateway: Running) -> None:
    def write(_: int) -> int:
        return ask(gateway, "POST", "/Flag", flag(), **{"If-None-Exist": "identifier=F-1"}).status_code

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(write, range(4))) == [200, 200, 200, 201]
    assert ask(gateway, "GET", "/Flag?identifier=F-1").json()["total"] == 1


def test_of_many_writers_without_a_condition_all_are_served(shared_one: Running) -> None:
    """They take turns: the last one's words stand, and nobody is told that it was too slow."""
    own = stored(shared_one)
    with ThreadPoolExecutor(12) as pool:
        put = [pool.submit(ask, shared_one, "PUT", f"/Flag/{own}", flag(id=own)) for _ in range(24)]
    assert {one.result().status_code for one in put} == {200}
    assert ask(shared_one, "GET", f"/Flag/{own}").headers["etag"] == 'W/"25"'
