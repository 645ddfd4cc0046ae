"""How much a client may send before it is anybody, and how long it may take."""

from __future__ import annotations

from dataclasses import dataclass

HEAD = 32 * 1024
FIELDS = 100


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one listener's connections.

    Shape: beside `connections` a quarter of as many may be in their TLS handshake, and a quarter may be ending. `head`
    is of the request line and all header fields, `fields` their number; `requests` is how many one connection gets,
    `ahead` what may be sent while an earlier request is answered, `surplus` what may still come of a body whose request
    is answered. Of a body, `body_rate` has to come in every `body_window`, and as much of an answer
    has to be taken in every `write_window`.
    Units: bytes, bytes a second, seconds.
    """

    connections: int = 2000
    handshake_within: float = 10.0
    head: int = HEAD
    fields: int = FIELDS
    requests: int = 10_000
    ahead: int = 64 * 1024
    surplus: int = 1024 * 1024
    head_within: float = 10.0
    body_rate: int = 500
    body_window: float = 10.0
    write_window: float = 20.0
    idle_within: float = 30.0
    linger: float = 2.0
