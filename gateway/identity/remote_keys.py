"""Key sets at addresses: of external issuers, and of clients that publish theirs.

A set is kept and asked for again when it is old, or when a key is named that is not in it: at most once in 30 s, so
that nobody makes the gateway ask by sending names. Where the address does not answer, what it told last goes on for an
hour.
Source: `trust.md` of the design, "Identity"; RFC 7517 section 5.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
from joserfc.errors import JoseError
from joserfc.jwk import Key, import_key

from gateway.config import is_loopback
from gateway.identity import jose, jwks
from gateway.identity.jwks import BadKeys, PublicKey

AGAIN: Final = 30.0
FRESH: Final = 300.0
STALE: Final = 3600.0
WITHIN: Final = 5.0
"""Between two questions, until a set is asked for again, until it is not used any more, and for an answer.

Units: seconds.
"""
SIZE: Final = 256 * 1024
KEYS: Final = 50
SIGNING: Final = frozenset({"RSA", "EC"})

_log = logging.getLogger(__name__)
Fetch = Callable[[str], Awaitable[bytes]]


@dataclass(slots=True)
class _Known:
    """What is known of an address.

    Shape: `client` are the keys that a client may use of those in `judged`.
    Units: `asked` and `told` by the clock; `told` is when it answered last with what could be used.
    """

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    asked: float = float("-inf")
    told: float = float("-inf")
    offered: tuple[Mapping[str, Any], ...] = ()
    judged: tuple[Mapping[str, Any], ...] = ()
    client: tuple[PublicKey, ...] = ()


class RemoteKeys:
    """Keys by the address of their set.

    Shape: `fetch` answers the body of an address; `clock` counts seconds from anywhere. For one event loop.
    """

    def __init__(self, fetch: Fetch, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Know nothing yet."""
        self._fetch = fetch
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._asking: set[asyncio.Task[tuple[Mapping[str, Any], ...]]] = set()

    async def client_keys(self, address: str, kid: str, *, within: float | None = None) -> tuple[PublicKey, ...]:
        """The keys of a client that may be used at all; asked for again where `kid` is not among them.

        Shape: after `within` seconds those that were told before; the question goes on for whoever comes next.
        """
        asking = asyncio.ensure_future(self._offered(address, kid))
        self._asking.add(asking)
        asking.add_done_callback(self._asking.discard)
        await asyncio.wait({asking}, timeout=within)
        known = self._known[address]
        offered = asking.result() if asking.done() else self._standing(known)
        if offered is not known.judged:
            known.judged, known.client = offered, tuple(key for jwk in offered if (key := _client_key(jwk)) is not None)
        return known.client

    async def issuer_key(self, address: str, kid: str) -> Key | None:
        """The key of an issuer by its name."""
        found = [jwk for jwk in await self._offered(address, kid) if jwk.get("kid") == kid]
        return _verifying(found[0]) if len(found) == 1 else None

    def holds(self, address: str, kid: str) -> bool:
        """Whether a key is in what was told last, and that is not too old."""
        known = self._known.get(address)
        if known is None or self._clock() - known.told > STALE:
            return False
        return any(jwk.get("kid") == kid for jwk in known.offered)

    async def _offered(self, address: str, kid: str) -> tuple[Mapping[str, Any], ...]:
        known = self._known.setdefault(address, _Known())
        # Who lacks a key waits for an answer that is on its way; who has one goes on with it.
        if self._wants(known, kid) or (known.lock.locked() and not self.holds(address, kid)):
            async with known.lock:
                if self._wants(known, kid):  # else whoever was first has asked
                    await self._ask(address, known)
        return self._standing(known)

    def _standing(self, known: _Known) -> tuple[Mapping[str, Any], ...]:
        """What was told last, while that counts."""
        return known.offered if self._clock() - known.told <= STALE else ()

    def _wants(self, known: _Known, kid: str) -> bool:
        now = self._clock()
        if now - known.asked < AGAIN:
            return False
        return now - known.told > FRESH or all(jwk.get("kid") != kid for jwk in known.offered)

    async def _ask(self, address: str, known: _Known) -> None:
        known.asked = self._clock()
        try:
            told = jose.json_object(await self._fetch(address)).get("keys")
            if not isinstance(told, list) or len(told) > KEYS:
                raise ValueError(f"it has no list `keys` of up to {KEYS}")  # noqa: TRY301 - one way of telling it
        except (ValueError, TimeoutError, httpx.HTTPError) as error:
            _log.warning(
                "the key set at %s can't be read, its last one stays: %s", address, str(error) or type(error).__name__
            )
            return
        known.offered = tuple(jwk for jwk in told if isinstance(jwk, dict))
        known.told = self._clock()


async def fetch(address: str) -> bytes:
    """The body of an address.

    Errors: httpx.HTTPError; ValueError for a status that is not 200, or more than 256 KiB.
    """
    local = is_loopback(httpx.URL(address).host)
    async with (
        asyncio.timeout(2 * WITHIN),
        httpx.AsyncClient(timeout=WITHIN, follow_redirects=False, trust_env=not local) as client,
        client.stream("GET", address, headers={"Accept": "application/json"}) as answer,
    ):
        if answer.status_code != httpx.codes.OK:
            raise ValueError(f"it answers {answer.status_code}")
        body = b""
        async for piece in answer.aiter_bytes():
            body += piece
            if len(body) > SIZE:
                raise ValueError(f"it has more than {SIZE} bytes")
        return body


def _client_key(jwk: Mapping[str, Any]) -> PublicKey | None:
    """A key that could have been enrolled; a set may hold others, for encryption or other issuers."""
    try:
        return jwks.public_keys({"keys": [dict(jwk)]})[0]
    except BadKeys:
        return None


def _verifying(jwk: Mapping[str, Any]) -> Key | None:
    """A key that may verify signatures; None for one that is weak, secret or for something else."""
    if jwk.get("kty") not in SIGNING or jwk.get("use", "sig") != "sig" or any(name in jwk for name in jwks.PRIVATE):
        return None
    try:
        public = {name: jwk[name] for name in jwks.PUBLIC[jwk["kty"]]}
        if jwk["kty"] == "RSA":
            jwks.judge_modulus("the key", public)
        return import_key(public)
    except (JoseError, BadKeys, KeyError, ValueError, TypeError):
        return None
