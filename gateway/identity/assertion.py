"""A client's signed assertion of who it is (`private_key_jwt`), checked.

authlib's own class for this knows neither RS384, ES384 nor RS512, so the check is made here with joserfc.
Source: RFC 7523 section 3; SMART Backend Services, "Authenticating to the token endpoint".
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers
from joserfc.jwk import ECKey, Key, RSAKey

from gateway.identity import jose, jwks
from gateway.identity.credentials import Enrolment
from gateway.identity.jose import CLOCK_SKEW, BadJws, Jws

LIFETIME: Final = 300
TOKEN_ID_LIMIT: Final = 256
TYPES: Final = frozenset({None, "jwt", "client-authentication+jwt"})


class BadAssertion(Exception):  # noqa: N818 - the assertion is at fault, not the program
    """An assertion that proves nothing; its words are for the gateway's log, never for the client."""


@dataclass(frozen=True, slots=True)
class Assertion:
    """A proof of who a client is, good for one use.

    Shape: `token_id` must be claimed before a token is given.
    Units: `expires` in whole seconds since 1970, rounded up.
    """

    client: str
    token_id: str
    expires: int


@dataclass(frozen=True, slots=True)
class Named:
    """Whom an assertion says that it is of, and by which key; neither is proven."""

    client: str
    key_id: str


def names(text: str) -> Named | None:
    """What an assertion says of itself, before any key is looked for; None where `check` will refuse it anyway."""
    try:
        signed = jose.read(text, algorithms=jwks.ALGORITHMS, types=TYPES)
        return Named(_client(signed.claims), signed.key_id)
    except (BadJws, BadAssertion):
        return None


class Decoys:
    """Keys that nobody holds.

    A signature is checked for unknown clients and keys too, so that the time taken doesn't tell which there are.
    """

    def __init__(self) -> None:
        """Make one key of each type. The RSA modulus is chance: nothing is ever signed with it."""
        modulus = secrets.randbits(jwks.RSA_BITS) | 1 << (jwks.RSA_BITS - 1) | 1
        rsa = RSAKey.import_key(RSAPublicNumbers(jwks.RSA_EXPONENT, modulus).public_key())
        ec = ECKey.generate_key(jwks.CURVE, private=False)
        self._keys: Mapping[str, Key] = {"RS384": rsa, "RS512": rsa, "ES384": ec}

    def key(self, algorithm: str) -> Key:
        """The decoy for an algorithm."""
        return self._keys[algorithm]


def check(
    text: str, *, find: Callable[[str], Enrolment | None], audience: str, now: float, decoys: Decoys
) -> Assertion:
    """Check everything about an assertion but whether it was used before.

    Shape: `audience` is the token endpoint's public address, and the only accepted `aud`.
    Units: `now` in seconds since 1970.
    Errors: BadAssertion.
    """
    try:
        signed = jose.read(text, algorithms=jwks.ALGORITHMS, types=TYPES)
        client = _client(signed.claims)
        _judge_signature(signed, find(client), decoys)
        if signed.claims.get("aud") != audience:
            raise BadAssertion("its aud is not exactly the token endpoint's public address")
        return Assertion(client, _token_id(signed.claims), _judge_times(signed.claims, now))
    except BadJws as error:
        raise BadAssertion(str(error)) from None


def _client(claims: Mapping[str, Any]) -> str:
    issuer, subject = claims.get("iss"), claims.get("sub")
    if not isinstance(issuer, str) or issuer != subject:
        raise BadAssertion("its iss and sub are not both the client's name")
    return issuer


def _judge_signature(signed: Jws, enrolment: Enrolment | None, decoys: Decoys) -> None:
    enrolled = None if enrolment is None else enrolment.key(signed.key_id, signed.algorithm)
    proven = jose.holds(signed, decoys.key(signed.algorithm) if enrolled is None else enrolled.key)
    if enrolment is None:
        raise BadAssertion("the client is not enrolled")
    if enrolled is None:
        raise BadAssertion("the client has no key of that kid for that algorithm")
    if not proven:
        raise BadAssertion("its signature does not hold")


def _token_id(claims: Mapping[str, Any]) -> str:
    token_id = jose.text_claim(claims, "jti", TOKEN_ID_LIMIT)
    if token_id is None:
        raise BadAssertion("it has no jti")
    return token_id


def _judge_times(claims: Mapping[str, Any], now: float) -> int:
    expires, issued, begins = (jose.instant(claims, name) for name in ("exp", "iat", "nbf"))
    if expires is None:
        raise BadAssertion("it has no exp")
    if expires <= now:
        raise BadAssertion("it has expired")
    if expires > now + LIFETIME:
        raise BadAssertion(f"its exp is more than {LIFETIME} s ahead")
    if issued is not None and not now - LIFETIME - CLOCK_SKEW <= issued <= min(now + CLOCK_SKEW, expires):
        raise BadAssertion("its iat is not of now")
    if begins is not None and begins > now + CLOCK_SKEW:
        raise BadAssertion("its nbf is still to come")
    return math.ceil(expires)
