"""What the standard says, one dictionary a version, as `specs/hl7v2/dictionary/` holds it.

`dictionary.py` writes what is read here. What is in use is little of what there is, so each entry is made when it is
first asked for.

Source: HL7 v2.1 to 2.8.2 by way of hl7apy (MIT); which event has which structure is in `events.csv`.
"""

from __future__ import annotations

import csv
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeVar

from gateway import specs
from gateway.hl7v2 import structure
from gateway.hl7v2.structure import Group
from gateway.specs import Origin, SpecsError

FOLDER = "hl7v2/dictionary"
VARIES = "varies"
"""The data type of OBX-5 and its kind: what it holds is said elsewhere in the message."""

WITHDRAWN = "WD"
"""The data type of what the standard withdrew; its fields are not to be sent."""

_DATATYPE = 3
# Columns of the files of a version
FIELDS = ("segment", "position", "name", "datatype", "min", "max", "table")
COMPONENTS = ("composite", "position", "name", "datatype", "min", "max", "table")
STRUCTURES = ("structure", "group", "kind", "members")
TABLES = ("table", "name")
CODES = ("table", "code")

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class FieldDefinition:
    """A field of a segment, or a component of a data type.

    Shape: `name` is hl7apy's, capitals with underscores (`DISCHARGE_DATE_TIME`), and differs by version; `datatype`
    is `varies` where the message says it, `WD` where the standard withdrew it; `max` None means any number, 0 that it
    is not to be sent; `table` four digits, or None.
    """

    position: int
    name: str
    datatype: str
    min: int
    max: int | None
    table: str | None
    origin: Origin = field(compare=False)


@dataclass(frozen=True, slots=True)
class SegmentDefinition:
    """A segment: its fields by number, as far as the version has them."""

    name: str
    fields: Mapping[int, FieldDefinition]


@dataclass(frozen=True, slots=True)
class DatatypeDefinition:
    """A data type: its components by number; none if it is primitive."""

    name: str
    components: Mapping[int, FieldDefinition]


@dataclass(frozen=True, slots=True)
class TableDefinition:
    """A table: its codes as far as hl7apy has them; a user's own table has none."""

    name: str
    codes: frozenset[str]


class _Lazily(Mapping[str, V]):
    """A mapping whose values are made when they are first asked for: a version has thousands, a site uses dozens."""

    __slots__ = ("_made", "_make", "_names")

    def __init__(self, names: Iterable[str], make: Callable[[str], V]) -> None:
        self._names = dict.fromkeys(names)
        self._make = make
        self._made: dict[str, V] = {}

    def __getitem__(self, name: str) -> V:
        if name not in self._made:
            if name not in self._names:
                raise KeyError(name)
            self._made[name] = self._make(name)
        return self._made[name]

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


@dataclass(frozen=True, slots=True, eq=False)
class Dictionary:
    """One version of the standard.

    Shape: `structures` by name (`ADT_A01`), `tables` by number (`0001`), `events` structures to try by (message code,
    event), the event `*` standing for any.
    """

    version: str
    segments: Mapping[str, SegmentDefinition]
    datatypes: Mapping[str, DatatypeDefinition]
    structures: Mapping[str, Group]
    tables: Mapping[str, TableDefinition]
    events: Mapping[tuple[str, str], tuple[str, ...]]

    def field(self, segment: str, number: int) -> FieldDefinition | None:
        """A field, or None if the version hasn't it."""
        definition = self.segments.get(segment)
        return definition.fields.get(number) if definition else None

    def component(self, segment: str, number: int, path: Sequence[int]) -> FieldDefinition | None:
        """What a path below a field leads to, component first, then sub-component.

        Shape: a primitive is its own first part, so `PID-8.1` is `PID-8` where that is primitive; below `varies`
        everything is `varies`.
        """
        found = self.field(segment, number)
        for step in path:
            if found is None or found.datatype == VARIES:
                return found
            definition = self.datatypes.get(found.datatype)
            if definition and definition.components:
                found = definition.components.get(step)
            elif step != 1:
                return None
        return found

    def structure_of(self, message_type: str) -> str | None:
        """The structure of a message type, `ADT^A04` to `ADT_A01`; None if the version has none for it."""
        code, _, event = message_type.partition("^")
        own = f"{code}_{event}" if event else code
        candidates = (*self.events.get((code, event), ()), own, *self.events.get((code, "*"), ()))
        return next((name for name in candidates if name in self.structures), None)


def label_fits(definition: FieldDefinition, label: str) -> bool:
    """Whether a quoted label is the definition's name, letters and digits compared alone.

    hl7apy's names have lost their punctuation: `DISCHARGE_DATE_TIME` is `Discharge Date/Time`.
    """
    return _folded(definition.name) == _folded(label)


def _folded(text: str) -> str:
    return "".join(c for c in text.casefold() if c.isalnum())


def versions(root: Path = specs.ROOT) -> tuple[str, ...]:
    """The versions that there are dictionaries of, oldest first."""
    found = (path.name for path in (root / FOLDER).glob("*/") if (path / "fields.csv").is_file())
    return tuple(sorted(found, key=lambda name: [int(part) for part in name.split(".")]))


def load(version: str, root: Path = specs.ROOT) -> Dictionary:
    """The dictionary of a version, read once.

    Errors: SpecsError for a version without a dictionary, and for a file that can't be read; a bad cell is an error
    when what it describes is first asked for.
    """
    return _load(version, root)


@functools.cache
def _load(version: str, root: Path) -> Dictionary:
    folder = root / FOLDER / version
    if version not in versions(root):
        known = ", ".join(versions(root))
        raise SpecsError(
            Origin(folder.as_posix(), 1), f"no dictionary of HL7 v2 version `{version}`: there are {known}"
        )
    fields = _lines(folder / "fields.csv", FIELDS, root)
    components = _lines(folder / "components.csv", COMPONENTS, root)
    structures = _lines(folder / "structures.csv", STRUCTURES, root)
    types = dict.fromkeys(line.cells[_DATATYPE] for lines in (*fields.values(), *components.values()) for line in lines)
    return Dictionary(
        version,
        _Lazily(fields, lambda name: SegmentDefinition(name, _definitions(fields[name]))),
        _Lazily({**components, **types}, lambda name: DatatypeDefinition(name, _definitions(components.get(name, ())))),
        _Lazily(structures, lambda name: _structure(name, structures[name])),
        _tables(folder, root),
        _events(root / FOLDER / "events.csv"),
    )


class Dictionaries(_Lazily[Dictionary]):
    """The dictionaries by version, each loaded when it is first asked for.

    Errors: KeyError for a version without a dictionary, as of any mapping; SpecsError for a file that can't be read.
    """

    __slots__ = ()

    def __init__(self, root: Path = specs.ROOT) -> None:
        """Look at which versions there are below `root`."""
        super().__init__(versions(root), lambda version: load(version, root))


class _Line(NamedTuple):
    """A row of a generated file; `specs.Row` costs four times as much, and a version has 4,000 of them."""

    origin: Callable[[], Origin]
    cells: list[str]


def _lines(path: Path, header: Sequence[str], root: Path) -> dict[str, list[_Line]]:
    """Rows of a file that `build` wrote, by their first cell."""
    name = path.relative_to(root.parent).as_posix()
    try:
        rows = list(csv.reader(path.read_text(encoding="utf-8").splitlines(), strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SpecsError(Origin(name, 1), "can not be read: run `gateway specs build`") from error
    found: dict[str, list[_Line]] = {}
    for number, cells in enumerate(rows, 1):
        if len(cells) != len(header) or (number == 1 and cells != [*header]):
            columns = ",".join(header)
            raise SpecsError(Origin(name, number), f"is not a row of {columns}: run `gateway specs build`")
        if number > 1:
            found.setdefault(cells[0], []).append(_Line(functools.partial(Origin, name, number), cells))
    return found


def _definitions(lines: Iterable[_Line]) -> dict[int, FieldDefinition]:
    return {definition.position: definition for definition in map(_definition, lines)}


def _definition(line: _Line) -> FieldDefinition:
    _, position, name, datatype, least, most, table = line.cells
    origin = line.origin()
    try:
        return FieldDefinition(
            int(position), name, datatype, int(least), None if most == "*" else int(most), table or None, origin
        )
    except ValueError as error:
        raise SpecsError(origin, "position, min and max are numbers: run `gateway specs build`") from error


def _structure(name: str, lines: Sequence[_Line]) -> Group:
    rows = {line.cells[1]: (line.cells[2] == "choice", line.cells[3].split()) for line in lines}
    try:
        return structure.parse(name, rows)
    except ValueError as error:
        raise SpecsError(lines[0].origin(), f"structure `{name}`: {error}: run `gateway specs build`") from error


def _tables(folder: Path, root: Path) -> Mapping[str, TableDefinition]:
    names = _lines(folder / "tables.csv", TABLES, root)
    codes = functools.cache(lambda: _lines(folder / "codes.csv", CODES, root))
    return _Lazily(
        names,
        lambda number: TableDefinition(
            names[number][0].cells[1], frozenset(line.cells[1] for line in codes().get(number, ()))
        ),
    )


@functools.cache
def _events(path: Path) -> dict[tuple[str, str], tuple[str, ...]]:
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for row in specs.table(path):
        key = row.values["message"], row.values["event"]
        found[key] = (*found.get(key, ()), row.values["structure"])
    return found
