"""Cutting JSON text without writing it anew."""

from __future__ import annotations

from decimal import Decimal

import pytest
import simplejson

from gateway.upstream.store import splice

HEAD = splice.head("Patient", "x", 3, "2024-01-01T00:00:00.000Z")


def spliced(raw: bytes) -> bytes:
    resource = simplejson.loads(raw)
    own = sum(key in resource for key in ("resourceType", "id", "meta"))
    start = splice.first_object(raw)
    return HEAD + splice.content(raw, start, splice.end_of(raw, start), own)


@pytest.mark.parametrize(
    ("raw", "rest"),
    [
        (b'{"resourceType":"Patient","id":"a"}', b"}}"),
        (b'{"resourceType":"Patient","meta":{"versionId":"9","source":"urn:a"},"n":1}', b',"source":"urn:a"},"n":1}'),
        (b'{"resourceType":"Patient","meta":{"source":"urn:a"},"n":72.50}', b',"source":"urn:a"},"n":72.50}'),
        (b'{"resourceType":"Patient","meta":{}, "n" : [1, 2] }', b'},"n" : [1, 2]}'),
        (b'{"n":"{\\"}","id":"a","resourceType":"Patient"}', b'},"n":"{\\"}"}'),
        (b'{"n":1,"meta":{"lastUpdated":"x","tag":[]},"resourceType":"Patient"}', b',"tag":[]},"n":1}'),
        (b'\xef\xbb\xbf {"resourceType":"Patient"}\n', b"}}"),
        (b'{"resourceType":"Patient","\\u0069d":"a","n":1}', b'},"n":1}'),
        (b'{"resourceType":"Patient","meta":{"version\\u0049d":"1"}}', b"}}"),
        (b"{}", b"}}"),
        (b'{"n":[]}', b'},"n":[]}'),
    ],
)
def test_the_servers_own_part_is_replaced_and_the_rest_stays_as_it_was(raw: bytes, rest: bytes) -> None:
    text = raw.removeprefix(b"\xef\xbb\xbf")
    assert spliced(text) == HEAD + rest
    assert simplejson.loads(spliced(text))["meta"]["versionId"] == "3"


def test_the_resources_of_a_bundle_are_found() -> None:
    raw = (
        b' {"type":"batch", "total":-1.0e2, "entry" : [ {"resource" : {"a":"]}"} , "request":{}} , {},\n'
        b'{"request":{"url":"}"}},{"fullUrl":"x","resource":{"b":[{"c":72.50}]}} ] , "more":null}'
    )
    places = splice.entry_resources(raw)
    assert [None if place is None else raw[slice(*place)] for place in places] == [
        b'{"a":"]}"}',
        None,
        None,
        b'{"b":[{"c":72.50}]}',
    ]
    assert splice.entry_resources(b'{"entry":[]}') == []
    assert splice.entry_resources(b'{"type":"batch"}') == []
    assert splice.entry_resources(b'{"\\u0065ntry":[{}]}') == [None]


def test_members_keep_their_places() -> None:
    raw = b'{ "a" : true, "b":"x,}" ,"c":{"d":1}}'
    assert [(m.key, raw[m.value : m.end]) for m in splice.members(raw, 0)] == [
        ("a", b"true"),
        ("b", b'"x,}"'),
        ("c", b'{"d":1}'),
    ]


def test_text_that_is_not_json_is_no_silent_matter() -> None:
    with pytest.raises(ValueError, match=r"fhir\.load"):
        splice.end_of(b"{", 0)


def test_deep_nesting_is_followed() -> None:
    deep = b'{"a":' * 100 + b"1" + b"}" * 100
    assert splice.end_of(deep, 0) == len(deep)
    assert simplejson.loads(deep, use_decimal=True) is not None
    assert Decimal("72.50") == simplejson.loads(b"72.50", use_decimal=True)
