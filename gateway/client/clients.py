"""The two clients: one request after the other, and many in flight."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Final, Self, Unpack

import httpx
from httpx_aiohttp import AiohttpTransport

from gateway.client.credentials import Credential
from gateway.client.requests import (
    Answer,
    Asked,
    OnAccountOf,
    Pairs,
    Sent,
    Submitting,
    answered,
    reading,
    searching,
    sent,
    submission,
)
from gateway.client.tokens import TokenFlow
from gateway.config import is_loopback
from gateway.stated import Stated

TIMEOUT: Final = 30.0
PIECE: Final = 64 * 1024


class Unreachable(Stated):
    """No gateway answers there: no connection, or it broke."""


@contextmanager
def _reaching() -> Iterator[None]:
    try:
        yield
    except httpx.TransportError as fault:
        words = f"no gateway answers there ({type(fault).__name__}): is it running, and is --url right?"
        raise Unreachable(words) from fault


class GatewayClient:
    """Talks to a gateway, one request after the other.

    Shape: `transport` is for tests and in-process servers; `audience` is the token endpoint's public address, where
    it isn't the one that is called; without a `credential` it is the certificate of `tls` that proves the client.
    Redirects are not followed.
    Errors: TokenRefused, Unreachable.
    """

    def __init__(
        self,
        base_url: str,
        principal: str,
        credential: Credential | None,
        *,
        scope: str | None = None,
        audience: str | None = None,
        timeout: float = TIMEOUT,
        transport: httpx.BaseTransport | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Open a client; nothing is sent yet."""
        self._base = base_url.rstrip("/")
        self._flow = TokenFlow(self._base, principal, credential, scope=scope, audience=audience)
        self._http = httpx.Client(
            timeout=timeout, transport=transport, trust_env=not _local(base_url), verify=True if tls is None else tls
        )

    def token(self) -> str:
        """An access token, the one in hand while it lasts."""
        standing = self._flow.standing()
        if standing is not None:
            return standing
        with _reaching():
            return self._flow.keep(self._http.send(self._flow.ask({"timeout": self._http.timeout.as_dict()})))

    def send(
        self, body: bytes, *, domain: str, organisation: str, data_type: str = "Hl7v2", **more: Unpack[Submitting]
    ) -> Sent:
        """Submit a message, resource or file; `more` as `submission` takes it."""
        asked = submission(body, domain=domain, organisation=organisation, data_type=data_type, **more)
        return sent(self._exchange(asked), data_type)

    def send_file(
        self,
        path: Path,
        *,
        domain: str,
        organisation: str,
        went: Callable[[int], None] = lambda _: None,
        **more: Unpack[Submitting],
    ) -> Sent:
        """Submit a CSV file as it is read, in constant memory.

        Shape: `went` is told the bytes of each piece that goes out; `more` as `submission` takes it.
        Errors: OSError.
        """
        self.token()  # before the file is read: a request that is refused for its token can't be sent once more
        more.setdefault("content_type", "text/csv")
        asked = submission(_pieces(path, went), domain=domain, organisation=organisation, data_type="Csv", **more)
        headers = {**asked.headers, "Content-Length": str(path.stat().st_size)}
        return sent(self._exchange(replace(asked, headers=headers)), "Csv")

    def receipt(self, address: str) -> Answer:
        """What became of a submission, by the address in `Location`."""
        target = "/" + address.split("://", 1)[-1].partition("/")[2]
        return answered(self._exchange(Asked("GET", target, {})))

    def search(self, kind: str, parameters: Pairs, *, post: bool = False, **account: Unpack[OnAccountOf]) -> Answer:
        """Search resources of a type."""
        return answered(self._exchange(searching(kind, parameters, post=post, **account)))

    def read(self, kind: str, identifier: str, **account: Unpack[OnAccountOf]) -> Answer:
        """Read one resource."""
        return answered(self._exchange(reading(kind, identifier, **account)))

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        """Use as a context."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close at the end of the context."""
        self.close()

    def _exchange(self, asked: Asked) -> httpx.Response:
        request = self._http.build_request(
            asked.method, self._base + asked.target, headers=asked.headers, content=asked.content
        )
        with _reaching():
            return self._http.send(request, auth=self._flow)


class AsyncGatewayClient:
    """Talks to a gateway with many requests in flight; else as `GatewayClient`.

    Errors: TokenRefused, httpx.TransportError.
    Shape: without a `transport` aiohttp's is used, which keeps up with load where httpx's own doesn't.
    """

    def __init__(
        self,
        base_url: str,
        principal: str,
        credential: Credential | None,
        *,
        scope: str | None = None,
        audience: str | None = None,
        timeout: float = TIMEOUT,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Open a client; nothing is sent yet."""
        self._base = base_url.rstrip("/")
        self._flow = TokenFlow(self._base, principal, credential, scope=scope, audience=audience)
        self._http = httpx.AsyncClient(
            timeout=timeout, transport=transport or AiohttpTransport(), trust_env=not _local(base_url)
        )

    async def token(self) -> str:
        """An access token, the one in hand while it lasts.

        Shape: requests that start together without a token each ask for one; asking here first saves that.
        """
        standing = self._flow.standing()
        if standing is not None:
            return standing
        return self._flow.keep(await self._http.send(self._flow.ask({"timeout": self._http.timeout.as_dict()})))

    async def send(
        self, body: bytes, *, domain: str, organisation: str, data_type: str = "Hl7v2", **more: Unpack[Submitting]
    ) -> Sent:
        """Submit a message, resource or file; `more` as `submission` takes it."""
        asked = submission(body, domain=domain, organisation=organisation, data_type=data_type, **more)
        return sent(await self._exchange(asked), data_type)

    async def search(
        self, kind: str, parameters: Pairs, *, post: bool = False, **account: Unpack[OnAccountOf]
    ) -> Answer:
        """Search resources of a type."""
        return answered(await self._exchange(searching(kind, parameters, post=post, **account)))

    async def read(self, kind: str, identifier: str, **account: Unpack[OnAccountOf]) -> Answer:
        """Read one resource."""
        return answered(await self._exchange(reading(kind, identifier, **account)))

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        """Use as a context."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close at the end of the context."""
        await self.aclose()

    async def _exchange(self, asked: Asked) -> httpx.Response:
        request = self._http.build_request(
            asked.method, self._base + asked.target, headers=asked.headers, content=asked.content
        )
        return await self._http.send(request, auth=self._flow)


def _pieces(path: Path, went: Callable[[int], None]) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            yield piece
            went(len(piece))


def _local(base_url: str) -> bool:
    """Whether a proxy named in the environment has to stay out of the way."""
    return is_loopback(httpx.URL(base_url).host)
