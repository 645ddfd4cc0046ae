"""Batches of HL7 v2 messages through the gateway: HL7 v2.5.1, chapter 2.10.3; `http-interface.md` of the design."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, Literal, cast

import pytest
from httpx import Response

from gateway import assemble, loading
from gateway.config import Settings
from gateway.hl7v2 import batch, read, read_acknowledgement, read_acknowledgements
from gateway.interactions.acknowledge import Sender
from gateway.interactions.batch import Settle, answered
from gateway.interactions.gateway import Gateway
from gateway.interactions.identify import Asking
from gateway.interactions.ingest import settle
from gateway.interactions.options import Options
from gateway.interactions.submission import Case, Envelope
from gateway.journal import Answer
from tests.running import NOW, Running, message, running
from tests.traffic import nhs_numbers

FHS, BHS = b"FHS|^~\\&|PAS|R0D|||20261122||||F-1\r", b"BHS|^~\\&|PAS|R0D|||20261122||||B-1\r"
FIRST, SECOND = message(control_id="1", visit="V-1"), message(control_id="2", visit="V-2")
REFUSED = message(control_id="3", nhs_number="9990000019")


@pytest.fixture
def fresh(tmp_path: Path, decisions: loading.Decisions) -> Iterator[Running]:
    with running(tmp_path / "data", decisions) as one:
        yield one


def parts(answer: bytes) -> list[tuple[str, bytes]]:
    return [(part.name, answer[part.start : part.end]) for part in batch.parts([answer])]


def names(answer: bytes) -> str:
    return " ".join(name for name, _ in parts(answer))


def told(reply: Response) -> list[tuple[str, str | None]]:
    """MSA-1 and MSA-2 of every acknowledgement, in order; each is one by itself."""
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "text/plain; charset=utf-8"
    found = read_acknowledgements(reply.content)
    assert all(found), reply.text
    return [(one.code, one.control_id) for one in found if one is not None]


def texts(reply: Response) -> list[str]:
    return [one.text or "" for one in read_acknowledgements(reply.content) if one is not None]


def test_each_message_stands_alone_and_is_answered_in_its_place(fresh: Running) -> None:
    sent = FHS + BHS + FIRST + REFUSED + SECOND + b"BTS|3\r" + b"FTS|1\r"
    reply = fresh.send(sent)
    assert told(reply) == [("AA", "1"), ("AE", "3"), ("AA", "2")]
    assert names(reply.content) == "FHS BHS MSH MSH MSH BTS FTS"
    found = dict(parts(reply.content))
    assert found["FHS"].split(b"|")[1:7] == [b"^~\\&", b"DEX", b"QVV", b"emergency-care", b"r0d", b"20261122120000"]
    assert found["FHS"].endswith(b"|F-1\r"), "FHS-12 is the sender's FHS-11"
    assert found["BHS"].endswith(b"|B-1\r"), "BHS-12 is the sender's BHS-11"
    assert (found["BTS"], found["FTS"]) == (b"BTS|3\r", b"FTS|1\r")
    addresses = [json.loads(text)["issue"][0].get("diagnostics", "") for text in texts(reply)]
    receipts = [address.rpartition("/")[2] for address in addresses if address.startswith("receipt ")]
    assert len(set(receipts)) == 2
    headers = {"Authorization": f"Bearer {fresh.token('demo-engine')}"}
    for receipt in receipts:
        own = fresh.http.get(f"/$ingest/receipts/{receipt}", headers=headers).json()
        assert (own["receipt"], own["type"], own["state"]) == (receipt, "ADT^A01", "accepted")


def test_messages_at_once_that_tell_of_the_same_new_ward_are_all_taken(fresh: Running) -> None:
    numbers = [number for number, _ in zip(nhs_numbers(), range(12), strict=False)]
    sent = [message(control_id=str(n), nhs_number=number, visit=f"V-{n}") for n, number in enumerate(numbers)]
    assert told(fresh.send(BHS + b"".join(sent))) == [("AA", str(n)) for n in range(12)]


Profile = Literal["http-status", "hl7-over-http"]


@pytest.mark.parametrize("profile", ["http-status", "hl7-over-http"])
def test_the_status_is_200_in_either_profile(tmp_path: Path, decisions: loading.Decisions, profile: Profile) -> None:
    domains = {name: replace(domain, acknowledge=profile) for name, domain in decisions.rules.domains.items()}
    with running(tmp_path / "data", replace(decisions, rules=replace(decisions.rules, domains=domains))) as one:
        assert told(one.send(BHS + REFUSED + b"BTS|1\r")) == [("AE", "3")]
        assert told(one.send(BHS + FIRST, organisation_code="rdz")) == [("AR", "1")]


# What is left out (2.10.3.1: FHS, FTS, BTS are optional; real senders leave BHS out too), and the answer's segments.
SHAPES = {
    "no trailers": (FHS + BHS + FIRST + SECOND, "FHS BHS MSH MSH BTS FTS"),
    "no file": (BHS + FIRST + b"BTS|1\r", "BHS MSH BTS"),
    "no batch header": (FHS + FIRST + b"BTS|1\rFTS|1\r", "FHS BHS MSH BTS FTS"),
    "file header alone": (FHS + FIRST, "FHS BHS MSH BTS FTS"),
    "two batches in a file": (FHS + BHS + FIRST + b"BTS|1\r" + BHS + SECOND + b"BTS|1\rFTS|2\r",
                              "FHS BHS MSH BTS BHS MSH BTS FTS"),
    "two batches, no trailer between": (BHS + FIRST + BHS + SECOND, "BHS MSH BTS BHS MSH BTS"),
    "two files": (FHS + BHS + FIRST + FHS + BHS + SECOND, "FHS BHS MSH BTS FTS FHS BHS MSH BTS FTS"),
    "a file trailer without its header": (BHS + FIRST + b"BTS|1\rFTS|1\r", "BHS MSH BTS"),
    "no message at all": (FHS + BHS + b"BTS|0\rFTS|1\r", "FHS BHS BTS FTS"),
    "a header alone": (FHS, "FHS FTS"),
    "line feeds": ((BHS + FIRST + SECOND + b"BTS|2\r").replace(b"\r", b"\n"), "BHS MSH MSH BTS"),
    "carriage returns and line feeds": ((BHS + FIRST + SECOND + b"BTS|2\r").replace(b"\r", b"\r\n"),
                                        "BHS MSH MSH BTS"),
    "byte order marks": (b"\xef\xbb\xbf" + BHS + b"\xef\xbb\xbf" + FIRST, "BHS MSH BTS"),
}  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
def test_what_senders_leave_out(gateway: Running, name: str) -> None:
    sent, expected = SHAPES[name]
    reply = gateway.send(sent, query="?dry-run=true")
    assert names(reply.content) == expected
    assert {code for code, _ in told(reply)} <= {"AA"}
    assert b"warning" not in reply.content.replace(b'"severity":"warning"', b"")


def test_delimiters_of_the_headers_and_of_each_message_are_their_own(fresh: Running) -> None:
    other = SECOND.replace(b"|", b"!").replace(b"^~\\&", b"@%\\&").replace(b"^", b"@").replace(b"~", b"%")
    reply = fresh.send(b"BHS#*~\\&#########B#1\r" + FIRST + other + b"BTS$2$x\r")
    assert told(reply) == [("AA", "1"), ("AA", "2")]
    assert dict(parts(reply.content))["BHS"].endswith(b"|B\r")
    assert dict(parts(reply.content))["BTS"] == b"BTS|2\r"


def test_a_control_id_of_a_header_is_escaped(fresh: Running) -> None:
    reply = fresh.send(b"BHS!*~\\&!!!!!!!!!B|1^2\r" + FIRST)
    assert dict(parts(reply.content))["BHS"].endswith(b"|B\\F\\1\\S\\2\r")


def test_the_same_batch_again_gets_the_first_answers(fresh: Running) -> None:
    sent = BHS + FIRST + REFUSED + SECOND + b"BTS|3\r"
    first, again = (parts(fresh.send(sent).content) for _ in range(2))
    assert (first[1], first[3]) == (again[1], again[3])
    assert first[2] != again[2], "what was refused is judged anew"


def test_a_message_twice_in_a_batch_is_taken_once(fresh: Running) -> None:
    reply = fresh.send(BHS + FIRST + FIRST + message(control_id="1", visit="V-9"))
    assert told(reply) == [("AA", "1"), ("AA", "1"), ("AR", "1")]
    _, first, second, conflict, _ = parts(reply.content)
    assert first == second
    assert b"HL7-K01" in conflict[1]


def test_what_can_not_be_read_is_refused_in_its_place_and_the_rest_goes_on(fresh: Running) -> None:
    lines = [
        BHS, b"PID|1||stray\r", FIRST, b"MSH\r", b"MSH|^^\\&|x|\r", FIRST[:80] + b"\rnot a segment\r",
        b"\x0b" + SECOND + b"\x1c\r", message(control_id="4", visit="V-4"), b"BTS|6\r", b"what is this\r",
    ]  # fmt: skip
    reply = fresh.send(b"".join(lines))
    codes = [code for code, _ in told(reply)]
    assert codes == ["AR", "AA", "AR", "AR", "AR", "AR", "AA", "AR"]
    rules = [
        json.loads(text)["issue"][0].get("details", {}).get("coding", [{}])[0].get("code") for text in texts(reply)
    ]
    assert rules == [
        "HL7-NO-MSH", None, "HL7-DELIMITERS", "HL7-DELIMITERS", "HL7-LINE", "HL7-MLLP", None, "HL7-START",
    ]  # fmt: skip
    assert names(reply.content) == "BHS MSH MSH MSH MSH MSH MSH MSH BTS BHS MSH BTS", "strays are answered as well"


@pytest.mark.parametrize(
    ("trailers", "comment"),
    [
        (b"BTS|3\rFTS|1\r", "BTS-1 says 3 and 2 messages came"),
        (b"BTS|1\rFTS|1\r", "BTS-1 says 1 and 2 messages came"),
        (b"BTS|two\rFTS|1\r", "BTS-1 says two and 2 messages came"),
        (b"BTS|2\rFTS|5\r", "FTS-1 says 5 and 1 batches came"),
        (b"BTS|0002\rFTS|01\r", ""),
        (b"BTS||totals\rFTS\r", ""),
    ],
)
def test_counts_that_disagree_are_a_warning(fresh: Running, trailers: bytes, comment: str) -> None:
    """2.15.3.1 and 2.15.7.1: the counts are optional; what came is settled when they do, and nothing is undone."""
    reply = fresh.send(FHS + BHS + FIRST + SECOND + trailers)
    assert told(reply) == [("AA", "1"), ("AA", "2")]
    found = dict(parts(reply.content))
    assert (found["BTS"] + found["FTS"]).decode().count("warning") == bool(comment)
    assert comment in (found["BTS"] + found["FTS"]).decode()


def test_a_header_that_can_not_be_read_is_told(fresh: Running) -> None:
    reply = fresh.send(b"BHS|\r" + FIRST)
    assert told(reply) == [("AA", "1")]
    assert b"warning: BHS can not be read" in dict(parts(reply.content))["BHS"]


def test_messages_of_one_key_stay_in_order(fresh: Running) -> None:
    out = message(kind="ADT^A03", control_id="9", visit="V-1")
    assert told(fresh.send(BHS + FIRST + out)) == [("AA", "1"), ("AA", "9")]
    found = fresh.search("/Encounter?patient=9990000018").json()
    assert [entry["resource"]["status"] for entry in found["entry"]] == ["finished"]


def test_enhanced_mode_is_each_message_s_own(fresh: Running) -> None:
    commit = SECOND.replace(b"|P|2.4\r", b"|P|2.4|||AL|NE\r")
    assert told(fresh.send(BHS + FIRST + commit)) == [("AA", "1"), ("CA", "2")]


def test_gzip(fresh: Running) -> None:
    reply = fresh.send(gzip.compress(BHS + FIRST + SECOND), content_encoding="gzip")
    assert told(reply) == [("AA", "1"), ("AA", "2")]


def test_a_dry_run_stores_nothing(fresh: Running) -> None:
    for _ in range(2):
        reply = fresh.send(BHS + FIRST + REFUSED, query="?dry-run=true")
        assert told(reply) == [("AA", "1"), ("AE", "3")]
        assert b"dry run" in reply.content
    assert fresh.search("/Patient?_id=9990000018").json().get("entry", []) == []


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"authorization": None}, 401),
        ({"content_type": "application/json"}, 415),
        ({"source_domain": "urgent"}, 400),
        ({"organisation_code": None}, 400),
    ],
)
def test_what_concerns_the_whole_request_is_answered_once(
    gateway: Running, changed: dict[str, str | None], status: int
) -> None:
    reply = gateway.http.post("/$ingest", content=BHS + FIRST + SECOND, headers=gateway.headers(**changed))
    assert reply.status_code == status
    found = read_acknowledgement(reply.content)
    assert found is not None
    assert found.code == "AR"


def test_two_messages_without_a_header_are_no_batch(gateway: Running) -> None:
    reply = gateway.send(FIRST + SECOND)
    assert reply.status_code == 400
    assert b"HL7-SECOND-MSH" in reply.content


def test_a_batch_has_a_limit_of_its_own_and_each_message_the_usual_one(
    tmp_path: Path, decisions: loading.Decisions
) -> None:
    large = message(control_id="L", extra="NTE|1||" + "x" * 2000)
    with running(tmp_path, decisions, body_limit=1500, batch_limit=8000) as small:
        assert told(small.send(BHS + FIRST + large + SECOND)) == [("AA", "1"), ("AR", "L"), ("AA", "2")]
        assert small.send(large).status_code == 413
        reply = small.send(BHS + FIRST * 30)
        assert reply.status_code == 413
        assert gzip.compress(BHS + FIRST * 30) < b"\xff" * 1000
        assert small.send(gzip.compress(BHS + FIRST * 30), content_encoding="gzip").status_code == 413


def test_what_the_time_does_not_reach_is_not_taken(tmp_path: Path, decisions: loading.Decisions) -> None:
    sent = BHS + FIRST + SECOND + b"BTS|2\r"
    with running(tmp_path, decisions, batch_within=1e-9) as hurried:
        reply = hurried.send(sent)
        assert told(reply) == [("AE", "1"), ("AE", "2")]
        assert all("send it again" in text for text in texts(reply))
        assert hurried.search("/Patient?_id=9990000018").json().get("entry", []) == []
    with running(tmp_path, decisions) as patient:
        assert told(patient.send(sent)) == [("AA", "1"), ("AA", "2")]


def test_a_batch_that_was_cut_off_is_taken_up_and_sent_again_nothing_is_doubled(
    tmp_path: Path, decisions: loading.Decisions
) -> None:
    """What was answered gets its first answer, what was in hand is settled, what was not reached is taken now."""
    third = message(control_id="4", visit="V-4")
    sent = BHS + FIRST + SECOND + third
    got = asyncio.run(_cut_off(tmp_path, decisions, sent))
    assert names(got) == "BHS MSH"
    with running(tmp_path, decisions) as again:
        reply = again.send(sent)
        assert told(reply) == [("AA", "1"), ("AA", "2"), ("AA", "4")]
        assert parts(reply.content)[1] == parts(got)[1]
        found = again.search("/Encounter?patient=9990000018").json()
        assert len(found["entry"]) == 3
        assert {entry["resource"]["meta"]["versionId"] for entry in found["entry"]} == {"1"}


class _Killed(BaseException):
    """The end of a process, as far as one request sees it."""


async def _cut_off(data: Path, decisions: loading.Decisions, sent: bytes) -> bytes:
    """Run a batch until its second message is claimed and no further; what was answered by then."""

    async def killed(gateway: Gateway, case: Case, seen: dict[str, Any]) -> Answer:
        if case.submission.control_id == "2":
            await gateway.journal.claim(case.submission)
            raise _Killed
        return await settle(gateway, case, seen)

    async with assemble.opened(_settings(data), decisions, clock=lambda: NOW) as gateway:
        pieces = _answer(gateway, io.BytesIO(sent), killed)
        got = await anext(pieces) + await anext(pieces)
        with pytest.raises(_Killed):
            await anext(pieces)
    return got


def _settings(data: Path) -> Settings:
    return Settings(data=data, client_secrets=True, environment="test", targets={"bed-board": "folder:bed-board"})


def _answer(gateway: Gateway, spool: IO[bytes], settled: Settle) -> AsyncIterator[bytes]:
    caller = gateway.rules.caller("demo-engine")
    assert caller is not None
    sender = Sender("Hl7v2", "emergency-care", "r0d")
    envelope = Envelope(sender, gateway.rules.domains["emergency-care"], None, Options(), 0.0)
    reply = answered(gateway, Asking(caller, None, None), envelope, spool, settled, {})
    return cast("AsyncIterator[bytes]", aiter(reply.body_iterator))


class _Endless(io.RawIOBase):
    """A file as large as it says, made of one message over and over, none of it in memory."""

    def __init__(self, size: int) -> None:
        self._line = BHS + FIRST
        self._size = size // len(FIRST) * len(FIRST) + len(BHS)
        self._at = 0

    def seek(self, at: int, whence: int = 0) -> int:
        assert whence == 0
        self._at = at
        return at

    def read(self, size: int = -1) -> bytes:
        size = min(size, self._size - self._at)
        if self._at < len(BHS):
            made = (BHS + FIRST * (size // len(FIRST) + 1))[self._at : self._at + size]
        else:
            into = (self._at - len(BHS)) % len(FIRST)
            made = (FIRST * (size // len(FIRST) + 2))[into : into + size]
        self._at += len(made)
        return made


def test_memory_does_not_grow_with_the_batch(tmp_path: Path, decisions: loading.Decisions) -> None:
    async def peak(size: int) -> tuple[int, int]:
        hurried = _settings(tmp_path).model_copy(update={"batch_within": 1e-9})
        async with assemble.opened(hurried, decisions, clock=lambda: NOW) as gateway:
            tracemalloc.start()
            count = len([None async for _ in _answer(gateway, cast("IO[bytes]", _Endless(size)), settle)])
            _, most = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            return count, most

    few, small = asyncio.run(peak(400_000))
    many, large = asyncio.run(peak(2_000_000))
    assert many > 4 * few > 1000
    assert large < small + 1_000_000, "five times the messages, and no more memory"


def test_one_endless_message_is_no_more_in_memory_than_a_chunk() -> None:
    chunk = b"OBX|1|TX|||" + b"x" * 64_000 + b"\r"
    tracemalloc.start()
    found = list(batch.parts([BHS, b"MSH|^~\\&|\r", *([chunk] * 500)]))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [part.name for part in found] == ["BHS", "MSH"]
    assert found[1].end == len(BHS) + 10 + 500 * len(chunk)
    assert most < 1_000_000


def test_the_answer_of_a_batch_is_a_batch_that_can_be_read(gateway: Running) -> None:
    reply = gateway.send(BHS + FIRST + REFUSED, query="?dry-run=true")
    for name, piece in parts(reply.content):
        if name == "MSH":
            assert read(piece).readable
            assert piece.count(b"\rMSA|") == 1
