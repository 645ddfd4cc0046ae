"""Two stores that differ only in what a caller may not see answer alike: status, headers, body, order, links, size.

`GATEWAY_PAIRS=10000` (`make leaks N=10000`) runs so many pairs, from `GATEWAY_PAIR` on; a failure names its pair.
Source: `facade.md` of the design, "Narrow, then check again"
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pytest

from gateway import assemble, loading
from gateway.app import application
from gateway.config import CREDENTIALS, Settings
from gateway.identity import Credentials
from gateway.interactions.gateway import Gateway
from gateway.upstream import store
from gateway.upstream.by_httpx import ByHttpx
from gateway.upstream.embedded import Embedded
from gateway.upstream.embedded_server import EmbeddedServer
from tests import rule_sets
from tests.bounded import examples
from tests.conformance.leaks import cases
from tests.property.worlds.chance import GONE, Asked, Json, Pair, escaped
from tests.property.worlds.pairs import pair
from tests.running import NOW, enrol

PAIRS = int(os.environ.get("GATEWAY_PAIRS", examples(50)))
FIRST = int(os.environ.get("GATEWAY_PAIR", "0"))
BASE, RECORD = "http://localhost:8000", "http://embedded"
SECRETS = {"leak-partner": "a-secret-of-the-first-partner", "leak-clinic": "a-secret-of-the-second-partner"}
MOST_PAGES, OK = 4, 200
RENEWED_EVERY = 500
"""Pairs that one token is used for."""
MOST_IN_TIME = 200
"""Pairs that a run has the usual time for."""
FHIR_JSON = {"content-type": "application/fhir+json"}
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TOKEN = re.compile(r"(?<=_page=)[^\"&\s]+")
Told = tuple[int, tuple[tuple[str, str], ...], str]


@dataclass
class World:
    """A gateway in front of a store of its own, which can be filled past it."""

    gateway: httpx.AsyncClient
    record: httpx.AsyncClient
    tokens: dict[str, str]

    async def renew(self) -> None:
        """Get new tokens."""
        for principal, secret in SECRETS.items():
            asked = {"grant_type": "client_credentials"}
            reply = await self.gateway.post("/$ingest/auth", data=asked, auth=(principal, secret))
            assert reply.status_code == 200, reply.text
            self.tokens[principal] = reply.json()["access_token"]

    async def hold(self, stored: Sequence[tuple[str, Json]]) -> None:
        """Store or delete resources, all in one transaction."""
        entries = [
            {"request": {"method": "DELETE", "url": name}} if body is GONE
            else {"request": {"method": "PUT", "url": name}, "resource": body}
            for name, body in stored
        ]  # fmt: skip
        if entries:
            bundle = json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entries})
            reply = await self.record.post("/", content=bundle.encode(), headers=FHIR_JSON)
            assert reply.status_code == 200, reply.text

    async def ask(self, one: Pair, asked: Asked) -> list[tuple[Told, str]]:
        """What is answered, page by page, and the pages as they are."""
        found = []
        target = asked.target
        for _ in range(MOST_PAGES):
            reply = await self._sent(one, replace(asked, target=target))
            found.append((_told(reply), reply.text))
            links = reply.json().get("link", []) if reply.status_code == OK and reply.content else []
            following = next((str(link["url"]) for link in links if link["relation"] == "next"), None)
            if following is None:
                break
            asked, target = Asked("GET", ""), following.removeprefix(BASE)
        return found

    async def _sent(self, one: Pair, asked: Asked) -> httpx.Response:
        headers = {
            "authorization": f"Bearer {self.tokens[one.caller]}",
            "purpose-of-use": one.purpose,
            **dict(asked.headers),
        }
        return await self.gateway.request(asked.method, escaped(asked.target), headers=headers, content=asked.content)


def _told(reply: httpx.Response) -> Told:
    """An answer without what is random in each: ids of outcomes and of what is new, tokens but for their length."""

    def settled(text: str) -> str:
        return _TOKEN.sub(lambda token: f"TOKEN-OF-{len(token[0])}", _UUID.sub("UUID", text))

    headers = tuple(sorted((name, settled(value)) for name, value in reply.headers.multi_items()))
    return reply.status_code, headers, settled(reply.text)


@asynccontextmanager
async def world(folder: Path, loaded: loading.Decisions, clock: Callable[[], datetime]) -> AsyncIterator[World]:
    """A gateway on a folder of its own; `clock` is that of its store."""
    settings = Settings(data=folder, client_secrets=True, rules_watched=0)
    credentials = Credentials(folder / CREDENTIALS)
    for principal, secret in SECRETS.items():
        enrol(credentials, principal, secret)
    app = store.app(folder / "record.db", clock=clock)

    @asynccontextmanager
    async def opened() -> AsyncIterator[Gateway]:
        async with assemble.opened(settings, loaded, clock=lambda: NOW) as one:
            server = EmbeddedServer("record", ByHttpx(httpx.AsyncClient(transport=Embedded(app))), RECORD, app)
            yield replace(one, targets={**one.targets, "record": server})

    web = application(opened)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(app.aclose)
        await stack.enter_async_context(web.router.lifespan_context(web))
        one = await stack.enter_async_context(httpx.AsyncClient(transport=Embedded(web), base_url=BASE))
        record = await stack.enter_async_context(httpx.AsyncClient(transport=Embedded(app), base_url=RECORD))
        made = World(one, record, {})
        await made.renew()
        yield made


@dataclass
class Clock:
    """The time of both stores, which stands still while a pair is asked."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        """The time."""
        return self.now


@dataclass
class Run:
    """What came of some pairs. Shape: `shown` counts the answers in which there was something to see."""

    found: list[str] = field(default_factory=list)
    answers: int = 0
    shown: int = 0

    async def one(self, here: World, there: World, drawn: Pair, clock: Clock) -> None:
        """Store a pair in two worlds, ask, and keep what is answered differently."""
        for steps in drawn.rounds:
            clock.now += timedelta(seconds=1)
            await asyncio.gather(
                here.hold([(step.name, step.here) for step in steps if step.here is not None]),
                there.hold([(step.name, step.there) for step in steps if step.there is not None]),
            )
        for asked in drawn.requests:
            ours, theirs = await asyncio.gather(here.ask(drawn, asked), there.ask(drawn, asked))
            self.answers += len(ours)
            self.shown += sum('"id":' in text and '"issue"' not in text for _, text in ours)
            if [page for page, _ in ours] != [page for page, _ in theirs]:
                who = f"pair {drawn.number} as {drawn.caller} for {drawn.purpose}"
                self.found.append(f"{who}: {asked}\n{_first(ours, theirs)}")


def _first(ours: Sequence[tuple[Told, str]], theirs: Sequence[tuple[Told, str]]) -> str:
    for (mine, text), (other, another) in zip(ours, theirs, strict=False):
        if mine != other:
            return f"  {mine[0]} {mine[1]}\n  {text}\n  {other[0]} {other[1]}\n  {another}"
    return f"  {len(ours)} pages and {len(theirs)}"


async def run(folder: Path, loaded: loading.Decisions, first: int, pairs: int) -> Run:
    """Run pairs one after the other in the same two stores. Shape: `folder` has the folders `here` and `there`."""
    done, clock = Run(), Clock()
    async with world(folder / "here", loaded, clock) as here, world(folder / "there", loaded, clock) as there:
        for number in range(first, first + pairs):
            if number % RENEWED_EVERY == RENEWED_EVERY - 1:
                await here.renew()
                await there.renew()
            await done.one(here, there, pair(number), clock)
    return done


@pytest.mark.timeout(0 if PAIRS > MOST_IN_TIME else 60)
def test_what_a_caller_may_not_see_changes_no_answer(tmp_path: Path, repository: Path) -> None:
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    loaded = rule_sets.decisions(cases.FOLDER / "rules", repository / "specs")
    done = asyncio.run(run(tmp_path, loaded, FIRST, PAIRS))
    assert not done.found, f"{len(done.found)} answers differ:\n" + "\n".join(done.found[:5])
    assert done.shown > PAIRS, f"of {done.answers} answers only {done.shown} show anything"
