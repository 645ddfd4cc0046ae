"""What the dictionary says of each field, worked out to the last part: data types, tables, lengths.

Made when a segment is first met; a version has thousands of fields, a site sends dozens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from gateway.hl7v2.conformance.beside import Beside, Length
from gateway.hl7v2.conformance.formats import Format
from gateway.hl7v2.conformance.tables import Table, Tables
from gateway.hl7v2.definitions import WITHDRAWN, Dictionary, FieldDefinition

_COMPONENT, _SUBCOMPONENT = 1, 2


@dataclass(frozen=True, slots=True)
class Leaf:
    """What a value without parts must be. Shape: `most` is its longest length, of `limit`."""

    datatype: str
    format: Format | None = None
    table: Table | None = None
    most: int | None = None
    limit: str = ""


@dataclass(frozen=True, slots=True)
class Shape:
    """What one value may hold: a leaf, or parts; neither where it is open."""

    datatype: str
    leaf: Leaf | None = None
    parts: tuple[Part, ...] = ()
    coded: Table | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """A component or subcomponent.

    Shape: `position` counts from 1; `plain` says that any text may stand there that has no separator in it.
    """

    position: int
    name: str
    required: bool
    withdrawn: bool
    shape: Shape
    plain: bool = False


@dataclass(frozen=True, slots=True)
class FieldRule:
    """What the version says of a field. Shape: `most` None means any number of repetitions."""

    number: int
    name: str
    required: bool
    withdrawn: bool
    most: int | None
    shape: Shape


class VersionRules:
    """The rules of one version, each made when it is first asked for."""

    __slots__ = ("_shapes", "beside", "dictionary", "tables")

    def __init__(self, dictionary: Dictionary, every: Mapping[str, Dictionary], beside: Beside) -> None:
        """Work out nothing yet."""
        self.dictionary = dictionary
        self.tables = Tables(dictionary, every, beside)
        self.beside = beside
        self._shapes: dict[tuple[str, str | None, int], Shape] = {}

    def fields(self, segment: str) -> Iterator[FieldRule]:
        """The fields of a segment, in order."""
        for number, definition in sorted(self.dictionary.segments[segment].fields.items()):
            yield FieldRule(
                number,
                definition.name,
                definition.min > 0,
                definition.max == 0 or definition.datatype == WITHDRAWN,
                definition.max,
                self.shape(definition, 0, f"{segment}-{number}"),
            )

    def values(self, datatype: str) -> Shape:
        """What a value of a data type may hold, for fields that say their type in the message."""
        return self._shape(datatype, None, 0, lambda: None)

    def shape(self, definition: FieldDefinition, depth: int, place: str = "") -> Shape:
        """What a place may hold. Units: `depth` 0 is a field, 1 a component, 2 a subcomponent."""
        table = self.tables.of(definition)
        shape = self._shape(definition.datatype, definition.table, depth, lambda: self.tables.coded(definition))
        own = self.beside.lengths.get((self.dictionary.version, place))
        if shape.leaf is None or (table is None and own is None):
            return shape
        leaf = shape.leaf if own is None else _limited(shape.leaf, own)
        return Shape(shape.datatype, Leaf(leaf.datatype, leaf.format, table, leaf.most, leaf.limit))

    def _shape(self, datatype: str, table: str | None, depth: int, coded: Callable[[], Table | None]) -> Shape:
        is_coded = datatype in self.beside.coded
        key = (datatype, table if is_coded else None, depth)
        found = self._shapes.get(key)
        if found is None:
            found = self._shapes[key] = self._make(datatype, depth, coded() if is_coded else None)
        return found

    def _make(self, datatype: str, depth: int, coded: Table | None) -> Shape:
        if datatype in self.beside.open_types:
            return Shape(datatype)
        definition = self.dictionary.datatypes.get(datatype)
        components = definition.components if definition is not None else {}
        if not components or datatype == WITHDRAWN:
            return Shape(datatype, self._leaf(datatype))
        if depth >= _SUBCOMPONENT:
            # there is no separator left, so it is its own first part
            return self._first(datatype, components[min(components)], depth)
        parts = [self._part(datatype, one, depth + 1) for _, one in sorted(components.items())]
        return Shape(datatype, None, tuple(parts), coded)

    def _part(self, datatype: str, definition: FieldDefinition, depth: int) -> Part:
        position = definition.position
        withdrawn = definition.max == 0 or definition.datatype == WITHDRAWN
        shape = self._first(datatype, definition, depth) if position == 1 else self.shape(definition, depth)
        leaf = shape.leaf
        free = leaf is not None and leaf.format is None and leaf.table is None and leaf.most is None
        return Part(position, definition.name, definition.min > 0, withdrawn, shape, plain=free and not withdrawn)

    def _first(self, datatype: str, definition: FieldDefinition, depth: int) -> Shape:
        """What a first component may hold: what its data type settles, whatever the dictionary says."""
        settled = self.beside.first.get(datatype)
        return self.shape(definition, depth) if settled is None else Shape(settled, self._leaf(settled))

    def _leaf(self, datatype: str) -> Leaf:
        leaf = Leaf(datatype, self.beside.formats.get(datatype))
        own = self.beside.lengths.get((self.dictionary.version, datatype))
        return leaf if own is None else _limited(leaf, own)


def _limited(leaf: Leaf, length: Length) -> Leaf:
    return Leaf(leaf.datatype, leaf.format, leaf.table, length.most, length.of)
