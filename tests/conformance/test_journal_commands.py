"""`gateway journal` as its user runs it, beside a running gateway and without one. Source: `trust.md`, "Journal"."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import sqlite3
import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import pytest
import structlog

from gateway import cli, loading
from gateway.journal.key_file import new_key
from tests.conftest import ROOT
from tests.running import NHS_NUMBER, NOW, Running, message, running

BAD = {"control_id": "C-BAD", "nhs_number": "9990000019"}
SAMPLE = next((ROOT / "rules" / "samples" / "emergency-care").glob("accepted-*.csv"))
CSV = b"NHS_NUMBER,ARRIVAL\n9990000018,nonsense\n"
pytestmark = pytest.mark.usefixtures("stood_on")


@dataclass(frozen=True)
class Told:
    """What a command printed, and how it ended."""

    status: int
    stdout: str
    stderr: str


class Command(Protocol):
    """Run `gateway journal` in this process."""

    def __call__(self, *arguments: str) -> Told: ...


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def journal(folder: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> Command:
    monkeypatch.setenv("GATEWAY_DATA", str(folder))
    monkeypatch.setenv("NO_COLOR", "1")

    def run(*arguments: str) -> Told:
        capfdbinary.readouterr()
        monkeypatch.setattr(sys, "argv", ["gateway", "journal", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        sys.stdout.flush()
        sys.stderr.flush()
        printed = capfdbinary.readouterr()
        return Told(int(ended.value.code or 0), printed.out.decode(), printed.err.decode())

    return run


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """The gateway's log lines aside: it runs in the process of the commands."""
    before = structlog.get_config()
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    yield
    structlog.configure(**before)


class Clock:
    """A clock that a test moves."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock(NOW)


@pytest.fixture
def gateway(folder: Path, decisions: loading.Decisions, clock: Clock) -> Iterator[Running]:
    with running(folder, decisions, clock=clock) as one:
        yield one


def until(found: Callable[[], bool]) -> None:
    for _ in range(3000):
        if found():
            return
        time.sleep(0.02)
    raise AssertionError("it did not come to pass within 60 s")


def receipt(gateway: Running, address: str) -> Any:
    headers = {"Authorization": f"Bearer {gateway.token('demo-engine')}"}
    return gateway.http.get(f"/$ingest/receipts/{address.rpartition('/')[2]}", headers=headers)


def three(gateway: Running) -> str:
    """An accepted, a refused and a denied one; the first one's receipt."""
    taken = gateway.send(message())
    assert taken.status_code == 200, taken.text
    assert gateway.send(message(**BAD)).status_code == 422
    assert gateway.send(message(control_id="C-NO"), organisation_code="rdz").status_code == 403
    return str(taken.headers["location"]).rpartition("/")[2]


COMMANDS = ["list", "show", "stats", "export", "replay", "purge", "rekey", "new-key"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_shows_an_example(journal: Command, command: str) -> None:
    assert f"gateway journal {command}" in journal(command, "--help").stdout.partition("Example")[2]


def test_submissions_are_listed_shown_counted_and_exported_beside_a_gateway(
    gateway: Running, journal: Command, tmp_path: Path
) -> None:
    first = three(gateway)
    listed = json.loads(journal("list", "--format", "json").stdout)
    assert [(one["controlId"], one["state"]) for one in listed] == [
        ("C-NO", "denied"), ("C-BAD", "refused"), ("C-1", "accepted"),
    ]  # fmt: skip
    table = journal("list", "--outcome", "refused", "--since", "9999d")
    assert "C-BAD" in table.stdout
    assert "EC-C1" in table.stdout
    assert "C-NO" not in table.stdout
    paged = journal("list", "--limit", "2", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(paged.stdout)))
    assert [row["controlId"] for row in rows] == ["C-NO", "C-BAD"]
    more = re.search(r"--before (\S+)", paged.stderr)
    assert more is not None
    rest = json.loads(journal("list", "--before", more[1], "--format", "json").stdout)
    assert [one["controlId"] for one in rest] == ["C-1"]
    shown = journal("show", first, "--body")
    assert shown.status == 0, shown.stderr
    for words in ("EC-P1", "record", "delivered", "what was sent", f"PID|1||{NHS_NUMBER}", "MSA|AA|C-1|"):
        assert words in shown.stdout
    assert NHS_NUMBER not in journal("show", first).stdout
    whole = json.loads(journal("show", first, "--format", "json", "--body").stdout)
    assert whole["body"]["text"].encode() == message()
    counts = json.loads(journal("stats", "--format", "json").stdout)
    assert counts["submissions"] == 3
    assert {"rule": "EC-C1", "state": "refused", "count": 1} in counts["byRule"]
    assert "emergency-care" in journal("stats").stdout
    file = tmp_path / "all.ndjson"
    assert journal("export", "--out", str(file)).stderr.endswith("3 submissions\n")
    lines = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    assert [line["controlId"] for line in lines] == ["C-1", "C-BAD", "C-NO"]
    assert lines[0]["body"]["text"].encode() == message()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    again = journal("export", "--out", str(file))
    assert (again.status, "File exists" in again.stderr) == (1, True)
    piped = journal("export", "--outcome", "denied", "--no-body")
    assert [json.loads(line)["controlId"] for line in piped.stdout.splitlines()] == ["C-NO"]
    assert "body" not in json.loads(piped.stdout)


def test_what_a_sender_chose_can_not_steer_a_terminal_or_a_spreadsheet(gateway: Running, journal: Command) -> None:
    gateway.send(message(control_id="=HYPERLINK(1)"))
    gateway.send(message(control_id="C\x1b[31m"))
    told = journal("list")
    assert "\x1b" not in told.stdout
    assert "C\N{REPLACEMENT CHARACTER}[31m" in told.stdout
    read = csv.DictReader(io.StringIO(journal("list", "--format", "csv").stdout))
    assert "'=HYPERLINK(1)" in [row["controlId"] for row in read]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("list",), "there is no journal at"),
        (("list", "--outcome", "lost"), "is none of received, accepted"),
        (("list", "--since", "yesterday"), "is no moment"),
        (("replay",), "say which"),
        (("replay", "--all", "--rules", "rules"), "goes with --dry-run"),
        (("replay", "--dry-run", "--rules", "nowhere"), "nowhere is no folder"),
        (("rekey",), "no key is configured"),
        (("purge", "--rules", "nowhere"), "nowhere"),
    ],
)
def test_mistakes_get_words(journal: Command, arguments: tuple[str, ...], words: str) -> None:
    told = journal(*arguments)
    assert told.status in {1, 2}
    assert words in " ".join(re.sub(r"[│╭╮╰╯─]", " ", told.stderr).split())
    assert "Traceback" not in told.stderr


def test_an_unknown_receipt_is_told(gateway: Running, journal: Command) -> None:
    assert gateway.send(message()).status_code == 200
    for arguments in (("show", "nobody"), ("list", "--before", "nobody")):
        told = journal(*arguments)
        assert (told.status, "the journal has no receipt nobody" in told.stderr) == (1, True)


def test_dead_letters_are_listed_and_delivered_again_in_order(gateway: Running, journal: Command, clock: Clock) -> None:
    blocked = gateway.data / "bed-board"
    blocked.write_text("a file where the folder should be")
    update = message(kind="ADT^A08", control_id="C-2", name="MARLOW^EDITHA", sent="20261122111500")
    addresses = [gateway.send(body).headers["location"] for body in (message(), update)]
    waits = [target for target in receipt(gateway, addresses[0]).json()["targets"] if target["target"] == "bed-board"]
    assert waits[0]["why"]
    assert NOW <= datetime.fromisoformat(waits[0]["nextAt"]) <= NOW + timedelta(minutes=5)
    assert datetime.fromisoformat(waits[0]["until"]) == NOW + timedelta(hours=72)
    clock.now += timedelta(hours=73)

    def states() -> list[str]:
        return [target["state"] for address in addresses for target in receipt(gateway, address).json()["targets"]]

    until(lambda: states() == ["delivered", "dead", "delivered", "dead"])
    listed = json.loads(journal("replay", "--list", "--format", "json").stdout)
    assert [(one["controlId"], one["target"]) for one in listed] == [("C-1", "bed-board"), ("C-2", "bed-board")]
    assert all("the time that its route gives was over" in one["why"] for one in listed)
    assert "2 dead letters" in journal("replay", "--list").stderr
    counts = json.loads(journal("stats", "--format", "json").stdout)
    assert [(one["target"], one["state"], one["count"]) for one in counts["queue"]] == [("bed-board", "dead", 2)]
    blocked.unlink()
    queued = journal("replay", "--target", "bed-board")
    assert (queued.status, "bed-board: 2 queued again" in queued.stdout) == (0, True)
    assert "delivers them now" in queued.stderr
    clock.now = max(clock.now, datetime.now(UTC)) + timedelta(minutes=10)  # the command queues by the machine's clock
    until(lambda: states() == ["delivered"] * 4)
    written = sorted(blocked.glob("*.hl7"), key=lambda file: file.stat().st_mtime_ns)
    assert [b"C-1" in file.read_bytes() for file in written] == [True, False]
    assert "nothing is dead among them" in journal("replay", "--all").stderr
    assert journal("replay", addresses[0].rpartition("/")[2]).status == 1


def test_a_rehearsal_tells_which_answers_other_rules_would_change(
    gateway: Running, journal: Command, tmp_path: Path
) -> None:
    first = three(gateway)
    more = 'check EC-C90 "Inpatients alone"\n  on Hl7v2\n  require PV1-2 is present and PV1-2 is "I"\n'
    more += '  otherwise error business-rule "no inpatient"\n'
    new = tmp_path / "new"
    shutil.copytree(ROOT / "rules", new)
    with (new / "emergency-care.rules").open("a", encoding="utf-8") as file:
        file.write("\n" + more)
    told = json.loads(journal("replay", "--dry-run", "--rules", str(new), "--format", "json").stdout)
    assert (told["judged"], told["changed"], told["skipped"]) == (3, 2, {})
    changed_receipts = {one["controlId"]: one["receipt"] for one in told["changes"]}
    changed = {one["controlId"]: (one["was"], one["now"]) for one in told["changes"]}
    assert changed["C-1"][0] == {
        "state": "accepted", "rules": ["EC-P1"], "targets": ["bed-board", "record"], "words": [],
    }  # fmt: skip
    assert (changed["C-1"][1]["state"], changed["C-1"][1]["rules"]) == ("refused", ["EC-C90"])
    assert set(changed["C-BAD"][1]["rules"]) == {"EC-C1", "EC-C90"}
    text = journal("replay", "--dry-run", "--rules", str(new), "--type", "ADT^A01").stdout
    assert "accepted by EC-P1, to bed-board, record" in text
    assert "refused by EC-C90" in text
    assert "no inpatient" in text
    found = receipt(gateway, first).json()
    assert (found["state"], found["controlId"]) == ("accepted", "C-1")
    assert "MSA|AA|C-1|" in found["answer"]["body"]
    refused = receipt(gateway, changed_receipts["C-BAD"]).json()
    assert (refused["state"], refused["answer"]["status"]) == ("refused", 422)
    assert "EC-C1" in refused["answer"]["body"]
    assert journal("stats").stdout.startswith("3 submissions\n")


def test_by_the_same_rules_nothing_changes_of_messages_and_files(gateway: Running, journal: Command) -> None:
    usual = {"data_type": "Csv", "Content_Type": "text/csv"}
    assert gateway.send(SAMPLE.read_bytes(), **usual).status_code == 200
    three(gateway)
    assert gateway.send(CSV, **usual).status_code in {400, 422}
    told = journal("replay", "--dry-run")
    assert told.stdout.strip() == "5 judged, 0 would be answered otherwise", told.stdout
    whole = json.loads(journal("show", *_receipts(journal)[:1], "--body", "--format", "json").stdout)
    assert whole["body"]["text"].encode() == CSV


def _receipts(journal: Command) -> list[str]:
    return [one["receipt"] for one in json.loads(journal("list", "--format", "json").stdout)]


def test_retention_takes_out_what_domains_need_no_longer(gateway: Running, journal: Command, tmp_path: Path) -> None:
    first = three(gateway)
    rules = tmp_path / "rules"
    shutil.copytree(ROOT / "rules", rules)
    registry = rules / "emergency-care.rules"
    text = registry.read_text("utf-8")
    kept = text.replace("  acknowledge http-status", "  acknowledge http-status\n  keep accepted for 999 days", 1)
    assert kept != text
    registry.write_text(kept, "utf-8")
    _age(gateway.data)
    told = json.loads(journal("purge", "--dry-run", "--rules", str(rules), "--format", "json").stdout)
    assert [(one["state"], one["count"]) for one in told] == [("refused", 1), ("denied", 1)]
    assert receipt(gateway, first).status_code == 200
    assert "2 submissions were taken out" in journal("purge", "--rules", str(rules)).stdout
    assert receipt(gateway, first).status_code == 200
    assert "1 submissions were taken out" in journal("purge").stdout
    gone = receipt(gateway, first)
    assert gone.status_code == 410
    assert "is kept no longer: it was taken out on" in gone.json()["issue"][0]["diagnostics"]
    listed = json.loads(journal("list", "--format", "json").stdout)
    assert [one["purged"] is not None for one in listed] == [True, True, True]
    assert "taken out" in journal("show", first, "--body").stdout
    skipped = journal("replay", "--dry-run")
    assert "3 not judged: its body was taken out by retention" in skipped.stderr


def _age(data: Path) -> None:
    """Let everything in a journal have come 500 days ago."""
    with closing(sqlite3.connect(data / "journal.db", isolation_level=None)) as file:
        file.execute("UPDATE submission SET received = ?", ((datetime.now(UTC) - timedelta(days=500)).isoformat(),))


def test_the_gateway_takes_out_by_itself_what_is_over(
    folder: Path, decisions: loading.Decisions, clock: Clock, journal: Command
) -> None:
    with running(folder, decisions, clock=clock, purge_every=0.2) as one:
        first = three(one)
        assert one.send(SAMPLE.read_bytes(), data_type="Csv", Content_Type="text/csv").status_code == 200
        assert len(list((folder / "files").glob("*.csv"))) == 1
        clock.now += timedelta(days=401)
        until(lambda: receipt(one, first).status_code == 410)
        until(lambda: all(line["purged"] for line in json.loads(journal("list", "--format", "json").stdout)))
        until(lambda: not list((folder / "files").glob("*.csv")))


def test_a_sealed_journal_holds_nothing_readable_and_needs_its_key(
    folder: Path, decisions: loading.Decisions, journal: Command
) -> None:
    made = journal("new-key", str(folder / "journal.keys"))
    assert made.status == 0, made.stderr
    assert stat.S_IMODE((folder / "journal.keys").stat().st_mode) == 0o600
    (folder / "gateway.toml").write_text('journal_key_file = "journal.keys"\n')
    sealed: dict[str, Any] = {"journal_key_file": "journal.keys", "targets": {"bed-board": "folder:bed-board"}}
    with running(folder, decisions, **sealed) as one:
        (one.data / "bed-board").write_text("in the way")
        answer = one.send(message())
        assert answer.status_code == 202
        assert one.send(message()).content == answer.content
        (one.data / "bed-board").unlink()
        assert one.send(SAMPLE.read_bytes(), data_type="Csv", Content_Type="text/csv").status_code == 200
        shown = journal("show", answer.headers["location"].rpartition("/")[2], "--body")
        assert f"PID|1||{NHS_NUMBER}" in shown.stdout
        busy = journal("rekey")
        assert (busy.status, "a gateway uses this journal: stop it" in busy.stderr) == (1, True)
    found = b"".join(file.read_bytes() for file in folder.glob("journal.db*"))
    assert b"MARLOW" not in found
    assert b"C-1" in found, "what is looked for is not sealed"
    (kept,) = (folder / "files").iterdir()
    assert b"R0D" not in kept.read_bytes()
    file = json.loads(journal("show", _receipts(journal)[0], "--body", "--format", "json").stdout)
    assert file["body"]["text"].encode() == SAMPLE.read_bytes()
    (folder / "gateway.toml").write_text("")
    wrong = new_key()[1]
    for words in ("", wrong):
        with pytest.raises(Exception, match="payloads sealed with key"), running(folder, decisions, journal_keys=words):
            pass
    assert "which is not given" in journal("show", _receipts(journal)[0]).stderr
    assert journal("new-key", str(folder / "journal.keys")).status == 0
    (folder / "gateway.toml").write_text('journal_key_file = "journal.keys"\n')
    again = journal("rekey")
    assert (again.status, "is the only one that the journal needs" in again.stdout) == (0, True), again.stderr
    newest = (folder / "journal.keys").read_text().split()[0]
    (folder / "gateway.toml").write_text(f'journal_keys = "{newest}"\n')
    with running(folder, decisions, journal_keys=newest, targets=sealed["targets"]) as one:
        assert one.send(message()).content == answer.content
        file = json.loads(journal("show", _receipts(journal)[0], "--body", "--format", "json").stdout)
        assert file["body"]["text"].encode() == SAMPLE.read_bytes()
