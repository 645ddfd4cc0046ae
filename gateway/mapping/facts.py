"""What maps may read besides what was sent: facts about the submission, by name."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.language.kinds import Type

FACTS: Mapping[str, Type] = {
    "context.organisation": Type("text"),
    "context.domain": Type("text"),
    "context.received": Type("text"),
    "context.receipt": Type("text"),
    "context.rules": Type("text"),
    "context.maps": Type("text"),
    "context.map": Type("text"),
    "context.messaging": Type("text"),
    "repetitions": Type("number"),
}
"""What maps may read besides the message; all are always there."""

SENDERS: Mapping[str, Type] = {"context.organisation": FACTS["context.organisation"]}
"""What maps of data types may read besides: a text means the same in every message of a sender (`memory.py`)."""
