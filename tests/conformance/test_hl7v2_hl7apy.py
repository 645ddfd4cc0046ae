"""hl7apy as the oracle: what it reads from a message we read too, and its dictionaries are ours."""

from __future__ import annotations

import csv
import re
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import hl7apy
import pytest
from hl7apy import parser
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.exceptions import HL7apyException

from gateway import specs
from gateway.hl7v2 import Group, SegmentUse, dictionary, read
from gateway.hl7v2.definitions import Dictionary


def hl7apy_message(text: str) -> Any:
    with warnings.catch_warnings():
        # hl7apy calls what `re` has deprecated
        warnings.simplefilter("ignore")
        return parser.parse_message(text, VALIDATION_LEVEL.TOLERANT, find_groups=False)


def leaves(text: str) -> list[str]:
    """The leaves that hold something, sorted and without leading zeros.

    hl7apy cuts blanks, reads numbers as numbers, drops empty components, moves XTN-1 of 2.6 and doubles escapes.
    """
    found = (leaf.strip() for leaf in re.split(r"[\^&]", text.replace("\\E\\", "\\")))
    return sorted(leaf.lstrip("0") for leaf in found if leaf)


@pytest.mark.parametrize("folder", ["microsoft", "reportstream"])
def test_fields_are_what_hl7apy_reads(shared: Path, folder: str) -> None:
    compared = 0
    for path in sorted((shared / "corpus" / folder).glob("*.hl7"))[::8]:
        # It takes CR alone, and no fifth encoding character before 2.7.
        text = path.read_bytes().decode("utf-8-sig").replace("\n", "\r").replace("^~\\&#", "^~\\&", 1)
        try:
            theirs = hl7apy_message(text)
        except HL7apyException:
            continue
        ours = read(text.encode())
        for number, segment in enumerate(theirs.children):
            mine = ours.segments[number]
            assert mine.name == segment.name
            for field in {field.name for field in segment.children if field.name and field.name[3:4] == "_"}:
                values = [leaves(repetition.to_er7()) for repetition in getattr(segment, field.lower())]
                position = int(field.rpartition("_")[2])
                ours_too = [
                    leaves("^".join(leaf.raw for part in element.parts for leaf in part.parts))
                    for element in mine.field(position)
                ]
                if not (mine.name == "MSH" and position == 2):
                    assert values == ours_too, (path.name, field)
                    compared += 1
    assert compared > 100


PATCHES = specs.ROOT / "hl7v2" / "dictionary" / "patches.csv"
PATCHED = {
    (row["version"], f"{row['of']}_{row['position']}")
    for row in csv.DictReader(line for line in PATCHES.read_text("utf-8").splitlines() if not line.startswith("#"))
}
"""Fields that hl7apy has otherwise than the standard."""


@pytest.mark.parametrize("version", dictionary.versions())
def test_the_dictionary_is_hl7apy_s(version: str) -> None:
    elements = hl7apy.load_library(version).ELEMENTS
    ours = dictionary.load(version)
    assert {*ours.structures} == {*elements["Message"]}
    for name, reference in elements["Message"].items():
        same_members(ours.structures[name], reference, name)
    for name, reference in elements["Segment"].items():
        if reference[0] == "sequence" and len(reference) > 1 and reference[1]:
            assert in_order(name, ours.segments[name].fields) == with_patched(version, name, reference[1])
            # What a segment says of its fields beside how often they occur is in places another field's.
            for field, _, occurs, _ in reference[1]:
                if (version, field) not in PATCHED:
                    same_field(ours, name, field, occurs, elements["Field"][field])
    for name, components in elements["Datatypes_Structs"].items():
        assert in_order(name, ours.datatypes[name].components) == with_patched(version, name, components)


def in_order(name: str, parts: Iterable[int]) -> list[str]:
    return [f"{name}_{number}" for number in sorted(parts)]


def with_patched(version: str, name: str, children: Any) -> list[str]:
    """The children that hl7apy has, and those that it lacks."""
    found = {child[0] for child in children} | {part for of, part in PATCHED if of == version}
    numbers = (part.rpartition("_") for part in found)
    return in_order(name, (int(number) for of, _, number in numbers if of == name))


def same_field(ours: Dictionary, segment: str, name: str, occurs: tuple[int, int], own: Any) -> None:
    field = ours.field(segment, int(name.rpartition("_")[2]))
    assert field is not None
    least, most = occurs
    assert (field.min, field.max) == (least, None if most < 0 else most)
    assert field.name in own
    assert field.datatype == "WD" or field.datatype in own
    assert field.table is None or f"HL7{field.table}" in own


def same_members(ours: Group, reference: Any, message: str) -> None:
    assert ours.choice is (reference[0] == "choice")
    assert len(ours.members) == len(reference[1])
    for mine, (name, below, (least, most), kind) in zip(ours.members, reference[1], strict=True):
        assert (mine.min, mine.max) == (least, None if most < 0 else most)
        assert mine.name == {"ANYHL7SEGMENT": "*"}.get(name, name.removeprefix(f"{message}_"))
        assert isinstance(mine, Group if kind == "GRP" else SegmentUse)
        if isinstance(mine, Group):
            same_members(mine, below, message)
