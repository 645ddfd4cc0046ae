"""`gateway audit`: whether the audit is as it was written, what it says, and who saw a patient."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import IO, Annotated, Literal

import typer

from gateway import fhir, specs
from gateway.cli.console import DATA, Data, err, out, stop
from gateway.cli.journal_options import print_table
from gateway.cli.moments import moment
from gateway.config import Settings, load
from gateway.identity.audit_keys import read_keys, renew
from gateway.identity.private_file import FILE_MODE
from gateway.interactions.audit_events import events_of
from gateway.interactions.gateway import hash_of
from gateway.interactions.patients import number_name
from gateway.journal import desks
from gateway.journal.audit_anchors import Anchor, BadLine
from gateway.journal.audit_anchors import read as read_anchors
from gateway.journal.audit_chain import Keys, key_id, keys_of
from gateway.journal.audit_rows import FOREVER, Kept, each
from gateway.journal.audit_seen import Aliases, Saw, Seen
from gateway.journal.audit_verifying import Verifier
from gateway.journal.model import instant
from gateway.specs import FhirTables

app = typer.Typer(no_args_is_help=True, help="The audit: every decision, permitted or not.")
MOST_SHOWN = 100
"""Faults that are told one by one; more are counted."""
NUMBER = 10
COLUMNS = ("at", "principal", "user", "purpose", "did", "what", "outcome", "agreements", "rules", "request")

Since = Annotated[
    datetime | None, typer.Option(parser=moment, help="From then on: 2026-11-22, 2026-11-22T10:15, or 24h ago.")
]
Until = Annotated[datetime | None, typer.Option(parser=moment, help="Before that.")]
Anchors = Annotated[list[Path] | None, typer.Option(help="A log of anchors, beside the one that is configured.")]
MoreKeys = Annotated[list[Path] | None, typer.Option("--keys", help="A file of keys of another gateway or of before.")]


@app.command()
def verify(
    anchors: Anchors = None,
    keys: MoreKeys = None,
    data: Data = DATA,
) -> None:
    """Hold every row of the audit to its chain, and every chain to its anchors; exit status 1 if anything is amiss.

    The first line names the first row that was changed, removed, inserted or moved. It reads beside a running gateway.

    Example: `gateway audit verify --data data`

    Example: `gateway audit verify --anchors /mnt/worm/anchors.ndjson`
    """
    settings = load(data=data)
    known = _keys(settings, keys or ())
    lines = list(_anchors(settings, anchors or (), known))
    bad = [one for one in lines if isinstance(one, BadLine)]
    verifier = Verifier(known, (one for one in lines if isinstance(one, Anchor)))
    with desks.reading(settings) as desk:
        desk.read(partial(each, verifier.take))
    found = verifier.verified()
    for fault in found.faults[:MOST_SHOWN]:
        place = "" if fault.id is None else f" row {fault.id}"
        chain = f" (chain {fault.chain})" if fault.chain else ""
        out.print(f"{fault.kind}:{place}{chain}: {fault.words}")
    if len(found.faults) > MOST_SHOWN:
        out.print(f"and {len(found.faults) - MOST_SHOWN} more")
    for line in bad:
        out.print(f"anchor: {line.file}:{line.line}: {line.why}")
    before = f", {found.unchained} from before there were chains" if found.unchained else ""
    out.print(f"{found.rows} rows{before}; {found.chains} chains; {found.anchors} anchors; {len(found.faults)} faults")
    if found.faults or bad:
        sys.exit(1)


@app.command()
def export(
    since: Since = None,
    until: Until = None,
    style: Annotated[Literal["ndjson", "fhir"], typer.Option("--format", help="Rows, or FHIR AuditEvents.")] = "ndjson",
    file: Annotated[Path | None, typer.Option("--out", help="A new file, for its owner alone.")] = None,
    data: Data = DATA,
) -> None:
    """Write the audit as NDJSON, oldest first: its rows, or FHIR R4 AuditEvents after IHE BALP, one for each patient.

    Patients and resources stand there by keyed hashes, as in the audit.

    Example: `gateway audit export --since 24h > audit.ndjson`

    Example: `gateway audit export --format fhir --since 2026-11-01 --until 2026-12-01 --out november.ndjson`
    """
    settings = load(data=data)
    told = _as_row if style == "ndjson" else partial(_as_events, settings.public_url, specs.fhir())
    with _written(file) as sink, desks.reading(settings) as desk:

        def take(kept: Kept) -> None:
            sink.writelines(told(kept))

        desk.read(partial(each, take, *_bounds(since, until)))


@app.command("who-saw")
def who_saw(
    number: Annotated[str | None, typer.Option("--nhs-number", help="The patient's NHS number.")] = None,
    patient: Annotated[str | None, typer.Option("--patient", help="The id of the Patient resource.")] = None,
    since: Since = None,
    until: Until = None,
    style: Annotated[Literal["text", "json", "csv"], typer.Option("--format")] = "text",
    data: Data = DATA,
    *,
    attempts: Annotated[bool, typer.Option("--attempts", help="With requests that came to nothing.")] = False,
) -> None:
    """List every access to what is kept of a patient: when, who, for whom and what for, by which agreement and rules.

    Reads, searches, what they brought along, histories, exports and writes; and who sent something. A number alone
    (_summary=count) shows nobody.

    Example: `gateway audit who-saw --nhs-number 9990000018 --since 30d`

    Example: `gateway audit who-saw --patient 9990000018 --attempts --format csv > accesses.csv`
    """
    names = list(_names(number, patient))
    settings = load(data=data)
    secret = _secret(settings)
    aliases = Aliases(hash_of(secret, name) for name in names)
    with desks.reading(settings) as desk:
        if number is not None:
            desk.read(partial(each, aliases.take))
        seen = Seen(aliases.found, attempts=attempts)
        desk.read(partial(each, seen.take, *_bounds(since, until)))
    _TELL[style](seen.rows)


@app.command("new-key")
def new_key(data: Data = DATA) -> None:
    """Make a new key for the audit's chain; a running gateway goes on with it from its next anchor.

    The old ones stay in the file: what was written with them is verified by them.

    Example: `gateway audit new-key --data data`
    """
    path = load(data=data).audit_key
    keys = renew(path)
    err.print(f"rows are chained with {key_id(keys[0])}; {len(keys) - 1} older keys stay in {path}")


# --- what is read --------------------------------------------------------------------------------------------------


def _keys(settings: Settings, more: Iterable[Path]) -> Keys:
    paths = [settings.audit_key, *more]
    if not paths[0].exists():
        stop(f"there are no keys of the audit at {paths[0]}: give the gateway's data folder with --data")
    return keys_of([secret for path in paths for secret in read_keys(path)])


def _anchors(settings: Settings, more: Iterable[Path], keys: Keys) -> Iterator[Anchor | BadLine]:
    own = [settings.anchors_file] if settings.anchors_file.exists() else []
    if not own and not more:
        err.print(f"there are no anchors at {settings.anchors_file}: rows that went from the end are not missed")
    for path in (*own, *more):
        yield from read_anchors(str(path), path.read_bytes(), keys)


def _secret(settings: Settings) -> bytes:
    path = settings.keys_folder / "hash.key"
    if not path.exists():
        stop(f"there is no key of hashes at {path}: give the gateway's data folder with --data")
    return path.read_bytes()


def _bounds(since: datetime | None, until: datetime | None) -> tuple[int | None, int]:
    if since is None and until is None:
        return None, FOREVER
    return (0 if since is None else instant(since)), (FOREVER if until is None else instant(until))


def _names(number: str | None, patient: str | None) -> Iterator[str]:
    """What the patient is called where its hashes are made."""
    if (number is None) == (patient is None):
        stop("say who: --nhs-number or --patient")
    if number is not None:
        digits = "".join(number.split()).replace("-", "")
        if len(digits) != NUMBER or not digits.isdigit():
            stop(f"{number} is no NHS number: it has {NUMBER} digits")
        yield f"Patient/{digits}"
        yield number_name(digits)
    if patient is not None:
        yield f"Patient/{patient.removeprefix('Patient/')}"


# --- how it is told ------------------------------------------------------------------------------------------------


def _as_row(kept: Kept) -> Iterator[str]:
    link = kept.link
    place = {} if link is None else {"chain": link.chain, "seq": link.seq, "key": link.key, "mac": link.mac.hex()}
    told = {name: value for name, value in asdict(kept.row).items() if value not in {None, ()}}
    yield json.dumps({"id": kept.id, **place, **told}, ensure_ascii=False) + "\n"


def _as_events(observer: str, tables: FhirTables, kept: Kept) -> Iterator[str]:
    return (fhir.dump(event).decode() + "\n" for event in events_of(kept, observer, tables))


@contextmanager
def _written(file: Path | None) -> Iterator[IO[str]]:
    """Where lines are written: a new file, or standard output."""
    if file is None:
        yield sys.stdout
        return
    file.touch(mode=FILE_MODE, exist_ok=False)
    with file.open("w", encoding="utf-8") as sink:
        yield sink


def _cells(one: Saw) -> tuple[str, ...]:
    row = one.row
    return (
        row.at, row.principal, row.user or "", row.purpose or "", row.action, row.what, row.outcome,
        " ".join(row.agreements), " ".join(row.rules), row.request or "",
    )  # fmt: skip


def _text(rows: list[Saw]) -> None:
    print_table(COLUMNS, [_cells(one) for one in rows])
    came = sum(one.came_of_it for one in rows)
    attempts = f", {len(rows) - came} attempts that came to nothing" if len(rows) > came else ""
    err.print(f"{came} accesses{attempts}")


def _json(rows: list[Saw]) -> None:
    for one in rows:
        told = dict(zip(COLUMNS, _cells(one), strict=True))
        lists = {"agreements": list(one.row.agreements), "rules": list(one.row.rules), "access": one.came_of_it}
        sys.stdout.write(json.dumps({"id": one.id, **told, **lists}, ensure_ascii=False) + "\n")


def _csv(rows: list[Saw]) -> None:
    writer = csv.writer(sys.stdout)
    writer.writerow(COLUMNS)
    writer.writerows([_harmless(cell) for cell in _cells(one)] for one in rows)


def _harmless(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula. Source: OWASP, CSV Injection."""
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell


_TELL: dict[str, Callable[[list[Saw]], None]] = {"text": _text, "json": _json, "csv": _csv}
