"""The common port over TLS, in a process of its own: who is silent there holds up neither others nor the end."""

from __future__ import annotations

import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.certificates import Authority
from tests.traffic import ROOT, free_port

WITHIN = 30.0
PROGRAM = """
import sys
from gateway import serve
from gateway.config import Settings
from gateway.guard import Limits, guarded
from gateway.listeners import listeners

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": scope["scheme"].encode()[-2:]})

folder, port = sys.argv[1], int(sys.argv[2])
settings = Settings(data=folder, port=port, tls_certificate=f"{folder}/server.pem", tls_key=f"{folder}/server.key")
limits = guarded(Limits(connections=40, handshake_within=60))
serve.run(app, settings.host, None, lambda: print("ready", flush=True), guard=limits, beside=listeners(settings))
"""


@dataclass
class Site:
    """A server, and whom to trust."""

    process: subprocess.Popen[str]
    port: int
    trusting: ssl.SSLContext

    def ask(self) -> str:
        with httpx.Client(verify=self.trusting, trust_env=False, timeout=WITHIN) as client:
            return client.get(f"https://127.0.0.1:{self.port}/").text


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    authority, port = Authority(tmp_path), free_port()
    authority.issue("server")
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(tmp_path), str(port)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    yield Site(process, port, ssl.create_default_context(cafile=authority.file))
    process.kill()
    process.wait()
    process.stdout.close()


def test_silence_before_tls_holds_up_neither_others_nor_the_end(site: Site) -> None:
    silent = [
        socket.create_connection(("127.0.0.1", site.port), source_address=("127.0.0.2", 0), timeout=WITHIN)
        for _ in range(100)
    ]
    assert site.ask() == "ps"
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://127.0.0.1:{site.port}/", trust_env=False, timeout=WITHIN)
    assert site.ask() == "ps"
    began = time.monotonic()
    site.process.send_signal(signal.SIGTERM)
    site.process.wait(WITHIN)
    assert time.monotonic() - began < 15, "a handshake may take 60 s here"
    for one in silent:
        one.close()
