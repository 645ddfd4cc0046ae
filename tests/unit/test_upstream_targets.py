"""Addresses, engines, folders and the way over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from gateway import fhir, hl7v2
from gateway.upstream import (
    AddressError,
    Answer,
    FhirServer,
    FolderTarget,
    Hl7v2Target,
    TargetDown,
    connect,
    store,
)
from gateway.upstream.by_httpx import ByHttpx
from gateway.upstream.embedded import Embedded

MESSAGE = b"MSH|^~\\&|A|R0D|B|C|20240213144932||ADT^A01|8457239|P|2.4\rEVN||20240213\r"
PATIENT: dict[str, Any] = {"resourceType": "Patient", "id": "9990000018", "name": [{"family": "Fictitious"}]}


def acknowledgement(code: str, text: str | None = None, message: bytes = MESSAGE) -> bytes:
    return hl7v2.acknowledge(
        hl7v2.read(message), code=code, domain="d", organisation="o", application="X", facility="Y", outcome=text,
        findings=(), id="1", now=datetime(2024, 2, 13, tzinfo=UTC),
    )  # fmt: skip


def deliver(status: int, body: bytes) -> Answer:
    asked = []

    async def engine(scope: Any, receive: Any, send: Any) -> None:
        sent = (await receive())["body"]
        asked.append((scope["method"], scope["path"], dict(scope["headers"])[b"content-type"], sent))
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": body})

    async def run() -> Answer:
        client = ByHttpx(httpx.AsyncClient(transport=Embedded(engine)))
        target = Hl7v2Target("engine", client, "http://engine.example.org/in")
        await target.ready()
        try:
            return await target.deliver(MESSAGE, "receipt-1")
        finally:
            await target.aclose()
            assert asked == [("POST", "/in", b"text/plain", MESSAGE)]

    return asyncio.run(run())


@pytest.mark.parametrize("code", ["AA", "CA"])
def test_an_engine_that_takes_a_message(code: str) -> None:
    assert deliver(200, acknowledgement(code)).status == 200


@pytest.mark.parametrize(("code", "status"), [("AE", 200), ("AR", 200), ("AR", 400), ("CE", 200), ("CR", 200)])
def test_an_engine_that_refuses_a_message_says_why(code: str, status: int) -> None:
    answer = deliver(status, acknowledgement(code, 'no such "ward"'))
    assert answer.status == 422
    assert fhir.load(answer.body)["issue"][0]["diagnostics"] == "no such 'ward'"


def test_a_refusal_without_words_has_some() -> None:
    assert b"AE without words" in deliver(200, acknowledgement("AE")).body


def test_another_gateways_outcome_is_passed_on() -> None:
    outcome = '{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"value"}]}'
    assert deliver(200, acknowledgement("AE", outcome)).body == outcome.encode()
    assert b"resourceType" in deliver(200, acknowledgement("AE", "{}")).body


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (200, b"", "without an acknowledgement"),
        (200, b"OK", "without an acknowledgement"),
        (404, b"<html>", "it answered 404 without an acknowledgement"),
        (503, acknowledgement("AE"), "it answered 503"),
        (200, acknowledgement("XX"), "neither accepted nor refused"),
        (200, acknowledgement("AA", message=MESSAGE.replace(b"8457239", b"7")), "another message"),
    ],
)
def test_anything_else_is_an_engine_that_is_down(status: int, body: bytes, why: str) -> None:
    with pytest.raises(TargetDown) as caught:
        deliver(status, body)
    assert why in caught.value.why


def test_a_folder_gets_each_message_as_a_file(tmp_path: Path) -> None:
    async def run() -> None:
        target = connect("drop", "folder:out/engine", data=tmp_path)
        assert isinstance(target, FolderTarget)
        await target.ready()
        assert (await target.deliver(MESSAGE, "r-1")).status == 200
        assert (await target.deliver(MESSAGE, "r-1")).status == 200
        await target.deliver(b"x", "r-2")
        await target.aclose()
        for receipt in ("../r", "", "a/b", ".r"):
            with pytest.raises(ValueError, match="receipt"):
                await target.deliver(MESSAGE, receipt)

    asyncio.run(run())
    folder = tmp_path / "out" / "engine"
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == {"r-1.hl7": MESSAGE, "r-2.hl7": b"x"}


def test_a_folder_that_can_not_be_is_a_target_that_is_down(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    async def run() -> None:
        target = connect("drop", "folder:file/engine", data=tmp_path)
        assert isinstance(target, FolderTarget)
        for call in (target.ready(), target.deliver(MESSAGE, "r-1")):
            with pytest.raises(TargetDown, match="its folder"):
                await call

    asyncio.run(run())


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("embedded", FhirServer),
        ("http://localhost:8080/fhir", FhirServer),
        ("https://fhir.example.org", FhirServer),
        ("hl7v2+https://engine.example.org/in", Hl7v2Target),
        ("folder:drop", FolderTarget),
    ],
)
def test_an_address_names_its_kind(tmp_path: Path, address: str, kind: type) -> None:
    async def run() -> None:
        target = connect("x", address, data=tmp_path)
        assert isinstance(target, kind)
        assert target.name == "x"
        await target.aclose()

    asyncio.run(run())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "address",
    ["", "folder:", "ftp://x", "http://", "https://user:secret@x/", "http://x/?a=b", "http://x/#a", "hl7v2+embedded"],
)
def test_an_address_that_no_target_can_have_is_refused(tmp_path: Path, address: str) -> None:
    with pytest.raises(AddressError, match="target x: its address is"):
        connect("x", address, data=tmp_path)


def test_the_embedded_store_is_a_fhir_server(tmp_path: Path) -> None:
    async def run() -> None:
        target = connect("records", "embedded", data=tmp_path)
        assert isinstance(target, FhirServer)
        await exercise(target)
        await target.aclose()
        assert (tmp_path / "store.db").exists()

    asyncio.run(run())


def test_an_embedded_store_without_its_folder_is_a_target_that_is_down(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    async def run() -> None:
        async with connected("embedded", tmp_path / "file") as target:
            with pytest.raises(TargetDown, match="can't be read"):
                await target.read_many([("Patient", "a")])
            with pytest.raises(TargetDown, match="can't be written"):
                await target.write([(PATIENT, None)])
            with pytest.raises(TargetDown, match="it answered 503"):
                await target.read("Patient", "a")

    asyncio.run(run())


async def exercise(server: FhirServer) -> None:
    """What the gateway does with a FHIR server."""
    await server.ready()
    name = ("Patient", "9990000018")
    assert await server.read_many([name]) == {}
    written = await server.transact(fhir.dump(fhir.transaction([fhir.entry_put(PATIENT)])))
    assert written.status == 200
    standing = (await server.read_many([name, ("Patient", "none")]))[name]
    assert standing.etag == "1"
    changed = {**standing.resource, "gender": "female"}
    for status in (200, 412):
        again = await server.transact(fhir.dump(fhir.transaction([fhir.entry_put(changed, standing.etag)])))
        assert again.status == status
    assert (await server.read(*name)).headers["etag"] == 'W/"2"'
    for version, status in (("1", 412), ("2", 200)):
        told = await server.write([({**changed, "active": True}, version), ({**PATIENT, "id": "y"}, None)])
        assert told.status == status
        assert ("y" in {id_ for _, id_ in await server.read_many([("Patient", "y")])}) == (status == 200)
    assert (await server.write([({"resourceType": "Nothing", "id": "a"}, None)])).status == 404
    assert (await server.read(*name)).headers["etag"] == 'W/"3"'
    for post in (False, True):
        found = fhir.load((await server.search("Patient", [("_id", name[1]), ("_count", "1")], post=post)).body)
        assert [e["resource"]["gender"] for e in found["entry"]] == ["female"]
    assert (await server.search("Patient", [("nothing", "1")])).status == 400
    others = [{**PATIENT, "id": f"x{n}"} for n in range(3)]
    await server.transact(fhir.dump(fhir.transaction([fhir.entry_put(other) for other in others])))
    page = fhir.load((await server.search("Patient", [("family", "fict"), ("_count", "3")])).body)
    following = next(link["url"] for link in page["link"] if link["relation"] == "next")
    assert len(fhir.load((await server.page(following)).body)["entry"]) == 2


@contextlib.contextmanager
def served(app: Any) -> Iterator[str]:
    """An app on a loopback port, with its lifespan."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="on"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


@contextlib.asynccontextmanager
async def connected(address: str, data: Path) -> AsyncIterator[FhirServer]:
    server = connect("records", address, data=data)
    assert isinstance(server, FhirServer)
    try:
        yield server
    finally:
        await server.aclose()


def test_the_store_serves_over_http_and_closes_cleanly(tmp_path: Path) -> None:
    async def run(address: str) -> None:
        async with connected(address, tmp_path) as server:
            await exercise(server)
            many = [("Patient", f"x{n % 3}") for n in range(40)]
            answers = await asyncio.gather(*(server.read(*name) for name in many))
            assert {answer.status for answer in answers} == {200}

    app = store.app(tmp_path / "store.db")
    with served(app) as address:
        asyncio.run(run(address))
    assert app._store is None
    assert not (tmp_path / "store.db-wal").exists()


def test_nothing_that_listens_is_a_target_that_is_down(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}"

    async def run() -> None:
        async with connected(address, tmp_path) as server:
            with pytest.raises(TargetDown, match="no connection"):
                await server.ready()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"SSH-2.0-x\r\n\r\n", "broke|no connection"),
        (b"", "broke|no connection"),
        (b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n{", "broke|no connection"),
        (b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n", "redirects"),
    ],
)
def test_what_real_sockets_do_wrong_is_told(tmp_path: Path, raw: bytes, why: str) -> None:
    async def run() -> None:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(raw)
            await writer.drain()
            writer.close()

        listening = await asyncio.start_server(talk, "127.0.0.1", 0)
        port = listening.sockets[0].getsockname()[1]
        async with listening, connected(f"http://127.0.0.1:{port}", tmp_path) as server:
            with pytest.raises(TargetDown, match=why):
                await server.transact(b"{}")

    asyncio.run(run())


def test_cookies_are_not_kept(tmp_path: Path) -> None:
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        seen.append(dict(scope["headers"]).get(b"cookie"))
        headers = [(b"content-type", b"application/json"), (b"set-cookie", b"session=1")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"{}"})

    async def run(address: str) -> None:
        async with connected(address, tmp_path) as server:
            await server.ready()
            await server.ready()

    with served(app) as address:
        asyncio.run(run(address.replace("127.0.0.1", "localhost")))
    assert seen == [None, None]
