"""A server for tests beside the gateway, such as a record that misbehaves: what it answers is each test's own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from typing import Any


class Answering(BaseHTTPRequestHandler):
    """A request; a class of it says how it is answered, GET and POST alike."""

    def respond(self, sent: bytes) -> None:
        """Call `answer`, or don't. Shape: `sent` is the request's body."""
        raise NotImplementedError

    def do_GET(self) -> None:
        """Answer it."""
        self.do_POST()

    def do_POST(self) -> None:
        """Answer it."""
        self.respond(self.rfile.read(int(self.headers.get("Content-Length", "0"))))

    def answer(self, body: bytes, status: int = 200, media_type: str = "application/fhir+json") -> None:
        """A whole answer."""
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: Any) -> None:
        """Say nothing."""


@contextmanager
def serving(server: HTTPServer) -> Iterator[str]:
    """Run a server in a thread. Shape: its address, without a path."""
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def answering(handler: type[Answering]) -> Iterator[str]:
    """A server whose requests are answered by a class, each in a thread of its own. Shape: its address."""
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), handler)) as address:
        yield address
