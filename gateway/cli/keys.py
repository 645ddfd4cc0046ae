"""`gateway keys`: the keys that access tokens are signed with."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from gateway.cli.console import DATA, Data, err
from gateway.config import load
from gateway.identity.keys import OVERLAP, ages
from gateway.identity.keys import rotate as rotated

app = typer.Typer(no_args_is_help=True, help="Keys that access tokens are signed with.")


@app.command()
def rotate(
    data: Data = DATA,
    *,
    at_once: Annotated[
        bool, typer.Option("--at-once", help="The old keys verify nothing any more: every token ends now.")
    ] = False,
) -> None:
    """Make a new signing key; a running gateway signs with it from the next token on.

    The old one goes on verifying, and goes out of the file with the first rotation an hour later.

    Example: `gateway keys rotate --data data`
    """
    keys = rotated(load(data=data).keys_folder, now=time.time(), overlap=0 if at_once else OVERLAP)
    err.print(f"tokens are signed with {next(iter(keys.by_id))}; {len(keys.by_id) - 1} older verify still")


@app.command("list")
def list_keys(data: Data = DATA) -> None:
    """List the signing keys, newest first.

    Example: `gateway keys list --data data`
    """
    table = Table("key", "made", "replaced")
    for one in ages(load(data=data).keys_folder):
        table.add_row(one.kid, _told(one.made, "before that was kept"), _told(one.retired, "signs"))
    Console().print(table)


def _told(instant: int | None, absent: str) -> str:
    return absent if instant is None else datetime.fromtimestamp(instant, UTC).isoformat(timespec="seconds")
