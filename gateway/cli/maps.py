"""`gateway specs check`, `show` and `trace`: the maps, and where they take a message."""

from __future__ import annotations

import csv
import enum
import io
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from gateway import following, mapping
from gateway.cli.console import err, show, stop, told
from gateway.cli.gathering import STDIN
from gateway.config import load
from gateway.mapping import shown as tables
from gateway.mapping.whereabouts import Went
from gateway.rules import sarif
from gateway.source import nearest

Folder = Annotated[Path | None, typer.Option(help="Folder of the maps. Default: that of the settings.")]
Overlay = Annotated[
    list[str] | None, typer.Option(help="What is laid over the maps, such as uk-core; may be given again.")
]
_TRACED = ("place", "state", "went to", "by", "why")
_VALUE = "value"


class Form(enum.Enum):
    """How a table is printed."""

    TEXT = "text"
    JSON = "json"
    CSV = "csv"


Printed = Annotated[Form, typer.Option("--format", help="json and csv are for programs.")]


def check_specs(
    folder: Annotated[Path | None, typer.Argument(help="Default: that of the settings.")] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Tell the faults to standard output, for programs.")] = False,
) -> None:
    """Check maps, overlays, code maps and layouts: names, paths, types, codes. Exit status 1 with any fault.

    Example: `gateway specs check`

    Example: `gateway specs check my-specs --json`
    """
    root = folder or load().specs
    if not root.is_dir():
        stop(f"{root} is no folder")
    diagnostics = following.checked(root)
    if as_json:
        sys.stdout.write(json.dumps(sarif.as_json(diagnostics), indent=2, ensure_ascii=False) + "\n")
    else:
        show(diagnostics)
    wrong = sum(one.severity == "error" for one in diagnostics)
    if wrong:
        stop(f"{root}: {wrong} {'error' if wrong == 1 else 'errors'}")
    err.print(f"{root}: no errors")


def show_specs(
    name: Annotated[str, typer.Argument(help="A segment, a data type, a message structure or type, or a code map.")],
    folder: Folder = None,
    form: Printed = Form.TEXT,
) -> None:
    """Print what the maps do with a segment, a data type, a message or the codes of a code map: a row a line.

    Example: `gateway specs show PID`

    Example: `gateway specs show ORU^R01`

    Example: `gateway specs show AdministrativeSex --format csv > sex.csv`
    """
    loaded = following.traced(folder or load().specs)
    code_maps = loaded.library.codes if loaded.library is not None else {}
    found = tables.shown(name, loaded.statements, code_maps)
    if found is None:
        near = nearest(name, tables.names(loaded.statements, code_maps))
        stop(f"no map speaks of {name}" + (f"; did you mean {near}?" if near else ""))
    _print(found.columns, found.rows, form)


def trace_message(
    file: Annotated[Path, typer.Argument(help="A message, or - for standard input.")],
    folder: Folder = None,
    organisation: Annotated[
        str | None, typer.Option(help="ODS code of the sender. Default: the message's MSH-4.")
    ] = None,
    overlay: Overlay = None,
    form: Printed = Form.TEXT,
    *,
    messaging: Annotated[bool, typer.Option("--messaging", help="With the MessageHeader that is made of it.")] = False,
    values: Annotated[bool, typer.Option("--values", help="With what was sent: a patient's data.")] = False,
) -> None:
    """Print where each populated part of a message goes, and by which rows of the maps; or that it is left out, or why
    nothing takes it. Exit status 1 where the message can't be converted.

    Example: `gateway specs trace message.hl7`

    Example: `gateway specs trace message.hl7 --overlay uk-core --format csv > trace.csv`
    """  # noqa: D205 - the command line shows it all as one paragraph
    root, overlays = folder or load().specs, tuple(overlay or ())
    known = mapping.overlays(root)
    for name in overlays:
        if name not in known:
            stop(f"no maps called {name} can be laid over the others; there are: {', '.join(known) or 'none'}")
    raw = sys.stdin.buffer.read() if file == STDIN else file.read_bytes()
    found = following.followed(
        raw, following.traced(root, overlays), organisation=organisation, messaging=messaging, overlays=overlays
    )
    columns = (*_TRACED[:1], _VALUE, *_TRACED[1:]) if values else _TRACED
    if found.parts:
        names = {} if values else _names(found.parts)
        _print(columns, [_cells(part, names, values=values) for part in found.parts], form)
    for finding in found.findings:
        err.print(told(finding))
    if any(finding.severity in {"error", "fatal"} for finding in found.findings):
        stop(f"{file}: the message could not be converted")


def _names(parts: Iterable[Went]) -> Mapping[str, str]:
    """Names of the resources of a message that tell no id, which may be a patient's number: `Organization[2]`."""
    ids = dict.fromkeys(part.resource for part in parts if part.resource)
    by_type: dict[str, list[str]] = {}
    for one in ids:
        by_type.setdefault(one.partition("/")[0], []).append(one)
    return {
        one: kind if len(same) == 1 else f"{kind}[{number}]"
        for kind, same in by_type.items()
        for number, one in enumerate(same, 1)
    }


def _cells(part: Went, names: Mapping[str, str], *, values: bool) -> tuple[str, ...]:
    """A part of a message as a row."""
    to = ".".join(each for each in (names.get(part.resource, part.resource), part.element) if each)
    cells = (part.place, part.state, to, " < ".join(part.by), part.because)
    return (cells[0], part.value, *cells[1:]) if values else cells


def _print(columns: Sequence[str], rows: Iterable[Sequence[str]], form: Form) -> None:
    """A table to standard output."""
    every = list(rows)
    if form is Form.JSON:
        objects = [dict(zip(columns, row, strict=True)) for row in every]
        sys.stdout.write(json.dumps(objects, indent=2, ensure_ascii=False) + "\n")
    elif form is Form.CSV:
        sink = io.StringIO()
        csv.writer(sink).writerows([columns, *every])
        sys.stdout.write(sink.getvalue())
    else:
        sys.stdout.write(laid(columns, every))


def laid(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table for people: columns that have nothing in them left out, the last not filled up with blanks."""
    full = [i for i in range(len(columns)) if any(row[i] for row in rows)]
    shown = [[_printable(line[i]) for i in full] for line in (columns, *rows)]
    widths = [max(len(line[i]) for line in shown) for i in range(len(full))]
    widths[-1:] = [0]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in shown)
    return "".join(f"{line}\n" for line in lines)


def _printable(text: str) -> str:
    """A text without what would steer a terminal: senders choose some of what is shown."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
