"""On whose behalf the gateway asks a target just now, where the target shares out what it can do at once.

A request's task says it once; whatever the request leads to is asked in the same task, or in one that it starts.
"""

from __future__ import annotations

from contextvars import ContextVar

ASKER: ContextVar[str] = ContextVar("asker", default="")
"""A principal's name; empty where nobody said."""
