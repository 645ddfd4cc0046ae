"""What is kept of senders' texts while ids are made is little."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway import fhir, hl7v2, loading, mapping
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


# --- whose number it is ----------------------------------------------------------------------------------------------

CONTEXT = mapping.Context("R0D", "here", datetime(2026, 5, 16, tzinfo=UTC), "receipt", "rules")
OID = "&2.16.840.1.113883.2.1.4.1&ISO"


def made(decisions: loading.Decisions, type_: str, *segments: str) -> list[dict[str, Any]]:
    header = r"MSH|^~\&|A|R0D|DEX|QVV|20260515120000||ADT^A01|1|P|2.5.1"
    message = hl7v2.read("\r".join((header, "EVN|A01|20260515120000", *segments)).encode())
    drafts = decisions.maps.convert(message, CONTEXT).drafts
    return [draft.resource for draft in drafts if draft.resource["resourceType"] == type_]


def patient(decisions: loading.Decisions, number: str) -> dict[str, Any]:
    (one,) = made(decisions, "Patient", f"PID|1||{number}||Smith^Ann")
    return one


@pytest.mark.parametrize("authority", ["^^^NHS^NH", "^^^NHS", f"^^^{OID}^NH", f"^^^{OID}", "^^^^NH"])
def test_a_number_of_the_nhs_is_the_patients_id(authority: str, decisions: loading.Decisions) -> None:
    found = patient(decisions, f"9990000018{authority}")
    assert found["id"] == "9990000018"
    assert found["identifier"][0]["system"] == "https://fhir.nhs.uk/Id/nhs-number"
    assert "assigner" not in found["identifier"][0]


def test_a_number_of_type_nh_that_another_authority_gave_is_that_authoritys(decisions: loading.Decisions) -> None:
    found = patient(decisions, "9990000018^^^OTHER^NH")
    assert found["id"] not in {"9990000018", patient(decisions, "9990000018^^^OTHER^MR")["id"]}
    assert found["identifier"][0]["system"] != "https://fhir.nhs.uk/Id/nhs-number"


def test_numbers_of_other_types_are_no_hospital_numbers(decisions: loading.Decisions) -> None:
    for authority in ("", "RDZ", "&1.2.3&ISO"):
        ids = {kind: patient(decisions, f"123^^^{authority}^{kind}")["id"] for kind in ("MR", "PI", "", "SS", "DL")}
        assert ids["MR"] == ids["PI"] == ids[""]
        assert len(set(ids.values())) == 3, authority


@pytest.mark.parametrize(
    "told",
    [
        "PID|1||{}^^^R0D^MR||Smith^Ann" + "|" * 16 + "M1^^^R0D^MR",
        "PID|1||{}^^^R0D^MR\rNK1|1|Smith^May|MTH" + "|" * 30 + "K1",
    ],
)
def test_a_relative_of_two_patients_is_one_of_each(told: str, decisions: loading.Decisions) -> None:
    found = [made(decisions, "RelatedPerson", *told.format(number).split("\r")) for number in (1, 2)]
    assert [len(each) for each in found] == [1, 1]
    assert found[0][0]["id"] != found[1][0]["id"]
    assert found[0][0]["patient"] != found[1][0]["patient"]
    assert found[0][0]["identifier"] == found[1][0]["identifier"]
