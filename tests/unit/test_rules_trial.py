"""Tests in the language, run: each outcome that they may expect, met and missed, and what is told of a miss."""

from __future__ import annotations

import functools

import pytest

from gateway.rules.trial import cover, junit
from gateway.rules.trial.given import World
from gateway.rules.trial.suite import Result, results
from tests.conformance.rules.support import DOMAIN, REGISTRY, read
from tests.conformance.rules.trying import Trying

RULES = """
set training = "T", "D"

permit E-P1 "Engines send"
  to ingest
  when caller connects as organisation and caller sends category message.type
  because DSA-1

forbid E-F1 "No training messages"
  to ingest
  on Hl7v2
  when MSH-11.1 is present and MSH-11.1 in training

check E-C1 "NHS numbers are valid"
  on Hl7v2
  for each id in PID-3 where id.5 is "NH"
  require id.1 is nhs-number
  otherwise error code-invalid

check E-C2 "Visits carry class E"
  on Hl7v2
  require PV1-2 is present and PV1-2 is "E"
  otherwise warning business-rule

check E-C4 "Messages keep to the standard"
  on Hl7v2
  require message conforms
  otherwise warning
  except order, structure as ignored

check E-C3 "A finished visit"
  on result Encounter
  require Encounter.status is present and Encounter.status is not "cancelled"
  otherwise error business-rule

route E-R1 "All go to the record"
  on Hl7v2
  when message.type is ADT^A01
  to record
  on failure reject

permit S-P1 "Viewers see patients and their visits"
  to search, read Patient, Encounter
  when caller has role gp-viewer and purpose is TREAT
  asking _id or patient
  rows Encounter where Encounter.serviceProvider in caller.organisations
  all rows Patient
  hide Patient.telecom
  because DSA-2

permit S-P2 "Counters count"
  to count Patient
  when caller has role counter
  all rows

forbid S-F1 "The dead are not shown"
  to search, read Patient
  when Patient.deceased[x] is present

check S-C1 "Patients have a name"
  on Fhir Patient
  require Patient.name is present
  otherwise error required

permit S-P3 "Keepers write"
  to create, update, patch, read, delete, operation everything Patient
  when caller has role keeper
  rows Patient where Patient.active is present and Patient.active is true
"""

PRINCIPALS = """
role keeper "Keeps patients"
principal counter "Counts"
  roles counter
principal keeper "Keeps"
  connects as rdz
  roles keeper
"""

MESSAGE = (
    "MSH|^~\\&|A|R0D|DEX|QVV|20260515120000||{kind}|1|{mode}|2.4\r"
    "EVN||20260515120000\rPID|1||{number}^^^NHS^NH||Tallis^Marian\r"
    "PV1|1|{visit}|||||||||||||||||V1^^^R0D^VN||||||||||||||||||||||||||20260515120000\r"
)


def message(kind: str = "ADT^A01", mode: str = "P", number: str = "9990000018", visit: str = "E") -> str:
    return MESSAGE.format(kind=kind, mode=mode, number=number, visit=visit)


PATIENT = (
    '{"resourceType":"Patient","id":"1","active":true,"name":[{"family":"Tallis"}],'
    '"telecom":[{"system":"phone","value":"1"}]}'
)
VISIT = (
    '{"resourceType":"Encounter","id":"v","status":"finished","class":{"code":"EMER"},'
    '"serviceProvider":{"reference":"Organization/%s"}}'
)


def line(text: str) -> str:
    """Where a text begins in the rules."""
    whole = DOMAIN + RULES
    return f"1.rules:{whole[: whole.index(text)].count(chr(10)) + 1}"


HERE, THERE = VISIT % "RDZ", VISIT % "X26"
SAMPLES = {
    "ok": message(),
    "training": message(mode="T"),
    "bad": message(number="9990000019"),
    "other": message(visit="I"),
    "strange": message().replace("EVN||20260515120000", "EVN||").replace("Marian", "Marian||x"),
    "a03": message(kind="ADT^A03"),
    "a40": message(kind="ADT^A40"),
    "batch": "BHS|^~\\&\r" + message(),
    "patient": PATIENT,
    "idle": PATIENT.replace("true", "false"),
    "nameless": '{"resourceType":"Patient","id":"1","active":true}',
    "dead": '{"resourceType":"Patient","id":"2","deceasedBoolean":true}',
    "here": HERE,
    "there": THERE,
    "both": f'{{"resourceType":"Bundle","type":"collection","entry":[{{"resource":{HERE}}},{{"resource":{THERE}}}]}}',
    "renaming": '[{"op": "replace", "path": "/name/0/family", "value": "Firth"}]',
    "closing": '[{"op": "add", "path": "/gender", "value": "female"}]',
    "unnaming": '[{"op": "remove", "path": "/name"}]',
    "idling": '[{"op": "replace", "path": "/active", "value": false}]',
    "nowhere": '[{"op": "remove", "path": "/gender"}]',
    "broken": '{"resourceType":"Patient","gender":"unsaid"}',
}


SHORT = {
    "VIEWING": "from partner for purpose TREAT",
    "=ALL": "=Organization/QVV,Organization/R0D,Organization/RDZ",
}
TRYING = Trying(RULES, REGISTRY + PRINCIPALS, SAMPLES, SHORT)


@functools.cache
def world() -> World:
    return TRYING.world()


def run(text: str) -> Result:
    return TRYING.run(text, world())


MET = [
    'given message "ok" expect accept to record',
    'given message "ok" expect accept',
    'given message "ok" from partner as qvv to here expect deny for want of E-P1 category',
    'given message "ok" from engine as rdz to here expect deny for want of E-P1 connects',
    'given message "ok" from nobody as rdz to here expect deny for want of E-P1 connects, category',
    'given message "ok" from nobody as rdz to here expect deny for want of E-P1',
    'given message "training" expect deny by E-F1',
    'given message "bad" expect refuse by E-C1 at PID-3[1].1',
    'given message "bad" expect refuse by E-C1',
    'given message "other" expect accept to record expect warn by E-C2 at PV1-2',
    'given message "strange" expect accept to record expect warn by E-C4 at PID-7.1 expect warn by E-C4 at EVN-2',
    'given search "Patient?_id=1" VIEWING expect permit by S-P1 hiding Patient.telecom',
    'given search "Patient?_id=1" from partner expect deny for want of S-P1 purpose',
    'given search "Patient?_id=1" from engine expect deny for want of S-P1 role, purpose',
    'given search "Patient?family=x" VIEWING expect deny for want of S-P1 asking, allowing',
    'given search "Patient" VIEWING expect deny for want of S-P1 asking',
    'given search "Patient?_summary=count" from counter expect permit by S-P2',
    'given count "Patient" from counter expect permit by S-P2',
    'given read "Patient/1" VIEWING returning "patient" expect permit by S-P1 hiding Patient.telecom',
    'given read "Patient/2" VIEWING returning "dead" expect deny by S-F1',
    'given read "Encounter/v" VIEWING returning "there" expect deny for want of S-P1 rows',
    'given search "Encounter?patient=1" VIEWING returning "here" expect permit by S-P1',
    'given search "Encounter?patient=1" VIEWING expect permit by S-P1 rows service-provider',
    'given search "Encounter?_id=1" VIEWING expect permit by S-P1 rows "service-provider=ALL"',
    'given create "patient" from keeper expect permit by S-P3',
    'given create "idle" from keeper expect deny for want of S-P3 rows',
    'given create "nameless" from keeper expect refuse by S-C1 at Patient.name',
    'given create "patient" from engine expect deny for want of S-P3 role',
    'given update "patient" returning "patient" from keeper expect permit by S-P3',
    'given update "patient" returning "idle" from keeper expect deny for want of S-P3 rows',
    'given delete "Patient/1" returning "patient" from keeper expect permit by S-P3',
    'given delete "Patient/1" returning "idle" from keeper expect deny for want of S-P3 rows',
    'given patch "Patient/1" from keeper expect permit by S-P3',
    'given patch "renaming" returning "patient" from keeper expect permit by S-P3',
    'given patch "unnaming" returning "patient" from keeper expect refuse by S-C1 at Patient.name',
    'given patch "idling" returning "patient" from keeper expect deny for want of S-P3 rows',
    'given patch "renaming" returning "idle" from keeper expect deny for want of S-P3 rows',
    'given patch "renaming" returning "patient" from engine expect deny for want of S-P3 role',
    'given patch "closing" returning "dead" from keeper expect deny by S-F1',
    'given delete "Patient/1" returning "dead" from keeper expect deny by S-F1',
    'given operation "Patient/1/$everything" from keeper expect permit by S-P3',
    'given operation "Patient/1/$everything" from partner expect deny for want of S-P3 role',
]


@pytest.mark.parametrize("text", MET)
def test_what_is_expected_and_comes_passes(text: str) -> None:
    result = run(text)
    assert result.failures == (), "\n".join(result.failures)


MISSED = [
    ('given message "ok" expect refuse by E-C1', ["decided:  the message is accepted to record by E-P1, E-R1",
     'why:      E-C1 require: `id.1 is nhs-number` is true (id.1 is "9990000018")']),
    ('given message "ok" expect accept to board', ["why:      it goes to record, not to board"]),
    ('given message "ok" expect warn by E-C2', ["`PV1-2 is present` is true", '`PV1-2 is "E"` is true']),
    ('given message "ok" expect deny by E-F1', ['E-F1 when: `MSH-11.1 in training` is false (MSH-11.1 is "P")']),
    ('given message "ok" expect deny for want of E-P1', ["E-P1 when: `caller connects as organisation` is true"]),
    ('given message "ok" from engine as rdz to here expect accept',
     ["decided:  the message is denied, for no permit grants it", f"E-P1 ({line('permit E-P1')}) wants: connects"]),
    ('given message "ok" from engine as rdz to here expect deny for want of E-P1 category',
     ["E-P1 wants connects of it, not category"]),
    ('given message "training" expect accept', ["decided:  the message is denied by E-F1",
     f"E-F1 ({line('forbid E-F1')}): error: No training messages"]),
    ('given message "training" expect deny for want of E-P1', ["decided:  the message is denied by E-F1"]),
    ('given message "bad" expect accept', ["decided:  the message is refused by E-C1", "at PID-3[1].1"]),
    ('given message "bad" expect refuse by E-C1 at PID-3[2].1', ["E-C1 found it at PID-3[1].1, not at PID-3[2].1"]),
    ('given message "a03" expect accept', ["no route of the domain takes this message"]),
    ('given message "a40" expect accept', ["no rule is asked", "the domain accepts no message type ADT^A40"]),
    ('given patch "nowhere" returning "patient" from keeper expect permit by S-P3',
     ["the sample: nowhere can not be made to what stands: operation 1: remove: there is no such place"]),
    ('given patch "patient" returning "patient" from keeper expect permit by S-P3',
     ["this is no JSON array of operations"]),
    ('given patch "renaming" returning "both" from keeper expect permit by S-P3',
     ["a patch is made to one resource, and `returning` holds 2"]),
    ('given message "batch" expect accept', ["the sample: the file is a batch: give one message"]),
    ('given search "Patient?_id=1" VIEWING expect deny for want of S-P1',
     ["is permitted by S-P1, hiding Patient.telecom"]),
    ('given search "Patient?_id=1" from partner expect permit by S-P1',
     [f"S-P1 ({line('permit S-P1')}) wants: purpose"]),
    ('given search "Patient?_id=1" VIEWING expect permit by S-P1 hiding Patient.contact',
     ["hidden is Patient.telecom, not Patient.contact"]),
    ('given search "Encounter?patient=1" VIEWING expect permit by S-P1 rows status',
     ["the rows put service-provider into the search, not status"]),
    ('given search "Encounter?_id=1" VIEWING expect permit by S-P1 rows "service-provider=Organization/R0D"',
     ["the rows put service-provider=Organization/QVV,"]),
    ('given read "Encounter/v" VIEWING returning "there" expect permit by S-P1',
     ["Encounter/v is denied", "S-P1 rows: `Encounter.serviceProvider in caller.organisations` is false",
      '(Encounter.serviceProvider is "X26"; caller.organisations is QVV, R0D, RDZ)']),
    ('given search "Encounter?patient=1" VIEWING returning "both" expect permit by S-P1',
     ["Encounter/v is denied"]),
    ('given search "Encounter?patient=1" VIEWING returning "both" expect deny for want of S-P1 rows',
     ["Encounter/v is permitted by S-P1"]),
    ('given read "Patient/2" VIEWING returning "dead" expect permit by S-P1',
     ["Patient/2 is denied by S-F1"]),
    ('given read "Patient/2" VIEWING returning "dead" expect deny for want of S-P1',
     ["Patient/2 is denied by S-F1"]),
    ('given read "Patient/1" VIEWING returning "patient" expect deny by S-F1',
     ["S-F1 when: `Patient.deceased[x] is present` is false"]),
    ('given read "Patient/1" VIEWING returning "broken" expect permit by S-P1',
     ["the sample: broken is not valid FHIR R4"]),
    ('given create "nameless" from keeper expect permit by S-P3', ["create Patient is refused by S-C1"]),
    ('given create "ok" from keeper expect permit by S-P3', ["the sample: the file is no FHIR resource"]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "words"), MISSED, ids=[text for text, _ in MISSED])
def test_what_comes_otherwise_is_told_with_its_reason(text: str, words: list[str]) -> None:
    (failure,) = run(text).failures
    assert failure.startswith("failed: t\n")
    assert " --> 1.rules:" in failure
    assert "^^^" in failure
    for one in words:
        assert one in failure
    assert "does not speak of this" not in failure


def test_every_expectation_that_is_missed_is_told() -> None:
    assert len(run('given message "bad" expect accept expect refuse by E-C1 expect warn by E-C2').failures) == 2


def test_a_day_decides_which_agreements_are_in_force() -> None:
    found = read(
        f'{RULES}\ntest "t"\n  given message "ok" from engine as r0d to here on 2026-06-01'
        "\n  expect deny for want of E-P1 agreement\n",
        registry=REGISTRY + PRINCIPALS,
    )
    (result,) = results(found.trials, world())
    assert result.failures == ()


def test_a_miss_reads_like_a_compilers_message() -> None:
    (failure,) = run('given message "bad"\n  expect refuse by E-C1 at PID-3[2].1').failures
    assert failure.split("\n")[1:] == [
        "   --> 1.rules:78:3",
        "    |",
        "78  |   expect refuse by E-C1 at PID-3[2].1 from engine as r0d to here",
        "    |   ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^",
        "    = expected: E-C1 refuses it at PID-3[2].1",
        "    = decided:  the message is refused by E-C1",
        "    = why:      E-C1 found it at PID-3[1].1, not at PID-3[2].1",
        f"    = why:      E-C1 ({line('check E-C1')}): error at PID-3[1].1: NHS numbers are valid",
    ]  # fmt: skip


# --- coverage and JUnit --------------------------------------------------------------------------------------------


def lines(*texts: str) -> dict[str, tuple[int, int, str | None]]:
    answers = [answer for text in texts for answer in run(text).answers]
    found = cover.coverage(world().rules, answers)
    return {line.span.text: (line.true, line.false, line.why) for line in found.lines}


def test_conditions_are_counted_by_outcome() -> None:
    found = lines('given message "ok" expect accept', 'given message "ok" from nobody as rdz to here expect accept')
    assert found["caller connects as organisation"] == (1, 1, None)
    assert found["caller sends category message.type"] == (1, 0, "it is never false")
    assert found["MSH-11.1 is present"] == (2, 0, "it is never false")
    assert found["id.1 is nhs-number"] == (1, 0, "it is never false")


def test_what_no_test_comes_to_is_told_with_its_reason() -> None:
    found = lines('given message "training" expect accept')
    assert found["caller connects as organisation"][2] == "a forbid holds in every test that could come to it"
    assert found["id.1 is nhs-number"][2] == "every test that could come to it is denied before"
    assert found['Encounter.status is not "cancelled"'][2] == "no test of here makes a Encounter"
    assert found["caller has role gp-viewer"][2] == "no test asks to search or read Patient or Encounter"


def test_what_stands_behind_another_condition_names_it() -> None:
    found = lines('given message "ok" from nobody as rdz to here expect accept')
    assert found["caller sends category message.type"] == (
        0, 0, "`caller connects as organisation` before it is never true",
    )  # fmt: skip


def test_clauses_that_are_never_asked_say_why() -> None:
    found = lines(
        'given search "Encounter?patient=1" VIEWING expect permit by S-P1',
        'given read "Patient/1" VIEWING expect permit by S-P1',
    )
    assert found["Encounter.serviceProvider in caller.organisations"][2] == (
        "no test of S-P1 returns such a resource to whom it grants"
    )
    assert found["Patient.deceased[x] is present"][2] == "no test of S-F1 returns a resource"


def test_coverage_as_text_names_file_and_line() -> None:
    found = cover.coverage(world().rules, run('given message "ok" expect accept').answers)
    text = cover.shown(found)
    assert f"{line('  when MSH-11.1')}: E-F1: `MSH-11.1 in training` true 0, false 1: it is never true" in text
    assert text.endswith(f"coverage: {found.both} of {len(found.lines)} conditions came out both ways (0%)")


def test_results_are_written_for_ci() -> None:
    written = junit.written((run('given message "ok" expect accept'), run('given message "bad" expect accept')))
    text = written.decode()
    assert '<testsuites tests="2" failures="1" errors="0"' in text
    assert 'classname="1.rules" name="t" file="1.rules"' in text
    assert '<failure message="expected: it is accepted">failed: t' in text
