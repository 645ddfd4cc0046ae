"""Merges, moves, links and changes of numbers, sent and then searched for.

Who is merged into another is not used any more and says whose it is now; accounts and visits say what they are part of.
Source: HL7 v2.8.2, 3.3.18 to 3.3.51; FHIR R4 Patient, link; issue 8, line 3.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gateway import loading
from tests import rule_sets
from tests.running import Running, acknowledged, issues, running

pytestmark = pytest.mark.any_record

DOMAIN = "patient-administration"
LATER = datetime(2026, 7, 10, 12, 0, tzinfo=UTC)
TYPES = ", ".join(f"ADT^A{n}" for n in (18, 24, 29, 34, 35, 36, 40, 41, 42, 43, 44, 45, 47, 50))


@pytest.fixture(scope="module")
def merging(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> loading.Decisions:
    """The shipped rules, where the domain takes these types beside A40."""
    folder = tmp_path_factory.mktemp("merging") / "rules"
    shutil.copytree(repository / "rules", folder, ignore=shutil.ignore_patterns("*.test.rules", "samples", "examples"))
    for name in ("registry.rules", "patient-administration.rules"):
        text = (folder / name).read_text("utf-8")
        for accepted in ("accept Hl7v2 ADT^A28, ADT^A31, ADT^A40", "ADT^A28, ADT^A31, ADT^A40, SIU"):
            text = text.replace(accepted, accepted.replace("ADT^A40", TYPES))
        (folder / name).write_text(text.replace("versions 2.3 to 2.5.1", "versions 2.3 to 2.8.2"), "utf-8")
    return rule_sets.decisions(folder, repository / "specs")


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory, merging: loading.Decisions) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("merged") / "data", merging, clock=lambda: LATER) as running_one:
        yield running_one


def ask(one: Running, kind: str, *segments: str, version: str = "2.5.1", minute: int = 0) -> Any:
    """One message. Units: `minute` orders the messages of a test."""
    told = f"2026061515{minute:02}00"
    head = f"MSH|^~\\&|PAS|R0D|DEX|QVV|{told}||ADT^{kind}|{kind}-{minute}-{hash(segments) & 0xFFFF}|P|{version}"
    return one.send("\r".join((head, f"EVN|{kind}|{told}", *segments)).encode(), source_domain=DOMAIN)


def sent(one: Running, kind: str, *segments: str, version: str = "2.5.1", minute: int = 0) -> None:
    """One message, taken."""
    reply = ask(one, kind, *segments, version=version, minute=minute)
    assert (reply.status_code, acknowledged(reply).code) == (200, "AA"), reply.text


def found(one: Running, query: str) -> list[dict[str, Any]]:
    reply = one.search(query)
    assert reply.status_code == 200, reply.text
    return [entry["resource"] for entry in reply.json().get("entry", ())]


def person(number: str, account: str = "") -> str:
    fields = ["PID", "1", "", f"{number}^^^R0D^MR", "", "Thackeray^Sorrel", "", "20010514", "F", *[""] * 9, account]
    return "|".join(fields)


def visit(number: str) -> str:
    return "|".join(["PV1", "1", "I", *[""] * 16, f"{number}^^^R0D^VN", *[""] * 24, "20260601093000"])


def one_of(one: Running, kind: str, number: str) -> dict[str, Any]:
    (only,) = (r for r in found(one, f"{kind}?identifier={number}") if r["identifier"][0]["value"] == number)
    return dict(only)


@pytest.mark.parametrize(
    ("kind", "version"), [("A18", "2.3.1"), ("A34", "2.3.1"), ("A36", "2.5.1"), ("A40", "2.5.1"), ("A47", "2.8")]
)
def test_who_was_merged_is_not_used_any_more(one: Running, kind: str, version: str) -> None:
    stays, merged = f"S{kind}", f"M{kind}"
    sent(one, "A28", person(merged))
    assert one_of(one, "Patient", merged).get("active") is None
    sent(one, kind, person(stays), f"MRG|{merged}^^^R0D^MR", version=version, minute=1)
    new, old = one_of(one, "Patient", stays), one_of(one, "Patient", merged)
    assert (new.get("active"), old["active"]) == (None, False)
    assert new["link"] == [{"other": {"reference": f"Patient/{old['id']}"}, "type": "replaces"}]
    assert old["link"] == [{"other": {"reference": f"Patient/{new['id']}"}, "type": "replaced-by"}]
    assert [i.get("use") for i in new["identifier"]] == [None, "old"], "the number of before finds who stays"
    assert old["name"][0]["family"] == "Thackeray", "a merge takes nothing of what was told before"
    sent(one, "A31", person(stays), minute=2)
    assert one_of(one, "Patient", stays)["link"] == new["link"], "a later message does not undo a merge"


def test_two_patients_are_linked_and_go_on_side_by_side(one: Running) -> None:
    sent(one, "A24", person("LA24"), person("RA24"), version="2.8")
    left, right = one_of(one, "Patient", "LA24"), one_of(one, "Patient", "RA24")
    assert left["link"] == [{"other": {"reference": f"Patient/{right['id']}"}, "type": "seealso"}]
    assert right["link"] == [{"other": {"reference": f"Patient/{left['id']}"}, "type": "seealso"}]
    assert (left.get("active"), right.get("active")) == (None, None)


def test_a_moved_identifier_retires_nobody(one: Running) -> None:
    sent(one, "A43", person("SA43"), "MRG|SA43^^^R0D^MR|||OLD43^^^R0D^PI")
    stays = one_of(one, "Patient", "SA43")
    assert (stays.get("active"), stays.get("link")) == (None, None)
    assert ("OLD43", "old") in [(i["value"], i.get("use")) for i in stays["identifier"]]


def test_a_person_whom_the_sender_keeps_no_more_is_not_used_and_not_deleted(one: Running) -> None:
    sent(one, "A28", person("SA29"))
    sent(one, "A29", person("SA29"), "PV1|1|N", version="2.8", minute=1)
    assert one_of(one, "Patient", "SA29")["active"] is False


@pytest.mark.parametrize("kind", ["A42", "A50"])
def test_a_visit_that_got_another_number_says_what_it_is_part_of(one: Running, kind: str) -> None:
    old, new = f"O{kind}", f"N{kind}"
    sent(one, "A01", person(f"P{kind}"), visit(old))
    assert one_of(one, "Encounter", old)["status"] == "in-progress"
    sent(one, kind, person(f"P{kind}"), f"MRG|P{kind}^^^R0D^MR||||{old}^^^R0D^VN", visit(new), minute=1)
    former, now = one_of(one, "Encounter", old), one_of(one, "Encounter", new)
    assert (former["status"], now["status"]) == ("entered-in-error", "in-progress")
    assert former["partOf"] == {"reference": f"Encounter/{now['id']}"}
    assert former["identifier"][0]["use"] == "old"


def test_a_moved_visit_keeps_its_number(one: Running) -> None:
    sent(one, "A01", person("PA45"), visit("VA45"))
    merging = "MRG|PA45^^^R0D^MR||||VA45^^^R0D^VN"
    sent(one, "A45", person("PA45", "ACC45^^^R0D^AN"), merging, visit("VA45"), minute=1)
    moved = one_of(one, "Encounter", "VA45")
    assert (moved["status"], len(moved["account"]), moved.get("partOf")) == ("in-progress", 1, None)


def test_a_visit_is_not_taken_from_a_patient_without_a_merge(one: Running) -> None:
    """Moved to another patient it would leave the record that its ward reads, so that is for people to mend."""
    sent(one, "A01", person("FA45"), visit("WA45"))
    reply = ask(one, "A45", person("TA45"), "MRG|FA45^^^R0D^MR||||WA45^^^R0D^VN", visit("WA45"), minute=1)
    assert (reply.status_code, [issue["code"] for issue in issues(reply)]) == (422, ["conflict"])
    kept, of = one_of(one, "Encounter", "WA45"), one_of(one, "Patient", "FA45")
    assert kept["subject"] == {"reference": f"Patient/{of['id']}"}


@pytest.mark.parametrize(("kind", "missing"), [("A41", "former"), ("A42", "retired")])
def test_a_merge_without_what_is_merged_is_refused(one: Running, kind: str, missing: str) -> None:
    reply = ask(one, kind, person(f"X{kind}", "A1^^^R0D^AN"), f"MRG|X{kind}^^^R0D^MR", visit(f"XV{kind}"))
    assert reply.status_code == 422
    assert f"no {missing} could be identified" in reply.text
