"""What becomes of messages of the corpora: Bundles that others' models and ours take, and the store takes whole.

Every twelfth message, all of them with `GATEWAY_WHOLE_CORPUS=1`; for HAPI see `tests/README.md`.
Source: issue 8, "every converted Bundle of both corpora validates"; `conversion.md` of the design, bars.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B.bundle import Bundle
from starlette.testclient import TestClient

from gateway import fhir, loading
from gateway.upstream import store
from tests.conformance import agreement, corpus

WHOLE = bool(os.environ.get("GATEWAY_WHOLE_CORPUS"))
SHARE = 1 if WHOLE else 12
BARS = {"microsoft": 0.75, "reportstream": 0.90}


def bundles(shared: Path, decisions: loading.Decisions, folder: str) -> list[tuple[str, bytes]]:
    """The Bundles of a share of a folder's messages, by the names of the files."""
    files = {path.name for path in corpus.files(shared, folder)[::SHARE]}
    made = agreement.converted(shared, decisions, folder, files)
    return [(path.name, one.bundle) for path, one in made if one.bundle is not None]


@pytest.mark.parametrize("folder", corpus.MESSAGES)
def test_converted_bundles_are_valid_and_taken_whole(
    folder: str, shared: Path, tmp_path: Path, decisions: loading.Decisions
) -> None:
    made = bundles(shared, decisions, folder)
    assert len(made) > len(corpus.files(shared, folder)) // SHARE // 2
    wrong: list[tuple[str, Any]] = []
    with TestClient(store.app(tmp_path / "store.db"), base_url="http://store") as client:
        for name, raw in made:
            bundle = fhir.load(raw)
            try:
                Bundle.model_validate_json(raw)
            except ValueError as fault:
                wrong.append((name, str(fault)[:400]))
            refused = [one for one in fhir.validate(bundle, decisions.elements) if one.severity in {"error", "fatal"}]
            wrong += [(name, (one.rule, one.expression, one.diagnostics)) for one in refused]
            reply = client.post("/", content=raw, headers={"Content-Type": "application/fhir+json"})
            answers = reply.json().get("entry", ())
            if reply.status_code != 200 or len(answers) != len(bundle["entry"]):
                wrong.append((name, reply.text[:400]))
    assert wrong == []


@pytest.mark.skipif(not WHOLE, reason="GATEWAY_WHOLE_CORPUS=1 converts and compares every message (30 s)")
@pytest.mark.parametrize("folder", corpus.MESSAGES)
def test_the_bars_of_agreement_hold(folder: str, shared: Path, decisions: loading.Decisions) -> None:
    found = agreement.measured(shared, decisions, folder)
    assert found.figure("recall") >= BARS[folder]
    assert found.unclassified == Counter()


def test_each_kind_of_disagreement_says_who_is_right_and_why() -> None:
    found = agreement.kinds()
    assert len({(kind.corpus, kind.side, kind.path, kind.value) for kind in found}) == len(found)
    assert all(kind.why.strip("*") for kind in found)
