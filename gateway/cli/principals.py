"""`gateway principals`: credentials of the principals that the rules declare."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import simplejson
import typer
from rich.console import Console
from rich.table import Table

from gateway import loading, rules
from gateway.cli.console import DATA, Data, err, out, stop
from gateway.config import CLIENTS, load
from gateway.identity import Credentials, new_client_key, new_secret, public_set
from gateway.identity.jwks import key_set_of
from gateway.identity.private_file import make_folder, write_private
from gateway.source import nearest

app = typer.Typer(no_args_is_help=True, help="Credentials of the principals that the rules declare.")


@app.command()
def enrol(
    name: str,
    data: Data = DATA,
    jwks: Annotated[str | None, typer.Option(help="The principal's public JWKS: a file, or its https address.")] = None,
    certificate: Annotated[
        list[Path] | None,
        typer.Option(help="A certificate (PEM or DER) that it needs from then on; repeated, any one of them."),
    ] = None,
    key_of: Annotated[
        Path | None, typer.Option(help="A certificate or public key (PEM) whose key it signs with; its kid is printed.")
    ] = None,
    *,
    secret: Annotated[bool, typer.Option("--secret", help="Make a secret, and print it once.")] = False,
    new_key: Annotated[
        bool, typer.Option("--new-key", help="Make a key pair; the private JWK goes to DATA/clients/.")
    ] = False,
) -> None:
    """Give a principal credentials.

    A certificate beside a key or a secret is needed as well; alone it is what gets a token (RFC 8705).

    Example: `gateway principals enrol uhd-mirth --jwks mirth.jwks.json --certificate mirth.pem --data data`
    """
    proofs = sum((jwks is not None, key_of is not None, secret, new_key))
    if proofs > 1 or (not proofs and not certificate):
        stop("give exactly one of --jwks, --key-of, --secret and --new-key, or --certificate alone or beside it")
    settings = load(data=data)
    _check_declared(name, settings.rules)
    credentials = Credentials(settings.credentials_folder)
    own = [path.read_bytes() for path in certificate or ()]
    if jwks is not None and jwks.startswith(("https:", "http:")):
        enrolment = credentials.enrol(name, key_address=jwks, certificates=own)
    elif jwks is not None:
        enrolment = credentials.enrol(name, keys=Path(jwks).read_bytes(), certificates=own)
    elif key_of is not None:
        enrolment = credentials.enrol(name, keys=key_set_of(key_of.read_bytes()), certificates=own)
        err.print(f"its assertions are signed with the key of the kid {enrolment.keys[0].kid}")
    elif new_key:
        private = new_client_key()
        enrolment = credentials.enrol(name, keys=public_set(private), certificates=own)
        _keep(data / CLIENTS / f"{name}.json", private)
    else:
        made = new_secret() if secret else None
        enrolment = credentials.enrol(name, secret=made, certificates=own)
        if made is not None:
            err.print("the secret is shown this once:")
            out.print(made)
    for one in enrolment.certificates if own else ():
        err.print(f"certificate of {one.subject}, SHA-256 {one.sha256}, until {_day(one.ends)}")
    err.print(f"enrolled {name}; the rules say what it may do")


def _keep(path: Path, private: Mapping[str, Any]) -> None:
    make_folder(path.parent)
    write_private(path, simplejson.dumps(private).encode())
    err.print(f"private key in {path}")


def _check_declared(name: str, folder: Path) -> None:
    """Stop where no rule file declares a principal: what is misspelt here would only be found out by its 403."""
    ruleset = rules.load(folder, loading.vocabulary(load().specs)).rules
    if ruleset is not None and name not in ruleset.registry.principals:
        near = nearest(name, ruleset.registry.principals)
        hint = f"did you mean {near}?" if near else f"declare it there first: principal {name} ..."
        stop(f"no rule file in {folder} declares a principal of the name {name}; {hint}")


@app.command("list")
def list_principals(data: Data = DATA) -> None:
    """List who is enrolled, with which credentials.

    Example: `gateway principals list --data data`
    """
    table = Table("principal", "enrolled", "keys", "certificates", "secret", "revoked")
    for one in Credentials(load(data=data).credentials_folder).list():
        kids = ", ".join(key.kid[:12] for key in one.keys)
        known = "\n".join(f"{own.sha256[:16]} {own.subject} until {_day(own.ends)}" for own in one.certificates)
        secret = "yes" if one.secret else ""
        table.add_row(one.principal, one.enrolled, one.key_address or kids, known, secret, one.revoked or "")
    Console().print(table)


@app.command()
def revoke(name: str, data: Data = DATA) -> None:
    """Take a principal's credentials away; a running gateway refuses its tokens at once.

    Example: `gateway principals revoke uhd-mirth --data data`
    """
    Credentials(load(data=data).credentials_folder).revoke(name)
    err.print(f"revoked {name}")


def _day(instant: float) -> str:
    return datetime.fromtimestamp(instant, UTC).date().isoformat()
