"""Engines that admit people: messages of ever new patients, with so many in flight, each answer looked at."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from gateway.client import AsyncGatewayClient
from tests.bench.connection import Connections, connected
from tests.bench.load import Figure, Job, load
from tests.traffic import DOMAIN, ENGINE, ORGANISATION, Server, admission, nhs_numbers, sample

Round = Callable[[int, int], Awaitable[Figure]]
"""Sends so many messages with so many in flight."""
STORED, QUEUED = 200, 202
_HEADERS = {
    "source-domain": DOMAIN, "organisation-code": ORGANISATION, "data-type": "Hl7v2", "content-type": "text/plain",
}  # fmt: skip
_PEOPLE = 900_000
"""The test range has hardly more numbers: from here on people come again, each time for another visit."""


def bodies() -> Iterator[bytes]:
    """Admissions without end, each of another patient while there are any."""
    text = sample()
    for number, nhs_number in enumerate(itertools.cycle(itertools.islice(nhs_numbers(), _PEOPLE))):
        yield admission(text, number, nhs_number)[3]


@asynccontextmanager
async def engines(
    more: Iterator[bytes], *servers: Server, status: int = STORED
) -> AsyncIterator[Callable[[int], list[Job]]]:
    """A function that makes the next so many messages jobs, each sent to the next server.

    Errors of a job: RuntimeError for an answer that is no AA under `status`; what a connection raises.
    """
    async with AsyncExitStack() as stack:
        ways = [
            (await stack.enter_async_context(connected(one.url)), await stack.enter_async_context(one.client(ENGINE)))
            for one in servers
        ]
        for _, client in ways:
            await client.token()
        to = itertools.cycle(ways)

        async def one(way: tuple[Connections, AsyncGatewayClient], body: bytes) -> None:
            connections, client = way
            head = connections.head("POST", "/$ingest", {**_HEADERS, "authorization": f"Bearer {await client.token()}"})
            reply = await connections.ask(head, body)
            if reply.status != status or b"MSA|AA" not in reply.body:
                raise RuntimeError(f"{reply.status}, not {status}: {reply.body.decode()}")

        yield lambda count: [partial(one, next(to), body) for body in itertools.islice(more, count)]


@asynccontextmanager
async def admitting(more: Iterator[bytes], *servers: Server, status: int = STORED) -> AsyncIterator[Round]:
    """A function that sends the next messages to servers in turn. Errors: those of a job of `engines`."""
    async with engines(more, *servers, status=status) as jobs:

        async def round_of(count: int, level: int) -> Figure:
            return await load(jobs(count), level)

        yield round_of
