"""What this process has in hand, and how a claim waits for what has its key."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import TypeAlias

from gateway.journal.model import Busy, Claim, Fresh, Held, JournalUnavailable, Submission

# How often a claim looks again at a key that is not in hand in this process (left by a crash, or another's).
_LOOK_AGAIN = 0.1

Ask: TypeAlias = Callable[[str | None], "asyncio.Future[Claim | Held]"]


class InHand:
    """Receipts that are in hand here, each with a future that ends with it, and those that were given up here.

    Units: `given_up` is since when, on the event loop's clock.
    """

    def __init__(self) -> None:
        """Begin with empty hands."""
        self.futures: dict[str, asyncio.Future[None]] = {}
        self.given_up: dict[str, float] = {}

    def take(self, receipt: str) -> None:
        """Have a receipt in hand from here on: whoever meets its key meanwhile must find it.

        Errors: ValueError for one that is.
        """
        if receipt in self.futures:
            raise ValueError(f"submission {receipt} is in hand already")
        self.futures[receipt] = asyncio.get_running_loop().create_future()

    def take_again(self, receipt: str) -> None:
        """Have what nobody had in hand from here on, whoever gave it up."""
        self.given_up.pop(receipt, None)
        self.let_go(receipt)
        self.take(receipt)

    def let_go(self, receipt: str) -> None:
        """Have it in hand no longer; those who wait for it look again."""
        holder = self.futures.pop(receipt, None)
        if holder is not None and not holder.done():
            holder.set_result(None)

    def give_up(self, receipt: str) -> None:
        """Let go of what was not settled."""
        self.given_up[receipt] = asyncio.get_running_loop().time()
        self.let_go(receipt)

    def given_up_for(self, past: timedelta) -> list[str]:
        """Receipts that were given up so long ago."""
        until = asyncio.get_running_loop().time() - past.total_seconds()
        return [receipt for receipt, since in self.given_up.items() if since <= until]

    def settled(self, receipt: str) -> None:
        """Let go of what was settled."""
        self.given_up.pop(receipt, None)
        self.let_go(receipt)

    async def settling(self, receipt: str, done: asyncio.Future[None], abandon: Callable[[str], None]) -> None:
        """Wait for a settling, which goes on where the caller is cancelled, and let go of what it settled.

        Shape: `abandon` gives up what was not settled, for the storage failed.
        Errors: what the settling raises.
        """
        if done.done():  # as it was handed over
            self._ended(receipt, abandon, done)
        else:
            done.add_done_callback(partial(self._ended, receipt, abandon))
        await asyncio.shield(done)

    def _ended(self, receipt: str, abandon: Callable[[str], None], done: asyncio.Future[None]) -> None:
        if done.cancelled() or isinstance(done.exception(), JournalUnavailable):
            abandon(receipt)
        elif done.exception() is None:
            self.settled(receipt)

    async def claimed(self, submission: Submission, patience: float, ask: Ask, unheard: Callable[[str], None]) -> Claim:
        """Claim a submission, waiting while another has its key.

        Shape: `ask` claims once, taking the key of the receipt that it is given, which this process gave up; `unheard`
        gives up a claim whose caller was cancelled before it heard the answer. Units: `patience` in seconds.
        Errors: ValueError for a receipt that is in hand; what `ask` raises.
        """
        self.take(submission.receipt)
        claim: Claim | None = None
        try:
            claim = await self._claimed(submission, patience, ask, unheard)
        finally:
            if not isinstance(claim, Fresh):
                self.let_go(submission.receipt)
        return claim

    async def _claimed(
        self, submission: Submission, patience: float, ask: Ask, unheard: Callable[[str], None]
    ) -> Claim:
        loop = asyncio.get_running_loop()
        until = loop.time() + patience
        supersedes = None
        while True:
            asked = ask(supersedes)
            try:
                claim = await asyncio.shield(asked)
            except asyncio.CancelledError:
                asked.add_done_callback(partial(_unheard, submission.receipt, unheard))
                raise
            if not isinstance(claim, Held):
                if supersedes is not None:
                    self.given_up.pop(supersedes, None)
                return claim
            if claim.receipt in self.given_up:
                supersedes = claim.receipt
                continue
            left = until - loop.time()
            if left <= 0:
                return Busy(claim.receipt, claim.same)
            holder = self.futures.get(claim.receipt)
            if holder is None:
                await asyncio.sleep(min(left, _LOOK_AGAIN))
            else:
                await asyncio.wait((holder,), timeout=left)


def _unheard(receipt: str, unheard: Callable[[str], None], asked: asyncio.Future[Claim | Held]) -> None:
    if not asked.cancelled() and asked.exception() is None and isinstance(asked.result(), Fresh):
        unheard(receipt)
