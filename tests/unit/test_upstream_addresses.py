"""A server's own address, known by scheme, host, port and path, however it is written."""

from __future__ import annotations

import pytest

from gateway.upstream.addresses import OwnAddress

BASE = OwnAddress("https://fhir.example.org/r4")

CASES = {
    "https://fhir.example.org/r4/Patient/1": "Patient/1",
    "https://fhir.example.org:443/r4/Patient/1": "Patient/1",
    "HTTPS://FHIR.example.org/r4/Patient/1": "Patient/1",
    "https://user:secret@fhir.example.org/r4/Patient/1": "Patient/1",
    "https://fhir.example.org/r4/Patient/1/_history/2": "Patient/1/_history/2",
    "https://fhir.example.org/r4/Patient?x=1#top": "Patient?x=1#top",
    "https://fhir.example.org/r4": "",
    "https://fhir.example.org/r4/": "",
    "http://fhir.example.org/r4/Patient/1": None,
    "https://fhir.example.org:8443/r4/Patient/1": None,
    "https://fhir.example.org:x/r4/Patient/1": None,
    "https://fhir.example.org/r40/Patient/1": None,
    "https://fhir.example.org/Patient/1": None,
    "https://fhir.example.org.evil.example/r4/Patient/1": None,
    "https://other.example/r4?to=https://fhir.example.org/r4/Patient/1": None,
    "Patient/1": None,
    "urn:uuid:1": None,
    "see https://fhir.example.org/r4/Patient/1": None,
    "": None,
}


@pytest.mark.parametrize("address", CASES)
def test_an_address_is_the_servers_or_is_not(address: str) -> None:
    below = CASES[address]
    assert BASE.relative(address) == (address if below is None else below)
    found = BASE.taken_out({"a": [{"url": address}]}, "https://gateway.example")
    expected = address if below is None else f"https://gateway.example/{below}".rstrip("/")
    assert found == {"a": [{"url": expected}]}


def test_what_holds_nothing_of_it_is_handed_back_itself() -> None:
    resource = {"resourceType": "Flag", "text": {"div": "<div>plain</div>"}, "subject": {"reference": "Patient/1"}}
    assert BASE.taken_out(resource, "") is resource
    assert not BASE.named_in(b'{"reference":"Patient/1"}')
    assert BASE.named_in(b'{"reference":"https:\\/\\/FHIR.Example.org\\/r4\\/Patient\\/1"}')
