"""Which row of our maps expresses a row of the guide's tables: found by what both read and fill, else by our own list.

A map says in its `source` which tables it restates. Where several of its rows could be meant, those that are nearest
are: the same source and target first, then one that is a part of the other. What can't be found so, or is not
expressed, stands in `specs/hl7v2/guide.csv`, a line for each with the reason.
"""

from __future__ import annotations

import csv
import fnmatch
import re
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway import specs
from gateway.mapping.nodes import Assign, Map, MessageMap, Row, Statement, Target
from gateway.mapping.values import paths
from gateway.mapping.vocabulary import path_of
from tests.conformance.guide_tables import GuideRow

LIST = Path("hl7v2") / "guide.csv"
COLUMNS = ["table", "source", "target", "by", "because"]
_TABLE = re.compile(r"\b[A-Z][A-Z0-9]*\[[^\]]+\]|(?<=Message )\w+|(?<=Concept Map )[^;:\"]+")
_NUMBERS = re.compile(r"\d+")
_SEPARATORS = re.compile(r"[.:]")

_ELEMENTS = frozenset(
    {"HumanName", "Identifier", "Address", "Timing", "Period", "Annotation", "Extension", "Attachment"}
)

Place = tuple[str, int]
"""File and line of a row."""
Codes = Mapping[tuple[str, str, str], Place]
"""Rows of code maps by the guide's table, the code and the target's code."""


@dataclass(frozen=True, slots=True)
class OurRow:
    """A row of a map.

    Shape: `source` as numbers of field and component, None where it reads nothing; `target` in parts, in lower case.
    """

    title: str
    text: str
    source: tuple[int, ...] | None
    target: tuple[str, ...]
    place: Place
    segment: str = ""
    group: str = ""
    restates: frozenset[str] = frozenset()

    @property
    def type(self) -> str:
        """The FHIR type that its map makes."""
        return self.title.partition(" to ")[2].partition(" as ")[0]

    @property
    def element(self) -> bool:
        """Whether its map makes an element, of whose place in a resource it knows nothing."""
        return self.type in _ELEMENTS


@dataclass(frozen=True, slots=True)
class Listed:
    """A line of our own list. Shape: `by` is empty where the row is not expressed."""

    table: str
    source: str
    target: str
    by: str
    because: str
    line: int

    def covers(self, row: GuideRow) -> bool:
        """Whether a row of the guide is one of those that the line speaks of."""
        named = self.table == row.table and _same(self.source, row.source)
        return named and _same(self.target, row.target)


@dataclass(frozen=True, slots=True)
class Matched:
    """A row of the guide with what expresses it.

    Shape: `places` are empty where nothing does; with `every` they do it together, and else each of them would;
    `because` as listed.
    """

    row: GuideRow
    places: tuple[Place, ...]
    because: str = ""
    listed: Listed | None = None
    every: bool = False

    def ran(self, places: Container[Place]) -> bool:
        """Whether the row was run where these rows of ours were."""
        asked = (place in places for place in self.places)
        return bool(self.places) and (all(asked) if self.every else any(asked))


def listed(root: Path) -> tuple[Listed, ...]:
    """Our own list.

    Errors: ValueError for a file with other columns, or a line without its reason.
    """
    with (root / LIST).open(encoding="utf-8", newline="") as file:
        lines = list(csv.reader(file))
    if lines[0] != COLUMNS:
        raise ValueError(f"{LIST}: the columns are {', '.join(COLUMNS)}")
    for number, line in enumerate(lines[1:], 2):
        if len(line) != len(COLUMNS) or not line[-1]:
            raise ValueError(f"{LIST}:{number}: five cells, the reason among them")
    found = enumerate(lines[1:], 2)
    return tuple(Listed(line[0], line[1], line[2], line[3], line[4], number) for number, line in found)


def _same(pattern: str, text: str) -> bool:
    return fnmatch.fnmatchcase(text, pattern.replace("[", "[[]")) if pattern.endswith("*") else pattern == text


# --- our rows ------------------------------------------------------------------------------------------------------


def tables_of(text: str) -> frozenset[str]:
    """The tables that a `source` names."""
    return frozenset(match[0].strip() for match in _TABLE.finditer(text))


def our_rows(statements: Iterable[Statement]) -> Mapping[str, tuple[OurRow, ...]]:
    """The rows of all maps, by the tables that their maps restate and by the maps' titles."""
    found: dict[str, list[OurRow]] = defaultdict(list)
    every = tuple(statements)
    restates = {m.title: tables_of(m.source.value if m.source else "") for m in every if isinstance(m, Map)}
    for made in every:
        if isinstance(made, Map):
            title, rows = made.title, list(_of_map(made))
        elif isinstance(made, MessageMap):
            title, rows = made.structure.text, list(_of_message(made, restates))
        else:
            continue
        for name in (title, *tables_of(made.source.value if made.source else "")):
            found[name].extend(rows)
    return {name: tuple(rows) for name, rows in found.items()}


def _of_map(made: Map) -> Iterator[OurRow]:
    # the primitive that a map makes is the guide's `$value`, an element's own `value` is not
    primitive = made.target.text[0].islower()
    if not made.rows:
        yield OurRow(made.title, "", (), (), (made.span.source.name, made.span.line))
    for part in made.rows:
        if isinstance(part, Row):
            place = (part.span.source.name, part.span.line)
            target = _target(part.target, primitive=primitive)
            text = f"{part.source.text} -> {part.target.span.text}"
            yield OurRow(made.title, text, _numbers(part.source.text), target, place)
            for preset in (*part.presets, *part.defaults):
                below = (*target, *_target(preset.target, primitive=False))
                yield OurRow(made.title, text, _numbers(part.source.text), below, place)
        else:
            yield from _of_assign(made, part.assign, primitive=primitive)


def _of_assign(made: Map, assign: Assign, *, primitive: bool) -> Iterator[OurRow]:
    place = (assign.span.source.name, assign.span.line)
    target = _target(assign.target, primitive=primitive)
    read = [path for path in paths(assign.value) if path.of == made.of.text]
    sources: list[tuple[int, ...] | None] = [None] if not read else []
    sources += [tuple(n for n in (path.field, *path.steps) if n is not None) for path in read]
    for source in sources:
        yield OurRow(made.title, assign.target.span.text, source, target, place)


def _of_message(made: MessageMap, restates: Mapping[str, frozenset[str]]) -> Iterator[OurRow]:
    groups = {id(row): group.path.text for group in made.groups for row in group.rows}
    for row in made.every_row():
        place = (row.span.source.name, row.span.line)
        using = row.using
        title = "" if using is None else f"{using.datatype.text} to {using.target.text}"
        title += f" as {using.variant.text}" if using is not None and using.variant is not None else ""
        made_type = using.target.text if using is not None else ""
        yield OurRow(
            made.structure.text, f"{row.source.text} -> {row.target.span.text}", None,
            tuple(part.lower() for part in made_type.split(".") if part), place, row.source.text,
            groups.get(id(row), ""), restates.get(title, frozenset()),
        )  # fmt: skip


def _numbers(source: str) -> tuple[int, ...]:
    path = path_of(source)
    return () if path is None else tuple(n for n in (path.field, *path.steps) if n is not None)


def _target(target: Target, *, primitive: bool) -> tuple[str, ...]:
    parts: list[str] = []
    for step in target.steps:
        if step.name != "this" and not (primitive and step.name == "value"):
            parts.append(step.name)
            if step.name == "extension" and step.item and not step.item.isdigit():
                parts.append(_address(step.item))
    return tuple(part.lower() for part in parts)


# --- the guide's rows ----------------------------------------------------------------------------------------------


def their_source(row: GuideRow) -> tuple[int, ...]:
    """What a row of the guide reads, as numbers of field and component."""
    name = re.split(r"[.-]", row.source, maxsplit=1)
    return tuple(int(number) for number in _NUMBERS.findall(name[1])) if len(name) > 1 else ()


def their_targets(row: GuideRow, made: str) -> Iterator[tuple[str, ...]]:
    """What a row of the guide fills, in parts, items of lists left out.

    Shape: `made` is the type that our map makes. Of `practitioner(Practitioner.address)` it is the address for a map of
    a Practitioner, and the reference for any other.
    """
    yield _their_target(re.sub(r"\(.*", "", row.target), row, made)
    inside = re.search(rf"\({made}(?:\[[^\]]*\])?\.([^()]*)", row.target)
    if inside is not None:
        yield _their_target(inside[1], row, made)


def _their_target(text: str, row: GuideRow, made: str) -> tuple[str, ...]:
    text = re.sub(r"\[[^\]]*\]?|\{.*?\}|\$\w+|\s", "", text).strip(".")
    parts = [part for part in _SEPARATORS.split(text) if part]
    if parts and parts[0] == made:
        parts = parts[1:]
    if parts[1:] and parts[-1] == "url" and "extension" in parts[-2]:
        parts[-1] = _address(row.assigned)
    # `extension-data-absent-reason` is an extension, which the row's own text tells
    return tuple(re.sub(r"^extension-.*", "extension", part.lower()) for part in parts)


def _address(url: str) -> str:
    """An extension's URL as a part of a path."""
    return "http:" + url.rpartition("/")[2].removesuffix(".html").removeprefix("extension-").lower()


# --- both together -------------------------------------------------------------------------------------------------


def matched(
    rows: Sequence[GuideRow], ours: Mapping[str, tuple[OurRow, ...]], codes: Codes,
    lines: Sequence[Listed],
) -> Iterator[Matched]:  # fmt: skip
    """The rows of one table, each with what expresses it."""
    standing = [(row, next((line for line in lines if line.covers(row)), None)) for row in rows]
    free = [row for row, line in standing if line is None]
    paired = dict(zip(map(id, free), _found(free, ours, codes), strict=True))
    for row, line in standing:
        if line is None:
            found, every = paired[id(row)]
            yield Matched(row, found, every=every)
        elif not line.by:
            yield Matched(row, (), line.because, line)
        else:
            yield Matched(row, tuple(named(line.by, ours, codes)), line.because, line)


def named(by: str, ours: Mapping[str, tuple[OurRow, ...]], codes: Codes) -> Iterator[Place]:
    """The rows that a line of our list names.

    Shape: `TITLE: SOURCE -> TARGET`, `TITLE: TARGET` or `TITLE: *` of a map, `NAME.csv: CODE` of a code map.
    """
    title, _, text = (part.strip() for part in by.partition(": "))
    wanted = " ".join(text.split())
    if title.endswith(".csv"):
        yield from (place for (_, code, _), place in codes.items() if code == wanted and place[0].endswith(f"/{title}"))
        return
    found = [row for row in ours.get(title, ()) if row.title == title]
    yield from dict.fromkeys(row.place for row in found if wanted in {"*", " ".join(row.text.split())})


def _found(
    rows: Sequence[GuideRow], ours: Mapping[str, tuple[OurRow, ...]], codes: Codes
) -> list[tuple[tuple[Place, ...], bool]]:
    if not rows:
        return []
    if rows[0].kind == "codesystems":
        return [(tuple(_coded(row, codes)), True) for row in rows]
    both = [_nearest(row, ours.get(row.table, ())) for row in rows]
    near = [places for places, _ in both]
    # rows alike but for their conditions stand in the same order on both sides, where there are as many of them
    groups: dict[tuple[Place, ...], list[int]] = defaultdict(list)
    for number, places in enumerate(near):
        groups[places].append(number)
    for places, numbers in groups.items():
        alike = len({(rows[n].source, rows[n].target) for n in numbers}) == 1
        if alike and len(places) == len(numbers):
            for place, number in zip(places, numbers, strict=True):
                near[number] = (place,)
    return [(places, every) for places, (_, every) in zip(near, both, strict=True)]


def _coded(row: GuideRow, codes: Codes) -> Iterator[Place]:
    place = codes.get((row.table, row.source or row.target, row.target))
    if place is not None:
        yield place


def our_codes(root: Path) -> Codes:
    """The rows of all code maps, by the guide's table that each restates, its code and its target's."""
    found: dict[tuple[str, str, str], Place] = {}
    for path in sorted((root / "codes").glob("*.csv")):
        for row in specs.table(path):
            cells = row.values
            for table in tables_of(cells["source"]):
                found[table, cells["code"], cells["to_code"]] = (row.origin.file, row.origin.line)
    return found


def _nearest(row: GuideRow, ours: Sequence[OurRow]) -> tuple[tuple[Place, ...], bool]:
    """Our rows that are nearest to one of the guide, and whether they express it together.

    Rows that read the same do; a constant may stand in several maps of a table.
    """
    if row.kind == "messages":
        return _of_segment(row, ours), False
    source = their_source(row)
    best: list[Place] = []
    rank = _FAR
    for our in ours:
        mine = _FAR
        for target in their_targets(row, our.type.partition(".")[0]):
            mine = min(mine, *(_rank(source, each, our) + 10 * left for left, each in enumerate(_ends(target, our))))
        if mine < rank:
            best, rank = [], mine
        if mine == rank < _FAR:
            best.append(our.place)
    return tuple(dict.fromkeys(best)), rank % 10 < _CONSTANT


_FAR, _CONSTANT = 100, 6


def _ends(target: tuple[str, ...], our: OurRow) -> Iterator[tuple[str, ...]]:
    """A target, and what is left of it inside of an element where a map makes that element alone."""
    inside = tuple(part.lower() for part in our.type.split(".")[1:])
    yield target[len(inside) :] if inside and target[: len(inside)] == inside else target
    if our.element:
        yield from (target[left:] for left in range(1, len(target)))


def _rank(source: tuple[int, ...], target: tuple[str, ...], our: OurRow) -> int:
    """How near our row is to one of the guide, from 0."""
    has_address = any(part.startswith("http:") for part in target)
    filled = our.target if has_address else tuple(part for part in our.target if not part.startswith("http:"))
    if filled == target:
        shape = 0
    elif filled == target[: len(filled)]:
        shape = 2  # ours fills the whole that theirs is a part of
    elif filled[: len(target)] == target:
        shape = 1
    else:
        return _FAR
    if our.source is None:
        return _CONSTANT + shape if shape < 2 else _FAR
    if our.source == source:
        return shape
    if source[: len(our.source)] == our.source:
        return 3 + shape
    return 4 + shape if our.source[: len(source)] == source else _FAR


def _of_segment(row: GuideRow, ours: Sequence[OurRow]) -> tuple[Place, ...]:
    """The rows of a message's map for a segment that make what the guide makes of it, in its group if there are any."""
    segment = row.source.rpartition(".")[2]
    kind = re.match(r"[A-Za-z]+", row.target)
    wanted = kind[0].lower() if kind else ""
    found = [our for our in ours if our.segment == segment]
    by_table = [our for our in found if row.of[0] in our.restates]
    by_type = [our for our in found if our.target[:1] == (wanted,)]
    best = by_table or by_type
    # in its group, else in the nearest around it that has any, the whole message at last
    for around in reversed(["", *row.source.split(".")[1:-1]]):
        inside = [our for our in best if our.group.rpartition(".")[2] == around]
        if inside:
            return tuple(dict.fromkeys(our.place for our in inside))
    return tuple(dict.fromkeys(our.place for our in best))
