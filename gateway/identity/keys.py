"""The issuer's own signing keys, and key pairs for clients."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey, thumbprint

from gateway.identity import jose
from gateway.identity.private_file import create_private, make_folder

FILE: Final = "issuer.json"
ALGORITHM: Final = "ES256"
CURVE: Final = "P-256"
CLIENT_RSA_BITS: Final = 3072
PUBLIC: Final = {"EC": ("crv", "kty", "x", "y"), "RSA": ("e", "kty", "n")}


class KeysError(Exception):
    """The file of signing keys can't be used; its words say which and what to do."""


@dataclass(frozen=True, slots=True)
class SigningKeys:
    """Keys that this gateway signs tokens with.

    Shape: by kid, in the order of the file. The first signs, all verify: so a new key can be put before the old one.
    """

    by_id: Mapping[str, ECKey]

    def sign(self, claims: Mapping[str, Any], *, kind: str) -> str:
        """Sign claims as a compact JWS.

        Shape: `kind` becomes `typ`.
        Source: RFC 7515; RFC 7518 section 3.4 (ES256).
        """
        kid, key = next(iter(self.by_id.items()))
        return jose.sign(key, {"alg": ALGORITHM, "typ": kind, "kid": kid}, claims)

    def find(self, kid: str) -> ECKey | None:
        """The key of a name."""
        return self.by_id.get(kid)

    def jwks(self) -> dict[str, Any]:
        """The public parts, as `/.well-known/jwks.json` shows them.

        Source: RFC 7517 section 5.
        """
        return {
            "keys": [
                {**_public(key.as_dict(private=False)), "use": "sig", "alg": ALGORITHM, "kid": kid}
                for kid, key in self.by_id.items()
            ]
        }


def signing_keys(folder: Path) -> SigningKeys:
    """The signing keys of a data folder, made at the first run.

    Shape: `folder` is DATA/keys. Several processes that start at once end with the same key.
    Errors: KeysError for a file that can't be read as keys.
    """
    path = folder / FILE
    if not path.exists():
        make_folder(folder)
        private = {"keys": [_with_id(ECKey.generate_key(CURVE).as_dict(private=True), ALGORITHM)]}
        create_private(path, (json.dumps(private, indent=2) + "\n").encode())
    try:
        record = jose.json_object(path.read_bytes())
        keys = [(jwk["kid"], ECKey.import_key(_members(jwk, "EC", private=True))) for jwk in record["keys"]]
    except (OSError, ValueError, KeyError, TypeError, JoseError) as error:
        raise KeysError(
            f"{path} can't be read as signing keys ({type(error).__name__}); put the file back from a backup, "
            "or remove it: a new key is then made, and tokens of the old one end"
        ) from error
    if not keys or any(key.curve_name != CURVE or not key.is_private for _, key in keys):
        raise KeysError(f"{path} has to hold private EC keys on {CURVE}, at least one")
    return SigningKeys(dict(keys))


def new_client_key(algorithm: Literal["ES384", "RS384", "RS512"] = "ES384") -> dict[str, Any]:
    """A key pair for a client, as a private JWK with `alg` and `kid`.

    Shape: the kid is its thumbprint. Enrol `public_set(...)` of it, and keep this at the client.
    Source: RFC 7517, RFC 7638.
    """
    key = ECKey.generate_key("P-384") if algorithm == "ES384" else RSAKey.generate_key(CLIENT_RSA_BITS)
    return _with_id(dict(key.as_dict(private=True)), algorithm)


def public_set(*private: Mapping[str, Any]) -> dict[str, Any]:
    """A JWKS of the public parts of key pairs.

    Shape: each with its kid and alg.
    """
    return {"keys": [{**_public(jwk), "kid": jwk["kid"], "alg": jwk["alg"]} for jwk in private]}


def _public(jwk: Mapping[str, Any]) -> dict[str, Any]:
    return {name: jwk[name] for name in PUBLIC[jwk["kty"]]}


def _members(jwk: Mapping[str, Any], kind: str, *, private: bool) -> dict[str, Any]:
    return {name: jwk[name] for name in (*PUBLIC[kind], *(("d",) if private else ()))}


def _with_id(jwk: Mapping[str, Any], algorithm: str) -> dict[str, Any]:
    plain = {name: value for name, value in jwk.items() if name not in {"kid", "alg", "use"}}
    return {**plain, "alg": algorithm, "kid": thumbprint(_public(plain))}
