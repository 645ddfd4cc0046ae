"""What counts as taken whole: a server that refuses, drops or changes a part of a Bundle is told of."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from gateway import fhir
from tests.conformance.taken_whole import Taken, differences, section, taken

PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "9990000018",
    "meta": {"tag": [{"system": "urn:a", "code": "RDZ"}], "source": "urn:b"},
    "name": [{"family": "Sample", "given": ["Ann", "May"]}],
    "multipleBirthInteger": 2,
}
BUNDLE = fhir.dump(fhir.transaction([fhir.entry_put(PATIENT)]))

Change = Callable[[dict[str, Any]], object]


def server(change: Change = lambda _: None, status: int = 200, entry: str = "201 Created") -> httpx.Client:
    """A server that takes one Patient, changes it, and gives it back."""

    def answer(request: httpx.Request) -> httpx.Response:
        asked = json.loads(request.content)
        if asked["type"] == "transaction":
            return httpx.Response(status, json={"entry": [{"response": {"status": entry}} for _ in asked["entry"]]})
        held = json.loads(json.dumps(PATIENT))
        change(held)
        return httpx.Response(200, json={"resourceType": "Bundle", "entry": [{"resource": held}]})

    return httpx.Client(base_url="http://server/fhir", transport=httpx.MockTransport(answer))


def test_what_the_server_adds_of_its_own_is_no_difference() -> None:
    def add(held: dict[str, Any]) -> None:
        held["meta"] |= {"versionId": "3", "source": "urn:b#17"}
        held["meta"]["tag"].insert(0, {"system": "urn:a", "code": "R0D"})

    assert taken(server(add), [("a.hl7", BUNDLE)]) == Taken(1, 1, ())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda held: held.pop("multipleBirthInteger"), "Patient.multipleBirthInteger is None there, sent was 2"),
        (lambda held: held["name"][0]["given"].pop(), "Patient.name[0].given is ['Ann'] there"),
        (lambda held: held["name"][0].update(family="SAMPLE"), "Patient.name[0].family is 'SAMPLE' there"),
        (lambda held: held["meta"]["tag"].clear(), "Patient.meta.tag lacks"),
    ],
)
def test_what_it_drops_or_changes_is_told(change: Change, words: str) -> None:
    (name, told), *more = taken(server(change), [("a.hl7", BUNDLE)]).refused
    assert (name, more) == ("a.hl7", [])
    assert words in told


def test_a_refused_bundle_and_a_refused_entry_are_told() -> None:
    assert "412" in taken(server(status=412), [("a.hl7", BUNDLE)]).refused[0][1]
    assert "422" in taken(server(entry="422"), [("a.hl7", BUNDLE)]).refused[0][1]


def test_the_section_counts_bundles_not_words() -> None:
    text = section({"microsoft": Taken(4, 40, (("a.hl7", "x|y"), ("a.hl7", "z")))})
    assert "| microsoft | 4 | 40 | 3 (75%) |" in text
    assert "| microsoft | a.hl7 | x\\|y |" in text


def test_numbers_are_compared_as_they_are_written() -> None:
    sent = fhir.load(b'{"resourceType":"Observation","a":72.50}')
    assert differences(sent, fhir.load(b'{"resourceType":"Observation","a":72.5}')) != []
    assert differences(sent, fhir.load(b'{"resourceType":"Observation","a":72.50,"id":"1"}')) == []
