"""Who may ask for a token, and how it proves itself: one file per principal.

Principals and what they may do are declared in rule files; their keys and secrets are enrolled here and never stand
in a rule file. A running gateway sees an enrolment or a revocation at the next request: each look-up compares the
file's identity with the one that was read, which costs a few microseconds.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from gateway.config import web_address
from gateway.identity import jose, jwks
from gateway.identity.certificates import Certificate, described, read_certificate, thumbprint_of
from gateway.identity.jwks import PublicKey
from gateway.identity.private_file import only_writer, write_private
from gateway.identity.secret import SecretHash, hash_secret
from gateway.stated import Stated

VERSION: Final = 1
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
STEP: Final = 2_000_000_000
"""Units: nanoseconds that may lie between two times of a file system's changes."""
Stamp = tuple[int, int, int, int]

_log = logging.getLogger(__name__)


class CredentialsError(Stated):
    """An enrolment that can't be made or read; its words name the principal or file, and what to do."""


@dataclass(frozen=True, slots=True)
class Enrolment:
    """How one principal proves who it is.

    Shape: `since` counts from the first enrolment after none or after a revocation, and tokens from before it are
    void; `revoked` is an instant, or None while it stands. `key_address` is where a JWKS is fetched from, in place of
    `keys`. With `certificates`, whatever the principal asks comes with one of them.
    Units: `since` in whole seconds since 1970; `enrolled` and `revoked` are ISO instants in UTC.
    """

    principal: str
    since: int
    enrolled: str
    revoked: str | None = None
    keys: tuple[PublicKey, ...] = ()
    secret: SecretHash | None = None
    key_address: str | None = None
    certificates: tuple[Certificate, ...] = ()

    @property
    def other_than_certificates(self) -> bool:
        """Whether there is a key or a secret to prove itself with."""
        return bool(self.keys or self.key_address or self.secret)

    def has(self, certificate: Certificate | None) -> bool:
        """Whether a certificate is one of its own; any, and none, where none is enrolled."""
        if not self.certificates:
            return True
        return certificate is not None and certificate.thumbprint in {one.thumbprint for one in self.certificates}

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
        self._place = str(folder)
        self._clock = clock
        self._read: dict[str, tuple[Stamp, Enrolment | None]] = {}
        self._addressed: tuple[int, bool] | None = None

    def enrol(
        self,
        principal: str,
        *,
        keys: Mapping[str, Any] | bytes | None = None,
        key_address: str | None = None,
        secret: str | None = None,
        certificates: Sequence[bytes] = (),
    ) -> Enrolment:
        """Give a principal a key set, a secret, certificates or several of them; what is not given stays as it was.

        Shape: `keys` is a JWKS, parsed or as the bytes of its file; `key_address` takes the place of keys that were
        given, and they of it; `certificates` are files in PEM or DER, and take the place of those of before. After a
        revocation nothing of before stays.
        Errors: CredentialsError for a bad name, a bad address or nothing to enrol; BadKeys, BadSecret, BadCertificate
        for what can't be used.
        """
        if NAME.fullmatch(principal) is None:
            raise CredentialsError(
                "a principal's name has up to 64 letters, digits and . _ - and begins with a letter or digit"
            )
        if not certificates and keys is None and secret is None and key_address is None:
            raise CredentialsError(
                f"principal {principal} needs a key set or a secret, or a certificate, to be enrolled"
            )
        if keys is not None and key_address is not None:
            raise CredentialsError(f"principal {principal} gets its keys from a file or from an address, not both")
        address = None if key_address is None else _address(principal, key_address)
        read = jwks.read_keys(keys) if isinstance(keys, bytes) else jwks.public_keys(keys) if keys is not None else None
        own = tuple(described(read_certificate(raw)) for raw in certificates)
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
                keys=() if address else standing.keys if read is None else read,
                key_address=None if read else address or standing.key_address,
                secret=hashed or standing.secret,
                certificates=own or standing.certificates,
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
        enrolment = self.known(principal)
        return enrolment if enrolment is not None and enrolment.revoked is None else None

    def known(self, principal: str) -> Enrolment | None:
        """The same, or the one that was revoked: who is known elsewhere needs none here, but may not be barred."""
        if NAME.fullmatch(principal) is None:
            return None
        try:
            status = os.stat(f"{self._place}/{principal}.json")  # noqa: PTH116 - each request: to build a path takes longer
        except FileNotFoundError:
            self._read.pop(principal, None)
            return None
        # Every write here is a rename, so that the inode changes; the rest sees what an editor does in place.
        stamp = (status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size)
        known = self._read.get(principal)
        if known is None or known[0] != stamp:
            known = (stamp, self._found(self._path(principal), principal))
            self._read[principal] = known
        return known[1]

    def any_at_an_address(self) -> bool:
        """Whether a standing enrolment has its keys at an address.

        Shape: looked for anew where the folder changed, as every write here changes it.
        """
        try:
            stamp = os.stat(self._place).st_mtime_ns  # noqa: PTH116 - as in `known`
        except FileNotFoundError:
            return False
        if self._addressed is not None and self._addressed[0] == stamp:
            return self._addressed[1]
        names = [path.stem for path in self.folder.glob("*.json")]
        found = any((one := self.find(name)) is not None and one.key_address is not None for name in names)
        # A folder that changed just now may change again without another time: file systems count in steps.
        self._addressed = (stamp, found) if time.time_ns() - stamp > STEP else None
        return found

    def _found(self, path: Path, principal: str) -> Enrolment | None:
        try:
            enrolment = _load(path)
        except CredentialsError as error:
            _log.error("credentials of a principal are not usable: %s", error)
            # As one that was revoked: nobody gets in because a file that said so can't be read.
            return Enrolment(principal, 0, "", revoked="not readable")
        # A file system that ignores letter case finds `ENGINE` in the file of `engine`.
        return enrolment if enrolment.principal == principal else None

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
        "certificates": [
            {"sha256": one.sha256, "subject": one.subject, "begins": _iso(one.begins), "ends": _iso(one.ends)}
            for one in enrolment.certificates
        ],
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
            certificates=tuple(_certificate(one) for one in record["certificates"]),
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


def _certificate(record: Mapping[str, Any]) -> Certificate:
    begins, ends = (datetime.fromisoformat(record[name]).timestamp() for name in ("begins", "ends"))
    return Certificate(thumbprint_of(bytes.fromhex(record["sha256"])), str(record["subject"]), begins, ends)


def _address(principal: str, text: str) -> str:
    try:
        return web_address(text)
    except ValueError as fault:
        raise CredentialsError(f"the address of the key set of {principal}: it {fault}") from None


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
