"""What samples are filled with: `specs/samples/` as it stands.

`lists/NAME.csv` are lists of invented things; `hl7v2.csv`, `fhir.csv` and `csv.csv` say what stands in which place.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway import specs
from gateway.specs import Origin, SpecsError

FOLDER = "samples"
_PLACES = ("place", "value", "why")

Entry = Mapping[str, str]
"""One line of a list, by column."""


@dataclass(frozen=True, slots=True, eq=False)
class Lists:
    """Everything that samples are filled with.

    Shape: `lists` by name; `hl7v2`, `fhir` and `csv` texts with holes by place, empty for a place that stays empty.
    """

    lists: Mapping[str, Sequence[Entry]]
    hl7v2: Mapping[str, str]
    fhir: Mapping[str, str]
    csv: Mapping[str, str]


@functools.cache
def load(root: Path = specs.ROOT) -> Lists:
    """The lists and places below `root/samples`, read once.

    Errors: SpecsError.
    """
    folder = root / FOLDER
    lists = {path.stem: _entries(path) for path in sorted((folder / "lists").glob("*.csv"))}
    return Lists(lists, *(_places(folder / f"{name}.csv") for name in ("hl7v2", "fhir", "csv")))


def _entries(path: Path) -> tuple[Entry, ...]:
    rows = specs.table(path)
    if not rows:
        raise SpecsError(Origin(path.name, 1), "a list without a line: add one, or remove the file")
    return tuple(row.values for row in rows)


def _places(path: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for row in specs.table(path):
        if tuple(row.values) != _PLACES:
            raise SpecsError(row.origin, f"the columns are {', '.join(_PLACES)}: correct the header")
        place = row.values["place"]
        if place in found:
            raise SpecsError(row.origin, f"`{place}` stands twice: remove one of the lines")
        found[place] = row.values["value"]
    return found
