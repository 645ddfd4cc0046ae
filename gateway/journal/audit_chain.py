"""The chain of audit rows: each carries a keyed hash of itself and of the row before it, so none can be changed.

A chain is one gateway's: those that share a journal don't wait for each other. Rows are linked in the transaction that
stores them, since what is undone must leave no gap.
Source: HMAC-SHA-256, RFC 2104; "Audit" in `trust.md` of the design.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import orjson

KEY_BYTES = 32
_SHORT = 16
_FIRST = b"the first row of an audit chain"

Value: TypeAlias = str | int | None
Values: TypeAlias = tuple[Value, ...]
"""What a row says: its columns from `instant` to `detail`."""


class Link(NamedTuple):
    """A row's place in a chain. Shape: `seq` counts from 1; `key` is the id of the key that `mac` is made with."""

    chain: str
    seq: int
    key: str
    mac: bytes


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of chains by their ids. Shape: `current` is the id of the one that new rows are linked with."""

    current: str
    secrets: Mapping[str, bytes]


def key_id(secret: bytes) -> str:
    """What a key is called in rows: a hash tells nothing of it."""
    return hashlib.sha256(b"audit key\x00" + secret).hexdigest()[:_SHORT]


def keys_of(secrets: Sequence[bytes]) -> Keys:
    """Keys by their ids, the newest first.

    Errors: ValueError for none, or one that is not of 32 bytes.
    """
    if not secrets or any(len(secret) != KEY_BYTES for secret in secrets):
        raise ValueError(f"a key of the audit has {KEY_BYTES} bytes")
    return Keys(key_id(secrets[0]), {key_id(secret): secret for secret in secrets})


class Chaining:
    """Links the rows of one gateway's chain. Shape: it holds no state but the keys, which may be replaced."""

    def __init__(self, chain: str, keys: Keys) -> None:
        """Link nothing yet; `chain` is nobody else's."""
        self.chain = chain
        self.keys = keys

    def link(self, before: tuple[int, bytes] | None, values: Values) -> Link:
        """The link of a row behind another one, given by its number and hash; None where it is the first."""
        seq, last = (1, _FIRST) if before is None else (before[0] + 1, before[1])
        key = self.keys.current
        return Link(self.chain, seq, key, mac(self.keys.secrets[key], last, self.chain, seq, key, values))


def mac(secret: bytes, before: bytes, chain: str, seq: int, key: str, values: Values) -> bytes:
    """The keyed hash of a row. Shape: `before` is that of the row before it, or what stands for none."""
    made = _keyed(secret).copy()
    made.update(before + orjson.dumps((chain, seq, key, *values)))
    return made.digest()


@functools.lru_cache(maxsize=4)
def _keyed(secret: bytes) -> hmac.HMAC:
    """What the hash of every row begins with: to begin takes four times as long as to copy."""
    return hmac.new(secret, digestmod="sha256")


def fits(keys: Keys, link: Link, before: bytes | None, values: Values) -> bool:
    """Whether a row is as it was linked. Shape: `before` is None for the first row of a chain.

    Errors: KeyError for a key that is not there.
    """
    made = mac(keys.secrets[link.key], _FIRST if before is None else before, link.chain, link.seq, link.key, values)
    return hmac.compare_digest(made, link.mac)
