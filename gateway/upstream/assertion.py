"""A signed assertion by which the gateway tells a token endpoint who it is, in place of a password.

Source: RFC 7523 sections 2.2 and 3; RFC 7517, RFC 7518 section 3; SMART Backend Services,
https://hl7.org/fhir/smart-app-launch/client-confidential-asymmetric.html
"""

from __future__ import annotations

import secrets
from pathlib import Path

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
LIFETIME = 240
"""How long one holds: endpoints take 300 at most, by a clock that need not be the gateway's. Units: seconds."""
CURVE, ALGORITHMS = "P-384", {"RSA": "RS384", "EC": "ES384"}
LEAST_BITS = 2048


class BadKeyError(ValueError):
    """A file that holds no key to sign with; the words say why, without anything of it."""


def assertion(key: RSAKey | ECKey, key_id: str, client_id: str, audience: str, now: float) -> str:
    """A new assertion, good for one request: its `jti` is never used again. Units: `now` in seconds since 1970."""
    issued = int(now)
    claims = {
        "iss": client_id, "sub": client_id, "aud": audience, "iat": issued, "exp": issued + LIFETIME,
        "jti": secrets.token_urlsafe(24),
    }  # fmt: skip
    algorithm = ALGORITHMS[key.key_type]
    return jwt.encode({"alg": algorithm, "kid": key_id, "typ": "JWT"}, claims, key, algorithms=[algorithm])


def private_key(file: Path) -> RSAKey | ECKey:
    """The private key in a file, as PEM or as a JWK: RSA of 2048 bits or more, or EC on P-384.

    Errors: BadKeyError.
    """
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise BadKeyError("can't be read") from error
    for kind in (ECKey, RSAKey):
        try:
            key = kind.import_key(raw)
        except (JoseError, ValueError, TypeError, KeyError):
            continue
        if key.is_private and _is_strong(key):
            return key
    raise BadKeyError("is no private key that signs RS384 (RSA, 2048 bits or more) or ES384 (EC, P-384), as PEM or JWK")


def _is_strong(key: RSAKey | ECKey) -> bool:
    return key.curve_name == CURVE if isinstance(key, ECKey) else key.raw_value.key_size >= LEAST_BITS
