"""Code maps as functions: of a text, and of what a data type's map made of a coded element."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gateway.mapping.codes import UNITS, Coded, CodeMap
from gateway.mapping.primitives import PRIMITIVES, later
from gateway.mapping.run import Json, Run
from gateway.mapping.targets import Place

Lookup = Callable[[str], "Coded | None"]

SYSTEMS = "CodingSystem"
"""The code map that leads from HL7's names of coding systems to their URIs."""


def translator(name: str, found: Place, codes: Mapping[str, CodeMap]) -> Callable[[str, Run], Any]:
    """A text to what a code map has for it: of a string its display, else its code."""
    lookup, kind = _lookup(codes[name]), found.type
    convert = PRIMITIVES[kind]
    closed = found.value_set is not None

    def read(text: str, run: Run) -> Any:
        row = lookup(text.strip())
        if row is not None:
            return convert(row.display if kind == "string" else row.to_code, run.zone)
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


def recoded(name: str, found: Place, codes: Mapping[str, CodeMap]) -> Callable[[Any, Run], Any]:
    """What a data type's map made, with its code led on by a code map."""
    lookup, kind = _lookup(codes[name]), found.type
    if kind in {"CodeableConcept", "Coding"}:
        known = codes.get(SYSTEMS)
        systems = {row.system: known.find(row.system) if known else None for row in codes[name].rows.values()}
        uris = {system: row.to_code if row is not None else None for system, row in systems.items()}
        if kind == "Coding":
            return lambda coding, _: _coding(coding, lookup, uris)
        return lambda concept, _: _concept(concept, lookup, uris)
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


def _concept(concept: Json, lookup: Lookup, uris: Mapping[str, str | None]) -> Json:
    codings = concept.get("coding")
    if codings:
        codings[0] = _coding(codings[0], lookup, uris)
    return concept


def _coding(coding: Json, lookup: Lookup, uris: Mapping[str, str | None]) -> Json:
    """A coding of the map's own system, or of none, as the map has it; any other as it was sent."""
    row = lookup(coding.get("code", ""))
    if row is None:
        return coding
    system = coding.get("system")
    if system is not None and system != uris[row.system]:
        return coding
    made = {"code": row.to_code}
    if row.to_system:
        made["system"] = row.to_system
    display = row.display or coding.get("display")
    if display:
        made["display"] = display
    return made
