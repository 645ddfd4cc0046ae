"""Message converters, each compiled when the first message of its type comes.

A checked map compiles, so nothing is found out late; but to compile them all would be the longest part of a start, and
a site sends few of the types that there are maps for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from threading import Lock

from gateway.mapping.message_run import MessageConverter
from gateway.mapping.nodes import MessageMap


class WhenUsed(Mapping[str, MessageConverter]):
    """Converters by message type (`ADT^A01`); types of one map share theirs."""

    def __init__(self, maps: Mapping[str, MessageMap], compiled: Callable[[MessageMap], MessageConverter]) -> None:
        """Compile nothing yet."""
        self._maps = maps
        self._compiled = compiled
        self._made: dict[int, MessageConverter] = {}
        self._lock = Lock()  # large messages are converted in threads, and maps share what is compiled of them

    def __getitem__(self, message_type: str) -> MessageConverter:
        """The converter of a type. Errors: KeyError."""
        found = self._maps[message_type]
        made = self._made.get(id(found))
        if made is None:
            with self._lock:
                made = self._made.get(id(found))
                if made is None:
                    made = self._made[id(found)] = self._compiled(found)
        return made

    def __contains__(self, message_type: object) -> bool:
        """Whether there is a map for a type; nothing is compiled for the answer."""
        return message_type in self._maps

    def __iter__(self) -> Iterator[str]:
        """The types, as they stand in the maps."""
        return iter(self._maps)

    def __len__(self) -> int:
        """How many types there are."""
        return len(self._maps)
