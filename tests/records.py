"""The FHIR server that is a test's record: the store embedded in the gateway, or one elsewhere whose address it has.

`pytest --record=store` (or `hapi`, `medplum`) runs the tests marked `any_record` with a record behind HTTP. Each data
folder has a record of its own, which keeps what it holds where a gateway is started on the same folder again.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from gateway.upstream import store
from tests.traffic import READY_WITHIN, Server, free_port

REAL = ("hapi", "medplum")
"""Servers that others wrote; the folder of each in `interop/` says how it differs."""
KINDS = ("embedded", "store", *REAL)
ELSEWHERE = "store.db"
ORGANISATIONS = ("RDZ", "R0D", "QVV")
EVERYTHING = {"resourceType": "Parameters", "parameter": [{"name": "expungeEverything", "valueBoolean": True}]}


@dataclass
class Pool:
    """Servers that are emptied for another data folder; one more is started where all are in use."""

    start: Callable[[], Server]
    clear: Callable[[str], None]
    servers: list[Server] = field(default_factory=list)
    idle: dict[str, Path | None] = field(default_factory=dict)

    @contextlib.contextmanager
    def lend(self, data: Path) -> Iterator[str]:
        """Address of a server that holds what was written for this folder, and nothing else."""
        own = (address for address, owner in self.idle.items() if owner == data)
        url = next(own, None) or next(iter(self.idle), None)
        if url is None:
            self.servers.append(self.start())
            url = self.servers[-1].url
            self.clear(url)
        elif self.idle[url] != data:
            self.clear(url)
        self.idle.pop(url, None)
        try:
            yield url
        finally:
            self.idle[url] = data

    def stop(self) -> None:
        """End every server."""
        for server in self.servers:
            server.stop()


@dataclass
class Records:
    """Which kind of record the tests have now."""

    kind: str = "embedded"
    pool: Pool | None = None

    @contextlib.contextmanager
    def of(self, data: Path) -> Iterator[dict[str, str]]:
        """Setting `targets` of a gateway on a data folder, as far as the record is concerned."""
        match self.kind:
            case "store":
                with served(store.app(data / ELSEWHERE)) as url:
                    yield {"record": url}
            case "hapi" | "medplum" if self.pool is not None:
                with self.pool.lend(data) as url:
                    yield {"record": url}
            case _:
                yield {}


RECORDS = Records()


def fresh_hapi(url: str) -> None:
    """Let a HAPI server hold the organisations alone."""
    empty(url)
    hold_organisations(url)


def fresh_medplum(url: str) -> None:
    """Let a Medplum server hold nothing."""
    httpx.post(f"{url}/$clear", trust_env=False, timeout=60).raise_for_status()


def empty(url: str) -> None:
    """Let a HAPI server forget everything. Source: HAPI FHIR's own operation `$expunge`."""
    answer = httpx.post(f"{url}/$expunge", json=EVERYTHING, trust_env=False, timeout=120)
    if not answer.is_success:
        raise RuntimeError(f"$expunge: {answer.status_code} {answer.text}")


def hold_organisations(url: str) -> None:
    """Store the organisations that own rows: HAPI finds nothing by a reference to what it doesn't hold."""
    for id_ in ORGANISATIONS:
        body = {"resourceType": "Organization", "id": id_, "name": id_}
        httpx.put(f"{url}/Organization/{id_}", json=body, trust_env=False, timeout=60).raise_for_status()


@contextlib.contextmanager
def served(app: Any, port: int | None = None) -> Iterator[str]:
    """Address of an application that is served in a thread, as the product serves it but for its log."""
    port = port or free_port()
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=port,
        lifespan="on",
        log_config=None,
        ws="none",
        timeout_graceful_shutdown=5,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until = time.monotonic() + READY_WITHIN
    while not server.started:
        if time.monotonic() > until or not thread.is_alive():
            raise RuntimeError(f"it did not start within {READY_WITHIN} s")
        time.sleep(0.005)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()
