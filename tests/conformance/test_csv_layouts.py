"""Layouts as analysts write them, with the diagnostics that they must get: code, line, words and help.

A comment `# L013: words = help: words` behind a line expects that diagnostic there, and a case expects no others.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway import fhir, specs, tabular
from gateway.mapping import codes, rows
from gateway.mapping.rows import messages as row_messages
from gateway.source import Diagnostic, Message, Source
from gateway.tabular import messages

EXPECTED = re.compile(r"# (L\d{3}|R\d{3}): (.*?)(?: = help: (.*))?$")
TABLES = specs.fhir()
ELEMENTS = fhir.Elements(TABLES)
CODES = codes.load(specs.ROOT / codes.FOLDER)
CASES = Path(__file__).parent / "layouts"

# faults of a whole file, which no case can hold: below
ELSEWHERE = {messages.NO_TOML.code, messages.UNREADABLE.code, messages.BAD_NAME.code}


@dataclass(frozen=True, slots=True)
class Case:
    """One layout. Shape: `expected` by line: code, message, and help where the case says it."""

    name: str
    text: str
    expected: tuple[tuple[int, str, str, str | None], ...]


def cases() -> Iterator[Case]:
    for path in sorted(CASES.glob("*.cases")):
        for part in path.read_text(encoding="utf-8").split("\n--- "):
            title, _, body = part.removeprefix("--- ").partition("\n")
            lines = body.split("\n")
            found = []
            for number, line in enumerate(lines, 1):
                match = EXPECTED.search(line)
                if match is not None:
                    at = next((n for n, text in enumerate(lines[number - 1 :], number) if text[:1] != "#"), number)
                    if all(text[:1] == "#" for text in lines[:number]):
                        at = 1  # of the file as a whole
                    found.append((at, match[1], match[2], match[3]))
            yield Case(f"{path.stem}: {title}", body, tuple(found))


def diagnosed(source: Source) -> tuple[Diagnostic, ...]:
    loaded = tabular.load_sources([source], rows.known(CODES))
    if loaded.diagnostics:
        return loaded.diagnostics
    return rows.load(loaded.layouts, ELEMENTS, CODES, fhir.Marks(TABLES.systems.marks)).diagnostics


FOUND = tuple(cases())


@pytest.mark.parametrize("case", FOUND, ids=[case.name for case in FOUND])
def test_a_layout_gets_its_diagnostics_and_no_others(case: Case) -> None:
    wanted_help = {(line, code): help_ is not None for line, code, _, help_ in case.expected}
    found = [
        (d.span.line, d.code, d.message, d.help if wanted_help.get((d.span.line, d.code)) else None)
        for d in diagnosed(Source("case.toml", case.text))
    ]
    assert sorted(found, key=str) == sorted(case.expected, key=str)


def test_every_message_has_a_case() -> None:
    held = {code for case in FOUND for _, code, _, _ in case.expected}
    assert {*messages.REGISTRY, *row_messages.REGISTRY} - held - ELSEWHERE == set()
    assert not {*messages.REGISTRY} & {*row_messages.REGISTRY}


@pytest.mark.parametrize("message", [*messages.REGISTRY.values(), *row_messages.REGISTRY.values()], ids=str)
def test_messages_keep_the_style(message: Message) -> None:
    first = re.sub(r"^`[^`]*`", "", message.words)
    assert first[:1] in {"", " "} or first[0].islower()
    assert not message.words.endswith(".")


def test_what_is_no_toml_is_told_at_its_line() -> None:
    (found,) = diagnosed(Source("x.toml", 'title = "x"\n[columns\n'))
    assert (found.code, found.span.line) == ("L001", 2)
    (found,) = diagnosed(Source("x.toml", 'title = "x"\ntitle = "y"\n'))
    assert (found.code, found.span.line) == ("L001", 2)


def test_a_file_that_is_not_utf8_and_a_name_that_is_none(tmp_path: Path) -> None:
    folder = tmp_path / "csv"
    folder.mkdir()
    (folder / "a.toml").write_bytes(b'title = "\xff"')
    (folder / "Bad_Name.toml").write_text('title = "x"\n[columns]\nA = {}\n', "utf-8")
    loaded = tabular.load(tmp_path, {})
    assert [(d.code, d.span.source.name.rpartition("/")[2]) for d in loaded.diagnostics] == [
        ("L003", "Bad_Name.toml"),
        ("L002", "a.toml"),
    ]
    assert loaded.layouts == {}


def test_the_shipped_layouts_load_and_can_be_told_apart() -> None:
    loaded = tabular.load(specs.ROOT, rows.known(CODES))
    assert not loaded.diagnostics
    assert not rows.load(loaded.layouts, ELEMENTS, CODES, fhir.Marks(TABLES.systems.marks)).diagnostics
    assert set(loaded.layouts) == {"ed-attendances", "ods-organisations"}
    assert all(layout.located.data["source"] for layout in loaded.layouts.values())


def layout(needed: str, known: str = "", more: str = "") -> tabular.Layout:
    columns = [f"{name} = {{ required = true }}" for name in needed.split()] + [
        f"{name} = {{}}" for name in known.split()
    ]
    text = "\n".join(['title = "x"', more, "[columns]", *columns])
    loaded = tabular.load_sources([Source("x.toml", text)], {})
    assert not loaded.diagnostics
    return loaded.layouts["x"]


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [
        (layout("A B"), layout("C D"), False),
        (layout("A", "B"), layout("B", "A"), True),
        (layout("A B"), layout("A"), False),
        (layout("A", "B"), layout("A"), True),
        (layout("A B"), layout("A C"), False),
        (layout("A", more='[file]\nstrangers = "pass"'), layout("B"), False),
        (layout("A", more='[file]\nstrangers = "pass"'), layout("B", "A"), True),
        (layout("A", more='[file]\nstrangers = "pass"'), layout("B", more='[file]\nstrangers = "pass"'), True),
        (layout("A", more="[file]\nheader = false"), layout("B"), True),
        (layout("a"), layout("A"), True),
    ],
)
def test_two_layouts_overlap_where_one_header_line_could_be_of_both(
    one: tabular.Layout,
    other: tabular.Layout,
    overlap: bool,  # noqa: FBT001 - what is expected
) -> None:
    assert tabular.overlap(one, other) is overlap
    assert tabular.overlap(other, one) is overlap
