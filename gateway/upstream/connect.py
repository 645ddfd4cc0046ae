"""From a configured address to a target."""

from __future__ import annotations

import functools
import ssl
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from gateway.config import TargetCredentials, is_loopback
from gateway.upstream import store
from gateway.upstream.breaker import Breaker
from gateway.upstream.by_httpx import TIMEOUT, ByHttpx, Direct
from gateway.upstream.credentials import Shown, Source, source_of, tls_context
from gateway.upstream.embedded import Embedded
from gateway.upstream.embedded_server import EmbeddedServer
from gateway.upstream.exchange import Sender
from gateway.upstream.folder import FolderTarget
from gateway.upstream.hl7v2 import Hl7v2Target
from gateway.upstream.server import FhirServer
from gateway.upstream.store.own_process import WriterProcess
from gateway.upstream.straight import Straight
from gateway.upstream.turns import ByTurns

EMBEDDED = "embedded"
_FOLDER = "folder:"
_HL7V2 = "hl7v2+"
_BASE = "http://embedded"
CONNECTIONS = 64
"""So many requests are under way to a target at a time."""
_LONGEST_WAIT = 5.0
"""How long a request waits for its turn. Units: seconds."""
_TIMEOUT = aiohttp.ClientTimeout(
    total=None, connect=TIMEOUT.pool, sock_connect=TIMEOUT.connect, sock_read=TIMEOUT.read
)  # fmt: skip
_KEPT_ALIVE = 15.0  # shorter than what servers usually keep, so that a connection isn't lost as it is used


class AddressError(ValueError):
    """An address that no target can have; the words say what one looks like."""


def connect(
    name: str,
    address: str,
    *,
    data: Path,
    own_writer: bool = False,
    public: str = "",
    credentials: TargetCredentials | None = None,
) -> FhirServer | Hl7v2Target | FolderTarget:
    """The target at an address; nothing is opened before its first use, in the event loop that uses it.

    Shape: `embedded` is the store in `data`; `http(s)://...` a FHIR server; `hl7v2+http(s)://...` an engine;
    `folder:NAME` a folder, a relative name below `data`. `public` is the gateway's own address; files of `credentials`
    are relative to `data`.
    Errors: AddressError, also for credentials that don't go with the address or can't be used.
    """
    if credentials is not None and (address == EMBEDDED or address.startswith(_FOLDER)):
        raise AddressError(f"target {name}: the setting `credentials` is for targets at an http(s) address")
    if address == EMBEDDED:
        app = store.app(data / "store.db", trusted=True)
        writer = WriterProcess(data / "store.db") if own_writer else None
        return EmbeddedServer(name, ByHttpx(Direct(Embedded(app, app.aclose))), _BASE, app, writer)
    if address.startswith(_FOLDER) and (folder := address.removeprefix(_FOLDER)):
        return FolderTarget(name, data / folder)
    url = urlsplit(address.removeprefix(_HL7V2))
    if url.scheme not in {"http", "https"} or not url.hostname or url.username or url.query or url.fragment:
        raise AddressError(
            f"target {name}: its address is `embedded`, `http(s)://...` for a FHIR server, `hl7v2+http(s)://...` for "
            "an engine or `folder:NAME`, without query or credentials"
        )
    if credentials is not None and url.scheme == "http" and not is_loopback(url.hostname):
        raise AddressError(f"target {name}: credentials are sent over https alone, or to a loopback address")
    sender, breaker = _remote(name, credentials or TargetCredentials(), data), Breaker(name)
    if address.startswith(_HL7V2):
        return Hl7v2Target(name, sender, url.geturl(), breaker)
    return FhirServer(name, sender, url.geturl(), public=public, breaker=breaker)


class _Client(httpx.AsyncClient):
    """A client of a target that takes credentials; it closes their source with itself."""

    def __init__(self, transport: httpx.AsyncBaseTransport, source: Source | None = None) -> None:
        # without the machine's proxies and password file; a request that is built by hand, as `exchange` does, is sent
        # without the cookies of earlier answers
        super().__init__(
            transport=transport,
            auth=None if source is None else Shown(source),
            timeout=TIMEOUT,
            trust_env=False,
            follow_redirects=False,
        )
        self._source = source

    async def aclose(self) -> None:
        await super().aclose()
        if self._source is not None:
            await self._source.aclose()


def _remote(name: str, credentials: TargetCredentials, data: Path) -> Sender:
    """What sends to a target elsewhere.

    Errors: AddressError for a certificate, key or authority that can't be used.
    """
    try:
        context = tls_context(credentials, data)
    except OSError as error:  # what TLS says is one too
        why = error.strerror or type(error).__name__
        words = f"target {name}: its certificate, key or authority can't be used ({why}): each is a PEM file"
        raise AddressError(words) from error

    session = functools.partial(_session, context)
    source = source_of(credentials, data, lambda: _Client(AiohttpTransport(client=session)))
    sender: Sender
    if source is None:
        sender = Straight(session, _TIMEOUT)
    else:
        sender = ByHttpx(_Client(AiohttpTransport(client=session), source))
    return ByTurns(sender, CONNECTIONS, _LONGEST_WAIT)


def _session(context: ssl.SSLContext | None) -> aiohttp.ClientSession:
    # without a limit of its own: `ByTurns` counts
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEPT_ALIVE, ssl=context or True)
    session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False)
    # aiohttp would send a DELETE or PUT again of itself where the connection broke; what is sent again is decided above
    session._retry_connection = False  # noqa: SLF001 - it has no public name; a test counts what a server is asked
    return session
