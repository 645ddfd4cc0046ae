"""Maps with overlays laid over them: which rows count, where they stand, and what stays as it was."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gateway import mapping, specs
from gateway.fhir import Elements
from gateway.hl7v2 import dictionary, read
from gateway.source import render

MAPS = Path(__file__).parents[1] / "conformance" / "maps"
HEADER = r"MSH|^~\&|A|R0D|DEX|QVV|20260515120000||ADT^A05|1|P|2.5.1"

BASE = """language 1

segment NK1 to RelatedPerson
  source "a table"
  identity NK1-33.1
  NK1-2  -> name using XPN to HumanName
  NK1-33 -> identifier using CX to Identifier
  NK1-15 -> gender using CWE to code coded AdministrativeSex
  NK1-20 -> communication[1].language.text
  NK1-20 -> name[9].text when NK1-2 is absent
  set communication[1].preferred = "true"

message ADT_A05 for ADT^A05
  source "a table"
  PID -> patient using PID to Patient
  NK1 -> carer using NK1 to RelatedPerson with patient = patient
"""

SITE = 'language 1\n\noverlay site "A site"\n'
NK1 = '\nsegment NK1 to RelatedPerson\n  source "the site\'s own"\n'


@pytest.fixture(scope="module")
def vocabulary() -> Any:
    tables = specs.fhir()
    return SimpleNamespace(dictionaries={"2.5.1": dictionary.load("2.5.1")}, elements=Elements(tables), tables=tables)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for folder in ("segments", "datatypes", "messages", "site", "other"):
        (tmp_path / "hl7v2" / folder).mkdir(parents=True)
    shutil.copy(MAPS / "prelude.map", tmp_path / "hl7v2" / "segments" / "prelude.map")
    (tmp_path / "hl7v2" / "dictionary").symlink_to(specs.ROOT / "hl7v2" / "dictionary")
    shutil.copytree(MAPS / "codes", tmp_path / "codes")
    (tmp_path / "hl7v2" / "segments" / "base.map").write_text(BASE, encoding="utf-8")
    return tmp_path


def loaded(root: Path, vocabulary: Any, site: str, *laid: tuple[str, ...]) -> mapping.Maps:
    (root / "hl7v2" / "site" / "overlay.map").write_text(site, encoding="utf-8")
    found = mapping.load(root, vocabulary, laid=laid or (("site",),))
    assert found.maps is not None, "\n".join(render(d) for d in found.diagnostics)
    return found.maps


def carers(maps: mapping.Maps, *segments: str, over: tuple[str, ...] = ("site",)) -> list[dict[str, Any]]:
    raw = "\r".join((HEADER, "PID|1||X1", *segments)).encode()
    context = mapping.Context("R0D", "here", datetime(2026, 5, 15, tzinfo=UTC), "receipt", "rules", overlays=over)
    made = maps.convert(read(raw), context)
    bare = [{n: v for n, v in d.resource.items() if n not in {"meta", "patient"}} for d in made.drafts]
    return [one for one in bare if one["resourceType"] == "RelatedPerson"]


CARER = "NK1|1|Smith^Ann|||||||||||||F|||||EN|||||||||||||K1"


def test_the_base_converts_as_if_there_were_no_overlay(root: Path, vocabulary: Any) -> None:
    maps = loaded(root, vocabulary, SITE + NK1 + '  remove gender, name because "nobody asks"\n')
    (base,) = carers(maps, CARER, over=())
    assert base["gender"] == "female"
    assert base["name"] == [{"given": ["Ann"]}]
    (over,) = carers(maps, CARER)
    assert set(over) == {"resourceType", "id", "identifier", "communication"}


def test_rows_of_a_name_replace_all_of_that_name(root: Path, vocabulary: Any) -> None:
    maps = loaded(
        root,
        vocabulary,
        SITE + NK1 + "  NK1-15 -> gender using CWE to code coded AdministrativeSex when NK1-2 is absent\n",
    )
    (over,) = carers(maps, CARER)
    assert "gender" not in over


def test_new_rows_stand_before_the_others_so_that_they_win(root: Path, vocabulary: Any) -> None:
    maps = loaded(root, vocabulary, SITE + NK1 + '  NK1-2.1 -> communication[1].language.text\n  set active = "true"\n')
    (over,) = carers(maps, CARER)
    assert over["communication"] == [{"language": {"text": "Smith"}, "preferred": True}]
    assert over["active"] is True


def test_identities_replace_those_of_the_base(root: Path, vocabulary: Any) -> None:
    maps = loaded(root, vocabulary, SITE + NK1 + "  identity NK1-2.1\n")
    (base,), (over,) = carers(maps, CARER, over=()), carers(maps, CARER)
    assert base["id"] != over["id"]
    assert carers(maps, "NK1|1||||||||||||||F|||||EN|||||||||||||K1") == []


def test_an_item_that_is_taken_out_goes_with_what_is_below_it(root: Path, vocabulary: Any) -> None:
    maps = loaded(root, vocabulary, SITE + NK1 + '  remove communication because "nobody asks"\n')
    (over,) = carers(maps, CARER)
    assert "communication" not in over


def test_code_maps_are_laid_by_code(root: Path, vocabulary: Any) -> None:
    (root / "hl7v2" / "site" / "codes").mkdir()
    with (root / "codes" / "AdministrativeSex.csv").open("a", encoding="utf-8") as file:
        file.write("HL70001,M,,male,Male,a table\n")
    head = "system,code,to_system,to_code,to_display,source\n"
    rows = "HL70001,2,,female,Female,the site\nHL70001,F,,other,Other,the site\n"
    (root / "hl7v2" / "site" / "codes" / "AdministrativeSex.csv").write_text(head + rows, encoding="utf-8")
    maps = loaded(root, vocabulary, SITE)

    def gender(code: str, over: tuple[str, ...]) -> Any:
        return carers(maps, CARER.replace("|F|", f"|{code}|"), over=over)[0].get("gender")

    assert [gender(code, ("site",)) for code in "2FM"] == ["female", "other", "male"]
    assert [gender(code, ()) for code in "2FM"] == [None, "female", "male"]


def test_a_code_map_of_an_overlay_is_checked_by_all_that_use_it(root: Path, vocabulary: Any) -> None:
    (root / "hl7v2" / "site" / "codes").mkdir()
    rows = "system,code,to_system,to_code,to_display,source\nHL70001,2,,woman,Woman,the site\n"
    (root / "hl7v2" / "site" / "codes" / "AdministrativeSex.csv").write_text(rows, encoding="utf-8")
    (root / "hl7v2" / "site" / "overlay.map").write_text(SITE, encoding="utf-8")
    found = mapping.load(root, vocabulary, laid=[("site",)])
    assert found.maps is None
    assert [d.code for d in found.diagnostics] == ["M032"]


MESSAGE = """
segment ZNK to RelatedPerson
  source "the site's own"
  ZNK-1 -> birthDate using DT to date

datatype DT to date
  source "the site's own"
  reads ST

"""


def test_rows_are_laid_into_every_message_that_has_a_segment(root: Path, vocabulary: Any) -> None:
    with_pid = 'messages with PID\n  source "the site\'s own"\n  ZNK -> carer using ZNK to RelatedPerson\n'
    maps = loaded(root, vocabulary, SITE + MESSAGE + with_pid)
    (over,) = carers(maps, CARER, "ZNK|19800101")
    assert over["birthDate"] == "1980-01-01"
    assert "birthDate" not in carers(maps, CARER, "ZNK|19800101", over=())[0]


def test_a_message_takes_rows_and_types_of_an_overlay(root: Path, vocabulary: Any) -> None:
    own = (
        'message ADT_A05 for ADT^A14\n  source "the site\'s own"\n'
        '  ZNK -> carer using ZNK to RelatedPerson\n  remove patient because "of no use"\n'
        "  NK1 -> carer using NK1 to RelatedPerson\n"
    )
    maps = loaded(root, vocabulary, SITE + MESSAGE + own)
    assert set(maps.over(("site",)).messages) == {"ADT^A05", "ADT^A14"}
    assert set(maps.messages) == {"ADT^A05"}
    (over,) = carers(maps, CARER, "ZNK|19800101")
    assert (over["birthDate"], over["name"]) == ("1980-01-01", [{"given": ["Ann"]}])


def test_overlays_are_laid_in_their_order(root: Path, vocabulary: Any) -> None:
    other = SITE.replace("site", "other") + NK1 + '  set gender = "other"\n  remove name because "nobody asks"\n'
    (root / "hl7v2" / "other" / "overlay.map").write_text(other, encoding="utf-8")
    maps = loaded(root, vocabulary, SITE + NK1 + '  set gender = "unknown"\n', ("site", "other"), ("other", "site"), ())
    first, second = (carers(maps, CARER, over=over)[0] for over in (("site", "other"), ("other", "site")))
    assert (first["gender"], second["gender"]) == ("other", "unknown")
    assert "name" not in first
    assert len({maps.digest, *(one.digest for one in maps.overlaid.values())}) == 3


def test_an_overlay_says_in_which_zone_times_without_one_are(root: Path, vocabulary: Any) -> None:
    text = SITE + '  zone "Europe/Dublin"\n'
    maps = loaded(root, vocabulary, text)
    assert (maps.zone, maps.over(("site",)).zone) == (None, "Europe/Dublin")
    raw = read((HEADER + "\rPID|1||X1").encode())
    context = mapping.Context("R0D", "here", datetime(2026, 5, 16, tzinfo=UTC), "r", "r", "America/New_York")
    assert maps.convert(raw, context).told == "2026-05-15T12:00:00-04:00"
    over = mapping.Context(
        "R0D", "here", datetime(2026, 5, 16, tzinfo=UTC), "r", "r", "America/New_York", overlays=("site",)
    )
    assert maps.convert(raw, over).told == "2026-05-15T12:00:00+01:00"


def test_overlays_that_were_not_loaded_are_an_error_of_the_caller(root: Path, vocabulary: Any) -> None:
    maps = loaded(root, vocabulary, SITE)
    with pytest.raises(KeyError):
        maps.over(("other",))


def test_the_folders_of_overlays_are_listed(root: Path) -> None:
    assert mapping.overlays(root) == ("other", "site")
    assert mapping.overlays(specs.ROOT) == ("uk-core",)


def test_a_map_that_is_not_utf_8_is_told_by_its_file(root: Path, vocabulary: Any) -> None:
    (root / "hl7v2" / "site" / "overlay.map").write_bytes(b"\xff\xfe")
    (wrong,) = mapping.load(root, vocabulary, laid=(("site",),)).diagnostics
    assert "byte 0 is not UTF-8" in wrong.message
    assert wrong.span.source.name.endswith("site/overlay.map")
