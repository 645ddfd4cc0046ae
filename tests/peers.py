"""Real peers that tests need: each skips its tests with a reason, or fails them where it is required."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NoReturn

import pytest


class NotHere(Exception):  # noqa: N818 - says what is the matter
    """A program that a run needs is not installed."""


REQUIRED = os.environ.get("GATEWAY_INTEROP") == "required"


def missing(reason: str) -> NoReturn:
    """Skip, or fail where `GATEWAY_INTEROP=required` says that every peer is there."""
    if REQUIRED:
        pytest.fail(f"GATEWAY_INTEROP=required, but: {reason}", pytrace=False)
    pytest.skip(reason)


def cache() -> Path:
    """The folder that keeps what was built of peers: `GATEWAY_INTEROP_CACHE`, by default in the user's cache folder."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("GATEWAY_INTEROP_CACHE") or home / "gateway-interop")
