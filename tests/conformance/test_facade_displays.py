"""What references say of their targets, shown to who may read these.

Source: `facade.md` of the design: a `Reference.display` needs the right to read its target
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.conformance.linked_record import (
    RESTRICTED,
    VISIBLE,
    doctor,
    encounter,
    fill,
    observation,
    patient,
    rules,
    shown,
    subsetted,
)
from tests.conformance.test_facade_writes import ask
from tests.running import Running, running

pytestmark = pytest.mark.any_record
Json = dict[str, Any]
MASKED = {"extension": [{
    "url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "masked",
}]}  # fmt: skip
HIDDEN = patient("h1", "Secret", "1980-02-14", "RDZ")
WRITES = """
permit T-P1 "Viewers write"
  to read, create, update Encounter
  when caller has role viewer
  all rows
"""
NUMBER = {"system": "urn:example:numbers", "value": "h1"}


@pytest.fixture
def one(tmp_path: Path, repository: Path) -> Any:
    with running(tmp_path / "data", rules(tmp_path / "rules", repository)) as found:
        yield fill(found, *VISIBLE, HIDDEN)


def subject(**said: Any) -> Json:
    return {**encounter("n1", "p1"), "subject": said}


def test_of_a_target_that_may_be_read_it_is_told(one: Running) -> None:
    seen = shown(one, {**subject(reference="Patient/p1", display="Edith Marlow", identifier={"value": "p1"})})
    assert seen["subject"] == {"reference": "Patient/p1", "display": "Edith Marlow", "identifier": {"value": "p1"}}
    assert not subsetted(seen)


@pytest.mark.parametrize(
    "said",
    [
        {"reference": "Patient/h1", "display": "Edith Secret"},
        {"reference": "Patient/h1", "identifier": NUMBER},
        {"reference": "Patient/h1", "type": "Patient", "display": "Edith Secret", "identifier": NUMBER},
        {"reference": "Patient/nobody", "display": "Edith Secret"},
        {"reference": "Patient/h1", "_display": {"extension": [{"url": "urn:x", "valueString": "Secret"}]}},
        {"reference": "Group/g1", "display": "The Secrets"},
        {"type": "Patient", "display": "Edith Secret"},
    ],
)
def test_of_one_that_may_not_be_read_only_its_name_is_left(one: Running, said: Json) -> None:
    seen = shown(one, subject(**said))
    rest = {name: value for name, value in said.items() if name in {"reference", "type"}}
    assert seen["subject"] == rest
    assert "Secret" not in str(seen)
    assert subsetted(seen)


@pytest.mark.parametrize("said", [{"display": "Edith Secret"}, {"identifier": NUMBER}])
def test_what_may_name_the_patient_without_a_target_is_masked(one: Running, said: Json) -> None:
    seen = shown(one, subject(**said))
    assert seen["subject"] == MASKED
    assert subsetted(seen)


def test_a_patients_number_is_one_wherever_it_stands(one: Running) -> None:
    number = {"system": "https://fhir.nhs.uk/Id/nhs-number", "value": "9990000026"}
    other = {"system": "urn:example:staff", "value": "S-1"}
    seen = shown(one, observation(
        "n1", "p1", "x",
        note=[{"text": "seen", "authorReference": {"identifier": number, "display": "Edith Secret"}}],
        hasMember=[{"identifier": other, "display": "A panel"}],
    ))  # fmt: skip
    assert seen["note"][0]["authorReference"] == MASKED
    assert seen["hasMember"] == [{"identifier": other, "display": "A panel"}]
    assert "9990000026" not in str(seen)


def test_a_text_that_names_no_target_is_the_resources_own(one: Running) -> None:
    seen = shown(one, {**encounter("n1", "p1"), "participant": [{"individual": {"display": "Ada Okafor"}}]})
    assert seen["participant"][0]["individual"] == {"display": "Ada Okafor"}
    assert not subsetted(seen)


def test_a_type_that_is_judged_one_by_one_is_looked_up(one: Running) -> None:
    fill(one, {"resourceType": "Practitioner", "id": "d9", "name": [{"family": "Hidden"}], "meta": RESTRICTED})
    both = doctor("d1", "Dr Okafor")["participant"] + doctor("d9", "Dr Hidden")["participant"]
    seen = shown(one, {**encounter("n1", "p1"), "participant": both})
    assert [each["individual"] for each in seen["participant"]] == [
        {"reference": "Practitioner/d1", "display": "Dr Okafor"}, {"reference": "Practitioner/d9"},
    ]  # fmt: skip


def test_the_narrative_goes_with_it(one: Running) -> None:
    div = '<div xmlns="http://www.w3.org/1999/xhtml">A visit of Edith Secret</div>'
    told = {**subject(reference="Patient/h1", display="Edith Secret"), "text": {"status": "generated", "div": div}}
    assert "Secret" not in str(shown(one, told))
    own = {**told, "id": "n2", "subject": {"reference": "Patient/p1", "display": "Edith Marlow"}}
    assert shown(one, own)["text"]["div"] == div


def test_it_is_so_wherever_a_reference_stands(one: Running) -> None:
    extension = [{"url": "urn:x", "valueReference": {"reference": "Patient/h1", "display": "Edith Secret"}}]
    seen = shown(one, observation(
        "n1", "p1", "x", extension=extension, _issued={"extension": extension},
        note=[{
            "text": "seen", "_text": {"extension": extension},
            "authorReference": {"reference": "Patient/h1", "display": "Edith Secret"},
        }],
        identifier=[{"value": "1", "assigner": {"reference": "Organization/R0D", "display": "Secret org"}}],
    ))  # fmt: skip
    assert "Secret" not in str(seen)
    assert seen["note"][0]["authorReference"] == {"reference": "Patient/h1"}
    assert seen["code"]["coding"][0]["code"] == "x"


def test_a_display_of_a_code_is_none_of_a_reference(one: Running) -> None:
    seen = shown(one, {**encounter("n1", "p1"), "type": [{"coding": [{"display": "Consultation"}]}]})
    assert seen["type"] == [{"coding": [{"display": "Consultation"}]}]
    assert not subsetted(seen)


def test_of_a_target_that_hides_what_may_name_it_nothing_is_told(tmp_path: Path, repository: Path) -> None:
    more = '\nmask T-M1 "No names"\n  to read Patient\n  when caller has role viewer\n  hide Patient.name\n'
    with running(tmp_path / "data", rules(tmp_path / "rules", repository, more)) as one:
        fill(one, *VISIBLE)
        assert shown(one, subject(reference="Patient/p1", display="Edith Marlow"))["subject"] == {
            "reference": "Patient/p1"
        }


def test_every_version_is_judged_by_itself(one: Running) -> None:
    fill(one, subject(reference="Patient/h1", display="Edith Secret"))
    changed = ask(one, "PUT", "/Encounter/n1", subject(reference="Patient/p1", display="Edith Marlow"))
    assert changed.status_code == 200, changed.text
    moved = {
        **subject(reference="Patient/p1", display="Edith Marlow"),
        "serviceProvider": {"reference": "Organization/RDZ"},
    }
    assert ask(one, "PUT", "/Encounter/n1", moved).status_code == 200
    answer = ask(one, "GET", "/Encounter/n1/_history", principal="demo-partner").json()
    versions = [entry["resource"] for entry in answer["entry"]]
    assert [v["subject"].get("display") for v in versions] == ["Edith Marlow", None]
    assert answer["total"] == 2, "a version that is not theirs is not counted"
    assert ask(one, "GET", "/Encounter/n1/_history/3", principal="demo-partner").status_code == 404
    assert ask(one, "GET", "/Encounter/n1", principal="demo-partner").status_code == 404


def test_who_is_not_told_all_may_not_replace_it(tmp_path: Path, repository: Path) -> None:
    with running(tmp_path / "data", rules(tmp_path / "rules", repository, WRITES)) as one:
        fill(one, *VISIBLE, HIDDEN, subject(reference="Patient/h1", display="Edith Secret"))
        new = subject(reference="Patient/h1")
        refused = ask(one, "PUT", "/Encounter/n1", new, principal="demo-partner")
        assert refused.status_code == 403, refused.text
        assert "references of this Encounter tell of" in refused.text
        assert ask(one, "PUT", "/Encounter/e1", {**new, "id": "e1"}, principal="demo-partner").status_code == 200
