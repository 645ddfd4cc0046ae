"""`gateway specs`: the standards' tables in specs/."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli import maps
from gateway.cli.console import stop
from gateway.config import REPOSITORY
from gateway.fhir import build as fhir_tables
from gateway.fhir import build_profiles
from gateway.hl7v2 import dictionary

app = typer.Typer(no_args_is_help=True, help="The standards' tables in specs/.")


@app.command("build")
def build_specs(
    reference: Annotated[
        Path | None, typer.Option(help="Folder with the official R4 tables, to build specs/fhir from.")
    ] = None,
    uk_core: Annotated[
        Path | None, typer.Option(help="Folder with the tables of UK Core, to build specs/fhir/uk-core from.")
    ] = None,
    *,
    check: Annotated[bool, typer.Option("--check", help="Only say whether a build would change anything.")] = False,
) -> None:
    """Write the HL7 v2 dictionaries from hl7apy, with --reference the FHIR R4 tables, with --uk-core those of UK Core.

    Example: `gateway specs build --check`
    """
    root = REPOSITORY / "specs"
    dictionaries, tables = root / "hl7v2" / "dictionary", root / "fhir"
    if not check:
        dictionary.write(dictionaries)
        if reference is not None:
            fhir_tables.write(reference, tables)
        if uk_core is not None:
            build_profiles.write(uk_core, tables / "uk-core")
        return
    stale = [
        *dictionary.drift(dictionaries),
        *(fhir_tables.drift(reference, tables) if reference else ()),
        *(build_profiles.drift(uk_core, tables / "uk-core") if uk_core else ()),
    ]
    if stale:
        stop(f"specs/ is not what `gateway specs build` makes: {', '.join(map(str, stale))}")


app.command("check")(maps.check_specs)
app.command("show")(maps.show_specs)
app.command("trace")(maps.trace_message)
