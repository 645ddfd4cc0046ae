from __future__ import annotations

from pathlib import Path

import pytest

from gateway import specs
from gateway.mapping import codes

HEADER = "system,code,to_system,to_code,to_display,source\n"


def test_a_star_stands_for_the_rest_of_a_code(tmp_path: Path) -> None:
    (tmp_path / "Names.csv").write_text(f"{HEADER}s,HL7*,,urn:v2-*,,x\ns,SCT,,urn:sct,,x\n", encoding="utf-8")
    names = codes.load(tmp_path)["Names"]
    assert [(row.to_code if row else None) for row in map(names.find, ("HL70005", "SCT", "HL7", "LN"))] == [
        "urn:v2-0005", "urn:sct", None, None,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("code,to_code\nA,B\n", "the columns of a code map are"),
        (f"{HEADER}s,A,,,,x\n", "needs both codes"),
        (f"{HEADER}s,A,,B,,x\ns,A,,C,,x\n", "A stands at"),
    ],
)
def test_a_file_that_is_no_code_map(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "Bad.csv").write_text(text, encoding="utf-8")
    with pytest.raises(specs.SpecsError, match=words):
        codes.load(tmp_path)


def test_every_code_map_of_ours_names_its_sources() -> None:
    for path in sorted((specs.ROOT / "codes").glob("*.csv")):
        assert all(row.values["source"] for row in specs.table(path)), path.name


def test_a_number_sign_stands_for_a_number_in_code_and_display(tmp_path: Path) -> None:
    (tmp_path / "Times.csv").write_text(
        f"{HEADER}s,Q#J#,,Q#J#,every # on #,x\ns,Q1H,,hourly,,x\ns,Q#H,,#h,,x\n", encoding="utf-8"
    )
    times = codes.load(tmp_path)["Times"]
    assert [(row.to_code, row.display) if row else None for row in map(times.find, ("Q2J13", "Q1H", "Q6H", "QxH"))] == [
        ("Q2J13", "every 2 on 13"), ("hourly", ""), ("6h", ""), None,
    ]  # fmt: skip


def test_the_rows_of_a_map_are_told_all(tmp_path: Path) -> None:
    (tmp_path / "Names.csv").write_text(f"{HEADER}s,HL7*,,urn:v2-*,,x\ns,SCT,,urn:sct,,x\n", encoding="utf-8")
    assert [row.code for row in codes.load(tmp_path)["Names"]] == ["SCT", "HL7*"]


@pytest.mark.parametrize(
    ("name", "system"),
    [
        ("SCT", "http://snomed.info/sct"), ("SNOMED-CT", "http://snomed.info/sct"),
        ("I10", "http://hl7.org/fhir/sid/icd-10"), ("ICD-10", "http://hl7.org/fhir/sid/icd-10"),
        ("LN", "http://loinc.org"), ("UCUM", "http://unitsofmeasure.org"),
        ("HL70078", "http://terminology.hl7.org/CodeSystem/v2-0078"), ("99LOC", None), ("L", None),
    ],
)  # fmt: skip
def test_coding_systems_have_their_uris(name: str, system: str | None) -> None:
    found = codes.load(specs.ROOT / codes.FOLDER)["CodingSystem"].find(name)
    assert (found.to_code if found else None) == system


def test_opcs_4_has_its_uri_in_the_uk() -> None:
    base = codes.load(specs.ROOT / codes.FOLDER)["CodingSystem"]
    over = codes.load(specs.ROOT / "hl7v2" / "uk-core" / codes.FOLDER)["CodingSystem"]
    found = codes.laid(base, over).find("OPCS-4")
    assert found is not None
    assert found.to_code == "https://fhir.hl7.org.uk/Id/opcs-4"


def test_every_row_of_every_code_map_leads_its_code_to_its_target() -> None:
    for code_map in codes.load(specs.ROOT / codes.FOLDER).values():
        for row in code_map:
            number, rest = row.code.count("#"), row.code.endswith("*")
            found = code_map.find(row.code.replace("#", "7").replace("*", "rest"))
            assert found is not None
            wanted = row.to_code.replace("#", "7").replace("*", "rest") if number or rest else row.to_code
            assert (found.to_code, found.to_system, found.origin) == (wanted, row.to_system, row.origin)
