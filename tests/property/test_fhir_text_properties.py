"""Properties of JSON and of OperationOutcomes under any input."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import fhir, specs
from gateway.fhir.invariants import KEYS
from gateway.finding import Finding
from tests.bounded import examples

ELEMENTS = fhir.Elements(specs.fhir())
BOUNDED = settings(max_examples=examples(100), deadline=None)

text = st.text(st.characters(codec="utf-8"), max_size=12)
leaves = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**18), 10**18), text, st.decimals(allow_nan=False, allow_infinity=False)
)
values = st.recursive(
    leaves,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(text, inner, max_size=3)),
    max_leaves=12,
)
NAMES = st.sampled_from(
    ("id", "name", "entry", "code", "valueQuantity", "contained", "_birthDate", "extension", "meta", "x")
)
findings = st.builds(
    Finding,
    st.sampled_from(("fatal", "error", "warning", "information")),
    st.sampled_from(("value", "required")),
    st.text(max_size=1500),
    st.none() | st.text(max_size=300),
    st.none() | st.text(max_size=30),
)


@BOUNDED
@given(st.dictionaries(text, values, max_size=4))
def test_what_is_written_is_read_back_with_its_precision(members: dict[str, object]) -> None:
    resource = {**members, "resourceType": "Basic"}
    raw = fhir.dump(resource)
    again = fhir.load(raw)
    assert again == resource
    assert fhir.dump(again) == raw


@BOUNDED
@given(st.one_of(st.binary(max_size=60), st.text(max_size=60).map(lambda t: t.encode("utf-8", "surrogatepass"))))
def test_any_bytes_are_a_resource_or_a_json_error(raw: bytes) -> None:
    try:
        resource = fhir.load(raw)
    except fhir.JsonError as error:
        assert error.words  # noqa: PT017  either end is right
    else:
        assert isinstance(resource["resourceType"], str)


@BOUNDED
@given(st.sampled_from(("Patient", "Observation", "Bundle", "Basic")), st.dictionaries(NAMES, values, max_size=4))
def test_validation_takes_anything(name: str, members: dict[str, object]) -> None:
    for finding in fhir.validate({"resourceType": name, **members}, ELEMENTS):
        assert finding.severity == "error"
        assert finding.rule is not None
        assert finding.rule.startswith("FHIR-") or finding.rule in KEYS


@BOUNDED
@given(st.lists(findings, max_size=40))
def test_an_outcome_fits_and_its_words_are_safe(found: list[Finding]) -> None:
    outcome = fhir.operation_outcome(found, id="x", last_updated="2026-01-01T00:00:00Z")
    raw = fhir.dump(outcome)
    assert len(raw) <= 8192
    assert 1 <= len(outcome["issue"]) <= 20
    assert b"\\" not in raw
    assert not set(raw.decode()) & set("|^~&\r\n")
    errors = sum(f.severity in {"fatal", "error"} for f in found)
    shown = sum(i["severity"] in {"fatal", "error"} for i in outcome["issue"])
    assert shown == errors or "not shown" in outcome["issue"][-1]["diagnostics"]


@BOUNDED
@given(st.integers(320_000_000, 10**9 - 1))  # numbers below that are Scotland's, which begin with a date as well
def test_check_digits_of_nhs_numbers_follow_modulus_eleven(start: int) -> None:
    digits = f"{start:09}"
    check = 11 - sum(int(d) * (10 - i) for i, d in enumerate(digits)) % 11
    right = {10: None, 11: "0"}.get(check, str(check))
    for last in "0123456789":
        number = digits + last
        assert fhir.valid_nhs_number(number) == (last == right and len(set(number)) > 1)


def test_decimals_of_any_exponent_keep_their_digits() -> None:
    for written in ("0.10", "72.50", "-0.0", "1E+5", "1E-30"):
        raw = b'{"resourceType":"Basic","x":' + written.encode() + b"}"
        assert str(fhir.load(raw)["x"]) == written
        assert fhir.load(raw)["x"] == Decimal(written)
