"""Lines of what anybody may bring about: the first at once, the rest as a count, and none lost."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from gateway.guard import sparingly
from gateway.guard.sparingly import KINDS, MOST, Sparingly


class Told:
    """Keeps lines."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def __call__(self, event: str, **words: str | int) -> None:
        self.lines.append({"event": event, **words})

    def counted(self) -> Counter[str]:
        """How often each event came, by all that was told."""
        found = Counter[str]()
        for line in self.lines:
            found[line["event"]] += line.get("times", 1)
        return found


def test_the_first_are_told_at_once_and_the_rest_are_counted() -> None:
    told = Told()

    async def flood() -> None:
        say = Sparingly(told)
        for _ in range(1000):
            say("handshake failed", why="no certificate")
        say("handshake failed", why="expired")
        assert len(told.lines) == MOST + 1
        say.rest()
        assert told.lines[-1] == {"event": "handshake failed", "why": "no certificate", "times": 1000 - MOST}

    asyncio.run(flood())
    assert told.counted() == {"handshake failed": 1001}


def test_a_span_ends_of_itself_and_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sparingly, "SPAN", 0.05)
    told = Told()

    async def flood() -> None:
        say = Sparingly(told)
        for _ in range(MOST + 5):
            say("handshake refused", rule="HTTP-G23")
        while told.lines[-1].get("times") != 5:  # noqa: ASYNC110 - nobody tells of a line
            await asyncio.sleep(0.01)
        say("handshake refused", rule="HTTP-G23")
        assert told.lines[-1] == {"event": "handshake refused", "rule": "HTTP-G23"}

    asyncio.run(asyncio.wait_for(flood(), 20))


def test_kinds_without_end_take_no_memory_without_end() -> None:
    told = Told()

    async def flood() -> None:
        say = Sparingly(told)
        for number in range(10 * KINDS):
            say("handshake failed", why=str(number))
        assert len(told.lines) == KINDS + MOST
        say.rest()

    asyncio.run(flood())
    assert told.counted() == {"handshake failed": 10 * KINDS}
