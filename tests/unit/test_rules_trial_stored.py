"""Tests in the language about stored resources: their patients, who sent them, what refers to them, glass and masks."""

from __future__ import annotations

import functools

import pytest

from gateway.rules.trial import cover
from gateway.rules.trial.given import World
from gateway.rules.trial.suite import Result
from tests.conformance.rules.support import REGISTRY
from tests.conformance.rules.trying import Trying

RULES = """
permit IN "Anyone"
  to ingest
route OUT "All"
  on Hl7v2
  to record
  on failure reject

permit V-P1 "Viewers see whom they treat"
  to search, read Patient, Condition
  when caller has role gp-viewer
  asking _id or patient
  rows Patient linked by Encounter.subject where Encounter.serviceProvider in caller.organisations
  all rows Condition
  hide Patient.telecom

permit V-P2 "Counters count the grown-up"
  to count Condition
  when caller has role counter and patient has age 18 years or over
  all rows

forbid V-F1 "Restricted"
  to search, read any
  when resource.meta.security has code "R" in "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
   and not caller breaks glass

route V-G1 "Told of children's"
  on break-glass Condition
  when patient has age under 15 years
  to office
  on failure queue for 2 days

forbid V-F2 "Children's conditions"
  to search, read Condition
  when patient has age under 16 years

mask V-M1 "RDZ's addresses"
  to search, read Patient
  when rdz in source.organisations
  hide Patient.address
"""

PRINCIPALS = """
principal doctor "Doctor"
  connects as r0d
  roles gp-viewer
  may break glass
principal counter "Counts"
  roles counter
  may break glass
target office "Office" takes Fhir
"""

NHS = "https://fhir.nhs.uk/Id/nhs-number"
SECURITY = '{"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"R"}]}'


def patient(born: str, meta: str = "{}") -> str:
    told = f'"meta":{meta},' if meta != "{}" else ""
    return f'{{"resourceType":"Patient","id":"1",{told}"birthDate":"{born}","address":[{{"city":"Poole"}}]}}'


SAMPLES = {
    "adult": patient("1958-03-14"),
    "child": patient("2014-06-02"),
    "restricted": patient("1958-03-14", SECURITY),
    "here": '{"resourceType":"Encounter","id":"v","status":"finished","class":{"code":"EMER"},'
    '"subject":{"reference":"Patient/1"},"serviceProvider":{"reference":"Organization/R0D"}}',
    "there": '{"resourceType":"Encounter","id":"v","status":"finished","class":{"code":"EMER"},'
    '"subject":{"reference":"Patient/1"},"serviceProvider":{"reference":"Organization/X26"}}',
    "other": '{"resourceType":"Encounter","id":"v","status":"finished","class":{"code":"EMER"},'
    '"subject":{"reference":"Patient/2"},"serviceProvider":{"reference":"Organization/R0D"}}',
    "condition": '{"resourceType":"Condition","id":"c","subject":{"reference":"Patient/1"}}',
}  # fmt: skip

SHORT = {
    "BOTH": "Patient.telecom, Patient.address",
    "READ": 'given read "Patient/1" from doctor',
    "FIND": 'given search "Condition?patient=1" from doctor returning "condition"',
    "COUNT": 'given count "Condition" from counter returning "condition"',
}
TRYING = Trying(RULES, REGISTRY + PRINCIPALS, SAMPLES, SHORT)


@functools.cache
def world() -> World:
    return TRYING.world()


def run(text: str) -> Result:
    return TRYING.run(text, world())


MET = [
    'READ returning "adult" with Encounter "here" expect permit by V-P1 hiding Patient.telecom',
    'READ returning "adult" with Encounter "there" expect deny for want of V-P1 rows',
    'READ returning "adult" with Encounter "other" expect deny for want of V-P1 rows',
    'READ returning "adult" expect deny for want of V-P1 rows',
    'READ returning "adult" with Encounter "here" from source rdz expect permit by V-P1 hiding BOTH',
    'READ returning "adult" with Encounter "here" from source r0d expect permit by V-P1 hiding Patient.telecom',
    'READ returning "restricted" with Encounter "here" expect deny by V-F1',
    'READ returning "restricted" with Encounter "here" breaking glass "no pulse, no time" expect permit by V-P1',
    'READ returning "restricted" with Encounter "here" breaking glass "quick" expect deny by V-F1',
    'FIND with patient "adult" expect permit by V-P1',
    'FIND with patient "child" expect deny by V-F2',
    'COUNT with patient "adult" expect permit by V-P2',
    'COUNT with patient "child" expect deny for want of V-P2 condition',
    'COUNT with patient "adult" breaking glass "no pulse, no time" expect notice to office',
    'COUNT with patient "adult" expect no notice',
    'FIND with patient "adult" breaking glass "no pulse, no time" expect no notice',
    'given count "Condition" from doctor expect deny for want of V-P2 role',
]


@pytest.mark.parametrize("text", MET)
def test_what_stands_beside_a_resource_decides(text: str) -> None:
    result = run(text)
    assert result.failures == (), "\n".join(result.failures)


def test_a_patient_that_the_test_does_not_tell_of_is_named() -> None:
    (failure,) = run("FIND expect permit by V-P1").failures
    assert "decided:  Condition/c is denied by V-F2" in failure
    assert "could not be decided: the test says nothing of Patient/1" in failure


def test_what_is_named_as_another_type_is_refused() -> None:
    (failure,) = run('READ returning "adult" with Encounter "condition" expect permit by V-P1').failures
    assert "the sample: condition holds Condition, and the test says Encounter" in failure


def test_the_conditions_of_a_patient_are_told_with_what_was_seen() -> None:
    (failure,) = run('FIND with patient "child" expect permit by V-P1').failures
    assert "Condition/c is denied by V-F2" in failure
    (failure,) = run('COUNT with patient "child" expect permit by V-P2').failures
    assert "V-P2 when: `patient has age 18 years or over` is false" in failure


def test_masks_and_conditions_on_resources_are_covered() -> None:
    texts = (MET[0], MET[1], MET[4], MET[6], MET[7], MET[9], MET[10])
    found = cover.coverage(world().rules, [answer for text in texts for answer in run(text).answers])
    whole = {line.span.text: line.why for line in found.lines}
    assert whole["rdz in source.organisations"] is None
    assert whole["caller breaks glass"] is None
    assert whole["patient has age under 16 years"] is None
    assert whole["Encounter.serviceProvider in caller.organisations"] is None
