"""The leak suite on this gateway, over HTTP, with a recorder between it and its record.

Source: `facade.md` of the design, "Bars"; `leaks/README.md`
"""

from __future__ import annotations

import base64
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import httpx
import pytest

from gateway import assemble
from gateway.app import application
from gateway.config import CREDENTIALS, Settings
from gateway.identity import Credentials
from gateway.upstream import store
from tests import rule_sets
from tests.conformance.leaks import cases
from tests.conformance.leaks.canaries import canaries
from tests.conformance.leaks.recording import Call, Recorder, allowed, forbidden
from tests.conformance.leaks.running import Fault, Run, run
from tests.conformance.leaks.sending import Sender
from tests.records import served
from tests.running import NOW, enrol
from tests.traffic import free_port

SECRETS = {
    "leak-partner": "a-secret-of-the-suites-partner",
    "leak-owner": "a-secret-of-the-suites-owner",
    "leak-breaker": "a-secret-of-the-suites-breaker",
}
NARROW = "system/Encounter.rs"
EVERY_WAY = os.environ.get("GATEWAY_LEAKS") == "all"
"""Whether each attack is sent in each way that there is, as `make leaks` and `make interop` do.

Else a third of them in three ways.
"""
SUITE = cases.suite()
FILES = sorted({case.name.partition(":")[0] for case in SUITE.cases})
MOST_TOLD = 20


@contextmanager
def started(data: Path, repository: Path) -> Iterator[Run]:
    """A gateway with the suite's rules, filled, with a recorder before its record."""
    loaded = rule_sets.decisions(cases.FOLDER / "rules", repository / "specs")
    recorder = Recorder(store.app(data / "record.db"))
    port = free_port()
    with served(recorder, free_port()) as record:
        settings = Settings(
            data=data / "gateway", client_secrets=True, rules_watched=0, targets={"record": record},
            public_url=f"http://127.0.0.1:{port}",
        )  # fmt: skip
        settings.data.mkdir()
        credentials = Credentials(settings.data / CREDENTIALS)
        for principal, secret in SECRETS.items():
            enrol(credentials, principal, secret)
        with served(application(lambda: assemble.opened(settings, loaded, clock=lambda: NOW)), port) as base:
            sender = Sender(base, _tokens(base))
            filled = replace(run(sender, SUITE, recorder), every_way=EVERY_WAY)
            filled.fill()
            yield filled
            sender.close()


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Iterator[Run]:
    """The gateway of this module's tests."""
    with started(tmp_path_factory.mktemp("leaks"), repository) as filled:
        yield filled


def _tokens(base: str) -> dict[str, str]:
    asked, found = {"grant_type": "client_credentials"}, {}
    wanted = [(principal.removeprefix("leak-"), principal, asked) for principal in SECRETS]
    for caller, principal, form in (*wanted, ("narrow", "leak-partner", asked | {"scope": NARROW})):
        auth = (principal, SECRETS[principal])
        reply = httpx.post(f"{base}/$ingest/auth", data=form, auth=auth, trust_env=False)
        assert reply.status_code == 200, reply.text
        found[caller] = str(reply.json()["access_token"])
    return found


def _stands_in(file: str, case: cases.Case) -> bool:
    return case.name.startswith(file) and (EVERY_WAY or not case.attack or zlib.crc32(case.name.encode()) % 3 == 0)


@pytest.mark.timeout(900)
def test_no_attack_is_told_anything_and_every_control_is_answered(one: Run) -> None:
    faults: list[Fault] = []
    for file in FILES:
        one.sender.tokens.update(_tokens(one.sender.base))  # which last for five minutes
        faults += one.faults(partial(_stands_in, file))
    told = "\n".join(str(fault) for fault in faults[:MOST_TOLD])
    assert not faults, f"{len(faults)} faults:\n{told}"
    assert one.tally.attacks >= 300
    assert one.tally.controls >= 40
    assert one.tally.requests >= 2 * one.tally.attacks
    assert one.tally.left == 0
    assert one.tally.calls > 0  # else the recorder is not asked, and its judgement is none


# --- the suite itself sees what it must ----------------------------------------------------------------------------

WORDS = canaries()
OUTS = {
    "as it is": "family: Hidfamily",
    "in capitals": "HIDFAMILY",
    "with JSON's escapes": r"\u0048\u0069dfamily",
    "with HTML's": "&#72;idfamily",
    "percent-encoded": "%48idfamily",
    "percent-encoded twice": "%2548idfamily",
    "in Base64": base64.b64encode(b"name=Hidfamily").decode(),
    "in Base64 for addresses": base64.urlsafe_b64encode(b"??>Hidfamily").decode(),
    "in a longer Base64": base64.b64encode(b"more of it, then Hidfamily and more").decode()[1:],
    "hexadecimal": b"Hidfamily".hex(),
    "a value": '{"birthDate":"1931-07-09"}',
}


@pytest.mark.parametrize("way", OUTS)
def test_a_word_is_seen_however_it_leaves(way: str) -> None:
    assert WORDS.told([f"before {OUTS[way]} after".encode()])
    assert not WORDS.told([OUTS[way]], asked="Hidfamily 1931-07-09")


def test_every_hidden_word_of_the_seed_has_a_decoy_as_long() -> None:
    assert len(WORDS.words) > 80
    for word in WORDS.words:
        twin = WORDS.twin(word)
        assert twin != word
        assert len(twin) == len(word)
        assert twin not in WORDS.words


CALLS = [
    (Call("GET", "MedicationRequest", "patient=seen-pat-1", ""), "may not be searched"),
    (Call("GET", "Patient", "_id=seen-pat-1&phone=0", ""), "by phone"),
    (Call("GET", "Patient", "_id=seen-pat-1&_sort=-address", ""), "by address"),
    (Call("POST", "Patient/_search", "", "_id=seen-pat-1&phone=0"), "by phone"),
    (Call("GET", "Encounter", "patient=seen-pat-1&subject%3APatient.family=x", ""), "by subject:Patient.family"),
    (Call("GET", "Encounter", "patient=seen-pat-1&_include=Encounter%3Alocation", ""), "by _include"),
    (Call("GET", "Encounter", "_id=hid-enc-1", ""), "it names hid-enc-1"),
    (Call("GET", "List/hid-list-1", "", ""), "List may not be read"),
    (Call("GET", "Provenance/hid-prov-1/_history", "", ""), "versions of Provenance"),
    (Call("GET", "Patient/_history", "", ""), "none that may be asked"),
    (Call("GET", "Patient/seen-pat-1/$everything", "", ""), "none that may be asked"),
    (Call("PUT", "Flag/a", "", "{}"), "neither a search"),
    (Call("POST", "", "", '{"entry":[{"request":{"method":"GET","url":"List/hid-list-1"}}]}'), "List may not be read"),
    (Call("POST", "", "", '{"entry":[{"request":{"method":"PUT","url":"Flag/a"}}]}'), "writes"),
]
RIGHT = [
    Call("GET", "Patient", "_id=seen-pat-1&_count=50&_total=none", ""),
    Call("GET", "Encounter", "subject=Patient%2Fhid-pat-1&_count=200", ""),
    Call("POST", "", "", '{"entry":[{"request":{"method":"GET","url":"Patient/hid-pat-1"}}]}'),
    Call("GET", "Encounter/seen-enc-1/_history/1", "", ""),
]


@pytest.mark.parametrize("number", range(len(CALLS)))
def test_a_forbidden_call_is_told(number: int) -> None:
    call, words = CALLS[number]
    told = list(forbidden([call], allowed(), WORDS, "", writes=False))
    assert any(words in one for one in told), told


def test_a_call_that_rules_need_is_not() -> None:
    assert list(forbidden(RIGHT, allowed(), WORDS, "", writes=False)) == []


def test_a_case_that_nobody_can_read_is_refused(tmp_path: Path) -> None:
    for line in ("search Patient?_id=1", "read Patient/1 => absent [often]", "read Patient/1 => absent\n  no header"):
        (tmp_path / "x.cases").write_text(line, "utf-8")
        with pytest.raises(cases.CasesError, match=r"x\.cases:1"):
            cases.suite(tmp_path)
