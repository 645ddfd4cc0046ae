"""Listeners: the common port, over TLS or plain, one whose clients show certificates, one for a proxy alone.

A certificate that is asked for on the common port would lock out browsers, keys and health checks, so each has its own.
What came to light about a connection stands in the ASGI scope of its requests: `interactions/peer.py` reads it.
Source: `trust.md` of the design, "Identity"; `facts.md`, "Servers"; RFC 8705, RFC 9440.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.config import MutualTls, Settings
from gateway.guard import Door, Handshakes
from gateway.interactions.peer import LOCAL, PEER
from gateway.stated import Stated

_OWNER_AND_GROUP: Final = 0o660
_NOT_HERE: Final = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}
_PARTIAL: Final = ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN


class ListenerError(Stated):
    """A listener that can't be opened; its words name the setting and what to do."""


@dataclass(frozen=True, slots=True)
class Listener:
    """A bound socket, and how TLS is spoken there.

    Shape: `place` is what to tell people, `names` the settings of it; `lent` says that other processes have it too.
    """

    bound: socket.socket
    tls: ssl.SSLContext | None
    place: str
    names: str
    lent: bool = False

    async def listen(
        self, protocol: Callable[[], asyncio.Protocol], backlog: int, handshakes: Handshakes
    ) -> asyncio.Server | Door:
        """Take connections from now on.

        Shape: `handshakes` counts those that have still to agree TLS.
        Errors: ListenerError where another program was quicker: two may bind a port, and one may listen.
        """
        try:
            return await self._listening(protocol, backlog, handshakes)
        except OSError as error:
            raise ListenerError(
                f"{self.names}: can't listen on {self.place}: {error.strerror or error}; another program, maybe a "
                "gateway that was started at the same moment, has it: stop that one, or give this one another port"
            ) from error

    async def _listening(
        self, protocol: Callable[[], asyncio.Protocol], backlog: int, handshakes: Handshakes
    ) -> asyncio.Server | Door:
        loop = asyncio.get_running_loop()
        if self.bound.family == socket.AF_UNIX:
            return await loop.create_unix_server(protocol, sock=self.bound, backlog=backlog)
        if self.tls is not None:
            door = Door(self.bound, self.tls, protocol, handshakes)
            door.listen(backlog)
            return door
        return await loop.create_server(protocol, sock=self.bound, backlog=backlog)

    def close(self) -> None:
        """Leave nothing behind."""
        local = self.bound.family == socket.AF_UNIX
        self.bound.close()
        if local and not self.lent:
            Path(self.place).unlink(missing_ok=True)


def plain(settings: Settings) -> tuple[Listener, ...]:
    """The common port where nothing asks for TLS, bound and not yet listening.

    Errors: ListenerError.
    """
    if settings.tls_certificate is not None:
        return ()
    return tuple(_bound(settings.host, settings.port, "host and port", None))


def operators(settings: Settings) -> tuple[Listener, ...]:
    """The port for those who watch the gateway, where there is one: plain HTTP, for it shows nobody's data.

    Errors: ListenerError.
    """
    if settings.metrics_port is None:
        return ()
    return tuple(_bound(settings.metrics_host, settings.metrics_port, "metrics_host and metrics_port", None))


def listeners(settings: Settings) -> tuple[Listener, ...]:
    """The listeners that settings ask for beside plain HTTP, bound and not yet listening.

    Errors: ListenerError.
    """
    mtls = settings.mtls
    found: list[Listener] = []
    try:
        if settings.tls_certificate is not None and settings.tls_key is not None:
            own = _own_tls(settings.tls_certificate, settings.tls_key, "tls_certificate and tls_key")
            found += _bound(settings.host, settings.port, "host and port", own)
        found += operators(settings)
        if mtls is not None and mtls.socket is not None:
            found.append(_local(settings.data / mtls.socket))
        if mtls is not None and mtls.port is not None:
            tls = _context(settings.data, mtls)  # before anything is bound that would have to be closed again
            found += _bound(mtls.host, mtls.port, "mtls.host and mtls.port", tls)
    except ListenerError:
        for one in found:
            one.close()
        raise
    return tuple(found)


def _bound(host: str, port: int, names: str, tls: ssl.SSLContext | None) -> list[Listener]:
    """A listener at each address of a host that the machine has. Shape: `names` of the settings.

    Errors: ListenerError.
    """
    made: list[Listener] = []
    place = f"{host}:{port}"
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        addresses = list(dict.fromkeys(found))
        for number, (family, kind, protocol, _, address) in enumerate(addresses, 1):
            try:
                bound = _bound_at(family, kind, protocol, address, alone=len(addresses) == 1)
                made.append(Listener(bound, tls, place, names))
            except OSError as error:
                # a name may stand for addresses of IPv6 where the machine has none
                if error.errno not in _NOT_HERE or (number == len(addresses) and not made):
                    raise
    except OSError as error:
        for one in made:
            one.close()
        raise ListenerError(f"{names}: can't listen on {place}: {error.strerror}") from error
    return made


def _bound_at(family: int, kind: int, protocol: int, address: Any, *, alone: bool) -> socket.socket:
    """A socket bound to one address. Errors: OSError; nothing stays open then."""
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6 and not alone:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # the others have sockets of their own
        bound.bind(address)
    except OSError:
        bound.close()
        raise
    return bound


def _own_tls(certificate: Path, key: Path, names: str) -> ssl.SSLContext:
    """TLS with the gateway's own certificate, which asks nobody for another. Shape: `names` of the settings.

    Errors: ListenerError.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, key)
    except OSError as error:  # ssl's own are OSError too
        raise ListenerError(
            f"{names}: {certificate} and {key} can't be used ({error}); they take a certificate and its key in PEM"
        ) from error
    return context


def _context(data: Path, mtls: MutualTls) -> ssl.SSLContext:
    """TLS that asks every client for a certificate; the gateway judges it again at each request (`authorities.py`)."""
    files = data / (mtls.certificate or ""), data / (mtls.key or "")
    context = _own_tls(*files, "mtls.certificate and mtls.key")
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
    return Listener(bound, None, str(path), "mtls.socket")


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
