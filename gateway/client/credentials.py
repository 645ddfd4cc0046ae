"""How a client proves who it is: a secret, or a key of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from joserfc.errors import JoseError
from joserfc.jwk import Key, import_key

from gateway.stated import Stated

ALGORITHMS: Final = {"EC": ("ES384",), "RSA": ("RS384", "RS512")}


class CredentialError(Stated):
    """A client credential that can't be used; its words never hold the credential."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A client secret, for client_secret_basic."""

    text: str

    def __repr__(self) -> str:
        """Nothing that a log could tell on."""
        return "Secret(...)"


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """A client's key, for private_key_jwt.

    Shape: `kid` is the enrolled one; `algorithm` is RS384, RS512 or ES384.
    """

    key: Key
    kid: str
    algorithm: str

    def __repr__(self) -> str:
        """Nothing that a log could tell on."""
        return f"PrivateKey({self.kid!r}, {self.algorithm!r})"


Credential = Secret | PrivateKey


def private_key(jwk: Mapping[str, Any]) -> PrivateKey:
    """Credential of a private JWK.

    Shape: `kid` is needed; without `alg` an EC key signs with ES384, an RSA key with RS384.
    Errors: CredentialError.
    """
    try:
        key = import_key(dict(jwk))
    except (JoseError, ValueError, KeyError, TypeError) as error:
        raise CredentialError("the client's key is not a JWK that can be read") from error
    usable = ALGORITHMS.get(key.key_type, ())
    kid, algorithm = jwk.get("kid"), jwk.get("alg", usable[0] if usable else None)
    if not key.is_private or not isinstance(kid, str) or algorithm not in usable:
        raise CredentialError(
            "the client's key has to be a private RSA or EC key with a kid, for RS384, RS512 or ES384"
        )
    return PrivateKey(key, kid, algorithm)


def load_credential(path: Path) -> Credential:
    """Credential of a file: a private JWK, or `{"client_secret": "..."}`.

    Errors: CredentialError naming the file.
    """
    try:
        stored = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise CredentialError(f"{path} can't be read as JSON: {type(error).__name__}") from error
    if isinstance(stored, dict) and isinstance(stored.get("client_secret"), str):
        return Secret(stored["client_secret"])
    if isinstance(stored, dict) and "kty" in stored:
        return private_key(stored)
    raise CredentialError(f"{path} holds neither a private JWK nor a client_secret")
