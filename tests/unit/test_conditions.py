"""Conditional requests: RFC 9110 section 13, https://hl7.org/fhir/R4/http.html#concurrency."""

from __future__ import annotations

import pytest
from starlette.datastructures import Headers

from gateway.interactions import conditions
from gateway.interactions.refused import Refused

STANDS = {"etag": 'W/"3"', "last-modified": "Sun, 22 Nov 2026 12:00:00 GMT"}


@pytest.mark.parametrize(
    ("name", "value", "same"),
    [
        ("If-None-Match", 'W/"3"', True), ("If-None-Match", '"3"', True), ("If-None-Match", "*", True),
        ("If-None-Match", 'W/"2" , "3"', True), ("If-None-Match", 'W/"33"', False), ("If-None-Match", 'W/""', False),
        ("If-Modified-Since", "Sun, 22 Nov 2026 12:00:00 GMT", True),
        ("If-Modified-Since", "Sun, 22 Nov 2026 11:59:59 GMT", False), ("If-Modified-Since", "soon", False),
        ("If-Modified-Since", "", False), ("If-None-Match", " ", False),
    ],
)  # fmt: skip
def test_a_client_has_this_version(name: str, value: str, same: bool) -> None:  # noqa: FBT001 - a case's answer
    found = conditions.of_headers(Headers({name: value}))
    assert conditions.unchanged(found, STANDS) is same


def test_a_tag_goes_before_a_date() -> None:
    sent = {"If-None-Match": 'W/"2"', "If-Modified-Since": "Sun, 22 Nov 2026 12:00:00 GMT"}
    assert not conditions.unchanged(conditions.of_headers(Headers(sent)), STANDS)


def test_without_an_etag_nothing_is_known_to_be_the_same() -> None:
    assert not conditions.unchanged(conditions.of_headers(Headers({"If-None-Match": "*"})), {})


@pytest.mark.parametrize("value", ["3", "W/3", '"3', 'W/"1" W/"2"'])
def test_what_is_no_tag_is_refused(value: str) -> None:
    for sent in ({"If-Match": value}, {"If-None-Match": value}):
        with pytest.raises(Refused) as refused:
            conditions.of_headers(Headers(sent))
        assert refused.value.status == 400


def test_a_header_twice_is_refused() -> None:
    with pytest.raises(Refused):
        conditions.of_headers(Headers(raw=[(b"if-match", b'"1"'), (b"if-match", b'"2"')]))


def test_an_entry_of_a_bundle_says_the_same() -> None:
    found = conditions.of_entry({"ifMatch": 'W/"3"', "ifNoneExist": "identifier=1", "ifModifiedSince": "2026-11-22"})
    assert (found.if_match, found.if_none_exist) == (frozenset({"3"}), "identifier=1")
    assert found.if_modified_since is not None
    with pytest.raises(Refused):
        conditions.of_entry({"ifMatch": 3})
