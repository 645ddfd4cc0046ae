"""Strict JSON with decimals as written."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import fhir
from gateway.fhir.jsonfault import fault_of


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
        (b"", "line 1 column 1", "not JSON: there is nothing"),
        (b'{"resourceType":"Patient"} x', "line 1 column 28, Patient", "behind its end"),
        (b'{\n"resourceType": }', "line 2 column 17, resourceType", "a value is missing"),
        (b'{"resourceType":"Patient",\n"a":"\xc3\xa9\xff"}', "line 2 column 7", "not UTF-8"),
        (b'{"resourceType":"Patient","a":1,"a":2}', "line 1 column 33, Patient.a", "twice"),
        (b'{"resourceType":"Patient","b":{"a":1,"\\u0061":1}}', "line 1 column 38, Patient.b.a", "twice"),
        (b'{"resourceType":"Patient","a":NaN}', "line 1 column 31, Patient.a", "`NaN` is no JSON number"),
        (b'{"resourceType":"Patient","a":[1,-Infinity]}', "line 1 column 34, Patient.a[1]", "is no JSON number"),
        (b'{"resourceType":"Patient","a":01}', "line 1 column 31, Patient.a", "`01` is no JSON number"),
        (b'{"resourceType":"Patient","a":+1}', "line 1 column 31, Patient.a", "`+1` is no JSON number"),
        (b'{"resourceType":"Patient","a":1.}', "line 1 column 31, Patient.a", "`1.` is no JSON number"),
        (b'{"resourceType":"Patient","a":' + b"1" * 61 + b"}", "line 1 column 31, Patient.a", "longer than 60"),
        (b'{"resourceType":"Patient","a":1.' + b"1" * 60 + b"}", "line 1 column 31, Patient.a", "longer than 60"),
        (b'{"resourceType":"Patient","a":1e999999999}', "line 1 column 31, Patient.a", "too large or too small"),
        (
            b'{"resourceType":"Patient","a":1e' + b"9" * 30 + b"}",
            "line 1 column 31, Patient.a",
            "too large or too small",
        ),
        (b'{"resourceType":"Patient","a":1.5e-6145}', "line 1 column 31, Patient.a", "too large or too small"),
        (b'{"resourceType":"Patient","a":"x\\ud800"}', "line 1 column 33, Patient.a", "surrogate"),
        (b'{"resourceType":"Patient","a":"\\udc00\\ud800"}', "line 1 column 32, Patient.a", "surrogate"),
        (b'{"resourceType":"Patient", // x\n"a":1}', "line 1 column 28, Patient", "no comments"),
        (b'{"resourceType":"Patient","a":[1 /* x */,2]}', "line 1 column 34, Patient.a[0]", "no comments"),
        (b'{"resourceType":"Patient","a":[1,2,]}', "line 1 column 35, Patient.a[1]", "comma stands before the end"),
        (b'{"resourceType":"Patient","a":{"b":1,}}', "line 1 column 37, Patient.a.b", "comma stands before the end"),
        (b'{"resourceType":"Patient","a":[,1]}', "line 1 column 32, Patient.a[0]", "missing before this comma"),
        (b'{"resourceType":"Patient" "a":1}', "line 1 column 27, Patient.resourceType", "a comma or } is missing"),
        (b'{"resourceType":"Patient","a" 1}', "line 1 column 31, Patient.a", "a colon is missing"),
        (b'{"resourceType":"Patient",a:1}', "line 1 column 27, Patient", "write it in double quotes"),
        (b"{\"resourceType\":'Patient'}", "line 1 column 17, resourceType", "double quotes"),
        (b'{"resourceType":"Patient","a":True}', "line 1 column 31, Patient.a", "`True` is no JSON value"),
        (b'{"resourceType":"Patient","a":"x\ny"}', "line 1 column 33, Patient.a", "line break"),
        (b'{"resourceType":"Patient","a":"\\x"}', "line 1 column 32, Patient.a", "`/x` is no escape"),
        (b'{"resourceType":"Patient","a":"x', "line 1 column 31, Patient.a", "does not end"),
        (b'{"resourceType":"Patient",\n"a":{"b":1', "line 2 column 11, Patient.a.b", "begins in line 2"),
        (b'{"resourceType":"Patient","a":', "line 1 column 31, Patient.a", "the text ends"),
        (b"[]", "the whole", "no FHIR resource"),
        (b'"Patient"', "the whole", "no FHIR resource"),
        (b"{}", "the whole", "no FHIR resource"),
        (b'{"resourceType":1}', "the whole", "no FHIR resource"),
        (b"[" * 100_000, "line 1 column 101, " + "[0]" * 50, "deeper than 100"),
        (b'{"a":"' + b"[" * 200 + b'","b":' + b"[" * 101, "line 1 column 312, b[0]", "deeper than 100"),
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


PIECES = st.sampled_from([
    "{", "}", "[", "]", ",", ":", " ", "\n", '"', '"a"', '"resourceType"', '"\\ud83d\\ude00"', '"\\ud83d"', "1", "-0",
    "01", "1.5", "1e5", "1e99999", "1.", "-", "true", "nul", "NaN", "-Infinity", "//", "/*", "'", "\\", "\\u00", "\t",
    "é", "1" * 61, "\x0b",
])  # fmt: skip


WRITTEN = VALUES.map(lambda one: [*fhir.dump({"a": one}).decode()])


PUT = st.lists(PIECES, max_size=1)


@given(st.one_of(st.lists(PIECES, max_size=14), WRITTEN), PUT, st.integers(0), st.integers(0, 2))
def test_what_is_refused_has_a_place_and_what_has_none_is_taken(
    pieces: list[str], put: list[str], where: int, less: int
) -> None:
    """The reader, which is fast, and the look for places refuse the same."""
    if put:
        at = where % (len(pieces) + 1)
        pieces[at : at + less] = put
    text = "".join(pieces)
    found = fault_of(text)
    if found is None:
        fhir.load_value(text.encode())
        return
    with pytest.raises(fhir.JsonError) as raised:
        fhir.load_value(text.encode())
    assert (raised.value.place, raised.value.words) == (found.place, found.words)
