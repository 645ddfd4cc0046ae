"""A message by the dictionary of a version: its structure walked, its fields filled, then broken where that is asked.

What stands in a field is, in this order: what the checks wish, what `specs/samples/hl7v2.csv` says of the field, what
it says of its data type, a code of its table. Which fields are filled: those that the dictionary requires, those that
the checks wish, those that `hl7v2.csv` tells of, and what else the maps read of which there is something to say.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from gateway.hl7v2 import STANDARD, Dictionary, FieldDefinition, Group, SegmentUse, escape
from gateway.hl7v2.definitions import VARIES, WITHDRAWN
from gateway.language.nodes import Field, Leaf, Part
from gateway.rules import Check
from gateway.sampling.draw import Draw, Form
from gateway.sampling.wishes import Spoiling, Wish, asked, read_by, spoiled, spoilings, wishes

FORM = Form(lambda moment: moment.strftime("%Y%m%d%H%M%S"), lambda day: day.strftime("%Y%m%d"), escape)
DEPTH = 3  # a component's component
TYPED = "OBX"  # OBX-2 says what OBX-5 is

_PATH = re.compile(r"([A-Z][A-Z0-9]{2})(?:\[\d+\])?-(\d+)(?:\[\d+\])?")

Place = tuple[str, int]
"""A segment's name and the number of a field."""


@dataclass(slots=True)
class Line:
    """A segment that is being made: texts by field, as they stand on the wire."""

    name: str
    fields: dict[int, str] = field(default_factory=dict)

    def text(self) -> str:
        """The segment as a line."""
        last = max(self.fields, default=0)
        texts = [self.fields.get(number, "") for number in range(1, last + 1)]
        if self.name == "MSH":
            return STANDARD.field.join(["MSH", STANDARD.encoding_characters, *texts[2:]])
        return STANDARD.field.join([self.name, *texts])


@dataclass(frozen=True, slots=True)
class Plan:
    """What messages of one type hold.

    Shape: `wished` by field; `read` are the segments that checks read; `left` are the fields that stay empty unless
    they are required, wished or told of.
    """

    dictionary: Dictionary
    type: str
    structure: Group
    wished: Mapping[Place, tuple[Wish, ...]]
    read: frozenset[str]
    left: frozenset[Place] = frozenset()

    def without(self, unmapped: Iterable[str]) -> Plan:
        """The plan without the fields at these paths (`PID-10`, `NK1[2]-5`): the maps make nothing of them."""
        found = (_PATH.match(path) for path in unmapped)
        return replace(self, left=self.left | {(match[1], int(match[2])) for match in found if match is not None})


def planned(dictionary: Dictionary, message_type: str, checks: Sequence[Check]) -> Plan | None:
    """What messages of a type hold; None where the version has no structure for it."""
    name = dictionary.structure_of(message_type)
    if name is None:
        return None
    wished: dict[Place, tuple[Wish, ...]] = {}
    for wish, place in ((wish, _of(wish.leaf, checks)) for wish in wishes(checks)):
        if place is not None:
            wished[place] = (*wished.get(place, ()), wish)
    places = (_of(leaf, checks) for leaf in read_by(checks))
    read = frozenset(place[0] for place in places if place is not None)
    return Plan(dictionary, message_type, dictionary.structures[name], wished, read)


def _of(leaf: Leaf, checks: Sequence[Check]) -> Place | None:
    """The field that a leaf is in; that of a loop variable by the check that has it."""
    match leaf:
        case Field():
            return leaf.segment, leaf.field
        case Part():
            each = next((c.each for c in checks if c.each is not None and c.each.variable == leaf.variable), None)
            return None if each is None else (each.segment, each.field)
        case _:
            return None


def body(lines: Iterable[Line]) -> bytes:
    """A message as it is sent."""
    return "".join(f"{line.text()}\r" for line in lines).encode()


def made(plan: Plan, draw: Draw) -> list[Line]:
    """The segments of a message. Errors: HoleError."""
    return _Maker(plan, draw).all()


@dataclass(slots=True)
class _Maker:
    plan: Plan
    draw: Draw
    seen: dict[str, int] = field(default_factory=dict)

    def all(self) -> list[Line]:
        return list(self.group(self.plan.structure))

    def group(self, group: Group) -> Iterator[Line]:
        """Lines of one instance of a group; of a choice its first member."""
        for member in group.members[:1] if group.choice else group.members:
            for _ in range(self.count(group, member)):
                if isinstance(member, Group):
                    yield from self.group(member)
                else:
                    yield from self.line(member)

    def count(self, group: Group, member: SegmentUse | Group) -> int:
        """How many of a segment or group there are: one of what tells something new, or as many as are told of."""
        told = self.told(f"{group.name}.{member.name}") or self.told(member.name)
        names = {member.name} if isinstance(member, SegmentUse) else member.segments()
        if not any(name not in self.seen and self.segment_wanted(name) for name in names):
            return member.min
        many = 1 if told is None else int(told)
        return max(member.min, many if member.max is None else min(many, member.max))

    def segment_wanted(self, name: str) -> bool:
        """Whether a segment is told of, or checks read it, and not all that it could hold is left out."""
        return self.told(name) != "0" and (name in self.plan.read or name in _told_segments(self.draw.lists.hl7v2))

    def told(self, name: str) -> str | None:
        """What the table says of a place: for the message type, the structure, or all."""
        table = self.draw.lists.hl7v2
        for before in (f"{self.plan.type}:", f"{self.plan.structure.name}:", ""):
            if f"{before}{name}" in table:
                return table[f"{before}{name}"]
        return None

    def line(self, use: SegmentUse) -> Iterator[Line]:
        """A segment, unless there is nothing to say in one that may be left out."""
        definition = self.plan.dictionary.segments.get(use.name)
        if definition is None:
            return
        self.draw.begin()
        number = self.seen.get(use.name, 0) + 1
        made = Line(use.name)
        for position, described in definition.fields.items():
            text = self.field(use.name, described, number, made)
            if text:
                made.fields[position] = text
        if use.min or any(text and self.tells(use.name, place) for place, text in made.fields.items()):
            self.seen[use.name] = number
            yield made

    def tells(self, segment: str, position: int) -> bool:
        """Whether a field is one that the maps read, or that is wished."""
        place = (segment, position)
        return place in self.plan.wished or place not in self.plan.left

    def field(self, segment: str, described: FieldDefinition, number: int, line: Line) -> str:
        """The text of a field, empty for none."""
        place = (segment, described.position)
        if place in {("MSH", 1), ("MSH", 2)}:
            return STANDARD.encoding_characters
        if place == ("MSH", 9):
            return self.type()
        if place == ("MSH", 12):
            return self.plan.dictionary.version
        wished = self.plan.wished.get(place, ())
        told = self.told(f"{segment}-{described.position}")
        if told == "" and not wished and not described.min:
            return ""
        if told is None and not wished and not described.min and not self.free(place, described):
            return ""
        text = self.draw.text(told) if told else self.invented(described, number, line)
        for wish in wished:
            text = self.fulfilled(text, wish)
        return text

    def free(self, place: Place, described: FieldDefinition) -> bool:
        """Whether a field that nothing is said of is filled all the same."""
        if place in self.plan.left or described.datatype == WITHDRAWN or described.max == 0:
            return False
        return described.datatype in self.draw.lists.hl7v2 or bool(self.codes(described.table))

    def type(self) -> str:
        """MSH-9, with the structure from the version that has a place for it on."""
        parts = self.plan.type.split("^")
        has_structure = self.plan.dictionary.component("MSH", 9, (3,)) is not None
        return "^".join([*parts, self.plan.structure.name] if has_structure and len(parts) > 1 else parts)

    def invented(self, described: FieldDefinition, number: int, line: Line) -> str:
        """A value by what the dictionary says of a field."""
        if described.datatype == "SI":
            return str(number)
        datatype = described.datatype
        if datatype == VARIES:
            datatype = line.fields.get(2, "ST") if line.name == TYPED else "ST"
        return self.value(datatype, described.table, DEPTH)

    def value(self, datatype: str, table: str | None, depth: int) -> str:
        """A value of a data type: a code of its table, what is told of the type, or its first components."""
        codes = self.codes(table)
        components = self.plan.dictionary.datatypes[datatype].components if self.has(datatype) else {}
        told = self.draw.lists.hl7v2.get(datatype)
        if codes and not components:
            return escape(self.draw.one(codes))
        if told is not None:
            return self.draw.text(told)
        if codes:
            return escape(self.draw.one(codes))
        if not components or not depth:
            return self.draw.text(self.draw.lists.hl7v2["ST"])
        parts = [self.part(component, depth) for component in components.values()]
        between = STANDARD.component if depth == DEPTH else STANDARD.subcomponent
        return between.join(parts).rstrip(between)

    def part(self, component: FieldDefinition, depth: int) -> str:
        wanted = (component.position == 1 or component.min) and component.datatype != WITHDRAWN
        if not wanted or (depth < DEPTH and component.position > 1):
            return ""
        return self.value(component.datatype, component.table, depth - 1)

    def has(self, datatype: str) -> bool:
        return datatype in self.plan.dictionary.datatypes

    def codes(self, table: str | None) -> tuple[str, ...]:
        """The codes of a table that are codes, not words about them."""
        found = self.plan.dictionary.tables.get(table or "")
        return () if found is None else tuple(sorted(code for code in found.codes if code.isalnum()))

    def fulfilled(self, text: str, wish: Wish) -> str:
        """A text with what is wished of it."""
        part = wish.leaf.component if isinstance(wish.leaf, Field | Part) else None
        repetitions = (text or self.draw.text(self.draw.lists.hl7v2["ST"])).split(STANDARD.repetition)
        return STANDARD.repetition.join(self.component(one, part or 1, wish) for one in repetitions)

    def component(self, text: str, number: int, wish: Wish) -> str:
        parts = text.split(STANDARD.component)
        parts += [""] * (number - len(parts))
        held = parts[number - 1]
        if wish.options and held not in wish.options:
            parts[number - 1] = escape(self.draw.one(wish.options))
        elif wish.predicate == "nhs-number":
            parts[number - 1] = self.draw.text("{nhs-number}")
        elif wish.predicate == "numeric":
            parts[number - 1] = self.draw.text(self.draw.lists.hl7v2["NM"])
        elif not held:
            parts[number - 1] = self.draw.text(self.draw.lists.hl7v2["ST"])
        return STANDARD.component.join(parts)


def _told_segments(table: Mapping[str, str]) -> frozenset[str]:
    """The segments of which the table says anything."""
    found = (place.rpartition(":")[2] for place in table)
    return frozenset(place.partition("-")[0] for place in found if "-" in place)


# --- faults --------------------------------------------------------------------------------------------------------


def added(lines: Sequence[Line], check: Check, draw: Draw) -> Iterator[list[Line]]:
    """The message with one more repetition of what a check goes over: of the kind that it asks for, and wrong."""
    each = check.each
    if each is None:
        return
    wished = [(wish.leaf, wish.options) for wish in asked(each.where)]
    kind = {leaf.component or 1: options[0] for leaf, options in wished if isinstance(leaf, Part) and options}
    for ways in spoilings(check):
        parts = {way.leaf.component or 1: way for way in ways if isinstance(way.leaf, Part)}
        texts = {number: spoiled(draw.text("{nhs-number@former}"), way, (), ("", "")) for number, way in parts.items()}
        texts = {**texts, **kind}
        if parts and kind:
            new = STANDARD.component.join(texts.get(number, "") for number in range(1, max(texts) + 1))
            found = [Line(line.name, dict(line.fields)) for line in lines]
            for line in found:
                if line.name == each.segment:
                    held = line.fields.get(each.field)
                    line.fields[each.field] = f"{held}{STANDARD.repetition}{new}" if held else new
            yield found


def broken(lines: Sequence[Line], doing: Iterable[Spoiling], plan: Plan, draw: Draw, check: Check) -> list[Line]:
    """The message with these places made wrong."""
    found = [Line(line.name, dict(line.fields)) for line in lines]
    for spoiling in doing:
        place = _of(spoiling.leaf, (check,))
        if place is None:
            continue
        part = spoiling.leaf.component if isinstance(spoiling.leaf, Field | Part) else None
        for line in found:
            if line.name == place[0] and place[1] in line.fields:
                line.fields[place[1]] = _broken(line.fields[place[1]], part, spoiling, plan, draw, place)
    return found


def _broken(text: str, part: int | None, spoiling: Spoiling, plan: Plan, draw: Draw, place: Place) -> str:
    """A field made wrong: as a whole, or the component that is meant in every repetition that has it."""
    if spoiling.way == "remove" and part is None:
        return ""
    described = plan.dictionary.component(*place, (part or 1,))
    table = None if described is None else described.table
    codes = plan.dictionary.tables.get(table or "")
    others = () if codes is None else tuple(sorted(codes.codes))
    far = tuple(FORM.moment(draw.moment + timedelta(days=days)) for days in (-400, 400))
    repetitions = []
    for one in text.split(STANDARD.repetition):
        parts = one.split(STANDARD.component)
        number = (part or 1) - 1
        if number < len(parts) and parts[number]:
            parts[number] = spoiled(parts[number], spoiling, others, (far[0], far[1]))
        repetitions.append(STANDARD.component.join(parts))
    return STANDARD.repetition.join(repetitions)


def otherwise(lines: Sequence[Line], plan: Plan) -> Iterator[list[Line]]:
    """The message with one field removed or another code in it, each in turn; then without any of a kind of time."""
    for at, line in enumerate(lines):
        for position in line.fields:
            if line.name != "MSH":
                yield _with(lines, at, position, "")
            described = plan.dictionary.field(line.name, position)
            table = plan.dictionary.tables.get(described.table or "") if described is not None else None
            for code in sorted(table.codes) if table is not None and line.name != "MSH" else ():
                yield _with(lines, at, position, escape(code))
    yield from _without_future(lines)


def _with(lines: Sequence[Line], at: int, position: int, text: str) -> list[Line]:
    found = [Line(line.name, dict(line.fields)) for line in lines]
    found[at].fields[position] = text
    return found


_TIME = re.compile(r"\b\d{12}(?:\d{2})?\b")


def _without_future(lines: Sequence[Line]) -> Iterator[list[Line]]:
    """The message without the times that are ahead of it, wherever they stand: what is booked has none then."""
    sent = lines[0].fields.get(7, "")
    yield [
        Line(line.name, {
            position: text if line.name == "MSH" else _TIME.sub(lambda m: "" if m[0] > sent else m[0], text)
            for position, text in line.fields.items()
        })
        for line in lines
    ]  # fmt: skip
