"""The tutorial of `rules/README.md`, step by step as it stands: what is typed, and what is answered."""

from __future__ import annotations

import io
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway import cli
from tests.conformance.rules.support import ROOT

_SECTION = re.compile(r"^## From nothing to a tested rule.*?(?=^## )", re.MULTILINE | re.DOTALL)
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SECONDS = re.compile(r"\d+\.\d\d s\b")
_DIGEST = re.compile(r"rule set [0-9a-f]{12}\b")
COMMAND = "gateway rules "
FAILING = (
    "check falls",  # a word that is misspelt
    "test falls",  # a test that expects the wrong thing
    "diff falls falls-next",  # a difference
)
"""The commands that end with status 1, in their order; the others succeed."""

Run = Callable[[str], "Told"]
pytestmark = pytest.mark.usefixtures("stood_on")


@dataclass(frozen=True)
class Step:
    """What is typed. Shape: `answer` is None where nothing is shown."""

    typed: str
    answer: str | None


@dataclass(frozen=True)
class Told:
    """What was answered, output and errors as a terminal shows them, and the status."""

    text: str
    status: int


def steps(readme: str) -> list[Step]:
    """The steps of the tutorial. Shape: a block of `bash`, and a block of `text` behind it if it answers."""
    section = _SECTION.search(readme)
    assert section is not None
    found: list[Step] = []
    for kind, text in _BLOCK.findall(section[0]):
        if kind == "bash":
            found.append(Step(text, None))
        else:
            assert kind == "text", text
            assert found[-1].answer is None, text
            found[-1] = Step(found[-1].typed, text)
    return found


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a line in a folder of its own: the gateway's in this process, which spares its start, all others by bash."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")

    def gateway(line: str) -> Told:
        shown = io.StringIO()
        with monkeypatch.context() as patched:
            patched.setattr(sys, "argv", shlex.split(line))
            patched.setattr(sys, "stdout", shown)
            patched.setattr(sys, "stderr", shown)
            try:
                cli.main()
            except SystemExit as ended:
                return Told(shown.getvalue(), int(ended.code or 0))
        return Told(shown.getvalue(), 0)

    def shell(text: str) -> Told:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text], cwd=tmp_path, text=True, capture_output=True, timeout=30,
            check=False,
        )  # fmt: skip
        return Told(done.stdout + done.stderr, done.returncode)

    return lambda text: gateway(text) if text.startswith(COMMAND) else shell(text)


def lines(step: Step) -> list[str]:
    """What is run at once: each command of the gateway, any other block as a whole."""
    return step.typed.splitlines() if step.typed.startswith(COMMAND) else [step.typed]


def test_every_step_does_what_the_tutorial_says(run: Run) -> None:
    failed = []
    for step in steps((ROOT / "rules" / "README.md").read_text("utf-8")):
        answered = ""
        for line in lines(step):
            told = run(line)
            answered += told.text
            if told.status:
                assert line.startswith(COMMAND), told.text
                failed.append(line.removeprefix(COMMAND))
        assert _plain(answered) == _plain(step.answer or ""), step.typed
    assert tuple(failed) == FAILING


def test_it_shows_each_tool_that_a_governance_lead_needs() -> None:
    """Source: issue 5, "a tutorial that takes a governance lead from nothing to a tested rule"."""
    typed = [line for step in steps((ROOT / "rules" / "README.md").read_text("utf-8")) for line in lines(step)]
    said = {line.removeprefix(COMMAND).split()[0] for line in typed if line.startswith(COMMAND)}
    assert said == {"check", "test", "fmt", "explain", "show", "diff"}
    assert any("--coverage" in line for line in typed)


def _plain(text: str) -> str:
    """A text without what a change of the gateway may change: how long tests took, the digest, blanks at the end."""
    return _DIGEST.sub("rule set ...", _SECONDS.sub("0.00 s", text)).strip()
