"""Code maps as functions: of a text, and of what a data type's map made of a coded element."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gateway.mapping.codes import UNITS, Coded, CodeMap
from gateway.mapping.primitives import PRIMITIVES, counted, later
from gateway.mapping.run import Json, Run
from gateway.mapping.targets import Place

Lookup = Callable[[str], "Coded | None"]

SYSTEMS = "CodingSystem"
"""The code map that leads from HL7's names of coding systems to their URIs."""


LOCAL = "L"
"""HL7's name of a coding system that is not named. Source: HL7 table 0396."""


_KNOWN = 1024
"""Codes of a map that are kept with their values: a row may stand for any number of codes."""


def translator(name: str, found: Place, codes: Mapping[str, CodeMap]) -> Callable[[str, Run], Any]:
    """A text to what a code map has for it: of a string its display, else its code."""
    lookup, kind = _lookup(codes[name]), found.type
    convert = PRIMITIVES[kind]
    closed = found.value_set is not None
    known: dict[str, Any] = {}  # what the map has a row for, which no sender can add to

    def read(text: str, run: Run) -> Any:
        value = known.get(text)
        if value is not None:
            return value
        row = lookup(text.strip())
        if row is not None:
            value = convert(row.display if kind == "string" else row.to_code, run.zone)
            if text == row.code and kind != "dateTime" and len(known) < _KNOWN:
                known[text] = value
            return value
        if closed:
            run.reject(kind, code=True)
        elif kind != "string":  # a display is no loss: its code is there
            run.lose()
        return None

    return read


def adder(codes: Mapping[str, CodeMap]) -> Callable[[str, str, str, Run], str | None]:
    """A moment, a length of time and its unit to the moment after it."""
    lookup = _lookup(codes[UNITS])

    def add(start: str, length: str, unit: str, run: Run) -> str | None:
        row = lookup(unit.strip())
        return later(start, length, row.to_code if row is not None else None, run.zone)

    return add


def counter(wanted: str, kind: str, codes: Mapping[str, CodeMap]) -> Callable[[str, str, Run], Any]:
    """A length of time and its unit to what it is in another unit, as a value of a FHIR type."""
    lookup, convert = _lookup(codes[UNITS]), PRIMITIVES[kind]

    def count(length: str, unit: str, run: Run) -> Any:
        row = lookup(unit.strip()) if length else None
        told = counted(length, row.to_code, wanted, run.zone) if row is not None else None
        value = convert(told, run.zone) if told is not None else None
        if value is None and length:
            run.lose()
        return value

    return count


def recoded(name: str, found: Place, codes: Mapping[str, CodeMap]) -> Callable[[Any, Run], Any]:
    """What a data type's map made, with its code led on by a code map."""
    lookup, kind = _lookup(codes[name]), found.type
    if kind in {"CodeableConcept", "Coding"}:
        known = codes.get(SYSTEMS)
        systems = {row.system: known.find(row.system) if known else None for row in codes[name]}
        uris = {system: row.to_code if row is not None else None for system, row in systems.items()}
        if kind == "Coding":
            return lambda coding, run: _first(coding, lookup, uris, run)
        return lambda concept, run: _concept(concept, lookup, uris, run)
    convert = PRIMITIVES[kind]

    def code(value: Any, run: Run) -> Any:
        row = lookup(str(value))
        if row is None:
            run.reject(kind, code=True)
            return None
        return convert(row.to_code, run.zone)

    return code


def _lookup(codes: CodeMap) -> Lookup:
    return codes.find if codes.patterns else codes.rows.get


def _concept(concept: Json, lookup: Lookup, uris: Mapping[str, str | None], run: Run) -> Json:
    """A concept's first coding, and others that say that they are of the map's own system."""
    codings = concept.get("coding")
    if codings:
        codings[0] = _first(codings[0], lookup, uris, run)
        for number, coding in enumerate(codings[1:], 1):
            if "system" in coding:
                codings[number] = _coding(coding, lookup, uris)
    return concept


def _first(coding: Json, lookup: Lookup, uris: Mapping[str, str | None], run: Run) -> Json:
    """A coding as the map has it; a code that it doesn't know is kept, and reported where no system stands by it."""
    code = coding.get("code")
    if code and uris and "system" not in coding and lookup(code) is None and not _named(coding):
        run.lack()
    return _coding(coding, lookup, uris)


def _coding(coding: Json, lookup: Lookup, uris: Mapping[str, str | None]) -> Json:
    """A coding of the map's own system, or of none, as the map has it; any other as it was sent."""
    row = lookup(coding.get("code", ""))
    if row is None:
        return coding
    system = coding.get("system")
    if (system is not None and system != uris[row.system]) or _named(coding):
        return coding
    made = {"code": row.to_code}
    if row.to_system:
        made["system"] = row.to_system
    display = row.display or coding.get("display")
    if display:
        made["display"] = display
    return made


def _named(coding: Json) -> bool:
    """Whether the sender says that the code is of a system of its own; `L` says only that it is local."""
    kept = coding.get("_system", {}).get("extension", ())
    return any(extension.get("valueString") != LOCAL for extension in kept)
