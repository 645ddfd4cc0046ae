"""A search that takes too long for the event loop is stopped there, and leaves nothing behind."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest

from gateway.upstream import store
from gateway.upstream.embedded import Embedded
from gateway.upstream.store import engine

FLAG = {"resourceType": "Flag", "status": "active", "code": {"text": "x"}, "subject": {"reference": "Patient/1"}}


def test_a_stopped_search_leaves_no_transaction_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else later reads would see the moment of the stopped search for good, and no history could be read."""
    # every statement is stopped, the end of the transaction too if it can be
    monkeypatch.setattr(engine, "_STRIDE", 1)
    monkeypatch.setattr(engine, "_BUDGET", 5)

    async def run() -> None:
        app = store.app(tmp_path / "store.db", trusted=True)
        async with httpx.AsyncClient(transport=Embedded(app, app.aclose), base_url="http://store") as client:
            for name in ("a", "b"):
                assert (await client.put(f"/Flag/{name}", json={**FLAG, "id": name})).status_code == 201
                found = await client.get("/Flag?patient=1&_sort=_id")
                assert found.json()["entry"][-1]["resource"]["id"] == name
                assert (await client.get(f"/Flag/{name}")).status_code == 200
                assert (await client.get(f"/Flag/{name}/_history")).status_code == 200

    asyncio.run(run())
