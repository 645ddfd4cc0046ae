"""The issuer's own signing keys, and key pairs for clients."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, Protocol

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey, thumbprint

from gateway.identity import jose
from gateway.identity.private_file import create_private, make_folder, only_writer, write_private
from gateway.stated import Stated

FILE: Final = "issuer.json"
ALGORITHM: Final = "ES256"
CURVE: Final = "P-256"
CLIENT_RSA_BITS: Final = 3072
MADE, RETIRED = "made", "retired"
OVERLAP: Final = 3600
"""How long a key that was replaced goes on verifying: tokens last 300 s, and others may keep our key set for a while.

Units: seconds.
"""
PUBLIC: Final = {"EC": ("crv", "kty", "x", "y"), "RSA": ("e", "kty", "n")}


_log = logging.getLogger(__name__)


class Signing(Protocol):
    """Keys that tokens are signed and verified with, as they are now."""

    def sign(self, claims: Mapping[str, Any], *, kind: str) -> str:
        """Sign claims as a compact JWS of a type."""

    def find(self, kid: str) -> ECKey | None:
        """The key of a name."""

    def jwks(self) -> dict[str, Any]:
        """The public parts."""


class KeysError(Stated):
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


class KeyFile:
    """The signing keys of a data folder as its file has them now: one that was rotated counts from the next token on.

    Shape: where a changed file can't be used the last good keys stay, and the log says so.
    Errors: KeysError at the start.
    """

    def __init__(self, folder: Path) -> None:
        """Read the file, or make it with a first key."""
        self._path = folder / FILE
        signing_keys(folder)
        self._stamp = _stamp(self._path)  # before it is read: a change meanwhile is seen as one
        self._keys = _loaded(self._path)

    def sign(self, claims: Mapping[str, Any], *, kind: str) -> str:
        """Sign with the newest key."""
        return self._now().sign(claims, kind=kind)

    def find(self, kid: str) -> ECKey | None:
        """The key of a name."""
        return self._now().find(kid)

    def jwks(self) -> dict[str, Any]:
        """The public parts."""
        return self._now().jwks()

    def _now(self) -> SigningKeys:
        stamp = _stamp(self._path)
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._keys = _loaded(self._path)
            except KeysError as error:
                _log.error("the last good signing keys stay in use: %s", error)
        return self._keys


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        status = path.stat()
    except OSError:
        return (0, 0, 0)
    return (status.st_ino, status.st_mtime_ns, status.st_size)


def rotate(folder: Path, *, now: float, overlap: int = OVERLAP) -> SigningKeys:
    """Put a new key before those of before, which go on verifying until their last tokens have ended.

    Shape: keys that were replaced more than `overlap` ago go out of the file.
    Units: `now` in seconds since 1970, `overlap` in seconds.
    Errors: KeysError.
    """
    with only_writer(folder):
        signing_keys(folder)
        path = folder / FILE
        record = _record(path)
        old = [{**jwk, RETIRED: jwk.get(RETIRED, int(now))} for jwk in record["keys"]]
        new = _with_id(ECKey.generate_key(CURVE).as_dict(private=True), ALGORITHM)
        standing = [{**new, MADE: int(now)}, *(jwk for jwk in old if jwk[RETIRED] + overlap > now)]
        write_private(path, (json.dumps({"keys": standing}, indent=2) + "\n").encode())
        return _loaded(path)


@dataclass(frozen=True, slots=True)
class KeyAge:
    """When a signing key came and was replaced.

    Units: seconds since 1970; `made` is None for a key from before that was put down, `retired` for the one that signs.
    """

    kid: str
    made: int | None
    retired: int | None


def ages(folder: Path) -> tuple[KeyAge, ...]:
    """The signing keys of a folder, the one that signs first; none where none was made yet.

    Errors: KeysError.
    """
    path = folder / FILE
    if not path.exists():
        return ()
    _loaded(path)
    return tuple(KeyAge(jwk["kid"], jwk.get(MADE), jwk.get(RETIRED)) for jwk in _record(path)["keys"])


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
    return _loaded(path)


def _record(path: Path) -> dict[str, Any]:
    return jose.json_object(path.read_bytes())


def _loaded(path: Path) -> SigningKeys:
    try:
        record = _record(path)
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
