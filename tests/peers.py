"""Real peers that tests need: each skips its tests with a reason, or fails them where it is required."""

from __future__ import annotations

import os
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
