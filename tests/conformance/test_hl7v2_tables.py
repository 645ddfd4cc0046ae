"""Our notation of HL7's tables 0211, 0354 and 0357 against the reference; FHIR's issue types."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from gateway import specs
from gateway.hl7v2 import characters, dictionary
from gateway.hl7v2.dictionary import FOLDER

HAND_WRITTEN = specs.ROOT / FOLDER

# Table 0354 puts ADT^A44 under ADT_A43 until 2.6 and gives it a structure of its own from 2.7 on; A28 and A31 have
# none of their own in any published chapter.
MISLED = {("ADT", "A28", "ADT_A28"), ("ADT", "A31", "ADT_A28")}


def table(shared: Path, number: str) -> dict[str, str]:
    with (shared / "reference" / "fhir-r4" / "v2-tables.csv").open(encoding="utf-8", newline="") as file:
        return {row["code"]: row["display"] for row in csv.DictReader(file) if row["table"] == number}


def test_every_character_set_of_table_0211_is_known(shared: Path) -> None:
    for code in table(shared, "0211"):
        assert characters.codec_of(code) is not None, code


def test_every_codec_exists() -> None:
    for spelling, codec in characters.spellings().items():
        assert not codec or b"MSH|^~\\&|".decode(codec) == "MSH|^~\\&|", spelling


@pytest.mark.parametrize("version", ["2.4", "2.5.1", "2.8.2"])
def test_events_lead_to_the_structure_of_table_0354(shared: Path, version: str) -> None:
    ours = dictionary.load(version)
    checked = 0
    for name, display in table(shared, "0354").items():
        message, _, own = name.partition("_")
        if name not in ours.structures or not own:
            continue
        for event in re.findall(r"\b[A-Z][A-Z0-9]{2}\b", display):
            if (message, event, name) in MISLED:
                continue
            found = ours.structure_of(f"{message}^{event}")
            assert found in {name, f"{message}_{event}"}, (message, event, name)
            checked += 1
    assert checked > 150


def test_error_codes_are_of_table_0357_and_of_every_version_that_has_err_3(shared: Path) -> None:
    texts = table(shared, "0357")
    for row in specs.table(HAND_WRITTEN / "error-codes.csv"):
        code = row.values["code"]
        assert code in texts, row
        assert row.values["text"] in {texts[code], "Application internal error"}
        for version in ("2.5", "2.5.1", "2.6", "2.7", "2.8", "2.8.1", "2.8.2"):
            assert code in dictionary.load(version).tables["0357"].codes, (row, version)


def test_severities_are_of_table_0516_in_every_version_that_has_err_4() -> None:
    for row in specs.table(HAND_WRITTEN / "error-severities.csv"):
        for version in ("2.5", "2.5.1", "2.6", "2.7", "2.8", "2.8.1", "2.8.2"):
            assert row.values["code"] in dictionary.load(version).tables["0516"].codes


def test_issue_types_are_fhir_s() -> None:
    known = specs.fhir().codes["http://hl7.org/fhir/ValueSet/issue-type"]
    for row in specs.table(HAND_WRITTEN / "error-codes.csv"):
        match = row.values["match"]
        assert match in known or match == "*" or match.startswith("HL7-"), row
    used = set(re.findall(r'"(?:error|warning|information)",\n\s+"([a-z-]+)"', _source("findings.py")))
    assert used
    assert used <= known
    rules = set(re.findall(r'"(HL7-[A-Z0-9-]+)"', _source("findings.py")))
    matched = {row.values["match"] for row in specs.table(HAND_WRITTEN / "error-codes.csv")}
    assert {match for match in matched if match.startswith("HL7-")} <= rules


def _source(name: str) -> str:
    return (specs.ROOT.parent / "gateway" / "hl7v2" / name).read_text(encoding="utf-8")
