"""Listeners beside the common port: one whose clients show certificates, one on this machine alone for a proxy.

A certificate that is asked for on the common port would lock out browsers, keys and health checks, so each has its own.
What came to light about a connection stands in the ASGI scope of its requests: `interactions/peer.py` reads it.
Source: `trust.md` of the design, "Identity"; `facts.md`, "Servers"; RFC 8705, RFC 9440.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.config import MutualTls, Settings
from gateway.interactions.peer import LOCAL, PEER
from gateway.stated import Stated

HANDSHAKE: Final = 10.0
_OWNER_AND_GROUP: Final = 0o660
_PARTIAL: Final = ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN


class ListenerError(Stated):
    """A listener that can't be opened; its words name the setting and what to do."""


@dataclass(frozen=True, slots=True)
class Listener:
    """A bound socket, and how TLS is spoken there; `place` is what to tell people."""

    bound: socket.socket
    tls: ssl.SSLContext | None
    place: str

    async def listen(self, protocol: Callable[[], asyncio.Protocol], backlog: int) -> asyncio.Server:
        """Take connections from now on."""
        loop = asyncio.get_running_loop()
        if self.bound.family == socket.AF_UNIX:
            return await loop.create_unix_server(protocol, sock=self.bound, backlog=backlog)
        within = HANDSHAKE if self.tls is not None else None
        return await loop.create_server(
            protocol, sock=self.bound, backlog=backlog, ssl=self.tls, ssl_handshake_timeout=within
        )

    def close(self) -> None:
        """Leave nothing behind."""
        local = self.bound.family == socket.AF_UNIX
        self.bound.close()
        if local:
            Path(self.place).unlink(missing_ok=True)


def listeners(settings: Settings) -> tuple[Listener, ...]:
    """The listeners that settings ask for, bound and not yet listening.

    Errors: ListenerError.
    """
    mtls, found = settings.mtls, []
    try:
        if settings.metrics_port is not None:
            found.append(_operators(settings.metrics_host, settings.metrics_port))
        if mtls is not None and mtls.socket is not None:
            found.append(_local(settings.data / mtls.socket))
        if mtls is not None and mtls.port is not None:
            tls = _context(settings.data, mtls)  # before anything is bound that would have to be closed again
            found.append(Listener(_bound(mtls.host, mtls.port, "mtls"), tls, f"{mtls.host}:{mtls.port}"))
    except ListenerError:
        for one in found:
            one.close()
        raise
    return tuple(found)


def _operators(host: str, port: int) -> Listener:
    """Where `/_metrics` is: plain HTTP, for it shows nobody's data."""
    return Listener(_bound(host, port, "metrics"), None, f"{host}:{port}")


def _bound(host: str, port: int, what: str) -> socket.socket:
    bound: socket.socket | None = None
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, number, _, address = found[0]
        bound = socket.socket(family, kind, number)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        if bound is not None:
            bound.close()
        names = f"{what}_host and {what}_port" if what == "metrics" else f"{what}.host and {what}.port"
        raise ListenerError(f"{names}: can't listen on {host}:{port}: {error.strerror}") from error
    return bound


def _context(data: Path, mtls: MutualTls) -> ssl.SSLContext:
    """TLS that asks every client for a certificate; the gateway judges it again at each request (`authorities.py`)."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(data / (mtls.certificate or ""), data / (mtls.key or ""))
    except OSError as error:  # ssl's own are OSError too
        raise ListenerError(
            f"mtls.certificate and mtls.key: {mtls.certificate} and {mtls.key} in {data} can't be used ({error}); they "
            "take a certificate and its key in PEM"
        ) from error
    try:
        context.load_verify_locations(data / mtls.authorities)
    except OSError as error:
        raise ListenerError(
            f"mtls.authorities: {data / mtls.authorities} can't be used ({error}); it takes certificates in PEM"
        ) from error
    context.verify_flags |= _PARTIAL  # each certificate of that file is trusted in itself
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def _local(path: Path) -> Listener:
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _clear(path)
        before = os.umask(0o777 ^ _OWNER_AND_GROUP)
        try:
            bound.bind(str(path))
        finally:
            os.umask(before)
    except OSError as error:
        bound.close()
        raise ListenerError(f"mtls.socket: can't listen on {path}: {error.strerror or error}") from error
    return Listener(bound, None, str(path))


def _clear(path: Path) -> None:
    """Take away a socket that nobody listens on any more.

    Errors: OSError where somebody does, or where something else stands there.
    """
    if not path.is_socket():
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()


def seeing_peers(base: type[HttpToolsProtocol]) -> type[HttpToolsProtocol]:
    """The same protocol, which puts what it knows of its peer into the scope of each request.

    Shape: in `extensions`: under `PEER` the certificate in DER, under `LOCAL` that it came over a Unix socket.
    """

    class SeeingPeers(base):  # type: ignore[misc, valid-type]  # a class of whatever limits it was made with
        """HTTP that tells who is at the other end."""

        def connection_made(self, transport: asyncio.Transport) -> None:
            """Look at the peer once, when TLS is agreed."""
            super().connection_made(transport)
            known: dict[str, Any] = {}
            tls = transport.get_extra_info("ssl_object")
            if tls is not None and (der := tls.getpeercert(binary_form=True)) is not None:
                known[PEER] = der
            bound = transport.get_extra_info("socket")
            if bound is not None and bound.family == socket.AF_UNIX:
                known[LOCAL] = True
            self.peer = known

        def on_message_begin(self) -> None:
            """Begin a request."""
            super().on_message_begin()
            if self.peer:
                self.scope["extensions"] = {**self.scope.get("extensions", {}), **self.peer}

    return SeeingPeers
