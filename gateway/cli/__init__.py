"""Every command of the gateway, thin: what is done stands in the modules that it calls. One module a group.

A command line imports the module of its own command alone: what `gateway token` doesn't need, it doesn't wait for.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

import typer
from typer.core import TyperGroup
from typer.main import get_command, get_group

from gateway.cli.console import stop, tell
from gateway.stated import Stated

PLACES: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "serve": ("serving", "serve_command"),
        "demo": ("serving", "demo_command"),
        "token": ("sending", "token"),
        "send": ("sending", "send"),
        "sample": ("sampling", "sample"),
        "convert": ("converting", "convert"),
        "validate": ("validating", "validate"),
        "openapi": ("documents", "openapi"),
        "principals": ("principals", "app"),
        "keys": ("keys", "app"),
        "dev-certs": ("dev_certs", "dev_certs"),
        "specs": ("specs", "app"),
        "rules": ("rules", "app"),
        "store": ("store", "app"),
        "journal": ("journal", "app"),
        "audit": ("audit", "app"),
    }
)
"""Module below `gateway.cli` of each command, or of a group of them, and its name there."""


class _Placed(Mapping[str, Any]):
    """The commands of `PLACES`, each imported when it is asked for."""

    def __getitem__(self, name: str) -> Any:  # a command of the click that typer holds
        module, member = PLACES[name]
        found = getattr(importlib.import_module(f"gateway.cli.{module}"), member)
        if isinstance(found, typer.Typer):
            group = get_group(found)
            group.name = name
            return group
        alone = typer.Typer(rich_markup_mode="markdown", add_completion=False)
        alone.command(name)(found)
        return get_command(alone)

    def __iter__(self) -> Iterator[str]:
        return iter(PLACES)

    def __len__(self) -> int:
        return len(PLACES)


class _Commands(TyperGroup):
    def __init__(self, **told: Any) -> None:
        super().__init__(**told)
        self.commands = _Placed()  # type: ignore[assignment] # nobody adds a command to it


app = typer.Typer(cls=_Commands, no_args_is_help=True, rich_markup_mode="markdown", pretty_exceptions_enable=False)


@app.callback()
def _gateway() -> None:
    """A declarative FHIR facade: HL7 v2 in, FHIR R4 out, decided by rules."""


def main() -> None:
    """Run the command line.

    Errors: exit status 1 with words for what went wrong, 2 for wrong usage.
    """
    try:
        app()
    except Stated as fault:
        tell(fault)
        sys.exit(1)
    except OSError as fault:
        stop(f"{fault.filename}: {fault.strerror}" if fault.filename is not None else str(fault))
