"""`gateway journal list`, `show`, `stats` and `export`: what came and what became of it. Nothing is written."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.text import Text

from gateway.cli import journal_shown as shown
from gateway.cli.console import DATA, Data, err, out, progress, stop
from gateway.cli.journal_options import (
    Style,
    entries,
    filtered,
    print_table,
    reading,
)
from gateway.config import FILES
from gateway.journal import browsing, kept_files
from gateway.journal.browsing import Entry
from gateway.journal.sealed import Keys
from gateway.journal.sought import Sought

PAGE = 50
LARGEST = 64 * 1024 * 1024
"""Of a larger file its name and size are shown. Units: bytes."""


@filtered()
def list_submissions(
    wanted: Sought,
    most: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="Submissions a page.")] = PAGE,
    before: Annotated[str | None, typer.Option(help="The next page: behind this receipt.")] = None,
    style: Annotated[Literal["text", "json", "csv"], typer.Option("--format")] = "text",
    data: Data = DATA,
) -> None:
    """List submissions, newest first. It reads beside a running gateway.

    Example: `gateway journal list --since 24h --outcome refused`

    Example: `gateway journal list --outcome dead`

    Example: `gateway journal list --rule EC-C1 --format csv > refused.csv`
    """
    with reading(data) as (desk, _):
        if before is not None and not desk.read(lambda: browsing.count(Sought(receipt=before))):
            stop(f"the journal has no receipt {before}")
        found = desk.read(lambda: browsing.lines(wanted, most + 1, before))
    page = found[:most]
    if style == "json":
        sys.stdout.write(shown.as_json([shown.line(one) for one in page]))
    elif style == "csv":
        sys.stdout.write(shown.as_csv(page))
    else:
        print_table(shown.LINE, [shown.cells(one) for one in page])
    if len(found) > most:
        err.print(f"there are more: add --before {page[-1].receipt}")


def show_submission(
    receipt: str,
    style: Style = "text",
    data: Data = DATA,
    *,
    body: Annotated[bool, typer.Option("--body", help="With what was sent and what was answered.")] = False,
) -> None:
    """Show one submission: what decided, what was answered, and each target with its attempts.

    Example: `gateway journal show 0b3f3c1e-8b7e-4c0f-9f1a-2f6a6f0c9d11 --body`
    """
    with reading(data) as (desk, keys):
        found = desk.read(lambda: browsing.entries(Sought(receipt=receipt), 1, 0, keys))
    if not found:
        stop(f"the journal has no receipt {receipt}")
    (one,) = found
    sent = _sent(data, keys, one)
    if style == "json":
        sys.stdout.write(shown.as_json(shown.entry(one, body=sent if body else None)))
        return
    for word, value in shown.facts(one):
        out.print(Text(f"{word:<12}{shown.printable(value)}"))
    if one.targets:
        out.print()
        print_table(
            ("target", "state", "attempts", "next", "until", "why"),
            [(t.target, t.state, str(t.attempts), t.next_at or "", t.deadline or "", t.why or "") for t in one.targets],
        )  # fmt: skip
    if body:
        answer = b"" if one.answer is None else one.answer.body
        for heading, content in (("what was sent", sent), ("what was answered", answer)):
            out.print(Text(f"\n{heading}", style="bold"))
            text = content.decode("utf-8", "backslashreplace").replace("\r\n", "\n").replace("\r", "\n")
            out.print(Text(shown.printable(text)))


@filtered(without={"control_id"})
def show_counts(wanted: Sought, style: Style = "text", data: Data = DATA) -> None:
    """Count submissions by domain, type, outcome and rule; and what waits or is dead, with its oldest item.

    Example: `gateway journal stats --since 7d`
    """
    with reading(data) as (desk, _):
        counts = desk.read(lambda: browsing.stats(wanted))
    if style == "json":
        sys.stdout.write(shown.as_json(shown.stats(counts)))
        return
    gone = f", {counts.purged} of them without their body by now" if counts.purged else ""
    out.print(f"{counts.count} submissions{gone}\n")
    print_table(("domain", "type", "outcome", "count"), [(*row[:3], str(row[3])) for row in counts.submissions])
    out.print()
    print_table(("rule", "outcome", "count"), [(*row[:2], str(row[2])) for row in counts.rules])
    out.print()
    print_table(
        ("target", "state", "count", "oldest since", "its receipt"),
        [(q.target, q.state, str(q.count), q.oldest, q.receipt) for q in counts.queues],
    )  # fmt: skip


@filtered()
def export_submissions(
    wanted: Sought,
    file: Annotated[
        Path | None, typer.Option("--out", help="A file that is not there yet. Default: standard output.")
    ] = None,
    data: Data = DATA,
    *,
    body: Annotated[bool, typer.Option("--body/--no-body", help="With what was sent.")] = True,
) -> None:
    """Write submissions as NDJSON, in order of arrival: one line each, with what was sent, answered and delivered.

    What is written is not sealed: it holds patient data, and a file is for your account alone. A CSV file larger than
    64 MiB is named and not written out: it is in the data folder, under `files`.

    Example: `gateway journal export --since 2026-11-01 --domain emergency-care --out november.ndjson`
    """
    with reading(data) as (desk, keys), _sink(file) as write:
        total = desk.read(lambda: browsing.count(wanted))
        with progress() as bar:
            task = bar.add_task("exporting", total=total)
            written = 0
            for found in entries(desk, wanted, keys):
                for one in found:
                    told = shown.entry(one, body=_sent(data, keys, one) if body else None)
                    write(json.dumps(told, ensure_ascii=False).encode() + b"\n")
                written += len(found)
                bar.update(task, completed=written)
    if file is not None:
        err.print(f"{file}: {written} submissions")


@contextmanager
def _sink(file: Path | None) -> Iterator[Callable[[bytes], object]]:
    """Where lines go: a new file for this account alone, or standard output.

    Errors: OSError, also for a file that is there.
    """
    if file is None:
        yield sys.stdout.buffer.write
        sys.stdout.buffer.flush()
        return
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as sink:
        yield sink.write


def _sent(data: Path, keys: Keys, one: Entry) -> bytes:
    """What was sent: of a file, that which the journal's body names, where it is in this data folder and no giant.

    Errors: OSError; Unsealable.
    """
    sent, folder = one.submission, data / FILES
    if sent.data_type != "Csv" or one.purged is not None:
        return sent.body
    path = kept_files.place(folder, sent.receipt)
    if path.is_file() and path.stat().st_size > LARGEST:
        return sent.body
    return kept_files.whole(keys, folder, sent.receipt) or sent.body
