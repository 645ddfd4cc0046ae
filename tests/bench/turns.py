"""Servers that take turns: what slows the machine down for a while slows all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack

from tests.bench.admitting import STORED, admitting, bodies
from tests.bench.load import Figure, median
from tests.traffic import Server

Figures = Mapping[str, Mapping[int, Figure]]
"""By the name of a way and requests in flight."""
_WARM, _LEAST = 400, 100


async def taken(
    ways: Mapping[str, Sequence[Server]], levels: Sequence[int], seconds: float, rounds: int, *, status: int = STORED,
    acknowledged: Counter[str] | None = None,
) -> Figures:  # fmt: skip
    """What each way answers, as the medians of its rounds.

    Shape: a way is the servers that messages are sent to in turn; who comes first is another one in each round.
    `acknowledged` counts the messages of each way.
    Units: a round takes about so many seconds.
    """
    found: dict[tuple[str, int], list[Figure]] = {}
    more = bodies()
    async with AsyncExitStack() as stack:
        senders = [
            (name, await stack.enter_async_context(admitting(more, *servers, status=status)))
            for name, servers in ways.items()
        ]
        for turn in range(rounds):
            for level in levels:
                for name, send in (*senders[turn % len(senders) :], *senders[: turn % len(senders)]):
                    count = max(_LEAST, int((await send(_WARM, level)).rate * seconds))
                    found.setdefault((name, level), []).append(await send(count, level))
                    if acknowledged is not None:
                        acknowledged[name] += _WARM + count
    return {name: {level: median(found[name, level]) for level in levels} for name in ways}


def rows(figures: Figures, levels: Sequence[int]) -> list[str]:
    """Figures of each way as Markdown."""
    heads = " | ".join(f"{level} in flight: a second | p50 ms | p99 ms" for level in levels)
    return ["", f"| | {heads} |", "|---" * (1 + 3 * len(levels)) + "|", *(
        f"| {name} | " + " | ".join(f"{f.rate:,.0f} | {f.p50:.1f} | {f.p99:.1f}" for f in found.values()) + " |"
        for name, found in figures.items()
    )]  # fmt: skip
