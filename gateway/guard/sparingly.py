"""Log lines of what anybody may bring about any number of times: the first of a kind at once, the rest as a count.

Whoever knocks a thousand times a second must not fill the disk with lines, nor take the time of others for writing.
Source: `http-interface.md` of the design, "Limits and hostile clients".
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

MOST = 20
"""Lines of a kind in a span; what comes beyond is counted."""
SPAN = 10.0
"""Units: seconds."""
KINDS = 256
"""Kinds at once; what comes beyond shares one line without its words."""
Kind = tuple[str, tuple[tuple[str, str | int], ...]]
Tell = Callable[..., object]
log = structlog.get_logger()


def warn(event: str, **words: str | int) -> None:
    """A line for operators to look at."""
    log.warning(event, **words)


def mention(event: str, **words: str | int) -> None:
    """A line for whoever looks for it."""
    log.info(event, **words)


@dataclass(slots=True)
class _Span:
    told: int = 0
    counted: int = 0


@dataclass(slots=True, eq=False)
class Sparingly:
    """Tells of each kind so often, then how often it came beside that: a line with `times` where a span ends.

    Shape: a kind is an event with its words, of which there are few; all calls come from one event loop.
    """

    tell: Tell = warn
    _spans: dict[Kind, _Span] = field(default_factory=dict)

    def __call__(self, event: str, **words: str | int) -> None:
        """Tell of one, or count it."""
        kind = event, tuple(sorted(words.items()))
        if kind not in self._spans and len(self._spans) >= KINDS:
            kind = event, ()
        span = self._spans.get(kind)
        if span is None:
            span = self._spans[kind] = _Span()
            asyncio.get_running_loop().call_later(SPAN, self._end, kind)
        if span.told < MOST:
            span.told += 1
            self.tell(kind[0], **dict(kind[1]))
        else:
            span.counted += 1

    def _end(self, kind: Kind) -> None:
        """Tell what was counted; the next of its kind begins another span."""
        span = self._spans.pop(kind, None)
        if span is not None and span.counted:
            self.tell(kind[0], **dict(kind[1]), times=span.counted)

    def rest(self) -> None:
        """Tell now what was counted: nothing of it is to be lost at the end."""
        for kind in tuple(self._spans):
            self._end(kind)
