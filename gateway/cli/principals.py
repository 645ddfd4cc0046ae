"""`gateway principals`: credentials of the principals that the rules declare."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import simplejson
import typer
from rich.console import Console
from rich.table import Table

from gateway import assemble, rules
from gateway.cli.console import DATA, Data, err, out, stop
from gateway.config import load
from gateway.identity import Credentials, new_client_key, new_secret, public_set
from gateway.identity.private_file import make_folder, write_private
from gateway.source import nearest

app = typer.Typer(no_args_is_help=True, help="Credentials of the principals that the rules declare.")


@app.command()
def enrol(
    name: str,
    data: Data = DATA,
    jwks: Annotated[Path | None, typer.Option(help="The principal's public JWKS.")] = None,
    *,
    secret: Annotated[bool, typer.Option("--secret", help="Make a secret, and print it once.")] = False,
    new_key: Annotated[
        bool, typer.Option("--new-key", help="Make a key pair; the private JWK goes to DATA/clients/.")
    ] = False,
) -> None:
    """Give a principal credentials.

    Example: `gateway principals enrol uhd-mirth --jwks mirth.jwks.json --data data`
    """
    if sum((jwks is not None, secret, new_key)) != 1:
        stop("give exactly one of --jwks FILE, --secret and --new-key")
    _check_declared(name, load(data=data).rules)
    credentials = Credentials(data / assemble.CREDENTIALS)
    if jwks is not None:
        credentials.enrol(name, keys=jwks.read_bytes())
    elif secret:
        made = new_secret()
        credentials.enrol(name, secret=made)
        err.print("the secret is shown this once:")
        out.print(made)
    else:
        private = new_client_key()
        credentials.enrol(name, keys=public_set(private))
        path = data / assemble.CLIENTS / f"{name}.json"
        make_folder(path.parent)
        write_private(path, simplejson.dumps(private).encode())
        err.print(f"private key in {path}")
    err.print(f"enrolled {name}; the rules say what it may do")


def _check_declared(name: str, folder: Path) -> None:
    """Stop where no rule file declares a principal: what is misspelt here would only be found out by its 403."""
    ruleset = rules.load(folder, assemble.vocabulary(load().specs)).rules
    if ruleset is not None and name not in ruleset.registry.principals:
        near = nearest(name, ruleset.registry.principals)
        hint = f"did you mean {near}?" if near else f"declare it there first: principal {name} ..."
        stop(f"no rule file in {folder} declares a principal of the name {name}; {hint}")


@app.command("list")
def list_principals(data: Data = DATA) -> None:
    """List who is enrolled, with which credentials.

    Example: `gateway principals list --data data`
    """
    table = Table("principal", "enrolled", "keys", "secret", "revoked")
    for one in Credentials(data / assemble.CREDENTIALS).list():
        kids = ", ".join(key.kid[:12] for key in one.keys)
        table.add_row(one.principal, one.enrolled, kids, "yes" if one.secret else "", one.revoked or "")
    Console().print(table)


@app.command()
def revoke(name: str, data: Data = DATA) -> None:
    """Take a principal's credentials away; a running gateway refuses its tokens at once.

    Example: `gateway principals revoke uhd-mirth --data data`
    """
    Credentials(data / assemble.CREDENTIALS).revoke(name)
    err.print(f"revoked {name}")
