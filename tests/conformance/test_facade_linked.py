"""`rows ... linked by`: what refers to a row is looked for among all there is, narrowed upstream, and no further than
to the first that will do.

Source: `rules-language.md` of the design, meaning 11
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from gateway import loading
from tests import rule_sets
from tests.answering import Answering, answering
from tests.conformance.test_facade_masks import rules, total
from tests.running import running

Json = dict[str, Any]
OWN = "9990000018"
PAGES = 120
"""More than were looked through once."""
SOME = 12


@contextmanager
def record(here: int | None) -> Iterator[tuple[str, list[dict[str, list[str]]]]]:
    """A FHIR server of one patient, with one visit on each of many pages; what it was asked for visits.

    Shape: `here` is the page whose visit is to the caller's organisation, None for none.
    """
    asked: list[dict[str, list[str]]] = []

    class Handler(Answering):
        protocol_version = "HTTP/1.1"

        def respond(self, sent: bytes) -> None:  # noqa: ARG002 - none is sent
            parts = urlsplit(self.path)
            found: Json = {"resourceType": "Bundle", "type": "searchset"}
            if parts.path.endswith("/Encounter"):
                query = parse_qs(parts.query)
                asked.append(query)
                number = int(query.get("page", ["1"])[0])
                found["entry"] = [{"resource": visit(f"e{number}", "R0D" if number == here else "XXX")}]
                if number < PAGES:
                    url = f"http://{self.headers['Host']}/fhir/Encounter?page={number + 1}"
                    found["link"] = [{"relation": "next", "url": url}]
            else:
                found["entry"] = [{"resource": {"resourceType": "Patient", "id": OWN}}]
            self.answer(json.dumps(found).encode())

    with answering(Handler) as address:
        yield f"{address}/fhir", asked


def visit(id_: str, organisation: str) -> Json:
    return {
        "resourceType": "Encounter", "id": id_, "status": "finished", "subject": {"reference": f"Patient/{OWN}"},
        "class": {"code": "EMER"}, "serviceProvider": {"reference": f"Organization/{organisation}"},
    }  # fmt: skip


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> loading.Decisions:
    return rule_sets.decisions(rules(tmp_path_factory.mktemp("linked") / "rules", repository), repository / "specs")


@pytest.mark.parametrize(
    ("here", "shown", "pages"),
    [
        (1, 1, 1),
        (SOME, 1, SOME),
        pytest.param(PAGES, 1, PAGES, marks=pytest.mark.interop),
        pytest.param(None, 0, PAGES, marks=pytest.mark.interop),
    ],
)
def test_a_row_is_shown_by_one_of_however_many_links(
    tmp_path: Path, loaded: loading.Decisions, here: int | None, shown: int, pages: int
) -> None:
    with record(here) as (address, asked), running(tmp_path / "data", loaded, targets={"record": address}) as one:
        found = one.search(f"/Patient?_id={OWN}", principal="other-engine")
        assert found.status_code == 200, found.text
        assert total(found) == shown
        assert len(asked) == pages
        # upstream it is narrowed to what may fit
        assert asked[0]["patient"] == [f"Patient/{OWN}"]
        assert asked[0]["service-provider"] == ["Organization/8PA01,Organization/QVV,Organization/R0D,Organization/RDZ"]
