"""A signed assertion by which a client tells a token endpoint who it is, in place of a password.

The gateway makes them for the token endpoints of its targets, and the client of this package for the gateway's own.
Source: RFC 7523 sections 2.2 and 3; RFC 7517, RFC 7518 section 3; SMART Backend Services,
https://hl7.org/fhir/smart-app-launch/client-confidential-asymmetric.html
"""

from __future__ import annotations

import secrets

from joserfc import jwt
from joserfc.jwk import Key

TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def fields(signed: str) -> dict[str, str]:
    """Fields of a request for a token that carry an assertion."""
    return {"client_assertion_type": TYPE, "client_assertion": signed}


def assertion(
    key: Key, key_id: str, algorithm: str, *, client_id: str, audience: str, now: float, lifetime: int
) -> str:
    """A new assertion, good for one request: its `jti` is never used again.

    Units: `now` in seconds since 1970; `lifetime` in seconds, of which endpoints take 300 at most.
    """
    issued = int(now)
    claims = {
        "iss": client_id, "sub": client_id, "aud": audience, "iat": issued, "exp": issued + lifetime,
        "jti": secrets.token_urlsafe(24),
    }  # fmt: skip
    return jwt.encode({"alg": algorithm, "kid": key_id, "typ": "JWT"}, claims, key, algorithms=[algorithm])
