"""The maps of `specs/` looked at without a server: what is wrong with them, and where the parts of a message went."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from gateway import hl7v2, loading, mapping, specs
from gateway.fhir import Marks
from gateway.finding import Finding, refuses
from gateway.loading import NotLoaded
from gateway.mapping import LoadedMaps, codes, rows
from gateway.mapping.load import bad_file
from gateway.mapping.whereabouts import Went, whereabouts
from gateway.source import Diagnostic, in_order


@dataclass(frozen=True, slots=True)
class Followed:
    """Where the parts of a message went. Shape: `parts` in the message's order, none where it can't be read."""

    parts: tuple[Went, ...]
    findings: tuple[Finding, ...]


def checked(root: Path) -> tuple[Diagnostic, ...]:
    """Every fault of the maps, the overlays one by one, the code maps and the layouts below a folder.

    A table that can't be read hides what stands on it.
    """
    try:
        names = loading.vocabulary(root)
    except NotLoaded as fault:  # a layout with a fault
        return fault.diagnostics
    except specs.SpecsError as fault:
        return (bad_file(root, fault),)
    laid = tuple((name,) for name in mapping.overlays(root))
    maps = mapping.load(root, names, laid=laid)
    marks = Marks(names.tables.systems.marks)
    by_row = rows.load(names.layouts, names.elements, codes.load(root / codes.FOLDER), marks)
    # what an overlay leaves as it was is told once
    return in_order(tuple(dict.fromkeys((*maps.diagnostics, *by_row.diagnostics))))


def traced(root: Path, overlays: tuple[str, ...] = ()) -> LoadedMaps:
    """The maps below a folder, with overlays over them, compiled to tell which rows ran.

    Errors: NotLoaded with every diagnostic; SpecsError.
    """
    loaded = mapping.load(root, loading.vocabulary(root), laid=(overlays,), traced=True)
    if loaded.maps is None:
        raise NotLoaded(loaded.diagnostics)
    return loaded


def followed(
    raw: bytes, loaded: LoadedMaps, *, organisation: str | None, messaging: bool = False, overlays: Sequence[str] = ()
) -> Followed:
    """Where the parts of a message go.

    Shape: `organisation` sends it; without one its MSH-4 does.
    Errors: TypeError for maps with faults.
    """
    if loaded.maps is None:
        raise TypeError(loaded)
    message = hl7v2.read(raw)
    if refuses(message.findings):
        return Followed((), message.findings)
    context = mapping.Context(
        organisation=(organisation or message.text("MSH", 4) or "unknown").upper(), domain="offline",
        received=datetime.now(UTC), receipt="offline", rules_digest="offline",
        messaging=messaging, overlays=tuple(overlays),
    )  # fmt: skip
    conversion = loaded.maps.convert(message, context)
    if message.type not in loaded.maps.messages:
        return Followed((), conversion.findings)
    return Followed(tuple(whereabouts(message, conversion.steps, loaded.statements)), conversion.findings)
