"""The attacks as they stand in the `.cases` files: one request a line, what must be answered behind it.

`README.md` tells the notation.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
SEARCH, READ, EXPORT = "search", "read", "export"
_REQUEST = re.compile(r"(?P<method>\S+) (?P<address>.*?) => (?P<expected>[^\[]*)(?:\[(?P<marks>[^\]]*)\])?$")
_PAGE = re.compile(r"page (?P<name>\S+) (?P<caller>partner|owner) (?P<address>.+)$")
_TOKEN = re.compile(r"\{token:([^}]*)\}")
_LONG = re.compile(r"\{(?P<text>[^{}*]+)\*(?P<times>\d+)\}")
MARKS = frozenset({"exception", "writes", "alone"})


class CasesError(ValueError):
    """A line that is none of the notation; the words name it."""


@dataclass(frozen=True, slots=True)
class Case:
    """One request of the suite.

    Shape: `method` is HTTP's, or `search` and `read`, which are sent in each way that there is; `expected` is one of
    the README's words with what belongs to it; `attack` is false for a control, which must be answered.
    """

    name: str
    method: str
    address: str
    expected: str
    headers: tuple[tuple[str, str], ...] = ()
    body: str | None = None
    marks: frozenset[str] = frozenset()
    attack: bool = True

    @property
    def tokens(self) -> set[str]:
        """The callers whose tokens it names."""
        return set(_TOKEN.findall(self.text))

    @property
    def text(self) -> str:
        """All that is sent, for looking what it names."""
        return "\n".join((self.address, *(f"{name}: {value}" for name, value in self.headers), self.body or ""))


@dataclass(frozen=True, slots=True)
class PageOf:
    """A search whose next page's token some case sends as `{page:NAME}`."""

    name: str
    caller: str
    address: str


@dataclass(slots=True)
class Suite:
    """All that the files hold."""

    cases: list[Case] = field(default_factory=list)
    pages: list[PageOf] = field(default_factory=list)


def suite(folder: Path = FOLDER) -> Suite:
    """Every case, in the order of the files.

    Errors: CasesError.
    """
    found = Suite()
    for path in sorted(folder.glob("*.cases")):
        heading, attack = path.stem, not path.stem.startswith("controls")
        for number, lines in _blocks(path.read_text("utf-8")):
            where = f"{path.name}:{number}"
            first, *more = lines
            if first.startswith("== "):
                heading = first[3:].strip()
            elif (page := _PAGE.match(first)) is not None:
                found.pages.append(PageOf(**page.groupdict()))
            else:
                found.cases.append(_case(where, heading, first, more, attack=attack))
    return found


def seed(folder: Path = FOLDER) -> list[dict[str, Any]]:
    """What the owner stores, in this order; the same id again is the next version, `delete` names one to delete.

    Shape: one with `times` stands for so many, alike but for `{n}` in them.
    """
    stored: list[dict[str, Any]] = json.loads((folder / "seed.json").read_text("utf-8"))
    return [one for resource in stored for one in _repeated(resource)]


def _repeated(resource: dict[str, Any]) -> Iterator[dict[str, Any]]:
    text = json.dumps({name: value for name, value in resource.items() if name != "times"})
    for number in range(1, resource.get("times", 1) + 1):
        yield json.loads(text.replace("{n}", str(number)))


def _blocks(text: str) -> Iterator[tuple[int, list[str]]]:
    """Lines with those below them that are indented, each with the number of its first."""
    block: list[str] = []
    begun = 0
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        if line.startswith("  ") and block:
            block.append(line.strip())
            continue
        if block:
            yield begun, block
        block, begun = [line.rstrip()], number
    if block:
        yield begun, block


def _case(where: str, heading: str, first: str, more: list[str], *, attack: bool) -> Case:
    found = _REQUEST.match(first)
    if found is None:
        raise CasesError(f"{where}: a case is `METHOD address => what must be answered`, not `{first}`")
    marks = frozenset((found["marks"] or "").split())
    if not marks <= MARKS:
        raise CasesError(f"{where}: marks are {', '.join(sorted(MARKS))}, not {', '.join(sorted(marks - MARKS))}")
    headers, body = [], None
    for line in more:
        if body is None and not line.startswith(("{", "[", "<", "| ")):
            name, colon, value = line.partition(":")
            if not colon:
                raise CasesError(f"{where}: `{line}` is neither a header nor a body")
            headers.append((name, _spread(value.strip())))
        else:
            body = (body or "") + line.removeprefix("| ")
    return Case(
        f"{where} {heading}: {first.partition(' => ')[0][:120]}",
        found["method"],
        _spread(found["address"]),
        found["expected"].strip(),
        tuple(headers),
        None if body is None else _spread(body),
        marks,
        attack,
    )


def _spread(text: str) -> str:
    """`{a*9000}` written out."""
    return _LONG.sub(lambda found: found["text"] * int(found["times"]), text)


def filled(case: Case, values: Mapping[str, str]) -> Case:
    """A case with `{base}` and `{page:NAME}` in it replaced.

    Errors: CasesError for a name that nothing has.
    """

    def fill(text: str) -> str:
        for name, value in values.items():
            text = text.replace("{" + name + "}", value)
        if (unknown := re.search(r"\{(base|page:[^}]*|token:[^}]*)\}", text)) is not None:
            raise CasesError(f"{case.name}: nothing is called {unknown[1]}")
        return text

    return Case(
        case.name, case.method, fill(case.address), case.expected,
        tuple((name, fill(value)) for name, value in case.headers),
        None if case.body is None else fill(case.body), case.marks, case.attack,
    )  # fmt: skip
