"""From a configured address to a target."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from gateway.upstream import store
from gateway.upstream.embedded import Embedded
from gateway.upstream.embedded_server import EmbeddedServer
from gateway.upstream.exchange import TIMEOUT
from gateway.upstream.folder import FolderTarget
from gateway.upstream.hl7v2 import Hl7v2Target
from gateway.upstream.server import FhirServer
from gateway.upstream.store.own_process import WriterProcess

EMBEDDED = "embedded"
_FOLDER = "folder:"
_HL7V2 = "hl7v2+"
_BASE = "http://embedded"
CONNECTIONS = 64
_KEPT_ALIVE = 15.0  # shorter than what servers usually keep, so that a connection isn't lost as it is used


class AddressError(ValueError):
    """An address that no target can have; the words say what one looks like."""


def connect(
    name: str, address: str, *, data: Path, own_writer: bool = False
) -> FhirServer | Hl7v2Target | FolderTarget:
    """The target at an address; nothing is opened before its first use, in the event loop that uses it.

    Shape: `embedded` is the store in `data`; `http(s)://...` a FHIR server; `hl7v2+http(s)://...` an engine;
    `folder:NAME` a folder, a relative name below `data`.
    Errors: AddressError.
    """
    if address == EMBEDDED:
        app = store.app(data / "store.db", trusted=True)
        writer = WriterProcess(data / "store.db") if own_writer else None
        return EmbeddedServer(name, _client(Embedded(app, app.aclose)), _BASE, app, writer)
    if address.startswith(_FOLDER) and (folder := address.removeprefix(_FOLDER)):
        return FolderTarget(name, data / folder)
    url = urlsplit(address.removeprefix(_HL7V2))
    if url.scheme not in {"http", "https"} or not url.hostname or url.username or url.query or url.fragment:
        raise AddressError(
            f"target {name}: its address is `embedded`, `http(s)://...` for a FHIR server, `hl7v2+http(s)://...` for "
            "an engine or `folder:NAME`, without query or credentials"
        )
    if address.startswith(_HL7V2):
        return Hl7v2Target(name, _client(AiohttpTransport(client=_session)), url.geturl())
    return FhirServer(name, _client(AiohttpTransport(client=_session)), url.geturl())


def _client(transport: httpx.AsyncBaseTransport) -> httpx.AsyncClient:
    """A client without the machine's proxies and password file.

    A request that is built by hand, as `exchange` does, is sent without the cookies of earlier answers.
    """
    return httpx.AsyncClient(transport=transport, timeout=TIMEOUT, trust_env=False, follow_redirects=False)


def _session() -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(limit=CONNECTIONS, keepalive_timeout=_KEPT_ALIVE)
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False)
