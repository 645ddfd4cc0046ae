"""hl7apy's own validator as the oracle: on its ground the two find the same, and each difference has its reason here.

Its ground are messages whose structure it knows and that keep to it: of others it drops segments. It judges neither the
form of values nor lengths. A complaint is compared by what it is about, the segment and the field.
`GATEWAY_EVERY=1 pytest --timeout=900` compares all messages there are; the tests take a part of them.
"""

from __future__ import annotations

import functools
import os
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
from hl7apy import parser
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.exceptions import HL7apyException
from hl7apy.validation import Validator

from gateway.hl7v2 import read
from gateway.hl7v2.conformance import Judged, Nonconformity, load
from tests.conformance.test_hl7v2_hl7apy import PATCHED

ROOT = Path(__file__).resolve().parents[2]
EVERY = bool(os.environ.get("GATEWAY_EVERY"))
OWN = ("rules/samples/*/*.hl7", "tests/conformance/maps/messages/*.hl7")
CORPORA = ("microsoft", "reportstream")

Complaint = tuple[str, str, int | None]
"""What is complained of (`required`, `limit`, `unknown`, `parted`, `table`), the segment and the field."""


@dataclass(frozen=True, slots=True)
class Told:
    """A complaint of one of the two. Shape: `words` are its own; `kind` is ours, empty where it is hl7apy's."""

    side: Literal["ours", "theirs"]
    complaint: Complaint
    words: str
    kind: str = ""
    place: str = ""


@dataclass(frozen=True, slots=True)
class Difference:
    """A kind of difference. Shape: `fits` says whether a complaint is one, given those of the other side."""

    why: str
    fits: Callable[[Told, dict[Complaint, Told], str], bool]


def _patched(told: Told, _others: dict[Complaint, Told], version: str) -> bool:
    kind, segment, field = told.complaint
    return (version, f"{segment}_{field}") in PATCHED or (
        kind == "unknown" and any(of == version and name.startswith(f"{segment}_") for of, name in PATCHED)
    )


def _withdrawn_whole(told: Told, others: dict[Complaint, Told], _version: str) -> bool:
    """Complaints below a field that we say is withdrawn, and nothing more."""
    _, segment, field = told.complaint
    ours = others.get(("limit", segment, field))
    return told.side == "theirs" and ours is not None and ours.kind == "withdrawn"


IN_ANOTHER_GROUP = ("OUL_R22", "OUL_R23", "OUL_R24", "RDE_O11", "OMG_O19")
"""Structures of which hl7apy puts a segment that several groups may hold into another of them than the order says."""


def _of_another_group(name: str, version: str) -> bool:
    """Whether a structure is one of those; of results since 2.8, where PRT may stand in every group."""
    return name.startswith(IN_ANOTHER_GROUP) or (version >= "2.8" and name.startswith("ORU_R01_"))


def _in_another_group(told: Told, _others: dict[Complaint, Told], version: str) -> bool:
    return told.side == "theirs" and _of_another_group(told.complaint[1], version)


DIFFERENCES = (
    Difference("hl7apy puts a segment into another group than its place says", _in_another_group),
    Difference(
        "ADT_A24 has a segment PID for each of two patients, and hl7apy counts them as one",
        lambda told, *_: told.words == "Error: Child limit exceeded ADT_A24.PID",
    ),
    Difference(
        "XTN.1 of 2.6, which hl7apy lacks: patches.csv",
        lambda told, _others, version: version == "2.6" and told.words.endswith("of type XTN>: [None]"),
    ),
    Difference(
        "hl7apy tells of the data type of a component, and not of its field",
        lambda told, *_: "<Component" in told.words or (told.kind == "unknown" and "subcomponent" in told.words),
    ),
    Difference(
        "hl7apy has no table for components of fields, and asks none of the code of a CE or CWE",
        lambda told, *_: told.kind == "user-table" and "." in told.place,
    ),
    Difference("hl7apy does not judge the form of values", lambda told, *_: told.kind == "type"),
    Difference("hl7apy has no lengths", lambda told, *_: told.kind == "length"),
    Difference("hl7apy does not compare MSH-9.3 with the type", lambda told, *_: told.kind == "structure"),
    Difference("the standard has the field or component otherwise: patches.csv", _patched),
    Difference("what is withdrawn is told once, not part by part", _withdrawn_whole),
    Difference(
        "the codes of the table can't be listed: open-tables.csv",
        lambda told, *_: told.side == "theirs" and re.search(r"HL70(396|301|211|053|399)\b", told.words) is not None,
    ),
    Difference(
        "OBX-2 takes every data type of its version, whatever table 0125 lists",
        lambda told, *_: told.side == "theirs" and "HL70125" in told.words,
    ),
    Difference(
        "hl7apy compares a value of several components with the table as a whole",
        lambda told, *_: (
            told.side == "theirs" and re.search(r"Value \S*[^\n]*\^[^\n]* not in table", told.words) is not None
        ),
    ),
    Difference(
        "hl7apy wants each of a choice, where one is to stand",
        lambda told, *_: told.side == "theirs" and re.search("_(CHOICE|SUPPGRP)[.]", told.words) is not None,
    ),
    Difference(
        "hl7apy has no codes of the table in this version, and we ask whether any version knows the code",
        lambda told, _others, version: (
            told.side == "ours" and told.complaint[0] == "table" and version in {"2.1", "2.2", "2.3"}
        ),
    ),
    Difference(
        "hl7apy does not look into OBX-5, whose type OBX-2 says",
        lambda told, *_: (
            told.side == "ours" and told.place.partition("-")[2].startswith("5[") and told.complaint[1] == "OBX"
        ),
    ),
    Difference(
        "hl7apy cuts blanks, which are part of a code",
        lambda told, *_: told.side == "ours" and "with blanks around it" in told.words,
    ),
)


def messages(shared: Path | None) -> Iterator[tuple[str, str]]:
    """Names and texts as hl7apy takes them: CR alone, and no fifth encoding character before 2.7."""
    own = [path for pattern in OWN for path in sorted(ROOT.glob(pattern))]
    paths = own if EVERY else own[::3]
    for corpus in CORPORA if shared is not None else ():
        found = sorted((shared / "corpus" / corpus).glob("*.hl7")) if shared else []
        paths += found if EVERY else found[:: len(found) // 10]
    for path in paths:
        text = path.read_bytes().decode("utf-8-sig").replace("\r\n", "\r").replace("\n", "\r")
        yield path.name, text.replace("^~\\&#", "^~\\&", 1)


def oracle(text: str, report: Path) -> list[str]:
    """All that hl7apy complains of, in its words."""
    report.write_text("")
    with warnings.catch_warnings():
        # hl7apy calls what `re` has deprecated
        warnings.simplefilter("ignore")
        whole: Any = parser.parse_message(text, VALIDATION_LEVEL.TOLERANT, find_groups=True)
        try:
            Validator.validate(whole, report_file=str(report))
        except HL7apyException:
            return report.read_text().splitlines()
    return report.read_text().splitlines()


_FIELD = re.compile(r"([A-Z][A-Z0-9]{2})_(\d+)")
_READ: Sequence[tuple[str, str]] = (
    (r"Error: Missing required child (\S+?)\.(\S+)", "required"),
    (r"Error: Child limit exceeded (\S+?)\.(\S+)", "limit"),
    (r"Error: Datatype .* is not correct for (\S+?)\.(\S+)", "parted"),
    (r"Warning: Value .* not in table \S+ in element (\S+?)\.(\S+)", "table"),
    (r"Error: Invalid children detected for <(?:Segment|Field) (\S+?)(?: |>)()", "unknown"),
)


def theirs(line: str) -> Complaint:
    """What a complaint of hl7apy's is about; a component of a component has its data type for a segment."""
    for pattern, kind in _READ:
        found = re.match(pattern, line)
        if found is None:
            continue
        for name in (found[2], found[1]):
            field = _FIELD.fullmatch(name)
            if field is not None and (name == found[2]) <= (field[1] == found[1]):
                return kind, field[1], int(field[2])
        return kind, found[1], None
    return "other", line, None


def ours(found: Nonconformity) -> Complaint:
    kind = {"withdrawn": "limit", "repetitions": "limit", "user-table": "table"}.get(found.kind, found.kind)
    if kind == "unknown":
        kind = "parted" if "separator stands" in found.words else kind
        if found.place.component is None and kind == "unknown":
            return kind, found.place.segment, None
    return kind, found.place.segment, found.place.field


def structural(found: Nonconformity) -> bool:
    return found.kind == "order" or found.place.field is None


@dataclass(frozen=True, slots=True)
class Pair:
    """One message, and what each of the two says of it."""

    name: str
    version: str
    judged: Judged
    lines: tuple[str, ...]


@functools.cache
def pairs(folder: Path) -> tuple[Pair, ...]:
    """Every message that is compared; hl7apy takes 30 ms for one, so once for all tests."""
    shared = Path(os.environ.get("GATEWAY_SHARED", ROOT.parent / "shared"))
    found = []
    for name, text in messages(shared if (shared / "corpus").is_dir() else None):
        message = read(text.encode())
        judged = load().judge(message, suggested=True)
        found.append(Pair(name, message.version or "", judged, tuple(oracle(text, folder / "report.txt"))))
    return tuple(found)


def test_both_find_the_same_but_for_what_is_explained(tmp_path_factory: pytest.TempPathFactory) -> None:
    agreed, compared, used, unexplained = 0, 0, set[str](), []
    for pair in pairs(tmp_path_factory.getbasetemp()):
        found = pair.judged
        unknown = any("Unknown element found" in line for line in pair.lines)
        if found.more or any(map(structural, found.found)) or unknown:
            continue
        compared += 1
        mine = {ours(one): Told("ours", ours(one), one.words, one.kind, str(one.place)) for one in found.found}
        other = {theirs(line): Told("theirs", theirs(line), line) for line in pair.lines}
        agreed += len({*mine} & {*other})
        for these, those in ((mine, other), (other, mine)):
            for complaint, told in these.items():
                if complaint in those:
                    continue
                why = next((one.why for one in DIFFERENCES if one.fits(told, those, pair.version)), None)
                if why is None:
                    unexplained.append((pair.name, told))
                else:
                    used.add(why)
    assert unexplained == []
    assert compared > 15
    assert agreed > 15
    if EVERY:
        assert used == {one.why for one in DIFFERENCES}


def test_what_hl7apy_complains_of_in_a_structure_departs_from_it_here_too(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Not the other way round: it drops segments that have no place, and says nothing of them."""
    compared = 0
    for pair in pairs(tmp_path_factory.getbasetemp()):
        missing = [line for line in pair.lines if "Missing required child" in line and theirs(line)[2] is None]
        groups = [line for line in missing if not re.search("_(CHOICE|SUPPGRP)[.]", line)]
        groups = [line for line in groups if not _of_another_group(theirs(line)[1], pair.version)]
        if groups:
            compared += 1
            assert any(map(structural, pair.judged.found)), (pair.name, groups)
    assert compared > 0
