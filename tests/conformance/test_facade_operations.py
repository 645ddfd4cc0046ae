"""`$validate`, `$everything` and `$export`: for whom a rule grants them, and of what, as far as the caller may see it.

Source: https://hl7.org/fhir/R4/resource-operation-validate.html, operation-patient-everything.html;
http://hl7.org/fhir/uv/bulkdata/STU2/export.html; `rules-language.md` meaning 9 to 11
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from httpx import Response

from gateway import assemble
from gateway.interactions import exports
from tests import loading
from tests.conformance.test_facade_patch import put_directly
from tests.conformance.test_facade_writes import ask, flag
from tests.running import NHS_NUMBER, NOW, Running, issues, message, running

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
def loaded(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> assemble.Decisions:
    return loading.with_more(
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
def filled(tmp_path_factory: pytest.TempPathFactory, loaded: assemble.Decisions) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("data"), loaded) as one:
        fill(one)
        yield one


def partner(one: Running, method: str, address: str, principal: str = "demo-partner", **headers: Any) -> Response:
    return ask(one, method, address, principal=principal, **headers)


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
    assert ask(filled, "POST", EVERYTHING).status_code == 405


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
    "a type that no rule grants it for": ("/Patient/$validate", {"resourceType": "Patient"}, 403, "operation validate"),
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


# --- $export ---------------------------------------------------------------------------------------------------------


def exported(one: Running, address: str = "/$export", principal: str = "demo-partner") -> tuple[str, Json]:
    """The address of an export that is done, and its manifest."""
    begun = partner(one, "GET", address, principal, **ASYNC)
    assert begun.status_code == 202, begun.text
    where = begun.headers["content-location"].removeprefix("http://localhost:8000")
    until = time.monotonic() + 10
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
    until = time.monotonic() + 10
    while (answer := filled.http.get(narrow, headers=headers)).status_code == 202 and time.monotonic() < until:
        time.sleep(0.02)
    assert {one["type"] for one in answer.json()["output"]} == {"Patient"}


@pytest.mark.parametrize(
    ("address", "headers", "status", "word"),
    [
        ("/$export", {}, 400, "respond-async"),
        ("/$export?_type=Condition", ASYNC, 403, "operation export Condition"),
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
    filled: Running, address: str, headers: dict[str, str], status: int, word: str
) -> None:
    refused = partner(filled, "GET", address, **headers)
    assert (refused.status_code, word in refused.text) == (status, True), refused.text


def test_an_export_is_refused_unless_a_rule_grants_it(filled: Running) -> None:
    for address in ("/$export", "/Patient/$export"):
        refused = ask(filled, "GET", address, **ASYNC)
        assert (refused.status_code, "gp-viewer" in refused.text) == (403, True), refused.text


def test_since_leaves_out_what_was_not_changed(filled: Running) -> None:
    assert exported(filled, "/$export?_since=2999-01-01T00:00:00Z")[1]["output"] == []


def test_exports_expire_and_other_rules_end_them(tmp_path: Path, loaded: assemble.Decisions) -> None:
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
        held = next(iter(reload.gateway.exports._known.values()))
        held.digest = "that of other rules"
        assert (
            partner(one, "GET", manifest["output"][0]["url"].removeprefix("http://localhost:8000")).status_code == 404
        )
        assert not list((tmp_path / "exports").rglob("*.ndjson"))
    assert not list((tmp_path / "exports").rglob("*"))
