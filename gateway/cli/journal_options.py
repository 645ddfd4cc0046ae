"""What the commands of `gateway journal` share: what is looked for, and the journal of the settings at hand."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from gateway.cli import journal_shown as shown
from gateway.cli.moments import moment
from gateway.config import Settings, load
from gateway.journal import desks
from gateway.journal.desk import Desk
from gateway.journal.opening import keys_of
from gateway.journal.sealed import Keys
from gateway.journal.sought import OUTCOMES, Sought

WIDE = 200  # where no terminal says how wide it is

Since = Annotated[
    datetime | None, typer.Option(parser=moment, help="Received from then on: 2026-11-22T10:15, or 24h ago.")
]
Until = Annotated[datetime | None, typer.Option(parser=moment, help="Received before that.")]
Organisation = Annotated[str | None, typer.Option(help="Sent as this organisation.")]
Domain = Annotated[str | None, typer.Option(help="Sent to this domain.")]
Type = Annotated[str | None, typer.Option("--type", help="ADT^A01, all of ADT, a layout, or a resource type.")]
ControlId = Annotated[str | None, typer.Option(help="MSH-10, or the Idempotency-Key.")]
Outcome = Annotated[str | None, typer.Option(help=f"One of {', '.join(OUTCOMES)}.")]
Rule = Annotated[str | None, typer.Option(help="Decided by this rule.")]
Rules = Annotated[Path | None, typer.Option("--rules", help="Folder of rule files. Default: that of the settings.")]


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table for people, wide where nobody says how wide it may be; nothing where it has no rows."""
    if rows:
        width = None if sys.stdout.isatty() else WIDE
        Console(highlight=False, markup=False, emoji=False, width=width).print(shown.table(headings, rows))


@contextmanager
def reading(data: Path) -> Iterator[tuple[Desk, Keys]]:
    """The journal of a data folder, to read beside a running gateway or not, and the keys that open its payloads.

    Errors: ConfigError, JournalUnavailable, Unsealable.
    """
    settings = load(data=data)
    with desks.reading(settings) as desk:
        yield desk, keys_of(settings)


@contextmanager
def writing(data: Path) -> Iterator[tuple[Desk, Settings]]:
    """The journal of a data folder, to write, and the settings.

    Errors: ConfigError, JournalUnavailable.
    """
    settings = load(data=data)
    with desks.writing(settings) as desk:
        yield desk, settings


def sought(
    since: datetime | None, until: datetime | None, organisation: str | None, domain: str | None, kind: str | None,
    control_id: str | None, outcome: str | None, rule: str | None,
) -> Sought:  # fmt: skip
    """What the filters of a command line look for.

    Errors: typer.BadParameter for an outcome that there is not.
    """
    if outcome is not None and outcome not in OUTCOMES:
        raise typer.BadParameter(f"{outcome!r} is none of {', '.join(OUTCOMES)}", param_hint="--outcome")
    return Sought(
        since=since, until=until, organisation=organisation, domain=domain, type=kind, control_id=control_id,
        outcome=outcome, rule=rule,
    )  # fmt: skip
