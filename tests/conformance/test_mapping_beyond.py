"""What the maps do beyond the guide's messages: which types there are, and what stands where a message lacks something.

Source: issue 8, line 3; `conversion.md` of the design, bars.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from gateway import hl7v2, loading, mapping

CONTEXT = mapping.Context("R0D", "laboratory", datetime(2026, 5, 4, 12, tzinfo=UTC), "receipt", "ab" * 32)
OTHERS = (
    "ADT A01 A02 A03 A04 A05 A06 A07 A08 A09 A10 A11 A13 A14 A15 A16 A25 A26 A27 A28 A29 A31 A40 A41 A45 A47 A60",
    "BAR P01 P02 P12", "DFT P03 P11", "MDM T01 T02 T05 T06 T09 T10", "OMG O19", "OML O21", "ORM O01", "ORU R01",
    "OUL R22 R23 R24", "PPR PC1 PC2 PC3", "RDE O11 O25", "RDS O13", "REF I12 I14", "SIU S12 S13 S14 S15 S16 S17 S26",
    "VXU V04",
)  # fmt: skip
"""The message types that Microsoft's converter takes (its release of 2022), and those of its samples."""


def converted(decisions: loading.Decisions, kind: str, *segments: str) -> mapping.Conversion:
    head = f"MSH|^~\\&|LIMS|R0D|||20260504103000||{kind}|B-1|P|2.5.1"
    return decisions.maps.convert(hl7v2.read("\r".join((head, *segments)).encode()), CONTEXT)


def made(conversion: mapping.Conversion, kind: str) -> list[dict[str, Any]]:
    return [dict(d.resource) for d in conversion.drafts if d.resource["resourceType"] == kind]


def test_there_is_a_map_for_every_type_that_others_take(decisions: loading.Decisions) -> None:
    wanted = {f"{code}^{event}" for line in OTHERS for code, *events in [line.split()] for event in events}
    assert len(wanted) >= 57
    assert wanted <= set(decisions.maps.messages)


def test_a_message_about_nobody_is_told_of_and_results_of_nobody_are_refused(decisions: loading.Decisions) -> None:
    empty = converted(decisions, "ORU^R01")
    assert [(f.severity, f.rule) for f in empty.findings] == [("warning", "MAP-WITHOUT")]
    assert made(empty, "Provenance")
    refused = converted(decisions, "ORU^R01", "OBR|1||F-1|X^Test^L")
    assert (refused.drafts, [f.rule for f in refused.findings]) == ((), ["MAP-REQUIRED"])


@pytest.mark.parametrize("kind", ["AN", "VN"])
def test_nobody_is_known_by_the_number_of_an_account_or_a_visit(decisions: loading.Decisions, kind: str) -> None:
    named = converted(decisions, "ADT^A04", "PID|1||555^^^RX1^MR", "PV1|1|O")
    numbered = converted(decisions, "ADT^A04", f"PID|1||555^^^RX1^{kind}", "PV1|1|O")
    both = converted(decisions, "ADT^A04", f"PID|1||555^^^RX1^{kind}~777^^^RX1^PI", "PV1|1|O")
    ids = [{person["id"] for person in made(each, "Patient")} for each in (named, numbered, both)]
    assert len(ids[0]) == len(ids[2]) == 1
    assert ids[0].isdisjoint(ids[1] | ids[2])


def test_two_relatives_of_one_number_are_two(decisions: loading.Decisions) -> None:
    relatives = ("NK1|1|Tregear^Morwenna|MTH|", "NK1|2|Tregear^Jory|FTH|")
    segments = [f"{line}{'|' * 29}K-1^^^R0D^PI" for line in relatives]
    found = made(converted(decisions, "ADT^A04", "PID|1||H1^^^R0D^MR", *segments, "PV1|1|O"), "RelatedPerson")
    assert [person["name"][0]["given"] for person in found] == [["Morwenna"], ["Jory"]]
    assert len({person["id"] for person in found}) == 2
    assert [person["identifier"][0]["value"] for person in found] == ["K-1", "K-1"]


@pytest.mark.parametrize(
    ("sent", "codes"),
    [
        ("eng^English^HL70296", ["en"]),
        ("ara^^HL70296^eng^English^HL70296", ["ar", "en"]),
        ("ara^^HL70296^eng^English^L", ["ar", "eng"]),
        ("XX-1^Mine^L", ["XX-1"]),
    ],
)
def test_alternates_of_a_code_are_led_on_too(sent: str, codes: list[str], decisions: loading.Decisions) -> None:
    """Where the sender says that they are of the same table; any other stays as it was sent."""
    (patient,) = made(converted(decisions, "ADT^A04", f"PID|1||H1^^^R0D^MR|{'|' * 11}{sent}", "PV1|1|O"), "Patient")
    (spoken,) = patient["communication"]
    assert [coding["code"] for coding in spoken["language"]["coding"]] == codes
    assert spoken["preferred"] is True
