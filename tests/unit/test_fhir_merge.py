"""What a message tells, laid over what stands."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from gateway import fhir, specs

ELEMENTS = fhir.Elements(specs.fhir())
MERGING = fhir.Merging(ELEMENTS)
MARKS = MERGING.marks
NHS = "https://fhir.nhs.uk/Id/nhs-number"
EARLY, LATE = "2026-01-01T10:00:00+00:00", "2026-01-01T11:00:00+00:00"


def patient(**elements: Any) -> fhir.Resource:
    return {"resourceType": "Patient", "id": "9990000018", **elements}


def draft(*clears: str, organisation: str = "r0d", domain: str = "emergency-care", **elements: Any) -> fhir.Draft:
    resource = fhir.contributed(
        patient(**elements), organisation=organisation, domain=domain, marks=MARKS, source="urn:uuid:1"
    )
    return fhir.Draft(resource, clears)


def merged(standing: fhir.Resource | None, new: fhir.Draft, told: str = LATE) -> fhir.Resource:
    found = MERGING.merge(standing, new, told=told)
    assert found.resource is not None
    return found.resource


def after(first: fhir.Draft, second: fhir.Draft) -> fhir.Resource:
    return merged(merged(None, first, EARLY), second)


# elements


def test_the_first_message_is_what_stands_with_its_marks() -> None:
    found = merged(None, draft(gender="female"), EARLY)
    assert {n: v for n, v in found.items() if n != "meta"} == patient(gender="female")
    assert fhir.contributors(found, MARKS) == (frozenset({"R0D"}), frozenset({"emergency-care"}))
    assert fhir.told_at(found, MARKS) == EARLY
    assert found["meta"]["source"] == "urn:uuid:1"
    assert fhir.validate(found, ELEMENTS) == ()


def test_an_absent_element_leaves_what_stands_and_a_present_one_replaces_it() -> None:
    found = after(draft(gender="female", birthDate="1990-01-01"), draft(gender="male"))
    assert (found["gender"], found["birthDate"]) == ("male", "1990-01-01")


def test_an_empty_element_of_a_draft_is_absent() -> None:
    found = after(draft(gender="female", name=[{"family": "A"}]), draft(gender="", name=[], active=True))
    assert (found["gender"], found["name"]) == ("female", [{"family": "A"}])


def test_a_datatype_is_replaced_whole() -> None:
    found = after(
        draft(maritalStatus={"text": "Single", "coding": [{"code": "S"}]}), draft(maritalStatus={"text": "Married"})
    )
    assert found["maritalStatus"] == {"text": "Married"}


def test_one_choice_replaces_the_other() -> None:
    found = after(draft(deceasedBoolean=False), draft(deceasedDateTime="2026-01-01"))
    assert "deceasedBoolean" not in found
    assert found["deceasedDateTime"] == "2026-01-01"


def test_a_value_replaces_the_extensions_of_the_standing_one() -> None:
    extended = {"extension": [{"url": "http://x.example/a", "valueString": "a"}]}
    found = after(draft(birthDate="1990-01-01", _birthDate=extended), draft(birthDate="1991-01-01"))
    assert "_birthDate" not in found
    found = after(draft(birthDate="1990-01-01"), draft(_birthDate=extended))
    assert "birthDate" not in found
    assert found["_birthDate"] == extended
    found = after(draft(), draft(birthDate="1990-01-01", _birthDate=extended))
    assert (found["birthDate"], found["_birthDate"]) == ("1990-01-01", extended)


def test_other_lists_are_one_element() -> None:
    found = after(draft(contact=[{"gender": "male"}]), draft(contact=[{"gender": "female"}]))
    assert found["contact"] == [{"gender": "female"}]


def test_an_unknown_element_is_carried() -> None:
    assert after(draft(shoeSize=4), draft(gender="male"))["shoeSize"] == 4
    assert after(draft(shoeSize=4), draft(shoeSize=5))["shoeSize"] == 5


# lists


def test_identifiers_merge_by_system() -> None:
    first = draft(
        identifier=[{"system": NHS, "value": "9990000018", "use": "official"}, {"system": "urn:r0d", "value": "A1"}]
    )
    second = draft(identifier=[{"system": "urn:r0d", "value": "A2"}, {"system": "urn:rdz", "value": "B1"}])
    assert after(first, second)["identifier"] == [
        {"system": NHS, "value": "9990000018", "use": "official"},
        {"system": "urn:r0d", "value": "A2"},
        {"system": "urn:rdz", "value": "B1"},
    ]


def test_the_same_identifier_keeps_what_the_new_one_does_not_say() -> None:
    first = draft(identifier=[{"system": NHS, "value": "9990000018", "type": {"coding": [{"code": "NH"}]}}])
    second = draft(identifier=[{"system": NHS, "value": "9990000018", "use": "official"}])
    assert after(first, second)["identifier"] == [
        {"system": NHS, "value": "9990000018", "type": {"coding": [{"code": "NH"}]}, "use": "official"}
    ]


def test_identifiers_of_one_system_and_different_types_stand_beside_each_other() -> None:
    record = {"system": "urn:r0d", "value": "1", "type": {"coding": [{"code": "MR"}]}}
    visit = {"system": "urn:r0d", "value": "2", "type": {"coding": [{"code": "VN"}]}}
    assert after(draft(identifier=[record]), draft(identifier=[visit]))["identifier"] == [record, visit]
    newer = {**record, "value": "3"}
    assert after(draft(identifier=[record, visit]), draft(identifier=[newer]))["identifier"] == [newer, visit]


def test_old_identifiers_and_those_without_a_system_are_never_pushed_out() -> None:
    old = {"system": "urn:r0d", "value": "1", "use": "old"}
    new = {"system": "urn:r0d", "value": "2"}
    assert after(draft(identifier=[old]), draft(identifier=[new]))["identifier"] == [old, new]
    assert after(draft(identifier=[new]), draft(identifier=[old]))["identifier"] == [new, old]
    bare = [{"value": "1"}, {"value": "2"}]
    assert after(draft(identifier=bare[:1]), draft(identifier=bare[1:]))["identifier"] == bare


def test_names_merge_by_use() -> None:
    first = draft(name=[{"use": "official", "family": "A", "prefix": ["Mr"]}, {"use": "nickname", "given": ["Al"]}])
    second = draft(name=[{"use": "official", "family": "B"}])
    assert after(first, second)["name"] == [{"use": "official", "family": "B"}, {"use": "nickname", "given": ["Al"]}]


def test_a_name_without_a_use_takes_the_place_of_those_without_one() -> None:
    first = draft(name=[{"use": "official", "family": "A"}, {"family": "N"}])
    assert after(first, draft(name=[{"family": "B"}]))["name"] == [{"use": "official", "family": "A"}, {"family": "B"}]


def test_several_names_of_one_use_take_the_place_together() -> None:
    first = draft(name=[{"use": "official", "family": "A"}, {"use": "nickname", "family": "N"}])
    second = draft(name=[{"use": "official", "family": "B"}, {"use": "official", "family": "C"}])
    assert [n["family"] for n in after(first, second)["name"]] == ["B", "C", "N"]


def test_old_names_gather() -> None:
    first = draft(name=[{"use": "old", "family": "A"}])
    second = draft(name=[{"use": "old", "family": "B"}, {"use": "old", "family": "A"}])
    assert [n["family"] for n in after(first, second)["name"]] == ["A", "B"]


def test_telecom_merges_by_system_and_value() -> None:
    first = draft(telecom=[{"system": "phone", "value": "1", "use": "home"}, {"system": "email", "value": "1"}])
    second = draft(telecom=[{"system": "phone", "value": "1", "rank": 1}, {"system": "phone", "value": "2"}])
    assert after(first, second)["telecom"] == [
        {"system": "phone", "value": "1", "use": "home", "rank": 1},
        {"system": "email", "value": "1"},
        {"system": "phone", "value": "2"},
    ]


def test_the_same_number_twice_pairs_with_the_entry_most_like_it() -> None:
    home, work = ({"system": "phone", "value": "1", "use": use} for use in ("home", "work"))
    assert after(draft(telecom=[home, work]), draft(active=True, telecom=[work]))["telecom"] == [home, work]


def test_addresses_merge_by_use_and_extensions_by_url() -> None:
    first = draft(
        address=[{"use": "home", "line": ["1"], "postalCode": "A"}, {"use": "work", "line": ["2"]}],
        extension=[{"url": "u:a", "valueCode": "a"}, {"url": "u:b", "valueCode": "b"}],
    )
    second = draft(address=[{"use": "home", "line": ["3"]}], extension=[{"url": "u:b", "valueCode": "c"}])
    found = after(first, second)
    assert found["address"] == [{"use": "home", "line": ["3"]}, {"use": "work", "line": ["2"]}]
    assert found["extension"] == [{"url": "u:a", "valueCode": "a"}, {"url": "u:b", "valueCode": "c"}]


def test_an_entry_told_twice_is_kept_once() -> None:
    name = {"use": "official", "family": "A"}
    assert after(draft(active=True), draft(name=[name, name]))["name"] == [name]


def test_a_standing_value_of_another_shape_is_replaced() -> None:
    standing = {**merged(None, draft(), EARLY), "name": {"family": "A"}}
    assert merged(standing, draft(name=[{"family": "B"}]))["name"] == [{"family": "B"}]


# clears


@pytest.mark.parametrize(
    ("clear", "gone", "stays"),
    [
        ("Patient.birthDate", {"birthDate", "_birthDate"}, {"deceasedBoolean", "telecom", "maritalStatus"}),
        ("Patient.deceased[x]", {"deceasedBoolean"}, {"birthDate"}),
        ("Patient.deceasedBoolean", {"deceasedBoolean"}, {"birthDate"}),
        ("Patient.deceasedDateTime", set(), {"deceasedBoolean"}),
        ("Patient.telecom", {"telecom"}, {"birthDate"}),
        ("Patient.telecom.value", set(), {"telecom"}),
        ("Patient.maritalStatus.text", {"maritalStatus"}, {"telecom"}),
        ("Patient.photo", set(), {"telecom"}),
    ],
)
def test_what_was_sent_as_two_quotes_is_removed(clear: str, gone: set[str], stays: set[str]) -> None:
    first = draft(
        birthDate="1990-01-01",
        _birthDate={"id": "a"},
        deceasedBoolean=False,
        telecom=[{"system": "phone", "value": "1"}],
        maritalStatus={"text": "Single"},
    )
    found = after(first, draft(clear, gender="male"))
    assert not gone & set(found)
    assert stays <= set(found)
    if clear == "Patient.telecom.value":
        assert found["telecom"] == [{"system": "phone"}]


def test_entries_of_a_list_are_removed_by_a_value() -> None:
    phones = [{"system": "phone", "value": str(i), "use": use} for i, use in enumerate(("home", "work"))]
    found = after(draft(telecom=phones), draft("Patient.telecom[use=home]"))
    assert found["telecom"] == phones[1:]
    names = [{"use": use, "family": "A", "given": ["B"]} for use in ("official", "nickname")]
    found = after(draft(name=names), draft("Patient.name[use=nickname].given"))
    assert found["name"] == [names[0], {"use": "nickname", "family": "A"}]
    systems = [{"system": system, "value": "1"} for system in ("urn:a.b", "urn:c.d")]
    found = after(draft(identifier=systems), draft("Patient.identifier[system=urn:a.b]"))
    assert found["identifier"] == systems[1:]


def test_a_part_of_a_plain_value_is_no_part() -> None:
    standing = {**merged(None, draft(), EARLY), "name": ["A"]}
    assert merged(standing, draft("Patient.name[use=home]", active=True))["name"] == ["A"]
    assert "name" not in merged(standing, draft("Patient.name.family", active=True))


def test_clearing_comes_before_telling() -> None:
    first = draft(telecom=[{"system": "phone", "value": "1"}])
    found = after(first, draft("Patient.telecom", telecom=[{"system": "phone", "value": "2"}]))
    assert found["telecom"] == [{"system": "phone", "value": "2"}]


@pytest.mark.parametrize(
    "clear",
    ["Patient", "Encounter.status", "Patient.birthdate", "Patient.name.famly", "birthDate", "", "Patient.na me"],
)
def test_a_path_that_no_element_has_is_an_error(clear: str) -> None:
    for standing in (None, merged(None, draft(), EARLY)):
        with pytest.raises(ValueError, match="can't be cleared"):
            MERGING.merge(standing, draft(clear), told=LATE)


def test_what_is_cleared_and_told_in_one_message_stays_where_it_is() -> None:
    phones = [{"system": "phone", "value": str(i), "use": use} for i, use in enumerate(("home", "work"))]
    new = draft("Patient.telecom[use=home]", "Patient.identifier.type", telecom=phones, identifier=[{"value": "1"}])
    standing = merged(None, new, EARLY)
    assert standing["telecom"] == phones
    assert MERGING.merge(standing, new, told=LATE) == fhir.Merged(None)
    typed = merged(None, draft(identifier=[{"value": "1", "type": {"text": "x"}}]), EARLY)
    assert merged(typed, new)["identifier"] == [{"value": "1"}]


# versions


def test_an_older_message_changes_nothing_and_says_so() -> None:
    standing = merged(None, draft(gender="female"), LATE)
    found = MERGING.merge(standing, draft(gender="male", organisation="rdz"), told=EARLY)
    assert found == fhir.Merged(None, stale=True)


@pytest.mark.parametrize("told", ["2026-01-01T12:00:00+01:00", "2026-01-01T11:00:00", "2026-01-01T11:00:00Z"])
def test_moments_are_compared_as_moments(told: str) -> None:
    standing = merged(None, draft(gender="female"), LATE)
    assert merged(standing, draft(gender="male"), told)["gender"] == "male"


def test_the_same_content_makes_no_new_version() -> None:
    standing = merged(None, draft(gender="female"), EARLY)
    standing["meta"] |= {"versionId": "1", "lastUpdated": EARLY}
    later = fhir.Draft({**draft(gender="female").resource})
    later.resource["meta"] = {**later.resource["meta"], "source": "urn:uuid:2"}
    assert MERGING.merge(standing, later, told=LATE) == fhir.Merged(None)


@pytest.mark.parametrize(
    ("before", "now"), [(Decimal("72.5"), Decimal("72.50")), (1, True), ([1], [1.0]), ({"a": False}, {"a": 0})]
)
def test_values_that_python_holds_for_equal_are_told_apart(before: object, now: object) -> None:
    found = after(draft(shoeSize=before), draft(shoeSize=now))
    assert fhir.dump(found["shoeSize"]) == fhir.dump(now)  # type: ignore[arg-type]  # any JSON value can be written


@pytest.mark.parametrize(
    "more",
    [
        {"profile": ["http://x.example/p"]},
        {"security": [{"system": "s", "code": "R"}]},
        {"extension": [{"url": "u:other", "valueCode": "a"}]},
    ],
)
def test_what_a_draft_adds_to_meta_makes_one(more: dict[str, Any]) -> None:
    standing = merged(None, draft(gender="female"), EARLY)
    later = draft(gender="female")
    later.resource["meta"] |= more
    meta = merged(standing, later)["meta"]
    assert all(entry in meta[name] for name, entries in more.items() for entry in entries)
    assert MERGING.merge({**standing, "meta": meta}, later, told=LATE) == fhir.Merged(None)


def test_a_standing_meta_that_would_not_be_written_again_makes_one() -> None:
    standing = merged(None, draft(gender="female"), EARLY)
    standing["meta"] |= {"id": "a"}
    assert "id" not in merged(standing, draft(gender="female"))["meta"]


def test_a_new_contributor_of_the_same_content_makes_one() -> None:
    found = after(draft(gender="female"), draft(gender="female", organisation="rdz", domain="wards"))
    assert fhir.contributors(found, MARKS) == (frozenset({"R0D", "RDZ"}), frozenset({"emergency-care", "wards"}))


def test_a_new_version_leaves_version_and_time_to_the_server_and_keeps_the_rest_of_meta() -> None:
    standing = merged(None, draft(gender="female"), EARLY)
    standing["meta"] |= {
        "versionId": "1",
        "lastUpdated": EARLY,
        "profile": ["http://x.example/p"],
        "security": [{"system": "s", "code": "R"}],
        "extension": [*standing["meta"]["extension"], {"url": "u:other", "valueCode": "a"}],
    }
    meta = merged(standing, draft(gender="male"))["meta"]
    assert not {"versionId", "lastUpdated"} & set(meta)
    assert meta["profile"] == ["http://x.example/p"]
    assert meta["security"] == [{"system": "s", "code": "R"}]
    assert [e["url"] for e in meta["extension"]] == ["u:other", MARKS.told]
    assert fhir.told_at({"meta": meta}, MARKS) == LATE


def test_a_standing_resource_that_others_wrote_has_no_moment() -> None:
    assert fhir.told_at(patient(), MARKS) is None
    found = merged(patient(gender="female"), draft(birthDate="1990-01-01"), EARLY)
    assert found["gender"] == "female"
    plain = MERGING.merge(None, fhir.Draft(patient()), told=EARLY).resource
    assert plain is not None
    assert "source" not in plain["meta"]


def test_a_narrative_goes_once_anything_else_changes() -> None:
    told = {"status": "generated", "div": "<div>A</div>"}
    standing = merged(None, draft(gender="female", text=told), EARLY)
    assert "text" not in merged(standing, draft(gender="male"))
    assert merged(standing, draft(organisation="rdz"))["text"] == told
    assert merged(standing, draft(text={"status": "additional"}))["text"] == {"status": "additional"}


def test_other_types_are_replaced_whole_and_keep_their_contributors() -> None:
    def visit(organisation: str, **elements: Any) -> fhir.Draft:
        resource = {"resourceType": "Encounter", "id": "e1", **elements}
        return fhir.Draft(fhir.contributed(resource, organisation=organisation, domain="emergency-care", marks=MARKS))

    first = visit("r0d", status="in-progress", priority={"text": "urgent"})
    found = after(first, visit("rdz", status="finished"))
    assert "priority" not in found
    assert fhir.contributors(found, MARKS)[0] == {"R0D", "RDZ"}
    late = MERGING.merge(found, first, told=EARLY)
    assert late == fhir.Merged(None, stale=True)


def test_a_resource_is_not_laid_over_one_of_another_type() -> None:
    with pytest.raises(ValueError, match="a Patient can't be laid over a Group"):
        MERGING.merge({"resourceType": "Group"}, draft(), told=LATE)


def test_a_moment_that_can_not_be_read_is_an_error() -> None:
    with pytest.raises(ValueError, match="Invalid isoformat"):
        MERGING.merge(None, draft(), told="yesterday")


def test_marks_stand_below_the_base_that_the_table_gives() -> None:
    systems = dataclasses.replace(ELEMENTS.tables.systems, marks="https://dex.example/fhir")
    merging = fhir.Merging(fhir.Elements(dataclasses.replace(ELEMENTS.tables, systems=systems)))
    marks = merging.marks
    resource = fhir.contributed(patient(), organisation="r0d", domain="wards", marks=marks)
    found = merging.merge(None, fhir.Draft(resource), told=EARLY).resource
    assert found is not None
    assert fhir.contributors(found, MARKS) == (frozenset(), frozenset())
    assert fhir.contributors(found, marks) == (frozenset({"R0D"}), frozenset({"wards"}))
    assert fhir.told_at(found, marks) == EARLY
    assert all(tag["system"].startswith("https://dex.example/fhir/") for tag in found["meta"]["tag"])


def test_merging_leaves_its_inputs_as_they_are() -> None:
    standing = merged(None, draft(name=[{"use": "official", "family": "A", "given": ["B"]}]), EARLY)
    before = fhir.dump(standing)
    merged(standing, draft("Patient.name.given", name=[{"use": "official", "family": "C"}]))
    assert fhir.dump(standing) == before


# queue


def test_drafts_travel_through_the_queue() -> None:
    drafts = (draft("Patient.birthDate", gender="male"), draft(), replace(draft(gender="male"), only_new=True))
    raw = fhir.drafts_to_json(drafts, told=EARLY)
    assert fhir.drafts_from_json(raw) == (drafts, EARLY)
    with pytest.raises(fhir.JsonError, match="no drafts"):
        fhir.drafts_from_json(b'{"resourceType":"Patient"}')


def test_a_second_merge_of_patients_stands_beside_the_first() -> None:
    one, other = ({"other": {"reference": f"Patient/{n}"}, "type": "replaces"} for n in ("2", "3"))
    assert after(draft(link=[one]), draft(link=[other]))["link"] == [one, other]
    assert MERGING.merge(merged(None, draft(link=[one]), EARLY), draft(link=[one]), told=LATE).resource is None


def test_elements_whose_lists_are_merged_are_there() -> None:
    named = {name: policy for name, policy in ELEMENTS.tables.merging.lists.items() if "." in name}
    assert set(named) == {"Patient.link"}
    for name, policy in named.items():
        assert {*policy.same, *filter(None, (policy.place, policy.kind))} <= ELEMENTS.members(name).keys()
