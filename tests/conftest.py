"""What every test may ask for."""

from __future__ import annotations

import gc
import os
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from xdist.scheduler import LoadGroupScheduling  # type: ignore[import-untyped]

from gateway import loading
from tests import postgres, rule_sets
from tests.interop.differences import facade_differences
from tests.interop.hapi.launch import start_hapi
from tests.interop.medplum.launch import start_medplum
from tests.journals import OnPostgres, OnSqlite, Storage
from tests.peers import missing
from tests.records import KINDS, REAL, RECORDS, Pool, fresh_hapi, fresh_medplum
from tests.running import Running, running

hypothesis.settings.register_profile("same", derandomize=True)
if os.environ.get("GATEWAY_RANDOM") != "1":
    # the same examples each time: what passes here passes anywhere; new ones are looked for with GATEWAY_RANDOM=1
    hypothesis.settings.load_profile("same")

ROOT = Path(__file__).resolve().parent.parent
STARTED_WITHIN = 1300
"""For a test that builds and starts another server. Units: seconds."""
YOUNG = (20_000, 10, 10)
"""When the garbage collector looks: after Python's own 700 objects, looking took a quarter of the tests' time."""


class ByModule(LoadGroupScheduling):  # type: ignore[misc]  # xdist ships no types
    """Tests of a group to one worker, as `loadgroup` has it; those of no group by their modules."""

    def _split_scope(self, nodeid: str) -> str:
        scope: str = super()._split_scope(nodeid)
        return scope.partition("::")[0] if scope == nodeid else scope


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take the record that the tests marked `any_record` have."""
    parser.addoption("--record", choices=KINDS, default=KINDS[0], help="record of the tests marked any_record")


def pytest_configure(config: pytest.Config) -> None:
    """Collect garbage seldom; have commands keep what they parse in a folder of this run, which its workers share."""
    gc.set_threshold(*YOUNG)
    if not hasattr(config, "workerinput"):
        folder = tempfile.TemporaryDirectory(prefix="gateway-caches-")
        os.environ["XDG_CACHE_HOME"] = folder.name
        config.add_cleanup(folder.cleanup)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep what is collected out of the garbage collector's sight: a million objects that stay to the end."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give a worker whole modules: spread over workers, what a module's tests share would be made by each of them."""
    return ByModule(config, log) if config.getvalue("dist") == "loadgroup" else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Expect of a real server what is known of it: a test that fails unexpectedly, or no longer, fails the run."""
    kind = config.getoption("--record")
    if kind not in REAL:
        return
    known = facade_differences(kind)
    for item in items:
        if item.get_closest_marker("any_record") is None:
            continue
        item.add_marker(pytest.mark.timeout(STARTED_WITHIN))
        _, colons, name = item.nodeid.partition("::")
        if (why := known.get(item.path.name + colons + name)) is not None:
            item.add_marker(pytest.mark.xfail(reason=why, strict=True))


@pytest.fixture(scope="session")
def hapi_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    """HAPI FHIR servers, started as they are asked for."""
    pool = Pool(lambda: start_hapi(tmp_path_factory.mktemp("hapi")), fresh_hapi)
    yield pool
    pool.stop()


@pytest.fixture(scope="session")
def medplum_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    """Medplum servers, started as they are asked for."""
    pool = Pool(lambda: start_medplum(tmp_path_factory.mktemp("medplum")), fresh_medplum)
    yield pool
    pool.stop()


@pytest.fixture(scope="module", autouse=True)
def record(request: pytest.FixtureRequest) -> Iterator[None]:
    """The kind of record that a module's tests have: the chosen one where they hold for any."""
    marked = request.node.get_closest_marker("any_record") is not None
    RECORDS.kind = request.config.getoption("--record") if marked else KINDS[0]
    RECORDS.pool = request.getfixturevalue(f"{RECORDS.kind}_servers") if RECORDS.kind in REAL else None
    yield
    RECORDS.kind, RECORDS.pool = KINDS[0], None


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
def decisions() -> loading.Decisions:
    """The shipped rules and maps, loaded once."""
    return rule_sets.decisions(ROOT / "rules", ROOT / "specs")


@pytest.fixture
def stood_on() -> Iterator[None]:
    """Commands that run in this process stand on names and maps that are made once of the same files."""
    with rule_sets.stood_on():
        yield


@pytest.fixture
def gateway(tmp_path: Path, decisions: loading.Decisions) -> Iterator[Running]:
    """A running gateway on a fresh data folder."""
    with running(tmp_path / "data", decisions) as one:
        yield one


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.Postgres]:
    """A PostgreSQL server of this run's own."""
    if postgres.programs() is None:
        missing(f"needs a PostgreSQL server below {postgres.BINARIES}, which is not installed")
    with postgres.postgres(folder=postgres.MEMORY) as server:
        yield server


@pytest.fixture
def shared_storage(postgres_server: postgres.Postgres, tmp_path: Path) -> OnPostgres:
    """A journal's storage that several gateways share; tests that ask for it are marked `interop`."""
    return OnPostgres(postgres_server.database(), tmp_path / "data")


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.interop)])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    """A journal's storage: a test that asks for it holds on every kind."""
    if request.param == "sqlite":
        return OnSqlite(tmp_path / "data" / "journal.db")
    found: OnPostgres = request.getfixturevalue("shared_storage")
    return found
