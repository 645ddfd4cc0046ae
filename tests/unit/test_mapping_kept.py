"""What maps were checked to is kept between two starts, as long as nothing that they are checked by is another."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import pytest

from gateway import mapping, specs
from gateway.fhir import Elements
from gateway.hl7v2 import dictionary, read
from gateway.kept import Kept
from gateway.source import Source

T = TypeVar("T")

MAPS = Path(__file__).parents[1] / "conformance" / "maps"
BASE = """language 1

segment NK1 to RelatedPerson
  source "a table"
  identity NK1-33.1
  NK1-2  -> name using XPN to HumanName
  NK1-33 -> identifier using CX to Identifier
  NK1-15 -> gender using CWE to code coded AdministrativeSex
  NK1-20 -> name[9].text when NK1-2 is absent

message ADT_A05 for ADT^A05
  source "a table"
  PID -> patient using PID to Patient
  NK1 -> carer using NK1 to RelatedPerson with patient = patient when NK1-2 is present
"""
SEGMENTS = (
    r"MSH|^~\&|A|R0D|DEX|QVV|20260515120000||ADT^A05|1|P|2.5.1",
    "PID|1||X1",
    "NK1|1|Smith^Ann|||||||||||||F|||||EN|||||||||||||K1",
)
MESSAGE = "\r".join(SEGMENTS).encode()


@dataclass
class Watched:
    """Keeps as `Kept` does, and knows what was made anew."""

    kept: Kept
    made: list[str] = field(default_factory=list)

    def __call__(self, name: str, sources: Sequence[Source], make: Callable[[], T]) -> T:
        def watched() -> T:
            self.made.append(name)
            return make()

        return self.kept(name, sources, watched)


@pytest.fixture(scope="module")
def vocabulary() -> Any:
    tables = specs.fhir()
    return SimpleNamespace(dictionaries={"2.5.1": dictionary.load("2.5.1")}, elements=Elements(tables), tables=tables)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "specs"
    for folder in ("segments", "datatypes", "messages"):
        (root / "hl7v2" / folder).mkdir(parents=True)
    shutil.copy(MAPS / "prelude.map", root / "hl7v2" / "segments" / "prelude.map")
    (root / "hl7v2" / "dictionary").symlink_to(specs.ROOT / "hl7v2" / "dictionary")
    shutil.copytree(MAPS / "codes", tmp_path / "codes")
    (root / "codes").symlink_to(tmp_path / "codes")
    (root / "hl7v2" / "segments" / "base.map").write_text(BASE, encoding="utf-8")
    return root


@pytest.fixture
def keep(tmp_path: Path) -> Watched:
    return Watched(Kept(tmp_path / "data" / "cache"))


def converted(maps: mapping.Maps) -> list[Any]:
    context = mapping.Context("R0D", "here", datetime(2026, 5, 15, tzinfo=UTC), "receipt", "rules")
    made = maps.convert(read(MESSAGE), context)
    assert len(made.drafts) > 1
    return [draft.resource for draft in made.drafts]


def test_maps_that_were_kept_convert_as_those_that_were_checked(root: Path, vocabulary: Any, keep: Watched) -> None:
    anew, first, second = (
        mapping.load(root, vocabulary, *more).maps for more in ((), (keep,), (keep,))
    )  # fmt: skip
    assert keep.made == ["maps", "checked"], "made once, and found the second time"
    assert anew is not None
    assert first is not None
    assert second is not None
    assert converted(anew) == converted(first) == converted(second)


def test_what_is_wrong_is_said_again(root: Path, vocabulary: Any, keep: Watched) -> None:
    (root / "hl7v2" / "segments" / "base.map").write_text(BASE.replace("NK1-15 ->", "NK1-99 ->"), encoding="utf-8")
    first, second = (mapping.load(root, vocabulary, keep).diagnostics for _ in range(2))
    assert [d.message for d in first] == [d.message for d in second] != []


def test_maps_are_checked_again_where_a_code_map_is_gone(root: Path, vocabulary: Any, keep: Watched) -> None:
    assert mapping.load(root, vocabulary, keep).diagnostics == ()
    (root / "codes" / "AdministrativeSex.csv").unlink()
    assert any("AdministrativeSex" in one.message for one in mapping.load(root, vocabulary, keep).diagnostics)


def test_maps_are_checked_again_where_a_file_is_another(root: Path, vocabulary: Any, keep: Watched) -> None:
    mapping.load(root, vocabulary, keep)
    keep.made.clear()
    os.utime(root / "codes" / "Other.csv", ns=(0, 0))
    mapping.load(root, vocabulary, keep)
    assert keep.made == ["checked"]


def test_maps_are_checked_again_where_a_file_is_another_of_the_same_size_and_time(
    root: Path, vocabulary: Any, keep: Watched
) -> None:
    mapping.load(root, vocabulary, keep)
    keep.made.clear()
    file = root / "codes" / "Other.csv"
    before = file.stat()
    text = file.read_bytes()
    file.write_bytes(text[:-2] + b"x" + text[-1:])
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    mapping.load(root, vocabulary, keep)
    assert keep.made == ["checked"]


def test_maps_are_checked_again_for_other_versions(root: Path, vocabulary: Any, keep: Watched) -> None:
    mapping.load(root, vocabulary, keep)
    keep.made.clear()
    more = SimpleNamespace(**{**vars(vocabulary), "dictionaries": {v: dictionary.load(v) for v in ("2.4", "2.5.1")}})
    mapping.load(root, more, keep)
    assert keep.made == ["checked"]
