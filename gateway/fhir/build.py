"""Writes `specs/fhir/` from the official R4 definitions, and tells where the two have drifted apart.

The notation is described in `specs/fhir/README.md`; `gateway/specs/` reads it. The definitions come as CSV:
elements, types, formats, invariants, search parameters and required codes (https://hl7.org/fhir/R4/downloads.html).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from gateway.fhir.tables import drifted, wrapped, written
from gateway.specs import FHIR, SEARCH_PARAMETERS, VALUE_SETS

_HEAD = (
    "# FHIR R4 (4.0.1), {what}. Source: {source}\n"
    "# Written by `gateway specs build`; README.md here tells the notation.\n"
)
_KINDS = {"primitive-type": "primitive", "complex-type": "complex", "logical": "logical", "resource": "resource"}

_Cells = Mapping[str, str]


def write(reference: Path, out: Path) -> None:
    """Write every table of `specs/fhir/` that the official definitions determine.

    Errors: OSError for a missing definition file, KeyError for a missing column.
    """
    written(_files(reference), out)


def drift(reference: Path, out: Path) -> tuple[str, ...]:
    """Names of the tables in `out` that differ from what `write` would write, each with its first differing line."""
    return drifted(_files(reference), out)


def _files(reference: Path) -> dict[str, str]:
    types = _read(reference / "types.csv")
    formats = {row["type"]: row for row in _read(reference / "formats.csv")}
    return {
        "types.csv": _types(types, formats),
        "elements.txt": _elements(types, _read(reference / "elements.csv")),
        "search-parameters.csv": _search_parameters(_read(reference / "search-parameters.csv")),
        "codes.txt": _codes(_read(reference / "required-codes.csv")),
        "invariants.csv": _invariant_rows(_read(reference / "invariants.csv")),
    }


def _read(path: Path) -> list[_Cells]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def _csv(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def _types(types: Sequence[_Cells], formats: Mapping[str, _Cells]) -> str:
    rows = []
    for row in types:
        form = formats.get(row["name"], {})
        abstract = "y" if row["abstract"] == "true" else ""
        cells = (row["name"], _KINDS[row["kind"]], abstract, row["base"])
        rows.append((*cells, form.get("max_length", ""), form.get("regex", "")))
    head = _HEAD.format(what="types and the formats of primitives", source=FHIR + "R4/datatypes.html")
    return head + _csv(("name", "kind", "abstract", "base", "max_length", "format"), rows)


def _search_parameters(parameters: Sequence[_Cells]) -> str:
    rows = [
        (
            row["code"],
            row["type"],
            row["bases"],
            row["targets"],
            row["fhirpath"],
            row["components"],
            row["url"].removeprefix(SEARCH_PARAMETERS),
        )
        for row in parameters
    ]
    head = _HEAD.format(what="search parameters", source=FHIR + "R4/searchparameter-registry.html")
    return head + _csv(("code", "type", "bases", "targets", "fhirpath", "components", "url"), rows)


def _invariant_rows(invariants: Sequence[_Cells]) -> str:
    """Each invariant with the element that it is first stated of: three share one key."""
    rows = [(row["key"], row["first_path"], row["severity"], row["fhirpath"]) for row in invariants]
    head = _HEAD.format(what="invariants in FHIRPath", source=FHIR + "R4/conformance-rules.html#constraints")
    return head + _csv(("key", "element", "severity", "fhirpath"), rows)


def _codes(codes: Sequence[_Cells]) -> str:
    """Value sets at the margin; below each a line for each of its systems with the codes, wrapped at 120 columns."""
    sets: dict[str, dict[str, list[str]]] = {}
    for row in codes:
        sets.setdefault(row["value_set"], {}).setdefault(row["system"], []).append(row["code"])
    lines = []
    for value_set in sorted(sets):
        lines.append(value_set.removeprefix(VALUE_SETS))
        for system, members in sets[value_set].items():
            lines.extend(wrapped("  " + _short(system), members))
    head = _HEAD.format(
        what="the codes of value sets bound as required", source=FHIR + "R4/terminologies-valuesets.html"
    )
    return head + "\n".join(lines) + "\n"


def _short(system: str) -> str:
    return system.removeprefix(FHIR) if ":" not in system.removeprefix(FHIR) else system


def _elements(types: Sequence[_Cells], elements: Sequence[_Cells]) -> str:
    table = _ElementTable(types, elements)
    head = _HEAD.format(what="elements", source=FHIR + "R4/resourcelist.html")
    return head + "\n".join(table.lines()) + "\n"


class _ElementTable:
    """The official rows as a tree, from which the indented lines are written."""

    def __init__(self, types: Sequence[_Cells], elements: Sequence[_Cells]) -> None:
        self.bases = {row["name"]: row["base"] for row in types}
        self.rows = {row["path"]: row for row in elements}
        self.children: dict[str, list[str]] = {}
        for path in self.rows:
            parent, dot, name = path.rpartition(".")
            if dot:
                self.children.setdefault(parent, []).append(name)
        self.every = self.rows["Extension.value[x]"]["types"]

    def lines(self) -> Iterator[str]:
        """Every line, a base type always before those that derive from it."""
        yield f"* {self.every}"
        done: set[str] = set()
        for name in self.bases:
            yield from self._type(name, done)

    def _type(self, name: str, done: set[str]) -> Iterator[str]:
        if name in done or name not in self.rows:
            return
        done.add(name)
        yield from self._type(self.bases[name], done)
        words = self._words(self.rows[name]).removeprefix("0..*").lstrip()
        yield f"{name} {words}".rstrip()
        yield from self._below(name, self.bases[name], "  ")

    def _below(self, path: str, base: str, indent: str) -> Iterator[str]:
        for name in self.children.get(path, ()):
            row = self.rows[f"{path}.{name}"]
            words = self._words(row)
            given = self.rows.get(f"{base}.{name}")
            if given is not None and self._words(given) == words:
                continue
            yield f"{indent}{name} {words}"
            child_base = row["types"] if row["types"] in {"Element", "BackboneElement"} else ""
            yield from self._below(row["path"], child_base, indent + "  ")

    def _words(self, row: _Cells) -> str:
        value_set = row["value_set"].partition("|")[0].removeprefix(VALUE_SETS)
        words = (
            f"{row['min']}..{row['max']}",
            "*" if row["types"] == self.every else row["types"],
            row["content_reference"],
            f"<{value_set}>" if row["binding"] == "required" else "",
            "?!" if row["is_modifier"] else "",
            "Σ" if row["in_summary"] else "",
            _invariants(row),
        )
        return " ".join(word for word in words if word)


def _invariants(row: _Cells) -> str:
    return "{" + row["invariants"].replace(" ", ",") + "}" if row["invariants"] else ""
