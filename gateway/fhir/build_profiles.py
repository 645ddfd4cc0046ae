"""Writes `specs/fhir/uk-core/` from the published profiles, and tells where the two have drifted apart.

The notation is described in `specs/fhir/uk-core/README.md`; `gateway/specs/profiles.py` reads it. The definitions come
as CSV: profiles element by element, extensions, codes (https://simplifier.net/hl7fhirukcorer4, HL7 UK, Apache-2.0).
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from gateway.fhir.tables import drifted, wrapped, written

_URL = "https://fhir.hl7.org.uk/StructureDefinition/"
_HEAD = (
    "# UK Core, {what}. Source: https://simplifier.net/hl7fhirukcorer4 (HL7 UK, Apache-2.0), restated\n"
    "# Written by `gateway specs build`; README.md here tells the notation.\n"
)
_FAMILY = "UKCore-Observation-VitalSigns"
"""The one profile that others of the set build on."""
_JUDGED = frozenset({"required", "extensible"})
_ANY = "*"
# value sets whose codes are a grammar, not a list. Source: https://hl7.org/fhir/R4/valueset-all-languages.html and
# https://hl7.org/fhir/R4/valueset-all-distance-units.html (which units are lengths is not judged)
_GRAMMARS = {
    "http://hl7.org/fhir/ValueSet/all-languages": "urn:ietf:bcp:47",
    "http://hl7.org/fhir/ValueSet/all-distance-units": "http://unitsofmeasure.org",
}
_FILTER = re.compile(r"[=<^]| in | is-a ")
_INVARIANT = re.compile(r"([a-z0-9-]+)\[(error|warning)\]: (.+)")
_ANCESTOR_SLICE = re.compile(r":[^.]+(?=\.)")
_CORE = "http://hl7.org/fhir/StructureDefinition/"

_Cells = Mapping[str, str]


def write(reference: Path, out: Path) -> None:
    """Write every table of `specs/fhir/uk-core/`.

    Errors: OSError for a missing definition file, KeyError for a missing column.
    """
    written(_files(reference), out)


def drift(reference: Path, out: Path) -> tuple[str, ...]:
    """Names of the tables in `out` that differ from what `write` would write, each with its first differing line."""
    return drifted(_files(reference), out)


def _files(reference: Path) -> dict[str, str]:
    rows, extensions = _read(reference / "profiles.csv"), _read(reference / "extensions.csv")
    urls = {row["url"].rpartition("/")[2]: row["url"] for row in extensions}
    bound = {row["value_set"] for row in rows if row["binding"] in _JUDGED}
    bound |= {url for row in extensions for url in row["value_sets"].split()}
    return {
        "profiles.csv": _profiles(rows),
        "elements.csv": _elements(rows, urls),
        "invariants.csv": _invariants(rows),
        "extensions.csv": _extensions(extensions),
        "codes.txt": _codes(_read(reference / "codes.csv"), bound),
    }


def _read(path: Path) -> list[_Cells]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def _csv(what: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return _HEAD.format(what=what) + text.getvalue()


def _profiles(rows: Sequence[_Cells]) -> str:
    found: dict[str, tuple[str, ...]] = {}
    for row in rows:
        name = row["profile"]
        base = _FAMILY if name.startswith(f"{_FAMILY}-") else ""
        found[name] = (name, row["element"].partition(".")[0], base, row["version"], row["status"])
    return _csv("profiles", ("profile", "type", "base", "version", "status"), found.values())


def _elements(rows: Sequence[_Cells], urls: Mapping[str, str]) -> str:
    """The rows that ask anything: what only says that an element must be supported is left out."""
    fixed = {(row["profile"], row["element"]): row["fixed"].partition("=")[2] for row in rows if row["fixed"]}
    found = []
    for row in rows:
        value_set = row["value_set"] if row["binding"] else ""
        cells = (row["min"], row["max"], _types(row["types"], urls), row["binding"] if value_set else "", value_set)
        value = row["fixed"].partition("=")[2]
        told_by = _told_by(row, fixed)
        if any(cells) or value or told_by:
            found.append((row["profile"], row["element"], *cells, value, told_by))
    names = ("profile", "element", "min", "max", "types", "binding", "value_set", "fixed", "told_by")
    return _csv("what profiles ask of elements", names, found)


def _types(text: str, urls: Mapping[str, str]) -> str:
    """Types with the URL of an extension in full; a profile that a reference asks for as its resource type."""
    code, _, inner = text.partition("(")
    names = inner.removesuffix(")").split("|") if inner else []
    if code == "Extension":
        return f"Extension({urls.get(names[0], _CORE + names[0])})"
    if code == "Reference":
        targets = [name.removeprefix("UKCore-").partition("-")[0] for name in names]
        return f"Reference({'|'.join(targets)})"
    return text


def _told_by(row: _Cells, fixed: Mapping[tuple[str, str], str]) -> str:
    """The members by which a slice's entries are known, `member=value; member=value`; empty where none is fixed.

    Our own reading, as the table has no discriminators: an extension's url, an identifier's or a coding's system, a
    category's coding, a component's code.
    """
    element = row["element"]
    last = element.rpartition(".")[2]
    if ":" not in last or last.startswith("extension:"):
        return ""
    # what holds of every component's coding holds of a certain component's too
    wider = _ANCESTOR_SLICE.sub("", element)
    below = {
        path.removeprefix(f"{start}."): value
        for start in (wider, element)
        for (profile, path), value in fixed.items()
        if profile in _kin(row) and path.startswith(f"{start}.")
    }
    for told in ("system", "coding.system", "code.coding:loinc.code", "code.text"):
        if told in below:
            member = told.replace(":loinc", "")
            also = f"; coding.code={below['coding.code']}" if told == "coding.system" and "coding.code" in below else ""
            return f"{member}={below[told]}{also}"
    return ""


def _kin(row: _Cells) -> tuple[str, ...]:
    return (row["profile"], _FAMILY) if row["profile"].startswith(_FAMILY) else (row["profile"],)


def _invariants(rows: Sequence[_Cells]) -> str:
    found = []
    for row in rows:
        match = _INVARIANT.fullmatch(row["invariants"])
        if match is not None:
            found.append((row["profile"], match[1], row["element"], match[2], match[3]))
    return _csv("invariants in FHIRPath", ("profile", "key", "element", "severity", "fhirpath"), found)


def _extensions(extensions: Sequence[_Cells]) -> str:
    names = ("url", "version", "status", "contexts", "value_types", "value_sets", "parts")
    return _csv("extensions", names, ([row[name] for name in names] for row in extensions))


def _codes(codes: Sequence[_Cells], bound: set[str]) -> str:
    """Value sets that are judged; a system of which a filter takes some codes stands as `*`: any of them."""
    sets: dict[str, dict[str, list[str]]] = {url: {system: [_ANY]} for url, system in _GRAMMARS.items() if url in bound}
    for row in codes:
        if row["value_set"] in bound:
            code = _ANY if _FILTER.search(row["code"]) or not row["code"] else row["code"]
            members = sets.setdefault(row["value_set"], {}).setdefault(row["system"], [])
            if code not in members:
                members.append(code)
    return _HEAD.format(what="the codes of value sets that are judged") + "\n".join(_lines(sets)) + "\n"


def _lines(sets: Mapping[str, Mapping[str, Sequence[str]]]) -> Iterator[str]:
    for value_set in sorted(sets):
        yield value_set
        for system, members in sets[value_set].items():
            yield from wrapped(f"  {system}", [_ANY] if _ANY in members else members)
