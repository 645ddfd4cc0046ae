"""What is kept of senders' texts while ids are made is little."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gateway import fhir
from gateway.fhir import identity
from gateway.mapping import identities


@pytest.fixture(autouse=True)
def nothing_kept() -> Iterator[None]:
    identities._kept.cache_clear()
    identity._passes_check.cache_clear()
    yield
    identities._kept.cache_clear()


@pytest.mark.parametrize(
    ("authority", "value", "kept"),
    [("R0D", "v" * 64, 1), ("R0D", "v" * 65, 0), ("a" * 64, "v", 1), ("a" * 65, "v", 0), ("R0D", "v" * 100_000, 0)],
)
def test_long_texts_are_not_kept_and_make_the_same_id(authority: str, value: str, kept: int) -> None:
    for _ in range(2):
        assert identities._derived("Location", authority, value) == fhir.derived_id("Location", authority, value)
    assert identities._kept.cache_info().currsize == kept


def test_few_ids_are_kept() -> None:
    for number in range(8_300):
        identities._derived("Location", "R0D", str(number))
    assert identities._kept.cache_info().currsize == 8_192


def test_a_check_digit_is_reckoned_once() -> None:
    for text in ("9990000018", "999 000 0018", "999-000-0018"):
        assert fhir.nhs_number_digits(text) == "9990000018"
    assert not fhir.valid_nhs_number("9990000000")
    assert not fhir.valid_nhs_number("9" * 10)
    found = identity._passes_check.cache_info()
    assert (found.misses, found.hits) == (2, 2)
    assert found.maxsize == 1024
