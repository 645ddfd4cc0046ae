"""Who may ask for a token, and how it proves itself: one file per principal.

Principals and what they may do are declared in rule files; their keys and secrets are enrolled here and never stand
in a rule file. A running gateway sees an enrolment or a revocation at the next request: each look-up compares the
file's identity with the one that was read, which costs a few microseconds.
"""

from __future__ import annotations

import base64
import json
import logging
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from gateway.identity import jose, jwks
from gateway.identity.jwks import PublicKey
from gateway.identity.private_file import only_writer, write_private
from gateway.identity.secret import SecretHash, hash_secret

VERSION: Final = 1
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
Stamp = tuple[int, int, int, int]

_log = logging.getLogger(__name__)


class CredentialsError(Exception):
    """An enrolment that can't be made or read; its words name the principal or file, and what to do."""


@dataclass(frozen=True, slots=True)
class Enrolment:
    """How one principal proves who it is.

    Shape: `since` counts from the first enrolment after none or after a revocation, and tokens from before it are
    void; `revoked` is an instant, or None while it stands. `key_address` (a JWKS to be fetched) and `certificates`
    (SHA-256 thumbprints) have their place here; nothing reads them yet.
    Units: `since` in whole seconds since 1970; `enrolled` and `revoked` are ISO instants in UTC.
    """

    principal: str
    since: int
    enrolled: str
    revoked: str | None = None
    keys: tuple[PublicKey, ...] = ()
    secret: SecretHash | None = None
    key_address: str | None = None
    certificates: tuple[str, ...] = ()

    def key(self, kid: str, algorithm: str) -> PublicKey | None:
        """The key of a name, if it may be used with an algorithm."""
        return next((key for key in self.keys if key.kid == kid and algorithm in key.algorithms), None)


class Credentials:
    """The enrolments of a data folder.

    Shape: `folder` is made when the first principal is enrolled; `clock` gives seconds since 1970.
    """

    def __init__(self, folder: Path, *, clock: Callable[[], float] = time.time) -> None:
        """Look at a folder; nothing is read before it is asked for."""
        self.folder = folder
        self._clock = clock
        self._read: dict[str, tuple[Stamp, Enrolment | None]] = {}

    def enrol(
        self, principal: str, *, keys: Mapping[str, Any] | bytes | None = None, secret: str | None = None
    ) -> Enrolment:
        """Give a principal a key set, a secret or both; a kind that is not given stays as it was.

        Shape: `keys` is a JWKS, parsed or as the bytes of its file. After a revocation nothing of before stays.
        Errors: CredentialsError for a bad name or neither of the two; BadKeys, BadSecret for what can't be used.
        """
        if NAME.fullmatch(principal) is None:
            raise CredentialsError(
                "a principal's name has up to 64 letters, digits and . _ - and begins with a letter or digit"
            )
        if keys is None and secret is None:
            raise CredentialsError(f"principal {principal} needs a key set or a secret to be enrolled with")
        read = jwks.read_keys(keys) if isinstance(keys, bytes) else jwks.public_keys(keys) if keys is not None else None
        hashed = hash_secret(secret) if secret is not None else None
        now = self._clock()
        with only_writer(self.folder):
            path = self._path(principal)
            standing = _load(path) if path.exists() else None
            if standing is None or standing.revoked is not None:
                standing = Enrolment(principal, int(now), "")
            enrolment = replace(
                standing,
                enrolled=_iso(now),
                keys=standing.keys if read is None else read,
                secret=hashed or standing.secret,
            )
            write_private(path, _written(enrolment))
        return enrolment

    def revoke(self, principal: str) -> Enrolment:
        """Take a principal's credentials away; its tokens end with them.

        Shape: the record stays, without secret and keys, and says since when.
        Errors: CredentialsError for a principal that is not enrolled.
        """
        with only_writer(self.folder):
            path = self._path(principal)
            standing = _load(path) if NAME.fullmatch(principal) and path.exists() else None
            if standing is None or standing.revoked is not None:
                raise CredentialsError(f"principal {principal} is not enrolled")
            gone = replace(
                standing, revoked=_iso(self._clock()), keys=(), secret=None, certificates=(), key_address=None
            )
            write_private(path, _written(gone))
        return gone

    def list(self) -> tuple[Enrolment, ...]:
        """Every enrolment by name, revoked ones too.

        Errors: CredentialsError naming the file that can't be read.
        """
        return tuple(_load(path) for path in sorted(self.folder.glob("*.json")) if NAME.fullmatch(path.stem))

    def find(self, principal: str) -> Enrolment | None:
        """The standing enrolment of a principal; None when there is none, or it was revoked.

        Shape: always as the disk has it now. A file that can't be read counts as no enrolment and is logged once.
        """
        if NAME.fullmatch(principal) is None:
            return None
        path = self._path(principal)
        try:
            status = path.stat()
        except FileNotFoundError:
            self._read.pop(principal, None)
            return None
        # Every write here is a rename, so that the inode changes; the rest sees what an editor does in place.
        stamp = (status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size)
        known = self._read.get(principal)
        if known is None or known[0] != stamp:
            known = (stamp, self._found(path, principal))
            self._read[principal] = known
        return known[1]

    def _found(self, path: Path, principal: str) -> Enrolment | None:
        try:
            enrolment = _load(path)
        except CredentialsError as error:
            _log.error("credentials of a principal are not usable: %s", error)
            return None
        # A file system that ignores letter case finds `ENGINE` in the file of `engine`.
        return enrolment if enrolment.revoked is None and enrolment.principal == principal else None

    def _path(self, principal: str) -> Path:
        return self.folder / f"{principal}.json"


def _written(enrolment: Enrolment) -> bytes:
    secret = enrolment.secret
    record = {
        "version": VERSION,
        "principal": enrolment.principal,
        "since": enrolment.since,
        "enrolled": enrolment.enrolled,
        "revoked": enrolment.revoked,
        "jwks": {"keys": [dict(key.jwk) for key in enrolment.keys]},
        "jwks_uri": enrolment.key_address,
        "certificates": list(enrolment.certificates),
        "secret": None
        if secret is None
        else {
            "scheme": "scrypt",
            "n": secret.cost,
            "r": secret.block,
            "p": secret.lanes,
            "salt": base64.b64encode(secret.salt).decode(),
            "hash": base64.b64encode(secret.digest).decode(),
        },
    }
    return (json.dumps(record, indent=2) + "\n").encode()


def _load(path: Path) -> Enrolment:
    try:
        record = jose.json_object(path.read_bytes())
        if record["version"] != VERSION:
            raise CredentialsError(f"{path.name} was written by another version; enrol the principal again")
        offered, secret = record["jwks"], record["secret"]
        return Enrolment(
            principal=str(record["principal"]),
            since=int(record["since"]),
            enrolled=str(record["enrolled"]),
            revoked=None if record["revoked"] is None else str(record["revoked"]),
            keys=jwks.public_keys(offered) if offered["keys"] else (),
            secret=None if secret is None else _secret(secret),
            key_address=record["jwks_uri"],
            certificates=tuple(record["certificates"]),
        )
    except (OSError, ValueError, KeyError, TypeError, jwks.BadKeys) as error:
        raise CredentialsError(
            f"{path.name} can't be read ({type(error).__name__}); enrol the principal again"
        ) from error


def _secret(record: Mapping[str, Any]) -> SecretHash:
    if record["scheme"] != "scrypt":
        raise ValueError("unknown scheme")
    salt, digest = (base64.b64decode(record[name], validate=True) for name in ("salt", "hash"))
    return SecretHash(int(record["n"]), int(record["r"]), int(record["p"]), salt, digest)


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
