"""One mistake in a shipped rule file gives one error, on its line, however much leans on what it breaks.

Source: issue 5, "One mistake gives one diagnostic"
"""

from __future__ import annotations

import pytest

from gateway.rules import load_sources
from gateway.rules.load import beside
from gateway.source import Source
from tests.conformance.rules.support import ROOT, vocabulary

FOLDER = ROOT / "rules"


@pytest.mark.parametrize(
    ("file", "right", "wrong", "code"),
    [
        ("registry", "language 1", "language 2", "R009"),
        ("shared-record", "language 1", "language 2", "R009"),
        ("registry", "from 2026-04-01 until 2036-03-31", "from 2026-04-31 until 2036-03-31", "R046"),
        ("registry", "of nhs-number from", "of nhs-numbr from", "R045"),
        ("registry", "takes Fhir", "takes Fhr", "R045"),
        ("registry", 'organisation qvv "NHS Dorset"', "organisation qvv NHS", "R001"),
        ("registry", 'from "codes/sexual-health.csv"', 'form "codes/sexual-health.csv"', "R001"),
        ("emergency-care", "accept Hl7v2 ADT^A01", "accept Hl7 ADT^A01", "R045"),
        ("emergency-care", "accept Hl7v2 ADT^A01", "accept Hl7v2 ADT^A99", "R050"),
        ("care-flags", "when caller has role flag-keeper", "when caller has roles flag-keeper", "R001"),
        ("shared-record", "CodeSystem/v3-Confidentiality", "CodeSystem/v3-Confidentialty", "R127"),
    ],
)
def test_what_leans_on_a_mistake_is_no_mistake(file: str, right: str, wrong: str, code: str) -> None:
    texts = {path.stem: path.read_text("utf-8") for path in sorted(FOLDER.glob("*.rules"))}
    assert right in texts[file]
    texts[file] = texts[file].replace(right, wrong, 1)
    line = next(n for n, text in enumerate(texts[file].splitlines(), 1) if wrong in text)
    sources = [Source(f"rules/{name}.rules", text) for name, text in texts.items()]
    found = load_sources(sources, vocabulary(), read=beside(FOLDER))
    assert found.rules is None
    errors = [(one.code, one.span.source.name, one.span.line) for one in found.diagnostics if one.severity == "error"]
    assert errors == [(code, f"rules/{file}.rules", line)]


def test_what_is_declared_twice_is_told_though_it_can_not_be_taken_either() -> None:
    texts = {path.stem: path.read_text("utf-8") for path in sorted(FOLDER.glob("*.rules"))}
    twice = 'agreement DSA-2026-014 "Again" from 2026-04-31 until 2036-03-31\n'
    sources = [Source(f"rules/{name}.rules", text) for name, text in {**texts, "zz": f"language 1\n{twice}"}.items()]
    found = load_sources(sources, vocabulary(), read=beside(FOLDER))
    assert found.rules is None
    assert [one.span.source.name for one in found.diagnostics if one.severity == "error"] == ["rules/zz.rules"]
