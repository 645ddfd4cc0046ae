"""Two stores that differ only in what a caller may not see, and what it asks of both: drawn from a number."""

from __future__ import annotations

import random

from tests.property.worlds.asking import asks, counts
from tests.property.worlds.chance import Chance, Pair
from tests.property.worlds.people import person, strangers


def pair(number: int, seed: str = "") -> Pair:
    """The pair of a number; the same each time."""
    chance = Chance(
        number, _source(f"{seed}{number} shared"), (_source(f"{seed}{number} here"), _source(f"{seed}{number} there"))
    )
    caller = chance.shared.choice(("leak-partner", "leak-partner", "leak-clinic"))
    purpose = "HOPERAT" if chance.shared.random() < 0.12 else "TREAT"
    counting = purpose == "HOPERAT"
    for _ in range(chance.shared.randint(1, 2)):
        person(chance, counting=counting)
    strangers(chance, counting=counting)
    asking = counts if counting else asks
    return Pair(number, caller, purpose, chance.rounds, tuple(asking(chance)))


def _source(seed: str) -> random.Random:
    return random.Random(seed)  # noqa: S311 - the same each time is what is wanted
