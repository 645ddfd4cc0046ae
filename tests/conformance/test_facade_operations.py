"""`$validate`, `$everything` and `$export`: for whom a rule grants them, and of what, as far as the caller may see it.

Source: https://hl7.org/fhir/R4/resource-operation-validate.html, operation-patient-everything.html;
http://hl7.org/fhir/uv/bulkdata/STU2/export.html; `rules-language.md` meaning 9 to 11
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from httpx import Response

from gateway import loading
from gateway.interactions import export, export_state, exports
from gateway.rules import Caller, RuleSet
from gateway.upstream import store
from tests import rule_sets
from tests.conformance.leaks.recording import Recorder
from tests.conformance.test_facade_patch import put_directly
from tests.conformance.test_facade_writes import ask, flag
from tests.records import served
from tests.running import NHS_NUMBER, NOW, Running, issues, message, running
from tests.traffic import free_port

pytestmark = pytest.mark.any_record

Json = dict[str, Any]
OTHER, RESTRICTED = "9990000026", "9990000034"
SECURITY = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}
CHEST_PAIN = "DG1|1||29857009^Chest pain^SCT||20261122101000|A"
ASYNC: dict[str, Any] = {"Prefer": "respond-async"}
RULES = """
permit T-E1 "GP viewers take out all of a patient"
  to operation everything Patient, Encounter, Condition, Observation
  when caller has role gp-viewer and purpose is TREAT
  rows Condition where Condition.code is present
  all rows Patient, Encounter, Observation
  hide Patient.birthDate
permit T-P1 "GP viewers look for what a patient measured itself"
  to search Observation
  when caller has role gp-viewer and purpose is TREAT
  asking performer
  all rows
  hide Observation.device
permit T-X1 "and of all patients"
  to operation export Patient, Encounter, Observation
  when caller has role gp-viewer and purpose is TREAT
  rows Encounter where Encounter.status is not "cancelled"
  all rows Patient, Observation
  hide Patient.birthDate
permit T-V1 "Keepers have flags looked at"
  to operation validate Flag
  when caller has role flag-keeper
  all rows
permit T-E2 "Keepers may ask for all of a patient, and see no patients"
  to operation everything Patient
  when caller has role flag-keeper
  all rows
forbid T-F1 "What is told in confidence stays"
  to operation everything, operation export Observation
  when Observation.note is present
"""
PRINCIPAL = """
principal other-writer "Another partner"
  connects as qvv
  roles gp-viewer
  may assert purpose TREAT
"""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> loading.Decisions:
    return rule_sets.with_more(
        tmp_path_factory.mktemp("operating") / "rules",
        repository,
        {"shared-record.rules": RULES, "registry.rules": PRINCIPAL},
    )


def observation(id_: str, patient: str = NHS_NUMBER, **more: Any) -> Json:
    return {
        "resourceType": "Observation", "id": id_, "status": "final", "code": {"text": "of a test"},
        "subject": {"reference": f"Patient/{patient}"}, "device": {"reference": "Device/hidden"}, **more,
    }  # fmt: skip


def fill(one: Running) -> None:
    for number, patient in enumerate((NHS_NUMBER, OTHER, RESTRICTED)):
        body = message(control_id=f"O-{number}", nhs_number=patient, visit=f"V-{number}", extra=CHEST_PAIN)
        assert one.send(body).status_code == 200
    for number in range(5):
        put_directly(one, observation(f"seen-{number}"))
    put_directly(one, observation("seen-and-by", performer=[{"reference": f"Patient/{NHS_NUMBER}"}]))
    put_directly(one, observation("unverified", status="preliminary"))
    put_directly(one, observation("told", note=[{"text": "in confidence"}]))
    put_directly(one, observation("restricted", meta={"security": [SECURITY]}))
    put_directly(one, observation("of-another", OTHER))
    put_directly(one, {"resourceType": "Patient", "id": RESTRICTED, "meta": {"security": [SECURITY]}})
    put_directly(one, {
        "resourceType": "Encounter", "id": "elsewhere", "status": "finished",
        "class": {"code": "EMER"}, "subject": {"reference": f"Patient/{NHS_NUMBER}"},
        "serviceProvider": {"reference": "Organization/X26"},
    })  # fmt: skip


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, loaded: loading.Decisions) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("data"), loaded) as one:
        fill(one)
        yield one


def partner(
    one: Running, method: str, address: str, principal: str = "demo-partner", body: Json | bytes | None = None,
    **headers: Any,
) -> Response:  # fmt: skip
    return ask(one, method, address, body, principal=principal, **headers)


def names(answer: Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [f"{e['resource']['resourceType']}/{e['resource']['id']}" for e in answer.json().get("entry", ())]


def below(answer: Response) -> str | None:
    url = next((one["url"] for one in answer.json()["link"] if one["relation"] == "next"), None)
    return None if url is None else str(url).removeprefix("http://localhost:8000")


# --- $everything -----------------------------------------------------------------------------------------------------


EVERYTHING = f"/Patient/{NHS_NUMBER}/$everything"
VISIBLE = {f"Observation/seen-{number}" for number in range(5)} | {"Observation/seen-and-by"}


def test_everything_is_what_the_caller_could_search_for_and_the_operation_releases(filled: Running) -> None:
    answer = partner(filled, "GET", EVERYTHING)
    found = names(answer)
    assert len(found) == len(set(found))
    kinds = [name.partition("/")[0] for name in found]
    assert (kinds[0], set(kinds)) == ("Patient", {"Patient", "Condition", "Encounter", "Observation"})
    assert {name for name in found if name.startswith("Observation/")} == VISIBLE
    assert "Encounter/elsewhere" not in found
    bundle = answer.json()
    assert bundle["type"] == "searchset"
    assert bundle["link"][0] == {"relation": "self", "url": f"http://localhost:8000{EVERYTHING}"}
    assert all(e["fullUrl"].startswith("http://localhost:8000/") for e in bundle["entry"])
    patient = bundle["entry"][0]["resource"]
    assert not {"birthDate", "telecom", "contact"} & set(patient), "hidden by the operation, and by the search"
    assert "name" in patient
    assert all("device" not in e["resource"] for e in bundle["entry"])


def test_everything_is_of_those_types_that_the_operation_is_granted_for(filled: Running) -> None:
    """A viewer may search for ServiceRequest by patient; the operation is not granted for it."""
    put_directly(filled, {
        "resourceType": "ServiceRequest", "id": "asked-for", "status": "active", "intent": "order",
        "subject": {"reference": f"Patient/{NHS_NUMBER}"},
    })  # fmt: skip
    assert names(partner(filled, "GET", f"/ServiceRequest?patient={NHS_NUMBER}")) == ["ServiceRequest/asked-for"]
    assert "ServiceRequest/asked-for" not in names(partner(filled, "GET", EVERYTHING))


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7, 100])
def test_pages_hold_everything_once_and_no_page_is_larger_than_asked(filled: Running, count: int) -> None:
    whole = names(partner(filled, "GET", EVERYTHING))
    found: list[str] = []
    address: str | None = f"{EVERYTHING}?_count={count}"
    while address is not None:
        answer = partner(filled, "GET", address)
        page = names(answer)
        assert len(page) <= count
        found += page
        address = below(answer)
    assert found == whole


def test_a_page_is_for_its_caller_its_patient_and_alone(filled: Running) -> None:
    following = below(partner(filled, "GET", f"{EVERYTHING}?_count=2"))
    assert following is not None
    token = following.partition("?")[2]
    assert partner(filled, "GET", f"/Patient/{OTHER}/$everything?{token}").status_code == 400
    assert partner(filled, "GET", f"{EVERYTHING}?{token}&_count=2").status_code == 400
    assert partner(filled, "GET", f"/Patient?{token}").status_code == 400
    assert partner(filled, "GET", f"{EVERYTHING}?{token}", "other-writer").status_code == 400
    assert partner(filled, "GET", f"{EVERYTHING}?_page=nonsense").status_code == 400


def test_type_and_since_narrow_it(filled: Running) -> None:
    found = names(partner(filled, "GET", f"{EVERYTHING}?_type=Encounter,Observation"))
    assert {name.partition("/")[0] for name in found} == {"Encounter", "Observation"}
    assert names(partner(filled, "GET", f"{EVERYTHING}?_since=2999-01-01T00:00:00Z")) == []
    assert names(partner(filled, "GET", f"{EVERYTHING}?_since=2020-01-01T00:00:00Z")) == names(
        partner(filled, "GET", EVERYTHING)
    )


@pytest.mark.parametrize(
    ("query", "word"),
    [("_since=yesterday", "instant"), ("_type=Nonsense", "Nonsense"), ("_count=0", "_count"), ("_count=x", "_count"),
     ("start=2026-01-01", "start"), ("_include=*", "_include"), ("_count=1&_count=2", "twice"), ("name=x", "name")],
)  # fmt: skip
def test_what_everything_does_not_take_is_refused(filled: Running, query: str, word: str) -> None:
    refused = partner(filled, "GET", f"{EVERYTHING}?{query}")
    assert (refused.status_code, word in refused.text) == (400, True), refused.text


def test_everything_of_a_hidden_patient_is_as_of_one_that_never_was(filled: Running) -> None:
    told = [partner(filled, "GET", f"/Patient/{id_}/$everything") for id_ in (RESTRICTED, "9990000042")]
    assert [answer.status_code for answer in told] == [404, 404]
    assert issues(told[0]) == issues(told[1])
    assert audited(filled)[-2:] == ["operation everything"] * 2


def test_everything_is_refused_unless_a_rule_grants_it_and_the_caller_may_search_for_the_patient(
    filled: Running,
) -> None:
    assert partner(filled, "GET", EVERYTHING, purpose=None).status_code == 403
    keeper = ask(filled, "GET", EVERYTHING)
    assert keeper.status_code == 403, "an operation is no way around the right to search"
    assert ask(filled, "GET", "/Flag/one/$everything").status_code == 404
    assert ask(filled, "POST", EVERYTHING).status_code == 403
    assert ask(filled, "PUT", EVERYTHING, flag()).status_code == 405


def test_what_each_permit_says_of_the_operation_is_held_against_scopes(filled: Running) -> None:
    def asked(scope: str) -> Response:
        form = {"grant_type": "client_credentials", "scope": scope}
        reply = filled.http.post("/$ingest/auth", data=form, auth=("demo-partner", "a-partners-secret-for-tests"))
        headers = {"Authorization": f"Bearer {reply.json()['access_token']}", "purpose-of-use": "TREAT"}
        answer: Response = filled.http.get(EVERYTHING, headers=headers)
        return answer

    assert asked("system/Observation.rs").status_code == 403
    assert asked("system/Patient.r").status_code == 403
    assert {name.partition("/")[0] for name in names(asked("system/Patient.rs system/Observation.rs"))} == {
        "Patient", "Observation",
    }  # fmt: skip
    assert names(asked("system/Patient.rs system/Observation.s")) == [f"Patient/{NHS_NUMBER}"]


def audited(one: Running) -> list[str]:
    """Actions of the audit, the last one last."""
    with sqlite3.connect(f"file:{one.data / 'journal.db'}?mode=ro", uri=True) as connection:
        return [action for (action,) in connection.execute("SELECT action FROM audit ORDER BY rowid")]


# --- $validate -------------------------------------------------------------------------------------------------------


VALIDATED: dict[str, tuple[str, Json | None, int, str]] = {
    "a valid one": ("/Flag/$validate", flag(), 200, "valid"),
    "an unknown element": ("/Flag/$validate", flag(nonsense=1), 200, "Flag.nonsense"),
    "an unknown code": ("/Flag/$validate", flag(status="activ"), 200, "Flag.status"),
    "another type": ("/Flag/$validate", {"resourceType": "Patient"}, 200, "the address says Flag"),
    "no check without a mode": ("/Flag/$validate", flag(period=None), 200, '"valid"'),
    "a check for a mode": ("/Flag/$validate?mode=create", flag(period=None), 200, "CF-C1"),
    "in Parameters": (
        "/Flag/$validate",
        {"resourceType": "Parameters", "parameter": [{"name": "resource", "resource": flag(status="x")},
                                                     {"name": "mode", "valueCode": "create"}]},
        200, "Flag.status",
    ),
    "another id": ("/Flag/one/$validate", flag(id="two"), 200, "Flag.id"),
    "no resource": ("/Flag/$validate", None, 400, "resource"),
    "Parameters without": ("/Flag/$validate", {"resourceType": "Parameters"}, 400, "resource"),
    "a profile": ("/Flag/$validate?profile=urn:x", flag(), 400, "profile"),
    "a mode that is none": ("/Flag/$validate?mode=delete", flag(), 400, "mode"),
    "a parameter that is none": ("/Flag/$validate?strict=true", flag(), 400, "strict"),
    "what is not there": ("/Flag/there-is-none/$validate", None, 404, "no such Flag"),
    "a type that no rule grants it for": ("/Patient/$validate", {"resourceType": "Patient"}, 403, "use $validate on"),
    "no such type": ("/Nonsense/$validate", {"resourceType": "Nonsense"}, 404, "Nonsense"),
}  # fmt: skip


@pytest.mark.parametrize("name", VALIDATED)
def test_validate_tells_what_is_wrong_and_stores_nothing(filled: Running, name: str) -> None:
    address, body, status, word = VALIDATED[name]
    answer = ask(filled, "POST", address, body)
    assert answer.status_code == status, answer.text
    assert word in answer.text
    assert answer.json()["resourceType"] == "OperationOutcome"
    assert ask(filled, "GET", f"/Flag?patient={NHS_NUMBER}").json()["total"] == 0


def test_validate_of_an_id_looks_at_what_stands_as_the_caller_may_read_it(filled: Running) -> None:
    id_ = ask(filled, "POST", "/Flag", flag(subject={"reference": "Patient/9990000042"})).json()["id"]
    assert issues(ask(filled, "POST", f"/Flag/{id_}/$validate"))[0]["diagnostics"] == "valid"
    assert partner(filled, "POST", f"/Flag/{id_}/$validate").status_code == 403
    assert (
        ask(filled, "POST", "/Flag/$validate", b"<Flag/>", **{"Content-Type": "application/fhir+xml"}).status_code
        == 415
    )


def parameters(*given: tuple[str, str, Any]) -> Json:
    found = [{"name": name, f"value{kind}": value} for name, kind, value in given]
    return {"resourceType": "Parameters", "parameter": found}


def following(answer: Response) -> str:
    (url,) = [link["url"] for link in answer.json()["link"] if link["relation"] == "next"]
    return str(url).removeprefix("http://localhost:8000")


def test_everything_by_post_is_what_it_is_by_get(filled: Running) -> None:
    asked = f"{EVERYTHING}?_type=Encounter,Observation&_since=2020-01-01T00:00:00Z&_count=3"
    sent = parameters(
        ("_type", "Code", "Encounter"), ("_type", "String", "Observation"),
        ("_since", "Instant", "2020-01-01T00:00:00Z"), ("_count", "Integer", 3),
    )  # fmt: skip
    by_get, by_post = partner(filled, "GET", asked), partner(filled, "POST", EVERYTHING, body=sent)
    while True:
        assert names(by_get) == names(by_post)
        of_get, of_post = ([link["relation"] for link in one.json()["link"]] for one in (by_get, by_post))
        assert of_get == of_post
        if "next" not in of_get:
            break
        by_get, by_post = (partner(filled, "GET", following(one)) for one in (by_get, by_post))
    assert names(partner(filled, "POST", EVERYTHING)) == names(partner(filled, "GET", EVERYTHING))


WRONG: list[tuple[str, Any, int, str]] = [
    ("an address", None, 400, "body of a POST"),
    ("no Parameters", {"resourceType": "Patient"}, 400, "Parameters"),
    ("no list", {"resourceType": "Parameters", "parameter": {}}, 400, "list"),
    ("no object", {"resourceType": "Parameters", "parameter": [1]}, 400, "name"),
    ("no name", {"resourceType": "Parameters", "parameter": [{"valueString": "x"}]}, 400, "name"),
    ("no value", {"resourceType": "Parameters", "parameter": [{"name": "_count"}]}, 400, "one value"),
    ("another type", parameters(("_count", "Integer", "3")), 400, "member for it"),
    ("an object", parameters(("_type", "Coding", {"code": "Patient"})), 400, "member for it"),
    ("an unknown one", parameters(("nonsense", "String", "x")), 400, "nonsense"),
    ("one twice", parameters(("_count", "Integer", 3), ("_count", "Integer", 4)), 400, "_count"),
]


@pytest.mark.parametrize("operation", ["everything", "export"])
@pytest.mark.parametrize("name", [one[0] for one in WRONG])
def test_parameters_that_are_none_are_refused(filled: Running, operation: str, name: str) -> None:
    body, status, word = next(one[1:] for one in WRONG if one[0] == name)
    address = EVERYTHING if operation == "everything" else "/$export"
    if operation == "export" and name == "one twice":
        body = parameters(("_since", "Instant", "2020-01-01T00:00:00Z"), ("_since", "Instant", "2021-01-01T00:00:00Z"))
        word = "_since"
    refused = partner(filled, "POST", address if body else f"{address}?_since=2020-01-01T00:00:00Z", body=body, **ASYNC)
    assert (refused.status_code, word in refused.text) == (status, True), refused.text
    form = {"Content-Type": "application/x-www-form-urlencoded", **ASYNC}
    assert partner(filled, "POST", address, body=b"_count=1", **form).status_code == 415


# --- $export ---------------------------------------------------------------------------------------------------------


def exported(
    one: Running, address: str = "/$export", principal: str = "demo-partner", body: Json | None = None
) -> tuple[str, Json]:
    """The address of an export that is done, and its manifest."""
    begun = partner(one, "GET" if body is None else "POST", address, principal, body, **ASYNC)
    assert begun.status_code == 202, begun.text
    where = begun.headers["content-location"].removeprefix("http://localhost:8000")
    until = time.monotonic() + 60
    while time.monotonic() < until:
        answer = partner(one, "GET", where, principal)
        if answer.status_code != 202:
            assert answer.status_code == 200, answer.text
            assert "expires" in answer.headers
            return where, answer.json()
        assert answer.headers["retry-after"]
        assert "types" in answer.headers["x-progress"]
        time.sleep(0.02)
    raise AssertionError("the export did not end")


def lines(one: Running, url: str, principal: str = "demo-partner") -> list[Json]:
    answer = partner(one, "GET", url.removeprefix("http://localhost:8000"), principal)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("application/fhir+ndjson")
    assert answer.headers["cache-control"] == "no-store"
    return [json.loads(line) for line in answer.text.splitlines()]


def test_an_export_holds_what_the_caller_may_read_and_the_operation_releases(filled: Running) -> None:
    where, manifest = exported(filled)
    assert manifest["requiresAccessToken"] is True
    assert manifest["request"] == "http://localhost:8000/$export"
    assert all(one["url"].startswith(f"http://localhost:8000{where}/") for one in manifest["output"])
    files = {one["type"]: lines(filled, one["url"]) for one in manifest["output"]}
    assert set(files) == {"Patient", "Encounter", "Observation"}
    assert {one["count"] for one in manifest["output"] if one["type"] == "Patient"} == {2}
    assert {one["id"] for one in files["Patient"]} == {NHS_NUMBER, OTHER}
    assert not any({"birthDate", "telecom"} & set(one) for one in files["Patient"])
    assert {f"Observation/{one['id']}" for one in files["Observation"]} == VISIBLE | {"Observation/of-another"}
    assert not any("device" in one for one in files["Observation"])
    assert "elsewhere" not in {one["id"] for one in files["Encounter"]}
    stored = list((filled.data / "exports").rglob("*.ndjson"))
    assert stored
    assert {path.stat().st_mode & 0o077 for path in stored} == {0}


@pytest.mark.parametrize("address", ["/$export", "/Patient/$export"])
def test_an_export_by_post_is_what_it_is_by_get(filled: Running, address: str) -> None:
    by_get, told = exported(filled, f"{address}?_type=Patient,Observation")
    sent = parameters(("_type", "String", "Patient"), ("_type", "String", "Observation"))
    by_post, same = exported(filled, address, body=sent)
    assert same["request"] == f"http://localhost:8000{address}"
    assert [one["type"] for one in same["output"]] == [one["type"] for one in told["output"]]
    assert {one["type"] for one in same["output"]} == {"Observation", "Patient"}
    for one, other in zip(told["output"], same["output"], strict=True):
        assert lines(filled, one["url"]) == lines(filled, other["url"])
    for where in (by_get, by_post):
        assert partner(filled, "DELETE", where).status_code == 202
    assert ask(filled, "POST", address, sent, **ASYNC).status_code == 403, "no rule grants it to keepers"


def test_an_export_asks_for_no_rows_that_could_not_go_out(tmp_path: Path, loaded: loading.Decisions) -> None:
    recorder = Recorder(store.app(tmp_path / "record.db"))
    with (
        served(recorder, free_port()) as record,
        running(tmp_path / "data", loaded, targets={"record": record}) as one,
    ):
        recorder.taken()
        exported(one, "/$export?_type=Encounter")
        (call,) = [call for call in recorder.taken() if call.path == "Encounter"]
        own = ",".join(f"Organization/{code}" for code in ("8PA01", "QVV", "R0D", "RDZ"))
        assert parse_qs(call.query)["service-provider"] == [own], call.query


def test_an_export_is_for_its_caller_alone_and_ends_by_delete(filled: Running) -> None:
    where, manifest = exported(filled, "/Patient/$export?_type=Patient")
    url = manifest["output"][0]["url"].removeprefix("http://localhost:8000")
    none = f"/$export/{'0' * 8}-0000-0000-0000-{'0' * 12}"
    for method, address, absent in (
        ("GET", where, none),
        ("DELETE", where, none),
        ("GET", url, f"{none}/Patient.ndjson"),
    ):
        told = [partner(filled, method, one, "other-writer") for one in (address, absent)]
        assert [answer.status_code for answer in told] == [404, 404]
        assert issues(told[0]) == issues(told[1])
        assert partner(filled, method, address, purpose=None).status_code == 404
        assert filled.http.request(method, address).status_code == 401
    assert partner(filled, "GET", f"{where}/Encounter.ndjson").status_code == 404
    assert partner(filled, "GET", f"{where}/..%2fjournal.db").status_code == 400
    assert partner(filled, "DELETE", where).status_code == 202
    assert partner(filled, "GET", where).status_code == 404
    assert partner(filled, "GET", url).status_code == 404
    assert not (filled.data / "exports" / where.rpartition("/")[2]).exists()


def test_a_token_of_other_roles_gets_no_files_that_wider_ones_made(
    filled: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = RuleSet.caller

    def caller(rules: RuleSet, name: str) -> Caller | None:
        one = found(rules, name)
        return one and replace(one, roles=one.roles | {"more"})

    with monkeypatch.context() as wider:
        wider.setattr(RuleSet, "caller", caller)  # as the token of an issuer elsewhere brings them
        where, manifest = exported(filled, "/Patient/$export?_type=Patient")
    url = manifest["output"][0]["url"].removeprefix("http://localhost:8000")
    assert [partner(filled, "GET", address).status_code for address in (where, url)] == [404, 404]
    assert partner(filled, "DELETE", where).status_code == 404
    with monkeypatch.context() as wider:
        wider.setattr(RuleSet, "caller", caller)
        assert partner(filled, "GET", url).status_code == 200
        state = filled.data / "exports" / where.rpartition("/")[2] / "export.json"
        assert export_state.read(state.read_bytes()).owner[-1] == ("gp-viewer", "more")
        assert partner(filled, "DELETE", where).status_code == 202


def test_an_export_that_says_nothing_of_roles_is_none() -> None:
    state = export_state.State("1", ("gp", None, None, False, ("a", "b")), (), "", "", ("Patient",), NOW)
    assert export_state.read(export_state.written(state)) == state
    told = json.loads(export_state.written(state))
    with pytest.raises(ValueError, match="unpack"):
        export_state.read(json.dumps({**told, "owner": told["owner"][:-1]}).encode())


def test_a_token_with_scopes_gets_no_files_that_wider_ones_made(filled: Running) -> None:
    where, _ = exported(filled, "/$export?_type=Patient,Observation")
    form = {"grant_type": "client_credentials", "scope": "system/Patient.rs"}
    reply = filled.http.post("/$ingest/auth", data=form, auth=("demo-partner", "a-partners-secret-for-tests"))
    headers = {"Authorization": f"Bearer {reply.json()['access_token']}", "purpose-of-use": "TREAT"}
    assert filled.http.get(where, headers=headers).status_code == 404
    assert filled.http.get(f"{where}/Observation.ndjson", headers=headers).status_code == 404
    begun = filled.http.get("/$export", headers={**headers, **ASYNC})
    assert begun.status_code == 202
    narrow = begun.headers["content-location"].removeprefix("http://localhost:8000")
    until = time.monotonic() + 60
    while (answer := filled.http.get(narrow, headers=headers)).status_code == 202 and time.monotonic() < until:
        time.sleep(0.02)
    assert {one["type"] for one in answer.json()["output"]} == {"Patient"}


@pytest.mark.parametrize(
    ("address", "headers", "status", "word"),
    [
        ("/$export", {}, 400, "respond-async"),
        ("/$export?_type=Condition", ASYNC, 403, "use $export on Condition"),
        ("/$export?_type=Nonsense", ASYNC, 400, "Nonsense"),
        ("/$export?_since=x", ASYNC, 400, "instant"),
        ("/$export?_typeFilter=x", ASYNC, 400, "_typeFilter"),
        ("/$export?_outputFormat=csv", ASYNC, 400, "ndjson"),
        ("/Group/1/$export", ASYNC, 404, "no operation $export"),
        ("/Group/$export", ASYNC, 404, "Patient"),
        ("/$nonsense", {}, 404, "no operation $nonsense"),
        ("/Patient/$match", {}, 404, "$everything"),
    ],
)  # fmt: skip
def test_what_can_not_be_exported_is_refused(
    filled: Running, address: str, headers: dict[str, Any], status: int, word: str
) -> None:
    refused = partner(filled, "GET", address, **headers)
    assert (refused.status_code, word in refused.text) == (status, True), refused.text


def test_an_export_is_refused_unless_a_rule_grants_it(filled: Running) -> None:
    for address in ("/$export", "/Patient/$export"):
        refused = ask(filled, "GET", address, **ASYNC)
        assert (refused.status_code, "gp-viewer" in refused.text) == (403, True), refused.text


def test_since_leaves_out_what_was_not_changed(filled: Running) -> None:
    assert exported(filled, "/$export?_since=2999-01-01T00:00:00Z")[1]["output"] == []


def test_exports_expire_and_other_rules_end_them(tmp_path: Path, loaded: loading.Decisions) -> None:
    moment = [NOW]
    left = tmp_path / "exports" / "left-by-another-process"
    left.mkdir(parents=True)
    with running(tmp_path, loaded, clock=lambda: moment[0]) as one:
        assert not left.exists()
        fill(one)
        where, manifest = exported(one)
        moment[0] += exports.LIFETIME - timedelta(seconds=1)
        one.tokens.clear()
        assert partner(one, "GET", where).status_code == 200
        moment[0] += timedelta(seconds=1)
        assert partner(one, "GET", where).status_code == 404
        assert not list((tmp_path / "exports").rglob("*.ndjson"))
        where, manifest = exported(one)
        reload = one.http.app.state.reload  # type: ignore[attr-defined]  # a Starlette
        owner = ("demo-partner", "TREAT", None, False, ("gp-viewer",))
        held = reload.gateway.exports.find(where.rpartition("/")[2], owner, moment[0])
        held.state = replace(held.state, digest="that of other rules")
        held.save()
        assert (
            partner(one, "GET", manifest["output"][0]["url"].removeprefix("http://localhost:8000")).status_code == 404
        )
        assert not list((tmp_path / "exports").rglob("*.ndjson"))
    assert not list((tmp_path / "exports").rglob("*"))


def test_an_export_that_is_done_outlives_its_process_and_one_under_way_says_that_it_ended(
    tmp_path: Path, loaded: loading.Decisions
) -> None:
    with running(tmp_path, loaded) as one:
        fill(one)
        where, manifest = exported(one, "/$export?_type=Patient")
        url = manifest["output"][0]["url"]
        before = lines(one, url)
    with running(tmp_path, loaded) as one:
        again = partner(one, "GET", where)
        assert (again.status_code, again.json()) == (200, manifest)
        assert lines(one, url) == before
        # as a process leaves it that was killed
        folder = tmp_path / "exports" / where.rpartition("/")[2]
        cut = folder.with_name("0" * 8)
        shutil.copytree(folder, cut)
        state = json.loads((cut / "export.json").read_text("utf-8"))
        (cut / "export.json").write_text(json.dumps({**state, "id": cut.name, "done": None}), "utf-8")
        ended = partner(one, "GET", f"/$export/{cut.name}")
        assert (ended.status_code, "started anew" in ended.text) == (503, True), ended.text
        assert partner(one, "GET", f"/$export/{cut.name}/Patient.ndjson").status_code == 404
        assert partner(one, "DELETE", f"/$export/{cut.name}").status_code == 202
        assert not cut.exists()
        assert partner(one, "DELETE", where).status_code == 202
        assert partner(one, "GET", where).status_code == 404
    with running(tmp_path, loaded) as one:
        assert partner(one, "GET", where).status_code == 404


def test_a_gateway_that_stops_ends_what_it_exports(
    tmp_path: Path, loaded: loading.Decisions, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def endless(*_: Any) -> None:
        await asyncio.sleep(3600)

    with running(tmp_path, loaded) as one, monkeypatch.context() as patched:
        patched.setattr(export, "_written", endless)
        begun = [partner(one, "GET", "/$export", **ASYNC) for _ in range(3)]
        assert [answer.status_code for answer in begun] == [202, 202, 429]
        assert "DELETE" in begun[2].text
        where = begun[0].headers["content-location"].removeprefix("http://localhost:8000")
        assert partner(one, "GET", where).status_code == 202
    with running(tmp_path, loaded) as one:
        ended = partner(one, "GET", where)
        assert (ended.status_code, "started anew" in ended.text) == (503, True), ended.text


def test_a_caller_keeps_so_many_exports_and_no_more(
    tmp_path: Path, loaded: loading.Decisions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "MOST_KEPT", 2)
    with running(tmp_path, loaded) as one:
        first, _ = exported(one)
        exported(one)
        full = partner(one, "GET", "/$export", **ASYNC)
        assert (full.status_code, "DELETE" in full.text, int(full.headers["retry-after"]) > 0) == (429, True, True)
        exported(one, principal="other-writer")
        assert partner(one, "DELETE", first).status_code == 202
        exported(one)


def test_files_of_exports_take_so_much_and_no_more(tmp_path: Path, loaded: loading.Decisions) -> None:
    both = "/$export?_type=Patient,Observation"
    with running(tmp_path, loaded) as one:
        fill(one)
        where, _ = exported(one, both)
        size = sum(file.stat().st_size for file in (tmp_path / "exports").rglob("*.ndjson"))
        assert partner(one, "DELETE", where).status_code == 202
    with running(tmp_path, loaded, export_limit=size - 1) as one:
        failed = failing(one, both)
        assert (failed.status_code, f"{size - 1} bytes" in failed.text) == (413, True), failed.text
        assert not list((tmp_path / "exports").rglob("*.ndjson"))
        small, _ = exported(one, "/$export?_type=Patient")
        assert failing(one, "/$export?_type=Observation").status_code == 413
        assert partner(one, "DELETE", small).status_code == 202
        exported(one, "/$export?_type=Observation")


def failing(one: Running, address: str, principal: str = "demo-partner") -> Response:
    """What ended an export early."""
    begun = partner(one, "GET", address, principal, **ASYNC)
    where = begun.headers["content-location"].removeprefix("http://localhost:8000")
    until = time.monotonic() + 60
    while (answer := partner(one, "GET", where, principal)).status_code == 202 and time.monotonic() < until:
        time.sleep(0.02)
    return answer


def test_an_export_past_the_daily_limit_gives_nothing_and_counts_nothing(tmp_path: Path, repository: Path) -> None:
    limited = PRINCIPAL.replace("purpose TREAT\n", "purpose TREAT\n  limit 1 Patient per day\n")
    loaded = rule_sets.with_more(
        tmp_path / "rules", repository, {"shared-record.rules": RULES, "registry.rules": limited}
    )
    with running(tmp_path / "data", loaded, page_size=1, page_limit=1) as one:  # each page alone is little
        fill(one)
        told = failing(one, "/$export", "other-writer")
        assert told.status_code == 429, told.text
        (issue,) = issues(told)
        # the clock of the tests stands at noon, in London too
        assert issue["code"] == "throttled"
        assert "the next count begins at 2026-11-23T00:00:00+00:00" in issue["diagnostics"]
        assert told.headers["retry-after"] == str(12 * 3600)
        assert not list((tmp_path / "data" / "exports").rglob("*.ndjson"))
        # nothing was counted: the one that it may see is still to be had, and no other after it
        assert partner(one, "GET", f"/Patient/{OTHER}", "other-writer").status_code == 200
        assert partner(one, "GET", f"/Patient/{NHS_NUMBER}", "other-writer").status_code == 429
        assert failing(one, "/$export", "other-writer").status_code == 429


def test_an_export_within_the_daily_limit_counts_once(tmp_path: Path, repository: Path) -> None:
    limited = PRINCIPAL.replace("purpose TREAT\n", "purpose TREAT\n  limit 3 Patient per day\n")
    loaded = rule_sets.with_more(
        tmp_path / "rules", repository, {"shared-record.rules": RULES, "registry.rules": limited}
    )
    with running(tmp_path / "data", loaded) as one:
        fill(one)
        for _ in range(2):
            _, manifest = exported(one, "/$export", "other-writer")
            assert {told["type"] for told in manifest["output"]} == {"Patient", "Encounter", "Observation"}
        assert partner(one, "GET", f"/Patient/{OTHER}", "other-writer").status_code == 200
