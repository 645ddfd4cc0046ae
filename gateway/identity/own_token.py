"""What an access token of the built-in issuer says, for the issuer itself.

Source: RFC 7662 section 2.2 (which claims are told), RFC 9068.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gateway.identity import jose
from gateway.identity.jose import BadJws
from gateway.identity.keys import ALGORITHM, Signing

TYPES: Final = frozenset({"at+jwt", "application/at+jwt"})
TOLD: Final = ("iss", "sub", "client_id", "aud", "iat", "exp", "jti", "scope", "cnf")


def own_token(text: str, keys: Signing, issuer: str, now: float) -> Mapping[str, Any] | None:
    """Claims of a token that this issuer signed and that has not ended; None for any other text.

    Units: `now` in seconds since 1970.
    """
    try:
        signed = jose.read(text, algorithms={ALGORITHM}, types=TYPES)
        key = keys.find(signed.key_id)
        expires = jose.instant(signed.claims, "exp")
    except BadJws:
        return None
    claims = signed.claims
    if key is None or not jose.holds(signed, key) or claims.get("iss") != issuer or expires is None or expires <= now:
        return None
    return {name: claims[name] for name in TOLD if name in claims}
