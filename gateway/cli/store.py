"""`gateway store`: the embedded FHIR store."""

from __future__ import annotations

from typing import Annotated

import typer

from gateway import serve
from gateway.cli.console import DATA, Data, err, stop
from gateway.identity.private_file import make_folder
from gateway.upstream import store

app = typer.Typer(no_args_is_help=True, help="The embedded FHIR store.")


@app.command("serve")
def serve_store(
    port: Annotated[int, typer.Option(help="Port to listen on, on loopback alone.")],
    data: Data = DATA,
) -> None:
    """Serve the embedded FHIR store alone, without rules, on loopback: for tests and comparison.

    Example: `gateway store serve --port 8090 --data store`
    """
    make_folder(data)
    serve.log_as_json()
    address = f"http://127.0.0.1:{port}"
    if not serve.run(store.app(data / "store.db"), "127.0.0.1", port, lambda: err.print(f"the store serves {address}")):
        stop(f"could not start on {address}; the lines above say why")
