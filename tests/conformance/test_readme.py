"""What the README shows a reader, run as it stands against `gateway serve --demo`."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.traffic import ROOT, Server, start_gateway

BLOCK = re.compile(r"^```bash\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXPECTED = {
    "$ingest": "MSA|AA|EC-A01-0001|",
    "enrol uhd-mirth": "",
    "--type Fhir": "transaction-response",
    "Patient?_id=9990000018": '"Tallis"',
    "/Flag": '"Flag"',
    "rules check": "",
}
pytestmark = pytest.mark.xdist_group("readme")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    one = start_gateway(tmp_path_factory.mktemp("readme") / "data")
    yield one
    one.stop()


@pytest.mark.timeout(600)  # each line of the examples starts the command anew
@pytest.mark.skipif(
    not (ROOT / ".venv" / "bin" / "gateway").exists(), reason="the README runs `.venv/bin/gateway` of make setup"
)
def test_each_example_of_the_readme_works(tmp_path: Path, server: Server) -> None:
    blocks = BLOCK.findall((ROOT / "README.md").read_text("utf-8"))
    assert len(blocks) == len(EXPECTED)
    environment = {**os.environ, "GATEWAY_DATA": str(server.data), "GATEWAY_URL": server.url}
    for (word, expected), block in zip(EXPECTED.items(), blocks, strict=True):
        assert word in block
        script = (
            block.replace("http://localhost:8000", server.url)
            .replace("--out converted", f"--out {tmp_path}/out")
            .replace("--out made", f"--out {tmp_path}/made")
        )
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script], cwd=ROOT, env=environment, text=True, capture_output=True,
            timeout=280, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
        assert expected in done.stdout


def test_the_pasted_lines_of_make_run_work(server: Server) -> None:
    printed = server.data.with_suffix(".log").read_text("utf-8")
    assert f"{server.url}/swagger/index.html" in printed
    lines = re.findall(r"curl .*?'http[^']*'", printed, re.DOTALL)
    assert len(lines) == 2
    for line in lines:
        done = subprocess.run(["bash", "-c", line], cwd=ROOT, text=True, capture_output=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        assert "MSA|AA" in done.stdout or '"searchset"' in done.stdout, line + done.stdout
