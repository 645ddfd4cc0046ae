"""`data-type: Fhir`: outcomes, identity, references, Bundles, keys and answers.

Source: `http-interface.md` and `conversion.md` of the design; https://hl7.org/fhir/R4/http.html#transaction,
https://hl7.org/fhir/R4/bundle.html#references.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from httpx import Response

from gateway import loading
from gateway.interactions.acknowledge import Sender
from gateway.interactions.identify import Asking
from gateway.interactions.options import Options
from gateway.interactions.submission import Envelope, opened, reopened
from tests import rule_sets
from tests.running import NHS_NUMBER, Running, acknowledged, issues, message, running

NHS = "https://fhir.nhs.uk/Id/nhs-number"
ODS = "https://fhir.nhs.uk/Id/ods-organization-code"
ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
ORGANISATION_TAG = "https://healthcare-exchange-gateway.example/fhir/CodeSystem/contributing-organisation"
TOLD = "https://healthcare-exchange-gateway.example/fhir/StructureDefinition/told"
P, E = "urn:uuid:0c4b3d0e-9a51-4a2f-8f57-0a4f8d3b7c01", "urn:uuid:0c4b3d0e-9a51-4a2f-8f57-0a4f8d3b7c02"

Json = dict[str, Any]


def patient(nhs_number: str = NHS_NUMBER, **more: Any) -> Json:
    return {"resourceType": "Patient", "identifier": [{"system": NHS, "value": nhs_number}], **more}


def encounter(subject: str, visit: str | None = "V-1", **more: Any) -> Json:
    known = {} if visit is None else {"identifier": [{"system": "R0D", "value": visit}]}
    usual = {"status": "in-progress", "class": {"system": ACT, "code": "EMER"}}
    return {"resourceType": "Encounter", **known, **usual, "subject": {"reference": subject}, **more}


def post(full_url: str | None, resource: Json, **request: Any) -> Json:
    named = {} if full_url is None else {"fullUrl": full_url}
    return {**named, "resource": resource, "request": {"method": "POST", "url": resource["resourceType"], **request}}


def put(resource: Json, url: str | None = None, **request: Any) -> Json:
    own = f"{resource['resourceType']}/{resource.get('id')}"
    return {"resource": resource, "request": {"method": "PUT", "url": url or own, **request}}


def bundle(*entries: Json, kind: str = "transaction", **more: Any) -> Json:
    return {"resourceType": "Bundle", "type": kind, **more, **({"entry": list(entries)} if entries else {})}


def visit(nhs_number: str = NHS_NUMBER, number: str = "V-1", **more: Any) -> Json:
    return bundle(post(P, patient(nhs_number)), post(E, encounter(P, number)), **more)


FLAG = {
    "resourceType": "Flag", "status": "active", "code": {"text": "x"}, "subject": {"reference": "Patient/9990000018"},
    "author": {"reference": "Organization/RDZ"},
}  # fmt: skip


def submit(to: Running, resource: Json | bytes, *, query: str = "", **changed: str | None) -> Response:
    body = resource if isinstance(resource, bytes) else json.dumps(resource).encode()
    return to.send(body, query=query, **{"data_type": "Fhir", **changed})


def told(reply: Response) -> list[Json]:
    """Issues of the OperationOutcome in an answer, wherever it stands."""
    body = reply.json()
    outcome = body["entry"][0]["response"]["outcome"] if body["resourceType"] == "Bundle" else body
    return list(outcome["issue"])


def wrong(reply: Response) -> list[tuple[str, str]]:
    """Rule and place of the errors."""
    found = [issue for issue in told(reply) if issue["severity"] == "error"]
    return [(i["details"]["coding"][0]["code"], (i.get("expression") or [""])[0]) for i in found]


def places(reply: Response) -> list[str]:
    """Type and id of each entry of a response Bundle."""
    return ["/".join(entry["response"]["location"].split("/")[:2]) for entry in reply.json()["entry"]]


def found(to: Running, address: str) -> list[Json]:
    reply = to.search(address)
    assert reply.status_code == 200, reply.text
    return [entry["resource"] for entry in reply.json().get("entry", ())]


def recorded(to: Running, address: str) -> bytes:
    """What stands in the record, with all that the rules hide: a resource, or all of a type."""
    parts: Any = to.http
    server = parts.app.state.gateway.targets["record"]
    type_, _, id_ = address.partition("/")
    answer = parts.portal.call(server.read, type_, id_) if id_ else parts.portal.call(server.search, type_, [])
    assert answer.status == 200, (address, answer.body)
    return bytes(answer.body)


def stored(to: Running, name: str) -> Json:
    """A resource as it stands in the record."""
    return dict(json.loads(recorded(to, name)))


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, decisions: loading.Decisions) -> Iterator[Running]:
    """One gateway for all tests that ask nothing of what is stored."""
    with running(tmp_path_factory.mktemp("data"), decisions) as one:
        yield one


@pytest.fixture
def fresh(tmp_path: Path, decisions: loading.Decisions) -> Iterator[Running]:
    with running(tmp_path / "data", decisions) as one:
        yield one


# --- outcomes -------------------------------------------------------------------------------------------------------

LISTED = '{"resourceType":"Bundle","type":"batch","entry":[]}'
OUTCOMES: list[tuple[str, Json | bytes, dict[str, str | None], int, str]] = [
    ("stored", visit(), {}, 200, ""),
    ("as application/fhir+json", visit(), {"content_type": "application/fhir+json"}, 200, ""),
    ("with a byte order mark", b"\xef\xbb\xbf" + json.dumps(visit()).encode(), {}, 200, ""),
    ("not JSON", b"{", {}, 400, "FHIR-JSON"),
    ("HL7 v2", message(), {}, 400, "FHIR-JSON"),
    ("XML", b"<Bundle/>", {}, 400, "FHIR-JSON"),
    ("no resource", b"{}", {}, 400, "FHIR-JSON"),
    ("a list", b"[]", {}, 400, "FHIR-JSON"),
    ("NaN", b'{"resourceType":"Encounter","x":NaN}', {}, 400, "FHIR-JSON"),
    ("a member twice", b'{"resourceType":"Encounter","status":"planned","status":"planned"}', {}, 400, "FHIR-JSON"),
    ("too deep", b'{"resourceType":"Encounter","x":' + b"[" * 200 + b"]" * 200 + b"}", {}, 400, "FHIR-JSON"),
    ("not UTF-8", b'{"resourceType":"Encounter","x":"\xff"}', {}, 400, "FHIR-JSON"),
    ("type not accepted", patient(), {}, 400, "FHIR-A01"),
    ("unknown element", encounter("Patient/9990000018", colour="red"), {}, 400, "FHIR-UNKNOWN"),
    ("missing element", {"resourceType": "Encounter"}, {}, 400, "FHIR-MIN"),
    ("no code of the value set", encounter("Patient/9990000018", status="here"), {}, 400, "FHIR-CODE"),
    ("an empty list", LISTED.encode(), {}, 400, "FHIR-EMPTY"),
    ("a request in a collection", bundle(post(P, patient()), kind="collection"), {}, 400, "bdl-3"),
    ("unknown organisation", visit(), {"organisation_code": "zzz"}, 400, "HTTP-H03"),
    ("not permitted", visit(), {"organisation_code": "rdz"}, 403, "EC-P1"),
    ("a check on what is stored", encounter("Patient/9990000018", status="planned"), {}, 422, "EC-C4"),
    ("a type that a Bundle may not hold", bundle(post(None, FLAG), post(P, patient())), {}, 400, "FHIR-A02"),
    ("nothing in it", bundle(), {}, 422, "FHIR-BUNDLE"),
    ("not taken in a submission", bundle(kind="searchset"), {}, 422, "FHIR-BUNDLE"),
    ("no token", visit(), {"authorization": None}, 401, "HTTP-A01"),
    ("another media type", visit(), {"content_type": "application/json"}, 415, "HTTP-T02"),
    ("HL7's media type", visit(), {"content_type": "application/hl7-v2"}, 415, "HTTP-T02"),
    ("empty", b"", {}, 400, "HTTP-B03"),
    ("too long a key", visit(), {"idempotency_key": "k" * 201}, 400, "HTTP-H05"),
]


@pytest.mark.parametrize(("sent", "changed", "status", "code"), [c[1:] for c in OUTCOMES], ids=[c[0] for c in OUTCOMES])
def test_outcome(gateway: Running, sent: Json | bytes, changed: dict[str, str | None], status: int, code: str) -> None:
    reply = submit(gateway, sent, query="", **changed)
    assert reply.status_code == status, reply.text
    assert reply.headers["content-type"] == "application/fhir+json; charset=utf-8"
    assert reply.headers["cache-control"] == "no-store"
    assert (
        code in {issue.get("details", {}).get("coding", [{}])[0].get("code", "") for issue in told(reply)} or not code
    )


def test_every_fault_is_told_with_its_place(gateway: Running) -> None:
    faulty = bundle(post(P, patient(gender="M", birthdate="x")), post(E, encounter(P, period={"start": "2026-13"})))
    assert wrong(submit(gateway, faulty)) == [
        ("FHIR-CODE", "Bundle.entry[0].resource.gender"),
        ("FHIR-UNKNOWN", "Bundle.entry[0].resource.birthdate"),
        ("FHIR-FORMAT", "Bundle.entry[1].resource.period.start"),
    ]


def test_more_faults_are_told_than_an_acknowledgement_could_hold(gateway: Running) -> None:
    faulty = patient(telecom=[{"system": "carrier pigeon"}] * 60)
    assert len(wrong(submit(gateway, bundle(post(P, faulty))))) == 60


# --- answers --------------------------------------------------------------------------------------------------------


def test_a_transaction_is_answered_entry_by_entry_with_the_receipt(fresh: Running) -> None:
    first = submit(fresh, visit())
    answer = first.json()
    assert answer["type"] == "transaction-response"
    responses = [entry["response"] for entry in answer["entry"]]
    assert [r["status"] for r in responses] == ["201 Created", "201 Created"]
    assert [r["etag"] for r in responses] == ['W/"1"', 'W/"1"']
    assert responses[0]["location"] == "Patient/9990000018/_history/1"
    assert responses[0]["outcome"]["issue"][0]["diagnostics"].endswith(first.headers["location"])
    receipt = fresh.http.get(first.headers["location"], headers={"Authorization": fresh.headers()["Authorization"]})
    assert (receipt.json()["state"], receipt.json()["type"]) == ("accepted", "Bundle")
    later = submit(fresh, bundle(post(P, patient(gender="female")), kind="batch"))
    assert later.json()["type"] == "batch-response"
    assert later.json()["entry"][0]["response"]["status"] == "200 OK"
    assert later.json()["entry"][0]["response"]["etag"] == 'W/"2"'


@pytest.mark.parametrize("kind", ["collection", "message"])
def test_other_bundles_and_resources_are_answered_by_an_outcome_that_names_what_was_stored(
    fresh: Running, kind: str
) -> None:
    header = {"resourceType": "MessageHeader", "eventUri": "urn:x:visit", "source": {"endpoint": "urn:x:pas"}}
    entries = [{"resource": patient()}, {"resource": encounter("Patient?identifier=" + NHS + "|" + NHS_NUMBER)}]
    sent = [{"resource": header}, *entries] if kind == "message" else entries
    words = [i["diagnostics"] for i in issues(submit(fresh, bundle(*sent, kind=kind), query="?loss=report"))]
    assert any(w.startswith("201 Created: Patient/9990000018/_history/1") for w in words)
    assert any(w.startswith("201 Created: Encounter/") for w in words)
    assert any(f"{1 if kind == 'message' else 0} parts of the submission not stored" in w for w in words)


def test_a_dry_run_stores_nothing_and_takes_no_key(fresh: Running) -> None:
    dry = submit(fresh, visit(), query="?dry-run=true", idempotency_key="k-1")
    assert (dry.status_code, dry.headers.get("location")) == (200, None)
    assert places(dry)[0] == "Patient/9990000018"
    assert found(fresh, "/Patient?_id=9990000018") == []
    assert submit(fresh, visit(number="V-2"), idempotency_key="k-1").status_code == 200


def test_a_target_that_is_down_is_told_and_nothing_is_said_to_be_stored(
    tmp_path: Path, decisions: loading.Decisions
) -> None:
    with running(tmp_path, decisions, targets={"record": "http://127.0.0.1:9/", "bed-board": "folder:b"}) as lone:
        reply = submit(lone, visit())
        assert (reply.status_code, reply.headers["retry-after"]) == (503, "10")
        assert wrong(reply) == [("EC-R2", "")]


# --- keys -----------------------------------------------------------------------------------------------------------


def test_the_same_again_gets_the_first_answer_byte_for_byte(fresh: Running) -> None:
    for key in (None, "k-1"):
        body = visit(number=f"V-{key}")
        first, again = (submit(fresh, body, idempotency_key=key) for _ in range(2))
        assert (first.status_code, first.content, first.headers["location"]) == (
            again.status_code, again.content, again.headers["location"],
        )  # fmt: skip


def test_another_body_under_a_key_is_a_conflict(fresh: Running) -> None:
    assert submit(fresh, visit(), idempotency_key="k-1").status_code == 200
    other = submit(fresh, visit(number="V-2"), idempotency_key="k-1")
    assert other.status_code == 409
    assert wrong(other) == [("FHIR-K01", "Idempotency-Key")]
    assert submit(fresh, visit(number="V-2"), idempotency_key="k-2").status_code == 200


def test_a_refused_submission_takes_no_key(fresh: Running) -> None:
    assert submit(fresh, visit("9990000019"), idempotency_key="k-1").status_code == 422
    assert submit(fresh, visit(), idempotency_key="k-1").status_code == 200


def test_a_key_sent_twice_is_refused(gateway: Running) -> None:
    usual = [*gateway.headers(data_type="Fhir").items(), ("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    reply = gateway.http.post("/$ingest", content=json.dumps(visit()), headers=usual)
    assert reply.status_code == 400
    assert wrong(reply) == [("HTTP-H02", "idempotency-key")]


def test_after_a_crash_a_submission_is_read_as_it_was(gateway: Running) -> None:
    parts: Any = gateway.http
    own = parts.app.state.gateway
    envelope = Envelope(
        Sender("Fhir", "emergency-care", "r0d"), own.rules.domains["emergency-care"], None, Options(), 0.0, "k-1"
    )
    case = opened(own, Asking(own.rules.caller("demo-engine"), None, None), envelope, json.dumps(visit()).encode())
    again = reopened(own, case.submission, 0.0)
    assert again is not None
    assert (again.content, again.facts.resources) == (case.content, case.facts.resources)
    assert again.content.control_id == "k-1"


# --- identity and merge ---------------------------------------------------------------------------------------------


def test_a_message_and_a_bundle_tell_of_the_same_patient_and_visit(fresh: Running) -> None:
    assert acknowledged(fresh.send(message())).code == "AA"
    told_more = bundle(
        post(P, patient(maritalStatus={"text": "married"})),
        post(E, encounter(P, status="finished")),
        timestamp="2026-11-22T11:00:00Z",
    )
    assert [e["response"]["status"] for e in submit(fresh, told_more).json()["entry"]] == ["200 OK", "200 OK"]
    (one,) = found(fresh, "/Patient?_id=9990000018")
    assert one["name"][0]["family"] == "MARLOW"
    assert one["maritalStatus"] == {"text": "married"}
    assert [i["value"] for i in one["identifier"]] == ["9990000018", "L-9990000018"]
    (stay,) = found(fresh, "/Encounter?patient=9990000018")
    assert stay["status"] == "finished"


def test_what_is_older_changes_nothing_and_says_so(fresh: Running) -> None:
    fresh.send(message())  # EVN-2 is 10:15
    early = submit(fresh, bundle(post(P, patient(gender="male")), timestamp="2026-11-22T09:00:00Z"))
    assert any("later message" in issue["diagnostics"] for issue in told(early))
    assert found(fresh, "/Patient?_id=9990000018")[0]["gender"] == "female"
    leap = submit(fresh, bundle(post(P, patient(gender="female")), timestamp="2016-12-31T23:59:60Z"))
    assert leap.status_code == 200
    ahead = submit(fresh, bundle(post(P, patient(gender="male")), timestamp="2027-11-22T09:00:00Z"))
    assert [i["severity"] for i in told(ahead) if i.get("expression") == ["Bundle.timestamp"]] == ["warning"]


IDENTITIES: list[tuple[str, Json, Json, bool]] = [
    ("visit number without a system and with the sender's", encounter("Patient/9990000018"),
     encounter("Patient/9990000018", None, identifier=[{"value": "V-1"}]), True),
    ("an OID with and without its scheme",
     encounter("Patient/9990000018", None, identifier=[{"system": "urn:oid:1.2.3", "value": "1"}]),
     encounter("Patient/9990000018", None, identifier=[{"system": "1.2.3", "value": "1"}]), True),
    ("another system", encounter("Patient/9990000018"),
     encounter("Patient/9990000018", None, identifier=[{"system": "urn:oid:1.2.3", "value": "V-1"}]), False),
    ("an old identifier does not count", encounter("Patient/9990000018"),
     encounter("Patient/9990000018", None, identifier=[
         {"system": "R0D", "value": "V-0", "use": "old"}, {"system": "R0D", "value": "V-1"}]), True),
    ("a visit number before another", encounter("Patient/9990000018"),
     encounter("Patient/9990000018", None, identifier=[
         {"system": "R0D", "value": "X"}, {"system": "R0D", "value": "V-1", "type": {"coding": [{"code": "VN"}]}}]),
     True),
    ("the sender's own id", encounter("Patient/9990000018", None, id="e1"),
     encounter("Patient/9990000018", None, id="e1", status="finished"), True),
    ("another of the sender's own ids", encounter("Patient/9990000018", None, id="e1"),
     encounter("Patient/9990000018", None, id="e2"), False),
    ("nothing to know it by, told differently", encounter("Patient/9990000018", None),
     encounter("Patient/9990000018", None, status="finished"), False),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other", "same"), [c[1:] for c in IDENTITIES], ids=[c[0] for c in IDENTITIES])
def test_what_a_resource_is_known_by(gateway: Running, one: Json, other: Json, *, same: bool) -> None:
    ids = set()
    for resource in (one, other):
        words = [i["diagnostics"] for i in issues(submit(gateway, resource, query="?dry-run=true"))]
        ids |= {w for w in words if w.startswith("200 OK: Encounter/")}
    assert len(ids) == (1 if same else 2)


def test_what_nothing_identifies_is_the_same_when_the_same_body_comes_again(fresh: Running) -> None:
    nameless = bundle(post(P, patient()), post(None, encounter(P, None)))
    one, again = (submit(fresh, nameless, idempotency_key=key) for key in ("k-1", "k-2"))
    assert places(one) == places(again)
    assert again.json()["entry"][1]["response"]["etag"] == 'W/"1"'


def test_an_organisation_is_known_by_its_ods_code(fresh: Running) -> None:
    trust = {"resourceType": "Organization", "identifier": [{"system": ODS, "value": "r0d"}], "name": "UHD"}
    sent = bundle(
        post(P, patient()),
        post("urn:oid:1.2", trust),
        post(E, encounter(P, serviceProvider={"reference": "urn:oid:1.2"})),
    )
    assert places(submit(fresh, sent))[1] == "Organization/R0D"
    assert found(fresh, "/Encounter?patient=9990000018")[0]["serviceProvider"] == {"reference": "Organization/R0D"}


WRONG_IDENTIFIERS: list[tuple[str, Json, list[tuple[str, str]]]] = [
    ("a wrong NHS number", bundle(post(P, patient("9990000019"))),
     [("FHIR-NHS", "Bundle.entry[0].resource.identifier[0].value")]),
    ("two NHS numbers", bundle(post(P, {"resourceType": "Patient", "identifier": [
        {"system": NHS, "value": "9990000018"}, {"system": NHS, "value": "9990000026"}]})),
     [("FHIR-NHS", "Bundle.entry[0].resource.identifier[1].value")]),
    ("an NHS number as the id alone", bundle(put({"resourceType": "Patient", "id": "9990000018"})),
     [("FHIR-NHS", "Bundle.entry[0].resource.id")]),
    ("no ODS code",
     bundle(post(None, {"resourceType": "Organization", "identifier": [{"system": ODS, "value": "??"}]})),
     [("FHIR-ODS", "Bundle.entry[0].resource.identifier[0].value")]),
    ("one resource told twice, differently", bundle(post(P, patient()), post(E, patient(gender="female"))),
     [("FHIR-TWICE", "Bundle.entry[1].resource")]),
]  # fmt: skip


@pytest.mark.parametrize(("sent", "errors"), [c[1:] for c in WRONG_IDENTIFIERS], ids=[c[0] for c in WRONG_IDENTIFIERS])
def test_who_something_is_must_be_plain(gateway: Running, sent: Json, errors: list[tuple[str, str]]) -> None:
    reply = submit(gateway, sent)
    assert reply.status_code == 422
    assert wrong(reply) == errors


def test_the_same_resource_told_twice_alike_is_taken_once(fresh: Running) -> None:
    reply = submit(fresh, bundle(post(P, patient()), post(E, patient())))
    assert places(reply) == ["Patient/9990000018"] * 2


# --- references -----------------------------------------------------------------------------------------------------

REFERENCES: list[tuple[str, str, Json]] = [
    ("urn:uuid", P, post(P, patient())),
    ("a relative address", "Patient/p1", {**put(patient(id="p1"))}),
    ("an address below the fullUrl's base", "Patient/p1",
     put(patient(id="p1")) | {"fullUrl": "http://pas.example/fhir/Patient/p1"}),
    ("an absolute address", "http://pas.example/fhir/Patient/p1",
     put(patient(id="p1")) | {"fullUrl": "http://pas.example/fhir/Patient/p1"}),
    ("a version of it", "http://pas.example/fhir/Patient/p1/_history/3",
     put(patient(id="p1")) | {"fullUrl": "http://pas.example/fhir/Patient/p1"}),
    ("a conditional reference to an entry", "Patient?identifier=urn:x|7",
     post(P, {"resourceType": "Patient", "identifier": [
         {"system": NHS, "value": NHS_NUMBER}, {"system": "urn:x", "value": "7"}]})),
    ("a conditional reference by NHS number", f"Patient?identifier={NHS}|999 000 0018", post(P, patient())),
    ("the record's own id", "Patient/9990000018", post(P, patient())),
]  # fmt: skip


@pytest.mark.parametrize(("reference", "entry"), [c[1:] for c in REFERENCES], ids=[c[0] for c in REFERENCES])
def test_a_reference_follows_what_it_means(fresh: Running, reference: str, entry: Json) -> None:
    reply = submit(fresh, bundle(entry, post(E, encounter(reference))))
    assert reply.status_code == 200, reply.text
    assert not [issue for issue in told(reply) if issue["severity"] == "warning"]
    assert found(fresh, "/Encounter?patient=9990000018")[0]["subject"] == {"reference": "Patient/9990000018"}


def test_a_reference_by_identifier_finds_its_entry(fresh: Running) -> None:
    by_identifier = {"type": "Patient", "identifier": {"system": NHS, "value": NHS_NUMBER}}
    submit(fresh, bundle(post(P, patient()), post(E, {**encounter(P), "subject": by_identifier})))
    (stay,) = found(fresh, "/Encounter?patient=9990000018")
    assert stay["subject"] == {"reference": "Patient/9990000018", **by_identifier}


def test_links_in_narratives_and_contained_resources_follow(fresh: Running) -> None:
    text = {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml"><a href="{P}">her</a></div>'}
    held = {"resourceType": "RelatedPerson", "id": "r", "patient": {"reference": P}}
    stay = encounter(P, text=text, contained=[held], participant=[{"individual": {"reference": "#r"}}])
    reply = submit(fresh, bundle(post(P, patient()), post(E, stay)))
    kept = stored(fresh, places(reply)[1])
    assert 'href="Patient/9990000018"' in kept["text"]["div"]
    assert kept["contained"][0]["patient"] == {"reference": "Patient/9990000018"}
    assert kept["participant"][0]["individual"] == {"reference": "#r"}


UNRESOLVED = [
    ("an entry that is not there", "urn:uuid:0c4b3d0e-9a51-4a2f-8f57-0a4f8d3b7c09", 422),
    ("a patient whom nobody knows", "Patient/p9", 422),
    ("a patient elsewhere", "http://pas.example/fhir/Patient/p9", 422),
    ("a patient by a number that may not be the strongest", "Patient?identifier=urn:x|7", 422),
    ("a search by something else", "Patient?family=Marlow", 422),
    ("a search for one of several", "Patient?identifier=1,2", 422),
    ("a search of no type", "Persons?identifier=1", 422),
]


@pytest.mark.parametrize(("reference", "status"), [c[1:] for c in UNRESOLVED], ids=[c[0] for c in UNRESOLVED])
def test_a_reference_that_means_nothing_is_refused(gateway: Running, reference: str, status: int) -> None:
    reply = submit(gateway, bundle(post(P, patient()), post(E, encounter(reference))))
    assert reply.status_code == status
    assert wrong(reply) == [("FHIR-REF", "Bundle.entry[1].resource.subject.reference")]


def test_a_reference_to_what_else_is_not_there_is_kept_with_a_warning(fresh: Running) -> None:
    stay = encounter(P, participant=[{"individual": {"reference": "Practitioner/d7"}}])
    reply = submit(fresh, bundle(post(P, patient()), post(E, stay)))
    (warning,) = [issue for issue in told(reply) if issue["severity"] == "warning"]
    assert warning["expression"] == ["Bundle.entry[1].resource.participant[0].individual.reference"]
    kept = stored(fresh, places(reply)[1])
    assert kept["participant"][0]["individual"] == {"reference": "Practitioner/d7"}


# --- what is asked to be done ---------------------------------------------------------------------------------------

REQUESTS: list[tuple[str, Json, int, list[tuple[str, str]]]] = [
    ("GET", {"request": {"method": "GET", "url": "Patient/1"}}, 422,
     [("FHIR-METHOD", "Bundle.entry[0].request.method")]),
    ("DELETE", {"request": {"method": "DELETE", "url": "Patient/1"}}, 422,
     [("FHIR-METHOD", "Bundle.entry[0].request.method")]),
    ("PATCH", {"resource": patient(), "request": {"method": "PATCH", "url": "Patient/1"}}, 422,
     [("FHIR-METHOD", "Bundle.entry[0].request.method")]),
    ("POST of nothing", {"request": {"method": "POST", "url": "Patient"}}, 422,
     [("FHIR-BUNDLE", "Bundle.entry[0].resource")]),
    ("POST of another type", post(P, patient(), url="Encounter"), 422, [("FHIR-URL", "Bundle.entry[0].request.url")]),
    ("PUT under another id", put(patient(id="p1"), "Patient/p2"), 422, [("FHIR-URL", "Bundle.entry[0].request.url")]),
    ("PUT without an id", put(patient(), "Patient/p2"), 422, [("FHIR-URL", "Bundle.entry[0].request.url")]),
    ("PUT", put(patient(id="p1")), 200, []),
    ("PUT by identifier", put(patient(), f"Patient?identifier={NHS}|{NHS_NUMBER}"), 200, []),
    ("PUT by a name", put(patient(), "Patient?family=Marlow"), 422, [("FHIR-COND", "Bundle.entry[0].request.url")]),
    ("ifNoneExist", post(P, patient(), ifNoneExist=f"identifier={NHS}|{NHS_NUMBER}"), 200, []),
    ("ifNoneExist by a name", post(P, patient(), ifNoneExist="family=Marlow"), 422,
     [("FHIR-COND", "Bundle.entry[0].request.ifNoneExist")]),
    ("ifMatch", put(patient(id="p1"), ifMatch='W/"1"'), 422, [("FHIR-COND", "Bundle.entry[0].request.ifMatch")]),
    ("a Bundle in a Bundle", post(P, bundle(kind="collection")), 422, [("FHIR-BUNDLE", "Bundle.entry[0].resource")]),
    ("rules that nobody knows", post(P, patient(implicitRules="urn:x")), 422,
     [("FHIR-RULES", "Bundle.entry[0].resource.implicitRules")]),
]  # fmt: skip


@pytest.mark.parametrize("kind", ["transaction", "batch"])
@pytest.mark.parametrize(("entry", "status", "errors"), [c[1:] for c in REQUESTS], ids=[c[0] for c in REQUESTS])
def test_what_an_entry_may_ask(
    gateway: Running, kind: str, entry: Json, status: int, errors: list[tuple[str, str]]
) -> None:
    reply = submit(gateway, bundle(entry, kind=kind))
    assert reply.status_code == status, reply.text
    assert wrong(reply) == errors


def test_if_none_exist_leaves_what_stands(fresh: Running) -> None:
    fresh.send(message())
    known = f"identifier={NHS}|{NHS_NUMBER}"
    reply = submit(fresh, bundle(post(P, patient(gender="male"), ifNoneExist=known), post(E, encounter(P, "V-9"))))
    assert [e["response"]["status"] for e in reply.json()["entry"]] == ["200 OK", "201 Created"]
    assert found(fresh, "/Patient?_id=9990000018")[0]["gender"] == "female"
    # the same content is no longer known to leave it as it is
    later = submit(fresh, bundle(post(P, patient(gender="male")), timestamp="2026-11-22T12:00:00Z"))
    assert later.json()["entry"][0]["response"]["etag"] == 'W/"2"'
    assert found(fresh, "/Patient?_id=9990000018")[0]["gender"] == "male"


def test_a_batch_is_judged_as_one_submission(fresh: Running) -> None:
    mixed = bundle(post(P, patient()), post(E, encounter(P, status="planned")), kind="batch")
    assert submit(fresh, mixed).status_code == 422
    assert found(fresh, "/Patient?_id=9990000018") == []


# --- marks, Provenance, injection -----------------------------------------------------------------------------------


def test_a_sender_cannot_write_the_gateways_marks(fresh: Running) -> None:
    forged = {
        "versionId": "77",
        "source": "urn:x:somebody",
        "tag": [
            {"system": ORGANISATION_TAG, "code": "RDZ"},
            {"system": "urn:x/CodeSystem/contributing-organisation", "code": "RDZ"},  # rules know it by its end
            {"system": "urn:x", "code": "own"},
        ],
        "extension": [{"url": TOLD, "valueInstant": "2099-01-01T00:00:00Z"}],
        "security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}],
    }
    reply = submit(fresh, bundle(post(P, patient(meta=forged))))
    assert [i["details"]["coding"][0]["code"] for i in told(reply) if i["severity"] == "warning"] == ["FHIR-MARKS"]
    meta = stored(fresh, "Patient/9990000018")["meta"]
    assert meta["versionId"] == "1"
    assert meta["source"] == "urn:uuid:" + reply.headers["location"].rpartition("/")[2]
    assert {tag["code"] for tag in meta["tag"]} == {"R0D", "emergency-care", "own"}
    assert [e["valueInstant"][:4] for e in meta["extension"] if e["url"] == TOLD] == ["2026"]
    assert meta["security"][0]["code"] == "R"


def test_a_provenance_names_the_submission_the_sender_and_what_it_told(fresh: Running) -> None:
    sent = visit(identifier={"system": "urn:x", "value": "B-7"}, timestamp="2026-11-22T10:30:00Z")
    reply = submit(fresh, sent, idempotency_key="k-1")
    ((_, made),) = [(e["fullUrl"], e["resource"]) for e in stored(fresh, "Provenance")["entry"]]
    assert {t["reference"] for t in made["target"]} == {"Organization/R0D", *places(reply)}
    assert made["entity"][0]["what"]["identifier"] == {"system": "urn:x", "value": "B-7"}
    assert made["agent"][0]["who"] == {"reference": "Organization/R0D"}
    assert made["occurredDateTime"] == "2026-11-22T10:30:00Z"


def test_a_visit_without_a_provider_is_its_senders(fresh: Running) -> None:
    submit(fresh, visit())
    assert found(fresh, "/Encounter?patient=9990000018")[0]["serviceProvider"] == {"reference": "Organization/R0D"}


@pytest.mark.parametrize("text", ["MSA|AA|1", "\r\nMSA|AA", "</div>", '"}]}', "\u2028", "{{7*7}}", "$ingest"])
def test_texts_of_a_sender_stay_texts(fresh: Running, text: str) -> None:
    reply = submit(fresh, bundle(post(P, patient(name=[{"family": text}], colour=text))))
    assert reply.status_code == 400
    reply = submit(fresh, bundle(post(P, patient(name=[{"family": text.strip() or "x"}]))))
    assert reply.status_code == 200
    assert stored(fresh, "Patient/9990000018")["name"][0]["family"] == (text.strip() or "x")


def test_decimals_stay_as_they_were_written(fresh: Running) -> None:
    body = json.dumps(bundle(post(P, patient()), post(E, {
        "resourceType": "Observation", "status": "final", "code": {"text": "weight"}, "subject": {"reference": P},
        "identifier": [{"value": "O-1"}], "valueQuantity": {"value": 0, "unit": "kg"},
    }))).replace('"value": 0', '"value": 72.500')  # fmt: skip
    reply = submit(fresh, body.encode())
    assert b'"value":72.500' in recorded(fresh, places(reply)[1])


def test_a_large_bundle_is_stored_whole(fresh: Running) -> None:
    entries = [post(P, patient()), *(post(None, encounter(P, f"L-{i}")) for i in range(600))]
    reply = submit(fresh, bundle(*entries))
    assert (reply.status_code, len(reply.json()["entry"])) == (200, 601)
    assert {entry["response"]["status"] for entry in reply.json()["entry"]} == {"201 Created"}


# --- the rules folder -----------------------------------------------------------------------------------------------


def test_every_sample_meets_the_outcome_in_its_name(fresh: Running, repository: Path) -> None:
    files = sorted((repository / "rules" / "samples" / "emergency-care").glob("*.json"))
    assert {file.name.partition("-")[0] for file in files} == {"accepted", "refused"}
    for file in files:
        reply = submit(fresh, file.read_bytes())
        assert (reply.status_code == 200) == file.name.startswith("accepted-"), (file.name, reply.text)
    (stay,) = found(fresh, "/Encounter?patient=9990000123")
    assert stay["status"] == "finished"


def test_entries_that_wait_for_their_target_are_said_to_be_accepted(tmp_path: Path, repository: Path) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    for file in (repository / "rules").glob("*.rules"):
        text = file.read_text("utf-8")
        head, mark, tail = text.partition("route EC-R2")
        (rules / file.name).write_text(
            head + mark + tail.replace("failure reject", "failure queue for 1 hour"), "utf-8"
        )
    loaded = rule_sets.decisions(rules, repository / "specs")
    down = {"record": "http://127.0.0.1:9/", "bed-board": "folder:b"}
    with running(tmp_path / "data", loaded, targets=down) as lone:
        reply = submit(lone, visit())
        assert reply.status_code == 202, reply.text
        responses = [entry["response"] for entry in reply.json()["entry"]]
        assert {response["status"] for response in responses} == {"202 Accepted"}
        assert responses[0]["location"] == "Patient/9990000018"
        assert "etag" not in responses[0]


def test_a_visit_does_not_lose_its_patient_on_the_way_to_another(fresh: Running) -> None:
    assert submit(fresh, visit()).status_code == 200
    told = encounter("Patient/9990000018")
    del told["subject"]
    reply = submit(fresh, told)
    assert reply.status_code == 422
    assert [(i["details"]["coding"][0]["code"], i["expression"]) for i in issues(reply)] == [
        ("DLV-01", ["Encounter.subject"])
    ]
