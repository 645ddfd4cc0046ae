"""A record that drops search parameters it does not know, as FHIR lets it: what it finds then links nothing.

Source: `rules-language.md` meaning 11; https://hl7.org/fhir/R4/search.html#errors
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests import rule_sets
from tests.answering import Answering, answering
from tests.conformance.test_facade_masks import rules
from tests.running import running

OWN, OTHER = "9990000018", "9990000026"


@contextmanager
def record(visitor: str, *, without: str = "nothing", found: Any = None) -> Iterator[str]:
    """A FHIR server that finds one patient, and one visit here, whatever is asked.

    Shape: `visitor` is whose it is; for searches of the type `without` it hangs up; `found` is what it answers instead.
    """
    patient = {"resourceType": "Patient", "id": OWN}
    visit = {
        "resourceType": "Encounter", "id": "e", "status": "finished", "subject": {"reference": f"Patient/{visitor}"},
        "class": {"code": "EMER"}, "serviceProvider": {"reference": "Organization/R0D"},
    }  # fmt: skip

    class Handler(Answering):
        def respond(self, sent: bytes) -> None:  # noqa: ARG002 - whatever is asked
            if f"/{without}" in self.path:
                self.close_connection = True
                return
            one = visit if "/Encounter" in self.path else patient
            answer = found or {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": one}]}
            self.answer(json.dumps(answer).replace("ADDRESS", f"http://{self.headers['Host']}/fhir").encode())

    with answering(Handler) as address:
        yield f"{address}/fhir"


@pytest.mark.parametrize(("visitor", "shown"), [(OWN, 1), (OTHER, 0)])
def test_visits_of_somebody_else_show_no_patient(tmp_path: Path, repository: Path, visitor: str, shown: int) -> None:
    loaded = rule_sets.decisions(rules(tmp_path / "rules", repository), repository / "specs")
    with record(visitor) as address, running(tmp_path / "data", loaded, targets={"record": address}) as one:
        asked = one.search(f"/Patient?_id={OWN}", principal="other-engine")
        assert asked.status_code == 200, asked.text
        assert asked.json()["total"] == shown
        assert len(asked.json().get("entry", [])) == shown


@pytest.mark.parametrize(("visitor", "comes"), [(OWN, 1), (OTHER, 0)])
def test_visits_of_somebody_else_do_not_come_along(tmp_path: Path, repository: Path, visitor: str, comes: int) -> None:
    loaded = rule_sets.decisions(rules(tmp_path / "rules", repository), repository / "specs")
    with record(visitor) as address, running(tmp_path / "data", loaded, targets={"record": address}) as one:
        asked = one.search(f"/Patient?_id={OWN}&_revinclude=Encounter:patient")
        assert asked.status_code == 200, asked.text
        modes = [entry["search"]["mode"] for entry in asked.json()["entry"]]
        assert modes == ["match", *["include"] * comes]


def test_a_record_that_hangs_up_when_it_is_asked_for_links_is_down(tmp_path: Path, repository: Path) -> None:
    loaded = rule_sets.decisions(rules(tmp_path / "rules", repository), repository / "specs")
    with (
        record(OWN, without="Encounter") as address,
        running(tmp_path / "data", loaded, targets={"record": address}) as one,
    ):
        asked = one.search(f"/Patient?_id={OWN}", principal="other-engine")
        assert asked.status_code == 503, asked.text
        assert asked.json()["resourceType"] == "OperationOutcome"


@pytest.mark.parametrize(
    "found",
    [
        {"entry": [None]},
        {"entry": None},
        {"entry": [{"resource": "Patient"}]},
        {"entry": [{"resource": {"resourceType": "Patient"}}]},
        {"link": None},
        {"link": [{"relation": "next"}]},
        {"link": [{"relation": "next", "url": "ADDRESS/Patient?page=2"}]},  # so says page 2 too
        {"resourceType": "Patient", "id": OWN},
    ],
    ids=str,
)
def test_a_record_whose_searchset_is_none_is_down(tmp_path: Path, repository: Path, found: dict[str, Any]) -> None:
    loaded = rule_sets.decisions(rules(tmp_path / "rules", repository), repository / "specs")
    sent = {"resourceType": "Bundle", "type": "searchset", **found}
    with record(OWN, found=sent) as address, running(tmp_path / "data", loaded, targets={"record": address}) as one:
        asked = one.search(f"/Patient?_id={OWN}")
        assert asked.status_code == 503, asked.text
