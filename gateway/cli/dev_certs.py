"""`gateway dev-certs`: certificates to try mutual TLS with."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.console import err, out
from gateway.identity.development import Made, development_certificates
from gateway.identity.private_file import write_private
from gateway.identity.secret import new_secret


def dev_certs(
    out_folder: Annotated[Path, typer.Option("--out", help="Folder for the files; an authority there is used again.")],
    client: Annotated[str, typer.Option(help="Name of the client, best that of its principal.")] = "demo-engine",
    host: Annotated[
        list[str] | None, typer.Option(help="Another name or address of the server; may be repeated.")
    ] = None,
) -> None:
    """Make an authority, a server's and a client's certificate, and the PKCS 12 files that Java takes.

    Example: `gateway dev-certs --out certs --client uhd-mirth`
    """
    password = new_secret()
    made = development_certificates(out_folder, client, password, hosts=host or (), now=time.time)
    word = made.keystore.with_suffix(".password")
    write_private(word, password.encode())
    out.print(_next_steps(made, client, word))
    err.print("for development alone: whoever reads the folder can make certificates that this authority vouches for")


def _next_steps(made: Made, client: str, word: Path) -> str:
    return f"""made {made.client.parent}, for its owner alone

1. the gateway asks for certificates: in gateway.toml of the data folder

   [mtls]
   port = 8443
   certificate = "{made.server.resolve()}"
   key = "{made.server_key.resolve()}"
   authorities = "{made.authority.resolve()}"

2. the principal is enrolled with its certificate, and needs it from then on:

   gateway principals enrol {client} --certificate {made.client}

3. gateway serve, and try it:

   curl --cacert {made.authority} --cert {made.client} --key {made.client_key} \\
     -d grant_type=client_credentials -d client_id={client} 'https://localhost:8443/$ingest/auth'

   gateway token --principal {client} --url https://localhost:8443 --certificate {made.client} \\
     --certificate-key {made.client_key} --authority {made.authority}

   Java and Mirth take {made.keystore} (key) and {made.truststore} (whom to trust);
   the password of both stands in {word}:

   keytool -list -keystore {made.keystore} -storepass:file {word}"""
