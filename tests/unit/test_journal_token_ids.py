"""Ids of tokens that were taken back, kept by either storage and read by every gateway on it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

import pytest

from gateway.identity import Revocations
from gateway.journal import Journal, token_ids
from tests.journals import OnPostgres, Storage


async def kept(journal: Journal, name: str) -> Mapping[str, float]:
    return await journal.read(token_ids(name))


def test_what_was_kept_under_a_name_is_read_back_after_a_restart(storage: Storage) -> None:
    soon = int(time.time()) + 300

    async def write() -> None:
        async with storage.journal() as journal:
            assert await kept(journal, "$revoked") == {}
            await journal.claim_token_id("$revoked", "one", soon)
            await journal.claim_token_id("$revoked", "two", soon + 1)
            await journal.claim_token_id("demo-engine", "three", soon)

    async def read() -> tuple[Mapping[str, float], Mapping[str, float]]:
        async with storage.journal() as journal:
            return await kept(journal, "$revoked"), await kept(journal, "nobody")

    asyncio.run(write())
    assert asyncio.run(read()) == ({"one": soon, "two": soon + 1}, {})


@pytest.mark.interop
def test_a_token_that_one_gateway_takes_back_is_refused_by_another(shared_storage: OnPostgres) -> None:
    async def both() -> bool:
        async with shared_storage.another() as here, shared_storage.another() as there:
            mine, others = Revocations(here.claim_token_id), Revocations(there.claim_token_id)
            await mine.add("one", int(time.time()) + 300)
            before = "one" in others
            await others.look(lambda name: kept(there, name))
            return not before and "one" in others

    assert asyncio.run(both())
