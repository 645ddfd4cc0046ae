"""The language server as a program of its own: what it needs to speak with editors takes long to import."""

from __future__ import annotations

from importlib.metadata import version

from gateway import loading
from gateway.config import load
from gateway.editor.server import server

if __name__ == "__main__":
    server(version("healthcare-exchange-gateway"), loading.vocabulary(load().specs)).start_io()
