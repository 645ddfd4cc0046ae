"""`results.md`: a section a scenario; a run writes its own and leaves the others as they are."""

from __future__ import annotations

import fcntl
import re
from collections.abc import Mapping
from pathlib import Path

from tests.fault.scenario import Counts

FILE = Path(__file__).with_name("results.md")
HEAD = """# Fault runs

Written by `make faults`: each section by the run that it names, `python -m tests.fault --only NAME` writes one anew. A
bounded run shows that it works; the long forms are run by hand (`--whole`). Counts that have to be 0 are in bold.
"Each start a fork" says that gateways were forked from a process that had imported their modules, loaded the rules and
compiled them (`fork_server.py`); they are processes of their own and are killed as any other. "Each start anew" says
that each was a Python of its own from the beginning. Times are those of a machine that had other work too.
"""


def sections(text: str) -> dict[str, str]:
    """The sections of the file, by the scenario's name."""
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)
    return {
        heading.partition(":")[0]: f"## {heading}{body}" for heading, body in zip(parts[1::2], parts[2::2], strict=True)
    }


def section(name: str, title: str, machine: str, counts: Counts, never: tuple[str, ...]) -> str:
    """One section."""
    rows = [f"| {f'**{key}**' if key in never else key} | {count} |" for key, count in counts.items()]
    return "\n".join(
        [f"## {name}: {title}", "", f"Machine: {machine}", "", "| what | count |", "|---|---|", *rows, "", ""]
    )


def written(text: str, new: Mapping[str, str], order: tuple[str, ...]) -> str:
    """The file with new sections in the place of those that it had, in the order of the scenarios."""
    kept = {**sections(text), **new}
    return HEAD + "\n" + "\n".join(kept[name].rstrip("\n") + "\n" for name in order if name in kept)


def write(name: str, new: str, order: tuple[str, ...]) -> None:
    """Write one section into the file, whoever else writes another meanwhile."""
    with FILE.open("a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        text = file.read()
        file.truncate(0)
        file.write(written(text, {name: new}, order))
