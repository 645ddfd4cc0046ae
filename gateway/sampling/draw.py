"""Draws: what is invented for one sample, the same for the same seed.

A text with holes becomes a value. What may stand in braces is told in `specs/samples/README.md`.
"""

from __future__ import annotations

import random
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import TypeVar
from zoneinfo import ZoneInfo

from gateway.fhir.identity import valid_nhs_number
from gateway.sampling.lists import Entry, Lists
from gateway.source import nearest

SINCE = datetime(2026, 5, 1, 8, tzinfo=ZoneInfo("Europe/London"))
"""From when on samples tell of things; the clock has no part in them, so a seed gives the same sample next year."""

DAYS = 60
OFFICE = 600  # minutes of a day in which samples are sent
PEOPLE = 499_999
"""So many different people there are; the test range of NHS numbers has twice as many stems."""

_STEMS = 999_000_000  # Source: NHS England, test range 999 000 0000 to 999 999 9999
_HOLE = re.compile(r"\{([a-z]+(?:-[a-z]+)*)(?:@([a-z]+))?(?:\.([A-Za-z]+))?(?:([+-]\d+)([mhd]))?\}")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
_APART = 1009  # between the people of one seed and the next

T = TypeVar("T")


class HoleError(ValueError):
    """A hole that nothing fills: a mistake in `specs/samples/`."""


@dataclass(frozen=True, slots=True)
class Form:
    """How a data type writes moments and days, and keeps text apart from its delimiters."""

    moment: Callable[[datetime], str]
    day: Callable[[date], str]
    text: Callable[[str], str] = str


@dataclass(slots=True)
class Draw:
    """What is drawn for one sample.

    Shape: `seed`, `index` and `attempt` decide everything; `form` is how values are written; `facts` are given from
    outside (`organisation`, `type`, `event`, `reference.Patient`).
    """

    lists: Lists
    form: Form
    seed: int
    index: int = 0
    attempt: int = 0
    facts: Mapping[str, str] = field(default_factory=dict)
    chance: random.Random = field(init=False)
    moment: datetime = field(init=False)
    _kept: dict[tuple[str, str], Entry] = field(init=False, default_factory=dict)
    _part: dict[str, Entry] = field(init=False, default_factory=dict)
    _turns: dict[str, int] = field(init=False, default_factory=dict)
    _births: dict[str, date] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Begin at the seed."""
        self.chance = random.Random(f"{self.seed}/{self.index}/{self.attempt}")  # noqa: S311 - sample data
        self.moment = SINCE + timedelta(days=self.chance.randrange(DAYS), minutes=self.chance.randrange(OFFICE))

    @property
    def person(self) -> int:
        """Which of the people this sample is about."""
        return (self.seed * _APART + self.index) % PEOPLE

    @property
    def number(self) -> str:
        """What stands in the numbers of visits, orders and documents: of no other sample."""
        return f"{self.seed % 10_000:04}{self.index:06}"

    def begin(self) -> None:
        """Begin another segment, resource or row: lists without a name are drawn anew."""
        self._part = {}

    def one(self, options: Sequence[T]) -> T:
        """One of several."""
        return self.chance.choice(options)

    def text(self, template: str) -> str:
        """A text with its holes filled.

        Errors: HoleError.
        """
        return _HOLE.sub(self._filled, template)

    def _filled(self, hole: re.Match[str]) -> str:
        name, label, column, count, unit = hole.groups()
        whole = f"{name}.{column}" if column else name
        shift = timedelta(**{_UNITS[unit]: int(count)}) if count else timedelta()
        if whole in self.facts:
            return self.form.text(self.facts[whole])
        if name in self.lists.lists:
            entry = self._entry(name, label)
            if column not in entry:
                raise HoleError(f"{hole[0]}: list {name} has the columns {', '.join(entry)}")
            return self.form.text(entry[column])
        match name:
            case "moment":
                return self.form.moment(self.moment + shift)
            case "day":
                return self.form.day((self.moment + shift).date())
            case "birth":
                return self.form.day(self._birth(label or ""))
            case "nhs-number":
                return nhs_number((self.person + _offset(label)) % PEOPLE)
            case "number":
                return self.number if label is None else f"{self.number}{label[0].upper()}"
            case "control-id":
                return f"{self.facts['type'].replace('^', '-')}-{self.seed}-{self.index}"
        known = (*self.lists.lists, *self.facts, "moment", "day", "birth", "nhs-number", "number", "control-id")
        near = nearest(whole, known)
        raise HoleError(f"{hole[0]}: nothing fills this hole" + (f"; did you mean {near}?" if near else ""))

    def _entry(self, name: str, label: str | None) -> Entry:
        if label is None:
            if name not in self._part:
                # one after the other, so that two results of a report are of two tests
                entries = self.lists.lists[name]
                self._turns[name] = self._turns.get(name, self.chance.randrange(len(entries))) + 1
                self._part[name] = entries[self._turns[name] % len(entries)]
            return self._part[name]
        if (name, label) not in self._kept:
            # by its own chance: who a sample is about does not hang on what else is drawn before
            chance = random.Random(f"{self.seed}/{self.index}/{name}/{label}")  # noqa: S311 - sample data
            self._kept[name, label] = chance.choice(self.lists.lists[name])
        return self._kept[name, label]

    def _birth(self, label: str) -> date:
        if label not in self._births:
            chance = random.Random(f"{self.seed}/{self.index}/birth/{label}")  # noqa: S311 - sample data
            self._births[label] = date(1930, 1, 1) + timedelta(days=chance.randrange(32_000))
        return self._births[label]


def _offset(label: str | None) -> int:
    """Where the number of another person of the same sample lies."""
    return 0 if label is None else PEOPLE // 2 + zlib.crc32(label.encode()) % 1000


def nhs_number(person: int) -> str:
    """A valid NHS number of the test range, another for each of `PEOPLE`.

    Of two numbers that differ in the last digit before the check digit alone, at most one has none.
    Source: NHS Data Dictionary, NHS NUMBER, modulus 11.
    """
    for stem in (_STEMS + 2 * person, _STEMS + 2 * person + 1):
        total = sum(int(digit) * weight for digit, weight in zip(str(stem), range(10, 1, -1), strict=True))
        text = f"{stem}{(11 - total % 11) % 11}"
        if valid_nhs_number(text):
            return text
    raise ValueError(f"person {person} has no number")
