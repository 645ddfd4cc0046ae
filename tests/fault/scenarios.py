"""The fault runs, by name. Source: `trust.md` of the design, "Fault tests"."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from tests.fault import (
    canaries,
    clock_steps,
    database_restarts,
    full_disk,
    key_races,
    killed,
    slow_connections,
    stopped,
    synced,
    token_timing,
    upstream_faults,
    workers,
)
from tests.fault.scenario import NEVER, Scenario

MUTANTS = "tests.fault.mutants"
_SYNCED = ("acknowledged before it was synced", "never acknowledged")
_RACES = ("twins answered otherwise", "conflicts not flagged", "keys with more", "keys with none")

SCENARIOS: Mapping[str, Scenario] = {
    "kill-sqlite": Scenario("kill -9 under load, SQLite", killed.run, 20, 1000, forks=True),
    "kill-postgresql": Scenario(
        "kill -9 of one of two gateways under load, PostgreSQL", partial(killed.run, backend="postgresql"), 20, 1000,
        forks=True,
    ),
    "kill-starts-sqlite": Scenario(
        "kill -9 under load, and of the starts that follow, SQLite", partial(killed.run, starts=True), 5, 200,
        some=("acknowledged", "killed as it started"), forks=True,
    ),
    "kill-starts-postgresql": Scenario(
        "kill -9 of one of two gateways under load, and of the starts that follow, PostgreSQL",
        partial(killed.run, backend="postgresql", starts=True), 5, 200,
        some=("acknowledged", "killed as it started"), forks=True,
    ),
    "mutant-early": Scenario(
        "mutant: acknowledges before the commit", partial(killed.run, program=f"{MUTANTS}.acknowledge_early"), 5, 20,
        never=("lost",), mutant=True, forks=True,
    ),
    "late-answers": Scenario(
        "kill -9 under load, a record that answers late, SQLite",
        partial(killed.run, program=f"{MUTANTS}.heard_late", apart=True), 5, 40,
        forks=True,
    ),
    "mutant-post": Scenario(
        "mutant: delivers by plain POST, to the same record",
        partial(killed.run, program=f"{MUTANTS}.plain_post", apart=True), 5, 40,
        never=("doubled",), mutant=True, forks=True,
    ),
    "mutant-fsync": Scenario(
        "mutant: no fsync", partial(synced.run, program=f"{MUTANTS}.no_fsync"), 20, 100, never=_SYNCED, mutant=True
    ),
    "synced-sqlite": Scenario(
        "fsync before each acknowledgement, by strace, SQLite", synced.run, 50, 1000, never=_SYNCED
    ),
    "synced-postgresql": Scenario(
        "fsync before each acknowledgement, by strace, PostgreSQL", partial(synced.run, backend="postgresql"), 50, 1000,
        never=_SYNCED,
    ),
    "races": Scenario(
        "races for a control id over two gateways", key_races.run, 400, 10_000, never=_RACES,
        some=("races", "twins answered alike", "conflicts flagged", "keys with one row"),
    ),
    "database": Scenario(
        "PostgreSQL restarted under load, two gateways", database_restarts.run, 10, 100,
        never=(*NEVER, "acknowledged while it was down", "gateways that ended"), some=("acknowledged", "restarts"),
    ),
    "disk": Scenario(
        "disk full under load, SQLite", full_disk.run, 10, 50,
        never=(*NEVER, "gateways that ended", "files damaged"), some=("acknowledged", "disk full", "answered 503"),
    ),
    "sigterm-postgresql": Scenario(
        "SIGTERM of one of two gateways under load, PostgreSQL", stopped.run, 10, 100,
        never=(*NEVER, "ended in a fault"), some=("acknowledged", "stopped"), forks=True,
    ),
    "sigterm-sqlite": Scenario(
        "SIGTERM under load, SQLite", partial(stopped.run, backend="sqlite"), 5, 100,
        never=(*NEVER, "ended in a fault"), some=("acknowledged", "stopped"), forks=True,
    ),
    "kill-workers": Scenario(
        "kill -9 of one of three workers under load, then SIGTERM of all, PostgreSQL", workers.run, 10, 100,
        never=(*NEVER, "not there again", "ended in a fault", "left behind"), some=("acknowledged", "killed"),
    ),
    "upstream": Scenario(
        "a record that fails in seven ways under load", upstream_faults.run, 14, 140, some=("acknowledged", "faults")
    ),
    "clock-sqlite": Scenario(
        "clock steps under load, SQLite", clock_steps.run, 11, 110, some=("acknowledged", "steps")
    ),
    "clock-postgresql": Scenario(
        "clock steps under load, two gateways on PostgreSQL", partial(clock_steps.run, backend="postgresql"), 11, 110,
        some=("acknowledged", "steps"),
    ),
    "timing": token_timing.SCENARIO,
    "slow": slow_connections.SCENARIO,
    "canaries": canaries.SCENARIO,
}  # fmt: skip
