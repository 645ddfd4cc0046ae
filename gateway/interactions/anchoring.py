"""Anchors of the audit: every so often the end of this gateway's chain is put down where the journal isn't.

In a log beside the journal, or wherever it is configured, and as a line of the gateway's own log: whoever takes rows
from the end of the chain has to change both.
Source: "Audit" in `trust.md` of the design.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

import structlog

from gateway.interactions import open_chains
from gateway.journal import Journal, JournalUnavailable
from gateway.journal.audit_anchors import Anchor, anchor, put_down
from gateway.journal.audit_chain import Chaining, Keys, Link
from gateway.journal.audit_rows import head

LOOK = 1.0
FAULTS = (JournalUnavailable, OSError, ValueError, KeyError)
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Often:
    """How often an anchor is made: after so many rows, and after so long where there are any. Units: seconds."""

    rows: int
    seconds: float


class Anchoring:
    """Makes the anchors of one chain, and follows the file of keys."""

    def __init__(
        self,
        journal: Journal,
        chaining: Chaining,
        path: Path,
        chains: Path,
        often: Often,
        clock: Callable[[], datetime],
        keys: Callable[[], Keys],
        tell: Callable[[Anchor], Awaitable[int]],
    ) -> None:
        """Make none yet.

        Shape: `path` is the log, `chains` what `open_chains` keeps; `keys` reads the keys again; `tell` hands an anchor
        to others, and says how many rows of the audit that made.
        """
        self._journal = journal
        self._chaining = chaining
        self._path = path
        self._often = often
        self._clock = clock
        self._keys = keys
        self._tell = tell
        self._last: Anchor | None = None
        self._own = 0
        self._chains = chains
        self._left: tuple[str, ...] = ()
        self._since = time.monotonic()

    async def begin(self) -> None:
        """Put down that the chain begins, before its first row, and anchor those that runs which were killed left."""
        try:
            self._left = await asyncio.to_thread(open_chains.begun, self._chains, self._chaining.chain)
            await self._finish()
        except FAULTS as fault:
            log.error("audit anchor", why=str(fault))

    async def end(self) -> None:
        """Anchor all that was answered; where that works, nothing is left for the next run."""
        if not await self.look(at_once=True) or self._own:
            return
        try:
            await asyncio.to_thread(open_chains.anchored, self._chains, self._chaining.chain)
        except OSError as fault:
            log.error("audit anchor", why=str(fault))

    async def keep(self) -> None:
        """Make anchors for as long as the gateway runs; what goes wrong is told and tried again."""
        while True:
            await asyncio.sleep(LOOK)
            await self.look()

    async def look(self, *, at_once: bool = False) -> bool:
        """Make an anchor if it is time for one, or at once where there is anything new: whether nothing went wrong."""
        try:
            await self._finish()
            found = await self._journal.read(partial(head, self._chaining.chain, shared=self._journal.shared))
            before = 0 if self._last is None else self._last.seq + self._own  # to tell of one is nothing new
            if found is None or found.seq <= before:
                self._since = time.monotonic()
                return True
            late = time.monotonic() - self._since >= self._often.seconds
            if not (at_once or self._last is None or late or found.seq - before >= self._often.rows):
                return True
            self._chaining.keys = await asyncio.to_thread(self._keys)
            # others may write to the same log, and what was sealed stays so whoever reads it
            made = await asyncio.to_thread(self._written, found)
            self._own = await self._tell(made)
        except FAULTS as fault:
            log.error("audit anchor", why=str(fault))
            return False
        self._last, self._since = made, time.monotonic()
        log.info("audit anchor", **asdict(made))
        return True

    async def _finish(self) -> None:
        """Anchor the ends of chains that others left. Errors: those of `FAULTS`; what is not done is done later."""
        for chain in self._left:
            # its last row is the last of all, but where something else wrote since
            found = await self._journal.read(partial(head, chain, shared=self._journal.shared))
            if found is None:
                found = await self._journal.read(partial(head, chain, shared=True))
            if found is not None and found.key not in self._chaining.keys.secrets:
                # which verifying tells too; this gateway's own chain goes on
                log.error("audit anchor", why=f"chain {chain} ends with key {found.key}, which is not here")
            elif found is not None:
                made = await asyncio.to_thread(self._written, found)
                await self._tell(made)
                log.info("audit anchor", **asdict(made))
        if self._left:
            await asyncio.to_thread(open_chains.anchored, self._chains, *self._left)
            self._left = ()

    def _written(self, found: Link) -> Anchor:
        return put_down(
            self._path, lambda before: anchor(self._chaining.keys, self._clock().isoformat(), found, before)
        )
