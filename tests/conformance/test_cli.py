"""Every command as its user runs it, against a real server in a process of its own."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from gateway import cli, demo
from tests.traffic import ROOT, Server, free_port, start, start_gateway

SAMPLES = ROOT / "rules" / "samples" / "emergency-care"
ACCEPTED = SAMPLES / "accepted-a01-admission.hl7"
REFUSED = SAMPLES / "refused-a01-bad-nhs-number.hl7"
BUNDLE = SAMPLES / "accepted-bundle-transaction-visit.json"
ENDED = (0, -signal.SIGTERM)  # uvicorn ends by the signal again, once it has drained
pytestmark = [pytest.mark.xdist_group("commands"), pytest.mark.usefixtures("stood_on")]


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
    "serve", "demo", "principals enrol", "principals list", "principals revoke", "keys rotate", "keys list",
    "dev-certs", "specs build", "specs check", "specs show", "specs trace", "token", "send",
    "convert", "validate", "sample", "rules check", "openapi", "store serve",
    "audit verify", "audit export", "audit who-saw", "audit new-key",
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
    nowhere = gateway("send", "nowhere.hl7", *usual, data=server.data, url=server.url)
    assert (nowhere.returncode, "gateway: nowhere.hl7: No such file" in nowhere.stderr) == (1, True)


def test_send_prints_each_acknowledgement_of_a_batch(gateway: Command, server: Server, tmp_path: Path) -> None:
    usual = ("--principal", "demo-engine", "--domain", "emergency-care", "--organisation", "r0d")
    batch = tmp_path / "batch.hl7"
    batch.write_bytes(b"BHS|^~\\&|\r" + ACCEPTED.read_bytes() + REFUSED.read_bytes() + b"BTS|2\r")
    told = gateway("send", str(batch), *usual, "--dry-run", data=server.data, url=server.url)
    assert told.returncode == 1
    assert "batch.hl7: HTTP 200, 2 messages, 1 refused" in told.stderr
    assert "1 of 2 refused" in told.stderr
    assert told.stdout.count("\nMSA|") == 2
    batch.write_bytes(b"BHS|^~\\&|\r" + ACCEPTED.read_bytes())
    assert gateway("send", str(batch), *usual, "--dry-run", data=server.data, url=server.url).returncode == 0


def test_send_takes_resources_with_a_key_of_their_own(gateway: Command, server: Server, tmp_path: Path) -> None:
    usual = ("--principal", "demo-engine", "--domain", "emergency-care", "--organisation", "r0d", "--type", "Fhir")
    keyed = ("--idempotency-key", "cli-1")
    first = gateway("send", str(BUNDLE), *usual, *keyed, data=server.data, url=server.url)
    assert first.returncode == 0, first.stderr
    assert "transaction-response" in first.stdout
    other = tmp_path / "other.json"
    other.write_bytes(BUNDLE.read_bytes() + b" ")
    conflict = gateway("send", str(other), *usual, *keyed, data=server.data, url=server.url)
    assert (conflict.returncode, "HTTP 409" in conflict.stderr) == (1, True)
    for wrong in ((str(BUNDLE), str(other), *usual), (str(ACCEPTED), *usual[:-1], "Hl7v2")):
        told = gateway("send", *wrong, *keyed, data=server.data, url=server.url)
        assert (told.returncode, "names one Fhir or Csv file" in told.stderr) == (1, True)


def test_convert_shows_what_would_be_delivered_of_resources(gateway: Command, tmp_path: Path) -> None:
    faulty = tmp_path / "faulty.json"
    faulty.write_text('{"resourceType": "Patient", "gender": "M"}')
    made = gateway("convert", str(BUNDLE), str(faulty), "--organisation", "r0d", "--out", str(tmp_path))
    assert (made.returncode, "Patient.gender" in made.stderr) == (1, True), made.stderr
    bundle = json.loads((tmp_path / f"{BUNDLE.stem}.fhir.json").read_bytes())
    urls = [entry["request"]["url"] for entry in bundle["entry"]]
    assert urls[:2] == ["Organization/R0D", "Patient/9990000123"]
    assert urls[-1].startswith("Provenance/")
    told = gateway("convert", str(BUNDLE), "--out", str(tmp_path / "more"))
    assert told.returncode == 1
    assert "give --organisation" in told.stderr


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
    reference = shared / "reference"
    places = ("--reference", str(reference / "fhir-r4"), "--uk-core", str(reference / "uk-core"))
    built = gateway("specs", "build", "--check", *places)
    assert built.returncode == 0, built.stderr


def test_the_demo_plays(gateway: Command, server: Server) -> None:
    """Issue 4: at least 12 message types, a Bundle, a CSV file and three faulty ones, each accepted one found."""
    sendings = demo.script(ROOT / "rules").sendings
    taken = {one.type for one in sendings if not one.refused}
    assert len({kind for kind in taken if "^" in kind}) >= 12
    assert taken >= {"Bundle", "ed-attendances"}
    assert len({one.domain for one in sendings}) >= 3
    assert sum(bool(one.refused) for one in sendings) == 3
    assert all(one.find for one in sendings if not one.refused)
    played = gateway("demo", data=server.data, url=server.url)
    assert played.returncode == 0, played.stdout + played.stderr
    assert "NO" not in played.stdout.split()
    again = gateway("demo", data=server.data, url=server.url)
    assert again.returncode == 0, again.stdout + again.stderr


def test_a_demo_that_does_not_go_as_its_script_says_is_a_failure(
    gateway: Command, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = tmp_path / "rules"
    shutil.copytree(ROOT / "rules", rules)
    script = rules / "samples" / "demo.toml"
    text = script.read_text("utf-8")
    first = text.index("[[send]]")
    sending = 'type = "ADT^A28"\ndomain = "patient-administration"\nseed = 9\nfind = ["Encounter?patient={patient}"]\n'
    script.write_text(f"{text[:first]}[[send]]\n{sending}", "utf-8")
    monkeypatch.setenv("GATEWAY_RULES", str(rules))
    played = gateway("demo", data=server.data, url=server.url)
    assert (played.returncode, "NO" in played.stdout.split()) == (1, True)
    assert "not everything went as the script" in played.stderr


def test_samples_are_written_and_broken_and_taken(gateway: Command, tmp_path: Path) -> None:
    usual = ("sample", "ADT^A03", "--domain", "emergency-care", "--out", str(tmp_path))
    made = gateway(*usual, "--count", "2", "--seed", "4")
    assert made.returncode == 0, made.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["accepted-adt-a03-4-0.hl7", "accepted-adt-a03-4-1.hl7"]
    alone = gateway("sample", "ADT^A03", "--domain", "emergency-care", "--seed", "4")
    assert alone.stdout.encode() == (tmp_path / "accepted-adt-a03-4-0.hl7").read_bytes()
    assert gateway(*usual, "--faulty", "all").returncode == 0
    assert {"refused-ec-c1-adt-a03-1-0.hl7", "refused-ec-c2-adt-a03-1-0.hl7"} <= {p.name for p in tmp_path.iterdir()}
    wrong = gateway("sample", "ADT^A03", "--domain", "emergency-care", "--faulty", "EC-C22")
    assert (wrong.returncode, "did you mean EC-C2?" in wrong.stderr) == (1, True)


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
