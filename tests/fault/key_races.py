"""Two messages under one control id at the same moment, at two gateways: one row, and every conflict is flagged.

Half of the pairs are the same message twice: both get the same answer. The others differ: one is accepted, the other is
told that its control id was taken.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

from gateway.client import AsyncGatewayClient, Sent
from tests.fault.scenario import Counts
from tests.fault.sites import Site, site
from tests.traffic import DOMAIN, ENGINE, ORGANISATION, admissions

AT_ONCE = 6
TRIES = 20
CONFLICT = 409


async def _told(client: AsyncGatewayClient, body: bytes) -> Sent:
    """What a message is answered, sent again where its twin is still in hand."""
    for _ in range(TRIES):
        reply = await client.send(body, domain=DOMAIN, organisation=ORGANISATION)
        if reply.status != 503:
            return reply
        await asyncio.sleep(0.1)
    return reply


async def _race(
    clients: list[AsyncGatewayClient], number: int, admission: tuple[str, str, str, bytes], told: Counter[str]
) -> None:
    _, _, visit, body = admission
    same = number % 2 == 0
    other = body if same else body.replace(visit.encode(), b"W" + visit.encode()[1:])
    order = clients if number % 4 < 2 else clients[::-1]
    one, two = await asyncio.gather(_told(order[0], body), _told(order[1], other))
    told["races"] += 1
    if same:
        told["twins answered alike"] += one.accepted and one.body == two.body
        told["twins answered otherwise"] += not (one.accepted and one.body == two.body)
        return
    accepted, statuses = one.accepted + two.accepted, (one.status, two.status)
    flagged = accepted == 1 and CONFLICT in statuses
    told["conflicts flagged"] += flagged
    told["conflicts not flagged"] += not flagged


async def _races(place: Site, times: int) -> Counts:
    told: Counter[str] = Counter()
    numbers = iter(enumerate(admissions(times)))

    async def run(clients: list[AsyncGatewayClient]) -> None:
        for number, admission in numbers:
            await _race(clients, number, admission, told)

    async with place.gateways[0].client(ENGINE) as one, place.gateways[1].client(ENGINE) as two:
        await asyncio.gather(one.token(), two.token())
        await asyncio.gather(*(run([one, two]) for _ in range(AT_ONCE)))
    rows = await asyncio.to_thread(
        place.rows,
        "SELECT key, count(*) FROM submission JOIN outcome ON outcome.submission = submission.id"
        " WHERE state = 'accepted' GROUP BY key",
    )
    counts = [int(str(count)) for _, count in rows]
    missing = times - len(counts)
    return {**told, "keys with one row": counts.count(1), "keys with more": len(counts) - counts.count(1),
            "keys with none": missing}  # fmt: skip


def run(folder: Path, times: int, seed: int) -> Counts:  # noqa: ARG001 - who is first is chance enough
    """Race so often, and count."""
    with site(folder, "postgresql", 2) as place:
        return asyncio.run(_races(place, times))
