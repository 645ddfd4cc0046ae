"""The real peers that these tests need: each skips its tests with a reason, or fails them where it is required."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.browser import Seen, browsing
from tests.peers import REQUIRED, missing
from tests.records import Pool
from tests.traffic import Server, start_gateway

HERE = Path(__file__).parent


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave these modules unread where none of their tests is asked for: reading them makes hundreds of requests."""
    return True if collection_path.name.startswith("test_") and config.getoption("markexpr") == "not interop" else None


def pytest_itemcollected(item: pytest.Item) -> None:
    """Hold what is left unread to its marker. Errors: UsageError for a test that neither run would have."""
    if item.path.parent == HERE and item.get_closest_marker("interop") is None:
        raise pytest.UsageError(f"{item.nodeid} is not marked `interop`: no run would have it")


def needs(*names: str) -> str:
    """Path of the first of these programs that is installed."""
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        missing(f"needs {names[0]}, which is not installed")
    return found


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser."""
    return needs("chromium", "chromium-browser", "google-chrome")


@pytest.fixture
def seen(chromium: str) -> Iterator[Seen]:
    """A page in the browser."""
    with browsing(chromium) as one:
        yield one


@pytest.fixture(scope="session")
def java() -> str:
    """Java that runs a source file, which takes the compiler too."""
    needs("javac")
    return needs("java")


@pytest.fixture(scope="session")
def node() -> str:
    """Node.js, with npm, for servers that run on it; npm fetches what these need, so that they have to be asked for."""
    needs("npm")
    found = needs("node")
    if not REQUIRED:
        pytest.skip("servers that npm installs are started by `make interop` alone")
    return found


@pytest.fixture(scope="module")
def hapi(request: pytest.FixtureRequest, java: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a HAPI FHIR server that holds nothing; building one takes minutes, so that it has to be asked for."""
    assert java
    needs("mvn")
    if not REQUIRED:
        pytest.skip("HAPI FHIR is built and started by `make interop` alone, which takes minutes")
    pool: Pool = request.getfixturevalue("hapi_servers")
    with pool.lend(tmp_path_factory.mktemp("on-hapi")) as url:
        yield url


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A demo gateway in a process of its own, one for a module's tests."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("GATEWAY_FAILURES_A_MINUTE", "0")  # a test of the document makes hundreds
        server = start_gateway(tmp_path_factory.mktemp("demo") / "data")
    yield server
    server.stop()


@pytest.fixture
def artifacts(tmp_path: Path) -> Path:
    """Where pictures go: `GATEWAY_ARTIFACTS`, else a folder of the test."""
    folder = Path(os.environ.get("GATEWAY_ARTIFACTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
