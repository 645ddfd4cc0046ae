"""Reads `differences.md` of a real server's folder: how it is known to differ, and why.

Shape of the file: a part by `#` heading, in it a reason by `##` heading with its words, then a line `- NAME` for each
case or test that differs for that reason.
"""

from __future__ import annotations

from pathlib import Path

FILE = "differences.md"
SEARCHES, FACADE = "Searches", "The facade's tests"


def search_differences(kind: str) -> dict[str, str]:
    """Reasons by the name of a case of `tests/conformance/search/`. Shape: `kind` is the folder's name."""
    return _part(kind, SEARCHES)


def facade_differences(kind: str) -> dict[str, str]:
    """Reasons by the file and name of a test marked `any_record`; none for a kind without a folder."""
    return _part(kind, FACADE)


def _part(kind: str, wanted: str) -> dict[str, str]:
    file = Path(__file__).with_name(kind) / FILE
    if not file.exists():
        return {}
    found: dict[str, str] = {}
    part = reason = ""
    for line in file.read_text("utf-8").splitlines():
        if line.startswith("# "):
            part, reason = line[2:], ""
        elif line.startswith("## "):
            reason = line[3:]
        elif line.startswith("- ") and part == wanted:
            found[line[2:]] = reason
    return found
