"""The embedded store beside HAPI FHIR JPA on H2: the same requests over HTTP, with so much stored.

Run alone: `python -m tests.bench --only hapi`. HAPI is built by Maven into the user's cache and started as by the
tests; one server runs at a time. Everybody in it is invented.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import uvloop

from gateway import fhir
from tests.bench.connection import Connections, connected
from tests.bench.load import Figure, Job, load
from tests.bench.people import NHS, resources
from tests.interop.hapi.launch import start_hapi
from tests.traffic import Server, free_port, start

SIZES = (1_000, 10_000)
IN_FLIGHT = 8
STORE, HAPI = "embedded store", "HAPI on H2"
_BUNDLE = 10
_CREATES = 400
_SEARCHES = 1_000
_WARM = 300
_JSON = {"content-type": "application/fhir+json", "accept": "application/fhir+json"}
_PEOPLE_AT = 120
"""So many resources come before the people in `resources`: the staff."""
_OF_A_PERSON = 11


@dataclass(frozen=True, slots=True)
class Row:
    """What one server gave with so many resources.

    Units: creates and Bundles a second; searches with `IN_FLIGHT` and alone in flight.
    """

    server: str
    size: int
    creates: Figure
    bundles: Figure
    identifier: Figure
    identifier_alone: Figure
    date: Figure
    date_alone: Figure


def measure(folder: Path, sizes: Sequence[int]) -> list[str]:
    """The section: the store, and HAPI where it can be built."""
    found: list[Row] = []
    starts: Mapping[str, Callable[[Path], Server]] = {STORE: start_store, HAPI: start_hapi}
    for name, begin in starts.items():
        if name == HAPI and not (shutil.which("mvn") and shutil.which("java")):
            continue
        server = begin(folder / name.replace(" ", "-"))
        try:
            found += uvloop.run(_measured(name, server.url, sizes))
        finally:
            server.stop() if name == STORE else server.kill()
    return section(found)


def start_store(folder: Path) -> Server:
    """The embedded store alone, on a data folder."""
    folder.mkdir(exist_ok=True)
    port = free_port()
    arguments = ("gateway", "store", "serve", "--port", str(port), "--data", str(folder))
    return start(*arguments, port=port, data=folder, ready="/metadata")


async def _measured(name: str, url: str, sizes: Sequence[int]) -> list[Row]:
    """The server at each size; it grows from one to the next."""
    found: list[Row] = []
    everything = resources(max(sizes))
    async with connected(url) as connections:
        ask = Asking(connections, url)
        warm = [*map(ask.create, others(_WARM, -1)), *map(ask.transaction, portions(resources(_WARM, -1)))]
        await load(warm, IN_FLIGHT)  # Java compiles what it does again and again
        stored = 0
        for size in sorted(sizes):
            jobs = [ask.transaction(some) for some in portions(islice(everything, size - stored))]
            bundles = await load(jobs, IN_FLIGHT)
            stored = size
            creates = await load([ask.create(one) for one in others(_CREATES, size)], IN_FLIGHT)
            figures: list[Figure] = []
            for jobs in searches(ask, size):
                await load(jobs[:100], IN_FLIGHT)
                figures += [await load(jobs, IN_FLIGHT), await load(jobs[:300], 1)]
            found.append(Row(name, size, creates, bundles, *figures))
    return found


def portions(source: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Resources as they go into transactions."""
    while some := list(islice(source, _BUNDLE)):
        yield some


def others(count: int, seed: int) -> Iterator[dict[str, Any]]:
    """Resources to create, which have no part in the searches: the server gives them their ids."""
    for one in islice(resources(count + _PEOPLE_AT, seed), _PEOPLE_AT, None):
        yield {key: value for key, value in one.items() if key not in {"id", "birthDate", "identifier"}}


def searches(ask: Asking, size: int) -> tuple[list[Job], list[Job]]:
    """Searches by identifier, each of which finds somebody, and by date, where so many resources are stored."""
    people = (size - _PEOPLE_AT) // _OF_A_PERSON
    chance = random.Random(size)  # noqa: S311 - sample data
    numbers = [chance.randrange(people) for _ in range(_SEARCHES)]
    by_identifier = [ask.search(f"Patient?identifier={NHS}%7C999{n % 10_000_000:07}", 1) for n in numbers]
    days = [
        f"{chance.randrange(1930, 2020)}-{chance.randrange(1, 13):02}-{chance.randrange(1, 29):02}" for _ in numbers
    ]
    return by_identifier, [ask.search(f"Patient?birthdate={day}") for day in days]


class Asking:
    """Jobs for a server; each looks at its answer."""

    def __init__(self, connections: Connections, url: str) -> None:
        self._connections = connections
        self._base = "/" + url.split("/", 3)[3] if url.count("/") > 2 else ""

    def create(self, resource: Mapping[str, Any]) -> Job:
        """Create a resource."""
        return partial(self._sent, "POST", f"{self._base}/{resource['resourceType']}", fhir.dump(dict(resource)), 201)

    def transaction(self, some: Sequence[Mapping[str, Any]]) -> Job:
        """Write some resources, under their ids where they have some, all or none."""
        entries = [{"resource": one, "request": _request(one)} for one in some]
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        return partial(self._sent, "POST", self._base or "/", fhir.dump(bundle), 200)

    def search(self, address: str, total: int | None = None) -> Job:
        """Search, and count what is found where that is known."""
        return partial(self._found, f"{self._base}/{address}", total)

    async def _sent(self, method: str, path: str, body: bytes, status: int) -> None:
        reply = await self._connections.ask(self._connections.head(method, path, _JSON), body)
        if reply.status != status:
            raise RuntimeError(reply.body.decode())

    async def _found(self, path: str, total: int | None) -> None:
        reply = await self._connections.ask(self._connections.head("GET", path, _JSON))
        if reply.status != 200 or (total is not None and len(fhir.load(reply.body).get("entry", ())) != total):
            raise RuntimeError(f"{path}: {reply.status} {reply.body.decode()}")


def _request(resource: Mapping[str, Any]) -> dict[str, str]:
    if "id" in resource:
        return {"method": "PUT", "url": f"{resource['resourceType']}/{resource['id']}"}
    return {"method": "POST", "url": str(resource["resourceType"])}


def section(found: Sequence[Row]) -> list[str]:
    """Lines of Markdown, and how many times the store gives what HAPI does."""
    rows = [
        f"| {row.size:,} | {row.server} | {row.creates.rate:,.0f} | {row.bundles.rate:,.0f}"
        f" | {row.identifier.rate:,.0f} | {row.identifier_alone.p50:.1f}"
        f" | {row.date.rate:,.0f} | {row.date_alone.p50:.1f} |"
        for row in sorted(found, key=lambda row: (row.size, row.server != STORE))
    ]
    by = {(row.server, row.size): row for row in found}
    for size in sorted({row.size for row in found}):
        if (HAPI, size) in by:
            own, other = by[STORE, size], by[HAPI, size]
            times = [
                own.creates.rate / other.creates.rate, own.bundles.rate / other.bundles.rate,
                own.identifier.rate / other.identifier.rate, other.identifier_alone.p50 / own.identifier_alone.p50,
                own.date.rate / other.date.rate, other.date_alone.p50 / own.date_alone.p50,
            ]  # fmt: skip
            rows.append(f"| {size:,} | times better | {' | '.join(f'{one:,.0f}' for one in times)} |")
    how = (
        f"Over HTTP, {IN_FLIGHT} requests in flight unless alone. Creates by POST, one resource each; transactions "
        f"write {_BUNDLE} resources under ids of the client's choice. Searches: a patient by NHS number, found each "
        "time; patients by day of birth."
    )
    searched = "by identifier/s | alone, p50 ms | by date/s | alone, p50 ms"
    heads = f"stored | server | creates/s | transaction Bundles/s | {searched}"
    return [
        "", "## The embedded store beside HAPI FHIR JPA on H2", "", how, "", f"| {heads} |", "|---" * 8 + "|", *rows,
    ]  # fmt: skip
