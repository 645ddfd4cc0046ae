"""`results.md`: a section a scenario; a run writes its own and leaves the others as they are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from tests.fault.scenario import Counts

FILE = Path(__file__).with_name("results.md")
HEAD = """# Fault runs

Written by `make faults`: each section by the run that it names, `python -m tests.fault --only NAME` writes one anew. A
bounded run shows that it works; the long forms are run by hand (`--whole`). Counts that have to be 0 are in bold.
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
