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
