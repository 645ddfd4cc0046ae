"""Rows of CSV files to FHIR R4, by what their layouts say: read, check, compile, convert."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from gateway.fhir import Elements, Marks
from gateway.mapping.codes import CodeMap
from gateway.mapping.rows.convert import Converted, RowMap, Told, compiled, known, told
from gateway.mapping.rows.read import Reading, conditions
from gateway.source import Diagnostic, Keep, in_order, made_anew
from gateway.tabular import Layout

__all__ = ["Converted", "LoadedRowMaps", "RowMap", "Told", "known", "load", "told"]


@dataclass(frozen=True, slots=True)
class LoadedRowMaps:
    """The maps by layout, and what is wrong with any. Shape: one with an error is left out."""

    maps: Mapping[str, RowMap]
    diagnostics: tuple[Diagnostic, ...]


def load(
    layouts: Mapping[str, Layout], elements: Elements, codes: Mapping[str, CodeMap], marks: Marks,
    keep: Keep = made_anew,
) -> LoadedRowMaps:  # fmt: skip
    """How the rows of each layout become resources. Shape: `keep` holds what a start made for the next."""
    parser = conditions(keep)
    maps: dict[str, RowMap] = {}
    wrong: list[Diagnostic] = []
    for name, layout in layouts.items():
        reading = Reading(layout, elements, codes, parser)
        resources = reading.resources()
        wrong.extend(reading.wrong)
        if not any(d.severity == "error" for d in reading.wrong):
            digest = hashlib.sha256(layout.located.source.text.encode()).hexdigest()
            maps[name] = compiled(layout, digest, resources, codes, marks)
    return LoadedRowMaps(maps, in_order(wrong))
