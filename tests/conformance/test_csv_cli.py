"""`gateway send --type Csv` and `gateway convert` of CSV files, as their users run them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway import cli
from tests.traffic import ROOT, start_gateway

SAMPLES = ROOT / "rules" / "samples"
ATTENDANCES = SAMPLES / "emergency-care" / "accepted-ed-attendances.csv"
REFUSED = SAMPLES / "emergency-care" / "refused-ed-attendances-bad-nhs-number.csv"
ORGANISATIONS = SAMPLES / "reference-data" / "accepted-ods-organisations.csv"
Command = Callable[..., tuple[int, str, str]]
pytestmark = [pytest.mark.xdist_group("files"), pytest.mark.usefixtures("stood_on")]


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str) -> tuple[int, str, str]:
        with monkeypatch.context() as patched:
            patched.setattr(sys, "argv", ["gateway", *arguments])
            with pytest.raises(SystemExit) as ended:
                cli.main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return run


def test_files_are_sent_and_long_ones_followed(
    gateway: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / "long.csv"
    header, *lines = ATTENDANCES.read_text("utf-8").splitlines()
    long.write_text("\n".join([header, *(lines[0].replace("000101", f"9{n:05d}") for n in range(30))]), "utf-8")
    monkeypatch.setenv("GATEWAY_ROWS_AT_ONCE", "20")
    server = start_gateway(tmp_path / "data")
    send = (
        "send", "--type", "Csv", "--principal", "demo-engine", "--domain", "emergency-care", "--organisation", "r0d",
        "--data", str(server.data), "--url", server.url,
    )  # fmt: skip
    try:
        code, out, err = gateway(*send, str(ATTENDANCES))
        assert (code, "HTTP 200" in err) == (0, True)
        assert "rows read 3, stored 3, refused 0" in out
        code, out, err = gateway(*send, str(long))
        assert (code, "HTTP 202" in err) == (0, True)
        assert "accepted: rows read 30, stored 30, refused 0; receipt " in out
        code, out, err = gateway(*send, str(REFUSED), str(ATTENDANCES))
        assert (code, "1 of 2 refused" in err) == (1, True)
        assert "line 3, column NHS_NUMBER" in out
        code, _, err = gateway(*send, "--idempotency-key", "k", str(REFUSED), str(ATTENDANCES))
        assert (code, "--idempotency-key names one file" in err) == (1, True)
    finally:
        server.stop()


def test_files_are_converted_to_a_resource_a_line(gateway: Command, tmp_path: Path) -> None:
    code, _, err = gateway("convert", str(ATTENDANCES), "--organisation", "r0d", "--out", str(tmp_path))
    assert code == 0, err
    made = [json.loads(line) for line in (tmp_path / "accepted-ed-attendances.fhir.ndjson").read_text().splitlines()]
    assert [one["resourceType"] for one in made].count("Encounter") == 3
    code, _, err = gateway(
        "convert", str(ORGANISATIONS), "--organisation", "x26", "--layout", "ods-organisations", "--out", str(tmp_path)
    )
    assert code == 0, err
    for arguments, words in (
        ((str(ORGANISATIONS), "--organisation", "x26"), "the header line is not that of"),
        ((str(ORGANISATIONS), "--organisation", "x26", "--layout", "ods"), "there is no layout ods; known: ed-attend"),
        ((str(ATTENDANCES),), "give --organisation with the sender's ODS code"),
    ):
        code, _, err = gateway("convert", *arguments, "--out", str(tmp_path))
        assert (code, words in " ".join(err.split())) == (1, True), err
