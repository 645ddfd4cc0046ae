"""`gateway rules`: rule files."""

from __future__ import annotations

import enum
import json
import sys
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from gateway import loading, rules
from gateway.cli import accounts, editing, layouts, trials
from gateway.cli.console import err, show, stop
from gateway.config import REPOSITORY, load
from gateway.language.functions import LONDON
from gateway.language.messages import REGISTRY
from gateway.rules import sarif
from gateway.rules.lint import lint
from gateway.source import in_order
from gateway.trials import missing_samples

VERSION = version("healthcare-exchange-gateway")

app = typer.Typer(no_args_is_help=True, help="Rule files.")


class Format(enum.Enum):
    """How diagnostics are told."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"


@app.command("check")
def check_rules(
    folder: Annotated[Path, typer.Argument(help="Folder of rule files.")] = REPOSITORY / "rules",
    form: Annotated[
        Format, typer.Option("--format", help="json and sarif go to standard output, for review tools.")
    ] = Format.TEXT,
) -> None:
    """Check rule files: names, types, paths; then rules that can never match, that others cover, that say the same
    or forbid each other, names that nothing uses, grants without a test, agreements that end soon. Exit status 1 with
    any error.

    Example: `gateway rules check rules`

    Example: `gateway rules check rules --format sarif > rules.sarif`
    """  # noqa: D205 - the command line shows it all as one paragraph
    if not folder.is_dir():
        stop(f"{folder} is no folder")
    today = datetime.now(LONDON).date()
    loaded = rules.load(folder, loading.vocabulary(load().specs), today=today)
    missing = missing_samples(loaded, folder)
    diagnostics = in_order((*loaded.diagnostics, *missing))
    if loaded.rules is not None:
        diagnostics = in_order((*diagnostics, *lint(loaded.rules, loaded.trials)))
    if form is Format.TEXT:
        show(diagnostics)
    else:
        told = sarif.as_json(diagnostics) if form is Format.JSON else sarif.as_sarif(diagnostics, REGISTRY, VERSION)
        sys.stdout.write(json.dumps(told, indent=2, ensure_ascii=False) + "\n")
    if loaded.rules is None or missing:
        sys.exit(1)
    err.print(f"{folder}: no errors; rule set {loaded.rules.digest[:12]}")


app.command("fmt")(layouts.format_rules)
app.command("card")(layouts.print_card)
app.command("textmate")(layouts.print_textmate)
app.command("test")(trials.run_tests)
app.command("explain")(accounts.explain)
app.command("show")(accounts.show_reach)
app.command("diff")(accounts.show_difference)
app.command("lsp")(editing.serve_editor)
