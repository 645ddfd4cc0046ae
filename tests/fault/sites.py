"""A site to hurt: gateways on one journal, the record, and what they stand on, each a process of its own."""

from __future__ import annotations

import json
import random
import re
import socket
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tests import postgres
from tests.traffic import ROOT, Launch, Server, free_port, process, start, start_gateway

Backend = Literal["sqlite", "postgresql"]
PROGRAM = "gateway"
_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_PORTS = 10_000


@dataclass
class Site:
    """Gateways that run, by number; a port is a gateway's for good.

    Shape: `program` is the module that serves, `launch` starts it; on SQLite there is one gateway, with its own store.
    """

    folder: Path
    backend: Backend
    settings: Mapping[str, str]
    ports: tuple[int, ...]
    program: str = PROGRAM
    environment: Mapping[str, str] = field(default_factory=dict)
    launch: Launch = process
    database: postgres.Postgres | None = None
    address: str = ""
    store: Server | None = None
    gateways: dict[int, Server] = field(default_factory=dict)

    def start(self, number: int) -> Server:
        """Start a gateway, or start it again."""
        first = self.folder / "gateway-0"
        server = start_gateway(
            self.folder / f"gateway-{number}", self.ports[number], beside=first if number else None,
            settings=self.settings, program=self.program, environment=self.environment, launch=self.launch,
        )  # fmt: skip
        self.gateways[number] = server
        return server

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        """What the journal answers."""
        if self.backend == "postgresql":
            return postgres.rows(self.address, sql)
        with closing(sqlite3.connect(self.folder / "gateway-0" / "journal.db", timeout=30)) as connection:
            return connection.execute(sql).fetchall()

    def log(self, number: int) -> str:
        """What a gateway printed."""
        return (self.folder / f"gateway-{number}.log").read_text("utf-8", "replace")


@contextmanager
def site(  # noqa: PLR0913 - each is one thing that a run does to a site
    folder: Path, backend: Backend, gateways: int = 1, *, program: str = PROGRAM, record: str | None = None,
    settings: Mapping[str, str] | None = None, environment: Mapping[str, str] | None = None,
    launch: Launch = process, database_before: Sequence[str] = (), apart: bool = False,
) -> Iterator[Site]:  # fmt: skip
    """Start a site, and end it.

    Shape: `record` is the address of a FHIR server; without one gateways have a store: on PostgreSQL, or with `apart`,
    a server behind HTTP, so that they share it. Their folders are below `folder`.
    """
    ports = tuple(_lasting_port() for _ in range(gateways))
    chosen = {"public_url": f"http://localhost:{ports[0]}", **(settings or {})}
    with ExitStack() as stack:
        server, address, store = None, "", None
        if backend == "postgresql":
            server = stack.enter_context(postgres.postgres(before=database_before))
            address = server.database()
            chosen["journal"] = address
        if record is None and (apart or backend == "postgresql"):
            store = start_store(folder)
            stack.callback(store.kill)
            record = store.url
        if record is not None:
            # what gateways share is none's own, whatever targets of FHIR the rules declare
            chosen["targets"] = json.dumps(dict.fromkeys(fhir_targets(), record))
        made = Site(
            folder, backend, chosen, ports, program, environment or {}, launch, server, address, store,
        )  # fmt: skip
        try:
            for number in range(gateways):
                made.start(number)
            yield made
        finally:
            for running in made.gateways.values():
                if running.process.poll() is None:
                    running.kill()


def _lasting_port() -> int:
    """A port that nobody listens on, and that no connection gets while its gateway is down.

    Source: ip(7), `ip_local_port_range`: connections get their ports from there.
    """
    first = int(_RANGE.read_text("ascii").split()[0])
    for port in random.SystemRandom().sample(range(first - _PORTS, first), _PORTS):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError(f"no port below {first} is free")


def fhir_targets() -> list[str]:
    """Targets of the shipped rules that take FHIR."""
    text = (ROOT / "rules" / "registry.rules").read_text("utf-8")
    return re.findall(r"^target (\S+) .* takes Fhir$", text, re.MULTILINE)


def start_store(folder: Path) -> Server:
    """Start the embedded store as a FHIR server of its own."""
    port, data = free_port(), folder / "record"
    return start("gateway", "store", "serve", "--port", str(port), "--data", str(data), port=port, data=data,
                 ready="/metadata")  # fmt: skip
