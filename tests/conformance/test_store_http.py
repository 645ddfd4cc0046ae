"""The embedded store against the clauses of FHIR's RESTful API that it offers.

Source: https://hl7.org/fhir/R4/http.html; each test's name has its clause.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway import fhir
from gateway.fhir.json_patch import MEDIA_TYPE as PATCH
from gateway.upstream import store
from gateway.upstream.embedded import Embedded
from gateway.upstream.store.answers import MEDIA_TYPE

JSON = {"content-type": MEDIA_TYPE}
PATIENT: dict[str, Any] = {"resourceType": "Patient", "id": "a", "name": [{"family": "Fictitious"}]}


class Clock:
    """A clock that goes on by a second each time it is looked at."""

    def __init__(self) -> None:
        self.now = datetime(2024, 2, 13, 14, 49, 32, 581000, UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


def serve(path: Path, test: Callable[[httpx.AsyncClient], Awaitable[None]], *, trusted: bool = False) -> None:
    async def run() -> None:
        app = store.app(path / "store.db", clock=Clock(), trusted=trusted)
        async with httpx.AsyncClient(
            transport=Embedded(app, app.aclose), base_url="http://store", headers=JSON
        ) as client:
            await test(client)

    asyncio.run(run())


def issue(answer: httpx.Response) -> dict[str, Any]:
    body = answer.json()
    assert body["resourceType"] == "OperationOutcome", body
    assert answer.headers["content-type"] == MEDIA_TYPE
    first: dict[str, Any] = body["issue"][0]
    return first


def entry(method: str, url: str, resource: dict[str, Any] | None = None, **request: str) -> dict[str, Any]:
    full_url = request.pop("fullUrl", None)
    found: dict[str, Any] = {"request": {"method": method, "url": url, **request}}
    if resource is not None:
        found["resource"] = resource
    if full_url is not None:
        found["fullUrl"] = full_url
    return found


async def send(client: httpx.AsyncClient, kind: str, *entries: dict[str, Any], prefer: str = "") -> httpx.Response:
    bundle = {"resourceType": "Bundle", "type": kind, "entry": list(entries)}
    return await client.post("/", json=bundle, headers=JSON | {"prefer": prefer})


def test_create_gives_id_version_and_location(tmp_path: Path) -> None:
    async def test(client: httpx.AsyncClient) -> None:
        answer = await client.post("/Patient", json=PATIENT)
        assert answer.status_code == 201
        body = answer.json()
        assert body["id"] != "a"
        assert body["meta"] == {"versionId": "1", "lastUpdated": "2024-02-13T14:49:33.581Z"}
        assert answer.headers["location"] == f"http://store/Patient/{body['id']}/_history/1"
        assert answer.headers["etag"] == 'W/"1"'
        assert answer.headers["last-modified"] == "Tue, 13 Feb 2024 14:49:33 GMT"
        assert (await client.get(f"/Patient/{body['id']}")).content == answer.content

    serve(tmp_path, test)


def test_update_creates_then_makes_versions_that_stay_readable(tmp_path: Path) -> None:
    async def test(client: httpx.AsyncClient) -> None:
        first = await client.put("/Patient/a", json=PATIENT)
        assert first.status_code == 201
        second = await client.put("/Patient/a", json=PATIENT | {"gender": "female"})
        assert (second.status_code, second.headers["etag"]) == (200, 'W/"2"')
        assert "location" not in second.headers
        assert (await client.get("/Patient/a")).json()["gender"] == "female"
        assert (await client.get("/Patient/a/_history/1")).content == first.content
        assert (await client.get("/Patient/a/_history/2")).content == second.content
        for number in ("3", "x", "9" * 30):
            assert (await client.get(f"/Patient/a/_history/{number}")).status_code == 404
        history = (await client.get("/Patient/a/_history")).json()
        assert (history["type"], history["total"]) == ("history", 2)
        assert [e["resource"]["meta"]["versionId"] for e in history["entry"]] == ["2", "1"]
        assert [e["response"]["status"] for e in history["entry"]] == ["200 OK", "201 Created"]
        assert history["entry"][0]["request"] == {"method": "PUT", "url": "Patient/a"}
        assert (await client.get("/Patient/b/_history")).status_code == 404
        assert (await client.get("/Patient/b/_history/1")).status_code == 404

    serve(tmp_path, test)


def test_update_with_the_same_content_makes_no_version(tmp_path: Path) -> None:
    async def test(client: httpx.AsyncClient) -> None:
        observation = (
            b'{"resourceType":"Observation","id":"a","meta":{"source":"urn:s"},"valueQuantity":{"value":72.50}}'
        )
        first = await client.put("/Observation/a", content=observation)
        assert b'"value":72.50' in first.content
        same = await client.put("/Observation/a", content=observation)
        assert (same.status_code, same.content) == (200, first.content)
        again = await client.put("/Observation/a", content=first.content)
        assert again.content == first.content
        turned = (
            b'{"valueQuantity": {"value": 72.50}, "meta": {"source": "urn:s"}, "id": "a", '
            b'"resourceType": "Observation"}'
        )
        assert (await client.put("/Observation/a", content=turned)).content == first.content
        other = await client.put("/Observation/a", content=observation.replace(b"72.50", b"72.5"))
        assert other.headers["etag"] == 'W/"2"'
        more = await client.put("/Observation/a", content=observation.replace(b"72.50}", b'72.5,"unit":"kg"}'))
        assert more.headers["etag"] == 'W/"3"'

    serve(tmp_path, test)


@pytest.mark.parametrize("trusted", [True, False])
def test_numbers_and_characters_come_back_as_they_were_sent(tmp_path: Path, *, trusted: bool) -> None:
    async def test(client: httpx.AsyncClient) -> None:
        raw = '{"resourceType":"Observation","id":"a","valueQuantity":{"value":1.0e3,"unit":"\\u00b5g é"}}'.encode()
        answer = await client.put("/Observation/a", content=raw)
        assert answer.content.endswith('"valueQuantity":{"value":1.0e3,"unit":"\\u00b5g é"}}'.encode())

    serve(tmp_path, test, trusted=trusted)


def test_update_if_match_guards_against_a_lost_update(tmp_path: Path) -> None:
    async def test(client: httpx.AsyncClient) -> None:
        absent = await client.put("/Patient/a", json=PATIENT, headers={"if-match": 'W/"1"'})
        assert absent.status_code == 412
        await client.put("/Patient/a", json=PATIENT)
        changed = PATIENT | {"gender": "male"}
        assert (await client.put("/Patient/a", json=changed, headers={"if-match": 'W/"1"'})).status_code == 200
        stale = await client.put("/Patient/a", json=PATIENT, headers={"if-match": 'W/"1"'})
        assert stale.status_code == 412
        assert issue(stale)["code"] == "conflict"
        assert (await client.get("/Patient/a")).json()["gender"] == "male"

    serve(tmp_path, test)


def test_prefer_return_minimal_leaves_the_body_out(tmp_path: Path) -> None:
    async def test(client: httpx.AsyncClient) -> None:
        answer = await client.put("/Patient/a", json=PATIENT, headers={"prefer": "return=minimal"})
        assert (answer.status_code, answer.content) == (201, b"")

    serve(tmp_path, test)


def test_conditional_update(tmp_path: Path) -> None:
    async def test(client: httpx.AsyncClient) -> None:
        known = {"resourceType": "Patient", "identifier": [{"system": "urn:s", "value": "1"}]}
        where = "/Patient?identifier=urn:s%7C1"
        first = await client.put(where, json=known)
        assert first.status_code == 201
        id_ = first.json()["id"]
        second = await client.put(where, json=known | {"gender": "male"})
        assert (second.status_code, second.json()["id"]) == (200, id_)
        other = await client.put(where, json=known | {"id": "other"})
        assert (other.status_code, issue(other)["expression"]) == (400, ["Patient.id"])
        created = await client.put("/Patient?identifier=urn:s%7C2", json={"resourceType": "Patient", "id": "own"})
        assert (created.status_code, created.json()["id"]) == (201, "own")
        await client.post("/Patient", json=known)
        assert issue(await client.put(where, json=known))["code"] == "multiple-matches"
        assert (await client.put("/Patient", json=known)).status_code == 412
        assert (await client.put("/Patient?_count=1", json=known)).status_code == 412
        assert (await client.put("/Patient?nothing=1", json=known)).status_code == 400

    serve(tmp_path, test)


def test_conditional_create(tmp_path: Path) -> None:
    async def test(client: httpx.AsyncClient) -> None:
        known = {"resourceType": "Patient", "identifier": [{"value": "1"}]}
        condition = {"if-none-exist": "identifier=1"}
        first = await client.post("/Patient", json=known, headers=condition)
        second = await client.post("/Patient", json=known | {"gender": "male"}, headers=condition)
        assert (first.status_code, second.status_code) == (201, 200)
        assert second.content == first.content

    serve(tmp_path, test)


def test_transaction_is_whole_or_nothing(tmp_path: Path) -> None:
    async def test(client: httpx.AsyncClient) -> None:
        await client.put("/Patient/a", json=PATIENT)
        answer = await send(
            client,
            "transaction",
            entry("PUT", "Patient/b", PATIENT | {"id": "b"}),
            entry("PUT", "Patient/a", PATIENT | {"gender": "male"}, ifMatch='W/"7"'),
        )
        assert (answer.status_code, issue(answer)["code"]) == (412, "conflict")
        assert (await client.get("/Patient/b")).status_code == 404
        answer = await send(
            client,
            "transaction",
            entry("PUT", "Patient/b", PATIENT | {"id": "b"}),
            entry("PUT", "Patient/a", PATIENT | {"gender": "male"}, ifMatch='W/"1"'),
            entry("GET", "Patient/b"),
        )
        body = answer.json()
        assert body["type"] == "transaction-response"
        assert [e["response"]["status"] for e in body["entry"]] == ["201 Created", "200 OK", "200 OK"]
        assert body["entry"][0]["response"]["location"] == "Patient/b/_history/1"
        assert body["entry"][1]["response"]["etag"] == 'W/"2"'
        assert "resource" not in body["entry"][0]
        assert body["entry"][2]["resource"]["id"] == "b"

    serve(tmp_path, test)


def test_transaction_references_between_entries_are_resolved(tmp_path: Path) -> None:
    async def test(client: httpx.AsyncClient) -> None:
        uuid = "urn:uuid:05efabf0-4be2-4561-91ce-51548425acb9"
        answer = await send(
            client,
            "transaction",
            entry("POST", "Patient", PATIENT, fullUrl=uuid),
            entry("POST", "Observation", {
                "resourceType": "Observation", "subject": {"reference": uuid}, "valueQuantity": {"value": 1},
                "performer": [{"reference": "Organization/x"}],
            }),
            entry("PUT", "Basic/1", {"resourceType": "Basic", "id": "1"}, fullUrl="http://example.org/Basic/1"),
            prefer="return=representation",
        )  # fmt: skip
        patient, observation, _ = (e["resource"] for e in answer.json()["entry"])
        assert observation["subject"]["reference"] == f"Patient/{patient['id']}"
        found = (await client.get("/Observation", params={"patient": patient["id"]})).json()
        assert [e["resource"]["id"] for e in found["entry"]] == [observation["id"]]

    serve(tmp_path, test)


@pytest.mark.parametrize(
    ("bad", "status"),
    [
        (entry("PUT", "Patient/a", PATIENT) | {"request": None}, 400),
        (entry("PUT", "Patient/a") | {"request": {"method": "PUT"}}, 400),
        (entry("PUT", "Patient/a"), 400),
        (entry("PUT", "Patient", PATIENT), 400),
        (entry("PUT", "Patient/a?name=x", PATIENT), 400),
        (entry("PUT", "Patient/a/_history/1", PATIENT), 400),
        (entry("PUT", "Patient/b", PATIENT), 400),
        (entry("POST", "Patient/a", PATIENT), 400),
        (entry("POST", "Observation", PATIENT), 400),
        (entry("DELETE", "Patient"), 400),
        (entry("DELETE", "Patient/a/_history/1"), 400),
        (entry("DELETE", "Patient/a", ifMatch='W/"1"'), 412),
        (entry("HEAD", "Patient/a"), 400),
        (entry("PATCH", "Patient/a", PATIENT), 400),
        (entry("PATCH", "Patient/a", {"resourceType": "Binary", "contentType": PATCH, "data": "!"}), 400),
        (entry("PATCH", "Patient/a", {"resourceType": "Binary", "contentType": PATCH, "data": "e30="}), 400),
        (entry("PATCH", "Patient/a", {"resourceType": "Binary", "contentType": PATCH, "data": "W10="}), 404),
        (entry("GET", "Patient/_history/1"), 400),
        (entry("GET", "Patient/_history?_at=2024"), 400),
        (entry("GET", "http://elsewhere/Patient/a"), 400),
        (entry("GET", "Nothing/a"), 404),
        (entry("GET", "Patient?nothing=1"), 400),
        (entry("PUT", "Patient?identifier=1", PATIENT | {"id": 7}), 400),
        (entry("PUT", "Patient/a", PATIENT | {"meta": []}), 400),
    ],
)
def test_bundle_entries_that_can_not_be_done_are_refused(tmp_path: Path, bad: dict[str, Any], status: int) -> None:
    async def test(client: httpx.AsyncClient) -> None:
        good = entry("PUT", "Basic/1", {"resourceType": "Basic", "id": "1"})
        whole = await send(client, "transaction", good, bad)
        assert whole.status_code == status
        assert (await client.get("/Basic/1")).status_code == 404
        each = (await send(client, "batch", good, bad)).json()["entry"]
        assert [e["response"]["status"][:3] for e in each] == ["201", str(status)]
        assert each[1]["response"]["outcome"]["resourceType"] == "OperationOutcome"

    serve(tmp_path, test)


def test_transaction_with_one_resource_twice_is_refused(tmp_path: Path) -> None:
    async def test(client: httpx.AsyncClient) -> None:
        twice = entry("PUT", "Patient/a", PATIENT)
        assert (await send(client, "transaction", twice, twice)).status_code == 400
        assert (await client.get("/Patient/a")).status_code == 404

    serve(tmp_path, test)


def test_batch_entries_stand_alone_and_may_read_and_search(tmp_path: Path) -> None:
    async def test(client: httpx.AsyncClient) -> None:
        await client.put("/Patient/a", json=PATIENT)
        await client.put("/Patient/a", json=PATIENT | {"gender": "male"})
        answer = await send(
            client,
            "batch",
            entry("GET", "Patient/a"),
            entry("GET", "Patient/none"),
            entry("GET", "Patient?family=fict"),
            entry("GET", "Patient/a/_history"),
            entry("GET", "Patient/a/_history/1"),
            entry("GET", "Patient/none/_history"),
            entry("PUT", "Patient/a", PATIENT, ifMatch='W/"1"'),
            entry("PUT", "Patient?family=fict", PATIENT),
            entry("POST", "Patient", PATIENT, ifNoneExist="family=fict"),
        )
        body = answer.json()
        assert body["type"] == "batch-response"
        statuses = [e["response"]["status"][:3] for e in body["entry"]]
        assert statuses == ["200", "404", "200", "200", "200", "404", "412", "200", "200"]
        assert body["entry"][0]["response"]["etag"] == 'W/"2"'
        assert body["entry"][0]["resource"]["gender"] == "male"
        assert body["entry"][2]["resource"]["total"] == 1
        assert body["entry"][3]["resource"]["type"] == "history"
        assert "gender" not in body["entry"][4]["resource"]

    serve(tmp_path, test)


def test_an_empty_bundle_has_an_empty_answer(tmp_path: Path) -> None:
    async def test(client: httpx.AsyncClient) -> None:
        for kind in ("batch", "transaction"):
            answer = await client.post("/", json={"resourceType": "Bundle", "type": kind})
            assert answer.json() == {"resourceType": "Bundle", "type": f"{kind}-response"}

    serve(tmp_path, test)


BAD_BODIES = [
    ("POST", "/Patient", b"{", 400),
    ("POST", "/Patient", b"[]", 400),
    ("POST", "/Patient", b'{"resourceType":"Patient","id":"a","id":"b"}', 400),
    ("POST", "/Patient", b'{"resourceType":"Observation"}', 400),
    ("PUT", "/Patient/b", b'{"resourceType":"Patient","id":"a"}', 400),
    ("PUT", "/Patient/a%20b", b'{"resourceType":"Patient","id":"a b"}', 400),
    ("POST", "/Nothing", b'{"resourceType":"Nothing"}', 404),
    ("POST", "/Resource", b'{"resourceType":"Resource"}', 404),
    ("POST", "/", b'{"resourceType":"Patient"}', 400),
    ("POST", "/", b'{"resourceType":"Bundle","type":"collection"}', 400),
    ("POST", "/", b'{"resourceType":"Bundle","type":"batch","entry":{}}', 400),
    ("POST", "/", b'{"resourceType":"Bundle","type":"batch","entry":[1]}', 400),
]


@pytest.mark.parametrize(("method", "path", "body", "status"), BAD_BODIES)
def test_bodies_that_can_not_be_read_are_refused(
    tmp_path: Path, method: str, path: str, body: bytes, status: int
) -> None:
    async def test(client: httpx.AsyncClient) -> None:
        answer = await client.request(method, path, content=body)
        assert answer.status_code == status
        assert issue(answer)["severity"] == "error"

    serve(tmp_path, test)


def test_other_faults_have_an_outcome_too(tmp_path: Path) -> None:
    async def test(client: httpx.AsyncClient) -> None:
        assert issue(await client.get("/Patient/none"))["code"] == "not-found"
        assert (await client.get("/nothing/at/all/there/is")).status_code == 404
        posted = await client.post("/Patient/a", json=PATIENT)
        assert (posted.status_code, issue(posted)["code"]) == (405, "not-supported")
        assert "GET" in posted.headers["allow"]
        xml = await client.post("/Patient", content=b"<Patient/>", headers={"content-type": "application/xml"})
        assert (xml.status_code, issue(xml)["expression"]) == (415, ["Content-Type"])
        assert (await client.get("/Patient?_format=xml")).status_code == 406
        assert (await client.get("/Nothing?_id=1")).status_code == 404

    serve(tmp_path, test)


def test_capabilities_name_what_the_table_offers(tmp_path: Path) -> None:
    async def test(client: httpx.AsyncClient) -> None:
        answer = await client.get("/metadata")
        body = answer.json()
        assert (body["fhirVersion"], body["implementation"]["url"]) == ("4.0.1", "http://store")
        patient = next(r for r in body["rest"][0]["resource"] if r["type"] == "Patient")
        names = {p["name"] for p in patient["searchParam"]}
        assert {"_id", "_lastUpdated", "identifier", "family", "birthdate"} <= names
        assert len(body["rest"][0]["resource"]) > 140
        assert (await client.get("/metadata")).content == answer.content

    serve(tmp_path, test)


def test_every_official_example_is_stored_indexed_and_comes_back(tmp_path: Path, shared: Path) -> None:
    async def test(client: httpx.AsyncClient) -> None:
        for file in sorted((shared / "corpus" / "r4-examples").glob("*.json")):
            resource = fhir.load(file.read_bytes())
            if "id" not in resource:
                continue
            place = f"/{resource['resourceType']}/{resource['id']}"
            stored = await client.put(place, content=file.read_bytes())
            assert stored.status_code in {200, 201}, stored.text
            again = fhir.load((await client.get(place)).content)
            meta = again.pop("meta")
            own = resource.pop("meta", {})
            assert again == resource
            assert {**own, **{k: meta[k] for k in ("versionId", "lastUpdated")}} == meta
            found = await client.get(f"/{resource['resourceType']}", params={"_id": resource["id"]})
            assert found.json()["total"] == 1

    serve(tmp_path, test)


def test_a_store_opens_again_with_what_was_written(tmp_path: Path) -> None:
    async def write(client: httpx.AsyncClient) -> None:
        await client.put("/Patient/a", json=PATIENT)

    async def read(client: httpx.AsyncClient) -> None:
        assert (await client.get("/Patient", params={"family": "Fictitious"})).json()["total"] == 1
        answer = await client.put("/Patient/a", json=PATIENT | {"gender": "male"})
        assert json.loads(answer.content)["meta"]["versionId"] == "2"

    serve(tmp_path, write)
    serve(tmp_path, read)


def test_delete_leaves_a_version_that_says_so(tmp_path: Path) -> None:
    async def test(client: httpx.AsyncClient) -> None:
        first = await client.put("/Patient/a", json=PATIENT)
        assert (await client.delete("/Patient/a", headers={"if-match": 'W/"2"'})).status_code == 412
        deleted = await client.delete("/Patient/a", headers={"if-match": 'W/"1"'})
        assert (deleted.status_code, deleted.content, deleted.headers["etag"]) == (204, b"", 'W/"2"')
        gone = await client.get("/Patient/a")
        assert (gone.status_code, issue(gone)["code"]) == (410, "deleted")
        assert (await client.get("/Patient/a/_history/2")).status_code == 410
        assert (await client.get("/Patient/a/_history/1")).content == first.content
        assert (await client.delete("/Patient/a")).headers["etag"] == 'W/"2"'
        assert (await client.delete("/Patient/a", headers={"if-match": 'W/"2"'})).status_code == 412
        assert (await client.delete("/Patient/never")).status_code == 204
        for search in ("", "?family=Fictitious", "?_id=a", "?name:missing=false", "?_lastUpdated=gt2000"):
            assert (await client.get(f"/Patient{search}")).json()["total"] == 0, search
        again = await client.put("/Patient/a", json=PATIENT, headers={"if-none-match": "*"})
        assert (again.status_code, again.headers["etag"]) == (201, 'W/"3"')
        assert (await client.get("/Patient?family=Fictitious")).json()["total"] == 1
        history = (await client.get("/Patient/a/_history")).json()["entry"]
        assert [e["request"]["method"] for e in history] == ["PUT", "DELETE", "PUT"]
        assert [e["response"]["status"] for e in history] == ["200 OK", "204 No Content", "201 Created"]
        assert ["resource" in e for e in history] == [True, False, True]

    serve(tmp_path, test)


def test_conditional_delete_and_patch_are_for_one_resource(tmp_path: Path) -> None:
    async def test(client: httpx.AsyncClient) -> None:
        for id_ in ("a", "b"):
            await client.put(f"/Patient/{id_}", json=PATIENT | {"id": id_})

        async def patched(search: str) -> httpx.Response:
            patch = b'[{"op":"add","path":"/active","value":true}]'
            return await client.patch(f"/Patient?{search}", content=patch, headers={"content-type": PATCH})

        for answer in (await client.delete("/Patient?family=Fictitious"), await patched("name=fict")):
            assert (answer.status_code, issue(answer)["code"]) == (412, "multiple-matches")
        assert (await client.delete("/Patient?_count=1")).status_code == 412
        assert (await client.delete("/Patient")).status_code == 412
        assert (await client.delete("/Patient?_id=none")).status_code == 204
        assert (await patched("_id=none")).status_code == 404
        assert (await patched("_id=b")).json()["active"] is True
        assert (await client.delete("/Patient?_id=b")).status_code == 204
        assert [e["resource"]["id"] for e in (await client.get("/Patient")).json()["entry"]] == ["a"]

    serve(tmp_path, test)


def test_patch_changes_what_stands_and_keeps_how_numbers_are_written(tmp_path: Path) -> None:
    async def test(client: httpx.AsyncClient) -> None:
        raw = b'{"resourceType":"Observation","id":"a","valueQuantity":{"value":72.50}}'
        await client.put("/Observation/a", content=raw)
        headers = {"content-type": PATCH, "if-match": 'W/"1"'}
        patch = b'[{"op":"add","path":"/status","value":"final"}]'
        answer = await client.patch("/Observation/a", content=patch, headers=headers)
        assert (answer.status_code, answer.headers["etag"]) == (200, 'W/"2"')
        assert b'"value":72.50' in answer.content
        assert (await client.get("/Observation?status=final")).json()["total"] == 1
        assert (await client.patch("/Observation/a", content=patch, headers=headers)).status_code == 412
        del headers["if-match"]
        assert (await client.patch("/Observation/a", content=patch, headers=headers)).headers["etag"] == 'W/"2"'
        for bad, status in (
            (b"{}", 400),
            (b'[{"op":"change","path":"/status"}]', 400),
            (b'[{"op":"remove","path":"/nothing"}]', 422),
            (b'[{"op":"test","path":"/status","value":"amended"}]', 422),
            (b'[{"op":"replace","path":"/id","value":"b"}]', 400),
            (b'[{"op":"replace","path":"/resourceType","value":"Patient"}]', 400),
            (b'[{"op":"remove","path":"/resourceType"}]', 422),
        ):
            answer = await client.patch("/Observation/a", content=bad, headers=headers)
            assert (answer.status_code, issue(answer)["severity"]) == (status, "error"), bad
        assert (await client.patch("/Observation/none", content=patch, headers=headers)).status_code == 404
        assert (await client.patch("/Observation/a", content=patch)).status_code == 415
        assert (await client.get("/Observation/a")).headers["etag"] == 'W/"2"'

    serve(tmp_path, test)


def test_a_transaction_deletes_and_patches_with_all_else_or_not_at_all(tmp_path: Path) -> None:
    def changes(version: str) -> list[dict[str, Any]]:
        data = base64.b64encode(b'[{"op":"replace","path":"/gender","value":"other"}]').decode()
        binary = {"resourceType": "Binary", "contentType": PATCH, "data": data}
        return [
            entry("DELETE", "Patient/a"),
            entry("PATCH", "Patient/b", binary, ifMatch=f'W/"{version}"'),
            entry("PUT", "Patient/c", PATIENT | {"id": "c"}),
            entry("DELETE", "Patient?_id=none"),
            entry("GET", "Patient/a"),
        ]

    async def test(client: httpx.AsyncClient) -> None:
        for id_ in ("a", "b"):
            await client.put(f"/Patient/{id_}", json=PATIENT | {"id": id_, "gender": "female"})
        assert (await send(client, "transaction", *changes("7"))).status_code == 412
        assert (await client.get("/Patient")).json()["total"] == 2
        done = await send(client, "transaction", *changes("1"), prefer="return=representation")
        entries = done.json()["entry"]
        assert [e["response"]["status"][:3] for e in entries] == ["204", "200", "201", "204", "410"]
        assert [e.get("resource", {}).get("gender") for e in entries][:3] == [None, "other", None]
        assert [e["resource"]["id"] for e in (await client.get("/Patient?_sort=_id")).json()["entry"]] == ["b", "c"]
        batch = await send(client, "batch", *changes("2"))
        statuses = [e["response"]["status"][:3] for e in batch.json()["entry"]]
        assert statuses == ["204", "200", "200", "204", "410"]

    serve(tmp_path, test)


def test_what_a_client_has_already_is_not_sent_again(tmp_path: Path) -> None:
    async def test(client: httpx.AsyncClient) -> None:
        first = await client.put("/Patient/a", json=PATIENT)
        modified = first.headers["last-modified"]
        for headers, status in (
            ({"if-none-match": 'W/"1"'}, 304),
            ({"if-none-match": 'W/"7", "1"'}, 304),
            ({"if-none-match": "*"}, 304),
            ({"if-none-match": 'W/"2"'}, 200),
            ({"if-modified-since": modified}, 304),
            ({"if-modified-since": "Mon, 12 Feb 2024 14:49:33 GMT"}, 200),
            ({"if-modified-since": "yesterday"}, 200),
            ({"if-none-match": 'W/"2"', "if-modified-since": modified}, 200),
        ):
            answer = await client.get("/Patient/a", headers=headers)
            assert answer.status_code == status, headers
            assert answer.headers["etag"] == 'W/"1"'
            assert bool(answer.content) == (status == 200)

    serve(tmp_path, test)


def versions_of(page: dict[str, Any]) -> list[tuple[str, str]]:
    return [(e["request"]["url"], e["response"]["etag"]) for e in page.get("entry", [])]


async def followed(client: httpx.AsyncClient, address: str) -> list[tuple[str, str]]:
    """What all pages of a history tell; between any two pages something is written."""
    found: list[tuple[str, str]] = []
    while address:
        page = (await client.get(address)).json()
        found += versions_of(page)
        address = next((link["url"] for link in page["link"] if link["relation"] == "next"), "")
        await client.put("/Patient/a", json=PATIENT | {"gender": "male" if len(found) % 2 else "female"})
        await client.delete("/Basic/c")
    return found


@pytest.mark.parametrize("count", [1, 2, 3, 50])
def test_histories_of_types_and_of_all_page_at_one_moment(tmp_path: Path, count: int) -> None:
    async def test(client: httpx.AsyncClient) -> None:
        basic = {"resourceType": "Basic"}
        await client.put("/Patient/a", json=PATIENT)
        await client.put("/Basic/b", json=basic | {"id": "b"})
        between = (await client.put("/Patient/a", json=PATIENT | {"active": True})).json()["meta"]["lastUpdated"]
        await client.put("/Basic/c", json=basic | {"id": "c"})
        await client.delete("/Basic/b")
        await client.delete("/Patient/a")
        newest_first = [
            ("Patient/a", 'W/"3"'), ("Basic/b", 'W/"2"'), ("Basic/c", 'W/"1"'),
            ("Patient/a", 'W/"2"'), ("Basic/b", 'W/"1"'), ("Patient/a", 'W/"1"'),
        ]  # fmt: skip
        since = (await client.get(f"/_history?_since={between}")).json()
        assert versions_of(since) == newest_first[:4]
        own = (await client.get(f"/Patient/a/_history?_since={between}")).json()
        assert (versions_of(own), own["total"]) == ([newest_first[0], newest_first[3]], 2)
        found = (await send(client, "batch", entry("GET", "Basic/_history?_count=1"))).json()["entry"][0]["resource"]
        assert versions_of(found) == [("Basic/b", 'W/"2"')]
        assert await followed(client, f"/_history?_count={count}") == newest_first
        basics = [one for one in newest_first if one[0].startswith("Basic")]
        assert (await followed(client, f"/Basic/_history?_count={count}"))[-3:] == basics
        assert (await followed(client, f"/Patient/a/_history?_count={count}"))[-3:] == [
            one for one in newest_first if one[0] == "Patient/a"
        ]
        for bad in ("_count=x", "_since=2024", "_page=x", "_page=MQ", "_at=2024", "_count=1&_count=2", "_since=x"):
            assert (await client.get(f"/Patient/_history?{bad}")).status_code == 400, bad
        assert (await client.get("/Patient/_history?_format=xml")).status_code == 406
        assert (await client.get("/Nothing/_history")).status_code == 404

    serve(tmp_path, test)


def test_what_was_deleted_when_a_search_began_is_on_none_of_its_pages(tmp_path: Path) -> None:
    async def test(client: httpx.AsyncClient) -> None:
        basic = {"resourceType": "Basic"}
        for id_ in "abcd":
            await client.put(f"/Basic/{id_}", json=basic | {"id": id_})
        await client.delete("/Basic/c")
        page = (await client.get("/Basic?_sort=_id&_count=1")).json()
        shown = [page["entry"][0]["resource"]["id"]]
        await client.put("/Basic/c", json=basic | {"id": "c"})
        await client.delete("/Basic/d")
        await client.put("/Basic/c", json=basic | {"id": "c", "language": "en"})
        while following := [link["url"] for link in page["link"] if link["relation"] == "next"]:
            page = (await client.get(following[0])).json()
            shown += [e["resource"]["id"] for e in page["entry"]]
        assert shown == ["a", "b", "d"]
        now = (await client.get("/Basic?_sort=_id")).json()
        assert [e["resource"]["id"] for e in now["entry"]] == ["a", "b", "c"]

    serve(tmp_path, test)
