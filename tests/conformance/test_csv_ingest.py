"""`data-type: Csv` over HTTP: taken whole or row by row, at once or behind the answer, once and never lost.

Source: `http-interface.md` of the design, "What comes back" and "Keys".
"""

from __future__ import annotations

import gzip
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import pytest
from httpx import Response

from gateway import loading
from gateway.config import CREDENTIALS
from gateway.identity import Credentials
from gateway.interactions import resume, tries
from gateway.interactions.csv_behind_answer import resume_file
from gateway.journal import Journal, JournalUnavailable, Outcome, Progress, Submission
from tests.running import Running, enrol, issues, running
from tests.traffic import nhs_numbers

HEADER = "ATTENDANCE_ID,PROVIDER,NHS_NUMBER,FAMILY_NAME,ARRIVED,DEPARTED"
ODS = (
    '"{code}","{name}","Y58","QVV","1 LANE","","","POOLE","","BH15 1AA","19740401","","{status}","B","QVV",'
    '"20220701","","","","","","0","","QVV","","4",""'
)
LOADER = "ods-loader"
NUMBERS = tuple(islice(nhs_numbers(), 60))
WITHIN = 60.0


def attendances(*numbers: str, first: int = 1, departed: str = "2026-05-12 12:00") -> list[str]:
    return [
        f"A-{i:05d},R0D,{number},MARLOW,2026-05-12 10:15,{departed}" for i, number in enumerate(numbers, first)
    ]  # fmt: skip


def file(*lines: str, header: str = HEADER) -> bytes:
    return "\r\n".join([header, *lines, ""]).encode()


def ods(*rows: tuple[str, str, str]) -> bytes:
    return "\r\n".join(ODS.format(code=code, name=name, status=status) for code, name, status in rows).encode()


def send(gateway: Running, body: bytes, *, query: str = "", **changed: str | None) -> Response:
    return gateway.send(body, query=query, **{"data_type": "Csv", "Content_Type": "text/csv", **changed})


def load(gateway: Running, body: bytes, *, query: str = "", **changed: str | None) -> Response:
    credentials = Credentials(gateway.data / CREDENTIALS)
    if LOADER not in gateway.tokens:
        if credentials.find(LOADER) is None:
            enrol(credentials, LOADER, "a-loaders-secret-for-tests")
        reply = gateway.http.post(
            "/$ingest/auth", data={"grant_type": "client_credentials"}, auth=(LOADER, "a-loaders-secret-for-tests")
        )
        gateway.tokens[LOADER] = reply.json()["access_token"]
    own: dict[str, str | None] = {
        "Authorization": f"Bearer {gateway.tokens[LOADER]}", "source_domain": "reference-data",
        "organisation_code": "X26",
    }  # fmt: skip
    return send(gateway, body, query=query, **{**own, **changed})


class FailsOnce:
    """A journal that can't be written at one step of a file, once."""

    def __init__(self, journal: Journal, step: str) -> None:
        self._journal = journal
        self._step = step
        self.failed = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)

    def _fail(self, step: str) -> None:
        if step == self._step and not self.failed:
            self.failed = True
            raise JournalUnavailable("the disk is full for a moment")

    async def progress(self, receipt: str, told: Progress) -> None:
        self._fail({"judging": "begun", "delivering": "judged", "done": "done"}[told.phase])
        await self._journal.progress(receipt, told)

    async def advanced(self, receipt: str, line: int, stored: int, refused: int) -> None:
        self._fail("advanced")
        await self._journal.advanced(receipt, line, stored, refused)

    async def settle(self, receipt: str, outcome: Outcome) -> None:
        self._fail("settled")
        await self._journal.settle(receipt, outcome)


class FailsEachTime:
    """A journal on which the program fails whenever a file was judged, with the moments of it."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.failed: list[float] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)

    async def progress(self, receipt: str, told: Progress) -> None:
        if told.phase == "delivering":
            self.failed.append(time.monotonic())
            raise KeyError(receipt)
        await self._journal.progress(receipt, told)


def receipt(gateway: Running, reply: Response, principal: str = "demo-engine") -> dict[str, Any]:
    path = "/$ingest/receipts/" + reply.headers["location"].rpartition("/")[2]
    found: dict[str, Any] = gateway.http.get(
        path, headers={"Authorization": f"Bearer {gateway.tokens[principal]}"}
    ).json()
    return found


def finished(gateway: Running, reply: Response, principal: str = "demo-engine") -> dict[str, Any]:
    until = time.monotonic() + WITHIN
    while (state := receipt(gateway, reply, principal))["state"] == "received":
        assert time.monotonic() < until, state
        time.sleep(0.05)
    return state


def counted(read: int, stored: int, refused: int) -> str:
    return f"rows read {read}, stored {stored}, refused {refused}"


def told(reply: Response) -> list[tuple[str, str | None, str | None, str]]:
    return [
        (issue["severity"], issue.get("details", {"coding": [{"code": None}]})["coding"][0]["code"],
         issue.get("expression", [None])[0], issue["diagnostics"])
        for issue in issues(reply)
    ]  # fmt: skip


def found(gateway: Running, number: str) -> int:
    return int(gateway.search(f"Patient?_id={number}").json()["total"])


OTHER_DELIMITER = (
    "the header line is not that of ed-attendances: its cells are separated by semicolons; separate them by commas"
)


class TestTaken:
    def test_a_file_is_stored_and_found(self, gateway: Running) -> None:
        reply = send(gateway, file(*attendances(*NUMBERS[:3])))
        assert reply.status_code == 200, reply.text
        assert reply.headers["content-type"] == "application/fhir+json; charset=utf-8"
        assert counted(3, 3, 0) in [words for *_, words in told(reply)]
        assert [found(gateway, number) for number in NUMBERS[:4]] == [1, 1, 1, 0]
        state = receipt(gateway, reply)
        assert (state["state"], state["type"], state["phase"]) == ("accepted", "ed-attendances", "done")
        assert state["rows"] == {"read": 3, "stored": 3, "refused": 0}
        assert [(one["target"], one["state"]) for one in state["targets"]] == [("record", "delivered")]

    def test_a_visit_told_by_a_message_and_by_a_file_is_one(self, gateway: Running) -> None:
        line = f"V-1,R0D,{NUMBERS[0]},MARLOW,2026-05-12 10:15,2026-05-12 12:00"
        assert gateway.send(_admission(NUMBERS[0], "V-1")).status_code == 200
        assert send(gateway, file(line)).status_code == 200
        encounters = gateway.search(f"Encounter?patient=Patient/{NUMBERS[0]}").json()
        assert encounters["total"] == 1
        assert encounters["entry"][0]["resource"]["status"] == "finished"

    @pytest.mark.parametrize(
        "sent",
        [
            b"\xef\xbb\xbf" + file(*attendances(NUMBERS[0])),
            file(*attendances(NUMBERS[0])).replace(b"\r\n", b"\n"),
            file(*attendances(NUMBERS[0])).replace(b"\r\n", b"\r"),
            file(*attendances(NUMBERS[0])).replace(b"MARLOW", b'"MAR\r\nLOW"'),
            file(*attendances(NUMBERS[0])).replace(b"ATTENDANCE_ID", b" Attendance_Id "),
            file(*attendances(NUMBERS[0])) + b"\r\n\r\n",
        ],
    )
    def test_files_as_people_send_them(self, gateway: Running, sent: bytes) -> None:
        assert send(gateway, sent).status_code == 200
        assert found(gateway, NUMBERS[0]) == 1

    def test_gzip_is_inflated_under_a_cap(self, tmp_path: Path, decisions: loading.Decisions) -> None:
        with running(tmp_path / "data", decisions, file_limit=20_000) as gateway:
            packed = gzip.compress(file(*attendances(*NUMBERS[:2])))
            assert send(gateway, packed, Content_Encoding="gzip").status_code == 200
            assert found(gateway, NUMBERS[1]) == 1
            bomb = gzip.compress(file("x" * 1_000_000))
            assert len(bomb) < 20_000
            assert send(gateway, bomb, Content_Encoding="gzip").status_code == 413
            assert send(gateway, file("x" * 30_000)).status_code == 413
            assert len(list((gateway.data / "files").iterdir())) == 1

    def test_a_file_of_no_rows_is_taken(self, gateway: Running) -> None:
        reply = send(gateway, file())
        assert reply.status_code == 200
        assert counted(0, 0, 0) in [words for *_, words in told(reply)]

    def test_two_rows_about_one_patient_and_one_visit_keep_their_order(self, gateway: Running) -> None:
        line = f"A-1,R0D,{NUMBERS[0]},{{}},2026-05-12 10:15,{{}}"
        assert send(gateway, file(line.format("OLD", ""), line.format("NEW", "2026-05-12 12:00"))).status_code == 200
        encounters = gateway.search(f"Encounter?patient=Patient/{NUMBERS[0]}").json()
        assert [entry["resource"]["status"] for entry in encounters["entry"]] == ["finished"]
        (patient,) = gateway.search(f"Patient?_id={NUMBERS[0]}").json()["entry"]
        assert "NEW" in {name["family"] for name in patient["resource"]["name"]}


class TestRefused:
    def test_a_faulty_row_refuses_a_file_that_is_taken_whole(self, gateway: Running) -> None:
        lines = attendances(NUMBERS[0], "9990000019", NUMBERS[1])
        lines[2] = lines[2].replace("12:00", "09:00").replace("2026-05-12 10:15", "12/05/26")
        reply = send(gateway, file(*lines, "a,b"))
        assert reply.status_code == 422
        assert told(reply) == [
            ("error", "EC-C5", "line 3, column NHS_NUMBER", "`9990000019` is not a valid NHS number"),
            ("error", "CSV-V02", "line 4, column ARRIVED",
             "ARRIVED: 12/05/26 is not of the form YYYY-MM-DDThh:mm:ss or YYYY-MM-DD hh:mm or DD/MM/YYYY hh:mm"),
            ("error", "CSV-R02", "line 5", "the row has 2 cells where the header line has 6"),
            ("information", None, None, counted(4, 0, 3)),
        ]  # fmt: skip
        assert [found(gateway, number) for number in NUMBERS[:2]] == [0, 0]
        assert send(gateway, file(*attendances(*NUMBERS[:2]))).status_code == 200

    def test_a_row_by_row_layout_takes_the_others(self, gateway: Running) -> None:
        rows = [("J81999", "A", "A"), ("", "B", "A"), ("J81998", "C", "C"), ("J81997", "D", "Q")]
        reply = load(gateway, ods(*rows))
        assert reply.status_code == 200
        assert told(reply)[0][:3] == ("error", "CSV-V01", "line 2, column CODE")
        assert ("warning", "RD-C1", "line 3, column CLOSED", "STATUS is C and CLOSED is empty") in told(reply)
        assert ("error", "CSV-V02", "line 4, column STATUS", "STATUS: Q is not of the form [ACDP]") in told(reply)
        assert ("information", None, None, counted(4, 2, 2)) in told(reply)
        state = receipt(gateway, reply, LOADER)
        assert state["rows"] == {"read": 4, "stored": 2, "refused": 2}
        assert [issue["place"] for issue in state["issues"]] == [
            "line 2, column CODE", "line 3, column CLOSED", "line 4, column STATUS",
        ]  # fmt: skip

    def test_row_by_row_with_no_good_row_is_refused(self, gateway: Running) -> None:
        reply = load(gateway, ods(("", "A", "A"), ("J81999", "", "A")))
        assert reply.status_code == 422
        assert ("information", None, None, counted(2, 0, 2)) in told(reply)

    def test_issues_past_the_limit_are_counted(self, gateway: Running) -> None:
        reply = send(gateway, file(*attendances(*["9990000019"] * 400)))
        assert reply.status_code == 422
        assert len(issues(reply)) == 152
        assert [words for *_, words in told(reply)][-1].startswith("250 more issues are not shown")

    @pytest.mark.parametrize(
        ("sent", "words"),
        [
            (file(header=HEADER.replace("NHS_NUMBER", "NHS_NUMBR")),
             "the header line is not that of ed-attendances; it has the unknown NHS_NUMBR (did you mean NHS_NUMBER?)"),
            (file(header=HEADER.replace("PROVIDER,", "")),
             "the header line is not that of ed-attendances; it lacks PROVIDER"),
            (file(header=HEADER + ",PROVIDER"),
             "the header line is not that of ed-attendances; it has PROVIDER twice"),
            (file().decode().encode("utf-16"), "the file is in UTF-16: save it as UTF-8"),
            (file().replace(b",", b";"), OTHER_DELIMITER),
            (b"PK\x03\x04" + bytes(60),
             "the file is a workbook (xlsx) or another ZIP archive: save it as CSV in UTF-8 and send that"),
            (b"\x1f\x8b" + bytes(60),
             "the file is compressed by gzip and no header says so: send Content-Encoding: gzip with it"),
            (b'{"resourceType": "Encounter"}', "the body is JSON: send FHIR with data-type: Fhir, and rows as CSV"),
            (b"MSH|^~\\&|PAS\r", "the body is an HL7 v2 message: send it with data-type: Hl7v2"),
            (b"\r\n\r\n", "the file has no line; send the file as the body"),
            (b'"ATTENDANCE_ID', "the header line can't be read: a quote that is opened here is never closed"),
        ],
    )  # fmt: skip
    def test_a_file_of_no_layout_is_unreadable(self, gateway: Running, sent: bytes, words: str) -> None:
        reply = send(gateway, sent)
        assert reply.status_code == 400
        assert [diagnostics for *_, diagnostics in told(reply)] == [words]

    def test_who_may_not_send_a_layout_is_told_before_any_row_is_read(self, gateway: Running) -> None:
        reply = load(gateway, file(*attendances("9990000019")), source_domain="emergency-care")
        assert reply.status_code == 403
        assert all(rule == "EC-P1" for _, rule, _, _ in told(reply))

    def test_a_domain_without_files_says_so(self, gateway: Running) -> None:
        assert load(gateway, b"x", data_type="Hl7v2", Content_Type="text/plain").status_code == 400

    def test_the_media_type_is_held(self, gateway: Running) -> None:
        assert send(gateway, file(), Content_Type="application/fhir+json").status_code == 415
        assert send(gateway, file(*attendances(NUMBERS[0])), Content_Type="text/plain").status_code == 200


class TestKeys:
    def test_the_same_file_again_gets_its_first_answer(self, gateway: Running) -> None:
        first = send(gateway, file(*attendances(NUMBERS[0])))
        again = send(gateway, file(*attendances(NUMBERS[0])))
        assert (again.content, again.headers["location"]) == (first.content, first.headers["location"])
        assert len(list((gateway.data / "files").iterdir())) == 1

    def test_another_file_under_one_key_is_a_conflict(self, gateway: Running) -> None:
        assert send(gateway, file(*attendances(NUMBERS[0])), Idempotency_Key="day-1").status_code == 200
        reply = send(gateway, file(*attendances(NUMBERS[1])), Idempotency_Key="day-1")
        assert reply.status_code == 409
        assert "idempotency-key day-1 was accepted before with another file" in reply.text
        assert send(gateway, file(*attendances(NUMBERS[1], first=2)), Idempotency_Key="day-2").status_code == 200

    def test_a_key_that_is_too_long_is_refused(self, gateway: Running) -> None:
        reply = send(gateway, file(*attendances(NUMBERS[0])), Idempotency_Key="k" * 201)
        assert (reply.status_code, told(reply)[0][1]) == (400, "HTTP-H05")

    def test_a_refused_file_takes_no_key(self, gateway: Running) -> None:
        assert send(gateway, file(*attendances("9990000019")), Idempotency_Key="day-1").status_code == 422
        assert send(gateway, file(*attendances(NUMBERS[1])), Idempotency_Key="day-1").status_code == 200

    def test_a_dry_run_stores_nothing_and_takes_no_key(self, gateway: Running) -> None:
        reply = send(gateway, file(*attendances(NUMBERS[0])), query="?dry-run=true", Idempotency_Key="day-1")
        assert reply.status_code == 200
        assert counted(1, 0, 0) in [words for *_, words in told(reply)]
        assert found(gateway, NUMBERS[0]) == 0
        assert send(gateway, file(*attendances("9990000019")), query="?dry-run=true").status_code == 422
        assert not list((gateway.data / "files").iterdir())
        assert send(gateway, file(*attendances(NUMBERS[1])), Idempotency_Key="day-1").status_code == 200


class TestLong:
    @pytest.mark.parametrize(("rows", "status"), [(4_999, 422), (5_000, 422), (5_001, 202)])
    def test_past_five_thousand_rows_the_answer_is_the_receipt(self, gateway: Running, rows: int, status: int) -> None:
        """Faulty rows, so that nothing has to be stored: what a whole file is judged to be stands in its receipt."""
        reply = send(gateway, file(*["A-1,R0D,,,,"] * rows))
        assert reply.status_code == status
        if status == 422:
            assert ("information", None, None, counted(rows, 0, rows)) in told(reply)
            return
        state = finished(gateway, reply)
        assert (state["state"], state["phase"]) == ("refused", "done")
        assert state["rows"] == {"read": rows, "stored": 0, "refused": rows}
        assert (state["issues"][0]["place"], state["issues"][0]["rule"]) == ("line 2, column ARRIVED", "CSV-V01")
        assert state["moreIssues"] == rows - len(state["issues"])
        assert send(gateway, file(*attendances(NUMBERS[0]))).status_code == 200

    @pytest.fixture
    def short(self, tmp_path: Path, decisions: loading.Decisions) -> Iterator[Running]:
        with running(tmp_path / "data", decisions, rows_at_once=20) as one:
            yield one

    def test_a_long_file_is_stored_behind_its_answer(self, short: Running) -> None:
        sent = file(*attendances(*NUMBERS))
        reply = send(short, sent)
        assert reply.status_code == 202
        again = send(short, sent)
        assert again.content == reply.content
        state = finished(short, reply)
        assert (state["state"], state["rows"]) == ("accepted", {"read": 60, "stored": 60, "refused": 0})
        assert [found(short, number) for number in NUMBERS[::20]] == [1, 1, 1]
        after = send(short, sent)
        assert (after.status_code, after.content) == (202, reply.content)
        assert len(list((short.data / "files").iterdir())) == 1

    def test_a_long_file_with_a_faulty_row_is_refused_whole(self, short: Running) -> None:
        reply = send(short, file(*attendances(*NUMBERS, "9990000019")))
        assert reply.status_code == 202
        state = finished(short, reply)
        assert (state["state"], state["rows"]) == ("refused", {"read": 61, "stored": 0, "refused": 1})
        assert [issue["place"] for issue in state["issues"]] == ["line 62, column NHS_NUMBER"]
        assert found(short, NUMBERS[0]) == 0

    def test_a_long_file_row_by_row(self, short: Running) -> None:
        rows = [(f"J{n:05d}", "x", "A") for n in range(30)] + [("", "x", "A")]
        state = finished(short, load(short, ods(*rows)), LOADER)
        assert (state["state"], state["rows"]) == ("accepted", {"read": 31, "stored": 30, "refused": 1})

    def test_files_of_one_sender_are_taken_in_their_order(self, short: Running) -> None:
        first = send(short, file(*attendances(*NUMBERS, departed="")))
        second = send(short, file(*attendances(*NUMBERS[:2])))
        assert (first.status_code, second.status_code in {200, 202}) == (202, True)
        assert finished(short, first)["state"] == finished(short, second)["state"] == "accepted"
        encounters = short.search(f"Encounter?patient=Patient/{NUMBERS[0]}").json()["entry"]
        assert [entry["resource"]["status"] for entry in encounters] == ["finished"]

    def test_what_a_stopped_gateway_left_is_taken_up_and_stored_once(
        self, tmp_path: Path, decisions: loading.Decisions
    ) -> None:
        with running(tmp_path / "data", decisions, rows_at_once=20) as one:
            reply = send(one, file(*attendances(*NUMBERS)))
            token = one.token("demo-engine")
            assert reply.status_code == 202
        with running(tmp_path / "data", decisions, rows_at_once=20) as again:
            again.tokens["demo-engine"] = token
            assert finished(again, reply)["rows"] == {"read": 60, "stored": 60, "refused": 0}
            assert [found(again, number) for number in NUMBERS[::20]] == [1, 1, 1]
            assert send(again, file(*attendances(*NUMBERS))).content == reply.content

    @pytest.mark.parametrize("step", ["judged", "advanced", "done", "settled"])
    @pytest.mark.parametrize("faulty", ["", "9990000019"])
    def test_a_journal_that_fails_for_a_moment_behind_the_answer_leaves_no_file_where_it_is(
        self, short: Running, monkeypatch: pytest.MonkeyPatch, step: str, faulty: str
    ) -> None:
        monkeypatch.setattr(resume, "EVERY", 0.05)
        monkeypatch.setattr(resume, "GIVEN_UP", timedelta(seconds=0.1))
        state = short.http.app.state  # type: ignore[attr-defined]  # Starlette's
        journal = FailsOnce(state.gateway.journal, step)
        state.gateway = replace(state.gateway, journal=journal)
        sent = file(*attendances(*NUMBERS, *filter(None, [faulty])))
        reply = send(short, sent)
        assert reply.status_code == 202
        ended = finished(short, reply)
        if faulty:
            assert (ended["state"], ended["rows"]) == ("refused", {"read": 61, "stored": 0, "refused": 1})
            assert found(short, NUMBERS[0]) == 0
        else:
            assert (ended["state"], ended["rows"]) == ("accepted", {"read": 60, "stored": 60, "refused": 0})
            assert [found(short, number) for number in NUMBERS[::20]] == [1, 1, 1]
            assert send(short, sent).content == reply.content
        assert journal.failed == (step in ({"done", "settled"} if faulty else {step}))

    def test_one_that_can_not_be_taken_up_holds_back_neither_others_nor_what_comes_later(
        self, short: Running, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(resume, "EVERY", 0.05)
        monkeypatch.setattr(resume, "GIVEN_UP", timedelta(seconds=0.1))
        state = short.http.app.state  # type: ignore[attr-defined]  # Starlette's
        failing: list[str] = []

        async def fails(gateway: Any, submission: Submission) -> None:
            if not failing or submission.receipt in failing:
                failing.append(submission.receipt)
                raise KeyError("what no rule declares any more")
            await resume_file(gateway, submission)

        monkeypatch.setattr(resume, "resume_file", fails)
        replies = []
        for numbers in (NUMBERS, NUMBERS[:-1]):
            state.gateway = replace(state.gateway, journal=FailsOnce(state.gateway.journal, "judged"))
            replies.append(send(short, file(*attendances(*numbers))))
        first, second = replies
        assert (first.status_code, second.status_code) == (202, 202)
        assert finished(short, second)["state"] == "accepted"
        until = time.monotonic() + 60
        while len(failing) < 3:
            assert time.monotonic() < until
            time.sleep(0.02)
        assert receipt(short, first)["state"] == "received", "it is kept, and tried again"

    def test_one_that_fails_each_time_is_tried_less_and_less_often_and_then_told_of(
        self, short: Running, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(resume, "EVERY", 0.01)
        monkeypatch.setattr(resume, "GIVEN_UP", timedelta(seconds=0.02))
        state = short.http.app.state  # type: ignore[attr-defined]  # Starlette's
        whole = state.gateway
        journal = FailsEachTime(whole.journal)
        state.gateway = replace(whole, journal=journal)
        sent = file(*attendances(*NUMBERS))
        ended = finished(short, send(short, sent))
        assert len(journal.failed) == tries.MOST
        pauses = [after - before for before, after in pairwise(journal.failed)]
        assert all(pause >= 0.02 * 2**number for number, pause in enumerate(pauses)), pauses
        assert (ended["state"], ended["rows"]["stored"]) == ("failed", 0)
        words = ended["issues"][-1]["diagnostics"]
        assert words.startswith(f"the gateway failed on this file {tries.MOST} times and works on it no more")
        state.gateway = whole
        assert finished(short, send(short, sent))["state"] == "accepted", "a failed file takes no key"

    def test_a_file_that_is_gone_keeps_no_gateway_from_starting(
        self, tmp_path: Path, decisions: loading.Decisions
    ) -> None:
        with running(tmp_path / "data", decisions, targets={"record": "http://127.0.0.1:9"}) as one:
            reply = load(one, ods(("J81999", "A", "A")))
            assert reply.status_code == 202
            tokens = dict(one.tokens)
        (lost,) = (tmp_path / "data" / "files").iterdir()
        lost.rename(lost.with_name("unclaimed.csv"))
        with running(tmp_path / "data", decisions) as again:
            again.tokens.update(tokens)
            state = finished(again, reply, LOADER)
            assert (state["state"], state["issues"][0]["diagnostics"]) == (
                "failed", "the file is not on the disk any more; send it again",
            )  # fmt: skip
            assert not list((tmp_path / "data" / "files").iterdir()), "what nobody was told of is dropped"
            assert load(again, ods(("J81999", "A", "A"))).status_code == 200


class TestTargets:
    def test_what_a_route_says_of_a_target_that_is_down(self, tmp_path: Path, decisions: loading.Decisions) -> None:
        with running(tmp_path / "data", decisions, targets={"record": "http://127.0.0.1:9"}) as gateway:
            rejected = send(gateway, file(*attendances(NUMBERS[0])))
            assert rejected.status_code == 503
            assert rejected.headers["retry-after"]
            waiting = load(gateway, ods(("J81999", "A", "A")))
            assert waiting.status_code == 202
            assert receipt(gateway, waiting, LOADER)["state"] == "received"
            tokens = dict(gateway.tokens)
        with running(tmp_path / "data", decisions) as gateway:
            gateway.tokens.update(tokens)
            assert finished(gateway, waiting, LOADER)["rows"] == {"read": 1, "stored": 1, "refused": 0}
            assert send(gateway, file(*attendances(NUMBERS[0]))).status_code == 200

    def test_a_target_that_refuses_refuses_a_whole_file(self, gateway: Running) -> None:
        line = "A-1,R0D,{},MARLOW,2026-05-12 10:15,"
        assert send(gateway, file(line.format(NUMBERS[0]))).status_code == 200
        reply = send(gateway, file(*attendances(NUMBERS[2]), line.format(NUMBERS[1])))
        assert reply.status_code == 422
        assert "DLV-01" in {rule for _, rule, _, _ in told(reply)}
        assert found(gateway, NUMBERS[2]) == 0

    def test_a_row_that_a_target_refuses_later_is_told_of_and_the_others_are_stored(self, gateway: Running) -> None:
        """What was delivered before can't be taken back, so the rest of the file goes on."""
        line = "A-00055,R0D,{},MARLOW,2026-05-12 10:15,"
        assert send(gateway, file(line.format(NUMBERS[0]))).status_code == 200
        reply = send(gateway, file(*attendances(*NUMBERS)))
        assert reply.status_code == 200
        assert ("information", None, None, counted(60, 59, 1)) in told(reply)
        assert [place for severity, _, place, _ in told(reply) if severity == "error"] == ["line 56, Encounter.subject"]
        assert [found(gateway, number) for number in (NUMBERS[53], NUMBERS[54], NUMBERS[55])] == [1, 0, 1]
        assert receipt(gateway, reply)["rows"] == {"read": 60, "stored": 59, "refused": 1}


def _admission(nhs_number: str, visit: str) -> bytes:
    segments = [
        "MSH|^~\\&|PAS|R0D|DEX|QVV|20260512101500||ADT^A01|C-1|P|2.4",
        "EVN|A01|20260512101500",
        f"PID|1||{nhs_number}^^^NHS^NH||MARLOW^EDITH||19800214|F",
        f"PV1|1|E|ED^^^R0D||||^Okafor^Ada{'|' * 12}{visit}^^^R0D^VN{'|' * 25}20260512101500",
    ]
    return "\r".join(segments).encode() + b"\r"
