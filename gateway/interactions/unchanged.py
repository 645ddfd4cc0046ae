"""What is known to change nothing: a draft that was laid over a version before, and left it as it was.

An engine tells the same ward, clinician and organisation in message after message. The version is part of what is
remembered, so that nothing is ever held against a resource that somebody else has changed.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict

from gateway import fhir
from gateway.fhir import Draft

CAPACITY = 20_000
SHORT = 1_000
"""A text as short as this takes less to keep than to hash: a ward or a clinician. Units: bytes."""
Key = tuple[str, str, str, str | None]


class Unchanged:
    """Remembers the last such draft of each version, for the resources that were told of last."""

    def __init__(self) -> None:
        """Remember nothing."""
        self._drafts: OrderedDict[Key, bytes] = OrderedDict()

    def knows(self, key: Key, told: bytes) -> bool:
        """Whether this content is known to leave this version as it is."""
        if self._drafts.get(key) != told:
            return False
        self._drafts.move_to_end(key)
        return True

    def learn(self, key: Key, told: bytes) -> None:
        """Remember it."""
        self._drafts[key] = told
        if len(self._drafts) > CAPACITY:
            self._drafts.popitem(last=False)


def content(draft: Draft) -> bytes:
    """What a draft tells, without the message that it came from: itself where it is short, else its digest."""
    meta = dict(draft.resource.get("meta", ()))
    meta.pop("source", None)
    text = fhir.dump([{**draft.resource, "meta": meta}, draft.clears])
    return text if len(text) <= SHORT else hashlib.sha256(text).digest()
