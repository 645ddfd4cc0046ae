"""Every command as its user runs it, against a real server in a process of its own."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from gateway import cli
from tests.traffic import ROOT, Server, free_port, start, start_gateway

SAMPLES = ROOT / "rules" / "samples" / "emergency-care"
ACCEPTED = SAMPLES / "accepted-a01-admission.hl7"
REFUSED = SAMPLES / "refused-a01-bad-nhs-number.hl7"
ENDED = (0, -signal.SIGTERM)  # uvicorn ends by the signal again, once it has drained
pytestmark = pytest.mark.xdist_group("process")


@dataclass(frozen=True)
class Told:
    """What a command printed, and how it ended."""

    returncode: int
    stdout: str
    stderr: str


class Command(Protocol):
    """Run a command line in this process."""

    def __call__(self, *arguments: str, data: Path | None = None, url: str = "") -> Told: ...


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")

    def run(*arguments: str, data: Path | None = None, url: str = "") -> Told:
        with monkeypatch.context() as patched:
            patched.setattr(sys, "argv", ["gateway", *arguments])
            for name, value in (("GATEWAY_DATA", data), ("GATEWAY_URL", url)):
                if value:
                    patched.setenv(name, str(value))
            with pytest.raises(SystemExit) as ended:
                cli.main()
        printed = capsys.readouterr()
        return Told(int(ended.value.code or 0), printed.out, printed.err)

    return run


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    one = start_gateway(tmp_path_factory.mktemp("demo") / "data")
    yield one
    assert one.stop() in ENDED


COMMANDS = [
    "serve", "demo", "principals enrol", "principals list", "principals revoke", "specs build", "token", "send",
    "convert", "rules check", "openapi", "store serve",
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_shows_an_example(gateway: Command, command: str) -> None:
    shown = gateway(*command.split(), "--help")
    assert shown.returncode == 0
    assert f"gateway {command}" in shown.stdout.partition("Example")[2]


def test_a_token_stands_alone_on_the_last_line(gateway: Command, server: Server) -> None:
    told = gateway("token", "--principal", "demo-engine", data=server.data, url=server.url)
    assert told.returncode == 0, told.stderr
    assert re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+", told.stdout.splitlines()[-1])


def test_send_prints_acknowledgements_and_its_status_tells_of_a_refusal(gateway: Command, server: Server) -> None:
    usual = ("--principal", "demo-engine", "--domain", "emergency-care", "--organisation", "r0d")
    good = gateway("send", str(ACCEPTED), *usual, data=server.data, url=server.url)
    assert good.returncode == 0, good.stderr
    assert "\nMSA|AA|EC-A01-0001|" in good.stdout
    both = gateway("send", str(ACCEPTED), str(REFUSED), *usual, data=server.data, url=server.url)
    assert both.returncode == 1
    assert both.stdout.count("MSA|") == 2
    assert "EC-C1" in both.stdout
    dry = gateway("send", str(ACCEPTED), *usual, "--dry-run", data=server.data, url=server.url)
    assert "dry run" in dry.stdout


def test_principals_are_enrolled_listed_and_revoked_while_the_gateway_runs(gateway: Command, server: Server) -> None:
    made = gateway("principals", "enrol", "uhd-mirth", "--new-key", data=server.data)
    assert made.returncode == 0, made.stderr
    assert gateway("token", "--principal", "uhd-mirth", data=server.data, url=server.url).returncode == 0
    assert "uhd-mirth" in gateway("principals", "list", data=server.data).stdout
    assert gateway("principals", "revoke", "uhd-mirth", data=server.data).returncode == 0
    refused = gateway("token", "--principal", "uhd-mirth", data=server.data, url=server.url)
    assert refused.returncode == 1
    assert "invalid_client" in refused.stderr
    again = gateway("principals", "revoke", "uhd-mirth", data=server.data)
    assert (again.returncode, "not enrolled" in again.stderr) == (1, True)


def test_convert_goes_on_after_a_faulty_message_and_reports_it(gateway: Command, tmp_path: Path) -> None:
    faulty = tmp_path / "faulty.hl7"
    faulty.write_text("this is no message")
    made = gateway("convert", str(faulty), str(ACCEPTED), "--out", str(tmp_path / "out"))
    assert made.returncode == 1
    assert "faulty.hl7" in made.stderr
    missing = tmp_path / "missing.hl7"
    twin = tmp_path / ACCEPTED.name
    twin.write_bytes(ACCEPTED.read_bytes())
    more = gateway("convert", str(missing), str(ACCEPTED), str(twin), "--out", str(tmp_path / "more"))
    assert "2 of 3" in more.stderr
    assert "already" in more.stderr
    bundle = json.loads((tmp_path / "out" / f"{ACCEPTED.stem}.fhir.json").read_text())
    assert {"Patient", "Encounter"} <= {entry["resource"]["resourceType"] for entry in bundle["entry"]}


def test_rules_check_points_at_a_mistake(gateway: Command, tmp_path: Path) -> None:
    assert gateway("rules", "check", "rules").returncode == 0
    for file in (ROOT / "rules").glob("*.rules"):
        text = file.read_text("utf-8").replace("Encounter.status in", "Encounter.statos in")
        (tmp_path / file.name).write_text(text, "utf-8")
    bad = gateway("rules", "check", str(tmp_path))
    assert bad.returncode == 1
    assert "^^^" in bad.stderr
    assert "Encounter.status" in bad.stderr
    nowhere = gateway("rules", "check", str(tmp_path / "nowhere"))
    assert (nowhere.returncode, "no folder" in nowhere.stderr) == (1, True)


def test_the_package_runs_as_a_program() -> None:
    shown = subprocess.run([sys.executable, "-m", "gateway", "--help"], cwd=ROOT, capture_output=True, check=True)
    assert b"principals" in shown.stdout


def test_openapi_is_what_is_committed(gateway: Command) -> None:
    committed = ROOT / "openapi" / "openapi.json"
    assert gateway("openapi", "--check", str(committed)).returncode == 0
    assert gateway("openapi").stdout == committed.read_text("utf-8")


def test_openapi_drift_is_told(gateway: Command, tmp_path: Path) -> None:
    written = tmp_path / "openapi.json"
    assert gateway("openapi", "--write", str(written)).returncode == 0
    written.write_text(written.read_text("utf-8").replace("emergency-care", "other"), "utf-8")
    drifted = gateway("openapi", "--check", str(written))
    assert (drifted.returncode, "gateway openapi --write" in drifted.stderr) == (1, True)


def test_specs_are_what_the_command_builds(gateway: Command, shared: Path) -> None:
    built = gateway("specs", "build", "--check", "--reference", str(shared / "reference" / "fhir-r4"))
    assert built.returncode == 0, built.stderr


def test_the_demo_plays(gateway: Command, server: Server) -> None:
    played = gateway("demo", data=server.data, url=server.url)
    assert played.returncode == 0, played.stdout + played.stderr
    assert "9990000018" in played.stdout
    assert played.stdout.count("MSA|") == len(list(SAMPLES.glob("*.hl7")))


def test_a_gateway_started_again_keeps_its_data(gateway: Command, tmp_path: Path) -> None:
    first = start_gateway(tmp_path / "data")
    usual = ("--principal", "demo-engine", "--domain", "emergency-care", "--organisation", "r0d")
    assert gateway("send", str(ACCEPTED), *usual, data=first.data, url=first.url).returncode == 0
    assert first.stop() in ENDED
    second = start_gateway(tmp_path / "data")
    try:
        answer = gateway("send", str(ACCEPTED), *usual, data=second.data, url=second.url)
        assert "\nMSA|AA|EC-A01-0001|" in answer.stdout
    finally:
        second.stop()


def test_the_store_alone_serves_on_loopback(tmp_path: Path) -> None:
    port = free_port()
    store = start("gateway", "store", "serve", "--port", str(port), "--data", str(tmp_path / "alone"), port=port,
                  data=tmp_path / "alone", ready="/metadata")  # fmt: skip
    assert store.stop() in ENDED


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("serve", "--host", "192.0.2.1"), "loopback"),
        (("token", "--principal", "nobody"), "nobody"),
        (("principals", "enrol", "x y", "--secret"), "declare"),
        (("principals", "enrol", "x"), "exactly one"),
        (("principals", "enrol", "uhd-mirt", "--secret"), "did you mean uhd-mirth"),
        (("demo",), "make run"),
    ],
)
def test_mistakes_get_words_not_traces(
    gateway: Command, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    told = gateway(*arguments, data=tmp_path)
    assert told.returncode == 1
    assert words in told.stderr
    assert "Traceback" not in told.stderr


def test_no_gateway_there_is_said_so(gateway: Command, server: Server) -> None:
    told = gateway("token", "--principal", "demo-engine", data=server.data, url="http://localhost:9")
    assert (told.returncode, "no gateway answers" in told.stderr) == (1, True)


@pytest.mark.parametrize(
    ("target", "runs"),
    [
        ("demo", "gateway demo --data"),
        ("run", "gateway serve --demo"),
        ("bench", "-m tests.bench"),
        ("faults", "-m tests.fault"),
    ],
)  # fmt: skip
def test_make_runs_what_there_is(target: str, runs: str) -> None:
    shown = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert runs in shown
    module = re.search(r"-m (tests\.\w+)", shown)
    assert module is None or (ROOT / module[1].replace(".", "/") / "__main__.py").exists()
