"""What every command shares: where it prints, how it ends, and the options that several of them take."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeElapsedColumn

from gateway.finding import Finding
from gateway.source import Diagnostic, render
from gateway.stated import Stated

out = Console(soft_wrap=True, highlight=False, markup=False, emoji=False)
err = Console(stderr=True, soft_wrap=True, highlight=False, markup=False, emoji=False)

Data = Annotated[Path, typer.Option(envvar="GATEWAY_DATA", help="The data folder.")]
Url = Annotated[str, typer.Option(envvar="GATEWAY_URL", help="The gateway's address.")]
DATA, URL = Path("data"), "http://localhost:8000"


def stop(words: str) -> NoReturn:
    """End the command with exit status 1 and words for what went wrong."""
    err.print(f"gateway: {words}")
    sys.exit(1)


def tell(fault: Stated) -> None:
    """Say what is wrong in the words of the fault."""
    for text in fault.before():
        err.print(text + "\n")
    err.print(f"gateway: {fault}")


def progress(*columns: ProgressColumn) -> Progress:
    """A line of progress, gone when it ends; none where standard error is no terminal.

    Shape: `columns` stand between what is being done and the time that it took: with none given, a bar and a count.
    """
    between = columns or (BarColumn(), MofNCompleteColumn())
    return Progress(
        TextColumn("{task.description}"), *between, TimeElapsedColumn(), console=err, transient=True,
        disable=not err.is_terminal,
    )  # fmt: skip


def told(finding: Finding) -> str:
    """A finding in one line."""
    place = f" at {finding.expression}" if finding.expression else ""
    return f"{finding.severity}[{finding.rule or finding.code}]{place}: {finding.diagnostics}"


def show(diagnostics: tuple[Diagnostic, ...]) -> None:
    """Print diagnostics to standard error, with their lines and carets."""
    for diagnostic in diagnostics:
        err.print(render(diagnostic) + "\n")
