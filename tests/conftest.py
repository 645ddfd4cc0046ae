"""What every test may ask for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway import assemble
from tests.running import Running, running

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def repository() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference tables and corpora, beside the checkout; tests that need it skip where it is missing."""
    folder = Path(os.environ.get("GATEWAY_SHARED", ROOT.parent / "shared"))
    if not (folder / "corpus").is_dir():
        pytest.skip(f"needs the shared corpus and reference tables, not found beside the checkout ({folder.name}/)")
    return folder


@pytest.fixture(scope="session")
def decisions() -> assemble.Decisions:
    """The shipped rules and maps, loaded once."""
    return assemble.decisions(ROOT / "rules", ROOT / "specs")


@pytest.fixture
def gateway(tmp_path: Path, decisions: assemble.Decisions) -> Iterator[Running]:
    """A running gateway on a fresh data folder."""
    with running(tmp_path / "data", decisions) as one:
        yield one
