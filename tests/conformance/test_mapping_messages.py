"""Messages and what they must become: our own small corpus, and the shared one.

Source: the design's page on conversion; HL7's v2-to-FHIR guide, restated in `specs/hl7v2/`.
"""

from __future__ import annotations

import importlib
import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gateway import fhir, hl7v2, mapping, specs
from gateway.hl7v2 import dictionary

MESSAGES = Path(__file__).parent / "maps" / "messages"
CONTEXT = mapping.Context(
    organisation="R0D",
    domain="emergency-care",
    received=datetime(2026, 5, 4, 12, 0, tzinfo=UTC),
    receipt="30d831e4-7f40-4bb9-9322-a42bfbc28bc5",
    rules_digest="ab" * 32,
)
PRINTED = (
    *(f"ADT^A{n}" for n in ("01", "02", "03", "04", "05", "06", "07", "08", "11", "28", "31", "40")),
    "MDM^T02", "OML^O21", "ORM^O01", "ORU^R01", "SIU^S12", "SIU^S13", "SIU^S14", "SIU^S15",
)  # fmt: skip


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
    assert sorted(maps.messages) == list(PRINTED)


def test_shared_corpus_converts_without_exception(shared: Path, maps: mapping.Maps) -> None:
    converted = 0
    for path in sorted((shared / "corpus" / "microsoft").glob("*.hl7")):
        message = hl7v2.read(path.read_bytes())
        conversion = maps.convert(message, CONTEXT)
        if message.type in maps.messages:
            demand_validity(conversion)
            assert all(finding.severity != "error" for finding in conversion.findings)
            assert conversion.drafts
            converted += 1
        else:
            assert [f.rule for f in conversion.findings] == ["MAP-FAILED"]
    assert converted >= 55
