"""Client secrets: made, hashed and compared.

Source: RFC 7914 (scrypt); RFC 6749 section 10.10 (guessing).
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from typing import Final

from gateway.stated import Stated

COST: Final = 2**15
BLOCK: Final = 8
LANES: Final = 1
MEMORY: Final = 256 * 1024 * 1024
DIGEST_BYTES: Final = 32
SALT_BYTES: Final = 16
SHORTEST: Final = 16
LONGEST: Final = 128

# Characters that form encoding leaves alone: clients that encode a secret before Basic (as RFC 6749 section 2.3.1
# says) and those that don't (most) then send the same bytes, and the gateway never has to guess which one it faces.
SECRET: Final = re.compile(rf"[A-Za-z0-9._~-]{{{SHORTEST},{LONGEST}}}")


class BadSecret(Stated):
    """A secret that can't be enrolled; its words never hold the secret."""


@dataclass(frozen=True, slots=True)
class SecretHash:
    """A secret as it is kept.

    Shape: the parameters of scrypt stand beside each hash, so that they can grow without a migration.
    """

    cost: int
    block: int
    lanes: int
    salt: bytes
    digest: bytes


def new_secret() -> str:
    """A secret with 256 bits of chance in it, from the characters that are accepted."""
    return secrets.token_urlsafe(32)


def hash_secret(secret: str) -> SecretHash:
    """Hash a secret with a new salt.

    Errors: BadSecret for one that is too short, too long, or has characters that Basic could garble.
    """
    if SECRET.fullmatch(secret) is None:
        raise BadSecret(f"a secret needs {SHORTEST} to {LONGEST} characters out of letters, digits and . _ ~ -")
    salt = secrets.token_bytes(SALT_BYTES)
    return SecretHash(COST, BLOCK, LANES, salt, _digest(secret, salt, COST, BLOCK, LANES))


def matches(kept: SecretHash | None, offered: str) -> bool:
    """Whether an offered secret is the kept one.

    Shape: without a kept one (an unknown client, or one with keys alone) the same work is done and the answer is no,
    so that the time taken doesn't tell which clients there are.
    """
    against = kept or _NOBODY
    digest = _digest(offered[:LONGEST], against.salt, against.cost, against.block, against.lanes)
    equal = hmac.compare_digest(digest, against.digest)
    return equal and kept is not None and len(offered) <= LONGEST


def _digest(secret: str, salt: bytes, cost: int, block: int, lanes: int) -> bytes:
    raw = secret.encode("utf-8", "surrogatepass")
    return hashlib.scrypt(raw, salt=salt, n=cost, r=block, p=lanes, maxmem=MEMORY, dklen=DIGEST_BYTES)


_NOBODY: Final = SecretHash(COST, BLOCK, LANES, bytes(SALT_BYTES), secrets.token_bytes(DIGEST_BYTES))
