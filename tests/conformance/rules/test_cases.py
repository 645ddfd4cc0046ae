"""Rule files as authors write them, with the diagnostics that they must get; README.md here tells the notation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest

from gateway import specs, tabular
from gateway.fhir.elements import Elements
from gateway.fhir.standards import standards
from gateway.hl7v2 import conformance, dictionary
from gateway.language import messages
from gateway.rules import Vocabulary, load_sources
from gateway.rules.lint import lint
from gateway.rules.trial.gaps import unsampled
from gateway.source import Diagnostic, Message, Source

HERE = Path(__file__).parent
TODAY = date(2026, 5, 15)
EXPECTED = re.compile(r"# (error|warning)\[(R\d{3})\]: (.*?)(?: = help: (.*))?$")

# faults of a whole file, which no case can hold: tests/unit/test_rules_load.py
ELSEWHERE = {messages.UNREADABLE_FILE.code, messages.NO_FILES.code}
# what takes a file of megabytes: tests/unit/test_rules_hostile.py
ELSEWHERE |= {
    messages.LONG_STATEMENT.code,
    messages.LONG_FILE.code,
    messages.LARGE_FILE.code,
    messages.MANY_FAULTS.code,
}
# what maps alone can say: tests/unit/test_language_words.py
ELSEWHERE |= {messages.NO_CLOCK.code}


@dataclass(frozen=True, slots=True)
class Expectation:
    """A diagnostic that a case expects; `help` None where it says nothing of it."""

    line: int
    severity: str
    code: str
    message: str
    help: str | None


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    source: Source
    expected: tuple[Expectation, ...]


def cases() -> Iterator[Case]:
    prelude = (HERE / "prelude.rules").read_text(encoding="utf-8")
    for path in sorted(HERE.glob("*.cases")):
        for part in path.read_text(encoding="utf-8").split("\n--- "):
            title, _, body = part.removeprefix("--- ").partition("\n")
            text = body if body.startswith("language") or "a file that doesn't say" in title else f"{prelude}\n{body}"
            yield Case(f"{path.stem}: {title}", Source("case.rules", text), tuple(expectations(text)))


def expectations(text: str) -> Iterator[Expectation]:
    for number, line in enumerate(text.split("\n"), 1):
        match = EXPECTED.search(line)
        if match is not None:
            of_next = line.startswith("#")
            yield Expectation(number + of_next, match[1], match[2], match[3], match[4])


CASES = tuple(cases())


@pytest.fixture(scope="session")
def vocabulary() -> Vocabulary:
    tables = specs.fhir()
    sources = [Source(f"{name}.toml", text) for name, text in LAYOUTS.items()]
    layouts = tabular.load_sources(sources, {"Sex": tabular.Known({"1": 1, "2": 2}.get, frozenset({"1", "2"}))})
    assert not layouts.diagnostics
    versions = {v: dictionary.load(v) for v in dictionary.versions()}
    elements, laid = Elements(tables), frozenset({"uk-core"})
    return Vocabulary(versions, elements, tables, layouts.layouts, laid, conformance.load(), standards(elements))


LAYOUTS = {
    "visits": """title = "Visits"
[columns]
NHS_NUMBER = {}
SITE = {}
SEX = { type = "code", codes = "Sex" }
ARRIVED = { type = "instant", required = true }
COUNT = { type = "integer" }
SEEN = { type = "boolean" }
DAY = { type = "date" }
""",
    "beds": """title = "Beds"
[columns]
SITE = {}
BEDS = { type = "integer", required = true }
NHS_NUMBER = {}
ARRIVED = { required = true }
""",
    "plain": """title = "Without a header line"
[file]
header = false
[columns]
CODE = { required = true }
""",
}


def diagnose(case: Case, vocabulary: Vocabulary) -> tuple[Diagnostic, ...]:
    sources = [Source("registry.rules", (HERE / "registry.rules").read_text(encoding="utf-8"))]
    if not re.search(r"^domain here", case.source.text, re.MULTILINE):
        sources.append(Source("here.rules", (HERE / "prelude.rules").read_text(encoding="utf-8") + SERVES_PATIENTS))
    loaded = load_sources([*sources, case.source], vocabulary, today=TODAY, read=BESIDE.get)
    # what loading doesn't look for is looked for in its own cases alone: all others leave much unused
    looked_for = lint(loaded.rules, loaded.trials) if loaded.rules and case.name.startswith("lint: ") else ()
    return (*loaded.diagnostics, *looked_for, *unsampled(loaded.trials, {case.source.name: SAMPLES}))


# the samples of tests in the language
SAMPLES = frozenset({"samples/a01.hl7", "samples/p.json"})

# the files of lists and code lists
BESIDE = {
    "lists/good.csv": b"# as of 2026-05-10\nnhs-number\n9990000018\n999 000 0026\n",
    "lists/undated.csv": b"nhs-number\n9990000018\n",
    "lists/bad.csv": b"nhs-number\n9990000018\n9990000019\n",
    "lists/latin.csv": b"nhs-number\n\xe9\n",
    "lists/old.csv": b"# as of 2026-05-01\nnhs-number\n9990000018\n",
    "lists/early.csv": b"# as of 2062-05-01\nnhs-number\n9990000018\n",
    "codes/fine.csv": b"system,code,display\nhttp://snomed.info/sct,29857009,Chest pain\n",
    "lists/empty.csv": b"nhs-number\n",
    "codes/empty.csv": b"system,code\n",
    "codes/halves.csv": b"system,code\nhttp://snomed.info/sct,\n",
}


# so that a second domain's grants meet those of the first
SERVES_PATIENTS = """
permit H-P0 "Encounters are shown"
  to read Encounter
  all rows
"""


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_case_gets_its_diagnostics_and_no_others(case: Case, vocabulary: Vocabulary) -> None:
    found = [
        (d.span.line, d.severity, d.code, d.message, d.help)
        for d in diagnose(case, vocabulary)
        if d.span.source is case.source
    ]
    helps = {(e.line, e.code): e.help for e in case.expected}
    shown = [(*one[:4], one[4] if helps.get((one[0], one[2])) is not None else None) for one in found]
    assert sorted(shown, key=str) == sorted(
        ((e.line, e.severity, e.code, e.message, e.help) for e in case.expected), key=str
    )


def test_every_message_has_a_case() -> None:
    held = {expectation.code for case in CASES for expectation in case.expected}
    assert set(messages.REGISTRY) - held - ELSEWHERE == set()


@pytest.mark.parametrize("message", messages.REGISTRY.values(), ids=messages.REGISTRY)
def test_messages_keep_the_style(message: Message) -> None:
    first = re.sub(r"^`[^`]*`|^\{[^}]*\}", "", message.words)
    assert first[:1] in {"", " "} or first[0].islower() or first.startswith(("HL7", "R4"))
    assert not message.words.endswith(".")
    # the author's words stand in backticks
    assert "{word}" not in re.sub(r"`[^`]*`", "", message.words)
