"""What is younger than every dictionary here: maps read it, because senders put it into older messages.

Source: HL7 v2.9 by way of the v2-to-FHIR guide, in `specs/hl7v2/dictionary/newer.csv` and `newer-structures.csv`, each
row with its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from gateway import specs
from gateway.hl7v2.definitions import FOLDER, Dictionary, FieldDefinition, SegmentDefinition
from gateway.specs import SpecsError

STRUCTURES = ("structure", "segment", "source")
COLUMNS = ("segment", "position", "name", "datatype", "min", "max", "table", "source")


def with_newer(dictionary: Dictionary, root: Path = specs.ROOT) -> Dictionary:
    """A dictionary with the younger fields; itself where the folder `root` lists none.

    Errors: SpecsError for a row with other columns, a bad number, or a segment that the dictionary lacks.
    """
    path = root / FOLDER / "newer.csv"
    if not path.is_file():
        return dictionary
    fields: dict[str, dict[int, FieldDefinition]] = {}
    for row in specs.table(path):
        if tuple(row.values) != COLUMNS:
            raise SpecsError(row.origin, "the columns of younger fields are " + ", ".join(COLUMNS))
        segment, position, name, datatype, least, most, table, _ = row.values.values()
        if segment not in dictionary.segments or not (position.isdigit() and least.isdigit()):
            raise SpecsError(
                row.origin, f"{segment}-{position} is no field: name a segment that there is, and a number"
            )
        fields.setdefault(segment, dict(dictionary.segments[segment].fields))[int(position)] = FieldDefinition(
            int(position), name, datatype, int(least), None if most == "*" else int(most), table or None, row.origin
        )
    segments = {name: SegmentDefinition(name, found) for name, found in fields.items()}
    return replace(dictionary, segments={**dictionary.segments, **segments})


def younger_segments(root: Path = specs.ROOT) -> Mapping[str, frozenset[str]]:
    """The segments that younger versions have in a message, by its structure.

    Errors: SpecsError for a row with other columns.
    """
    found: dict[str, frozenset[str]] = {}
    path = root / FOLDER / "newer-structures.csv"
    for row in specs.table(path) if path.is_file() else ():
        if tuple(row.values) != STRUCTURES:
            raise SpecsError(row.origin, "the columns of younger segments are " + ", ".join(STRUCTURES))
        structure, segment, _ = row.values.values()
        found[structure] = found.get(structure, frozenset()) | {segment}
    return found
