"""Who gives way where there are too many connections: those that wait for their client, of whoever has most of them.

What ends takes room as well, but neither makes others end nor keeps anybody out: past a quarter more than the limit
those that end longest are cut off. So whoever opens connections faster than they end takes room from itself alone.
Source: `http-interface.md` of the design, "Limits and hostile clients".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address
from typing import Protocol

_ENDING = 4
"""Connections that end may take a part of so many of the limit, beside it."""
_AT_ONCE = 50
"""A part of so many of the limit ends together, so that who has most is looked for now and then alone."""
_SITE_BITS = 64


class Held(Protocol):
    """A connection that holds room."""

    @property
    def whose(self) -> str:
        """By whom it is held: see `whose`."""

    @property
    def standing(self) -> tuple[int, float] | None:
        """How soon it gives way, the lowest first; None where it does not, for its request is in hand."""

    def give_way(self) -> None:
        """End for the sake of others."""

    def refuse_room(self) -> None:
        """End because there is none."""

    def cut_off(self) -> None:
        """End at once, without words."""


@dataclass(slots=True, eq=False)
class Room:
    """The room of one server's listeners.

    Shape: `most` connections may be held at once; `_leaving` are those that end, the longest first.
    """

    most: int
    _leaving: dict[Held, None] = field(default_factory=dict)

    def enter(self, newcomer: Held, connections: Iterable[object], number: int) -> None:
        """Take a connection, and end others for it where it needs that.

        Shape: `number` of `connections`, the newcomer among them.
        """
        if number - len(self._leaving) > self.most:
            self._make(newcomer, connections)

    def leaves(self, one: Held) -> None:
        """Count a connection as one that ends."""
        self._leaving[one] = None
        while len(self._leaving) > max(1, self.most // _ENDING):
            longest = next(iter(self._leaving))
            del self._leaving[longest]
            longest.cut_off()

    def left(self, one: Held) -> None:
        """Forget a connection that is no more."""
        self._leaving.pop(one, None)

    def _make(self, newcomer: Held, connections: Iterable[object]) -> None:
        """End some that wait, of whoever holds most; where all are at work, or its own party holds most, refuse it."""
        there = [one for one in connections if isinstance(one, type(newcomer)) and one not in self._leaving]
        held = Counter(one.whose for one in there)
        waiting = [
            (-held[one.whose], standing, one)
            for one in there
            if one is not newcomer and (standing := one.standing) is not None
        ]
        waiting.sort(key=lambda each: each[:2])
        if not waiting or held[newcomer.whose] > held[waiting[0][2].whose] + 1:
            newcomer.refuse_room()
            return
        for *_, one in waiting[: max(1, self.most // _AT_ONCE)]:
            one.give_way()


def whose(address: str) -> str:
    """By whom connections from an address are held: itself, or its network where one site has a whole one.

    Source: RFC 6177 section 2, a site's networks of 64 bits; RFC 4291 section 2.5.5.2.
    """
    if ":" not in address:
        return address
    try:
        read = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(read, IPv6Address):
        return address
    if read.ipv4_mapped is not None:
        return str(read.ipv4_mapped)
    return f"{IPv6Address(int(read) >> _SITE_BITS << _SITE_BITS)}/{_SITE_BITS}"
