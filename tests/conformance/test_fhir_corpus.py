"""The official examples and UK Core's through JSON and validation: every error reported is a true one.

The ones that differ from R4 are in `corpus-differs.csv` with the reason, each looked up in the element's definition.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from gateway import fhir, specs
from tests.conformance.corpus_differs import differs

ELEMENTS = fhir.Elements(specs.fhir())


def reported(folder: Path) -> dict[str, dict[str, int]]:
    reports = {}
    for path in sorted(folder.glob("*.json")):
        findings = fhir.validate(fhir.load(path.read_bytes()), ELEMENTS)
        if findings:
            reports[path.name] = dict(Counter(str(f.rule) for f in findings))
    return reports


def test_r4_examples_are_valid_but_for_true_errors(shared: Path) -> None:
    assert reported(shared / "corpus" / "r4-examples") == differs("r4-examples")


def test_uk_core_examples_are_valid_but_for_lost_extension_urls(shared: Path) -> None:
    """The corpus was converted from XML, and `Extension.url`, an attribute there, was lost on the way."""
    for path in sorted((shared / "corpus" / "uk-core").glob("*.json")):
        for finding in fhir.validate(fhir.load(path.read_bytes()), ELEMENTS):
            lost_url = finding.rule == "FHIR-MIN" and finding.diagnostics == "`url` is missing"
            # one extension has two values, valueCode and valueCodeableConcept, where value[x] is 0..1
            two_values = path.name == "Extension-UKCore-ConditionEpisode-Example.json" and finding.rule == "FHIR-MAX"
            assert lost_url or two_values, (path.name, finding)
            assert ".extension[" in str(finding.expression)


def test_every_example_is_written_as_it_was_read(shared: Path) -> None:
    for folder in ("r4-examples", "uk-core"):
        for path in sorted((shared / "corpus" / folder).glob("*.json")):
            resource = fhir.load(path.read_bytes())
            again = fhir.load(fhir.dump(resource))
            assert fhir.canonical(again) == fhir.canonical(resource)


def test_every_element_of_the_examples_resolves(shared: Path) -> None:
    def walk(value: object, path: str) -> None:
        if isinstance(value, list):
            for entry in value:
                walk(entry, path)
        elif isinstance(value, dict):
            path = str(value.get("resourceType", path))
            for name, child in value.items():
                if name != "resourceType":
                    assert ELEMENTS.resolve(f"{path}.{name.removeprefix('_')}") is not None, f"{path}.{name}"
                    if not name.startswith("_"):
                        walk(child, f"{path}.{name}")

    for path in sorted((shared / "corpus" / "r4-examples").glob("*.json")):
        walk(fhir.load(path.read_bytes()), "")
