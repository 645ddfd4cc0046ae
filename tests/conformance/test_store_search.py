"""Searches of the embedded store, a case a line: what is searched for, and which resources fit.

Source: https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from gateway import query, specs
from gateway.upstream import store
from gateway.upstream.embedded import Embedded
from gateway.upstream.store.schema import open_reader, parameters
from gateway.upstream.store.search import Searching, search

JSON = {"content-type": "application/fhir+json"}
NHS = "https://fhir.nhs.uk/Id/nhs-number"
UCUM = "http://unitsofmeasure.org"
GENDER = "http://hl7.org/fhir/administrative-gender"


def quantity(id_: str, **value: Any) -> dict[str, Any]:
    return {"resourceType": "Observation", "id": id_, "valueQuantity": value}


RESOURCES: list[dict[str, Any]] = [
    {
        "resourceType": "Patient", "id": "p1", "active": True, "gender": "female", "birthDate": "1980-02-03",
        "meta": {"profile": ["http://example.org/p"], "tag": [{"system": "urn:t", "code": "R0D"}], "source": "urn:x"},
        "identifier": [{"system": NHS, "value": "9990000018"}, {"system": "urn:mrn", "value": "M|1"}],
        "name": [{"family": "Müller-Smith", "given": ["Anne", "Marie"]}, {"text": "Anne the  First"}],
        "telecom": [{"system": "email", "value": "anne@example.org"}],
        "address": [{"line": ["1 Nowhere Street"], "city": "Anytown", "postalCode": "ZZ1 1ZZ"}],
        "generalPractitioner": [{"reference": "Practitioner/d1"}, {"reference": "http://other.org/fhir/Organization/o9"}],
        "managingOrganization": {"reference": "http://store/Organization/o1/_history/4"},
    },
    {
        "resourceType": "Patient", "id": "p2", "gender": "male", "birthDate": "1980", "deceasedDateTime": "2020-01-01",
        "name": [{"family": "Smith", "given": ["John"]}], "identifier": [{"value": "9990000018"}],
        "managingOrganization": {"reference": "Organization/o1"},
    },
    {"resourceType": "Patient", "id": "p3", "birthDate": "1979-12-31", "name": [{"family": "Smithson"}]},
    {
        "resourceType": "Encounter", "id": "e1", "status": "finished", "subject": {"reference": "Patient/p1"},
        "period": {"start": "2024-02-13T14:00:00Z", "end": "2024-02-13T16:30:00+00:00"}, "length": {"value": 2},
    },
    {
        "resourceType": "Encounter", "id": "e2", "status": "in-progress", "subject": {"reference": "Patient/p2"},
        "period": {"start": "2024-02-13T15:00:00+01:00"},
    },
    {"resourceType": "Encounter", "id": "e3", "status": "finished", "subject": {"reference": "Group/p1"}},
    quantity("q1", value=5.4, system=UCUM, code="mg", unit="milligram"),
    quantity("q2", value=5.44, system=UCUM, code="g"),
    quantity("q3", value=5, comparator=">", unit="mg"),
    {"resourceType": "RiskAssessment", "id": "r1", "prediction": [{"probabilityDecimal": 0.8}]},
    {
        "resourceType": "RiskAssessment", "id": "r2",
        "prediction": [{"probabilityRange": {"low": {"value": 10}, "high": {"value": 20}}}],
    },
    {
        "resourceType": "QuestionnaireResponse", "id": "s1",
        "questionnaire": "http://example.org/Questionnaire/q|1.0", "status": "completed",
    },
    {"resourceType": "Organization", "id": "o1", "name": "Fictional Clinic"},
    {"resourceType": "ValueSet", "id": "v1", "url": "http://example.org/vs", "version": "1", "status": "draft"},
]  # fmt: skip

CASES = [
    ("Patient?_id=p1", "p1"),
    ("Patient?_id=p1,p2", "p1 p2"),
    ("Patient?_id:not=p1", "p2 p3"),
    ("Patient?_id=none", ""),
    ("Patient", "p1 p2 p3"),
    # string: folded, from the start; a name's parts each
    ("Patient?family=smith", "p2 p3"),
    ("Patient?family=SMITH&given=jo", "p2"),
    ("Patient?family=muller", "p1"),
    ("Patient?family=M%C3%9CLLER-smith", "p1"),
    ("Patient?family:exact=Smith", "p2"),
    ("Patient?family:exact=smith", ""),
    ("Patient?family:contains=SMITH", "p1 p2 p3"),
    ("Patient?name=anne%20the%20first", "p1"),
    ("Patient?name=marie", "p1"),
    ("Patient?given=anne,john", "p1 p2"),
    ("Patient?family:missing=true", ""),
    ("Patient?given:missing=true", "p3"),
    ("Patient?given:missing=false", "p1 p2"),
    ("Patient?address=nowhere", ""),
    ("Patient?address=1%20nowhere", "p1"),
    ("Patient?address-postalcode=zz1", "p1"),
    # token
    ("Patient?identifier=9990000018", "p1 p2"),
    (f"Patient?identifier={NHS}%7C9990000018", "p1"),
    ("Patient?identifier=%7C9990000018", "p2"),
    (f"Patient?identifier={NHS}%7C", "p1"),
    ("Patient?identifier=urn:mrn%7CM%5C%7C1", "p1"),
    ("Patient?identifier=urn:unknown%7C9990000018", ""),
    ("Patient?gender=female", "p1"),
    (f"Patient?gender={GENDER}%7Cfemale", "p1"),
    ("Patient?gender=urn:other%7Cfemale", ""),
    ("Patient?gender:not=female", "p2 p3"),
    ("Patient?active=true", "p1"),
    ("Patient?deceased=true", "p2"),
    ("Patient?deceased=false", "p1 p3"),
    ("Patient?email=anne@example.org", "p1"),
    ("Patient?phone=anne@example.org", ""),
    ("Patient?_tag=urn:t%7CR0D", "p1"),
    # date: a year is a year wide
    ("Patient?birthdate=1980-02-03", "p1"),
    ("Patient?birthdate=1980", "p1 p2"),
    ("Patient?birthdate=ne1980", "p3"),
    ("Patient?birthdate=1980-02", "p1"),
    ("Patient?birthdate=gt1980-02-02", "p1 p2"),
    ("Patient?birthdate=lt1980-02-03", "p2 p3"),
    ("Patient?birthdate=ge1980-02-03", "p1 p2"),
    ("Patient?birthdate=le1979-12-31", "p3"),
    ("Patient?birthdate=sa1979", "p1 p2"),
    ("Patient?birthdate=eb1980", "p3"),
    ("Patient?birthdate=ap1981", "p1 p2 p3"),
    ("Patient?birthdate=ap1900", ""),
    ("Encounter?date=2024-02-13", "e1"),
    ("Encounter?date=ge2024-02-13T16:00:00Z", "e1 e2"),
    ("Encounter?date=lt2024-02-13T14:00:00Z", ""),
    ("Encounter?date=le2024-02-13T14:00:00Z", ""),
    ("Encounter?date=sa2024-02-13T13:59:59Z", "e1 e2"),
    ("Patient?_lastUpdated=ge2024-02-13", "p1 p2 p3"),
    ("Patient?_lastUpdated=lt2024-02-13", ""),
    ("Patient?_lastUpdated=2024-02-13T14:49:33.581Z", "p1"),
    # number and quantity: precision
    ("RiskAssessment?probability=0.8", "r1"),
    ("RiskAssessment?probability=0.80", "r1"),
    ("RiskAssessment?probability=1", "r1"),
    ("RiskAssessment?probability=2", ""),
    ("RiskAssessment?probability=gt0.8", "r2"),
    ("RiskAssessment?probability=ge0.8", "r1 r2"),
    ("RiskAssessment?probability=lt15", "r1 r2"),
    ("RiskAssessment?probability=le10", "r1 r2"),
    ("RiskAssessment?probability=sa9", "r2"),
    ("RiskAssessment?probability=eb9", "r1"),
    ("RiskAssessment?probability=ne0.8", "r2"),
    ("RiskAssessment?probability=ap0.85", "r1"),
    ("Observation?value-quantity=5.4", "q1 q2"),
    ("Observation?value-quantity=5.40", "q1"),
    ("Observation?value-quantity=5.4%7C%7Cmg", "q1"),
    ("Observation?value-quantity=ge5%7C%7Cmg", "q1 q3"),
    (f"Observation?value-quantity=5.4%7C{UCUM}%7Cg", "q2"),
    ("Observation?value-quantity=5.4%7Curn:x%7Cg", ""),
    ("Observation?value-quantity=gt1000", "q3"),
    # reference
    ("Encounter?patient=p1", "e1"),
    ("Encounter?patient=Patient/p1", "e1"),
    ("Encounter?patient=http://store/Patient/p1", "e1"),
    ("Encounter?patient=http://other.org/Patient/p1", ""),
    ("Encounter?subject=p1", "e1 e3"),
    ("Encounter?subject:Patient=p1", "e1"),
    ("Encounter?subject=Group/p1", "e3"),
    ("Encounter?patient:missing=true", "e3"),
    ("Patient?organization=Organization/o1", "p1 p2"),
    ("Patient?organization=o1", "p1 p2"),
    ("Patient?organization:Organization=o1", "p1 p2"),
    ("Patient?organization.name=fictional", "p1 p2"),
    ("Organization?_has:Patient:organization:_id=p1", "o1"),
    ("Patient?organization=http://store/Organization/o1", "p1 p2"),
    ("Patient?general-practitioner=d1", "p1"),
    ("Patient?general-practitioner=http://other.org/fhir/Organization/o9", "p1"),
    ("Patient?general-practitioner=o9", ""),
    ("QuestionnaireResponse?questionnaire=http://example.org/Questionnaire/q", "s1"),
    ("QuestionnaireResponse?questionnaire=http://example.org/Questionnaire/q%7C1.0", "s1"),
    ("QuestionnaireResponse?questionnaire=http://example.org/Questionnaire/q%7C2.0", ""),
    # uri
    ("ValueSet?url=http://example.org/vs", "v1"),
    ("ValueSet?url=http://example.org/v", ""),
    ("Patient?_profile=http://example.org/p", "p1"),
    ("Patient?_source=urn:x", "p1"),
    # order
    ("Patient?_sort=birthdate", "p3 p2 p1"),
    ("Patient?_sort=-birthdate", "p1 p2 p3"),
    ("Patient?_sort=given", "p1 p2 p3"),
    ("Patient?_sort=-given", "p1 p2 p3"),
    ("Patient?_sort=-_id", "p3 p2 p1"),
    ("Patient?_sort=-_lastUpdated", "p3 p2 p1"),
    ("Patient?_sort=gender,-birthdate", "p1 p2 p3"),
    ("Encounter?_sort=-status,date", "e2 e1 e3"),
]


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2024, 2, 13, 14, 49, 32, 581000, UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


def serve(path: Path, test: Callable[[httpx.AsyncClient], Awaitable[None]]) -> None:
    async def run() -> None:
        app = store.app(path / "store.db", clock=Clock())
        async with httpx.AsyncClient(transport=Embedded(app, app.aclose), base_url="http://store") as client:
            await test(client)

    asyncio.run(run())


async def fill(client: httpx.AsyncClient) -> None:
    for resource in RESOURCES:
        answer = await client.put(f"/{resource['resourceType']}/{resource['id']}", json=resource, headers=JSON)
        assert answer.status_code == 201, answer.text


def ids(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert all(entry["search"] == {"mode": "match"} for entry in body.get("entry", []))
    return [entry["resource"]["id"] for entry in body.get("entry", [])]


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[list[str], list[str], int]]:
    """Found by GET, found by POST _search, and the total, for every case."""
    found = {}

    async def ask(client: httpx.AsyncClient) -> None:
        await fill(client)
        for address, _ in CASES:
            path, _, text = address.partition("?")
            answer = await client.get(f"/{address}")
            form = {"content-type": "application/x-www-form-urlencoded"}
            posted = await client.post(f"/{path}/_search", content=text.encode(), headers=form)
            found[address] = (ids(answer), ids(posted), answer.json()["total"])

    serve(tmp_path_factory.mktemp("store"), ask)
    return found


@pytest.mark.parametrize(("address", "expected"), CASES, ids=[case[0] for case in CASES])
def test_a_search_finds(answers: dict[str, tuple[list[str], list[str], int]], address: str, expected: str) -> None:
    got, posted, total = answers[address]
    assert got == expected.split()
    assert posted == got
    assert total == len(got)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("Patient?nothing=1", "no search parameter"),
        ("Patient?gender:text=x", "gender:text is not offered"),
        ("Patient?_page=AAAA", "_page is not a token"),
        ("Patient?_page=%C3%A9", "_page is not a token"),
        ("Patient?_page=OTk5OTk5OTkuMA", "_page is not a token"),
        ("Patient?family=%ff", "the search can not be read"),
        ("Patient?" + "&".join(["family=x"] * 1001), "the search can not be read"),
    ],
)
def test_a_search_that_is_not_understood_is_refused(tmp_path: Path, address: str, words: str) -> None:
    async def test(client: httpx.AsyncClient) -> None:
        answer = await client.get(f"/{address}")
        assert answer.status_code == 400
        assert words in answer.json()["issue"][0]["diagnostics"]

    serve(tmp_path, test)


def test_a_form_that_is_no_ascii_or_no_form_is_refused(tmp_path: Path) -> None:
    async def test(client: httpx.AsyncClient) -> None:
        form = {"content-type": "application/x-www-form-urlencoded"}
        assert (await client.post("/Patient/_search", content="name=é".encode(), headers=form)).status_code == 400
        assert (await client.post("/Patient/_search", content=b"{}", headers=JSON)).status_code == 415

    serve(tmp_path, test)


def test_address_and_form_of_a_search_hold_together(tmp_path: Path) -> None:
    async def test(client: httpx.AsyncClient) -> None:
        await fill(client)
        form = {"content-type": "application/x-www-form-urlencoded"}
        answer = await client.post("/Patient/_search?family=smith", content=b"given=john", headers=form)
        assert ids(answer) == ["p2"]

    serve(tmp_path, test)


async def pages(client: httpx.AsyncClient, address: str, between: Callable[[], Awaitable[None]]) -> list[str]:
    found = []
    while address:
        answer = await client.get(address)
        found += ids(answer)
        links = {link["relation"]: link["url"] for link in answer.json()["link"]}
        assert urlsplit(links["self"]).netloc == "store"
        address = links.get("next", "")
        await between()
    return found


def test_paging_sees_one_moment_while_others_write(tmp_path: Path) -> None:
    async def test(client: httpx.AsyncClient) -> None:
        await fill(client)
        written = 0

        async def write() -> None:
            nonlocal written
            written += 1
            for id_ in ("p1", "p2", "p3"):
                changed = {"resourceType": "Patient", "id": id_, "name": [{"family": f"Other{written}"}]}
                await client.put(f"/Patient/{id_}", json=changed, headers=JSON)
            more = {"resourceType": "Patient", "id": f"n{written}", "name": [{"family": "Smith"}], "birthDate": "1970"}
            await client.put(f"/Patient/n{written}", json=more, headers=JSON)

        before = await client.get("/Patient?family=smith&_sort=-birthdate&_count=1&_total=accurate")
        assert before.json()["total"] == 2
        assert await pages(client, "/Patient?family=smith&_sort=-birthdate&_count=1", write) == ["p2", "p3"]
        assert ids(await client.get("/Patient?family=smith&_sort=_id")) == [f"n{n + 1}" for n in range(written)]
        # a value that goes and comes back is found again, now and at the moments before
        old = next(link["url"] for link in before.json()["link"] if link["relation"] == "next")
        await client.put("/Patient/p3", json=RESOURCES[2], headers=JSON)
        assert ids(await client.get("/Patient?family=smithson")) == ["p3"]
        again = await client.get(old)
        assert ids(again) == ["p3"]
        assert again.json()["entry"][0]["resource"]["meta"]["versionId"] == "1"

    serve(tmp_path, test)


def test_totals_and_counts(tmp_path: Path) -> None:
    async def test(client: httpx.AsyncClient) -> None:
        await fill(client)

        async def body(address: str) -> dict[str, Any]:
            found: dict[str, Any] = (await client.get(address)).json()
            return found

        assert "total" not in await body("/Patient?_count=1")
        assert (await body("/Patient?_count=1&_total=accurate"))["total"] == 3
        assert (await body("/Patient?_count=1&_total=estimate"))["total"] == 3
        assert "total" not in await body("/Patient?_total=none")
        for address in ("/Patient?_count=0", "/Patient?_summary=count"):
            counted = await body(address)
            assert (counted["total"], "entry" in counted) == (3, False)
        first = await body("/Patient?_count=2&_summary=false")
        after = dict(parse_qsl(urlsplit(first["link"][1]["url"]).query))
        assert set(after) == {"_count", "_summary", "_page"}
        last = await body(f"/Patient?_count=2&_total=accurate&_page={after['_page']}")
        assert (last["total"], len(last["entry"]), len(last["link"])) == (3, 1, 1)

    serve(tmp_path, test)


def test_a_search_by_an_index_does_not_walk_through_the_type(tmp_path: Path) -> None:
    async def fill_up(client: httpx.AsyncClient) -> None:
        entries = [
            {
                "resource": {
                    "resourceType": "Encounter",
                    "subject": {"reference": f"Patient/x{n % 300}"},
                    "period": {"start": f"20{n % 90 + 10}"},
                },
                "request": {"method": "POST", "url": "Encounter"},
            }
            for n in range(900)
        ]
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        assert (await client.post("/", json=bundle, headers=JSON)).status_code == 200

    serve(tmp_path, fill_up)
    tables = specs.fhir()
    connection = open_reader(tmp_path / "store.db")
    searching = Searching(tables, parameters(connection), 0)
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    asked = query.parse("Encounter", [("patient", "x7"), ("_sort", "-date")], tables)
    assert isinstance(asked, query.Query)
    connection.set_progress_handler(count, 10)
    assert search(connection, searching, asked).total == 3
    connection.close()
    assert steps < 100  # tens of steps of SQLite's machine; walking through the type takes some thousand


def test_a_search_that_takes_long_is_finished_in_a_thread(tmp_path: Path) -> None:
    async def test(client: httpx.AsyncClient) -> None:
        entries = [
            {
                "resource": {"resourceType": "Patient", "id": f"x{n}", "name": [{"family": f"Family{n}" * 3}]},
                "request": {"method": "PUT", "url": f"Patient/x{n}"},
            }
            for n in range(3000)
        ]
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        assert (await client.post("/", json=bundle, headers=JSON)).status_code == 200
        answer = await client.get("/Patient?family:contains=family29999&_total=accurate&_sort=family")
        assert answer.json()["total"] == 0
        answer = await client.get("/Patient?family:contains=family299&_sort=-family&_count=2&_total=accurate")
        assert (answer.json()["total"], ids(answer)) == (11, ["x299", "x2999"])

    serve(tmp_path, test)


def test_many_are_sorted_by_whole_names_not_by_other_ways_to_find_them(tmp_path: Path) -> None:
    async def test(client: httpx.AsyncClient) -> None:
        families = ["De la Zouche", "O'Dell", "Quill", *(f"Middle{number:03}" for number in range(250))]
        entries = [
            {
                "resource": {"resourceType": "Patient", "id": f"x{number}", "name": [{"family": family}]},
                "request": {"method": "PUT", "url": f"Patient/x{number}"},
            }
            for number, family in enumerate(families)
        ]
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        assert (await client.post("/", json=bundle, headers=JSON)).status_code == 200
        assert ids(await client.get("/Patient?_sort=-family&_count=3")) == ["x2", "x1", "x252"]
        assert ids(await client.get("/Patient?_sort=family&_count=2")) == ["x0", "x3"]
        assert ids(await client.get("/Patient?family=zouche")) == ["x0"]

    serve(tmp_path, test)
