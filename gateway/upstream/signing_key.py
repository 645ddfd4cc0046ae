"""The key that the gateway signs its assertions with towards a target's token endpoint.

Source: RFC 7517, RFC 7518 section 3; SMART Backend Services,
https://hl7.org/fhir/smart-app-launch/client-confidential-asymmetric.html
"""

from __future__ import annotations

from pathlib import Path

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

CURVE, ALGORITHMS = "P-384", {"RSA": "RS384", "EC": "ES384"}
LEAST_BITS = 2048


class BadKeyError(ValueError):
    """A file that holds no key to sign with; the words say why, without anything of it."""


def private_key(file: Path) -> tuple[RSAKey | ECKey, str]:
    """The private key in a file, as PEM or as a JWK, and its algorithm: RSA of 2048 bits or more, or EC on P-384.

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
            return key, ALGORITHMS[key.key_type]
    raise BadKeyError("is no private key that signs RS384 (RSA, 2048 bits or more) or ES384 (EC, P-384), as PEM or JWK")


def _is_strong(key: RSAKey | ECKey) -> bool:
    return key.curve_name == CURVE if isinstance(key, ECKey) else key.raw_value.key_size >= LEAST_BITS
