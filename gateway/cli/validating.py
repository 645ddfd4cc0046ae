"""`gateway validate`: messages, resources and CSV files judged by the standards, without a server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import track

from gateway import fhir, loading, validating
from gateway.cli.console import err, stop, told
from gateway.cli.gathering import Gathered, gathered, opened, processes
from gateway.cli.spreading import spread
from gateway.config import load
from gateway.finding import Finding, refuses
from gateway.hl7v2 import conformance
from gateway.validating import Standards

_standards: list[Standards] = []
"""What a process judges by: worked out once in each."""


def validate(
    files: Annotated[list[Path], typer.Argument(help="Files, folders of them, or - for standard input.")],
    out_folder: Annotated[
        Path | None, typer.Option("--out", help="Folder for NAME.outcome.json. Default: findings are only printed.")
    ] = None,
    layout: Annotated[str | None, typer.Option(help="Layout of CSV files without a header line.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes at once. Default: one a core.")] = None,
    *,
    user_tables: Annotated[
        bool, typer.Option("--user-tables", help="Tell of codes that HL7 does not suggest for tables that sites fill.")
    ] = False,
    profile: Annotated[
        str | None, typer.Option(help="What resources have to conform to beyond R4: uk-core, or model.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print no findings, only how many files are faulty.")] = False,
) -> None:
    """Judge messages, resources and CSV files by the standards, without a server and without rules.

    HL7 v2 is judged by the dictionary of its version, FHIR by the R4 tables (with --profile by more), CSV by its
    layout. Of a folder every file
    is taken that ends in .hl7, .json or .csv. A file with an error is faulty; one with warnings is not.

    Example: `gateway validate messages visit.json --out outcomes`

    Example: `gateway validate bundle.json --profile uk-core`

    Example: `gateway validate - < message.hl7`
    """
    settings = load()
    taken = _once(gathered(files, validating.SUFFIXES))
    if profile is not None and profile not in fhir.standard_names(settings.specs):
        known = ", ".join(fhir.standard_names(settings.specs))
        stop(f"`{profile}` is no standard that resources conform to: there are {known}")
    chosen = (settings.specs, layout, user_tables, profile)
    faulty = 0
    judged = spread([one.path for one in taken], _of_file, _begin, chosen, processes(taken, workers))
    found = track(judged, "validating", len(taken), console=err, transient=True)
    for one, findings in zip(taken, found, strict=True):
        if not quiet:
            for finding in findings:
                err.print(f"{one.path}: {told(finding)}")
        faulty += refuses(findings)
        if out_folder is not None:
            target = out_folder / one.made.with_name(f"{one.made.name}.outcome.json")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(fhir.dump(validating.outcome(str(one.made), findings)))
    if faulty:
        stop(f"{faulty} of {len(taken)} faulty")


def _once(found: Iterator[Gathered]) -> tuple[Gathered, ...]:
    """The files, each name once: what is told of one must not be written over by another."""
    taken: dict[Path, Gathered] = {}
    for one in found:
        other = taken.setdefault(one.made, one)
        if other is not one and other.path != one.path:
            stop(f"{one.path} and {other.path} would both be {one.made}.outcome.json: validate them one by one")
    if not taken:
        stop(f"there is no file that ends in {', '.join(validating.SUFFIXES)}")
    return tuple(taken.values())


def _begin(
    specs_folder: Path,
    layout: str | None,
    user_tables: bool,  # noqa: FBT001 - an initializer's arguments have no names
    profile: str | None,
) -> None:
    names = loading.vocabulary(specs_folder)
    made = validating.standards(names, conformance.load(specs_folder), specs_folder)
    asked = None if profile is None else names.standards[profile]
    _standards[:] = [replace(made, layout=layout, user_tables=user_tables, profile=asked)]


def _of_file(path: Path) -> tuple[Finding, ...]:
    standards = _standards[0]
    try:
        with opened(path) as file:
            return validating.judged(file, path.suffix, standards)
    except OSError as fault:
        return (Finding("error", "not-found", f"the file can't be read: {fault.strerror or fault}"),)
