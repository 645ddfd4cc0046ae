"""What the README shows a reader, run as it stands against `gateway serve --demo`."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.traffic import ROOT, start_gateway

BLOCK = re.compile(r"^```bash\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXPECTED = {
    "$ingest": "MSA|AA|EC-A01-0001|",
    "enrol uhd-mirth": "",
    "--type Fhir": "transaction-response",
    "Patient?_id=9990000018": '"Tallis"',
    "/Flag": '"Flag"',
    "rules check": "",
}


@pytest.mark.timeout(300)  # each line of the examples starts the command anew
@pytest.mark.xdist_group("readme")
@pytest.mark.skipif(
    not (ROOT / ".venv" / "bin" / "gateway").exists(), reason="the README runs `.venv/bin/gateway` of make setup"
)
def test_each_example_of_the_readme_works(tmp_path: Path) -> None:
    blocks = BLOCK.findall((ROOT / "README.md").read_text("utf-8"))
    assert len(blocks) == len(EXPECTED)
    server = start_gateway(tmp_path / "data")
    environment = {**os.environ, "GATEWAY_DATA": str(server.data), "GATEWAY_URL": server.url}
    try:
        for (word, expected), block in zip(EXPECTED.items(), blocks, strict=True):
            assert word in block
            script = (
                block.replace("http://localhost:8000", server.url)
                .replace("--out converted", f"--out {tmp_path}/out")
                .replace("--out made", f"--out {tmp_path}/made")
            )
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", script], cwd=ROOT, env=environment, text=True, capture_output=True,
                timeout=60, check=False,
            )  # fmt: skip
            assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
            assert expected in done.stdout
    finally:
        server.stop()


def test_the_pasted_lines_of_make_run_work(tmp_path: Path) -> None:
    server = start_gateway(tmp_path / "data")
    try:
        printed = (tmp_path / "data.log").read_text("utf-8")
        assert f"{server.url}/swagger/index.html" in printed
        lines = re.findall(r"curl .*?'http[^']*'", printed, re.DOTALL)
        assert len(lines) == 2
        for line in lines:
            done = subprocess.run(
                ["bash", "-c", line], cwd=ROOT, text=True, capture_output=True, timeout=60, check=False
            )
            assert done.returncode == 0, done.stderr
            assert "MSA|AA" in done.stdout or '"searchset"' in done.stdout, line + done.stdout
    finally:
        server.stop()
