"""Our conversion beside that of others, and the kinds of disagreement: `make corpus` writes both into `results.md`.

The measure is the shared `tools/agreement.py`. A message is converted as for a receiver of FHIR messages, whose
MessageHeader the others make too, and by the sender's own clock where its times have no offset. `disagreements.csv`
says of each kind of disagreement who is right; a leaf is of the first kind that it fits, by its path and its value.
"""

from __future__ import annotations

import csv
import importlib.util
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from gateway import loading, offline

ZONES: Mapping[str, str] = {"reportstream": "UTC"}
"""The clock of the senders of a folder, where it is not the United Kingdom's."""

VERDICTS = ("theirs wrong", "ours wrong", "both allowed")
KINDS = Path(__file__).with_name("disagreements.csv")
_NAMED = 5
"""How many elements of a kind are named."""

_COLUMNS = ("corpus", "side", "path", "value", "verdict", "why")

Leaf = tuple[str, object]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of disagreement.

    Shape: `corpus`, `path` and `value` are patterns as of file names; `side` is `theirs`, `ours` or `*`.
    """

    corpus: str
    side: str
    path: str
    value: str
    verdict: str
    why: str

    def fits(self, corpus: str, side: str, leaf: Leaf) -> bool:
        """Whether a leaf that one side has alone is of this kind."""
        return (
            fnmatchcase(corpus, self.corpus)
            and fnmatchcase(side, self.side)
            and fnmatchcase(leaf[0], self.path)
            and fnmatchcase(str(leaf[1]), self.value)
        )


@dataclass(frozen=True, slots=True)
class Agreement:
    """What came of one folder.

    Shape: `figures` as the shared tool prints them; `kinds` how many leaves each side has alone, None for those of no
    kind, which `unclassified` has by their paths; `paths` how many of each kind stand at each path.
    """

    figures: str
    kinds: Counter[tuple[Kind | None, str]]
    unclassified: Counter[tuple[str, str]]
    paths: Counter[tuple[Kind | None, str]]

    def figure(self, name: str) -> float:
        """One of the figures: `recall`, `precision`, `absent`."""
        return float(dict(part.split("=") for part in self.figures.split())[name])


def kinds() -> tuple[Kind, ...]:
    """The kinds, in the order in which they count. Errors: ValueError for a line that says what none can."""
    with KINDS.open(encoding="utf-8", newline="") as stream:
        rows = csv.DictReader(stream)
        if tuple(rows.fieldnames or ()) != _COLUMNS:
            raise ValueError(f"the columns of {KINDS.name} are {', '.join(_COLUMNS)}")
        found = tuple(Kind(**{name: row[name] or "*" for name in _COLUMNS}) for row in rows)
    wrong = [kind for kind in found if kind.verdict not in VERDICTS or kind.side not in {"theirs", "ours", "*"}]
    if wrong:
        raise ValueError(f"{KINDS.name}: {wrong[0]} has a verdict or a side that is none")
    return found


def converted(
    shared: Path, loaded: loading.Decisions, folder: str, names: Collection[str] | None = None
) -> Iterator[tuple[Path, offline.Converted]]:
    """Each message of a folder with what becomes of it. Shape: those of some `names` alone, where any are given."""
    maps = replace(loaded.maps, zone=ZONES.get(folder))
    for path in sorted((shared / "corpus" / folder).glob("*.hl7")):
        if names is not None and path.name not in names:
            continue
        made = offline.convert(
            path.read_bytes(), maps, loaded.elements,
            organisation=None, rules_digest=loaded.rules.digest, messaging=True,
        )  # fmt: skip
        yield path, made


def measured(shared: Path, loaded: loading.Decisions, folder: str) -> Agreement:
    """The figures of a folder, and the kinds of what disagrees."""
    tool = shared / "tools" / "agreement.py"
    flatten = _tool(tool).flatten
    known, counted, unclassified = kinds(), Counter[tuple[Kind | None, str]](), Counter[tuple[str, str]]()
    paths = Counter[tuple[Kind | None, str]]()
    with tempfile.TemporaryDirectory() as scratch:
        for path, made in converted(shared, loaded, folder):
            if made.bundle is not None:
                (Path(scratch) / f"{path.stem}.fhir.json").write_bytes(made.bundle)
            theirs = _leaves(path.with_suffix(".fhir.json"), flatten)
            if theirs is None:
                continue
            ours = flatten(json.loads(made.bundle)) if made.bundle is not None else Counter()
            for side, alone in (("theirs", theirs - ours), ("ours", ours - theirs)):
                for leaf, number in alone.items():
                    kind = next((each for each in known if each.fits(folder, side, leaf)), None)
                    counted[kind, side] += number
                    paths[kind, leaf[0]] += number
                    if kind is None:
                        unclassified[side, leaf[0]] += number
        command = [sys.executable, str(tool), str(shared / "corpus" / folder), scratch]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return Agreement(told.partition("\n")[0], counted, unclassified, paths)


def report(found: Mapping[str, Agreement]) -> Sequence[str]:
    """The agreement as lines of Markdown."""
    lines = [
        "## Agreement with other converters", "",
        "By `tools/agreement.py` beside the corpus: element by element; a measure, not a verdict. Converted as for a",
        "receiver of FHIR messages (a MessageHeader of each). What one side has alone is of the first kind in",
        "`disagreements.csv` that it fits; elements are counted, theirs that we lack and ours that they lack, and",
        "those that most of a kind are of are named.",
        "",
    ]  # fmt: skip
    lines += [f"- {folder}: {each.figures}" for folder, each in found.items()]
    lines += ["", "| corpus | who is right | theirs alone | ours alone |", "|---|---|---|---|"]
    for folder, each in found.items():
        for verdict in (*VERDICTS, "of no kind"):
            sums = Counter[str]()
            for (kind, side), number in each.kinds.items():
                if (kind.verdict if kind is not None else "of no kind") == verdict:
                    sums[side] += number
            lines.append(f"| {folder} | {verdict} | {sums['theirs']} | {sums['ours']} |")
    lines += ["", "| corpus | path | value | who is right | theirs | ours | why | most of them |"]
    lines += ["|---|---|---|---|---|---|---|---|"]
    for folder, each in found.items():
        for kind in sorted({k for k, _ in each.kinds if k is not None}, key=lambda k: -_both(each, k)):
            cells = (folder, _shown(kind.path), _shown(kind.value), kind.verdict)
            counts = (each.kinds[kind, "theirs"], each.kinds[kind, "ours"])
            lines.append(f"| {' | '.join(cells)} | {counts[0]} | {counts[1]} | {kind.why} | {_most(each, kind)} |")
    return [*lines, ""]


def _shown(pattern: str) -> str:
    """A pattern in a table of Markdown."""
    return f"`{pattern}`" if pattern != "*" else ""


def _most(found: Agreement, kind: Kind) -> str:
    """The elements that most of a kind are of, where its pattern stands for several."""
    at = Counter({path: number for (each, path), number in found.paths.items() if each == kind})
    return ", ".join(f"{path} {number}" for path, number in at.most_common(_NAMED)) if len(at) > 1 else ""


def _both(found: Agreement, kind: Kind) -> int:
    return found.kinds[kind, "theirs"] + found.kinds[kind, "ours"]


def _leaves(path: Path, flatten: Any) -> Counter[Leaf] | None:
    """What another converter made of a message; none where it made none, or nothing that is JSON."""
    if not path.exists():
        return None
    try:
        return Counter(flatten(json.loads(path.read_text("utf-8-sig"))))
    except ValueError:
        return None


def _tool(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location("shared_agreement", path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{path} is no module")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
