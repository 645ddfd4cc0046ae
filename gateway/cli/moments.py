"""Moments as people write them at a command line."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import typer

_AGO = re.compile(r"(\d{1,5})(m|h|d|w)")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def moment(text: str) -> datetime:
    """A moment as `2026-11-22`, `2026-11-22T10:15` or `24h` (so long ago); without an offset it is UTC.

    Errors: typer.BadParameter.
    """
    ago = _AGO.fullmatch(text.strip())
    if ago is not None:
        return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        words = f"{text!r} is no moment: write 2026-11-22, 2026-11-22T10:15 or, for so long ago, 90m, 24h, 7d, 4w"
        raise typer.BadParameter(words) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
