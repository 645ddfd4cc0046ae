"""Leaving elements out: what is hidden is nowhere in what is shown."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from gateway import fhir, specs
from gateway.fhir.elements import means
from gateway.fhir.redact import SUBSETTED

OTHER_TAG = {"system": "https://example.org/tags", "code": "VIP"}
PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "9990000018",
    "meta": {"versionId": "3", "tag": [OTHER_TAG]},
    "text": {"status": "generated", "div": "<div>died in 2024</div>"},
    "contained": [{"resourceType": "Organization", "id": "1", "name": "hidden elsewhere"}],
    "extension": [{"url": "u", "valueString": "x", "_valueString": {"id": "e"}}, {"url": "v", "valueDate": "2024"}],
    "name": [{"family": "Fictitious", "given": ["Ann", "B"], "_given": [None, {"id": "g"}]}, {"family": "Other"}],
    "telecom": [{"system": "phone", "value": "0"}],
    "birthDate": "1970-01-01",
    "_birthDate": {"id": "b", "extension": [{"url": "time", "valueTime": "12:00:00"}]},
    "deceasedBoolean": True,
    "_deceasedBoolean": {"id": "d"},
    "multipleBirthInteger": 2,
    "contact": [{"name": {"family": "Next", "text": "Next of kin"}}, {"gender": "female"}],
}
ALWAYS_GONE = {"text", "contained"}


def shown(*hide: str, resource: dict[str, Any] | None = None) -> dict[str, Any]:
    return fhir.redact(PATIENT if resource is None else resource, hide)


def gone(*hide: str, resource: dict[str, Any] | None = None) -> set[str]:
    """Members of the resource that are missing, beyond those that always are."""
    return set(resource or PATIENT) - set(shown(*hide, resource=resource)) - ALWAYS_GONE


def test_an_element_goes_and_the_rest_stays() -> None:
    found = shown("Patient.telecom")
    kept = {name: value for name, value in PATIENT.items() if name not in {"telecom", "meta", *ALWAYS_GONE}}
    assert {name: value for name, value in found.items() if name != "meta"} == kept


def test_a_primitive_goes_with_its_extensions() -> None:
    assert gone("Patient.birthDate") == {"birthDate", "_birthDate"}


@pytest.mark.parametrize(
    "choice",
    [
        {"deceasedBoolean": True},
        {"deceasedBoolean": False, "_deceasedBoolean": {"id": "d"}},
        {"_deceasedBoolean": {"extension": [{"url": "u", "valueCode": "unknown"}]}},
        {"deceasedDateTime": "2024-02-13"},
        {"deceasedDateTime": "2024-02-13", "_deceasedDateTime": {"id": "d"}},
    ],
)
def test_a_hidden_choice_hides_each_of_its_members(choice: dict[str, Any]) -> None:
    resource = {"resourceType": "Patient", "id": "1", "active": True, **choice}
    assert gone("Patient.deceased[x]", resource=resource) == set(choice)


def test_a_hidden_concrete_choice_hides_that_one_alone() -> None:
    assert gone("Patient.deceasedBoolean") == {"deceasedBoolean", "_deceasedBoolean"}
    assert gone("Patient.deceasedDateTime") == set()


def test_a_choice_within_an_element_goes_in_every_entry() -> None:
    assert shown("Patient.extension.value[x]")["extension"] == [{"url": "u"}, {"url": "v"}]
    assert shown("Patient.extension.valueDate")["extension"] == [PATIENT["extension"][0], {"url": "v"}]


def test_a_choice_of_an_observations_components() -> None:
    observation = {
        "resourceType": "Observation",
        "valueQuantity": {"value": 1},
        "component": [{"code": {"text": "a"}, "valueQuantity": {"value": 2}}, {"valueString": "b"}],
    }
    found = shown("Observation.component.value[x]", resource=observation)
    assert found["component"] == [{"code": {"text": "a"}}, {}]
    assert found["valueQuantity"] == {"value": 1}
    assert shown("Observation.valueQuantity.value", resource=observation)["valueQuantity"] == {}


def test_a_part_goes_in_every_repetition_and_an_element_that_is_not_there_is_no_fault() -> None:
    assert shown("Patient.name.family")["name"] == [{"given": ["Ann", "B"], "_given": [None, {"id": "g"}]}, {}]
    assert shown("Patient.name.given")["name"] == [{"family": "Fictitious"}, {"family": "Other"}]
    assert shown("Patient.contact.name.text")["contact"] == [{"name": {"family": "Next"}}, {"gender": "female"}]
    assert gone("Patient.photo.url", "Patient.birthDate.nothing") == set()


def test_a_part_of_a_primitive_stands_in_its_other_member() -> None:
    found = shown("Patient.birthDate.extension", "Patient.name.given.id")
    assert (found["birthDate"], found["_birthDate"]) == ("1970-01-01", {"id": "b"})
    assert found["name"][0]["_given"] == [None, {}]


def test_no_spelling_that_only_begins_alike_is_hidden() -> None:
    resource = {"resourceType": "Patient", "deceased": 1, "deceasedby": 2, "mydeceasedBoolean": 3, "telecoms": 4}
    assert gone("Patient.deceased[x]", "Patient.telecom", resource=resource) == set()


def test_paths_of_another_type_hide_nothing() -> None:
    assert gone("Practitioner.telecom", "Patients.telecom", "Patient") == set()


def test_several_paths() -> None:
    hidden = gone("Patient.telecom", "Patient.multipleBirth[x]", "Patient.contact")
    assert hidden == {"telecom", "multipleBirthInteger", "contact"}


@pytest.mark.parametrize("path", ["Patient.telecom", "Patient.photo", "Encounter.class"])
def test_narrative_and_contained_resources_always_go(path: str) -> None:
    assert ALWAYS_GONE.isdisjoint(shown(path))
    assert "_text" not in shown(path, resource={"resourceType": "Patient", "_text": {"id": "t"}})


def test_what_is_left_says_that_it_is_a_part_and_says_so_once() -> None:
    once = shown("Patient.telecom")
    assert once["meta"] == {"versionId": "3", "tag": [OTHER_TAG, SUBSETTED]}
    assert fhir.redact(once, ["Patient.name"])["meta"] == once["meta"]
    assert shown("Patient.meta")["meta"] == {"tag": [SUBSETTED]}
    assert shown("Patient.telecom", resource={"resourceType": "Patient"})["meta"] == {"tag": [SUBSETTED]}


def test_the_resource_that_is_handed_in_stays_as_it_is() -> None:
    before = copy.deepcopy(PATIENT)
    shown("Patient.name.given", "Patient.extension.value[x]", "Patient.deceased[x]", "Patient.meta")
    assert before == PATIENT


def test_a_choice_means_each_of_its_members_throughout_r4() -> None:
    tables = specs.fhir(specs.ROOT)
    elements = fhir.Elements(tables)
    choices = [path for path in tables.elements if path.endswith("[x]")]
    assert len(choices) > 150
    for path in choices:
        parent, _, choice = path.rpartition(".")
        members = [name for name, member in elements.members(parent).items() if member.definition.path == path]
        assert members
        assert all(means(choice, name) for name in members)


# --- what has to be there ------------------------------------------------------------------------------------------

ELEMENTS = fhir.Elements(specs.fhir())
MASKED = {"extension": [{
    "url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "masked",
}]}  # fmt: skip
OBSERVATION: dict[str, Any] = {
    "resourceType": "Observation", "id": "1", "status": "final", "_status": {"id": "s"}, "code": {"text": "x"},
    "component": [{"code": {"text": "y"}}, {"code": {"text": "z"}, "valueString": "w"}],
}  # fmt: skip
PLAN: dict[str, Any] = {"resourceType": "MedicationRequest", "id": "1", "medicationReference": {"reference": "x/1"}}
PROVENANCE: dict[str, Any] = {"resourceType": "Provenance", "id": "1", "target": [{"reference": "x/1"}] * 2}


SECTIONS: dict[str, Any] = {"resourceType": "Composition", "section": [
    {"title": "a", "text": {"div": "1"}, "section": [
        {"title": "b", "text": {"div": "2"}, "section": [{"title": "c", "text": {"div": "3"}}]}]}
]}  # fmt: skip


@pytest.mark.parametrize(
    ("path", "left"),
    [
        ("Composition.section.text", ()),
        ("Composition.section.section.text", ("1",)),
        ("Composition.section.section.section.text", ("1", "2")),
    ],
)
def test_what_stands_within_itself_is_hidden_however_deep(path: str, left: tuple[str, ...]) -> None:
    found = fhir.redact(SECTIONS, [path], ELEMENTS)
    assert [text for text in "123" if f"'{text}'" in str(found)] == list(left)
    assert [title for title in "abc" if f"'{title}'" in str(found)] == ["a", "b", "c"]
    assert fhir.held(SECTIONS, [path], ELEMENTS) == (path,)
    assert fhir.held(found, [path], ELEMENTS) == ()


def test_what_has_the_content_of_another_element_is_hidden_with_it() -> None:
    who = {"who": {"reference": "Practitioner/1"}}
    provenance = {"resourceType": "Provenance", "agent": [who], "entity": [{"role": "source", "agent": [who, who]}]}
    found = fhir.redact(provenance, ["Provenance.agent.who"], ELEMENTS)
    assert found["agent"] == [{"who": MASKED}]
    assert found["entity"] == [{"role": "source", "agent": [{"who": MASKED}] * 2}]
    assert "Practitioner" not in str(found)
    assert fhir.held({**provenance, "agent": []}, ["Provenance.agent.who"], ELEMENTS) == ("Provenance.agent.who",)
    only = fhir.redact(provenance, ["Provenance.entity.agent.who"], ELEMENTS)
    assert only["agent"] == [who]
    assert only["entity"][0]["agent"] == [{"who": MASKED}] * 2


@pytest.mark.parametrize(
    ("resource", "path", "member", "stands"),
    [
        (OBSERVATION, "Observation.status", "_status", MASKED),
        (OBSERVATION, "Observation.code", "code", MASKED),
        (PROVENANCE, "Provenance.target", "target", [MASKED]),
        # whichever choice there was, the first stands for it
        (PLAN, "MedicationRequest.medication[x]", "medicationCodeableConcept", MASKED),
        (OBSERVATION, "Observation.component.code", "component",
         [{"code": MASKED}, {"code": MASKED, "valueString": "w"}]),
    ],
)  # fmt: skip
def test_what_has_to_be_there_says_that_it_is_masked(
    resource: dict[str, Any], path: str, member: str, stands: Any
) -> None:
    found = fhir.redact(resource, [path], ELEMENTS)
    assert found[member] == stands
    assert "status" not in found or path != "Observation.status"
    assert "medicationReference" not in found


def test_it_says_so_whether_it_was_there_or_not() -> None:
    without = {name: value for name, value in OBSERVATION.items() if name not in {"status", "_status"}}
    one, other = (fhir.redact(each, ["Observation.status"], ELEMENTS) for each in (without, OBSERVATION))
    assert one == other


def test_what_need_not_be_there_is_left_out() -> None:
    found = fhir.redact(PATIENT, ["Patient.telecom", "Patient.deceasedBoolean", "Patient.contact.name"], ELEMENTS)
    assert not {"telecom", "_telecom", "deceasedBoolean", "_deceasedBoolean"} & found.keys()
    assert found["contact"] == [{}, {"gender": "female"}]
