"""What becomes of messages of the corpora: Bundles that others' models and ours take, and the store takes whole.

Every twelfth message, all of them with `GATEWAY_WHOLE_CORPUS=1`; `tests/interop/test_converted_bundles.py` has HAPI.
Source: issue 8, "every converted Bundle of both corpora validates"; `conversion.md` of the design, bars.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B.bundle import Bundle
from starlette.testclient import TestClient

from gateway import fhir, loading
from gateway.upstream import store
from tests.conformance import agreement, corpus, taken_whole
from tests.conformance.taken_whole import SHARE, WHOLE

BAD = frozenset({"error", "fatal"})
BARS = {"microsoft": 0.75, "reportstream": 0.90}


@pytest.mark.parametrize("folder", corpus.MESSAGES)
def test_converted_bundles_are_valid_and_taken_whole(
    folder: str, shared: Path, tmp_path: Path, decisions: loading.Decisions
) -> None:
    made = list(taken_whole.bundles(shared, decisions, folder))
    assert len(made) > len(corpus.files(shared, folder)) // SHARE // 2
    wrong: list[tuple[str, Any]] = []
    for name, raw in made:
        try:
            Bundle.model_validate_json(raw)
        except ValueError as fault:
            wrong.append((name, str(fault)[:400]))
        findings = fhir.validate(fhir.load(raw), decisions.elements)
        wrong += [(name, (one.rule, one.expression, one.diagnostics)) for one in findings if one.severity in BAD]
    with TestClient(store.app(tmp_path / "store.db"), base_url="http://store") as client:
        wrong += taken_whole.taken(client, made).refused
    assert wrong == []


@pytest.mark.skipif(not WHOLE, reason="GATEWAY_WHOLE_CORPUS=1 converts and compares every message (30 s)")
@pytest.mark.parametrize("folder", corpus.MESSAGES)
def test_the_bars_of_agreement_hold(folder: str, shared: Path, decisions: loading.Decisions) -> None:
    found = agreement.measured(shared, decisions, folder)
    assert found.figure("recall") >= BARS[folder]
    assert found.unclassified == Counter()


def test_a_kind_tells_the_elements_that_most_of_it_are_of() -> None:
    kind = agreement.Kind("a", "*", "Encounter.*", "*", "both allowed", "a code of no system")
    counted = Counter[tuple[agreement.Kind | None, str]]({(kind, "ours"): 6})
    paths = Counter[tuple[agreement.Kind | None, str]](
        {(kind, "Encounter.class.code"): 5, (kind, "Encounter.priority.text"): 1}
    )
    lines = agreement.report({"a": agreement.Agreement("recall=1", counted, Counter(), paths)})
    assert any("| Encounter.class.code 5, Encounter.priority.text 1 |" in line for line in lines)


def test_each_kind_of_disagreement_says_who_is_right_and_why() -> None:
    found = agreement.kinds()
    assert len({(kind.corpus, kind.side, kind.path, kind.value) for kind in found}) == len(found)
    assert all(kind.why.strip("*") for kind in found)
