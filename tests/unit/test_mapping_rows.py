"""Rows become resources: values by type, items of lists, constants, identities, references, conditions."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gateway import fhir, loading, specs, tabular
from gateway.fhir import Draft, derived_id
from gateway.finding import Finding
from gateway.mapping import Context, codes, rows
from gateway.source import Source
from gateway.tabular import Reading, begin

TABLES = specs.fhir()
ELEMENTS = fhir.Elements(TABLES)
CODES = codes.load(specs.ROOT / codes.FOLDER)
MARKS = fhir.Marks(TABLES.systems.marks)
CONTEXT = Context("R0D", "here", datetime(2026, 11, 22, 12, tzinfo=UTC), "receipt-1", "digest")

HEAD = """title = "x"
[columns]
ID = {}
NHS = {}
SITE = {}
NAME = {}
OTHER = {}
SEX = { type = "code", codes = "PersonStatedGender" }
SETTING = { type = "code", codes = "PrescribingSetting" }
DAY = { type = "date" }
AT = { type = "instant", format = ["YYYY-MM-DD hh:mm", "YYYYMMDDhhmmssZZ"] }
SEEN = { type = "boolean", true = "Y", false = "N" }
COUNT = { type = "integer" }
AMOUNT = { type = "decimal" }
"""


def row_map(resources: str) -> rows.RowMap:
    loaded = tabular.load_sources([Source("x.toml", HEAD + resources)], rows.known(CODES))
    assert not loaded.diagnostics, loaded.diagnostics
    found = rows.load(loaded.layouts, ELEMENTS, CODES, MARKS)
    assert not found.diagnostics, found.diagnostics
    return found.maps["x"]


def converted(made: rows.RowMap, *cells: str) -> list[rows.Converted]:
    """Each of the lines below a header line converted."""
    sent = "\n".join(cells).encode()
    begun = begin(sent, [made.layout])
    assert not isinstance(begun, Finding), begun
    told = rows.told(CONTEXT, made.marks)
    found = list(Reading(begun, made.known).rows([sent]))
    assert not any(row.findings for row in found), found
    return [made.convert(row, told) for row in found]


def only(made: rows.RowMap, *cells: str) -> list[Draft]:
    (one,) = converted(made, *cells)
    assert not one.findings
    return list(one.drafts)


def content(draft: Draft) -> dict[str, Any]:
    return {name: value for name, value in draft.resource.items() if name not in {"resourceType", "id", "meta"}}


PATIENT = """[resources.patient]
type = "Patient"
identity = ["NHS as nhs-number", "ID of SITE", "ID"]
[resources.patient.elements]
"""


@pytest.mark.parametrize(
    ("element", "header", "cells", "expected"),
    [
        ('birthDate = "{DAY}"', "DAY", "1980-02-14", {"birthDate": "1980-02-14"}),
        ('birthDate = "{AT}"', "AT", "2026-06-01 00:30", {"birthDate": "2026-06-01"}),
        ('deceasedDateTime = "{AT}"', "AT", "2026-06-01 00:30", {"deceasedDateTime": "2026-06-01T00:30:00+01:00"}),
        ('deceasedDateTime = "{AT}"', "AT", "20261122103000-0500",
         {"deceasedDateTime": "2026-11-22T10:30:00-05:00"}),
        ('deceasedDateTime = "{AT}"', "AT", "20261122103000Z", {"deceasedDateTime": "2026-11-22T10:30:00+00:00"}),
        ('deceasedDateTime = "{DAY}"', "DAY", "2026-06-01", {"deceasedDateTime": "2026-06-01"}),
        ('active = "{SEEN}"', "SEEN", "Y", {"active": True}),
        ('active = "{SEEN}"', "SEEN", "N", {"active": False}),
        ("active = true", "NAME", "x", {"active": True}),
        ('multipleBirthInteger = "{COUNT}"', "COUNT", "3", {"multipleBirthInteger": 3}),
        ('gender = "{SEX}"', "SEX", "2", {"gender": "female"}),
        ('name.text = "{SEX}"', "SEX", "2", {"name": [{"text": "Female"}]}),
        ('name.text = "{SITE}-{SEX}"', "SITE,SEX", "R0D,2", {"name": [{"text": "R0D-2"}]}),
        ('maritalStatus = "{SETTING}"', "SETTING", "4",
         {"maritalStatus": {"coding": [{"code": "4", "display": "GP practice"}]}}),
        ('"communication[1].language" = "{SETTING}"', "SETTING", "4",
         {"communication": [{"language": {"coding": [{"code": "4", "display": "GP practice"}]}}]}),
        ('"name[1].given" = ["{NAME}", "{OTHER}"]', "NAME,OTHER", "Ada,Mary", {"name": [{"given": ["Ada", "Mary"]}]}),
        ('"name[1].given" = ["{NAME}", "{OTHER}"]', "NAME,OTHER", ",Mary", {"name": [{"given": ["Mary"]}]}),
        ('name.text = ["{NAME}", "{OTHER}"]', "NAME,OTHER", "Ada,Mary", {"name": [{"text": "Ada"}]}),
        ('name.text = ["{NAME}", "{OTHER}"]', "NAME,OTHER", ",Mary", {"name": [{"text": "Mary"}]}),
        ('name.text = "{NAME} {OTHER}"', "NAME,OTHER", "Ada,", {"name": [{"text": "Ada"}]}),
        ('name.text = "{NAME} {OTHER}"', "NAME,OTHER", ",", {}),
        ('name.text = "{context.organisation} {context.receipt}"', "NAME", "x", {"name": [{"text": "R0D receipt-1"}]}),
        ('gender = [{ value = "male", when = \'row.NAME is "M"\' }, "unknown"]', "NAME", "M", {"gender": "male"}),
        ('gender = [{ value = "male", when = \'row.NAME is "M"\' }, "unknown"]', "NAME", "F", {"gender": "unknown"}),
        ('\'extension["http://x.example/a"].valueString\' = "{NAME}"', "NAME", "v",
         {"extension": [{"url": "http://x.example/a", "valueString": "v"}]}),
        ('\'extension["http://x.example/a"].valueString\' = "{NAME}"', "NAME", "", {}),
        ('extension.url = "http://x.example/a"\nextension.valueDecimal = "{AMOUNT}"', "AMOUNT", "72.50",
         {"extension": [{"url": "http://x.example/a", "valueDecimal": 72.50}]}),
    ],
)  # fmt: skip
def test_a_value_is_what_its_element_is(element: str, header: str, cells: str, expected: dict[str, Any]) -> None:
    (draft,) = only(row_map(PATIENT + element), f"ID,{header}", f"1,{cells}")
    assert content(draft) == expected
    assert fhir.validate(draft.resource, ELEMENTS) == ()


def test_what_is_always_the_same_makes_no_item_by_itself() -> None:
    made = row_map(PATIENT + """'identifier[1].system' = "https://x.example/1"
"identifier[1].value" = "{NHS}"
"identifier[2].system" = "https://x.example/2"
"identifier[2].value" = "{ID}"
""")  # fmt: skip
    (draft,) = only(made, "ID,NHS", "7,")
    assert content(draft) == {"identifier": [{"system": "https://x.example/2", "value": "7"}]}
    (draft,) = only(made, "ID,NHS", "7,9990000018")
    assert [one["value"] for one in draft.resource["identifier"]] == ["9990000018", "7"]


@pytest.mark.parametrize(
    ("cells", "id_"),
    [
        ("7,9990000018,S1", "9990000018"),
        ("7,999 000 0018,S1", "9990000018"),
        ("7,9990000019,S1", derived_id("Patient", "S1", "7")),
        ("7,,S1", derived_id("Patient", "S1", "7")),
        ("7,,", derived_id("Patient", "R0D", "7")),
    ],
)
def test_the_first_identity_with_a_value_makes_the_id(cells: str, id_: str) -> None:
    (draft,) = only(row_map(PATIENT), "ID,NHS,SITE", cells)
    assert draft.resource["id"] == id_


def test_resources_of_a_row_refer_to_each_other_and_are_marked_with_their_sender() -> None:
    made = row_map(
        PATIENT
        + """[resources.site]
type = "Organization"
identity = "SITE as ods-code"
only-new = true
[resources.visit]
type = "Encounter"
identity = "NAME of patient"
[resources.visit.elements]
status = "finished"
class.code = "EMER"
subject = "patient"
serviceProvider = "site"
"""
    )
    patient, site, visit = only(made, "ID,SITE,NAME", "7,rdz01,V1")
    assert content(visit) == {
        "status": "finished", "class": {"code": "EMER"}, "serviceProvider": {"reference": "Organization/RDZ01"},
        "subject": {"reference": f"Patient/{patient.resource['id']}"},
    }  # fmt: skip
    assert visit.resource["id"] == derived_id("Encounter", f"Patient/{patient.resource['id']}", "V1")
    assert site.only_new
    assert visit.resource["meta"]["source"] == "urn:uuid:receipt-1"
    assert {tag["code"] for tag in visit.resource["meta"]["tag"]} == {"R0D", "here"}
    without = only(made, "ID,SITE,NAME", "7,,V1")
    assert "serviceProvider" not in without[-1].resource


def test_a_condition_leaves_a_resource_out() -> None:
    made = row_map(PATIENT.replace('type = "Patient"', 'type = "Patient"\nwhen = "row.COUNT > 2"'))
    assert len(only(made, "ID,COUNT", "7,3")) == 1
    (one,) = converted(made, "ID,COUNT", "7,2")
    assert [(f.rule, f.expression) for f in one.findings] == [("CSV-M01", "line 2")]


def test_a_row_without_a_required_resource_is_refused() -> None:
    made = row_map(PATIENT.replace('type = "Patient"', 'type = "Patient"\nrequired = true'))
    (one,) = converted(made, "ID,NAME", ",x")
    assert [(f.rule, f.code, f.diagnostics) for f in one.findings] == [
        ("CSV-M02", "required", "the row makes no Patient: nothing identifies it; give NHS or ID")
    ]
    assert one.drafts == ()


def test_two_resources_of_one_name_are_one() -> None:
    made = row_map("""[resources.a]
type = "Organization"
identity = "SITE as ods-code"
[resources.b]
type = "Organization"
identity = "ID as ods-code"
""")
    assert len(only(made, "ID,SITE", "R0D,r0d")) == 1


@pytest.mark.parametrize(
    ("sample", "domain", "types"),
    [
        ("emergency-care/accepted-ed-attendances.csv", "emergency-care",
         {"Organization", "Location", "Patient", "Encounter"}),
        ("reference-data/accepted-ods-organisations.csv", "reference-data", {"Organization"}),
    ],
)  # fmt: skip
def test_what_the_shipped_layouts_make_is_valid(
    decisions: loading.Decisions, repository: Path, sample: str, domain: str, types: set[str]
) -> None:
    sent = (repository / "rules" / "samples" / sample).read_bytes()
    (name,) = (n for a in decisions.rules.domains[domain].accepts if a.data_type == "Csv" for n in a.types)
    made = decisions.row_maps[name]
    begun = begin(sent, [made.layout])
    assert not isinstance(begun, Finding)
    told = rows.told(CONTEXT, made.marks)
    found = [made.convert(row, told) for row in Reading(begun, made.known).rows([sent])]
    drafts = [draft for one in found for draft in one.drafts]
    assert len(found) == 3
    assert not any(one.findings for one in found)
    assert {draft.resource["resourceType"] for draft in drafts} == types
    assert [finding for draft in drafts for finding in fhir.validate(draft.resource, ELEMENTS)] == []
