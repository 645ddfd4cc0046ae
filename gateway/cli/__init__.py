"""Every command of the gateway, thin: what is done stands in the modules that it calls. One module a group."""

from __future__ import annotations

import typer

from gateway import assemble
from gateway.cli import converting, documents, principals, rules, sampling, sending, serving, specs, store
from gateway.cli.console import show, stop
from gateway.client import CredentialError, TokenRefused, Unreachable
from gateway.config import ConfigError
from gateway.identity import BadKeys, BadSecret, CredentialsError, KeysError
from gateway.journal import JournalUnavailable
from gateway.specs import SpecsError

app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown", pretty_exceptions_enable=False,
                  help="A declarative FHIR facade: HL7 v2 in, FHIR R4 out, decided by rules.")  # fmt: skip
app.command("serve")(serving.serve_command)
app.command("demo")(serving.demo_command)
app.command("token")(sending.token)
app.command("send")(sending.send)
app.command("sample")(sampling.sample)
app.command("convert")(converting.convert)
app.command("openapi")(documents.openapi)
app.add_typer(principals.app, name="principals")
app.add_typer(specs.app, name="specs")
app.add_typer(rules.app, name="rules")
app.add_typer(store.app, name="store")

FAULTS = (
    ConfigError, CredentialError, CredentialsError, BadKeys, BadSecret, KeysError, TokenRefused, JournalUnavailable,
    SpecsError,
)  # fmt: skip


def main() -> None:
    """Run the command line.

    Errors: exit status 1 with words for what went wrong, 2 for wrong usage.
    """
    try:
        app()
    except assemble.NotLoaded as fault:
        show(fault.diagnostics)
        stop("rules or maps have errors, so nothing is served from them")
    except Unreachable as fault:
        stop(f"no gateway answers there ({type(fault).__name__}): is it running, and is --url right?")
    except OSError as fault:
        stop(f"{fault.filename}: {fault.strerror}" if fault.filename is not None else str(fault))
    except FAULTS as fault:
        stop(str(fault))
