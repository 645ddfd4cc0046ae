"""How much of HL7's v2-to-FHIR guide our maps express, and how much of that the tests run.

`make tables` writes the figures into `results.md` beside this; `test_guide_coverage.py` holds the bars. A row was run
where it filled something for a text of `maps/datatypes/` or a message of `maps/messages/`; a row of
a code map where its code was led to its target.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from gateway import hl7v2, loading, mapping, specs
from gateway.hl7v2 import dictionary
from gateway.mapping.codes import CodeMap
from gateway.mapping.compile import Library
from gateway.mapping.tracing import Step
from tests.conformance import datatype_cases
from tests.conformance.guide_matching import Listed, Matched, Place, listed, matched, our_codes, our_rows
from tests.conformance.guide_tables import KINDS, Kind, Table, tables

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
RESULTS = HERE / "results.md"
MESSAGES = HERE / "maps" / "messages"
TITLE = "## The tables of HL7's v2-to-FHIR guide"
WORDS: Mapping[Kind, str] = {
    "messages": "messages", "segments": "segments", "datatypes": "data types", "codesystems": "code maps",
}  # fmt: skip
CONTEXT = mapping.Context("R0D", "tests", datetime(2026, 5, 4, 12, tzinfo=UTC), "receipt", "digest")


@dataclass(frozen=True, slots=True)
class Covered:
    """A table with what expresses its rows. Shape: `ran` are those of the rows that some test ran."""

    table: Table
    rows: tuple[Matched, ...]
    ran: tuple[bool, ...]

    @property
    def whole(self) -> bool:
        """Whether each of its rows is expressed, or is listed with the reason."""
        return all(row.places or row.because for row in self.rows)

    @property
    def missing(self) -> tuple[Matched, ...]:
        """The rows that nothing expresses."""
        return tuple(row for row in self.rows if not row.places)

    @property
    def not_run(self) -> tuple[Matched, ...]:
        """The rows that are expressed, and that no test ran."""
        return tuple(row for row, ran in zip(self.rows, self.ran, strict=True) if row.places and not ran)


@dataclass(frozen=True, slots=True)
class Coverage:
    """All of it. Shape: `stale` are lines of our own list that no row of the guide has, or that name no row of ours."""

    tables: tuple[Covered, ...]
    stale: tuple[Listed, ...]


def coverage(shared: Path, root: Path = specs.ROOT) -> Coverage:
    """What the maps below a folder express of the guide's tables.

    Errors: ValueError for maps with faults.
    """
    names = loading.vocabulary(root)
    loaded = mapping.load(root, replace(names, dictionaries={v: dictionary.load(v) for v in ("2.5.1",)}), traced=True)
    if loaded.maps is None or loaded.library is None:
        raise ValueError("the maps have faults: `gateway specs check` tells them")
    ours, codes, lines = our_rows(loaded.statements), our_codes(root), listed(root)
    ran = {*_ran(loaded.maps, loaded.library), *_looked_up(loaded.library.codes)}
    found = []
    for table in tables(shared):
        rows = tuple(matched(table.rows, ours, codes, lines))
        found.append(Covered(table, rows, tuple(row.ran(ran) for row in rows)))
    used = {row.listed.line for table in found for row in table.rows if row.listed is not None and _stands(row)}
    return Coverage(tuple(found), tuple(line for line in lines if line.line not in used))


def _stands(row: Matched) -> bool:
    """Whether the line of our list that a row is matched by says what is so."""
    return row.listed is not None and bool(row.listed.by) == bool(row.places)


def _ran(maps: mapping.Maps, library: Library) -> Iterator[Place]:
    """The rows that the tests' texts and messages run."""
    for case in datatype_cases.cases():
        for step in datatype_cases.converted(case, library).steps:
            yield from places(step)
    for message in _messages():
        for messaging in (False, True):
            for step in maps.convert(hl7v2.read(message), replace(CONTEXT, messaging=messaging)).steps:
                yield from places(step)


def _messages() -> Iterator[bytes]:
    for path in sorted(MESSAGES.glob("*.hl7")):
        yield path.read_bytes()


def places(step: Step) -> Iterator[Place]:
    """File and line of a row that ran, and of the rows inside of it."""
    yield step.row.span.source.name, step.row.span.line
    for inner in step.inner:
        yield from places(inner)


def _looked_up(codes: Mapping[str, CodeMap]) -> Iterator[Place]:
    """The rows of code maps that lead their codes to their targets; for wild cards a number and a text stand in."""
    for code_map in codes.values():
        for row in code_map:
            code = row.code.replace("#", "7").replace("*", "rest")
            found = code_map.find(code)
            if found is not None and found.origin == row.origin:
                yield row.origin.file, row.origin.line


# --- the page ------------------------------------------------------------------------------------------------------


def section(found: Coverage) -> str:
    """The figures as Markdown."""
    lines = [
        TITLE, "",
        "Written by `make tables`. A table is expressed whole where each of its rows with a target is expressed by a",
        "row of ours, or stands in `specs/hl7v2/guide.csv` with the reason why not. A row is run where it fills",
        "something for a case of `maps/datatypes/` or a message of `maps/messages/`; of a code map, where its code is",
        "led on. Where several rows of ours express one of the guide, as those that read a field under several",
        "conditions do, each has to be run; of a message's rows that make the same of a segment in its group, one.",
        "",
        "| tables | expressed whole | rows with a target | expressed | run | of all rows |",
        "|---|---|---|---|---|---|",
        *(_line(WORDS[kind], [t for t in found.tables if t.table.kind == kind]) for kind in KINDS),
    ]  # fmt: skip
    lines.append(_line("all", found.tables))
    lines += ["", "### Rows that are not expressed, by reason", "", "| reason | rows | tables |", "|---|---|---|"]
    lines += _reasons(found.tables)
    lines += ["", "### Rows that are expressed, and that no test runs", ""]
    lines += _listing(found.tables) or ["None."]
    return "\n".join(lines) + "\n"


def _line(name: str, found: Sequence[Covered]) -> str:
    rows = sum(len(t.rows) for t in found)
    expressed = rows - sum(len(t.missing) for t in found)
    ran = sum(sum(t.ran) for t in found)
    whole = f"{sum(t.whole for t in found)} of {len(found)}"
    return f"| {name} | {whole} | {rows} | {expressed} | {ran} | {ran / rows:.1%} |"


def _reasons(found: Iterable[Covered]) -> Iterator[str]:
    by_reason: dict[str, Counter[str]] = {}
    for table in found:
        for row in table.missing:
            by_reason.setdefault(row.because or "**no reason given**", Counter())[table.table.name] += 1
    for because, counts in sorted(by_reason.items(), key=lambda item: (-sum(item[1].values()), item[0])):
        shown = ", ".join(f"{name} {count}" if count > 1 else name for name, count in sorted(counts.items()))
        yield f"| {because.replace('|', chr(92) + '|')} | {sum(counts.values())} | {shown} |"


def _listing(found: Iterable[Covered]) -> list[str]:
    lines = []
    for table in found:
        rows = [f"{row.row.source or '(whole)'} -> {row.row.target}" for row in table.not_run]
        if rows:
            lines.append(f"- {table.table.name}: {'; '.join(rows)}")
    return lines


def part(page: str, title: str) -> str:
    """The part of a page below a title, to the next of the same rank; empty where there is none."""
    found = _part(page, title)
    return found[0].rstrip("\n") + "\n" if found is not None else ""


def _part(page: str, title: str) -> re.Match[str] | None:
    return re.search(rf"^{re.escape(title)}$.*?(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)


def written(page: str, part: str) -> str:
    """A page with a part of it anew: from its title to the next title of the same rank, or at the end."""
    found = _part(page, part.splitlines()[0])
    if found is None:
        return page.rstrip("\n") + "\n\n" + part
    rest = page[found.end() :]
    return page[: found.start()] + part + ("\n" + rest if rest else "")


def main() -> None:
    """Print what is expressed and run, and write it into the results."""
    shared = Path(os.environ.get("GATEWAY_SHARED", ROOT.parent / "shared"))
    found = coverage(shared)
    part = section(found)
    RESULTS.write_text(written(RESULTS.read_text("utf-8"), part), "utf-8")
    print(part)  # noqa: T201 - the figures are what this command is for
    for line in found.stale:
        print(f"specs/{line.table}: line {line.line} of guide.csv says what is not so: {line}")  # noqa: T201


if __name__ == "__main__":
    main()
