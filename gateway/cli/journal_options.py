"""What the commands of `gateway journal` share: what is looked for, and the journal of the settings at hand."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial, wraps
from inspect import Parameter
from pathlib import Path
from typing import Annotated, Any, Concatenate, Literal, TypeAlias

import typer
from rich.console import Console

from gateway.cli import journal_shown as shown
from gateway.cli.moments import moment
from gateway.config import Settings, load
from gateway.journal import browsing, desks
from gateway.journal.browsing import Entry
from gateway.journal.desk import Desk
from gateway.journal.opening import keys_of
from gateway.journal.sealed import Keys
from gateway.journal.sought import OUTCOMES, Sought

Command: TypeAlias = Callable[Concatenate[Sought, ...], None]
"""A command whose first parameter is what is looked for."""

WIDE = 200  # where no terminal says how wide it is
AT_ONCE = 10
"""Submissions that are read together: each may be as large as a body may be."""

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
Style = Annotated[Literal["text", "json"], typer.Option("--format")]


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


def entries(desk: Desk, wanted: Sought, keys: Keys) -> Iterator[tuple[Entry, ...]]:
    """What is looked for, with its payloads opened, in order of arrival and some at a time.

    Errors: JournalUnavailable, Unsealable.
    """
    last = 0
    while found := desk.read(partial(browsing.entries, wanted, AT_ONCE, last, keys)):
        yield found
        last = found[-1].id


def sought(
    since: Since = None, until: Until = None, organisation: Organisation = None, domain: Domain = None,
    kind: Type = None, control_id: ControlId = None, outcome: Outcome = None, rule: Rule = None,
) -> Sought:  # fmt: skip
    """What the filters of a command line look for; each parameter is one of them.

    Errors: typer.BadParameter for an outcome that there is not.
    """
    if outcome is not None and outcome not in OUTCOMES:
        raise typer.BadParameter(f"{outcome!r} is none of {', '.join(OUTCOMES)}", param_hint="--outcome")
    return Sought(
        since=since, until=until, organisation=organisation, domain=domain, type=kind, control_id=control_id,
        outcome=outcome, rule=rule,
    )  # fmt: skip


def filtered(*, without: Container[str] = ()) -> Callable[[Command], Callable[..., None]]:
    """Give a command the filters as options before its own, and hand it first what they look for.

    Shape: `without` names parameters of `sought` that the command has no option for. A command's options are read from
    its signature, so that of the one that is made holds the filters' parameters and the command's.
    """
    filters = [one for one in _parameters(sought) if one.name not in without]

    def decorated(command: Command) -> Callable[..., None]:
        @wraps(command)
        def filtering(**given: Any) -> None:
            asked = {one.name: given.pop(one.name) for one in filters}
            command(sought(**asked), **given)

        options = [*filters, *_parameters(command)[1:]]
        filtering.__dict__["__signature__"] = inspect.Signature(options)
        return filtering

    return decorated


def _parameters(function: Callable[..., object]) -> list[Parameter]:
    """Parameters of a function, each to be given by its name."""
    found = inspect.signature(function, eval_str=True).parameters.values()
    return [one.replace(kind=Parameter.KEYWORD_ONLY) for one in found]
