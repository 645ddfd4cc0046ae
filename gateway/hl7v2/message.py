"""A message that was read: segments, fields, repetitions, components, sub-components, each cut when asked for.

Numbers are HL7's: they start at 1, MSH-1 is the field separator and MSH-2 the encoding characters.
Source: HL7 v2.5.1, chapter 2.5.3 (fields) and 2.15.9 (MSH).
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.finding import Finding, refuses
from gateway.hl7v2.delimiters import NULL, Delimiters, unescape
from gateway.hl7v2.lines import cut

_HEADERS = frozenset({"MSH", "FHS", "BHS"})
_ENCODING_CHARACTERS = 2


class Element:
    """A repetition of a field, a component or a sub-component.

    Shape: `raw` is the text as sent; an element without delimiters is its own first part, as in
    `PID-8` and `PID-8.1`.
    """

    __slots__ = ("_codec", "_cuts", "_delimiters", "raw")

    def __init__(self, raw: str, cuts: tuple[str, ...], delimiters: Delimiters | None, codec: str) -> None:
        """Remember what to cut by; without delimiters the text is literal, as in MSH-1 and MSH-2."""
        self.raw = raw
        self._cuts = cuts
        self._delimiters = delimiters
        self._codec = codec

    def __repr__(self) -> str:
        """The element without its text, which may be a patient's."""
        return f"<Element of {len(self.raw)} characters>"

    @property
    def text(self) -> str | None:
        """Text of the first leaf, unescaped; None if there is none, `NULL` if it is to be deleted."""
        raw = self.raw
        for delimiter in self._cuts:
            if delimiter in raw:
                raw = raw[: raw.index(delimiter)]
        return self._unescaped(raw) or None

    @property
    def whole(self) -> str | None:
        """All text, unescaped and not cut: for what the standard gives no parts and senders cut all the same."""
        return self._unescaped(self.raw) or None

    @property
    def is_null(self) -> bool:
        """Whether the sender asks for the value to be deleted."""
        return self.raw == NULL

    @property
    def present(self) -> bool:
        """Whether anything was sent; false only for an empty repetition between others."""
        return self.raw != ""

    @property
    def parts(self) -> tuple[Element, ...]:
        """All parts of the next level, empty ones kept in their place."""
        if not self._cuts:
            return (self,)
        deeper = self._cuts[1:]
        return tuple(Element(part, deeper, self._delimiters, self._codec) for part in self.raw.split(self._cuts[0]))

    def at(self, number: int) -> Element | None:
        """One part of the next level, from 1; None where nothing was sent."""
        if not self._cuts:
            return self if number == 1 and self.raw else None
        parts = self.raw.split(self._cuts[0], number)
        if not 0 < number <= len(parts) or not parts[number - 1]:
            return None
        return Element(parts[number - 1], self._cuts[1:], self._delimiters, self._codec)

    def _unescaped(self, raw: str) -> str:
        if self._delimiters is None or self._delimiters.escape not in raw:
            return raw
        return unescape(raw, self._delimiters, self._codec)


class Segment:
    """One segment.

    Units: `number` counts the segments of this name, `position` all segments of the message, both from 1.
    """

    __slots__ = ("_codec", "_fields", "delimiters", "line", "name", "number", "position")

    def __init__(self, name: str, line: str, number: int, position: int, delimiters: Delimiters, codec: str) -> None:
        """Keep the line; its fields are cut when the first is asked for."""
        self.name = name
        self.line = line
        self.number = number
        self.position = position
        self.delimiters = delimiters
        self._codec = codec
        self._fields: list[str] | None = None

    def __repr__(self) -> str:
        """The segment without its text, which may be a patient's."""
        return f"<Segment {self.name}[{self.number}]>"

    @property
    def last(self) -> int:
        """Number of the last field that was sent; 0 if there is none."""
        return len(self._cut()) - 1

    @property
    def raws(self) -> Sequence[str]:
        """Texts of all fields as sent, by number; the segment's name stands at 0."""
        return self._fields if self._fields is not None else self._cut()

    def field(self, number: int) -> tuple[Element, ...]:
        """Repetitions of a field; none if it is absent, and empty ones between others kept in their place."""
        raw = self.raw(number)
        if not raw:
            return ()
        d = self.delimiters
        if self._is_literal(number):
            return (Element(raw, (), None, self._codec),)
        cuts = (d.component, d.subcomponent)
        if d.repetition not in raw:
            return (Element(raw, cuts, d, self._codec),)
        return tuple(Element(part, cuts, d, self._codec) for part in raw.split(d.repetition))

    def text(self, number: int, component: int = 1, subcomponent: int = 1, repetition: int = 1) -> str | None:
        """Text of one leaf, unescaped; None if it is absent, `NULL` if it is to be deleted."""
        fields = self._fields if self._fields is not None else self._cut()
        if not 0 < number < len(fields):
            return None
        leaf = fields[number]
        if component == subcomponent == repetition == 1 and leaf.isalnum():
            return leaf  # no delimiter is a letter or a digit, so there is nothing to cut: most of what is asked for
        d = self.delimiters
        if number <= _ENCODING_CHARACTERS and self.name in _HEADERS:
            return leaf if component == subcomponent == repetition == 1 else None
        if repetition != 1 or d.repetition in leaf:
            leaf = _part(leaf, d.repetition, repetition)
        if component != 1 or d.component in leaf:
            leaf = _part(leaf, d.component, component)
        if subcomponent != 1 or d.subcomponent in leaf:
            leaf = _part(leaf, d.subcomponent, subcomponent)
        if d.escape in leaf:
            leaf = unescape(leaf, d, self._codec)
        return leaf or None

    def whole(self, number: int) -> str | None:
        """All text of a field, unescaped and not cut."""
        raw = self.raw(number)
        if not raw or self._is_literal(number):
            return raw or None
        return unescape(raw, self.delimiters, self._codec) or None

    def raw(self, number: int) -> str:
        """Text of a field as sent; empty if there is none."""
        fields = self._fields if self._fields is not None else self._cut()
        return fields[number] if 0 < number < len(fields) else ""

    def _is_literal(self, number: int) -> bool:
        return number <= _ENCODING_CHARACTERS and self.name in _HEADERS

    def _cut(self) -> list[str]:
        if self._fields is None:
            fields = self.line.split(self.delimiters.field)
            if self.name in _HEADERS:
                fields.insert(1, self.delimiters.field)
            self._fields = fields
        return self._fields


class Message:
    """A message: the bytes that were sent, what the reader found, and its segments.

    Shape: `findings` are the reader's; `readable` is false if any of them refuses. `codec` is the character set that
    it was read by. A message that can't be cut at all has no segments. Nothing of it changes once it is read; what was
    cut is kept for the next question.
    """

    __slots__ = ("_by_name", "_findings", "_found", "_lines", "_segments", "_text", "codec", "delimiters", "raw")

    def __init__(
        self, raw: bytes, text: str, delimiters: Delimiters, codec: str, found: tuple[Finding, ...] = ()
    ) -> None:
        """Keep what was read; `text` is empty if it can't be cut."""
        self.raw = raw
        self.delimiters = delimiters
        self.codec = codec
        self._text = text
        self._found = self._findings = found
        self._lines: tuple[str, ...] | None = None
        self._segments: tuple[Segment, ...] | None = None
        self._by_name: dict[str, tuple[Segment, ...]] | None = None

    def __bytes__(self) -> bytes:
        """The bytes that were read, unchanged."""
        return self.raw

    def __repr__(self) -> str:
        """The message without its text, which may be a patient's."""
        return f"<Message of {len(self.raw)} bytes>"

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What the reader found, in the order in which it looked."""
        if self._lines is None:
            self._cut()
        return self._findings

    @property
    def readable(self) -> bool:
        """Whether nothing that was found refuses the message."""
        found = self.findings
        return not found or not refuses(found)

    @property
    def segments(self) -> tuple[Segment, ...]:
        """All segments in order, Z segments and unknown ones among them."""
        if self._segments is None:
            self._index()
        return self._segments or ()

    @property
    def parts(self) -> int:
        """How many segments and further repetitions of fields there are: what whoever reads all of it looks at."""
        return len(self._cut()) + self._text.count(self.delimiters.repetition)

    @property
    def type(self) -> str | None:
        """Message code and trigger event, `ADT^A01`; the code alone where no event was sent."""
        header = self.first("MSH")
        code = header.text(9) if header else None
        event = header.text(9, 2) if header else None
        return f"{code}^{event}" if code and event else code

    @property
    def structure(self) -> str | None:
        """Message structure as sent, MSH-9.3: `ADT_A01`."""
        return self.text("MSH", 9, 3)

    @property
    def version(self) -> str | None:
        """HL7 version, MSH-12.1: `2.5.1`."""
        return self.text("MSH", 12)

    @property
    def control_id(self) -> str | None:
        """Message control id, all of MSH-10: senders put delimiters into it, and it must tell messages apart."""
        header = self.first("MSH")
        whole = header.whole(10) if header else None
        return None if whole == NULL else whole

    def first(self, name: str) -> Segment | None:
        """The first segment of a name."""
        found = self.all(name)
        return found[0] if found else None

    def all(self, name: str) -> tuple[Segment, ...]:
        """Every segment of a name, in order."""
        by_name = self._by_name
        return (by_name if by_name is not None else self._index()).get(name, ())

    def text(
        self, segment: str, field: int, component: int = 1, subcomponent: int = 1, repetition: int = 1
    ) -> str | None:
        """Text of one leaf of the first such segment, unescaped; None if absent, `NULL` if to be deleted."""
        first = self.first(segment)
        return first.text(field, component, subcomponent, repetition) if first else None

    def repetitions(self, segment: str, field: int) -> tuple[Element, ...]:
        """Repetitions of a field of the first such segment."""
        first = self.first(segment)
        return first.field(field) if first else ()

    def _cut(self) -> tuple[str, ...]:
        if self._lines is None:
            lines, found = cut(self._text, self.delimiters.field) if self._text else ((), ())
            self._findings = self._found + found
            self._lines = lines
        return self._lines

    def _index(self) -> dict[str, tuple[Segment, ...]]:
        groups: dict[str, list[Segment]] = {}
        segments: list[Segment] = []
        delimiters, codec, separator = self.delimiters, self.codec, self.delimiters.field
        for position, line in enumerate(self._cut(), 1):
            name = line[:3] if line[3:4] == separator else line.split(separator, 1)[0].rstrip()
            same = groups.get(name)
            if same is None:
                same = groups[name] = []
            segment = Segment(name, line, len(same) + 1, position, delimiters, codec)
            same.append(segment)
            segments.append(segment)
        self._segments = tuple(segments)
        self._by_name = by_name = {name: tuple(same) for name, same in groups.items()}
        return by_name


def _part(raw: str, cut: str, number: int) -> str:
    if cut not in raw:
        return raw if number == 1 else ""
    parts = raw.split(cut, number)
    return parts[number - 1] if 0 < number <= len(parts) else ""
