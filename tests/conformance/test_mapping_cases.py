"""Maps as authors write them, with the diagnostics that they must get; `maps/README.md` tells the notation."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gateway import mapping, specs
from gateway.fhir import Elements
from gateway.hl7v2 import dictionary
from gateway.mapping import messages
from gateway.mapping.parse import grammar
from gateway.source import render

HERE = Path(__file__).parent / "maps"
EXPECTED = re.compile(r"# error\[([MR]\d{3})\]: (.*?)(?: = help: (.*))?$")
FILE = re.compile(r"^=== (\S+)\n(.*?)^===\n", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    files: dict[str, str]
    expected: tuple[tuple[str, int, str, str, str | None], ...]


def expectations(name: str, text: str) -> Iterator[tuple[str, int, str, str, str | None]]:
    for number, line in enumerate(text.split("\n"), 1):
        match = EXPECTED.search(line)
        if match is not None:
            yield name, number + line.startswith("#"), match[1], match[2], match[3]


def cases() -> Iterator[Case]:
    for path in sorted(HERE.glob("*.cases")):
        for part in path.read_text(encoding="utf-8").split("\n--- "):
            title, _, body = part.removeprefix("--- ").partition("\n")
            files = {match[1]: match[2] for match in FILE.finditer(body)}
            own = FILE.sub("", body)
            if not own.lstrip("# ").startswith(("language", "error[M001]", "error[M002]")):
                own = "language 1\n\n" + own
            files["hl7v2/segments/case.map"] = own
            expected = tuple(e for name, text in files.items() for e in expectations(name, text))
            yield Case(f"{path.stem}: {title}", files, expected)


CASES = tuple(cases())


@pytest.fixture(scope="module")
def vocabulary() -> Any:
    tables = specs.fhir()
    versions = ("2.3", "2.3.1", "2.4", "2.5", "2.5.1")
    return SimpleNamespace(
        dictionaries={v: dictionary.load(v) for v in versions}, elements=Elements(tables), tables=tables
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder of specifications with the prelude alone."""
    for folder in ("segments", "datatypes", "messages"):
        (tmp_path / "hl7v2" / folder).mkdir(parents=True)
    shutil.copy(HERE / "prelude.map", tmp_path / "hl7v2" / "segments" / "prelude.map")
    (tmp_path / "hl7v2" / "dictionary").symlink_to(specs.ROOT / "hl7v2" / "dictionary")
    shutil.copytree(HERE / "codes", tmp_path / "codes")
    return tmp_path


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_map_gets_the_diagnostics_that_it_must_get(case: Case, root: Path, vocabulary: Any) -> None:
    for name, text in case.files.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    loaded = mapping.load(root, vocabulary, laid=[(name,) for name in mapping.overlays(root)])
    found = {
        (
            d.span.source.name.removeprefix(f"{root}/").removeprefix(f"{root.name}/"),
            d.span.line,
            d.code,
            d.message,
            d.help,
        )
        for d in loaded.diagnostics
    }
    wanted = {(name, line, code, words, hint) for name, line, code, words, hint in case.expected}
    plain = {
        (n, line, c, w, h.replace(f"{root}/", "").replace(f"{root.name}/", "") if h else h)
        for n, line, c, w, h in found
    }
    assert plain == wanted, "\n".join(render(d) for d in loaded.diagnostics)
    assert (loaded.maps is None) == bool(wanted)


def test_every_code_has_a_case() -> None:
    assert {code for case in CASES for _, _, code, _, _ in case.expected if code.startswith("M")} == set(
        messages.REGISTRY
    )


def test_the_grammar_has_no_conflict() -> None:
    assert grammar(strict=True) is not None


def test_a_diagnostic_shows_the_line_and_a_caret(root: Path, vocabulary: Any) -> None:
    text = 'language 1\n\nsegment NK1 to RelatedPerson\n  source "a table"\n  NK1-16 -> birthdate\n'
    (root / "hl7v2/segments/case.map").write_text(text, encoding="utf-8")
    (diagnostic,) = mapping.load(root, vocabulary).diagnostics
    assert render(diagnostic).split("\n")[1:] == [
        f"  --> {root.name}/hl7v2/segments/case.map:5:13",
        "   |",
        "5  |   NK1-16 -> birthdate",
        "   |             ^^^^^^^^^",
        "   = help: did you mean `birthDate`?",
    ]
