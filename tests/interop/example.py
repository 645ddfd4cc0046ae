"""The worked example through a gateway whose record is a FHIR server somewhere else: what holds for any such server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from gateway.assemble import CLIENTS
from gateway.client import Answer, GatewayClient, Sent, load_credential
from tests.traffic import DOMAIN, ENGINE, ORGANISATION, PARTNER, SAMPLE, Server, admissions, start_gateway

NHS_NUMBER = "9990000018"
UPDATE = SAMPLE.with_name("accepted-a08-update.hl7")
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


def check_admission_and_update(server: Server, upstream: str) -> None:
    admitted = send(server, SAMPLE.read_bytes())
    assert (admitted.status, admitted.code) == (200, "AA"), admitted.text
    for post in (False, True):
        (patient,) = resources(found := ask(server, "Patient", ("_id", NHS_NUMBER), post=post))
        assert found.resource["total"] == 1
        assert found.resource["entry"][0]["fullUrl"] == f"{server.url}/Patient/{NHS_NUMBER}"
        assert (patient["id"], patient["name"][0]["family"]) == (NHS_NUMBER, "Tallis")
        assert patient["address"][0]["line"][0] == "14 Lanterns Row"
        assert "telecom" not in patient
        assert patient["meta"]["versionId"] == "1"
        assert upstream.encode() not in found.body
    first = visits(server)
    updated = send(server, UPDATE.read_bytes())
    assert (updated.status, updated.code) == (200, "AA"), updated.text
    (patient,) = resources(ask(server, "Patient", ("_id", NHS_NUMBER)))
    assert [address["line"][0] for address in patient["address"]] == ["3 Ropewalk Terrace"]
    assert patient["meta"]["versionId"] == "2"
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
