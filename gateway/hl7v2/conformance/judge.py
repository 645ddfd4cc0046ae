"""A message by the standard: every departure, each with its kind, place and words.

What is needed of a version is worked out when a message first needs it, and kept: segments, structures, patterns.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from gateway import specs
from gateway.hl7v2.conformance import ordering, words
from gateway.hl7v2.conformance.automaton import Automaton
from gateway.hl7v2.conformance.beside import Beside, beside
from gateway.hl7v2.conformance.examine import Examiner
from gateway.hl7v2.conformance.kinds import Nonconformity
from gateway.hl7v2.conformance.rules import VersionRules
from gateway.hl7v2.conformance.segment import SegmentRules
from gateway.hl7v2.definitions import Dictionaries, Dictionary
from gateway.hl7v2.delimiters import Delimiters
from gateway.hl7v2.lines import NAME_LENGTH
from gateway.hl7v2.message import Message

MOST = 100
"""Most departures of a message that are told."""

_MOST_DELIMITERS = 8
"""Sets of delimiters that patterns are kept for; messages with others are looked at part by part."""


_MOST_TYPES = 1000
"""Message types whose structure is kept: any event may be acknowledged, so senders can make up as many as they like."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What a message departs in. Shape: at most `MOST` are told; `more` says that there are others."""

    found: tuple[Nonconformity, ...]
    more: bool = False


class Conformance:
    """The validator. Shape: `dictionaries` by version; `beside` is what they do not say."""

    __slots__ = ("_beside", "_dictionaries", "_versions")

    def __init__(self, dictionaries: Mapping[str, Dictionary], beside: Beside) -> None:
        """Work out nothing yet."""
        self._dictionaries = dictionaries
        self._beside = beside
        self._versions: dict[tuple[str, bool], _Version] = {}

    def judge(self, message: Message, *, suggested: bool = False) -> Judged:
        """The departures of a message, as `departures` has them, up to `MOST`."""
        found = tuple(itertools.islice(self.departures(message, suggested=suggested), MOST + 1))
        return Judged(found[:MOST], more=True) if len(found) > MOST else Judged(found)

    def departures(self, message: Message, *, suggested: bool = False) -> Iterator[Nonconformity]:
        """All departures of a message: those of its structure, then those of its segments in their order.

        Shape: `suggested` asks the tables that sites may fill too.
        Errors: none, whatever the message is; one that can't be cut into segments has no departures, and the reader's
        findings.
        """
        if not message.segments:
            return
        named = message.version or ""
        version = self._versions.get((named, suggested))
        if version is None:
            if named not in self._dictionaries:
                yield words.no_version(message.version, tuple(self._dictionaries))
                return
            rules = VersionRules(self._dictionaries[named], self._dictionaries, self._beside)
            version = self._versions[named, suggested] = _Version(rules, suggested=suggested)
        yield from version.departures(message)


def load(root: Path = specs.ROOT) -> Conformance:
    """The validator by the dictionaries below a root; what it has worked out is shared by all who ask.

    Errors: SpecsError for a table that can't be read.
    """
    return _load(root)


@functools.cache
def _load(root: Path) -> Conformance:
    return Conformance(Dictionaries(root), beside(root))


class _Version:
    """What is kept of one version."""

    __slots__ = ("_dictionary", "_known", "_rules", "_segments", "_structures", "_suggested", "_types")

    def __init__(self, rules: VersionRules, *, suggested: bool) -> None:
        self._dictionary = rules.dictionary
        self._known = frozenset(rules.dictionary.segments)
        self._rules = rules
        self._segments: dict[Delimiters, dict[str, SegmentRules]] = {}
        self._structures: dict[str, Automaton] = {}
        self._types: dict[str, tuple[str, Automaton]] = {}
        self._suggested = suggested

    def departures(self, message: Message) -> Iterator[Nonconformity]:
        yield from self._structure(message)
        examiner = Examiner(self._dictionary.version, message.delimiters, message.codec, suggested=self._suggested)
        kept = self._kept(message.delimiters)
        for segment in message.segments:
            name = segment.name
            own = kept.get(name)
            if own is None:
                if name[:1] == "Z":
                    continue
                if name not in self._known:
                    # a line that begins with no name at all is told by the reader
                    if len(name) == NAME_LENGTH and name.isalnum():
                        yield words.unknown_segment(segment, self._dictionary.version)
                    continue
                own = kept[name] = SegmentRules(name, self._rules, message.delimiters, suggested=self._suggested)
            found = own.departures(segment, examiner)
            if found:
                yield from found

    def _kept(self, delimiters: Delimiters) -> dict[str, SegmentRules]:
        kept = self._segments.get(delimiters)
        if kept is None:
            if len(self._segments) >= _MOST_DELIMITERS:
                self._segments.popitem()  # the latest: what most senders use came first
            kept = self._segments[delimiters] = {}
        return kept

    def _structure(self, message: Message) -> Iterator[Nonconformity]:
        message_type = message.type
        found = self._of_type(message_type or "")
        if found is None:
            yield words.no_structure(message_type, self._dictionary.version)
            return
        name, automaton = found
        sent = message.structure
        if sent is not None and sent != name:
            yield words.other_structure(sent, name, self._dictionary.version)
        if not ordering.in_order(message.segments, automaton):
            yield from ordering.departures(message.segments, automaton, name, self._known)

    def _of_type(self, message_type: str) -> tuple[str, Automaton] | None:
        """The structure of a message type; what no version has is not kept, nor more than senders can need."""
        found = self._types.get(message_type)
        if found is not None:
            return found
        name = self._dictionary.structure_of(message_type)
        if name is None:
            return None
        if name not in self._structures:
            self._structures[name] = Automaton(self._dictionary.structures[name])
        found = name, self._structures[name]
        if len(self._types) < _MOST_TYPES:
            self._types[message_type] = found
        return found
