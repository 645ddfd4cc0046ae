"""Reads `differences.md`: how HAPI FHIR is known to differ, and why.

Shape of the file: a part by `#` heading, in it a reason by `##` heading with its words, then a line `- NAME` for each
case or test that differs for that reason.
"""

from __future__ import annotations

from pathlib import Path

FILE = Path(__file__).with_name("differences.md")
SEARCHES, FACADE = "Searches", "The facade's tests"


def search_differences() -> dict[str, str]:
    """Reasons by the name of a case of `tests/conformance/search/`."""
    return _part(SEARCHES)


def facade_differences() -> dict[str, str]:
    """Reasons by the file and name of a test marked `any_record`."""
    return _part(FACADE)


def _part(wanted: str) -> dict[str, str]:
    found: dict[str, str] = {}
    part = reason = ""
    for line in FILE.read_text("utf-8").splitlines():
        if line.startswith("# "):
            part, reason = line[2:], ""
        elif line.startswith("## "):
            reason = line[3:]
        elif line.startswith("- ") and part == wanted:
            found[line[2:]] = reason
    return found
