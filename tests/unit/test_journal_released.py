"""What the journal keeps of what a principal was shown in a day.

Source: `rules-language.md` of the design, meaning 13: durably, and at most so many.
"""

from __future__ import annotations

import asyncio

import pytest

from tests.journals import Storage

MONDAY, TUESDAY = "2026-11-23", "2026-11-24"


def test_what_is_shown_counts_once_and_a_refusal_counts_nothing(storage: Storage) -> None:
    async def run() -> list[bool]:
        async with storage.journal() as journal:

            async def shown(*names: str, principal: str = "p", type_: str = "Patient") -> bool:
                return await journal.count_released(principal, type_, MONDAY, names, 3)

            return [
                await shown("a", "b"),
                await shown("b", "a", "b"),
                await shown("c", "d"),  # one too many: neither is put down
                await shown("c"),
                await shown("d"),
                await shown("d", principal="q"),
                await shown("d", type_="Condition"),
            ]

    assert asyncio.run(run()) == [True, True, False, True, False, True, True]


def test_a_day_begins_anew_and_a_restart_forgets_nothing(storage: Storage) -> None:
    async def shown(day: str, name: str) -> bool:
        async with storage.journal() as journal:
            return await journal.count_released("p", "Patient", day, [name], 1)

    found = [asyncio.run(shown(day, name)) for day, name in ((MONDAY, "a"), (MONDAY, "b"), (TUESDAY, "b"))]
    assert found == [True, False, True]


@pytest.mark.parametrize("limit", [1, 7])
def test_many_at_once_never_pass_the_limit(storage: Storage, limit: int) -> None:
    async def run() -> list[bool]:
        async with storage.journal() as journal:
            asked = (journal.count_released("p", "Patient", MONDAY, [str(n)], limit) for n in range(20))
            return list(await asyncio.gather(*asked))

    assert sum(asyncio.run(run())) == limit
