"""Reading the rules again while the gateway runs: the new ones take the place of the old all at once, or not at all.

A request keeps the gateway that it began with (`gateway.of`). A rule set with any error is not taken: the last good one
stays, and `/_health/ready` says so.
Source: `rules-language.md` of the design, meaning 3 and "How it runs"; `http-interface.md`, "Operations".
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from datetime import datetime

import structlog
from starlette.datastructures import State

from gateway.interactions.faults import trace
from gateway.interactions.gateway import Gateway, NotReread

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Kept:
    """Why the last good rules stay. Shape: `first` is where the first error stands and its code, no words of it."""

    since: datetime
    errors: int
    first: str


class Reload:
    """What new requests get, and why it may not be what the files hold."""

    def __init__(self, state: State, gateway: Gateway) -> None:
        """Stand on an open gateway, which `state.gateway` is from now on."""
        self._state = state
        self._asked = asyncio.Event()
        self.kept: Kept | None = None
        state.gateway = gateway

    @property
    def gateway(self) -> Gateway:
        """The gateway that a request which begins now gets."""
        current: Gateway = self._state.gateway
        return current

    def ask(self) -> None:
        """Have the rules read again, soon; for a signal's handler."""
        self._asked.set()

    async def reread(self) -> bool:
        """Read the rules again, and take them where they have no error.

        Shape: whether they were taken.
        """
        gateway = self.gateway
        if gateway.rereading is None:
            return False
        try:
            renewed = await gateway.rereading.renewed(gateway)
        except NotReread as fault:
            self._keep(fault.errors, fault.first)
            log.error("rules not loaded", errors=fault.errors, told=fault.told, kept=gateway.rules.digest)
            return False
        except Exception as fault:  # noqa: BLE001 - whatever is wrong with the files, what is served goes on
            self._keep(1, "the gateway failed on them; its log says where")
            log.error("rules not loaded", kept=gateway.rules.digest, **trace(fault))
            return False
        self._state.gateway, self.kept = renewed, None
        log.info("rules loaded", digest=renewed.rules.digest, before=gateway.rules.digest)
        return True

    async def follow(self) -> None:
        """Read the rules again when that is asked for, and after a file changed, for as long as the gateway runs."""
        rereading = self.gateway.rereading
        if rereading is None:
            return
        # not what they are by now: a start takes seconds, and what changed meanwhile is not served
        read, seen = rereading.began, await rereading.look()
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._asked.wait(), rereading.every)
            if self._asked.is_set():
                self._asked.clear()
                read = seen = await rereading.look()
                await self.reread()
                continue
            last, seen = seen, await rereading.look()
            # where many files are written, the last of them is waited for
            if seen != read and seen == last:
                read = seen
                await self.reread()

    def _keep(self, errors: int, first: str) -> None:
        self.kept = Kept(self.gateway.clock(), errors, first)
