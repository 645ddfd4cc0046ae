"""Several requests in one Bundle: a batch entry by entry, a transaction whole.

Source: https://hl7.org/fhir/R4/http.html#transaction; `facade.md` of the design, "Bundles"
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from httpx import Response

from gateway import loading
from gateway.interactions import access, read
from gateway.interactions.call import Call
from gateway.journal import JournalUnavailable
from tests.conformance.test_facade_writes import ask, flag, stored
from tests.running import NHS_NUMBER, Running, issues, message, running

pytestmark = pytest.mark.any_record

Json = dict[str, Any]
FIRST, SECOND = "urn:uuid:0b6f1b0e-7a53-4c6f-9c39-3f6f7f3c6a01", "urn:uuid:0b6f1b0e-7a53-4c6f-9c39-3f6f7f3c6a02"


def bundle(kind: str, *entries: Json) -> Json:
    return {"resourceType": "Bundle", "type": kind, **({"entry": list(entries)} if entries else {})}


def entry(method: str, url: str, resource: Json | None = None, full_url: str | None = None, **request: str) -> Json:
    made: Json = {"request": {"method": method, "url": url, **request}}
    if resource is not None:
        made["resource"] = resource
    return made if full_url is None else {"fullUrl": full_url, **made}


def send(one: Running, kind: str, *entries: Json, **changed: Any) -> Response:
    return ask(one, "POST", "/", bundle(kind, *entries), **changed)


def statuses(answer: Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [one["response"]["status"].split()[0] for one in answer.json()["entry"]]


BATCH: list[tuple[str, Json, str, str]] = [
    ("create", entry("POST", "Flag", flag()), "201", ""),
    ("update", entry("PUT", "Flag/own-1", flag(id="own-1")), "201", ""),
    ("conditional update", entry("PUT", "Flag?identifier=F-9", flag()), "201", ""),
    ("conditional create", entry("POST", "Flag", flag(), ifNoneExist="identifier=F-9"), "201", ""),
    ("search", entry("GET", f"Flag?patient={NHS_NUMBER}"), "200", ""),
    ("search by POST", entry("POST", f"Flag/_search?patient={NHS_NUMBER}"), "200", ""),
    ("a search by POST that is not permitted", entry("POST", "Flag/_search?date=2026"), "403", "CF-P1"),
    ("a search by POST with a form", entry("POST", "Flag/_search", {"resourceType": "Binary"}), "400", "in the url"),
    ("a search by PUT", entry("PUT", f"Flag/_search?patient={NHS_NUMBER}"), "400", "method POST"),
    ("read", entry("GET", "Flag/none"), "404", "no such Flag"),
    ("history", entry("GET", "Flag/none/_history"), "404", "no such Flag"),
    ("version", entry("GET", "Flag/none/_history/1"), "404", "no such Flag"),
    ("absolute address", entry("GET", f"http://localhost:8000/Flag?patient={NHS_NUMBER}"), "200", ""),
    ("a search that is not permitted", entry("GET", "Flag?date=2026"), "403", "CF-P1"),
    ("a type that is not permitted", entry("GET", f"Patient?_id={NHS_NUMBER}"), "403", "gp-viewer"),
    ("a check", entry("POST", "Flag", flag(period=None)), "422", "Bundle.entry[0].resource.period.start"),
    ("no FHIR", entry("POST", "Flag", flag(status="x")), "400", "Bundle.entry[0].resource.status"),
    ("another server", entry("GET", "https://elsewhere.example.org/Flag/1"), "400", "relative"),
    ("no resource", entry("POST", "Flag"), "400", "resource"),
    ("no request", {"resource": flag()}, "400", "request"),
    ("a slip in a condition", entry("PUT", "Flag/own-2", flag(id="own-2"), ifmatch='W/"1"'), "400", "ifMatch"),
    ("a condition left empty", entry("PUT", "Flag/own-2", flag(id="own-2"), ifMatch=""), "400", "ETag"),
    ("a create's condition", entry("PUT", "Flag/own-2", flag(id="own-2"), ifNoneExist="_id=1"), "400", "If-None-Exist"),
    ("a method that is not offered", entry("HEAD", "Flag/1"), "405", "GET, POST, PUT, PATCH, DELETE"),
    ("a write to an address of searches", entry("POST", "Flag?identifier=1", flag()), "400", "POST to Type"),
    ("metadata", entry("GET", "metadata"), "400", "Type"),
]


@pytest.mark.parametrize(("sent", "status", "word"), [case[1:] for case in BATCH], ids=[case[0] for case in BATCH])
def test_each_entry_of_a_batch_is_answered_as_alone(gateway: Running, sent: Json, status: str, word: str) -> None:
    answer = send(gateway, "batch", sent, entry("GET", f"Flag?patient={NHS_NUMBER}"))
    assert statuses(answer) == [status, "200"], answer.text
    assert answer.json()["type"] == "batch-response"
    assert word in answer.text


def test_a_search_by_post_in_a_batch_finds_what_get_finds_and_its_values_stand_in_no_address(gateway: Running) -> None:
    assert gateway.send(message()).status_code == 200  # HAPI finds nothing by a patient that it doesn't hold
    assert ask(gateway, "POST", "/Flag", flag()).status_code == 201
    got, posted = send(
        gateway, "batch",
        entry("GET", f"Flag?patient={NHS_NUMBER}&_count=1"),
        entry("POST", f"Flag/_search?patient={NHS_NUMBER}&_count=1"),
    ).json()["entry"]  # fmt: skip
    assert got["resource"]["entry"] == posted["resource"]["entry"]
    links = {link["relation"]: link["url"] for link in posted["resource"]["link"]}
    assert links["self"] == "http://localhost:8000/Flag"
    refused = send(gateway, "transaction", entry("POST", f"Flag/_search?patient={NHS_NUMBER}"))
    assert (refused.status_code, "batch" in refused.text) == (400, True), refused.text


def test_an_empty_bundle_gets_an_empty_answer(gateway: Running) -> None:
    for kind in ("batch", "transaction"):
        assert send(gateway, kind).json() == {"resourceType": "Bundle", "type": f"{kind}-response"}


def test_entries_tell_version_time_and_place(gateway: Running) -> None:
    (made,) = send(gateway, "batch", entry("POST", "Flag", flag())).json()["entry"]
    response = made["response"]
    assert response["status"] == "201 Created"
    assert response["etag"] == 'W/"1"'
    assert response["location"].startswith("http://localhost:8000/Flag/")
    assert "resource" not in made
    assert response["lastModified"].startswith("20")
    whole = send(gateway, "batch", entry("POST", "Flag", flag()), Prefer="return=representation").json()["entry"][0]
    assert whole["resource"]["resourceType"] == "Flag"
    assert whole["response"]["lastModified"] == whole["resource"]["meta"]["lastUpdated"]


def test_a_transaction_keeps_references_between_its_entries(gateway: Running) -> None:
    answer = send(
        gateway, "transaction",
        entry("POST", "Flag", flag(), FIRST),
        entry("POST", "Flag", flag(encounter={"reference": FIRST}, identifier=[{"value": "F-2"}]), SECOND),
        Prefer="return=representation",
    )  # fmt: skip
    assert statuses(answer) == ["201", "201"]
    one, other = (made["resource"] for made in answer.json()["entry"])
    assert other["encounter"]["reference"] == f"Flag/{one['id']}"
    assert ask(gateway, "GET", f"/Flag/{other['id']}").json() == other


REFUSED: dict[str, tuple[Json, int, str]] = {
    "rows": (entry("POST", "Flag", flag(author={"reference": "Organization/R0D"})), 403, "CF-P1"),
    "a type": (entry("POST", "Patient", {"resourceType": "Patient"}), 403, "create Patient"),
    "a check": (entry("POST", "Flag", flag(period=None)), 422, "Bundle.entry[1].resource.period.start"),
    "no FHIR": (entry("POST", "Flag", flag(nonsense=1)), 400, "Bundle.entry[1].resource.nonsense"),
    "a version": (entry("PUT", "Flag/standing", flag(id="standing"), ifMatch='W/"7"'), 412, "If-Match"),
    "a reference to nothing": (entry("POST", "Flag", flag(encounter={"reference": SECOND})), 400, "fullUrl"),
    "the same twice": (entry("PUT", "Flag/first", flag(id="first")), 400, "once only"),
    "a read": (entry("GET", "Flag/first"), 400, "batch"),
    "a method": (entry("HEAD", "Flag/first"), 405, "GET, POST, PUT, PATCH, DELETE"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_transaction_is_judged_whole_before_anything_is_stored(gateway: Running, name: str) -> None:
    assert ask(gateway, "PUT", "/Flag/standing", flag(id="standing")).status_code == 201
    sent, status, word = REFUSED[name]
    refused = send(gateway, "transaction", entry("PUT", "Flag/first", flag(id="first")), sent)
    assert refused.status_code == status, refused.text
    assert word in refused.text
    assert issues(refused)
    assert ask(gateway, "GET", "/Flag/first").status_code == 404
    assert ask(gateway, "GET", "/Flag/standing").headers["etag"] == 'W/"1"'


@pytest.mark.parametrize(
    ("body", "word"),
    [(flag(), "Bundle"), (bundle("collection"), "batch or transaction"), ({**bundle("batch"), "entry": {}}, "list"),
     (bundle("batch", *[entry("GET", "Flag/1")] * 501), "500"),
     ({**bundle("batch"), "entries": []}, "did you mean entry"),
     (bundle("transaction", entry("POST", "Flag", flag(), FIRST), entry("POST", "Flag", flag(), FIRST)), "fullUrl"),
     (bundle("transaction", {**entry("POST", "Flag", flag()), "fullurl": FIRST}), "did you mean fullUrl")],
)  # fmt: skip
def test_what_is_no_bundle_of_requests_is_refused(gateway: Running, body: Json, word: str) -> None:
    refused = ask(gateway, "POST", "/", body)
    assert refused.status_code == 400
    assert word in refused.text


def test_a_partner_reads_by_batch_what_it_may_read_alone(gateway: Running) -> None:
    assert gateway.send(message()).status_code == 200
    answer = send(
        gateway, "batch", entry("GET", f"Patient/{NHS_NUMBER}"), entry("GET", f"Encounter?patient={NHS_NUMBER}"),
        entry("GET", "Encounter"), entry("POST", "Flag", flag()),
        entry("GET", f"Patient/{NHS_NUMBER}", ifNoneMatch='W/"1"'), principal="demo-partner",
    )  # fmt: skip
    assert statuses(answer) == ["200", "200", "403", "403", "304"]
    patient, found, *_ = (one.get("resource") for one in answer.json()["entry"])
    assert patient == gateway.search(f"/Patient/{NHS_NUMBER}").json()
    assert found == gateway.search(f"/Encounter?patient={NHS_NUMBER}").json()


def test_a_batch_ends_in_time(tmp_path: Path, decisions: loading.Decisions) -> None:
    with running(tmp_path, decisions, answer_within=0.000001) as one:
        answer = send(one, "batch", entry("GET", "Flag/1"), entry("POST", "Flag", flag()))
        assert statuses(answer) == ["503", "503"]
        assert "too long" in answer.text


def test_a_scope_narrows_entries_too(gateway: Running) -> None:
    form = {"grant_type": "client_credentials", "scope": "system/Flag.rs"}
    secret = ("demo-writer", "a-writers-secret-for-tests")
    token = gateway.http.post("/$ingest/auth", data=form, auth=secret).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}", "purpose-of-use": "TREAT"}
    body = bundle("batch", entry("POST", "Flag", flag()), entry("GET", f"Flag?patient={NHS_NUMBER}"))
    answer = gateway.http.post("/", json=body, headers={**headers, "Content-Type": "application/fhir+json"})
    assert statuses(answer) == ["403", "200"]
    assert "system/Flag.c" in answer.text
    stored(gateway)


def test_two_entries_on_one_condition_make_no_two_resources(gateway: Running) -> None:
    sent = entry("POST", "Flag", flag(identifier=[{"value": "once"}]), ifNoneExist="identifier=once")
    other = entry("PUT", "Flag?identifier=once", flag(identifier=[{"value": "once"}]))
    spelled = entry("POST", "Flag", flag(identifier=[{"value": "once"}]), ifNoneExist="identifier=%6Fnce")
    for second in (other, spelled):
        refused = send(gateway, "transaction", sent, second)
        assert refused.status_code == 400, refused.text
        assert "Bundle.entry[1]" in refused.text
    assert statuses(send(gateway, "batch", sent, other, sent)) == ["201", "200", "200"]


def test_what_a_batch_stored_is_told_though_the_program_fails_after_it(
    gateway: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr(read, "shaped", fails)
    made = entry("PUT", "Flag/kept", flag(id="kept"))
    answer = send(gateway, "batch", made, entry("GET", "Flag/kept"), entry("PUT", "Flag/after", flag(id="after")))
    assert statuses(answer) == ["201", "500", "201"]
    assert "a fault" not in answer.text
    monkeypatch.undo()
    assert ask(gateway, "GET", "/Flag/after").status_code == 200


def test_what_a_batch_stored_is_told_though_the_audit_fails_after_it(
    gateway: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The entries stand alone: an answer of 503 to all of it would be untrue of the first."""
    audited = access.record

    async def full(call: Call, action: str, *told: Any, **more: Any) -> None:
        if action == "read":
            raise JournalUnavailable("no space")
        await audited(call, action, *told, **more)

    monkeypatch.setattr(read, "record", full)
    answer = send(
        gateway, "batch", entry("POST", "Flag", flag()), entry("GET", "Flag/1"), entry("POST", "Flag", flag())
    )
    assert statuses(answer) == ["201", "503", "201"]
    assert "JRN-01" in answer.text
