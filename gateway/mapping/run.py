"""One conversion while it runs: what was read, what was made of it, and what was not."""

from __future__ import annotations

import functools
from base64 import b64encode
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any

from gateway.fhir.marks import frozen
from gateway.finding import Finding, Severity
from gateway.hl7v2 import NULL, Delimiters, Message, Segment, unescape

Json = dict[str, Any]
Slots = dict[str, Json]
Fields = Sequence[str]
"""A segment's fields by number, as they were sent; the first is its name."""

_MANY = 16
"""Entries of a list that are compared one by one."""

_PATIENT = ("subject", "patient")
"""Elements that say whose a resource is."""
_VISIT = "Encounter"

_LONG = 256
"""A field so long is read once for all who ask for a part of it."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a conversion needs besides the message.

    Shape: `organisation` the sending organisation's ODS code in upper case; `receipt` names the submission;
    `rules_digest` the rule set that accepted it; `zone` is that of times without an offset, where the maps name none;
    `messaging` says that the receiver takes FHIR messages, so that a MessageHeader is made; `overlays` are laid over
    the maps, in this order.
    """

    organisation: str
    domain: str
    received: datetime
    receipt: str
    rules_digest: str
    zone: str = "Europe/London"
    messaging: bool = False
    overlays: tuple[str, ...] = ()


class Making:
    """A resource in the making.

    Shape: `slots` are its items that have a name in the maps, `clears` its `""` elements; `shared` says that its
    content is remembered for other messages, `only_new` that what stands of it already is left; `seen` keeps what
    stands in its long lists, and is to be emptied when an entry of one may change.
    """

    __slots__ = ("clears", "id", "only_new", "resource", "seen", "shared", "slots", "type")

    def __init__(self, type_: str, id_: str = "", resource: Json | None = None, *, shared: bool = False) -> None:
        """Nothing of it is known yet, unless given."""
        self.type = type_
        self.shared = shared
        self.id = id_
        self.resource: Json = {} if resource is None else resource
        self.slots: Slots = {}
        self.seen: dict[str, set[Hashable]] = {}
        self.clears: list[str] = []
        self.only_new = False

    def reference(self) -> Json:
        """A literal reference to it."""
        return {"reference": f"{self.type}/{self.id}"}


@functools.lru_cache(maxsize=1024)
def _sender(delimiters: Delimiters, codec: str, organisation: str, zone: tzinfo) -> object:  # noqa: ARG001 - the cache
    """One object for all messages that have these in common."""
    return object()


class Run:
    """The state of one conversion. Units: `field` and `component` count from 1, 0 where there is none."""

    __slots__ = (
        "codec", "component", "counts", "cut", "delimiters", "doubt", "doubts", "escape", "facts", "field", "findings",
        "grouped", "known", "lines", "lost", "made", "message", "names", "repetition", "scope", "segment", "sender",
        "split", "steps", "subcomponent", "trail", "used", "zone",
    )  # fmt: skip

    def __init__(self, message: Message, facts: dict[str, str], zone: tzinfo, start: Segment) -> None:
        """Start at a message's header."""
        self.message = message
        self.facts = facts
        self.zone = zone
        self.segment = start
        self.field = 0
        self.component = 0
        self.delimiters = d = message.delimiters
        self.codec = message.codec
        self.cut, self.subcomponent, self.repetition, self.escape = d.component, d.subcomponent, d.repetition, d.escape
        # what a sender's messages have in common, as one thing whose hash is quick
        self.sender = _sender(d, self.codec, facts["context.organisation"], zone)
        self.split: dict[int, list[str]] = {}
        self.made: dict[tuple[str, str], Making] = {}
        self.trail: list[Making] = []
        self.names: dict[str, Making] = {}
        self.doubt: str | None = None  # a place that says why the segment in hand identifies nothing
        self.doubts: dict[str, str | None] = {}  # what was not made for want of an identity, by its name in the map
        self.counts: dict[str, int] = {}  # how many segments of one identity there were
        self.scope: tuple[Mapping[str, list[Segment]], ...] = ()  # the group in hand and those around it
        self.grouped: frozenset[str] = frozenset()  # segments that stand in groups alone
        self.known: dict[tuple[int, int, int, int], str] = {}
        self.lines: dict[tuple[int, str], tuple[Json, str, str, list[str]]] = {}  # texts of several segments
        self.used: dict[int, int] = {}
        self.lost: list[str] = []
        self.steps: list[Any] = []  # the rows that ran, where the maps are traced
        self.findings: list[Finding] = []

    def fields(self, segment: Segment) -> list[str]:
        """A segment's fields; MSH-1 and MSH-2 among a header's."""
        found = self.split.get(segment.position)
        if found is None:
            found = self.split[segment.position] = segment.line.split(self.delimiters.field)
            if segment.name == "MSH":
                found.insert(1, self.delimiters.field)
        return found

    def first(self, name: str) -> Fields:
        """The fields of the first segment of a name, in the group in hand or around it; none where there is none."""
        for segments in self.scope:
            if name in segments:
                return self.fields(segments[name][0])
        found = None if name in self.grouped else self.message.first(name)
        return () if found is None else self.fields(found)

    def mark(self, field: int) -> None:
        """Remember that a field of the segment in hand reached a resource."""
        position = self.segment.position
        self.used[position] = self.used.get(position, 0) | 1 << field

    def here(self) -> str:
        """The path in hand: `PID-7`, `NK1[2]-5.3`."""
        return place_of(self.segment, self.field) + (f".{self.component}" if self.component else "")

    def reject(self, kind: str, *, code: bool = False) -> None:
        """Report a value that its element can't take."""
        place = self.here()
        self.lost.append(place)
        if code and self.component:
            return  # a use or a type of something that is told all the same
        words = f"the code at {place} has no equivalent" if code else f"the value at {place} is no {kind}"
        issue, rule = ("code-invalid", "MAP-CODE") if code else ("value", "MAP-VALUE")
        self.findings.append(Finding("warning", issue, f"{words}, so it was left out", place, rule))

    def lose(self, repetition: int = 0) -> None:
        """Report a part, or a repetition, that reached nothing; the rest of its field did."""
        self.lost.append(f"{place_of(self.segment, self.field)}[{repetition}]" if repetition else self.here())

    def lack(self) -> None:
        """Report a code that its map does not know; it is kept as it was sent."""
        self.lost.append(self.here() if self.component else f"{self.here()}.1")

    def join(self, box: Json, leaf: str, lines: list[str], kind: str) -> bool:
        """Add lines to a text that several segments make; whether it is theirs, and not a value of another row."""
        key = (id(box), leaf)
        known = self.lines.get(key)
        if known is not None:
            known[3].extend(lines)  # put together once, by `finish`: a document may have any number of lines
            return True
        if leaf in box:
            return False
        self.lines[key] = (box, leaf, kind, lines)
        box[leaf] = _text(lines, kind)
        return True

    def finish(self) -> None:
        """Put the texts of several segments together."""
        for box, leaf, kind, lines in self.lines.values():
            box[leaf] = _text(lines, kind)

    def keep(self, type_: str, id_: str, resource: Json) -> Json:
        """Keep a resource that a data type told of. Answers a reference to it."""
        return self.register(Making(type_, id_, resource)).reference()

    def register(self, making: Making) -> Making:
        """Keep a resource; what the message told of it already is kept with it."""
        self.trail.append(making)
        standing = self.made.setdefault((making.type, making.id), making)
        if standing is making or (standing.shared and making.shared and standing.resource == making.resource):
            return standing
        if standing.shared:
            standing.resource, standing.shared = copied(standing.resource), False
        self._check_patient(standing, making)
        merge(standing.resource, making.resource, standing.seen)
        standing.only_new = standing.only_new and making.only_new
        standing.clears.extend(c for c in making.clears if c not in standing.clears)
        return standing

    def _check_patient(self, standing: Making, making: Making) -> None:
        """Report a resource that the message tells of two patients.

        A visit is refused: what happened in it would be told of the wrong one of them. An order, or a relative, stays
        with the first: results and problems of the second have their own.
        """
        for name in _PATIENT:
            first, second = standing.resource.get(name), making.resource.get(name)
            if isinstance(first, dict) and isinstance(second, dict) and first != second:
                place, number = self.segment.name, self.segment.number
                severity: Severity = "error" if making.type == _VISIT else "warning"
                outcome = "give each patient's its own" if severity == "error" else "it stays with the first patient"
                words = (
                    f"{place} tells of another patient with the identifiers of a resource of type {making.type} that "
                    f"stands in this message already: {outcome}"
                )
                where = place if number == 1 else f"{place}[{number}]"
                self.findings.append(Finding(severity, "conflict", words, where, "MAP-IDENTITY"))

    # --- texts -----------------------------------------------------------------------------------------------------

    def plain(self, text: str) -> str:
        """A leaf's text without escape sequences; `""` is none."""
        if self.escape in text:
            text = unescape(text, self.delimiters, self.codec)
        return "" if text == NULL else text

    def leaf(self, text: str) -> str:
        """Text of a repetition's first leaf."""
        if text.isalnum():
            return text  # no delimiter is a letter or a digit, so there is nothing to cut
        if self.cut in text:
            text = text.split(self.cut, 1)[0]
        if self.subcomponent in text:
            text = text.split(self.subcomponent, 1)[0]
        if self.escape in text:
            text = unescape(text, self.delimiters, self.codec)
        return "" if text == NULL else text

    def sub(self, component: str, number: int) -> str:
        """Text of a sub-component."""
        return self.plain(_cut(component, self.subcomponent, number))

    def pick(self, repetition: str, component: int, subcomponent: int) -> str:
        """Text of a leaf of a repetition."""
        if repetition.isalnum():
            return repetition if component == subcomponent == 1 else ""
        return self.plain(_cut(_cut(repetition, self.cut, component), self.subcomponent, subcomponent))

    def part(self, repetition: str, component: int, subcomponent: int) -> str:
        """A part of a repetition as it was sent; the whole of what is asked for as 0. `""` is none."""
        if component:
            repetition = _cut(repetition, self.cut, component)
        if subcomponent:
            repetition = _cut(repetition, self.subcomponent, subcomponent)
        return "" if repetition == NULL else repetition

    def text(self, fields: Fields, field: int, component: int, subcomponent: int) -> str:
        """Text of a leaf of a field's first repetition."""
        if field >= len(fields) or not fields[field]:
            return ""
        text = fields[field]
        if text.isalnum():
            return text if component == subcomponent == 1 else ""
        if self.repetition in text:
            text = text.split(self.repetition, 1)[0]
        return self.plain(_cut(_cut(text, self.cut, component), self.subcomponent, subcomponent))

    def has(self, fields: Fields, field: int, component: int, subcomponent: int) -> str:
        """A part of any of a field's repetitions, empty where nothing but `""` was sent."""
        if field >= len(fields) or not fields[field]:
            return ""
        text = fields[field]
        if len(text) < _LONG:
            if text.isalnum():
                return text if component <= 1 >= subcomponent else ""
            if self.repetition in text:
                return self._has(text, component, subcomponent)
            return self.part(text, component, subcomponent)
        # each repetition of another field may ask; `split` keeps the fields, so that their id stays theirs
        key = (id(fields), field, component, subcomponent)
        found = self.known.get(key)
        if found is None:
            found = self.known[key] = self._has(fields[field], component, subcomponent)
        return found

    def _has(self, text: str, component: int, subcomponent: int) -> str:
        if self.repetition not in text:
            return self.part(text, component, subcomponent)
        found = (self.part(r, component, subcomponent) for r in text.split(self.repetition))
        return next((part for part in found if part), "")


def _cut(text: str, delimiter: str, number: int) -> str:
    """A part of a text, from 1; empty where there is none."""
    if delimiter not in text:
        return text if number == 1 else ""
    parts = text.split(delimiter, number)
    return parts[number - 1] if number <= len(parts) else ""


def _text(lines: list[str], kind: str) -> str:
    """Lines as one text; of base64Binary, the bytes of it."""
    text = "\n".join(lines)
    return b64encode(text.encode("utf-8", "replace")).decode() if kind == "base64Binary" else text


def place_of(segment: Segment, field: int) -> str:
    """Path of a field, with the segment's number where it is not the first of its name."""
    number = f"[{segment.number}]" if segment.number > 1 else ""
    return f"{segment.name}{number}-{field}"


def copied(value: Any) -> Any:
    """A JSON value of its own."""
    if value.__class__ is dict:
        return {name: copied(each) for name, each in value.items()}
    if value.__class__ is list:
        return [copied(each) for each in value]
    return value


def merge(into: Json, more: Json, seen: dict[str, set[Hashable]] | None = None) -> bool:
    """Add what isn't there: members, and entries of lists. Answers whether anything was added.

    Shape: `seen` are the keys of the entries of long lists, for the next time; its lists grow in here alone.
    """
    added = False
    for name, value in more.items():
        standing = into.get(name)
        if standing is None:
            into[name] = copied(value)
            added = True
        elif isinstance(standing, list) and isinstance(value, list):
            new = (
                [entry for entry in value if entry not in standing]
                if seen is None
                else _new(name, standing, value, seen)
            )
            standing.extend(copied(new))
            added = added or bool(new)
    return added


def _new(name: str, standing: list[Any], value: list[Any], seen: dict[str, set[Hashable]]) -> list[Any]:
    """The entries that a list lacks. A resource may be told of thousands of times, so a long list is not read again."""
    if len(standing) < _MANY:
        return [entry for entry in value if entry not in standing]
    known = seen.get(name)
    if known is None:
        known = seen[name] = {frozen(entry) for entry in standing}
    new = [(key, entry) for entry in value if (key := frozen(entry)) not in known]
    known.update(key for key, _ in new)
    return [entry for _, entry in new]
