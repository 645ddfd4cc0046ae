"""What is laid over what stands: `merge-types.csv` and `merge-lists.csv`, our own."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

from gateway.specs.elements import ElementTable, TypeDefinition
from gateway.specs.rows import Origin, Row, SpecsError, by_name


@dataclass(frozen=True, slots=True)
class ListMerge:
    """How entries of one datatype meet where a list is told again.

    Shape: `same` are the members by which two entries are one, empty for all of them; `place` is the member that makes
    a told entry take the place of standing ones; `kind` a CodeableConcept that keeps entries of one place apart where
    both have it; `apart` are (member, value) of entries that neither take a place nor lose theirs, with an empty value
    for those without the member.
    """

    datatype: str
    same: tuple[str, ...]
    place: str | None
    kind: str | None
    apart: tuple[tuple[str, str], ...]
    origin: Origin


@dataclass(frozen=True, slots=True, eq=False)
class MergeTable:
    """What is laid over what stands: the resource types that several senders tell of, and their lists by datatype."""

    shared: frozenset[str]
    lists: Mapping[str, ListMerge]


def read_merging(folder: Path, types: Mapping[str, TypeDefinition], elements: ElementTable) -> MergeTable:
    """Both tables, held against the types and elements that they name.

    Errors: SpecsError.
    """
    shared = by_name(folder / "merge-types.csv", "type")
    rows = by_name(folder / "merge-lists.csv", "datatype")
    for kind, found in (("resource", shared), ("complex", rows)):
        for name, row in found.items():
            of, dot, _ = name.partition(".")
            if not (dot and of in shared) and (name not in types or types[name].kind != kind):
                raise SpecsError(row.origin, f"`{name}` is no type of kind {kind}: types.csv lists them")
    # elements of resources are read when the resource is first asked for: a test holds that those named here are there
    members = {
        name: {each.path.rpartition(".")[2] for each in elements.children(name)}
        if "." not in name
        else {*row.values["same"].split(), row.values["place"], row.values["kind"]}
        for name, row in rows.items()
    }
    return MergeTable(frozenset(shared), {name: _list_merge(name, row, members[name]) for name, row in rows.items()})


def _list_merge(name: str, row: Row, members: AbstractSet[str]) -> ListMerge:
    cell = row.values
    apart = []
    for word in cell["apart"].split():
        member, sign, value = word.partition("=")
        if not member or not sign:
            raise SpecsError(row.origin, f"`{word}` chooses no entry: write `use=old`, or `system=` for those without")
        apart.append((member, value))
    place, kind = cell["place"] or None, cell["kind"] or None
    for each in (*cell["same"].split(), place, kind, *(member for member, _ in apart)):
        if each is not None and each not in members:
            raise SpecsError(row.origin, f"{name} has no `{each}`: elements.txt lists its elements")
    if place is None and (kind is not None or apart):
        raise SpecsError(row.origin, "`kind` and `apart` say who takes a place: name the place, or leave them empty")
    return ListMerge(name, tuple(cell["same"].split()), place, kind, tuple(apart), row.origin)
