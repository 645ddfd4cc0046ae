"""The locks, the bill of materials, the audit: nothing unpinned, nothing left out, no silence taken for a good sign."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

Answer = dict[str, list[dict[str, object]]]
GOOD: Answer = {"dependencies": [{"name": "one", "version": "1", "vulns": []}]}
BAD: Answer = {"dependencies": [{"name": "one", "version": "1", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2"]}]}]}
SKIPPED: Answer = {"dependencies": [{"name": "one", "skip_reason": "not found"}]}


def packages(lock: Path) -> dict[str, str]:
    """Names and versions of a lock."""
    return dict(re.findall(r"^([A-Za-z0-9_.\-]+)(?:\[[^\]]*\])?==([^\s\\;]+)", lock.read_text("utf-8"), re.MULTILINE))


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-run.lock"])
def test_every_package_is_pinned_by_hash(repository: Path, name: str) -> None:
    entries = re.split(r"^(?=[A-Za-z0-9])", (repository / name).read_text("utf-8"), flags=re.MULTILINE)[1:]
    assert len(entries) > 30
    unpinned = [entry.split()[0] for entry in entries if "==" not in entry.split()[0] or "--hash=sha256:" not in entry]
    assert not unpinned


def test_a_deployment_has_the_same_versions_as_were_tested(repository: Path) -> None:
    tested = packages(repository / "requirements.lock")
    for name, version in packages(repository / "requirements-run.lock").items():
        assert tested[name] == version


@pytest.mark.interop  # it takes 5 s
def test_the_bill_of_materials_names_every_package_of_a_deployment(repository: Path, tmp_path: Path) -> None:
    lines = (repository / "Makefile").read_text("utf-8").replace("\\\n", "").splitlines()
    (line,) = [line for line in lines if "cyclonedx-py" in line]
    said = line.replace("$(BIN)", str(Path(sys.executable).parent)).replace("build/sbom.json", str(tmp_path / "sbom"))
    subprocess.run(said.split(), cwd=repository, check=True, capture_output=True)
    made = json.loads((tmp_path / "sbom").read_text("utf-8"))
    assert made["bomFormat"] == "CycloneDX"
    named = {component["name"]: component["version"] for component in made["components"]}
    assert named == packages(repository / "requirements-run.lock")
    assert made["metadata"]["component"]["name"] == "healthcare-exchange-gateway"


def audited(repository: Path, folder: Path, *answers: Answer | None) -> subprocess.CompletedProcess[str]:
    """Run the audit of a lock for each answer's service in turn; None for a service that is not there."""
    folder.mkdir()
    command, told = folder / "pip-audit", folder / "answers.json"
    told.write_text(json.dumps(list(answers)))
    command.write_text(
        f"#!{sys.executable}\nimport json, pathlib, sys\ntold = pathlib.Path({str(told)!r})\n"
        "answer, *rest = json.loads(told.read_text())\ntold.write_text(json.dumps(rest))\n"
        "assert '--strict' in sys.argv\n"
        "if answer is None:\n    sys.exit('no connection')\n"
        "print(json.dumps(answer))\nsys.exit(any(one.get('vulns') for one in answer['dependencies']))\n"
    )
    command.chmod(0o700)
    script = repository / ".ci" / "audit.py"
    locks = [f"lock-{number}" for number in range(2)]
    return subprocess.run(
        [sys.executable, str(script), "--command", str(command), *locks], capture_output=True, text=True, check=False
    )


def test_an_audit_says_what_it_found(repository: Path, tmp_path: Path) -> None:
    good = audited(repository, tmp_path / "good", GOOD, GOOD)
    assert good.returncode == 0
    assert "1 packages asked for at pypi, 0 with known faults" in good.stdout
    other = audited(repository, tmp_path / "other", None, GOOD, GOOD)
    assert other.returncode == 0
    assert "at osv" in other.stdout
    bad = audited(repository, tmp_path / "bad", GOOD, BAD)
    assert bad.returncode == 1
    assert "one 1: PYSEC-1, mended in 2" in bad.stdout


def test_an_audit_that_reached_nobody_is_no_good_sign(repository: Path, tmp_path: Path) -> None:
    empty: Answer = {"dependencies": []}
    silent: dict[str, tuple[Answer | None, ...]] = {
        "none": (None, None, GOOD), "skipped": (SKIPPED, SKIPPED, GOOD), "empty": (empty, None, GOOD),
    }  # fmt: skip
    for name, answers in silent.items():
        done = audited(repository, tmp_path / name, *answers)
        assert done.returncode == 3, name
        assert "lock-0: NOT AUDITED" in done.stdout
    both = audited(repository, tmp_path / "both", None, None, BAD)
    assert both.returncode == 1, "a known fault is told whatever else was not asked"


def test_bandit_leaves_out_only_what_has_a_reason(repository: Path) -> None:
    text = (repository / "pyproject.toml").read_text("utf-8")
    part = text[text.index("[tool.bandit]") : text.index("[tool.coverage.run]")]
    assert all(re.search(r'"B\d+",\s+# \w', line) for line in part.splitlines() if line.strip().startswith('"'))
    lines = [
        (path.name, line)
        for path in sorted((repository / "gateway").rglob("*.py"))
        for line in path.read_text("utf-8").splitlines()
        if "# nosec" in line
    ]
    assert all(re.search(r"# nosec B\d{3}$", line) for _, line in lines), lines
