"""The worked example through a gateway whose record is a FHIR server somewhere else: what holds for any such server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx

from gateway.client import Answer, GatewayClient, Sent, load_credential
from gateway.config import CLIENTS
from tests.traffic import DOMAIN, ENGINE, ORGANISATION, PARTNER, SAMPLE, Server, admissions, start_gateway

NHS_NUMBER = "9990000018"
UPDATE = SAMPLE.with_name("accepted-a08-update.hl7")
WRITER = "demo-writer"
VISITS = 5
A_PAGE = 2


def gateway_on(data: Path, record: str) -> Server:
    """A demo gateway whose target `record` is at an address."""
    data.mkdir(parents=True)
    (data / "gateway.toml").write_text(
        'environment = "demo"\nclient_secrets = true\n\n[targets]\n'
        f'bed-board = "folder:bed-board"\nrecord = "{record}"\n',
        "utf-8",
    )
    return start_gateway(data)


def client(server: Server, principal: str) -> GatewayClient:
    return GatewayClient(server.url, principal, load_credential(server.data / CLIENTS / f"{principal}.json"))


def send(server: Server, body: bytes) -> Sent:
    with client(server, ENGINE) as engine:
        return engine.send(body, domain=DOMAIN, organisation=ORGANISATION)


def ask(server: Server, kind: str, *parameters: tuple[str, str], post: bool = False) -> Answer:
    with client(server, PARTNER) as partner:
        return partner.search(kind, parameters, post=post, purpose="TREAT")


def resources(answer: Answer) -> list[dict[str, Any]]:
    assert answer.status == 200, answer.body
    return [entry["resource"] for entry in answer.resource.get("entry", ())]


def check_admission_and_update(server: Server, upstream: str, *, counted: bool = True) -> None:
    """A patient is admitted, found and changed. Shape: `counted` says whether the record counts versions."""
    admitted = send(server, SAMPLE.read_bytes())
    assert (admitted.status, admitted.code) == (200, "AA"), admitted.text
    for post in (False, True):
        (patient,) = resources(found := ask(server, "Patient", ("_id", NHS_NUMBER), post=post))
        assert found.resource["total"] == 1
        assert found.resource["entry"][0]["fullUrl"] == f"{server.url}/Patient/{NHS_NUMBER}"
        assert (patient["id"], patient["name"][0]["family"]) == (NHS_NUMBER, "Tallis")
        assert patient["address"][0]["line"][0] == "14 Lanterns Row"
        assert "telecom" not in patient
        version = patient["meta"]["versionId"]
        assert not counted or version == "1"
        assert upstream.encode() not in found.body
    first = visits(server)
    updated = send(server, UPDATE.read_bytes())
    assert (updated.status, updated.code) == (200, "AA"), updated.text
    (patient,) = resources(ask(server, "Patient", ("_id", NHS_NUMBER)))
    assert [address["line"][0] for address in patient["address"]] == ["3 Ropewalk Terrace"]
    assert patient["meta"]["versionId"] == "2" if counted else patient["meta"]["versionId"] != version
    (visit,) = visits(server)
    assert [visit["id"]] == [each["id"] for each in first]
    assert visit["subject"]["reference"] == f"Patient/{NHS_NUMBER}"
    with client(server, PARTNER) as partner:
        read = partner.read("Patient", NHS_NUMBER, purpose="TREAT")
        assert (read.status, read.resource) == (200, patient)
        assert partner.read("Patient", "9990000026", purpose="TREAT").status == 404


def visits(server: Server) -> list[dict[str, Any]]:
    return resources(ask(server, "Encounter", ("patient", NHS_NUMBER)))


def check_unchanged_writes_nothing(server: Server) -> None:
    """Another message that says what stands already makes no new version."""
    before = resources(ask(server, "Patient", ("_id", NHS_NUMBER)))
    again = send(server, UPDATE.read_bytes().replace(b"EC-A08-0001", b"EC-A08-0002"))
    assert (again.status, again.code) == (200, "AA"), again.text
    assert resources(ask(server, "Patient", ("_id", NHS_NUMBER))) == before


def check_pages(server: Server, upstream: str) -> None:
    """Visits of one patient, two a page, by the links that the gateway gives."""
    nhs_number = "9990001111"
    for _, other, _, body in admissions(VISITS, 100):
        sent = send(server, body.replace(other.encode(), nhs_number.encode()))
        assert (sent.status, sent.code) == (200, "AA"), sent.text
    seen = [visit["id"] for page in pages(server, upstream, nhs_number) for visit in page]
    assert len(seen) == len(set(seen)) == VISITS


def pages(server: Server, upstream: str, nhs_number: str) -> Iterator[list[dict[str, Any]]]:
    asked = [("patient", f"Patient/{nhs_number}"), ("_count", str(A_PAGE))]
    parameters = asked
    for _ in range(VISITS):
        answer = ask(server, "Encounter", *parameters)
        assert upstream.encode() not in answer.body
        page = resources(answer)
        assert len(page) <= A_PAGE
        yield page
        following = [link["url"] for link in answer.resource["link"] if link["relation"] == "next"]
        if not following:
            return
        address = urlsplit(following[0])
        assert f"{address.scheme}://{address.netloc}{address.path}" == f"{server.url}/Encounter"
        parameters = parse_qsl(address.query)
        assert [name for name, _ in parameters] == ["_page"]
    raise AssertionError("the pages do not end")


FLAG: dict[str, Any] = {
    "resourceType": "Flag",
    "status": "active",
    "code": {"text": "Needs a hearing loop"},
    "subject": {"reference": f"Patient/{NHS_NUMBER}"},
    "period": {"start": "2026-01-01"},
    "author": {"reference": "Organization/RDZ"},
}
BESIDE = {"url": "urn:example:beside"}
FIRST = "urn:uuid:3f1c7e52-2f0e-4a3e-9a53-3a5a6a0f0d11"


def check_writes(server: Server, upstream: str) -> None:
    """Create, update, conditions, versions, batch and transaction as the demo writer, whatever the record is."""
    with client(server, WRITER) as writer:
        token = writer.token()
    headers = {"Authorization": f"Bearer {token}", "purpose-of-use": "TREAT", "Content-Type": "application/fhir+json"}
    with httpx.Client(base_url=server.url, headers=headers, trust_env=False, timeout=30) as http:
        exist = {"If-None-Exist": "identifier=urn:example:flags|F-1"}
        first = {**FLAG, "identifier": [{"system": "urn:example:flags", "value": "F-1"}]}
        made = http.post("/Flag", json=first, headers=exist)
        assert made.status_code == 201, made.text
        id_, tag = made.json()["id"], made.headers["etag"]
        assert made.headers["location"].startswith(f"{server.url}/Flag/{id_}/_history/")
        assert made.headers["last-modified"].endswith("GMT")
        again = http.post("/Flag", json=first, headers=exist)
        assert (again.status_code, again.json()["id"], again.headers["etag"]) == (200, id_, tag)
        read = http.get(f"/Flag/{id_}")
        assert (read.status_code, read.headers["etag"]) == (200, tag)
        assert http.get(f"/Flag/{id_}", headers={"If-None-Match": tag}).status_code == 304
        changed = {**read.json(), "status": "inactive"}
        updated = http.put(f"/Flag/{id_}", json=changed, headers={"If-Match": tag})
        assert updated.status_code == 200, updated.text
        assert updated.headers["etag"] != tag
        assert http.put(f"/Flag/{id_}", json=changed, headers={"If-Match": tag}).status_code == 412
        assert [one["resource"]["status"] for one in http.get(f"/Flag/{id_}/_history").json()["entry"]] == [
            "inactive", "active"
        ]  # fmt: skip
        version = made.headers["location"].rpartition("/")[2]
        assert http.get(f"/Flag/{id_}/_history/{version}").json()["status"] == "active"
        where = http.put("/Flag?identifier=urn:example:flags|F-1", json={**first, "status": "entered-in-error"})
        assert (where.status_code, where.json()["id"]) == (200, id_), where.text
        assert http.put("/Flag/chosen-1", json={**FLAG, "id": "chosen-1"}).status_code == 201
        counted = http.get("/Flag", params={"patient": NHS_NUMBER, "_summary": "count"})
        assert counted.json()["total"] == 2, counted.text
        _check_bundles(http, server)
        for answer in (made, read, updated, http.get(f"/Flag/{id_}/_history")):
            assert upstream not in answer.text + str(answer.headers)


def _check_bundles(http: httpx.Client, server: Server) -> None:
    entries: list[dict[str, Any]] = [
        {"fullUrl": FIRST, "resource": FLAG, "request": {"method": "POST", "url": "Flag"}},
        {
            "resource": {**FLAG, "extension": [{**BESIDE, "valueReference": {"reference": FIRST}}]},
            "request": {"method": "POST", "url": "Flag"},
        },
    ]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    stored = http.post("/", json=bundle, headers={"Prefer": "return=representation"})
    assert stored.status_code == 200, stored.text
    one, other = (entry["resource"] for entry in stored.json()["entry"])
    assert other["extension"][0]["valueReference"]["reference"] == f"Flag/{one['id']}"
    assert stored.json()["entry"][0]["response"]["location"].startswith(f"{server.url}/Flag/{one['id']}")
    broken = [entries[0], {**entries[1], "resource": {**FLAG, "author": {"reference": "Organization/R0D"}}}]
    before = http.get("/Flag", params={"patient": NHS_NUMBER, "_count": "0"}).json()["total"]
    assert http.post("/", json={**bundle, "entry": broken}).status_code == 403
    assert http.get("/Flag", params={"patient": NHS_NUMBER, "_count": "0"}).json()["total"] == before
    reads = [{"request": {"method": "GET", "url": f"Flag/{one['id']}"}}, {"request": {"method": "GET", "url": "Flag"}}]
    batch = http.post("/", json={"resourceType": "Bundle", "type": "batch", "entry": reads}).json()
    assert [entry["response"]["status"][:3] for entry in batch["entry"]] == ["200", "403"]
