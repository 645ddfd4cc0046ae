"""Messages and what they must become: our own small corpus, and the shared one.

Source: the design's page on conversion; HL7's v2-to-FHIR guide, restated in `specs/hl7v2/`.
"""

from __future__ import annotations

import importlib
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gateway import fhir, hl7v2, mapping, specs
from gateway.hl7v2 import dictionary
from tests.bounded import WHOLE, sample

MESSAGES = Path(__file__).parent / "maps" / "messages"
CONTEXT = mapping.Context(
    organisation="R0D",
    domain="emergency-care",
    received=datetime(2026, 5, 4, 12, 0, tzinfo=UTC),
    receipt="30d831e4-7f40-4bb9-9322-a42bfbc28bc5",
    rules_digest="ab" * 32,
)
CODES = {
    "ADT": "A01-A18 A20-A36 A38-A55 A60-A62", "BAR": "P01 P02 P05 P06 P10 P12", "DFT": "P03 P11", "MDM": "T01-T11",
    "OMG": "O19", "OMI": "O23", "OML": "O21", "OMP": "O09", "ORM": "O01", "ORU": "R01", "OUL": "R22-R24",
    "PGL": "PC6-PC8", "PPR": "PC1-PC3", "RAS": "O17", "RDE": "O11 O25", "RDS": "O13", "REF": "I12-I15",
    "SIU": "S12-S24 S26 S27", "VXU": "V04",
}  # fmt: skip
ONE_IN = 3
"""Messages of the shared corpus of which `make test` converts one; `make interop` converts all."""
REFUSED = {
    "ADT-A41-02": {"MAP-REQUIRED", "MAP-IDENTITY"},  # MRG has no account, which it is about; two patients of one visit
    "ADT-A47-02": {"MAP-STRUCTURE"},  # two pairs, in a message that has one
    "BAR-P02-02": {"MAP-IDENTITY"},  # one visit of two patients
}
"""Messages of the shared corpus that can't be converted, and by which rule."""


def events(text: str) -> list[str]:
    """The events of a list such as `A01-A03 A08`."""
    found: list[str] = []
    for part in text.split():
        first, _, last = part.partition("-")
        stem = first.rstrip("0123456789")
        width = len(first) - len(stem)
        numbers = range(int(first[len(stem) :]), int((last or first)[len(stem) :]) + 1)
        found += [f"{stem}{n:0{width}}" for n in numbers]
    return found


PRINTED = sorted(f"{code}^{event}" for code, text in CODES.items() for event in events(text))


def elements() -> fhir.Elements:
    return fhir.Elements(specs.fhir())


def vocabulary(*versions: str) -> Any:
    known = elements()
    return SimpleNamespace(dictionaries={v: dictionary.load(v) for v in versions}, elements=known, tables=known.tables)


@pytest.fixture(scope="module")
def maps() -> mapping.Maps:
    loaded = mapping.load(specs.ROOT, vocabulary("2.3", "2.3.1", "2.4", "2.5", "2.5.1"))
    assert loaded.diagnostics == ()
    assert loaded.maps is not None
    return loaded.maps


def shown(conversion: mapping.Conversion) -> Any:
    """A conversion as the expected files have it; what depends on the maps' own text left out."""
    resources = [json.loads(fhir.dump({k: v for k, v in d.resource.items() if k != "meta"})) for d in conversion.drafts]
    for resource in resources:
        if "entity" in resource:
            resource["entity"][1]["what"]["identifier"]["value"] = "urn:sha256:DIGEST"
    return {
        "told": conversion.told,
        "findings": [[f.severity, f.code, f.diagnostics, f.expression, f.rule] for f in conversion.findings],
        "loss": {
            "mapped": conversion.loss.mapped,
            "ignored": conversion.loss.ignored,
            "unmapped": list(conversion.loss.unmapped),
        },
        "clears": {
            f"{d.resource['resourceType']}/{d.resource['id']}": list(d.clears) for d in conversion.drafts if d.clears
        },
        "resources": resources,
    }


@pytest.mark.parametrize("path", sorted(MESSAGES.glob("*.hl7")), ids=lambda path: path.stem)
def test_our_messages_become_what_they_must(path: Path, maps: mapping.Maps) -> None:
    conversion = maps.convert(hl7v2.read(path.read_bytes()), CONTEXT)
    assert shown(conversion) == json.loads(path.with_suffix("").with_suffix(".expected.json").read_text("utf-8"))


@pytest.mark.parametrize("path", sorted(MESSAGES.glob("*.hl7")), ids=lambda path: path.stem)
def test_every_draft_is_valid_and_refers_to_drafts_alone(path: Path, maps: mapping.Maps) -> None:
    demand_validity(maps.convert(hl7v2.read(path.read_bytes()), CONTEXT))


@pytest.mark.parametrize("stem", ["a01-person-in-full", "a02-places", "a04-headless", "r01-told-whole", "s12-booking"])
def test_a_receiver_of_messages_gets_a_header_that_is_valid(stem: str, maps: mapping.Maps) -> None:
    conversion = maps.convert(hl7v2.read((MESSAGES / f"{stem}.hl7").read_bytes()), replace(CONTEXT, messaging=True))
    demand_validity(conversion)
    (header,) = (d.resource for d in conversion.drafts if d.resource["resourceType"] == "MessageHeader")
    told = {k: v for k, v in header.items() if k not in {"resourceType", "id", "meta"}}
    assert told == json.loads((MESSAGES.parent / "headers" / "expected.json").read_text("utf-8"))[stem]


def demand_validity(conversion: mapping.Conversion) -> None:
    made = {f"{d.resource['resourceType']}/{d.resource['id']}" for d in conversion.drafts}
    assert len(made) == len(conversion.drafts)
    known = elements()
    for draft in conversion.drafts:
        assert fhir.validate(draft.resource, known) == ()
        model = importlib.import_module(f"fhir.resources.R4B.{draft.resource['resourceType'].lower()}")
        getattr(model, draft.resource["resourceType"]).model_validate_json(fhir.dump(draft.resource))
        assert set(references(draft.resource)) <= made


def references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["reference"]] if isinstance(value.get("reference"), str) else []
        return own + [r for v in value.values() for r in references(v)]
    if isinstance(value, list):
        return [r for v in value for r in references(v)]
    return []


def test_every_version_may_be_accepted() -> None:
    loaded = mapping.load(specs.ROOT, vocabulary(*dictionary.versions()))
    assert loaded.diagnostics == ()


def test_the_maps_name_themselves_by_their_content(maps: mapping.Maps) -> None:
    again = mapping.load(specs.ROOT, vocabulary("2.5.1")).maps
    assert again is not None
    assert again.digest == maps.digest
    assert sorted(maps.messages) == PRINTED


def test_shared_corpus_converts_without_exception(shared: Path, maps: mapping.Maps) -> None:
    converted = 0
    for path in sample(sorted((shared / "corpus" / "microsoft").glob("*.hl7")), ONE_IN):
        message = hl7v2.read(path.read_bytes())
        conversion = maps.convert(message, CONTEXT)
        if message.type in maps.messages:
            demand_validity(conversion)
            wrong = {finding.rule for finding in conversion.findings if finding.severity == "error"}
            assert wrong == REFUSED.get(path.stem, set()), path.stem
            assert conversion.drafts or wrong
            converted += 1
        else:
            assert [f.rule for f in conversion.findings] == ["MAP-FAILED"]
    assert converted >= (55 if WHOLE else 55 // ONE_IN)
