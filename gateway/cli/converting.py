"""`gateway convert`: messages, resources and CSV files to FHIR, without a server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import track

from gateway import loading, offline
from gateway.cli.console import err, stop
from gateway.config import load
from gateway.finding import Finding

CSV = ".csv"


def convert(
    files: list[Path],
    out_folder: Annotated[Path, typer.Option("--out", help="Folder for NAME.fhir.json.")],
    organisation: Annotated[
        str | None, typer.Option(help="ODS code of the sender. Default: the message's MSH-4.")
    ] = None,
    layout: Annotated[str | None, typer.Option(help="Layout of CSV files without a header line.")] = None,
) -> None:
    """Convert messages to FHIR without a server; a faulty one is reported and the rest go on.

    A FHIR resource or Bundle becomes what would be delivered of it, which takes the sender's code.

    Example: `gateway convert messages/*.hl7 --out converted`

    A CSV file becomes NAME.fhir.ndjson, a resource a line.

    Example: `gateway convert visit.json --organisation r0d --out converted`

    Example: `gateway convert attendances.csv --organisation r0d --out converted`
    """
    settings = load()
    loaded = loading.decisions(settings.rules, settings.specs)
    out_folder.mkdir(parents=True, exist_ok=True)
    faulty, made = 0, set[str]()
    for file in track(files, description="converting", console=err, transient=True):
        is_rows = file.suffix.lower() == CSV
        name = f"{file.stem}.fhir.{'ndjson' if is_rows else 'json'}"
        if name in made:
            err.print(f"{file}: another file of this run is {name} already; convert it into a folder of its own")
            faulty += 1
            continue
        try:
            if is_rows:
                made.add(name)
                faulty += not _convert_rows(file, out_folder / name, loaded, organisation, layout)
                continue
            converted = offline.convert(
                file.read_bytes(), loaded.maps, loaded.elements, organisation=organisation,
                rules_digest=loaded.rules.digest,
            )  # fmt: skip
        except OSError as fault:
            err.print(f"{file}: {fault.strerror or fault}")
            faulty += 1
            continue
        for finding in converted.findings:
            err.print(f"{file}: {_words(finding)}")
        if converted.bundle is None:
            faulty += 1
        else:
            made.add(name)
            (out_folder / name).write_bytes(converted.bundle)
    if faulty:
        stop(f"{faulty} of {len(files)} could not be converted")


def _convert_rows(
    file: Path, target: Path, loaded: loading.Decisions, organisation: str | None, layout: str | None
) -> bool:
    """Whether a CSV file was converted without a faulty row."""
    if organisation is None:
        err.print(f"{file}: a CSV file does not say who sends it: give --organisation with the sender's ODS code")
        return False
    if layout is not None and layout not in loaded.row_maps:
        err.print(f"{file}: there is no layout {layout}; known: {', '.join(loaded.row_maps)}")
        return False
    faults = 0
    for finding in offline.convert_rows(
        file, target, loaded.row_maps, organisation=organisation, layout=layout, rules_digest=loaded.rules.digest
    ):
        faults += 1
        err.print(f"{file}: {_words(finding)}")
    return not faults


def _words(finding: Finding) -> str:
    place = f" at {finding.expression}" if finding.expression else ""
    return f"{finding.severity}[{finding.rule or finding.code}]{place}: {finding.diagnostics}"
