"""`gateway convert`: messages, resources and CSV files to FHIR, without a server."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated, BinaryIO

import typer
from rich.progress import track

from gateway import loading, mapping, offline, rules, validating
from gateway.cli.console import err, stop, told
from gateway.cli.gathering import STDIN, Gathered, gathered, opened, processes
from gateway.cli.keeping import keeping
from gateway.cli.spreading import spread
from gateway.config import load
from gateway.finding import Finding, refuses
from gateway.hl7v2 import batch
from gateway.loading import Decisions
from gateway.source import nearest
from gateway.validating import MOST

_BUNDLE, _BUNDLES, _RESOURCES = ".fhir.json", ".bundles.ndjson", ".fhir.ndjson"
"""What the names of converted messages and resources, batches and CSV files end in."""


@dataclass(frozen=True, slots=True)
class _Chosen:
    """How files are converted."""

    rules: Path
    specs: Path
    organisation: str | None
    layout: str | None
    overlays: tuple[str, ...]
    messaging: bool


@dataclass(frozen=True, slots=True)
class _Job:
    """One file, and where what becomes of it goes: a path without an ending, None for standard output."""

    path: Path
    target: Path | None


_loaded: list[tuple[Decisions, _Chosen]] = []
"""What a process converts by: worked out once in each."""


def convert(
    files: Annotated[list[Path], typer.Argument(help="Files, folders of them, or - for standard input.")],
    out_folder: Annotated[
        Path | None, typer.Option("--out", help="Folder for NAME.fhir.json. Default: of one file, standard output.")
    ] = None,
    organisation: Annotated[
        str | None, typer.Option(help="ODS code of the sender. Default: the message's MSH-4.")
    ] = None,
    layout: Annotated[str | None, typer.Option(help="Layout of CSV files without a header line.")] = None,
    overlay: Annotated[
        list[str] | None, typer.Option(help="What is laid over the maps, such as uk-core; may be given again.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes at once. Default: one a core.")] = None,
    *,
    messaging: Annotated[
        bool, typer.Option("--messaging", help="Make a MessageHeader, as for receivers of FHIR messages.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print no findings, only how many files failed.")] = False,
) -> None:
    """Convert messages to FHIR without a server; a faulty one is reported and the rest go on.

    A FHIR resource or Bundle becomes what would be delivered of it, which takes the sender's code. A batch becomes
    NAME.bundles.ndjson, the Bundle of each message a line, and a CSV file NAME.fhir.ndjson, a resource a line. Of a
    folder every file is taken that ends in .hl7, .json or .csv. Ends with 1 where something could not be converted.

    Example: `gateway convert messages --overlay uk-core --out converted`

    Example: `gateway convert - < message.hl7`

    Example: `gateway convert visit.json --organisation r0d --out converted`

    Example: `gateway convert attendances.csv --organisation r0d --out converted`
    """
    settings = load()
    _check_overlays(overlay or [], settings.specs)
    taken = tuple(gathered(files, validating.SUFFIXES))
    if not taken:
        stop(f"there is no file that ends in {', '.join(validating.SUFFIXES)}")
    if out_folder is None and len(taken) > 1:
        stop(f"say where the {len(taken)} files go: --out FOLDER")
    chosen = _Chosen(settings.rules, settings.specs, organisation, layout, tuple(overlay or ()), messaging)
    jobs, twice = _jobs(taken, out_folder)
    for job in twice:
        err.print(
            f"{job.path}: another file of this run is {job.path.stem} already; convert it into a folder of its own"
        )
    faulty = len(twice)
    done = spread(jobs, _of_file, _begin, (chosen,), processes(taken, workers))
    made = track(done, "converting", len(jobs), console=err, transient=True)
    for job, findings in zip(jobs, made, strict=True):
        for finding in () if quiet else findings:
            err.print(f"{job.path}: {told(finding)}")
        faulty += refuses(findings)
    if faulty:
        stop(f"{faulty} of {len(taken)} could not be converted")


def _check_overlays(wanted: Sequence[str], specs: Path) -> None:
    known = mapping.overlays(specs)
    for name in wanted:
        if name not in known:
            near = nearest(name, known)
            more = f"did you mean {near}?" if near else f"there are: {', '.join(known) or 'none'}"
            stop(f"no maps called {name} can be laid over the others; {more}")


def _jobs(taken: Sequence[Gathered], out_folder: Path | None) -> tuple[tuple[_Job, ...], tuple[_Job, ...]]:
    """The files with their places, and those whose place another has taken."""
    places: set[Path] = set()
    jobs: list[_Job] = []
    twice: list[_Job] = []
    for one in taken:
        # what becomes of a CSV file has another ending
        place = one.made.with_name(f"{one.made.name}.csv") if _is_csv(one.path) else one.made
        job = _Job(one.path, None if out_folder is None else out_folder / one.made)
        (twice if place in places else jobs).append(job)
        places.add(place)
    return tuple(jobs), tuple(twice)


def _is_csv(path: Path) -> bool:
    """Whether a file is CSV by what it holds, as its conversion will find; by its name where it can't be read."""
    beginning = b""
    if path != STDIN:
        with suppress(OSError), path.open("rb") as file:  # the conversion will tell
            beginning = file.read(offline.BEGINNING)
    return validating.data_type(beginning, path.suffix) == "Csv"


# --- in each process -------------------------------------------------------------------------------------------------


def _begin(chosen: _Chosen) -> None:
    names = loading.vocabulary(chosen.specs)
    keep = keeping()
    read = rules.load(chosen.rules, names, keep=keep)
    _loaded[:] = [(loading.decided(read, names, chosen.specs, keep, (chosen.overlays,)), chosen)]


def _of_file(job: _Job) -> tuple[Finding, ...]:
    """The findings of a file; where one refuses all of it, nothing is written."""
    try:
        with ExitStack() as stack:
            _forget(job)
            source = stack.enter_context(opened(job.path))
            found = tuple(islice(_converted(job, source, stack), MOST + 1))
    except OSError as fault:
        return (Finding("error", "not-found", f"{fault.strerror or fault}"),)
    if len(found) <= MOST:
        return found
    more = Finding("error", "too-costly", f"the first {MOST} findings are told, and the rest was not converted")
    return (*found[:MOST], more)


def _forget(job: _Job) -> None:
    """Remove what an earlier run made of a file: where this one fails, it would be taken for what this one made."""
    if job.target is not None:
        for ending in (_RESOURCES,) if _is_csv(job.path) else (_BUNDLE, _BUNDLES):
            job.target.with_name(job.target.name + ending).unlink(missing_ok=True)


def _converted(job: _Job, source: BinaryIO, stack: ExitStack) -> Iterator[Finding]:
    loaded, chosen = _loaded[0]
    beginning = source.read(offline.BEGINNING)
    source.seek(0)
    kind = validating.data_type(beginning, job.path.suffix)
    if kind == "Csv":
        yield from _rows(job, source, stack)
    elif kind == "Hl7v2" and batch.is_batch(beginning):
        yield from offline.convert_batch(
            source, _sink(job, _BUNDLES, stack), loaded.maps, loaded.elements,
            organisation=chosen.organisation, rules_digest=loaded.rules.digest,
            messaging=chosen.messaging, overlays=chosen.overlays,
        )  # fmt: skip
    else:
        made = offline.convert(
            source.read(batch.LONGEST_MESSAGE + 1), loaded.maps, loaded.elements, resource=kind == "Fhir",
            organisation=chosen.organisation, rules_digest=loaded.rules.digest,
            messaging=chosen.messaging, overlays=chosen.overlays,
        )  # fmt: skip
        if made.bundle is not None:
            _sink(job, _BUNDLE, stack).write(made.bundle)
        yield from made.findings


def _rows(job: _Job, source: BinaryIO, stack: ExitStack) -> Iterator[Finding]:
    loaded, chosen = _loaded[0]
    if chosen.organisation is None:
        words = "a CSV file does not say who sends it: give --organisation with the sender's ODS code"
        yield Finding("error", "required", words)
    elif chosen.layout is not None and chosen.layout not in loaded.row_maps:
        words = f"there is no layout {chosen.layout}; known: {', '.join(loaded.row_maps)}"
        yield Finding("error", "not-found", words)
    else:
        yield from offline.convert_rows(
            source, _sink(job, _RESOURCES, stack), loaded.row_maps,
            organisation=chosen.organisation, layout=chosen.layout, rules_digest=loaded.rules.digest,
        )  # fmt: skip


def _sink(job: _Job, ending: str, stack: ExitStack) -> BinaryIO:
    """Where what becomes of a file is written."""
    if job.target is None:
        stack.callback(sys.stdout.buffer.flush)
        return sys.stdout.buffer
    path = job.target.with_name(job.target.name + ending)
    path.parent.mkdir(parents=True, exist_ok=True)
    return stack.enter_context(path.open("wb"))
