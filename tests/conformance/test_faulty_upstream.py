"""A FHIR server that does everything wrong, over real sockets: what is told, what is tried again, what never is.

Source: `facade.md` of the design, "Upstream": time-outs, bounded retries on idempotent requests only, a breaker
"""

from __future__ import annotations

import asyncio
import gzip
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.upstream import FhirServer, TargetDown, breaker, connect
from gateway.upstream.breaker import FAILURES
from gateway.upstream.exchange import ATTEMPTS

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/fhir+json\r\n"
PATIENT = b'{"resourceType":"Patient","id":"a"}'
GOOD = HEAD + b"content-length: %d\r\n\r\n%b" % (len(PATIENT), PATIENT)
HANGS, DRIPS, RESETS = b"hangs", b"drips", b"resets"
SHORT = 0.4
"""The most that an exchange may take in these tests. Units: seconds."""


def status(code: int, body: bytes = b"", *headers: bytes) -> bytes:
    lines = b"".join(header + b"\r\n" for header in headers)
    return b"HTTP/1.1 %d X\r\nconnection: close\r\n%bcontent-length: %d\r\n\r\n%b" % (code, lines, len(body), body)


FAULTS: dict[str, tuple[bytes, str, bool]] = {
    "closes at once": (b"", "broke|no connection", True),
    "resets": (RESETS, "broke|no connection", True),
    "closes in the headers": (b"HTTP/1.1 200 OK\r\ncontent-", "broke|no connection", True),
    "closes in the body": (HEAD + b"content-length: 500\r\n\r\n{", "broke|no connection", True),
    "closes in a chunk": (HEAD + b"transfer-encoding: chunked\r\n\r\n40\r\n{", "broke|no connection", True),
    "names a length that is none": (HEAD + b"content-length: -1\r\n\r\n{}", "broke|no connection", True),
    "names two lengths": (HEAD + b"content-length: 2\r\ncontent-length: 3\r\n\r\n{}", "broke|no connection", True),
    "names a chunk that is none": (HEAD + b"transfer-encoding: chunked\r\n\r\nzz\r\n{}", "broke|no connection", True),
    "speaks something else": (b"SSH-2.0-x\r\n\r\n", "broke|no connection", True),
    "sends bytes at random": (bytes(range(256)), "broke|no connection", True),
    "compresses what is not": (
        HEAD + b"connection: close\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\n{}",
        "broke",
        True,
    ),
    "hangs": (HANGS, "in time", True),
    "drips": (DRIPS, "in time", True),
    "fails": (status(500, b"{}"), "answered 500", True),
    "is a proxy without a server": (status(502), "answered 502", True),
    "is not there now": (status(503, b"", b"retry-after: 60"), "answered 503", True),
    "has had too many": (status(429), "answered 429", True),
    "redirects": (status(302, b"", b"location: http://127.0.0.1:1/"), "redirects", False),
    "redirects for good": (status(308, b"", b"location: /elsewhere"), "redirects", False),
    "has no credentials of ours": (status(401), "credentials", False),
    "answers HTML": (status(200, b"<html>log in</html>", b"content-type: text/html"), "not JSON", False),
    "answers nothing": (status(200), "not JSON", False),
}
"""What it does, what is said of it, and whether a request that changes nothing is sent again."""


class Faulty:
    """A server on a loopback port that gives its answers in turn, the last for ever."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                self.asked.append(head.split(" ", 1)[0])
                length = next((line for line in head.lower().split("\r\n") if line.startswith("content-length:")), ":0")
                await reader.readexactly(int(length.split(":")[1]))
                if not await self.answer(writer, self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]):
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def answer(self, writer: asyncio.StreamWriter, raw: bytes) -> bool:
        """Whether the connection is kept."""
        match raw:
            case b"hangs":
                await asyncio.sleep(60)
            case b"resets":
                writer.transport.abort()
            case b"drips":
                writer.write(HEAD + b"content-length: 100000\r\n\r\n")
                for _ in range(1000):
                    writer.write(b" ")
                    await writer.drain()
                    await asyncio.sleep(0.02)
            case _:
                writer.write(raw)
                await writer.drain()
        return raw == GOOD


def meet(faulty: Faulty, call: Callable[[FhirServer], Awaitable[Any]], data: Path) -> Any:
    async def run() -> Any:
        listening = await asyncio.start_server(faulty.talk, "127.0.0.1", 0)
        server = connect("records", f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}", data=data)
        assert isinstance(server, FhirServer)
        try:
            return await call(server)
        finally:
            await server.aclose()
            listening.close()
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()

    return asyncio.run(run())


async def why(call: Awaitable[Any]) -> str:
    with pytest.raises(TargetDown) as told:
        await call
    return told.value.why


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.upstream.exchange.WHOLE", SHORT)


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_told_and_only_what_changes_nothing_is_sent_again(tmp_path: Path, name: str) -> None:
    answer, words, again = FAULTS[name]
    faulty = Faulty(answer)

    async def call(server: FhirServer) -> list[str]:
        return [
            await why(server.read("Patient", "a")),
            await why(server.transact(b"{}")),
            await why(server.write([({"resourceType": "Patient", "id": "a"}, None)])),
        ]

    told = meet(faulty, call, tmp_path)
    assert faulty.asked == ["GET"] * (ATTEMPTS if again else 1) + ["POST"] * 2
    for one in told:
        assert any(part in one for part in words.split("|")), one
        assert "127.0.0.1" not in one


def test_a_delete_is_sent_once(tmp_path: Path) -> None:
    faulty = Faulty(b"")
    meet(faulty, lambda server: why(server.delete("Patient", "a", "1")), tmp_path)
    assert faulty.asked == ["DELETE"]


@pytest.mark.parametrize("name", [name for name, (_, _, again) in FAULTS.items() if again])
def test_what_changes_nothing_survives_one_fault(tmp_path: Path, name: str) -> None:
    faulty = Faulty(FAULTS[name][0], GOOD)

    async def read(server: FhirServer) -> Any:
        return (await server.read("Patient", "a")).body

    assert meet(faulty, read, tmp_path) == PATIENT
    assert faulty.asked == ["GET", "GET"]


def test_a_body_longer_than_its_length_is_not_read_into_the_next_answer(tmp_path: Path) -> None:
    other = b'{"resourceType":"Patient","id":"of somebody else"}'
    smuggled = GOOD + HEAD + b"content-length: %d\r\n\r\n%b" % (len(other), other)
    faulty = Faulty(smuggled, GOOD)

    async def call(server: FhirServer) -> list[bytes]:
        return [(await server.read("Patient", "a")).body for _ in range(3)]

    assert meet(faulty, call, tmp_path) == [PATIENT] * 3


@pytest.mark.parametrize("zipped", [False, True])
def test_an_answer_that_would_fill_the_memory_is_broken_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, zipped: bool
) -> None:
    monkeypatch.setattr("gateway.upstream.exchange.LARGEST", 100_000)
    body = b" " * 1_000_000
    sent, coding = (gzip.compress(body), b"content-encoding: gzip\r\n") if zipped else (body, b"")
    faulty = Faulty(HEAD + coding + b"content-length: %d\r\n\r\n%b" % (len(sent), sent), GOOD)

    async def call(server: FhirServer) -> bytes:
        assert await why(server.transact(b"{}")) == "its answer is longer than 100000 bytes"
        return (await server.read("Patient", "a")).body

    assert meet(faulty, call, tmp_path) == PATIENT


def test_an_answer_that_is_too_long_is_not_asked_for_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.upstream.exchange.LARGEST", 10)
    faulty = Faulty(HEAD + b"content-length: 11\r\n\r\n12345678901")
    assert meet(faulty, lambda server: why(server.read("Patient", "a")), tmp_path).startswith("its answer is longer")
    assert faulty.asked == ["GET"]


def test_octets_of_a_header_that_are_no_text_are_read_as_they_are(tmp_path: Path) -> None:
    faulty = Faulty(status(200, PATIENT, b"content-type: application/fhir+json", b'ETag: W/"\xe9\xff"'))

    async def call(server: FhirServer) -> str:
        return (await server.read("Patient", "a")).headers["etag"]

    assert meet(faulty, call, tmp_path) == 'W/"\xe9\xff"'


def test_a_server_that_is_not_there_is_left_alone_and_found_again(tmp_path: Path) -> None:
    faulty = Faulty(b"")

    async def call(server: FhirServer) -> None:
        for _ in range(FAILURES):
            await why(server.transact(b"{}"))
        told = [await why(one) for one in (server.transact(b"{}"), server.read("Patient", "a"), server.metadata())]
        assert set(told) == {f"it was not there {FAILURES} times in a row, and is left alone for now"}
        assert len(faulty.asked) == FAILURES
        await why(server.ready())
        assert len(faulty.asked) == FAILURES + ATTEMPTS  # whether it is there is asked all the same
        faulty.answers = [GOOD]
        await server.ready()
        assert (await server.read("Patient", "a")).status == 200

    meet(faulty, call, tmp_path)


def test_one_request_that_makes_a_server_fail_shuts_nobody_out(tmp_path: Path) -> None:
    faulty = Faulty(*[status(500)] * (2 * FAILURES), GOOD)

    async def call(server: FhirServer) -> int:
        for _ in range(2 * FAILURES):
            await why(server.transact(b"{}"))
        return (await server.read("Patient", "a")).status

    assert meet(faulty, call, tmp_path) == 200


class Searched(Faulty):
    """A server whose searches never end, while it answers all else."""

    def __init__(self) -> None:
        super().__init__(GOOD)
        self.paths: list[str] = []

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                path = (await reader.readuntil(b"\r\n\r\n")).decode().split(" ", 2)[1]
                self.paths.append(path)
                await self.answer(writer, HANGS if "?" in path else GOOD)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


class Looked(Searched):
    """One that breaks off what it should answer at once, when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.looking, self.answered = asyncio.Event(), asyncio.Event()

    async def answer(self, writer: asyncio.StreamWriter, raw: bytes) -> bool:
        if not self.paths[-1].endswith("/metadata"):
            return await super().answer(writer, raw)
        self.looking.set()
        await self.answered.wait()
        return await super().answer(writer, RESETS)


async def searches(server: FhirServer, times: int) -> None:
    found = await asyncio.gather(*(why(server.search("Patient", [("name", str(n))])) for n in range(times)))
    assert set(found) == {"it did not answer in time"}


def test_searches_that_take_too_long_shut_nobody_out_and_are_not_sent_again(tmp_path: Path) -> None:
    faulty = Searched()

    async def call(server: FhirServer) -> None:
        for _ in range(2):
            await searches(server, 2 * FAILURES)
            assert server.breaker_state == "closed"
            assert (await server.read("Patient", "a")).status == 200

    meet(faulty, call, tmp_path)
    assert len([path for path in faulty.paths if "?" in path]) == 4 * FAILURES


def test_who_waits_for_slow_searches_in_vain_says_nothing_of_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connecting = sys.modules["gateway.upstream.connect"]  # the package has a function of this name
    monkeypatch.setattr(connecting, "CONNECTIONS", 3)
    monkeypatch.setattr(connecting, "_LONGEST_WAIT", SHORT / 4)
    faulty = Searched()

    async def call(server: FhirServer) -> None:
        slow = asyncio.create_task(searches(server, 3))
        while len(faulty.paths) < 3:  # noqa: ASYNC110 - nothing tells when they are sent
            await asyncio.sleep(0.01)
        told = await asyncio.gather(*(why(server.read("Patient", str(n))) for n in range(2 * FAILURES)))
        assert set(told) == {"all the connections that the gateway has to it are in use"}
        assert (server.breaker_state, len(faulty.paths)) == ("closed", 3)  # sent neither once nor again
        await slow
        assert (await server.read("Patient", "a")).status == 200

    meet(faulty, call, tmp_path)


def test_a_look_that_fails_says_nothing_where_others_were_answered_meanwhile(tmp_path: Path) -> None:
    faulty = Looked()

    async def call(server: FhirServer) -> str:
        await searches(server, FAILURES)
        async with asyncio.timeout(30):
            await faulty.looking.wait()
        assert (await server.read("Patient", "a")).status == 200
        faulty.answered.set()
        (look,) = (one for one in asyncio.all_tasks() if one.get_name() == "look for records")
        await look
        return server.breaker_state

    assert meet(faulty, call, tmp_path) == "closed"


def test_a_server_that_hangs_is_found_out_by_what_it_should_answer_at_once(tmp_path: Path) -> None:
    faulty = Faulty(HANGS)

    async def call(server: FhirServer) -> None:
        await searches(server, FAILURES)
        async with asyncio.timeout(30):
            while server.breaker_state == "closed":  # noqa: ASYNC110 - nothing tells when it opens
                await asyncio.sleep(0.05)
        assert "left alone" in await why(server.search("Patient", [("name", "x")]))
        assert len(faulty.asked) == FAILURES + 1  # one look told of them all

    meet(faulty, call, tmp_path)


async def cut_off(server: FhirServer, times: int, after: float) -> None:
    """Searches whose asker's time is over before the server's is."""

    async def one(number: int) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(after):
                await server.search("Patient", [("name", str(number))])

    await asyncio.gather(*map(one, range(times)))


def test_searches_that_are_cut_off_make_a_server_that_hangs_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(breaker, "A_WHILE", SHORT / 4)
    faulty = Faulty(HANGS)

    async def call(server: FhirServer) -> None:
        await cut_off(server, FAILURES, SHORT / 2)
        async with asyncio.timeout(30):
            while server.breaker_state == "closed":  # noqa: ASYNC110 - nothing tells when it opens
                await asyncio.sleep(0.05)
        assert "left alone" in await why(server.search("Patient", [("name", "x")]))

    meet(faulty, call, tmp_path)


def test_searches_that_are_cut_off_shut_nobody_out_where_the_server_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(breaker, "A_WHILE", SHORT / 4)
    faulty = Searched()

    async def call(server: FhirServer) -> None:
        await cut_off(server, FAILURES, SHORT / 2)
        assert (await server.read("Patient", "a")).status == 200
        assert server.breaker_state == "closed"

    meet(faulty, call, tmp_path)


def test_searches_that_are_cut_off_at_once_say_nothing(tmp_path: Path) -> None:
    faulty = Faulty(HANGS)

    async def call(server: FhirServer) -> None:
        await cut_off(server, FAILURES, SHORT / 4)  # before `A_WHILE`
        assert not [one for one in asyncio.all_tasks() if one.get_name().startswith("look for")]
        assert server.breaker_state == "closed"

    meet(faulty, call, tmp_path)


@pytest.mark.parametrize(("kind", "counts"), [(b"application/fhir+json", False), (b"text/html", True)])
def test_a_fhir_server_that_says_503_itself_is_there(tmp_path: Path, kind: bytes, *, counts: bool) -> None:
    faulty = Faulty(status(503, b"{}", b"content-type: " + kind))

    async def call(server: FhirServer) -> str:
        for _ in range(FAILURES):
            assert await why(server.transact(b"{}")) == "it answered 503"
        return server.breaker_state

    assert (meet(faulty, call, tmp_path) != "closed") == counts


def test_a_proxy_that_waited_for_a_search_too_long_says_nothing_of_the_server(tmp_path: Path) -> None:
    faulty = Faulty(status(504))

    async def call(server: FhirServer) -> str:
        for _ in range(FAILURES - 1):
            await why(server.search("Patient", [("name", "x")]))
        return server.breaker_state

    assert meet(faulty, call, tmp_path) == "closed"
    assert faulty.asked == ["GET"] * (FAILURES - 1)
