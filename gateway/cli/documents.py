"""`gateway openapi`: the document that the rules make."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from gateway import assemble, loading
from gateway.cli.console import stop
from gateway.cli.keeping import keeping
from gateway.config import REPOSITORY, Settings


def openapi(
    write: Annotated[Path | None, typer.Option(help="Write the document to a file.")] = None,
    check: Annotated[Path | None, typer.Option(help="Only say whether a file is what would be written.")] = None,
    rules_folder: Annotated[Path, typer.Option("--rules", help="Folder of rule files.")] = REPOSITORY / "rules",
) -> None:
    """Print the OpenAPI document that the rules make.

    Example: `gateway openapi --check openapi/openapi.json`
    """
    settings = Settings(rules=rules_folder, client_secrets=True)
    text = assemble.openapi_text(loading.decisions(settings.rules, settings.specs, keeping()), settings)
    if write is not None:
        write.write_text(text, "utf-8")
    elif check is None:
        sys.stdout.write(text)
    elif not check.exists() or check.read_text("utf-8") != text:
        stop(f"{check} is not what the rules make now: run `gateway openapi --write {check}` and commit it")
