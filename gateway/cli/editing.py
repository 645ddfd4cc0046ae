"""`gateway rules lsp`: the language server that editors start."""

from __future__ import annotations

from importlib.metadata import version

from gateway import assemble
from gateway.config import load
from gateway.editor.server import server


def serve_editor() -> None:
    """Serve an editor: a language server over standard input and output, for files that end in `.rules`.

    Example: `gateway rules lsp`
    """
    server(version("healthcare-exchange-gateway"), assemble.vocabulary(load().specs)).start_io()
