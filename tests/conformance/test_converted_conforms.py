"""What our maps make, with the overlay of UK Core, is R4 and UK Core: the samples beside the rules, and both corpora.

Judged by our own tables, and by models that others wrote (fhir.resources, R4B).

`converted-departs.csv` has what is not, each with the reason; a line that no longer holds fails in the whole run. Of
the corpora every eighth message is converted, all of them with `GATEWAY_WHOLE_CORPUS=1` (15 s).
Source: `conversion.md` of the design, "FHIR R4"; issue 8 ("every converted Bundle validates").
"""

from __future__ import annotations

import csv
import os
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

from gateway import fhir, loading, mapping, offline, specs
from gateway.fhir.models import departures_from_model
from gateway.mapping import Maps

HERE = Path(__file__).parent
SAMPLES = HERE.parents[1] / "rules" / "samples"
WHOLE = bool(os.environ.get("GATEWAY_WHOLE_CORPUS"))
SHARE = 1 if WHOLE else 8
NAMES = loading.vocabulary(specs.ROOT)
UK_CORE = specs.profiles("uk-core")
_ENTRY = re.compile(r"Bundle\.entry\[([0-9]+)\]\.resource")
_INDEX = re.compile(r"\[[0-9]+\]")

Departed = tuple[str, str]
"""A rule, and the place by the resource's type, without numbers."""


@pytest.fixture(scope="module")
def maps() -> Maps:
    found = mapping.load(specs.ROOT, NAMES, laid=[("uk-core",)]).maps
    assert found is not None
    return found


def departed(maps: Maps, files: Iterable[Path]) -> tuple[int, Counter[Departed]]:
    """How many Bundles were made of files, and in what they depart; warnings are what a profile advises."""
    made, found = 0, Counter[Departed]()
    for path in files:
        raw = path.read_bytes().replace(b"\n", b"\r")
        converted = offline.convert(
            raw, maps, NAMES.elements, organisation="r0d", rules_digest="x", overlays=("uk-core",)
        )
        if converted.bundle is None:
            continue
        made += 1
        bundle = fhir.load(converted.bundle)
        for one in (*fhir.departures(bundle, NAMES.elements, UK_CORE), *departures_from_model(bundle)):
            if one.severity == "error":
                found[str(one.rule), place(bundle, str(one.expression))] += 1
    return made, found


def place(bundle: fhir.Resource, expression: str) -> str:
    match = _ENTRY.match(expression)
    if match is None:
        return _INDEX.sub("", expression)
    kind = str(bundle["entry"][int(match[1])]["resource"]["resourceType"])
    return kind + _INDEX.sub("", expression[match.end() :])


def listed(source: str) -> set[Departed]:
    with (HERE / "converted-departs.csv").open(encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["source"] == source]
    assert all(row["reason"] for row in rows)
    return {(row["rule"], row["place"]) for row in rows}


def test_what_is_made_of_the_samples_is_uk_core(maps: Maps) -> None:
    made, found = departed(maps, sorted(SAMPLES.rglob("*.hl7")))
    assert made >= 50
    assert found == {}


@pytest.mark.parametrize("corpus", ["microsoft", "reportstream"])
def test_what_is_made_of_the_corpora_is_uk_core_but_for_what_is_listed(maps: Maps, shared: Path, corpus: str) -> None:
    files = sorted((shared / "corpus" / corpus).glob("*.hl7"))
    made, found = departed(maps, files[::SHARE])
    assert made >= len(files) // SHARE - 3
    assert set(found) <= listed(corpus), found
    if WHOLE:
        assert set(found) == listed(corpus), "lines that no longer hold"


def test_what_departs_is_seen(maps: Maps) -> None:
    """The test itself: a message whose Bundle is broken is found, in the same way."""
    path = SAMPLES / "emergency-care" / "accepted-a01-admission.hl7"
    converted = offline.convert(
        path.read_bytes().replace(b"\n", b"\r"), maps, NAMES.elements, organisation="r0d", rules_digest="x",
        overlays=("uk-core",),
    )  # fmt: skip
    assert converted.bundle is not None
    bundle = fhir.load(converted.bundle)
    number, patient = next(
        (i, entry["resource"])
        for i, entry in enumerate(bundle["entry"])
        if entry["resource"]["resourceType"] == "Patient"
    )
    nhs = next(one for one in patient["identifier"] if one["system"] == "https://fhir.nhs.uk/Id/nhs-number")
    patient["identifier"].append(nhs)
    (one,) = fhir.departures(bundle, NAMES.elements, UK_CORE)
    assert one.rule == "PROFILE-MAX"
    assert str(one.expression).startswith(f"Bundle.entry[{number}].resource.identifier[")
    assert place(bundle, str(one.expression)) == "Patient.identifier"
