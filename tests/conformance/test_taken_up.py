"""What a gateway left in hand, taken up by itself at its next start or by another. Source: `trust.md`, "Journal"."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.journal import Journal, NotInHand, Outcome, SqliteJournal, Submission
from gateway.loading import Decisions
from tests.running import NOW, Running, acknowledged, issues, message, running


class TakenUp:
    """A journal whose submissions in hand another gateway has taken up by the time that they are settled."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.abandoned: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)

    def abandon(self, receipt: str) -> None:
        self.abandoned.append(receipt)

    async def settle(self, receipt: str, outcome: Outcome) -> None:
        raise NotInHand(f"{receipt}, {outcome.state}")


def test_it_acknowledges_nothing_and_the_message_may_be_sent_again(gateway: Running) -> None:
    state = gateway.http.app.state  # type: ignore[attr-defined]  # Starlette's
    journal = TakenUp(state.gateway.journal)
    state.gateway = replace(state.gateway, journal=journal)
    reply = gateway.send(message(control_id="T-1"))
    assert (reply.status_code, acknowledged(reply).code) == (503, "AE")
    assert reply.headers["Retry-After"] == "10"
    assert issues(reply)[0]["details"]["coding"][0]["code"] == "JRN-02"
    assert len(journal.abandoned) == 1
    state.gateway = replace(state.gateway, journal=journal._journal)
    again = gateway.send(message(control_id="T-9"))
    assert acknowledged(again).code == "AA"


def left(receipt: str, principal: str) -> Submission:
    return Submission(
        receipt=receipt, received=NOW.isoformat(), principal=principal, user=None, purpose=None, organisation="r0d",
        domain="emergency-care", data_type="Hl7v2", charset=None, type="ADT^A01", control_id=receipt, key=receipt,
        body_hash=receipt, body=message(control_id=receipt, visit=receipt), rules="d", window=timedelta(days=7),
    )  # fmt: skip


@pytest.mark.timeout(60)
def test_a_start_carries_out_what_was_left_and_leaves_what_it_can_not(tmp_path: Path, decisions: Decisions) -> None:
    data = tmp_path / "data"

    async def crash() -> None:
        async with SqliteJournal(data / "journal.db") as journal:
            for receipt, principal in (("r-1", "demo-engine"), ("r-2", "nobody-any-more"), ("r-3", "demo-engine")):
                await journal.claim(left(receipt, principal))

    async def states() -> list[str | None]:
        async with SqliteJournal(data / "journal.db") as journal:
            found = [await journal.find(receipt) for receipt in ("r-1", "r-2", "r-3")]
            return [None if one is None else one.state for one in found]

    asyncio.run(crash())
    with running(data, decisions) as one:
        assert one.http.get("/_health/live").status_code == 200
    assert asyncio.run(states()) == ["accepted", "received", "accepted"]
