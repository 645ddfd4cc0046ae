"""Strict JSON with decimals as written."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import fhir


def test_decimals_and_text_come_back_as_written() -> None:
    raw = '{"resourceType":"Observation","valueQuantity":{"value":72.50},"note":"Zoë 東京","n":-0,"i":0.10}'.encode()
    resource = fhir.load(raw)
    assert resource["valueQuantity"]["value"] == Decimal("72.50")
    assert fhir.dump(resource) == raw


def test_a_byte_order_mark_is_taken() -> None:
    assert fhir.load(b'\xef\xbb\xbf{"resourceType":"Patient"}') == {"resourceType": "Patient"}


@pytest.mark.parametrize(
    ("raw", "place", "words"),
    [
        (b"", "line 1 column 1", "not JSON"),
        (b'{"resourceType":"Patient"} x', "line 1 column 28", "not JSON"),
        (b'{\n"resourceType": }', "line 2 column 17", "not JSON"),
        (b'{"resourceType":"Patient","a":"\xff"}', "byte 31", "not UTF-8"),
        (b'{"resourceType":"Patient","a":1,"a":2}', "a", "twice"),
        (b'{"resourceType":"Patient","b":{"a":1,"a":1}}', "a", "twice"),
        (b'{"resourceType":"Patient","a":NaN}', "NaN", "not a JSON number"),
        (b'{"resourceType":"Patient","a":-Infinity}', "-Infinity", "not a JSON number"),
        (b'{"resourceType":"Patient","a":' + b"1" * 61 + b"}", "1" * 20 + "...", "longer than 60"),
        (b'{"resourceType":"Patient","a":1.' + b"1" * 60 + b"}", "1.11", "longer than 60"),
        (b'{"resourceType":"Patient","a":1e999999999}', "1e999999999", "too large or too small"),
        (b'{"resourceType":"Patient","a":1.5e-6145}', "1.5e-6145", "too large or too small"),
        (b'{"resourceType":"Patient","a":"\\ud800"}', "a string", "surrogate"),
        (b"[]", "the whole", "no FHIR resource"),
        (b'"Patient"', "the whole", "no FHIR resource"),
        (b"{}", "the whole", "no FHIR resource"),
        (b'{"resourceType":1}', "the whole", "no FHIR resource"),
        (b"[" * 100_000, "byte 100", "deeper than 100"),
        (b'{"a":"' + b"[" * 200 + b'","b":' + b"[" * 101, "byte ", "deeper than 100"),
    ],
)
def test_what_is_not_strict_json_is_refused_by_place(raw: bytes, place: str, words: str) -> None:
    with pytest.raises(fhir.JsonError) as raised:
        fhir.load(raw)
    assert raised.value.place.startswith(place)
    assert words in raised.value.words


def test_brackets_in_text_and_side_by_side_are_not_depth() -> None:
    raw = b'{"resourceType":"Patient","a":"' + b"[" * 300 + b'","b":[' + b",".join([b"[]"] * 300) + b"]}"
    assert len(fhir.load(raw)["b"]) == 300


def test_escaped_text_is_taken() -> None:
    assert fhir.load(b'{"resourceType":"Patient","a":"\\u00e9\\ud83d\\ude00"}')["a"] == "é😀"


@pytest.mark.parametrize("number", [Decimal("NaN"), Decimal("Infinity")])
def test_a_number_that_json_lacks_is_not_written(number: object) -> None:
    with pytest.raises(TypeError, match="JSON"):
        fhir.dump({"resourceType": "Patient", "a": number})


def test_canonical_bytes_tell_precision_and_truth_apart_but_not_order() -> None:
    assert fhir.canonical({"a": 1, "b": [1]}) == fhir.canonical({"b": [1], "a": 1})
    assert fhir.canonical({"a": Decimal("72.5")}) != fhir.canonical({"a": Decimal("72.50")})
    assert fhir.canonical({"a": 1}) != fhir.canonical({"a": True})


TEXTS = st.text(st.characters(codec="utf-8"), max_size=8)
NUMBERS = st.one_of(
    st.integers(-(10**17), 10**17),
    st.integers(10**17, 10**30).map(Decimal),
    st.decimals(allow_nan=False, allow_infinity=False, places=3).filter(lambda one: abs(one) < 10**30),
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), TEXTS, NUMBERS),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=4)),
    max_leaves=12,
)


def told(value: object) -> object:
    """A value with the type of each part, which equality leaves out."""
    if isinstance(value, dict):
        return {name: told(one) for name, one in value.items()}
    if isinstance(value, list):
        return [told(one) for one in value]
    return type(value), str(value)


@given(VALUES)
def test_compact_json_is_read_as_json_for_people_is(value: object) -> None:
    head = b'{"resourceType":"Basic","a":'
    raw = fhir.dump({"resourceType": "Basic", "a": value})
    compact, spaced = fhir.load(raw), fhir.load(b'{ "resourceType": "Basic", "a": ' + raw.removeprefix(head))
    assert told(compact) == told(spaced)
    assert fhir.dump(compact) == raw


@pytest.mark.parametrize(
    "twice", ['"a":1,"a":1', '"b":{"a":1,"a":{}}', '"b":[{"a":[],"a":[]}]', '"a":72.50,"a":72.50', '"resourceType":"X"']
)
def test_a_member_that_stands_twice_is_refused_however_the_json_is_written(twice: str) -> None:
    for raw in ('{"resourceType":"Basic",' + twice + "}", '{ "resourceType": "Basic", ' + twice + "}"):
        with pytest.raises(fhir.JsonError, match="twice"):
            fhir.load(raw.encode())
