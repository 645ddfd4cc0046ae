"""A body in chunks, read strictly as its bytes come: where it ends, and nothing that another might read otherwise.

Source: RFC 9112 section 7.1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from gateway.guard import faults
from gateway.guard.faults import Fault

LONGEST_LINE = 256
"""Units: bytes of a chunk's size with its extensions."""
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:;[\t\x20-\x7e\x80-\xff]*)?\r\n")
_END = b"\r\n"


@dataclass(slots=True)
class Chunks:
    """How far a body has come.

    Shape: `_left` of the chunk in hand with its CR LF, 0 where the line of its size comes next; `_last` once the chunk
    without data was seen, whose CR LF ends the body.
    """

    done: bool = False
    _left: int = 0
    _last: bool = False

    def take(self, data: bytes | bytearray) -> int | Fault:
        """How many of these bytes belong to the body and may be passed on; the rest is looked at when more has come."""
        at = 0
        while at < len(data) and not self.done:
            step = self._in_chunk(data, at) if self._left else self._between(data, at)
            if isinstance(step, Fault):
                return step
            if step == 0:
                break
            at += step
        return at

    def _in_chunk(self, data: bytes | bytearray, at: int) -> int | Fault:
        """Data of a chunk, then the CR LF behind it."""
        inside = self._left - len(_END)
        if inside > 0:
            step = min(inside, len(data) - at)
            self._left -= step
            return step
        if len(data) - at < self._left:
            return 0 if _END.startswith(bytes(data[at:])) else faults.CHUNK
        if data[at : at + self._left] != _END:
            return faults.CHUNK
        step, self._left = self._left, 0
        return step

    def _between(self, data: bytes | bytearray, at: int) -> int | Fault:
        """The line of a chunk's size, or what comes behind the last chunk."""
        if self._last:
            rest = bytes(data[at : at + len(_END)])
            if not _END.startswith(rest):
                return faults.TRAILER
            self.done = rest == _END
            return len(_END) if self.done else 0
        end = data.find(b"\n", at, at + LONGEST_LINE)
        if end < 0:
            return 0 if len(data) - at < LONGEST_LINE else faults.CHUNK
        line = _SIZE.fullmatch(data, at, end + 1)
        if line is None:
            return faults.CHUNK
        size = int(line[1], 16)
        self._last, self._left = size == 0, size + len(_END) if size else 0
        return end + 1 - at
