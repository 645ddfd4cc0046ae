"""What a gateway is put together from: secrets that are whole, and what several processes may and may not share."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from gateway import assemble
from gateway.app import application
from gateway.config import FILES, ConfigError, Settings
from gateway.interactions.csv_behind_answer import RESTED
from gateway.loading import Decisions


def test_a_secret_is_made_once_and_kept(tmp_path: Path) -> None:
    first = assemble.kept_secret(tmp_path / "hash.key")
    assert len(first) == 32
    assert assemble.kept_secret(tmp_path / "hash.key") == first


@pytest.mark.parametrize("held", [b"", b"garbage\n", bytes(33)])
def test_a_secret_that_is_not_whole_is_told_and_never_used(tmp_path: Path, held: bytes) -> None:
    (tmp_path / "hash.key").write_bytes(held)
    with pytest.raises(ConfigError, match=rf"hash\.key holds {len(held)} bytes, and a secret has 32"):
        assemble.kept_secret(tmp_path / "hash.key")
    assert (tmp_path / "hash.key").read_bytes() == held


def test_several_processes_have_no_embedded_store(tmp_path: Path, decisions: Decisions) -> None:
    settings = Settings(data=tmp_path, workers=2, journal="postgresql://gateway@db.example.org/exchange")
    with pytest.raises(ConfigError, match="record would be the embedded store, which is for one process"):
        assemble.addresses(settings, decisions.rules)
    declared = decisions.rules.registry.targets.values()
    elsewhere = {one.name: "https://fhir.example.org" for one in declared if one.takes == "Fhir"}
    assemble.addresses(settings.model_copy(update={"targets": elsewhere}), decisions.rules)


def test_a_worker_says_which_it_is_and_leaves_files_that_another_may_be_taking(
    tmp_path: Path, decisions: Decisions
) -> None:
    files = tmp_path / FILES
    files.mkdir()
    young, old = files / "11111111-1111-4111-8111-111111111111.csv", files / "22222222-2222-4222-8222-222222222222.csv"
    for one in (young, old):
        one.write_text("x")
    rested = time.time() - RESTED - 60
    os.utime(old, (rested, rested))
    settings = Settings(data=tmp_path, targets={"bed-board": "folder:bed-board"}, rules_watched=0)
    with TestClient(application(lambda: assemble.opened(settings, decisions, worker=2))) as http:
        assert http.get("/_health/live").json() == {"status": "live", "worker": 2}
        assert http.get("/_health/ready").json()["worker"] == 2
    assert (young.exists(), old.exists()) == (True, False)
    assert (tmp_path / "workers" / "2" / "audit" / "chains").exists()
