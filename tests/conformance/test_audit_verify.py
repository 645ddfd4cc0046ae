"""`gateway audit verify`, and the chain in a journal: what a gateway wrote is whole, and what is done to it is named.

Source: "Audit" in `trust.md` of the design.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import shutil
import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B.auditevent import AuditEvent

from gateway import cli, fhir, loading, specs
from gateway.config import ConfigError
from gateway.fhir import Elements
from gateway.finding import refuses
from gateway.identity.audit_keys import BadAuditKeys, audit_keys, read_keys, renew
from gateway.interactions.anchoring import Anchoring
from gateway.journal import AuditRow, SqliteJournal, sqlite_schema
from gateway.journal.audit_chain import Chaining, key_id, keys_of
from gateway.journal.audit_rows import Kept, each
from gateway.journal.steps import on_sqlite
from tests.running import NHS_NUMBER, NOW, Running, message, running

LOGGED = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \[")
Verify = Callable[..., tuple[int, list[str]]]
SWAP = """UPDATE audit SET id = -3 WHERE id = 3; UPDATE audit SET id = 3 WHERE id = 2;
    UPDATE audit SET id = 2 WHERE id = -3"""
ROWS = ("UPDATE audit SET outcome = 'permit ' WHERE id = 3", "changed: row 3 ")
LAST_OF_FIRST = """DELETE FROM audit WHERE id =
    (SELECT max(id) FROM audit WHERE chain = (SELECT chain FROM audit WHERE id = 1))"""
TAMPERED = {
    "changed": ROWS,
    "a patient's hash taken out": (
        "UPDATE audit SET detail = '{}' WHERE id = (SELECT min(id) FROM audit WHERE action = 'read')", "changed: row "
    ),
    "removed": ("DELETE FROM audit WHERE id = 3", "removed: row 2 "),
    "the first removed": ("DELETE FROM audit WHERE id = 1", "removed: "),
    "inserted": (
        """INSERT INTO audit (instant, at, principal, action, what, rules, outcome, digest)
           SELECT instant, at, principal, action, what, rules, outcome, digest FROM audit WHERE id = 2""",
        "inserted: row ",
    ),
    "reordered": (SWAP, "removed: row 1 |reordered: row 3 "),
    "truncated": ("DELETE FROM audit WHERE id > 3", "truncated: row 3 "),
    "all gone": ("DELETE FROM audit", "truncated: "),
}  # fmt: skip


@pytest.fixture
def verify(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Verify:
    """Run `gateway audit verify`: how it ended, and the lines that it printed."""

    def run(data: Path, *more: str, command: str = "verify") -> tuple[int, list[str]]:
        capsys.readouterr()
        with monkeypatch.context() as patched:
            patched.setattr(sys, "argv", ["gateway", "audit", command, *more, "--data", str(data)])
            with pytest.raises(SystemExit) as ended:
                cli.main()
        printed = capsys.readouterr()
        lines = [*printed.out.splitlines(), *printed.err.splitlines()]
        # a gateway that runs in this process logs to the same output
        return int(ended.value.code or 0), [line for line in lines if not LOGGED.match(line)]

    return run


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, decisions: loading.Decisions) -> Path:
    """The data folder of a gateway that was stopped."""
    data = tmp_path_factory.mktemp("verified") / "data"
    with running(data, decisions) as one:
        used(one)
    return data


def used(one: Running) -> None:
    assert one.send(message()).status_code == 200
    for _ in range(3):
        assert one.search(f"/Patient?_id={NHS_NUMBER}").status_code == 200
        assert one.search(f"/Patient/{NHS_NUMBER}").status_code == 200


def changed(data: Path, statements: str) -> None:
    with closing(sqlite3.connect(data / "journal.db")) as journal:
        for name in ("audit_no_update", "audit_no_delete", "audit_no_replace"):
            journal.execute(f"DROP TRIGGER IF EXISTS {name}")
        journal.executescript(statements)


def test_what_a_gateway_wrote_is_whole(kept: Path, verify: Verify) -> None:
    status, lines = verify(kept)
    assert status == 0
    assert "; 1 chains; " in lines[-1]
    assert lines[-1].endswith("; 0 faults")


@pytest.mark.parametrize("what", TAMPERED)
def test_what_is_done_to_the_rows_is_named_with_the_first_of_them(
    kept: Path, tmp_path: Path, verify: Verify, what: str
) -> None:
    statements, expected = TAMPERED[what]
    shutil.copytree(kept, tmp_path / "data")
    changed(tmp_path / "data", statements)
    status, lines = verify(tmp_path / "data")
    assert status == 1
    assert lines[0].startswith(tuple(expected.split("|"))), lines


def test_a_log_of_anchors_that_was_changed_is_told(kept: Path, tmp_path: Path, verify: Verify) -> None:
    shutil.copytree(kept, tmp_path / "data")
    log = tmp_path / "data" / "audit" / "anchors.ndjson"
    log.write_bytes(log.read_bytes().replace(b'"seq":', b'"seq":1'))
    status, lines = verify(tmp_path / "data")
    assert status == 1
    assert any(line.startswith("anchor: ") and ":1: its seal does not fit" in line for line in lines)


def test_an_anchor_that_was_kept_elsewhere_misses_what_went_with_the_log(
    kept: Path, tmp_path: Path, verify: Verify
) -> None:
    data, elsewhere = tmp_path / "data", tmp_path / "elsewhere.ndjson"
    shutil.copytree(kept, data)
    (data / "audit" / "anchors.ndjson").rename(elsewhere)
    changed(data, "DELETE FROM audit WHERE id > 3")
    assert verify(data)[0] == 0
    status, lines = verify(data, "--anchors", str(elsewhere))
    assert status == 1
    assert lines[0].startswith("truncated: row 3 ")


def test_it_reads_beside_a_running_gateway_which_anchors_as_it_is_told(
    tmp_path: Path, decisions: loading.Decisions, verify: Verify
) -> None:
    log = tmp_path / "worm" / "anchors.ndjson"
    with running(tmp_path / "data", decisions, audit_anchors=log, audit_anchor_rows=1, audit_anchor_seconds=0.1) as one:
        used(one)
        until = time.monotonic() + 60
        while time.monotonic() < until and not (log.exists() and len(log.read_bytes().splitlines()) >= 1):
            time.sleep(0.05)
        assert verify(tmp_path / "data", "--anchors", str(log))[0] == 0
    last = json.loads(log.read_bytes().splitlines()[-1])
    with closing(sqlite3.connect(tmp_path / "data" / "journal.db")) as journal:
        assert journal.execute("SELECT max(seq) FROM audit").fetchone() == (last["seq"],)
    assert log.stat().st_mode & 0o777 == 0o600


async def killed(_: Anchoring) -> None:
    """What a gateway does at its end when it is killed."""


@pytest.mark.parametrize("more", [0, 1])
def test_what_went_behind_the_last_anchor_of_a_killed_run_is_missed_after_the_next_start(
    tmp_path: Path, decisions: loading.Decisions, verify: Verify, monkeypatch: pytest.MonkeyPatch, more: int
) -> None:
    data = tmp_path / "data"
    seldom: dict[str, Any] = {"audit_anchor_rows": 1000, "audit_anchor_seconds": 1000.0}
    with monkeypatch.context() as patched:
        patched.setattr(Anchoring, "end", killed)
        with running(data, decisions, **seldom) as one:
            used(one)
    with closing(sqlite3.connect(data / "journal.db")) as journal:
        (last,) = journal.execute("SELECT max(id) FROM audit").fetchone()
        for _ in range(more):  # what another wrote behind it
            journal.execute(
                """INSERT INTO audit
                (instant, at, principal, action, what, rules, outcome, digest, chain, seq, "key", mac)
                SELECT instant, at, principal, action, what, rules, outcome, digest, 'x', 1, "key", mac
                FROM audit WHERE id = ?""",
                (last,),
            )
        journal.commit()
    with running(data, decisions, **seldom):
        pass
    assert (data / "audit" / "chains").read_bytes() == b""
    changed(data, LAST_OF_FIRST)
    _, lines = verify(data)
    assert any(line.startswith(f"truncated: row {last - 1} ") for line in lines), lines


def test_a_run_that_was_stopped_is_anchored_once(kept: Path) -> None:
    lines = (kept / "audit" / "anchors.ndjson").read_bytes().splitlines()
    assert len({json.loads(line)["seq"] for line in lines}) == len(lines)
    assert (kept / "audit" / "chains").read_bytes() == b""


def test_anchors_are_told_to_the_target_that_is_configured_and_telling_one_makes_no_other(
    tmp_path: Path, decisions: loading.Decisions, verify: Verify
) -> None:
    data, office = tmp_path / "data", tmp_path / "data" / "privacy-office"
    often: dict[str, Any] = {"audit_anchors_to": "privacy-office", "audit_anchor_rows": 1, "audit_anchor_seconds": 0.1}
    with running(data, decisions, targets={"privacy-office": "folder:privacy-office"}, **often) as one:
        assert one.http.get("/Patient/1", headers={"Authorization": "Bearer nonsense"}).status_code == 401
        until = time.monotonic() + 60
        while not list(office.glob("*.json")):
            assert time.monotonic() < until
            time.sleep(0.05)
        time.sleep(1)  # ten times as long as an anchor waits
    (file,) = office.glob("*.json")
    event = json.loads(file.read_bytes())
    AuditEvent.model_validate(event)
    assert not refuses(fhir.validate(event, Elements(specs.fhir())))
    told = base64.b64decode(event["entity"][0]["detail"][0]["valueBase64Binary"])
    (line,) = (data / "audit" / "anchors.ndjson").read_bytes().splitlines(keepends=True)
    assert told == line
    assert verify(data)[0] == 0


def test_a_target_for_anchors_that_takes_no_fhir_is_refused(tmp_path: Path, decisions: loading.Decisions) -> None:
    with (
        pytest.raises(ConfigError, match="names bed-board; declared targets that take Fhir: privacy-office, record"),
        running(tmp_path / "data", decisions, audit_anchors_to="bed-board"),
    ):
        pass


def test_each_run_is_a_chain_and_a_new_key_goes_on_with_it(
    tmp_path: Path, decisions: loading.Decisions, verify: Verify
) -> None:
    data = tmp_path / "data"
    with running(data, decisions, audit_anchor_rows=1) as one:
        used(one)
        status, lines = verify(data, command="new-key")
        assert (status, "1 older keys stay" in lines[0]) == (0, True)
        current = key_id(read_keys(data / "keys" / "audit.key")[0])

        def is_used() -> bool:
            one.search(f"/Patient/{NHS_NUMBER}")
            with closing(sqlite3.connect(data / "journal.db")) as journal:
                return (current,) in journal.execute("SELECT DISTINCT key FROM audit").fetchall()

        until = time.monotonic() + 60
        while not is_used():
            assert time.monotonic() < until
            time.sleep(0.1)
    with running(data, decisions) as one:
        used(one)
    status, lines = verify(data)
    assert status == 0
    assert "; 2 chains; " in lines[-1]
    (data / "keys" / "audit.key").write_bytes((data / "keys" / "audit.key").read_bytes().splitlines(keepends=True)[0])
    status, lines = verify(data)
    assert status == 1
    assert lines[0].startswith("unknown key: row 1 ")


def test_rows_of_a_journal_from_before_there_were_chains_stay_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    before = sqlite_schema.MIGRATIONS[:4]
    with closing(sqlite3.connect(path, isolation_level=None)) as old:
        old.execute("CREATE TABLE schema_version (version INTEGER PRIMARY KEY) STRICT")
        for number, statements in enumerate(before, 1):
            for statement in statements:
                old.execute(statement)
            old.execute("INSERT INTO schema_version VALUES (?)", (number,))
        old.execute(
            "INSERT INTO audit (instant, at, principal, action, what, rules, outcome, digest) "
            "VALUES (1795345200000000, '2026-11-22T11:00:00+00:00', 'p', 'read', 'Patient', '[\"P\"]', 'permit', 'd')"
        )
    chaining = Chaining("a", keys_of([b"k" * 32]))
    row = AuditRow(NOW.isoformat(), "p", None, None, "read", "Patient", ("P",), "permit", "d", patients=("h",))

    async def written() -> tuple[AuditRow, ...]:
        async with SqliteJournal(path, chaining) as journal:
            await asyncio.gather(*(journal.audit(row) for _ in range(3)))
            return await journal.audit_rows(NOW.replace(year=2020))

    told = asyncio.run(written())
    assert [one.patients for one in told] == [(), ("h",), ("h",), ("h",)]
    found: list[Kept] = []
    with closing(sqlite_schema.connect_to_read(path)) as connection:
        on_sqlite(connection, lambda: each(found.append))
    assert [None if one.link is None else one.link.seq for one in found] == [None, 1, 2, 3]
    assert found[0].row == told[0]


# --- the file of keys ----------------------------------------------------------------------------------------------


def test_keys_are_made_once_and_stay_when_there_is_a_new_one(tmp_path: Path) -> None:
    path = tmp_path / "audit.key"
    (first,) = audit_keys(path)
    assert audit_keys(path) == (first,)
    assert renew(path)[1:] == (first,)
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", [b"", b"nonsense\n", b"AAAA\n"])
def test_a_file_that_holds_no_keys_is_said_to_be_so_without_what_it_holds(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "audit.key"
    path.write_bytes(content)
    with pytest.raises(BadAuditKeys) as fault:
        audit_keys(path)
    assert str(path) in str(fault.value)
    assert "nonsense" not in str(fault.value)
