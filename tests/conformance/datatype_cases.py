"""Texts of HL7 v2 data types, and what the maps of `specs/hl7v2/datatypes/` must make of them.

`maps/README.md` tells the notation. `test_mapping_datatypes.py` runs the cases, and the coverage of the tables counts
the rows that they run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from gateway import fhir, hl7v2
from gateway.language.nodes import Word
from gateway.mapping.compile import Library
from gateway.mapping.nodes import Using
from gateway.mapping.run import Run
from gateway.mapping.tracing import Step
from gateway.source import Source, Span

CASES = Path(__file__).parent / "maps" / "datatypes"
HEADER = b"MSH|^~\\&|EPR|R0D|GATEWAY|R0D|20260504120000||ADT^A01|1|P|2.5.1\r"
FACTS = {"context.organisation": "R0D"}
_TITLE = re.compile(r"--- (\w+) to ([\w.]+)(?: as ([\w-]+))?$")
_REFERENCE = re.compile(r"\b([A-Z][A-Za-z]+)/([0-9a-f]{8}-[0-9a-f-]{27})\b")


@dataclass(frozen=True, slots=True)
class Case:
    """One text. Shape: `expected` are the lines of what must come of it: the value, each resource, each finding."""

    datatype: str
    target: str
    variant: str | None
    text: str
    expected: tuple[str, ...]

    @property
    def name(self) -> str:
        """What the case is called."""
        return f"{self.datatype} to {self.target}" + (f" as {self.variant}" if self.variant else "") + f": {self.text}"


@dataclass(frozen=True, slots=True)
class Made:
    """What came of a text. Shape: `lines` as a case has them; `steps` the rows that ran."""

    lines: tuple[str, ...]
    steps: tuple[Step, ...]


def cases() -> Iterator[Case]:
    """Every case of the folder.

    Errors: ValueError for a line before the first title.
    """
    for path in sorted(CASES.glob("*.cases")):
        title: tuple[str, str, str | None] | None = None
        text, expected = "", list[str]()
        for line in [*path.read_text(encoding="utf-8").splitlines(), "--- X to Y"]:
            if line.startswith("  "):
                expected.append(line.strip())
                continue
            if text and title is not None:
                yield Case(*title, text, tuple(expected))
            text, expected = "", []
            match = _TITLE.match(line)
            if match is not None:
                title = (match[1], match[2], match[3])
            elif line.strip() and not line.startswith("#"):
                if title is None:
                    raise ValueError(f"{path.name}: `{line}` stands before the first title")
                text = line


def converted(case: Case, library: Library) -> Made:
    """What the maps make of a case's text, ids of resources numbered as they come."""
    message = hl7v2.read(HEADER)
    run = Run(message, dict(FACTS), ZoneInfo("Europe/London"), message.segments[0])
    nowhere = Span(Source("case", case.name), 0, 0)
    using = Using(
        Word(case.datatype, nowhere), Word(case.target, nowhere),
        Word(case.variant, nowhere) if case.variant else None, nowhere,
    )  # fmt: skip
    value = library.converter(using, 0, laid=False)(case.text, run)
    lines = [_shown(value)] if value is not None else []
    lines += [f"{m.type}/{m.id} {_shown(m.resource)}" for m in run.made.values()]
    lines += [f"{f.rule} {f.diagnostics}" for f in run.findings]
    numbers: dict[str, int] = {}
    told = tuple(
        _REFERENCE.sub(lambda m: f"{m[1]}/{numbers.setdefault(m[0], len(numbers) + 1)}", each) for each in lines
    )
    return Made(told, tuple(run.steps))


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else fhir.dump({"": value}).decode().removeprefix('{"":').removesuffix("}")
