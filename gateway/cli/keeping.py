"""Where commands keep what they parsed, as `gateway serve` does in its data folder: the cache folder of the account.

Source: https://specifications.freedesktop.org/basedir-spec/latest/
"""

from __future__ import annotations

import os
from pathlib import Path

from gateway.kept import Kept
from gateway.source import Keep, made_anew

FOLDER = "healthcare-exchange-gateway"


def keeping() -> Keep:
    """What keeps parsed rules and maps; nothing does for an account without a home."""
    named = os.environ.get("XDG_CACHE_HOME", "")
    try:
        caches = Path(named) if named.startswith("/") else Path.home() / ".cache"
    except RuntimeError:  # it has none
        return made_anew
    return Kept(caches / FOLDER)
