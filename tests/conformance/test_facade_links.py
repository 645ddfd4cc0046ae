"""An upstream's own address never shows: its links, its references and whatever else names it, as structures.

Source: `facade.md` of the design, "Links"
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from httpx import Response

from gateway import loading
from gateway.upstream import store
from tests import rule_sets
from tests.conformance.test_facade_bundles import bundle, entry
from tests.conformance.test_facade_writes import ask, flag
from tests.records import served
from tests.running import NHS_NUMBER, Running, running

Json = dict[str, Any]
OWN = "http://localhost:8000"
RULES = """
permit T-P1 "Keepers see baskets and Bundles"
  to search, read, history, update, create Basic, Bundle, DocumentReference, Patient
  when caller has role flag-keeper
  allowing _id, identifier, patient, code, subject
  all rows
permit T-P2 "and all of a patient"
  to operation everything Patient, DocumentReference, Basic
  when caller has role flag-keeper
  all rows
permit T-P3 "and all of all"
  to operation export Patient, DocumentReference, Basic
  when caller has role flag-keeper
  all rows
"""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> loading.Decisions:
    return rule_sets.with_more(tmp_path_factory.mktemp("linked") / "rules", repository, {"care-flags.rules": RULES})


def resources(base: str) -> list[Json]:
    """Resources as a server may hold them that writes its own address into what it keeps."""
    loud = base.replace("http://", "HTTP://")
    div = f'<div xmlns="http://www.w3.org/1999/xhtml"><a href="{base}/Patient/{NHS_NUMBER}">here</a></div>'
    return [
        {"resourceType": "Patient", "id": NHS_NUMBER,
         "managingOrganization": {"reference": f"{base}/Organization/R0D"}},
        flag(
            id="told", subject={"reference": f"{base}/Patient/{NHS_NUMBER}"},
            encounter={"reference": f"{loud}/Encounter/e/_history/2"}, author={"reference": f"{base}/Organization/RDZ"},
            text={"status": "generated", "div": div},
            extension=[{"url": "urn:example:also", "valueUri": f"{base}/Flag/told"}],
            contained=[{"resourceType": "Basic", "id": "in", "code": {"text": "x"}, "author": {"reference": "#"},
                        "subject": {"reference": f"{base}/Patient/{NHS_NUMBER}"}}],
        ),
        {"resourceType": "DocumentReference", "id": "letter", "status": "current", "subject":
            {"reference": f"{base}/Patient/{NHS_NUMBER}"}, "content": [{"attachment": {"url": f"{base}/Binary/b-1"}}]},
        {"resourceType": "Basic", "id": "plain", "code": {"text": f"see {base[7:]} and embedded"},
         "subject": {"reference": "https://elsewhere.example.org/fhir/Patient/1"}},
        {"resourceType": "Bundle", "id": "kept", "type": "searchset",
         "link": [{"relation": "self", "url": f"{base}/Basic"}],
         "entry": [{"fullUrl": f"{base}/Basic/plain", "resource": {"resourceType": "Basic", "id": "plain",
                    "code": {"text": "x"}, "subject": {"reference": f"{base}/Patient/{NHS_NUMBER}"}}}]},
    ]  # fmt: skip


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, loaded: loading.Decisions) -> Iterator[tuple[Running, str]]:
    data = tmp_path_factory.mktemp("data")
    with served(store.app(data / "elsewhere.db")) as base:
        entries = [
            {"resource": one, "request": {"method": "PUT", "url": f"{one['resourceType']}/{one['id']}"}}
            for one in resources(base)
        ]
        body = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        answer = httpx.post(base, json=body, headers={"Content-Type": "application/fhir+json"}, trust_env=False)
        assert answer.status_code == 200, answer.text
        settings = {"bed-board": "folder:bed-board", "record": base}
        with running(data / "gateway", loaded, targets=settings) as one:
            yield one, base


ASKED = (
    ("GET", f"/Patient/{NHS_NUMBER}"), ("GET", f"/Patient?_id={NHS_NUMBER}"), ("GET", "/Flag/told"),
    ("GET", "/Flag/told/_history"), ("GET", "/Flag/told/_history/1"), ("GET", f"/Flag?patient={NHS_NUMBER}"),
    ("GET", "/Flag?_id=told&_summary=true"), ("GET", "/Flag?_id=told&_elements=subject"),
    ("GET", "/Flag?_id=told,other"),
    ("GET", "/DocumentReference/letter"), ("GET", "/DocumentReference?_id=letter"), ("GET", "/Bundle/kept"),
    ("GET", "/Bundle?_id=kept"), ("GET", "/Bundle/kept/_history"), ("GET", f"/Patient/{NHS_NUMBER}/$everything"),
    ("GET", "/Flag?_id=told&_include=Flag:patient"), ("GET", f"/Patient?_id={NHS_NUMBER}&_revinclude=Flag:patient"),
)  # fmt: skip


def names(base: str, answer: Response) -> bool:
    """Whether an answer names the upstream, however it is written."""
    place = base.partition("//")[2]
    every = answer.text + json.dumps(dict(answer.headers))
    return place in every.replace("\\/", "/")


@pytest.mark.parametrize(("method", "address"), ASKED)
def test_no_answer_names_the_upstream(told: tuple[Running, str], method: str, address: str) -> None:
    one, base = told
    answer = ask(one, method, address)
    assert answer.status_code == 200, answer.text
    assert not names(base, answer), answer.text
    if "$" not in address:
        alike = ask(one, "POST", "/", bundle("batch", entry(method, address.removeprefix("/"))))
        assert alike.json()["entry"][0]["response"]["status"] == "200 OK", alike.text
        assert not names(base, alike)


def test_references_to_the_upstream_are_relative_and_other_addresses_the_gateways(told: tuple[Running, str]) -> None:
    one, _ = told
    read = ask(one, "GET", "/Flag/told").json()
    assert read["subject"] == {"reference": f"Patient/{NHS_NUMBER}"}
    assert read["encounter"] == {"reference": "Encounter/e/_history/2"}
    assert read["extension"][0]["valueUri"] == f"{OWN}/Flag/told"
    assert "text" not in read, "a narrative that links there goes"
    assert read["contained"][0]["subject"] == {"reference": f"Patient/{NHS_NUMBER}"}
    letter = ask(one, "GET", "/DocumentReference/letter").json()
    assert letter["content"][0]["attachment"]["url"] == f"{OWN}/Binary/b-1"
    kept = ask(one, "GET", "/Bundle/kept").json()
    assert kept["link"] == [{"relation": "self", "url": f"{OWN}/Basic"}]
    assert kept["entry"][0]["fullUrl"] == f"{OWN}/Basic/plain"


def test_what_another_server_is_called_stays(told: tuple[Running, str]) -> None:
    one, base = told
    read = ask(one, "GET", "/Basic/plain")
    assert read.json()["subject"] == {"reference": "https://elsewhere.example.org/fhir/Patient/1"}
    assert base[7:] in read.json()["code"]["text"], "text that people wrote is not changed"


def test_rules_read_references_to_the_upstream_as_what_they_are(told: tuple[Running, str]) -> None:
    """The flag is among the keeper's rows: its author is RDZ, by whatever address."""
    one, _ = told
    assert ask(one, "GET", "/Flag/told").status_code == 200
    answer = ask(one, "PATCH", "/Flag/told", b'[{"op":"replace","path":"/status","value":"inactive"}]',
                 **{"Content-Type": "application/json-patch+json"})  # fmt: skip
    assert answer.status_code == 200, answer.text


def test_what_is_written_keeps_no_address_of_the_upstream(told: tuple[Running, str]) -> None:
    one, base = told
    made = ask(one, "POST", "/Flag", flag(subject={"reference": f"{base}/Patient/{NHS_NUMBER}"}))
    assert made.status_code == 201, made.text
    assert made.json()["subject"] == {"reference": f"Patient/{NHS_NUMBER}"}
    assert made.headers["location"].startswith(f"{OWN}/Flag/")
    stored = httpx.get(f"{base}/Flag/{made.json()['id']}", trust_env=False)
    assert stored.json()["subject"] == {"reference": f"Patient/{NHS_NUMBER}"}
    (response,) = ask(one, "POST", "/", bundle("transaction", entry("POST", "Flag", flag()))).json()["entry"]
    assert response["response"]["location"].startswith(f"{OWN}/Flag/")


def test_pages_are_the_gateways(told: tuple[Running, str]) -> None:
    one, base = told
    for _ in range(3):
        assert ask(one, "POST", "/Flag", flag()).status_code == 201
    address: str | None = f"/Flag?patient={NHS_NUMBER}&_count=1"
    pages = 0
    while address is not None:
        answer = ask(one, "GET", address)
        assert answer.status_code == 200
        assert not names(base, answer)
        links = {link["relation"]: link["url"] for link in answer.json()["link"]}
        assert all(url.startswith(f"{OWN}/Flag") for url in links.values())
        address = links["next"].removeprefix(OWN) if "next" in links else None
        pages += 1
    assert pages >= 4


REFUSED = (
    ("GET", "/Flag/none", None), ("GET", "/Flag?date=2026", None), ("GET", "/Flag?nonsense=1", None),
    ("PUT", "/Flag/told", flag(id="told", status="x")), ("POST", "/Flag", flag(nonsense=1)),
    ("PUT", "/Flag?date=2026", flag()), ("DELETE", "/Patient/1", None), ("GET", "/$export", None),
)  # fmt: skip


@pytest.mark.parametrize(("method", "address", "body"), REFUSED)
def test_no_refusal_names_the_upstream(told: tuple[Running, str], method: str, address: str, body: Json | None) -> None:
    one, base = told
    answer = ask(one, method, address, body)
    assert answer.status_code >= 400
    assert not names(base, answer)
