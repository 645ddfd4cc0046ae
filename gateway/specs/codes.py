"""Codes of the value sets that FHIR requires: `codes.txt`."""

from __future__ import annotations

from pathlib import Path

from gateway.specs.addresses import FHIR, VALUE_SETS, absolute
from gateway.specs.rows import Origin, SpecsError, lines_of, shown_path


def read_codings(path: Path) -> dict[str, frozenset[tuple[str, str]]]:
    """Pairs of system and code by value set: a line at the margin names one, an indented line a system and its codes.

    Errors: SpecsError.
    """
    name = shown_path(path)
    found: dict[str, set[tuple[str, str]]] = {}
    url = ""
    for number, line in enumerate(lines_of(path), 1):
        if not line or line.startswith("#"):
            continue
        words = line.split()
        if not line.startswith(" "):
            url = absolute(words[0], VALUE_SETS)
            found[url] = set()
        elif not url or len(words) == 1:
            raise SpecsError(Origin(name, number), "codes need a value set above and a system before them")
        else:
            system = absolute(words[0], FHIR)
            found[url].update((system, code) for code in words[1:])
    return {url: frozenset(pairs) for url, pairs in found.items()}
