"""The domain `patient-administration`, end to end: systems send, partners find.

Source: issue 4, line 1; the design's page on conversion (identity, update, maps).
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gateway import loading
from tests.running import Running, acknowledged, issues, running

pytestmark = pytest.mark.any_record

DOMAIN = "patient-administration"
SAMPLES = Path(__file__).parents[2] / "rules" / "samples" / DOMAIN
LATER = datetime(2026, 7, 10, 12, 0, tzinfo=UTC)
ELOWEN, GIDEON, SORREL, BRAM = "9990000603", "9990000611", "9990000638", "9990000646"

FOUND = {
    "accepted-a01-admission": (f"Encounter?patient={ELOWEN}", "status", "in-progress"),
    "accepted-a02-transfer": (f"Encounter?patient={ELOWEN}", "status", "in-progress"),
    "accepted-a03-discharge": (f"Encounter?patient={ELOWEN}", "status", "finished"),
    "accepted-a04-registration": (f"Encounter?patient={GIDEON}", "status", "in-progress"),
    "accepted-a05-preadmission": (f"Encounter?patient={ELOWEN}", "status", "planned"),
    "accepted-a06-outpatient-to-inpatient": (f"Encounter?patient={GIDEON}", "status", "in-progress"),
    "accepted-a07-inpatient-to-outpatient": (f"Encounter?patient={GIDEON}", "status", "in-progress"),
    "accepted-a08-update": (f"Encounter?patient={ELOWEN}", "status", "in-progress"),
    "accepted-a11-cancelled-admission": (f"Encounter?patient={GIDEON}", "status", "cancelled"),
    "accepted-a28-new-person": (f"Patient?_id={SORREL}", "birthDate", "2001-05-14"),
    "accepted-a31-person-update": (f"Patient?_id={SORREL}", "birthDate", "2001-05-14"),
    "accepted-a40-merge": (f"Patient?_id={SORREL}", "birthDate", "2001-05-14"),
    "accepted-s12-booking": (f"Appointment?patient={BRAM}", "start", "2026-07-01T09:30:00+01:00"),
    "accepted-s13-rescheduled": (f"Appointment?patient={BRAM}", "start", "2026-07-08T14:00:00+01:00"),
    "accepted-s14-modified": (f"Appointment?patient={BRAM}", "comment", "An interpreter comes too"),
    "accepted-s15-cancelled": (f"Appointment?patient={BRAM}", "status", "cancelled"),
    "accepted-t02-discharge-letter": (f"DocumentReference?patient={ELOWEN}", "docStatus", "final"),
}
"""Where a partner finds what each sample tells, sent alone, and what stands there."""

REFUSED = {
    "refused-a01-bad-nhs-number": ("PAS-C2", "PID-3[1].1"),
    "refused-a02-without-location": ("PAS-C5", "PV1-3"),
    "refused-a03-without-discharge-time": ("PAS-C4", "PV1-45"),
    "refused-a08-without-visit-number": ("PAS-C3", "PV1-19"),
    "refused-a40-nobody-merged": ("PAS-C6", "MRG-1"),
    "refused-s12-without-number": ("PAS-C8", "SCH-2"),
    "refused-s12-without-a-time": ("PAS-C9", None),
    "refused-t02-without-content": ("PAS-C10", "TXA-12"),
    "refused-a17-type-not-accepted": (None, None),
}
"""The check that refuses each sample, and where; a check of what was made of it has no place in the message."""


@pytest.fixture
def one(tmp_path: Path, decisions: loading.Decisions) -> Iterator[Running]:
    with running(tmp_path / "data", decisions, clock=lambda: LATER) as running_one:
        yield running_one


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory, decisions: loading.Decisions) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("refusing"), decisions, clock=lambda: LATER) as running_one:
        yield running_one


def send(one: Running, name: str) -> Any:
    return one.send((SAMPLES / f"{name}.hl7").read_bytes(), source_domain=DOMAIN)


def accepted(one: Running, *names: str) -> None:
    for name in names:
        reply = send(one, name)
        assert (reply.status_code, acknowledged(reply).code) == (200, "AA"), reply.text


def search(one: Running, query: str) -> list[dict[str, Any]]:
    reply = one.search(query)
    assert reply.status_code == 200, reply.text
    return [entry["resource"] for entry in reply.json().get("entry", ())]


def test_every_sample_is_told_of_here() -> None:
    assert {path.stem for path in SAMPLES.glob("*.hl7")} == {*FOUND, *REFUSED}


@pytest.mark.parametrize("name", sorted(FOUND))
def test_what_is_accepted_is_found_by_a_partner(name: str, one: Running) -> None:
    accepted(one, name)
    query, element, value = FOUND[name]
    assert [found.get(element) for found in search(one, query)] == [value]


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_is_refused_is_refused_by_its_check_at_its_place(name: str, refusing: Running) -> None:
    reply = send(refusing, name)
    assert 400 <= reply.status_code < 500
    rule, place = REFUSED[name]
    if rule is not None:
        errors = [issue for issue in issues(reply) if issue["severity"] == "error"]
        assert [rule in json.dumps(issue) for issue in errors] == [True]
        assert place is None or errors[0]["expression"] == [place]


def test_a_stay_is_one_visit_from_before_it_until_after(one: Running) -> None:
    stay = ("accepted-a05-preadmission", "accepted-a01-admission", "accepted-a08-update", "accepted-a02-transfer")
    accepted(one, *stay, "accepted-a03-discharge")
    (visit,) = search(one, f"Encounter?patient={ELOWEN}")
    assert visit["status"] == "finished"
    assert visit["period"] == {"start": "2026-06-01T09:30:00+01:00", "end": "2026-06-05T11:00:00+01:00"}
    (patient,) = search(one, f"Patient?_id={ELOWEN}")
    assert [name["given"] for name in patient["name"]] == [["Elowen", "May"]]


def test_who_was_merged_is_no_longer_used_and_says_whose_it_is(one: Running) -> None:
    accepted(one, "accepted-a28-new-person", "accepted-a40-merge")
    stays, merged = sorted(search(one, "Patient?identifier=H600412"), key=lambda patient: patient["id"] != SORREL)
    assert (stays["id"], stays.get("active"), merged["active"]) == (SORREL, None, False)
    assert stays["link"] == [{"other": {"reference": f"Patient/{merged['id']}"}, "type": "replaces"}]
    assert merged["link"] == [{"other": {"reference": f"Patient/{SORREL}"}, "type": "replaced-by"}]
    assert [i["use"] for i in stays["identifier"] if i["value"] == "H600412"] == ["old"]
    accepted(one, "accepted-a31-person-update")
    (again,) = search(one, f"Patient?_id={SORREL}")
    assert again["link"] == stays["link"], "a later message does not undo a merge"


def test_an_appointment_is_one_however_often_it_changes(one: Running) -> None:
    accepted(one, "accepted-s12-booking")
    (booked,) = search(one, f"Appointment?patient={BRAM}")
    assert (booked["status"], booked["end"]) == ("booked", "2026-07-01T09:50:00+01:00")
    assert booked["comment"] == "Bring your glasses\nDo not drive afterwards"
    actors = {participant["actor"].get("reference", "").partition("/")[0] for participant in booked["participant"]}
    assert actors == {"Patient", "Practitioner", "Location", ""}
    accepted(one, "accepted-s13-rescheduled", "accepted-s14-modified", "accepted-s15-cancelled")
    (cancelled,) = search(one, f"Appointment?patient={BRAM}")
    assert (cancelled["id"], cancelled["status"]) == (booked["id"], "cancelled")
    assert cancelled["cancelationReason"]["coding"][0]["display"] == "Patient cannot attend"
    (visit,) = search(one, f"Encounter?patient={BRAM}")
    assert visit["status"] == "planned", "what becomes of the visit, its own messages tell"


def test_a_letter_or_an_appointment_never_opens_a_visit_again(one: Running) -> None:
    accepted(one, "accepted-a01-admission", "accepted-a03-discharge")
    before = search(one, f"Encounter?patient={ELOWEN}")
    accepted(one, "accepted-t02-discharge-letter")
    assert search(one, f"Encounter?patient={ELOWEN}") == before
    assert before[0]["status"] == "finished"


def test_lines_of_a_letter_are_one_text_beside_its_attachment(one: Running) -> None:
    accepted(one, "accepted-t02-discharge-letter")
    (letter,) = search(one, f"DocumentReference?patient={ELOWEN}")
    text, attached = (content["attachment"] for content in letter["content"])
    assert b64decode(text["data"]).decode().split("\n") == [
        "Ms Pascoe was admitted for a planned replacement of her left knee.",
        "She walks with two sticks.",
        "Physiotherapy follows at home.",
    ]
    assert (text["contentType"], attached["contentType"]) == ("text/plain", "application/pdf")
    assert b64decode(attached["data"]).startswith(b"%PDF-1.4")


def test_the_same_message_told_twice_tells_of_the_same_resources(one: Running) -> None:
    names = ("accepted-a01-admission", "accepted-s12-booking", "accepted-t02-discharge-letter")
    queries = [f"{FOUND[name][0]}" for name in names]
    accepted(one, *names)
    before = [search(one, query) for query in queries]
    for number, name in enumerate(names):
        sent = (SAMPLES / f"{name}.hl7").read_bytes().replace(b"|PAS-0", b"|PAS-1")
        assert one.send(sent, source_domain=DOMAIN).status_code == 200, number
    assert [search(one, query) for query in queries] == before
