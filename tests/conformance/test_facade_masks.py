"""Masks, patients, lists, glass, links and limits, through the application with the real store behind it.

Source: `rules-language.md` meaning 9 to 13; `http-interface.md` "The facade"; RFC 6585 section 4.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway import loading
from gateway.fhir.redact import MASKED
from tests import rule_sets
from tests.conformance.test_facade_writes import ask, flag
from tests.running import NHS_NUMBER, NOW, Running, acknowledged, issues, message, running

CHILD, OPTED_OUT, ELSEWHERE = "9990000026", "9990900019", "9990000034"
CHEST_PAIN = "DG1|1||29857009^Chest pain^SCT||20261122101000|A"
SYPHILIS = "DG1|1||76272004^Syphilis^SCT||20261122101000|A"
SECURITY = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}
REASON = "unconscious in resus 2"
PRINCIPALS = """
principal other-writer "A partner of NHS England"
  connects as x26
  roles gp-viewer
  may assert purpose TREAT
  limit 2 Patient per day
principal other-engine "A commissioner"
  connects as qvv
  roles commissioner
  may assert purpose HOPERAT, TREAT
"""
LINKED = """
permit T-P1 "Linked"
  to search, read Procedure
  when caller has role commissioner
  all rows
permit T-P2 "Those who care here see whom they care for"
  to search, read Patient, Condition
  when caller has role commissioner and purpose is TREAT
  asking _id or patient
  rows Patient linked by Encounter.subject where Encounter.serviceProvider in caller.organisations
  rows Condition linked by Condition.encounter where Encounter.serviceProvider in caller.organisations
"""


def rules(folder: Path, repository: Path) -> Path:
    """The shipped rules with principals of this test, and one view by links."""
    shutil.copytree(repository / "rules", folder, ignore=shutil.ignore_patterns("*.test.rules", "samples", "examples"))
    registry = (folder / "registry.rules").read_text("utf-8")
    registry = registry.replace(
        'engine"\n  connects as r0d\n  sends as r0d\n',
        'engine"\n  connects as r0d, rdz, x26\n  sends as r0d, rdz, x26\n',
    )
    registry = registry.replace("  roles flag-keeper\n", "  roles flag-keeper\n  may break glass\n")
    (folder / "registry.rules").write_text(registry + PRINCIPALS, "utf-8")
    with (folder / "shared-record.rules").open("a", encoding="utf-8") as file:
        file.write(LINKED)
    return folder


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> loading.Decisions:
    return rule_sets.decisions(rules(tmp_path_factory.mktemp("masked") / "rules", repository), repository / "specs")


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, loaded: loading.Decisions) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("data"), loaded) as one:
        sent = [
            (message(control_id="M-1", extra=SYPHILIS), "r0d"),
            (
                message(control_id="M-2", nhs_number=CHILD, visit="V-2", extra=SYPHILIS).replace(
                    b"19800214", b"20150214"
                ),
                "r0d",
            ),
            (message(control_id="M-3", nhs_number=OPTED_OUT, visit="V-3", extra=CHEST_PAIN), "rdz"),
            (message(control_id="M-4", nhs_number=ELSEWHERE, visit="V-4", extra=CHEST_PAIN), "x26"),
        ]
        for body, organisation in sent:
            taken = one.send(body, organisation_code=organisation)
            assert taken.status_code == 200, taken.text
        yield one


def total(answer: Any) -> int:
    assert answer.status_code == 200, answer.text
    found: int = answer.json()["total"]
    return found


def rows(one: Running) -> list[tuple[str, str, str]]:
    with sqlite3.connect(one.data / "journal.db") as journal:
        return journal.execute("SELECT action, what, outcome FROM audit ORDER BY id").fetchall()


def details(one: Running) -> list[dict[str, Any]]:
    with sqlite3.connect(one.data / "journal.db") as journal:
        return [json.loads(told) for (told,) in journal.execute("SELECT detail FROM audit ORDER BY id")]


# --- masks ---------------------------------------------------------------------------------------------------------


def test_a_mask_hides_whatever_permits_show(filled: Running) -> None:
    for address in (f"/Patient/{OPTED_OUT}", f"/Patient?_id={OPTED_OUT}"):
        theirs = filled.search(address, principal="other-writer").json()
        own = filled.search(address).json()
        seen, whole = (b["entry"][0]["resource"] if "entry" in b else b for b in (theirs, own))
        assert "address" in whole
        assert "address" not in seen
        assert "Quay Lane" not in str(theirs)
        assert any(tag["code"] == "SUBSETTED" for tag in seen["meta"]["tag"])
    # of whom RDZ never sent anything
    assert "address" in filled.search(f"/Patient/{ELSEWHERE}", principal="demo-partner").json()
    assert any("SR-M1" in told for told in _deciding(filled))


def _deciding(one: Running) -> list[str]:
    with sqlite3.connect(one.data / "journal.db") as journal:
        return [rule for (rule,) in journal.execute("SELECT rules FROM audit")]


# --- forbids on resources and patients -----------------------------------------------------------------------------


def test_what_is_restricted_needs_broken_glass_and_each_use_is_told(filled: Running) -> None:
    made = ask(filled, "POST", "/Flag", flag(meta={"security": [SECURITY]}))
    assert made.status_code == 201, made.text
    name = made.headers["location"].partition("/_history")[0].rpartition("/")[2]
    search = f"/Flag?_id={name}"
    assert ask(filled, "GET", f"/Flag/{name}").status_code == 404
    assert ask(filled, "GET", f"/Flag/{name}/_history").status_code == 404
    assert total(ask(filled, "GET", search)) == 0
    assert total(ask(filled, "GET", f"{search}&_summary=count")) == 0
    before = rows(filled)
    assert ask(filled, "GET", f"/Flag/{name}", break_glass_reason=REASON).status_code == 200
    assert total(ask(filled, "GET", search, break_glass_reason=REASON)) == 1
    broken = [row for row in rows(filled)[len(before) :] if row[0] == "break-glass"]
    assert [outcome for _, _, outcome in broken] == ["permit", "permit"]
    assert all(what.endswith(f": {REASON}") for _, what, _ in broken)
    assert [what for _, what, _ in broken] == [f"read Flag: {REASON}", f"search Flag?_id: {REASON}"]


def test_a_reason_that_says_too_little_is_refused_and_one_of_who_may_not_breaks_nothing(filled: Running) -> None:
    refused = ask(filled, "GET", "/Flag?_id=1", break_glass_reason="urgent")
    assert refused.status_code == 400
    assert "10 characters" in issues(refused)[0]["diagnostics"]
    before = len(rows(filled))
    headers = {"Authorization": f"Bearer {filled.token('other-writer')}", "purpose-of-use": "TREAT"}
    child = filled.http.get(f"/Condition?patient={CHILD}", headers={**headers, "break-glass-reason": REASON})
    assert total(child) == 0
    assert all(action != "break-glass" for action, _, _ in rows(filled)[before:])


def test_glass_is_never_broken_on_ingest(filled: Running) -> None:
    before = len(rows(filled))
    taken = filled.send(message(control_id="M-9"), break_glass_reason=REASON)
    assert taken.status_code == 200
    assert all(action != "break-glass" for action, _, _ in rows(filled)[before:])


def test_the_patient_of_each_resource_is_looked_up(filled: Running) -> None:
    assert total(filled.search(f"/Condition?patient={NHS_NUMBER}")) == 1
    assert total(filled.search(f"/Condition?patient={CHILD}")) == 0
    assert total(filled.search(f"/Condition?patient={NHS_NUMBER},{CHILD}")) == 1
    headers = {"Authorization": f"Bearer {filled.token('demo-partner')}", "purpose-of-use": "TREAT"}
    shown = filled.http.get(f"/Condition?patient={CHILD}", headers={**headers, "break-glass-reason": REASON})
    assert total(shown) == 1
    name = shown.json()["entry"][0]["resource"]["id"]
    assert filled.search(f"/Condition/{name}").status_code == 404


def test_commissioners_count_those_who_have_not_opted_out(filled: Running) -> None:
    counted = filled.search("/Condition?_summary=count", purpose="HOPERAT", principal="other-engine")
    # the adult's and the one of elsewhere; not the child's, not that of who opted out
    assert total(counted) == 2
    assert "entry" not in counted.json()
    assert filled.search("/Condition", purpose="HOPERAT", principal="other-engine").status_code == 403


def test_a_missing_list_makes_the_rule_err_and_the_audit_tells_it(tmp_path: Path, repository: Path) -> None:
    folder = rules(tmp_path / "rules", repository)
    (folder / "lists" / "ndoo.csv").unlink()
    decided = rule_sets.decisions(folder, repository / "specs")
    with running(tmp_path / "data", decided) as one:
        assert one.send(message(extra=CHEST_PAIN)).status_code == 200
        assert total(one.search("/Condition?_summary=count", purpose="HOPERAT", principal="other-engine")) == 0
        assert rows(one)[-1] == ("count", "Condition? erred: SR-F3", "permit")
        assert total(one.search(f"/Condition?patient={NHS_NUMBER}")) == 1  # for treatment the list is not asked


# --- links ---------------------------------------------------------------------------------------------------------


def test_rows_are_shown_by_what_they_are_linked_with(filled: Running) -> None:
    def found(address: str) -> int:
        return total(filled.search(address, principal="other-engine"))

    assert found(f"/Patient?_id={NHS_NUMBER}") == 1
    assert found(f"/Patient?_id={ELSEWHERE}") == 0
    assert found(f"/Condition?patient={NHS_NUMBER}") == 1
    assert found(f"/Condition?patient={ELSEWHERE}") == 0
    assert filled.search(f"/Patient/{NHS_NUMBER}", principal="other-engine").status_code == 200
    assert filled.search(f"/Patient/{ELSEWHERE}", principal="other-engine").status_code == 404


# --- limits --------------------------------------------------------------------------------------------------------


def test_requests_a_second_are_limited_by_principal(tmp_path: Path, repository: Path) -> None:
    folder = rules(tmp_path / "rules", repository)
    text = (folder / "registry.rules").read_text("utf-8")
    slow = text.replace("  limit 2 Patient per day", "  limit 2 per second")
    (folder / "registry.rules").write_text(slow, "utf-8")
    now = [NOW]
    with running(tmp_path / "data", rule_sets.decisions(folder, repository / "specs"), clock=lambda: now[0]) as one:

        def ask_once() -> Any:
            return one.search(f"/Patient?_id={NHS_NUMBER}", principal="other-writer")

        assert [ask_once().status_code for _ in range(3)] == [200, 200, 429]
        refused = ask_once()
        assert refused.headers["retry-after"] == "1"
        assert issues(refused)[0]["code"] == "throttled"
        assert one.search(f"/Patient?_id={NHS_NUMBER}").status_code == 200, "others have their own"
        now[0] += timedelta(seconds=1)
        assert ask_once().status_code == 200


def test_submissions_a_second_are_limited_too(tmp_path: Path, repository: Path) -> None:
    folder = rules(tmp_path / "rules", repository)
    text = (folder / "registry.rules").read_text("utf-8")
    engine = 'principal demo-engine "Demonstration engine"\n'
    (folder / "registry.rules").write_text(text.replace(engine, f"{engine}  limit 1 per second\n"), "utf-8")
    with running(tmp_path / "data", rule_sets.decisions(folder, repository / "specs")) as one:
        assert one.send(message()).status_code == 200
        refused = one.send(message(control_id="C-2", visit="V-2"))
        assert refused.status_code == 429
        assert refused.headers["retry-after"] == "1"
        assert acknowledged(refused).code == "AR"


def test_patients_a_day_are_limited_durably_and_anew_each_day(tmp_path: Path, loaded: loading.Decisions) -> None:
    now: list[datetime] = [NOW]

    def ask_of(one: Running, address: str) -> Any:
        return one.search(address, principal="other-writer")

    with running(tmp_path / "data", loaded, clock=lambda: now[0]) as one:
        for number, name in enumerate((NHS_NUMBER, CHILD, ELSEWHERE)):
            body = message(control_id=f"L-{number}", nhs_number=name, visit=f"W-{number}", extra=CHEST_PAIN)
            assert one.send(body, organisation_code="x26").status_code == 200
        assert ask_of(one, f"/Patient/{NHS_NUMBER}").status_code == 200
        # the same one again, what is not there, and numbers alone count nothing
        assert ask_of(one, f"/Patient?_id={NHS_NUMBER}").status_code == 200
        assert ask_of(one, "/Patient/9990000042").status_code == 404
        assert ask_of(one, f"/Patient?_id={ELSEWHERE}&_summary=count").status_code == 200
        # whose record is seen counts, whatever of it
        assert total(ask_of(one, f"/Condition?patient={CHILD}")) == 1
        refused = ask_of(one, f"/Encounter?patient={ELSEWHERE}")
        assert refused.status_code == 429, refused.text
    with running(tmp_path / "data", loaded, clock=lambda: now[0]) as one:
        refused = ask_of(one, f"/Patient?_id={ELSEWHERE}")
        assert refused.status_code == 429, "a restart forgets nothing"
        assert refused.headers["retry-after"] == str(12 * 3600)  # NOW is noon, in winter
        assert "2026-11-23T00:00:00+00:00" in issues(refused)[0]["diagnostics"]
        assert "entry" not in refused.json()
        assert rows(one)[-1][2] == "too-many"
        assert ask_of(one, f"/Patient/{ELSEWHERE}").status_code == 429
        assert ask_of(one, f"/Patient/{CHILD}").status_code == 200
        now[0] += timedelta(hours=12)
        assert ask_of(one, f"/Patient/{ELSEWHERE}").status_code == 200


def test_records_whose_subject_is_hidden_count_too(tmp_path: Path, repository: Path) -> None:
    folder = rules(tmp_path / "rules", repository)
    with (folder / "shared-record.rules").open("a", encoding="utf-8") as file:
        file.write(
            '\nmask T-M1 "Nobody knows whose"\n  to search, read Condition\n  when caller.organisations lacks r0d\n'
            "  hide Condition.subject\n"
        )
    with running(tmp_path / "data", rule_sets.decisions(folder, repository / "specs")) as one:
        found = []
        for number, name in enumerate((NHS_NUMBER, CHILD, ELSEWHERE)):
            body = message(control_id=f"H-{number}", nhs_number=name, visit=f"H-{number}", extra=CHEST_PAIN)
            assert one.send(body).status_code == 200
            entry = one.search(f"/Condition?patient={name}").json()["entry"][0]
            found.append(one.search(f"/Condition/{entry['resource']['id']}", principal="other-writer"))
        assert [answer.status_code for answer in found] == [200, 200, 429], found[-1].text
        # R4 has it in every Condition, so what is left says that it is masked
        assert found[0].json()["subject"] == MASKED


# --- what no rule grants ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_patch_and_delete_are_refused_where_no_rule_grants_them(filled: Running, method: str) -> None:
    refused = ask(filled, method, f"/Patient/{NHS_NUMBER}")
    assert refused.status_code == 403
    assert f"no rule lets anyone {method.lower()} Patient" in refused.text
