"""A FHIR server as a target: what is sent, what is answered, and how every fault is told.

The fakes are ASGI apps behind the client's transport, the seam that every target has.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl

import aiohttp
import httpx
import pytest

from gateway.upstream import FhirServer, TargetDown
from gateway.upstream.by_httpx import ByHttpx
from gateway.upstream.embedded import Embedded

BASE = "http://fhir.example.org/base"
FHIR = "application/fhir+json"


class Fake:
    """A server that keeps what it was asked and answers what it was told to, the last answer for ever."""

    def __init__(self, *answers: tuple[int, Any] | Exception, media_type: str = FHIR, **headers: str) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, str, str, bytes]] = []
        self.sent: list[dict[str, str]] = []
        self.headers = {"content-type": media_type, **headers}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = (await receive())["body"]
        self.asked.append((scope["method"], scope["raw_path"].decode(), scope["query_string"].decode(), body))
        self.sent.append({name.decode(): value.decode() for name, value in scope["headers"]})
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        status, content = answer
        headers = [(name.encode(), value.encode()) for name, value in self.headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        raw = content if isinstance(content, bytes) else json.dumps(content).encode()
        await send({"type": "http.response.body", "body": raw[:3], "more_body": True})
        await send({"type": "http.response.body", "body": raw[3:]})


def ask(fake: Callable[..., Awaitable[None]], call: Callable[[FhirServer], Awaitable[Any]], attempts: int = 1) -> Any:
    async def run() -> Any:
        server = FhirServer("records", ByHttpx(httpx.AsyncClient(transport=Embedded(fake))), BASE, attempts=attempts)
        try:
            return await call(server)
        finally:
            await server.aclose()

    return asyncio.run(run())


def down(fake: Callable[..., Awaitable[None]], call: Callable[[FhirServer], Awaitable[Any]], attempts: int = 1) -> str:
    with pytest.raises(TargetDown) as caught:
        ask(fake, call, attempts)
    assert caught.value.target == "records"
    assert "example.org" not in caught.value.why
    return caught.value.why


def test_read() -> None:
    fake = Fake((200, {"resourceType": "Patient"}), ETag='W/"3"')
    answer = ask(fake, lambda s: s.read("Patient", "a"))
    assert (answer.status, answer.headers["etag"]) == (200, 'W/"3"')
    assert json.loads(answer.body) == {"resourceType": "Patient"}
    assert fake.asked == [("GET", "/base/Patient/a", "", b"")]
    assert fake.sent[0]["accept"] == FHIR


def test_an_absent_resource_is_an_answer() -> None:
    assert ask(Fake((404, b"")), lambda s: s.read("Patient", "a")).status == 404
    assert ask(Fake((410, b"gone"), media_type="text/html"), lambda s: s.read("Patient", "a")).status == 410


@pytest.mark.parametrize("id_", ["..", ".", "a/b", "a?b", "", "x" * 65, "%2e%2e", "é"])
def test_a_name_that_no_resource_can_have_is_absent_and_never_asked_for(id_: str) -> None:
    fake = Fake((200, {}))
    assert ask(fake, lambda s: s.read("Patient", id_)).status == 404
    assert ask(fake, lambda s: s.read("Pat/ient", "a")).status == 404
    assert ask(fake, lambda s: s.search("//evil.example.org/x", [])).status == 404
    assert fake.asked == []


def test_search_is_encoded_and_goes_as_a_form_when_asked_or_long() -> None:
    fake = Fake((200, {"resourceType": "Bundle"}))
    pairs = [("identifier", "https://x|1"), ("name", "Ä&b"), ("name", "c")]
    ask(fake, lambda s: s.search("Patient", pairs))
    ask(fake, lambda s: s.search("Patient", pairs, post=True))
    ask(fake, lambda s: s.search("Patient", []))
    long = [("_id", ",".join(str(n) for n in range(2000)))]
    ask(fake, lambda s: s.search("Patient", long))
    got, posted, bare, longer = fake.asked
    assert (got[:2], parse_qsl(got[2])) == (("GET", "/base/Patient"), pairs)
    assert (posted[:3], parse_qsl(posted[3].decode())) == (("POST", "/base/Patient/_search", ""), pairs)
    assert fake.sent[1]["content-type"] == "application/x-www-form-urlencoded"
    assert bare == ("GET", "/base/Patient", "", b"")
    assert (longer[:2], parse_qsl(longer[3].decode())) == (("POST", "/base/Patient/_search"), long)


@pytest.mark.parametrize(
    ("address", "asked"),
    [
        (f"{BASE}?_getpages=1&x=a%7Cb", ("/base", "_getpages=1&x=a%7Cb")),
        (f"{BASE}/Patient?_page=1", ("/base/Patient", "_page=1")),
        ("http://FHIR.example.org:80/base/Patient?_page=1", ("/base/Patient", "_page=1")),
        ("Patient?_page=1", ("/base/Patient", "_page=1")),
    ],
)
def test_a_page_of_its_own_is_asked_for(address: str, asked: tuple[str, str]) -> None:
    fake = Fake((200, {"resourceType": "Bundle"}))
    ask(fake, lambda s: s.page(address))
    assert [(path, query) for _, path, query, _ in fake.asked] == [asked]
    assert fake.sent[0]["host"] == "fhir.example.org"


@pytest.mark.parametrize(
    "address",
    [
        "http://evil.example.org/base/Patient",
        "https://fhir.example.org/base/Patient",
        "http://fhir.example.org:8080/base/Patient",
        "http://user:secret@fhir.example.org/base/Patient",
        "http://fhir.example.org/other/Patient",
        "http://fhir.example.org/base/../other",
        "http://fhir.example.org/basement",
        "//evil.example.org/base",
        "http://[",
        "http://fhir.example.org/base/\x00",
        "http://fhir.example.org:99999999/base",
    ],
)
def test_a_page_elsewhere_is_never_asked_for(address: str) -> None:
    fake = Fake((200, {"resourceType": "Bundle"}))
    assert "at another address" in down(fake, lambda s: s.page(address))
    assert fake.asked == []


def test_transact_sends_the_bytes_once() -> None:
    fake = Fake((503, b""), (200, {}))
    assert down(fake, lambda s: s.transact(b'{"a":72.50}'), attempts=3) == "it answered 503"
    assert fake.asked == [("POST", "/base", "", b'{"a":72.50}')]
    assert fake.sent[0]["content-type"] == FHIR


def test_a_refused_transaction_is_an_answer() -> None:
    answer = ask(Fake((412, {"resourceType": "OperationOutcome"})), lambda s: s.transact(b"{}"))
    assert answer.status == 412


def entry(status: str, resource: dict[str, Any] | None = None, **response: str) -> dict[str, Any]:
    return {"response": {"status": status, **response}, **({"resource": resource} if resource else {})}


def test_read_many_asks_once_and_leaves_absent_ones_out() -> None:
    a, c = {"resourceType": "Patient", "id": "a"}, {"resourceType": "Patient", "id": "c", "meta": {"versionId": "9"}}
    fake = Fake((200, {"entry": [
        entry("200 OK", a, etag='W/"3"'), entry("404 Not Found"), entry("200", c), entry("410")
    ]}))  # fmt: skip
    names = [("Patient", "a"), ("Patient", "b"), ("Patient", "a"), ("Patient", "c"), ("Patient", "d")]
    found = ask(fake, lambda s: s.read_many(names))
    assert {name: (standing.resource, standing.etag) for name, standing in found.items()} == {
        ("Patient", "a"): (a, "3"),
        ("Patient", "c"): (c, "9"),
    }
    ((method, path, _, body),) = fake.asked
    assert (method, path) == ("POST", "/base")
    asked = json.loads(body)
    assert asked["type"] == "batch"
    assert [e["request"]["url"] for e in asked["entry"]] == ["Patient/a", "Patient/b", "Patient/c", "Patient/d"]


def test_read_many_of_nothing_asks_nothing() -> None:
    fake = Fake((200, {}))
    assert ask(fake, lambda s: s.read_many([])) == {}
    assert fake.asked == []


@pytest.mark.parametrize(
    "answer",
    [
        b"{",
        [],
        {},
        {"entry": []},
        {"entry": [1]},
        {"entry": [{}]},
        {"entry": [entry("200")]},
        {"entry": [entry("500 broken")]},
        {"entry": [entry("fine")]},
        {"entry": [{"response": {"status": ""}}]},
        {"entry": [entry("200", {"meta": 1})]},
        b'{"entry":NaN}',
        b"[" * 100_000,
    ],
)
def test_read_many_without_sense_is_a_target_that_is_down(answer: Any) -> None:
    assert "batch of reads" in down(Fake((200, answer)), lambda s: s.read_many([("Patient", "a")]))


def test_read_many_refused_is_a_target_that_is_down() -> None:
    assert down(Fake((403, {})), lambda s: s.read_many([("Patient", "a")])).endswith("with 403")


def test_ready() -> None:
    fake = Fake((200, {"resourceType": "CapabilityStatement"}))
    ask(fake, lambda s: s.ready())
    assert fake.asked[0][1] == "/base/metadata"
    assert "it answered 401" in down(Fake((401, {})), lambda s: s.ready())


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ((500, {}), "it answered 500"),
        ((502, b"<html>"), "it answered 502"),
        ((429, {}), "it answered 429"),
        ((307, b""), "it redirects (307)"),
        ((304, b""), "it redirects (304)"),
        (httpx.ConnectError("x"), "no connection to it"),
        (httpx.ConnectTimeout("x"), "no connection to it"),
        (httpx.ReadTimeout("x"), "it did not answer in time"),
        (TimeoutError("x"), "it did not answer in time"),
        (httpx.PoolTimeout("x"), "it did not answer in time"),
        (httpx.UnsupportedProtocol("x"), "no connection to it"),
        (httpx.ReadError("x"), "the connection broke"),
        (httpx.RemoteProtocolError("x"), "the connection broke"),
        (httpx.DecodingError("x"), "the connection broke"),
        (aiohttp.ClientResponseError(None, ()), "the connection broke"),  # type: ignore[arg-type] # as aiohttp's parser raises it
        (ConnectionResetError("x"), "the connection broke"),
    ],
)
def test_every_fault_is_told_as_a_target_that_is_down(answer: Any, why: str) -> None:
    assert why in down(Fake(answer), lambda s: s.read("Patient", "a"))


def test_an_answer_that_is_not_json_is_a_target_that_is_down() -> None:
    fake = Fake((200, b"<html>log in</html>"), media_type="text/html")
    assert "not JSON" in down(fake, lambda s: s.read("Patient", "a"))


def test_an_answer_that_never_ends_is_a_target_that_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.upstream.exchange.WHOLE", 0.02)

    async def never(_: Any, __: Any, ___: Any) -> None:
        await asyncio.sleep(60)

    assert "in time" in down(never, lambda s: s.transact(b"{}"))


def test_an_app_that_ends_without_an_answer_is_a_target_that_is_down() -> None:
    async def silent(_: Any, receive: Any, __: Any) -> None:
        assert (await receive())["more_body"] is False
        assert (await receive())["type"] == "http.disconnect"

    assert "broke" in down(silent, lambda s: s.transact(b"{}"))


def test_what_changes_nothing_is_tried_again() -> None:
    fake = Fake((503, b""), httpx.ConnectError("x"), (200, {"resourceType": "Patient"}))
    assert ask(fake, lambda s: s.read("Patient", "a"), attempts=3).status == 200
    assert len(fake.asked) == 3
    fake = Fake((503, b""))
    assert down(fake, lambda s: s.read("Patient", "a"), attempts=2) == "it answered 503"
    assert len(fake.asked) == 2


def test_a_fault_of_the_program_is_not_told_as_the_targets() -> None:
    with pytest.raises(LookupError):
        ask(Fake(LookupError("ours")), lambda s: s.read("Patient", "a"))
