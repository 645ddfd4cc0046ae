"""Engines that send through every fault, and the count of what they were told; then the look at what is there.

An engine sends a message again, to the next gateway, until it is acknowledged, as real ones do. Now and then it sends
one that was acknowledged before, which has to get the same bytes.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import httpx

from gateway.client import AsyncGatewayClient, TokenRefused
from tests.fault.sites import Site
from tests.traffic import DOMAIN, ENGINE, ORGANISATION, PARTNER, admissions

IN_FLIGHT = 8
A_FAULT = 24
"""New messages between two faults, at most: all of them are looked for in the end."""
AHEAD = 500
"""Messages that are made at once."""
AGAIN = 0.2
"""How often an engine sends what was acknowledged before."""
TOLD = 25
"""Faults after which a run says how far it is."""
PAUSE = 0.8
"""So long an engine waits at most before it sends again. Units: seconds."""
BREATH, REST = 0.005, 0.1
"""Between two messages of an engine: of those that may be new, and once only old ones are left. Units: seconds."""
PATIENCE = 90.0
"""So long a site may take to acknowledge anything after a fault. Units: seconds."""
Admission = tuple[str, str, str, bytes]


@dataclass
class Tally:
    """What engines were told.

    Shape: `acknowledged` by control id, with the answer; `times` of each acknowledgement, old ones too: when its
    message was sent and when it came.
    Units: seconds of the monotonic clock.
    """

    acknowledged: dict[str, tuple[Admission, bytes]] = field(default_factory=dict)
    told: Counter[str] = field(default_factory=Counter)
    times: list[tuple[float, float]] = field(default_factory=list)

    def within(self, began: float, ended: float) -> int:
        """How many acknowledgements came, within these times, to what was sent within them."""
        return sum(began <= sent and came <= ended for sent, came in self.times)

    def counts(self) -> dict[str, int]:
        """The counts by name."""
        return {"acknowledged": len(self.acknowledged), **dict(sorted(self.told.items()))}


class Engines:
    """Engines at work on a site."""

    def __init__(self, site: Site, chance: random.Random) -> None:
        """Send nothing yet."""
        self.tally = Tally()
        self._site = site
        self._chance = chance
        self._new = 0
        self._fresh: list[Admission] = []
        self._left = A_FAULT
        self._waiting: list[Admission] = []
        self._heard = asyncio.Event()
        self._ending = asyncio.Event()

    async def work(self, faults: int, fault: Callable[[int], Awaitable[None]]) -> Tally:
        """Send while faults happen, one after the other: each after something was acknowledged since the last."""
        async with AsyncExitStack() as stack:
            clients = [
                await stack.enter_async_context(self._site.gateways[number].client(ENGINE))
                for number in sorted(self._site.gateways)
            ]
            working = [asyncio.create_task(self._engine(clients, number)) for number in range(IN_FLIGHT)]
            try:
                for number in range(faults):
                    await self._acknowledged(working)
                    await fault(number)
                    self._left = A_FAULT
                    if number % TOLD == TOLD - 1:
                        told = {"faults": number + 1, **self.tally.counts()}
                        print(told, file=sys.stderr, flush=True)  # noqa: T201 - a long run says how far it is
                await self._acknowledged(working)
            finally:
                self._ending.set()
                await asyncio.wait(working)
        for task in working:
            task.result()
        return self.tally

    def room(self) -> None:
        """Let new messages be sent, even if there were as many as there are between two faults."""
        self._left = max(self._left, IN_FLIGHT)

    async def hear(self, count: int) -> None:
        """Wait until so many more were acknowledged, old ones too.

        Errors: AssertionError where nothing is.
        """
        for _ in range(count):
            self._heard.clear()
            try:
                await asyncio.wait_for(self._heard.wait(), PATIENCE)
            except TimeoutError as fault:
                raise AssertionError(f"nothing was acknowledged within {PATIENCE} s: {self.tally.counts()}") from fault

    async def _acknowledged(self, working: list[asyncio.Task[None]]) -> None:
        self._heard.clear()
        heard = asyncio.create_task(self._heard.wait())
        done, _ = await asyncio.wait({heard, *working}, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        if heard not in done:
            heard.cancel()
            for task in done:
                task.result()
            raise AssertionError(f"nothing was acknowledged within {PATIENCE} s: {self.tally.counts()}")

    def _next(self) -> Admission:
        if self._waiting:
            return self._waiting.pop()
        known = self.tally.acknowledged
        if known and (self._left <= 0 or self._chance.random() < AGAIN):
            return known[self._chance.choice(list(known))][0]
        self._left -= 1
        if not self._fresh:
            self._fresh = admissions(AHEAD, self._new)
            self._new += AHEAD
        return self._fresh.pop()

    async def _engine(self, clients: list[AsyncGatewayClient], number: int) -> None:
        while not self._ending.is_set():
            admission, place = self._next(), number
            while not await self._sent(clients[place % len(clients)], admission):
                place += 1
                if self._ending.is_set():
                    self._waiting.append(admission)
                    break
                await asyncio.sleep(self._chance.uniform(0.1, PAUSE))
            await asyncio.sleep(BREATH if self._left > 0 else REST)

    async def _sent(self, client: AsyncGatewayClient, admission: Admission) -> bool:
        """Whether a message was acknowledged."""
        began = time.monotonic()
        try:
            reply = await client.send(admission[3], domain=DOMAIN, organisation=ORGANISATION)
        except (httpx.TransportError, TokenRefused):
            self.tally.told["cut off"] += 1
            return False
        if not reply.accepted:
            self.tally.told[f"answered {reply.status}"] += 1
            return False
        self.tally.times.append((began, time.monotonic()))
        before = self.tally.acknowledged.get(admission[0])
        if before is None:
            self.tally.acknowledged[admission[0]] = (admission, reply.body)
        else:
            self.tally.told["sent again"] += 1
            self.tally.told["answered otherwise"] += before[1] != reply.body
        self._heard.set()
        return True


async def verified(site: Site, tally: Tally) -> dict[str, int]:
    """Count what is lost, doubled, or answered otherwise than the first time.

    Shape: of each message that was acknowledged, the journal has one accepted row and answers it with the same bytes,
    and the record has its visit once, in its first version: before any of them is sent again, which would put back
    what was lost, and after.
    """
    told: Counter[str] = Counter()
    slots = asyncio.Semaphore(IN_FLIGHT)
    first = site.gateways[min(site.gateways)]

    async def look(partner: AsyncGatewayClient, nhs_number: str) -> None:
        async with slots:
            found = await partner.search("Encounter", [("patient", nhs_number)], purpose="TREAT")
        visits = [entry["resource"] for entry in found.resource.get("entry", ())]
        told["lost"] += not visits
        told["doubled"] += len(visits) > 1 or any(visit["meta"]["versionId"] != "1" for visit in visits)

    async def repeat(engine: AsyncGatewayClient, body: bytes, answer: bytes) -> None:
        async with slots:
            again = await engine.send(body, domain=DOMAIN, organisation=ORGANISATION)
        told["answered otherwise"] += again.body != answer

    async def count() -> None:
        kept = await asyncio.to_thread(_kept, site)
        told["lost"] += sum(control_id not in kept for control_id in tally.acknowledged)
        told["doubled"] += sum(rows > 1 for rows in kept.values())

    known = tally.acknowledged.values()
    async with first.client(ENGINE) as engine, first.client(PARTNER) as partner:
        await count()
        await asyncio.gather(*(look(partner, admission[1]) for admission, _ in known))
        await asyncio.gather(*(repeat(engine, admission[3], answer) for admission, answer in known))
        await count()
        await asyncio.gather(*(look(partner, admission[1]) for admission, _ in known))
    counts = tally.counts()
    counts["answered otherwise"] = counts.get("answered otherwise", 0) + told["answered otherwise"]
    return {**counts, "lost": told["lost"], "doubled": told["doubled"]}


def _kept(site: Site) -> dict[str, int]:
    """Accepted rows of the journal, by control id."""
    rows = site.rows(
        "SELECT control_id, count(*) FROM submission JOIN outcome ON outcome.submission = submission.id"
        " WHERE state = 'accepted' GROUP BY control_id"
    )
    return {str(control_id): int(str(count)) for control_id, count in rows}
