"""`gateway rules fmt`, `check --format`, `card` and `textmate`, as their users run them."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway import cli
from gateway.language import messages
from gateway.language.messages import REGISTRY
from gateway.rules.card import MEANINGS
from gateway.rules.messages import LIST_STALE
from gateway.rules.parse import KINDS
from gateway.rules.textmate import keywords, textmate

ROOT = Path(__file__).resolve().parents[2]
Command = Callable[..., tuple[int, str, str]]
LOOSE = 'language 1\n# who\nrole   gp-viewer\n  "Viewer" # who reads\n'
LAID = 'language 1\n\n# who\nrole gp-viewer "Viewer"  # who reads\n'
BROKEN = "language 1\nrole   gp-viewer\n"
MISSPELT = 'language 1\ntarget  record "Record" takes Fire\nrole spare "Spare"\n'
pytestmark = pytest.mark.usefixtures("stood_on")


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str) -> tuple[int, str, str]:
        with monkeypatch.context() as patched:
            patched.setattr(sys, "argv", ["gateway", "rules", *arguments])
            with pytest.raises(SystemExit) as ended:
                cli.main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return run


def test_files_and_folders_are_laid_out(gateway: Command, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    one, two, other = tmp_path / "one.rules", tmp_path / "deep" / "two.rules", tmp_path / "notes.txt"
    for file in (one, two, other):
        file.write_text(LOOSE, "utf-8")
    code, _, told = gateway("fmt", str(tmp_path))
    assert (code, told.count("laid out anew")) == (0, 2)
    assert (one.read_text("utf-8"), two.read_text("utf-8"), other.read_text("utf-8")) == (LAID, LAID, LOOSE)
    assert gateway("fmt", str(one)) == (0, "", "")


def test_check_changes_nothing(gateway: Command, tmp_path: Path) -> None:
    file = tmp_path / "one.rules"
    file.write_text(LOOSE, "utf-8")
    code, _, told = gateway("fmt", "--check", str(tmp_path))
    assert code == 1
    assert f"{file}: would change" in told
    assert "run `gateway rules fmt`" in told
    assert file.read_text("utf-8") == LOOSE
    file.write_text(LAID, "utf-8")
    assert gateway("fmt", "--check", str(file))[0] == 0


def test_a_file_with_errors_is_left_as_it_is_and_the_others_laid_out(gateway: Command, tmp_path: Path) -> None:
    broken, latin, fine = tmp_path / "a.rules", tmp_path / "b.rules", tmp_path / "c.rules"
    broken.write_text(BROKEN, "utf-8")
    latin.write_bytes(LOOSE.replace("who", "ä").encode("latin-1"))
    fine.write_bytes(LOOSE.replace("\n", "\r\n").encode())
    code, _, told = gateway("fmt", str(tmp_path))
    assert code == 1
    assert "error[R002]" in told
    assert "error[R079]" in told
    assert broken.read_text("utf-8") == BROKEN
    assert fine.read_bytes() == LAID.encode()


def test_what_is_not_there_is_said(gateway: Command, tmp_path: Path) -> None:
    code, _, told = gateway("fmt", str(tmp_path / "nothing.rules"))
    assert code == 1
    assert "nothing.rules" in told


def rules_in(folder: Path, text: str) -> Path:
    file = folder / "rules" / "registry.rules"
    file.parent.mkdir()
    file.write_text(text, "utf-8")
    return file.parent


def test_check_as_json(gateway: Command, tmp_path: Path) -> None:
    code, told, _ = gateway("check", str(rules_in(tmp_path, MISSPELT)), "--format", "json")
    (found,) = json.loads(told)
    assert code == 1
    assert (found["code"], found["severity"], found["file"]) == ("R045", "error", "rules/registry.rules")
    assert [found[name] for name in ("line", "column", "endLine", "endColumn")] == [2, 31, 2, 35]
    assert "did you mean `Fhir`?" in found["help"]


def test_check_as_json_tells_what_is_looked_for_without_errors(gateway: Command, tmp_path: Path) -> None:
    code, told, _ = gateway("check", str(rules_in(tmp_path, MISSPELT.replace("Fire", "Fhir"))), "--format", "json")
    assert code == 0
    assert [(one["code"], one["severity"]) for one in json.loads(told)] == [("R165", "warning")] * 2


def test_check_as_sarif(gateway: Command, tmp_path: Path) -> None:
    code, told, _ = gateway("check", str(rules_in(tmp_path, MISSPELT)), "--format", "sarif")
    log = json.loads(told)
    assert code == 1
    # sarif-v2.1.0, 3.13.2 and 3.13.3: the version, and the schema of that version
    assert log["version"] == "2.1.0"
    assert "sarif-schema-2.1.0" in log["$schema"]
    (run,) = log["runs"]
    driver = run["tool"]["driver"]
    # 3.19.8 and 3.49: a name, and each rule's metadata once
    assert driver["name"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", driver["semanticVersion"])
    assert [rule["id"] for rule in driver["rules"]] == sorted(REGISTRY)
    for rule in driver["rules"]:
        assert rule["shortDescription"]["text"]
        assert rule["defaultConfiguration"]["level"] in {"error", "warning"}
        assert rule.get("help", {"text": "said"})["text"]
    (result,) = run["results"]
    # 3.27.5 and 3.27.6: the index is that of the rule with the id; 3.30: regions count from 1, the end is behind
    assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"] == "R045"
    assert result["level"] == "error"
    assert "`Fire`" in result["message"]["text"]
    (location,) = result["locations"]
    place = location["physicalLocation"]
    assert place["artifactLocation"] == {"uri": "rules/registry.rules", "uriBaseId": "%SRCROOT%"}
    assert place["region"] == {"startLine": 2, "startColumn": 31, "endLine": 2, "endColumn": 35}
    assert run["columnKind"] == "unicodeCodePoints"


@pytest.mark.parametrize(
    ("command", "file"),
    [("card", "rules/REFERENCE.md"), ("textmate", "gateway/editor/syntaxes/rules.tmLanguage.json")],
)
def test_what_is_made_from_the_language_is_what_it_makes_now(
    gateway: Command, tmp_path: Path, command: str, file: str
) -> None:
    assert gateway(command, "--check", str(ROOT / file)) == (0, "", "")
    code, told, _ = gateway(command)
    assert (code, told) == (0, (ROOT / file).read_text("utf-8"))
    made = tmp_path / "made"
    assert gateway(command, "--write", str(made))[0] == 0
    assert made.read_text("utf-8") == told
    made.write_text(f"{told}x", "utf-8")
    code, _, words = gateway(command, "--check", str(made))
    assert code == 1
    assert f"gateway rules {command} --write" in words


def test_the_card_tells_of_every_statement() -> None:
    assert set(MEANINGS) == set(KINDS)


def test_shipped_rules_are_without_a_warning(gateway: Command) -> None:
    code, _, told = gateway("check", str(ROOT / "rules"))
    assert code == 0
    # what ends soon and what is stale are told by the day that it is
    assert set(re.findall(r"warning\[(R\d+)\]", told)) <= {messages.SOON.code, LIST_STALE.code}


def scopes(line: str) -> dict[str, str]:
    """Words of a line with the scope that an editor gives them: at each place the first pattern that matches."""
    found, at = {}, 0
    patterns = [(p["name"], re.compile(p.get("match", '"[^"]*"'))) for p in textmate()["patterns"]]
    while at < len(line):
        matches = [(m.start(), i, name, m) for i, (name, p) in enumerate(patterns) if (m := p.search(line, at))]
        if not matches:
            break
        _, _, name, match = min(matches, key=lambda one: one[:2])
        found[match[0]] = name.removesuffix(".gateway-rules")
        at = max(match.end(), at + 1)
    return found


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('permit EC-P1 "Engines \\" send"', {"permit": "keyword.control"}),
        ("  on Hl7v2 ADT^A01, ADT^A03", {"on": "keyword.other", "ADT^A01": "constant.other.message-type"}),
        ("  review by 2027-03-31  # soon", {"by": "keyword.other", "2027-03-31": "constant.other.date",
                                            "# soon": "comment.line.number-sign"}),
        ('  require PID-3.1 and x in "a"', {"PID-3.1": "variable.other.field", "in": "keyword.other",
                                           "and": "keyword.operator.logical", '"a"': "string.quoted.double"}),
        ("  when Encounter.period.start within 12 months", {"Encounter.period.start": "variable.other.element",
                                                            "within": "keyword.other", "12": "constant.numeric"}),
        ("role in-and-out", {"role": "keyword.control"}),
    ],
)  # fmt: skip
def test_an_editor_colours_a_line(line: str, expected: dict[str, str]) -> None:
    shown = scopes(line)
    assert {word: shown.get(word) for word in expected} == expected
    assert "in" not in shown or " in " in line


def test_every_keyword_is_coloured() -> None:
    for word in keywords():
        line = f"{word} " if word in KINDS else f"  {word} "
        assert scopes(line).get(word, "").startswith("keyword"), word


def test_marks_and_line_ends_of_other_editors_are_laid_out_and_stay_one_meaning(
    gateway: Command, tmp_path: Path
) -> None:
    file = tmp_path / "one.rules"
    file.write_bytes(b"\xef\xbb\xbf" + LAID.replace("\n", "\r\n").encode())
    assert gateway("fmt", "--check", str(file))[0] == 1
    assert gateway("fmt", str(file))[0] == 0
    assert file.read_bytes() == LAID.encode()
    assert gateway("fmt", str(file)) == (0, "", "")
