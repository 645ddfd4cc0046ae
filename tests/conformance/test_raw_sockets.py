"""Raw requests on sockets of a gateway that is really served: what must be refused, what taken, and what is left then.

Source: RFC 9112; `http-interface.md` of the design, "Limits and hostile clients". The cases are data: `sockets/`.
"""

from __future__ import annotations

import json
import re
import socket
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.traffic import Server, start_gateway

pytestmark = pytest.mark.xdist_group("sockets")

CASES = Path(__file__).parent / "sockets"
WITHIN = 30.0
PLAIN = b"GET /_health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
_REPEATED = re.compile(r"<<(.*?)\*(\d+)>>", re.DOTALL)
Answer = tuple[int, dict[str, str], bytes]


def cases(name: str) -> list[Any]:
    """The cases of a file, named for pytest."""
    read = tomllib.loads((CASES / f"{name}.toml").read_text("utf-8"))["case"]
    return [pytest.param(case, id=case["name"]) for case in read]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("GATEWAY_HEAD_WITHIN", "1")
        patched.setenv("GATEWAY_BODY_WITHIN", "1")
        server = start_gateway(tmp_path_factory.mktemp("sockets") / "data")
    yield server
    server.stop()


class Client:
    """A connection, and the answers that come on it."""

    def __init__(self, server: Server) -> None:
        self.socket = socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])), timeout=WITHIN)
        self.rest = b""

    def send(self, text: str | list[str]) -> None:
        for piece in [text] if isinstance(text, str) else text:
            filled = _REPEATED.sub(lambda found: found[1] * int(found[2]), piece)
            self.socket.sendall(filled.encode("latin-1"))
            if not isinstance(text, str):
                time.sleep(0.01)

    def answer(self) -> Answer | None:
        """The next answer; None where the other side has closed."""
        while b"\r\n\r\n" not in self.rest:
            if not self._more():
                assert not self.rest, "half an answer"
                return None
        head, _, self.rest = self.rest.partition(b"\r\n\r\n")
        line, *fields = head.decode("latin-1").split("\r\n")
        named = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
        length = int(named.get("content-length", "0"))
        while len(self.rest) < length:
            assert self._more(), "half an answer"
        body, self.rest = self.rest[:length], self.rest[length:]
        return int(line.split()[1]), named, body

    def _more(self) -> bool:
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:
            return False
        self.rest += data
        return bool(data)

    def close(self) -> None:
        self.socket.close()


def hold(server: Server, case: dict[str, Any]) -> None:
    """Hold one case, and that another connection doesn't notice."""
    bystander, client = Client(server), Client(server)
    try:
        bystander.socket.sendall(PLAIN)
        assert (bystander.answer() or (0,))[0] == 200
        client.send(case["send"])
        found = [client.answer() for _ in case["answers"]]
        assert [answer and answer[0] for answer in found] == case["answers"]
        last = found[-1]
        assert last is not None
        if "rule" in case:
            told = json.loads(last[2])
            assert told["resourceType"] == "OperationOutcome"
            assert told["issue"][0]["details"]["coding"][0]["code"] == case["rule"]
            assert last[1]["connection"] == "close"
        if case.get("open", False):
            client.socket.sendall(PLAIN)
            assert (client.answer() or (0,))[0] == 200
        else:
            assert client.answer() is None, "more came than the case says"
        bystander.socket.sendall(PLAIN)
        assert (bystander.answer() or (0,))[0] == 200
    finally:
        client.close()
        bystander.close()


@pytest.mark.parametrize("case", cases("refused"))
def test_what_must_not_be_accepted(server: Server, case: dict[str, Any]) -> None:
    hold(server, case)


@pytest.mark.parametrize("case", cases("taken"))
def test_what_must_be_accepted(server: Server, case: dict[str, Any]) -> None:
    hold(server, case)


def test_there_are_thirty_cases_and_more() -> None:
    assert len(cases("refused")) >= 60
