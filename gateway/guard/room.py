"""Who gives way where there are too many connections: those that wait for their client, of whoever has most of them.

What ends takes room as well, but neither makes others end nor keeps anybody out: past a quarter more than the limit
those that end longest are cut off. So whoever opens connections faster than they end takes room from itself alone.
Who gives way is looked for where a connection comes that has no room, and whoever is found at work is left alone for a
moment then: however fast connections come, each one is looked at a bounded number of times a second, and a request
costs nothing here.
Source: `http-interface.md` of the design, "Limits and hostile clients".
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address
from typing import Protocol

_ENDING = 4
"""Connections that end may take a part of so many of the limit, beside it."""
_AT_ONCE = 50
"""A part of so many of the limit ends together, so that who has most is looked for now and then alone."""
REST = 0.05
"""Units: seconds that a connection which is at work is not looked at again."""
_SITE_BITS = 64


class Held(Protocol):
    """A connection that holds room."""

    @property
    def whose(self) -> str:
        """By whom it is held, for as long as it is: see `whose`."""

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
class _Party:
    """What one party holds. Shape: of `number` connections, `seen` may be looked at; the others rest."""

    number: int = 0
    seen: dict[Held, None] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Room:
    """The room of one server's listeners.

    Shape: `most` connections may be held at once; `_ranks` are the parties with any to look at, by how many they hold
    (few ranks, since all that they hold is bounded); `_resting` those that were found at work, with the time until
    which they are left alone; `_leaving` those that end, the longest first.
    """

    most: int
    clock: Callable[[], float] = time.monotonic
    _number: int = 0
    _parties: dict[str, _Party] = field(default_factory=dict)
    _ranks: dict[int, dict[str, None]] = field(default_factory=dict)
    _resting: dict[Held, float] = field(default_factory=dict)
    _leaving: dict[Held, None] = field(default_factory=dict)

    def enter(self, newcomer: Held) -> None:
        """Take a connection, and end others for it where it needs that."""
        self._change(newcomer.whose, 1, newcomer)
        if self._number > self.most:
            self._make(newcomer)

    def leaves(self, one: Held) -> None:
        """Count a connection as one that ends."""
        self._out(one)
        self._leaving[one] = None
        while len(self._leaving) > max(1, self.most // _ENDING):
            longest = next(iter(self._leaving))
            del self._leaving[longest]
            longest.cut_off()

    def left(self, one: Held) -> None:
        """Forget a connection that is no more."""
        self._out(one)
        self._leaving.pop(one, None)

    def _make(self, newcomer: Held) -> None:
        """End some that wait, of whoever holds most; where all are at work, or its own party holds most, refuse it."""
        self._wake()
        own = self._parties[newcomer.whose].number
        for rank in sorted(self._ranks, reverse=True):
            if own > rank + 1:
                break
            waiting = self._waiting(rank, newcomer)
            for one in waiting:
                self.leaves(one)
                one.give_way()
            if waiting:
                return
        newcomer.refuse_room()

    def _waiting(self, rank: int, newcomer: Held) -> list[Held]:
        """Some that wait, of the parties that hold so many; who is at work rests."""
        found: list[tuple[tuple[int, float], Held]] = []
        until = self.clock() + REST
        for name in tuple(self._ranks[rank]):
            for one in tuple(self._parties[name].seen):
                if one is newcomer:
                    continue
                standing = one.standing
                if standing is None:
                    self._change(name, 0, one, out=True)
                    self._resting[one] = until
                else:
                    found.append((standing, one))
        found.sort(key=lambda each: each[0])
        return [one for _, one in found[: max(1, self.most // _AT_ONCE)]]

    def _wake(self) -> None:
        """Have those looked at again that have rested."""
        now = self.clock()
        while self._resting and self._resting[one := next(iter(self._resting))] <= now:
            del self._resting[one]
            self._change(one.whose, 0, one)

    def _out(self, one: Held) -> None:
        """Count one no more, if it was counted."""
        party = self._parties.get(one.whose)
        if self._resting.pop(one, None) is not None or (party is not None and one in party.seen):
            self._change(one.whose, -1, one, out=True)

    def _change(self, name: str, more: int, one: Held, *, out: bool = False) -> None:
        """Count `more` of a party's, and have one of it looked at from now on, or no more where it is `out`."""
        party = self._parties.setdefault(name, _Party())
        rank = self._ranks.get(party.number)
        if rank is not None:
            rank.pop(name, None)
            if not rank:
                del self._ranks[party.number]
        party.number += more
        self._number += more
        if out:
            party.seen.pop(one, None)
        else:
            party.seen[one] = None
        if party.seen:
            self._ranks.setdefault(party.number, {})[name] = None
        elif not party.number:
            del self._parties[name]


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
