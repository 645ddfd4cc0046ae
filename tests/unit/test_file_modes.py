"""What holds patient data is for the gateway's own account alone, whatever the umask allows."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway import specs
from gateway.cli import store
from gateway.upstream.folder import FolderTarget
from gateway.upstream.store import schema


@pytest.fixture(autouse=True)
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_stores_files(tmp_path: Path) -> None:
    connection = schema.open_writer(tmp_path / "data" / "store.db", specs.fhir(specs.ROOT))
    files = {path.name: mode(path) for path in (tmp_path / "data").iterdir()}
    connection.close()
    assert files == dict.fromkeys(("store.db", "store.db-wal", "store.db-shm"), 0o600)


@pytest.mark.parametrize("made_by_ready", [True, False])
def test_a_folder_target(tmp_path: Path, made_by_ready: bool) -> None:  # noqa: FBT001 - a parameter of the test
    folder = tmp_path / "drop"

    async def run() -> None:
        target = FolderTarget("drop", folder)
        if made_by_ready:
            await target.ready()
        await target.deliver(b"MSH|", "r-1")

    asyncio.run(run())
    assert (mode(folder), mode(folder / "r-1.hl7")) == (0o700, 0o600)


def test_what_a_crash_left_in_a_folder_target_lends_no_mode(tmp_path: Path) -> None:
    (tmp_path / ".r-1.hl7.part").write_bytes(b"longer than the message")
    asyncio.run(FolderTarget("drop", tmp_path).deliver(b"MSH|", "r-1"))
    assert [(path.name, mode(path), path.read_bytes()) for path in tmp_path.iterdir()] == [("r-1.hl7", 0o600, b"MSH|")]


def test_the_folder_of_a_store_that_is_served_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.serve.run", lambda *_arguments, **_named: True)
    monkeypatch.setattr("gateway.serve.log_as_json", lambda: None)
    store.serve_store(8090, tmp_path / "store")
    assert mode(tmp_path / "store") == 0o700
