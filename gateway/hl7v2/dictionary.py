"""The standard's dictionaries, one a version: segments, fields, data types, tables, message structures.

hl7apy holds them; `write` compiles them into `specs/hl7v2/dictionary/`, `drift` says which files differ, and `load`
reads what is there. Nothing else imports hl7apy, and nothing on the way of a message does.

Source: HL7 v2.1 to 2.8.2 by way of hl7apy (MIT); what it lacks or has wrong is in `patches.csv`, each row with its
source.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import hl7apy

from gateway import specs
from gateway.hl7v2 import structure
from gateway.hl7v2.definitions import (
    CODES,
    COMPONENTS,
    FIELDS,
    FOLDER,
    STRUCTURES,
    TABLES,
    VARIES,
    WITHDRAWN,
    DatatypeDefinition,
    Dictionaries,
    Dictionary,
    FieldDefinition,
    SegmentDefinition,
    TableDefinition,
    label_fits,
    load,
    versions,
)
from gateway.hl7v2.structure import Group, SegmentUse
from gateway.specs import Row, SpecsError

__all__ = [
    "FOLDER",
    "VARIES",
    "WITHDRAWN",
    "DatatypeDefinition",
    "Dictionaries",
    "Dictionary",
    "FieldDefinition",
    "SegmentDefinition",
    "TableDefinition",
    "build",
    "compiled",
    "drift",
    "label_fits",
    "load",
    "versions",
    "write",
]


def build(version: str, patches: Iterable[Row] = ()) -> dict[str, str]:
    """The files of a version, by name, from hl7apy's dictionary of it and the patches.

    Errors: SpecsError for a patch with a bad cell or without a source.
    """
    elements = hl7apy.load_library(version).ELEMENTS
    own = [row for row in patches if row.values["version"] == version]
    fields = _members(elements["Segment"], elements["Field"])
    components = _members(elements["Datatypes_Structs"], elements["Component"])
    for row in own:
        _patch(fields if row.values["kind"] == "field" else components, row)
    tables = sorted((_number(name), table) for name, table in elements["Table"].items())
    return {
        "fields.csv": _csv(FIELDS, _flat(fields)),
        "components.csv": _csv(COMPONENTS, _flat(components)),
        "structures.csv": _csv(STRUCTURES, _structure_rows(elements["Message"])),
        "tables.csv": _csv(TABLES, ((number, _clean(title)) for number, (title, _) in tables)),
        "codes.csv": _csv(
            CODES, ((number, code) for number, (_, codes) in tables for code in sorted({*map(_clean, codes)} - {""}))
        ),
    }


def compiled(folder: Path) -> dict[str, str]:
    """Every file that `write` writes below `folder` (`specs/hl7v2/dictionary`), by its relative name."""
    patches = specs.table(folder / "patches.csv")
    return {
        f"{version}/{name}": text
        for version in hl7apy.SUPPORTED_LIBRARIES
        for name, text in build(version, patches).items()
    }


def write(folder: Path) -> None:
    """Write the dictionaries below `folder`, and remove files of versions that don't belong to them."""
    wanted = compiled(folder)
    for name in _surplus(folder, wanted):
        (folder / name).unlink()
    for name, text in wanted.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="")


def drift(folder: Path) -> tuple[str, ...]:
    """Names of the files below `folder` that differ from what `write` would write, are missing or are too many."""
    wanted = compiled(folder)
    differing = [
        name
        for name, text in wanted.items()
        if not (folder / name).is_file() or (folder / name).read_bytes() != text.encode()
    ]
    return tuple(sorted({*differing, *_surplus(folder, wanted)}))


def _surplus(folder: Path, wanted: Iterable[str]) -> list[str]:
    return sorted({path.relative_to(folder).as_posix() for path in folder.glob("*/*.csv")} - {*wanted})


def _csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue()


_Members = dict[tuple[str, int], tuple[str, str, int, str, str]]


def _members(parents: Mapping[str, Any], own: Mapping[str, Any]) -> _Members:
    """Name, data type, min, max and table by (segment or composite, position).

    hl7apy isn't of one mind about shapes: a segment is ('sequence', children), a data type its children alone, and
    ORO of 2.1 as well; four segments of 2.7 have no children; ANYHL7SEGMENT is no segment. What a child says of its
    type and name is in places that of the field before it (PID-4 of 2.8), so both are taken from the field's own entry.
    """
    found: _Members = {}
    for parent, reference in parents.items():
        for name, _, (least, most), _ in _children(reference):
            # Counted from both ends: RX1-30 of 2.1 has one entry too many in between.
            datatype, title, table = own[name][2], own[name][-3], own[name][-2]
            found[parent, int(name.rpartition("_")[2])] = (
                title,
                WITHDRAWN if datatype in {None, "wd"} else datatype,
                least,
                "*" if most < 0 else str(most),
                _number(table) if table else "",
            )
    return found


def _children(reference: Any) -> Any:
    kind = reference[0] if reference and isinstance(reference[0], str) else None
    if kind == "choice":
        return ()
    if kind is None:
        return reference
    return reference[1] if len(reference) > 1 else ()


def _flat(members: _Members) -> Iterator[tuple[object, ...]]:
    for (parent, position), cells in sorted(members.items()):
        yield parent, position, *cells


def _patch(members: _Members, row: Row) -> None:
    cell = row.values
    if cell["kind"] not in {"field", "component"} or not cell["source"]:
        raise SpecsError(row.origin, "kind is `field` or `component`, and a patch names its source: correct the row")
    try:
        key, least = (cell["of"], int(cell["position"])), int(cell["min"])
    except ValueError as error:
        raise SpecsError(row.origin, "position and min are numbers: correct the row") from error
    members[key] = (cell["name"], cell["datatype"], least, cell["max"], cell["table"])


def _structure_rows(messages: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    for name, reference in sorted(messages.items()):
        tree = _tree(name, name, reference, (1, 1))
        for group in tree.groups():
            members = " ".join(map(structure.write_member, group.members))
            yield name, "" if group is tree else group.name, "choice" if group.choice else "sequence", members


def _tree(message: str, name: str, reference: Any, occurs: tuple[int, int]) -> Group:
    kind, children = reference
    members = tuple(
        _tree(message, child, below, count)
        if sort == "GRP"
        else SegmentUse(structure.ANY_SEGMENT if child == "ANYHL7SEGMENT" else child, *_occurs(count))
        for child, below, count, sort in children
    )
    return Group(name.removeprefix(f"{message}_"), *_occurs(occurs), members, kind == "choice")


def _occurs(occurs: tuple[int, int]) -> tuple[int, int | None]:
    least, most = occurs
    return least, None if most < 0 else most


def _number(table: str) -> str:
    return table.removeprefix("HL7")


def _clean(text: str) -> str:
    # Some of hl7apy's codes carry no-break spaces, a few of them decoded wrongly.
    return text.replace("\u00c2\u00a0", " ").replace("\u00a0", " ").strip()
