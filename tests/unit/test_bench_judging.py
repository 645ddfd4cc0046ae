"""What the bench concludes from what it measured: a bar that could not be missed would show nothing."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.bench import backends, ingest, queued, restart
from tests.bench.__main__ import written
from tests.bench.admitting import bodies
from tests.bench.bars import at_least, below, table
from tests.bench.load import Figure
from tests.bench.memory import Sample, bar, grown
from tests.bench.memory import section as of_memory
from tests.bench.resident import children, resident
from tests.bench.restart import Start

MIB = 1024 * 1024


def met(lines: list[str]) -> list[str]:
    """What the last column of each table of bars says."""
    return [line.rsplit("|", 2)[1].strip() for line in lines if re.search(r"\| (yes|NO) \|$", line)]


@pytest.mark.parametrize(("value", "is_met"), [(699.9, False), (700.0, True), (701.0, True)])
def test_a_rate_has_to_reach_its_bar(value: float, is_met: bool) -> None:  # noqa: FBT001 - a case
    assert at_least("rate", value, 700).met is is_met


@pytest.mark.parametrize(("value", "is_met"), [(99.9, True), (100.0, False)])
def test_a_time_has_to_stay_below_its_bar(value: float, is_met: bool) -> None:  # noqa: FBT001 - a case
    assert below("p99", value, 100).met is is_met


def test_bars_are_shown_as_they_are_written() -> None:
    bars = [at_least("a", 3456.7, 3000), at_least("b", 0.587, 0.6, ".0%"), below("c", 2.004, 2.0, ".2f")]
    assert table(bars)[3:] == [
        "| a | 3,457 | >= 3,000 | yes |", "| b | 59% | >= 60% | NO |", "| c | 2.00 | < 2 | NO |",
    ]  # fmt: skip


def run(gateway: list[float], writer: float = 170.0) -> list[Sample]:
    """Samples at every thousand messages. Units: MiB."""
    return [Sample(1000 * n, int(one * MIB), int(writer * MIB)) for n, one in enumerate(gateway)]


def test_memory_that_fills_its_caches_at_first_is_flat() -> None:
    assert bar(grown(run([160 + 8 * min(n, 9) for n in range(21)]))).met


def test_memory_that_takes_one_step_is_flat() -> None:
    """A buffer that doubled once is none that grows with each message."""
    assert bar(grown(run([200 + 6 * (n > 17) for n in range(21)]))).met


@pytest.mark.parametrize(("a_message", "messages"), [(500, 20_000), (50, 200_000), (10, 1_000_000)])
def test_memory_that_grows_with_each_message_is_not_flat(a_message: int, messages: int) -> None:
    every = messages // 20
    found = [Sample(n * every, 230 * MIB + n * every * a_message, 170 * MIB) for n in range(21)]
    growth = grown(found)
    assert growth.slope == pytest.approx(a_message)
    assert not bar(growth).met
    assert met(of_memory(found)) == ["NO"]


def test_so_is_memory_that_its_writer_alone_takes() -> None:
    assert not bar(grown([Sample(1000 * n, 230 * MIB, (170 + n) * MIB) for n in range(21)])).met


def test_memory_that_is_told_is_that_of_the_process_and_of_what_it_started() -> None:
    held = bytearray(b"x" * 50 * MIB)
    here = resident(os.getpid())
    assert len(held) < here.own <= here.whole <= here.peak
    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE) as started:
        assert started.pid in children(os.getpid())
        assert 0 < resident(started.pid).whole < here.whole


def figures(rate: float, p99: float = 50.0) -> dict[int, Figure]:
    return {level: Figure(rate, 10.0, p99) for level in (1, 8, 32)}


def test_both_sets_of_bars_of_ingest_are_judged() -> None:
    search = {1: Figure(700, 1.3, 2.0)}
    assert met(ingest.bars(3.0, figures(800), search)) == ["yes"] * 6
    assert met(ingest.bars(3.0, figures(699, 101), search)) == ["yes"] * 4 + ["NO", "NO"]
    assert met(ingest.bars(6.0, figures(299, 251), {1: Figure(100, 6.0, 9.0)})) == ["NO"] * 6


@pytest.mark.parametrize(("rate", "told"), [(480.0, "yes"), (479.0, "NO")])
def test_postgresql_is_judged_beside_sqlite(rate: float, told: str) -> None:
    shared = {backends.ONE: {32: Figure(400, 1, 1)}, backends.TWO: {32: Figure(600, 1, 1)}}
    lines = backends.section({backends.SQLITE: figures(800), backends.POSTGRESQL: figures(rate)}, shared)
    assert met(lines) == [told]
    assert any("1.50 times as many" in line for line in lines)


@pytest.mark.parametrize(("sqlite", "postgresql", "told"), [
    (3000, 1800, ["yes", "yes"]), (2999, 1800, ["NO", "yes"]), (4000, 2399, ["yes", "NO"]),
])  # fmt: skip
def test_what_queues_is_judged_by_number_and_by_share(sqlite: float, postgresql: float, told: list[str]) -> None:
    found = {backends.SQLITE: figures(sqlite), backends.POSTGRESQL: figures(postgresql)}
    assert met(queued.section(found)) == told


def test_the_slowest_restart_has_to_meet_the_bar() -> None:
    quick, slow = Start(1.2, 0, 100, 20, 5), Start(2.0, 31, 100, 20, 5)
    assert met(restart.section({("SQLite", restart.STOPPED): [quick, quick]})) == ["yes"]
    lines = restart.section({("SQLite", restart.STOPPED): [quick], ("SQLite", restart.KILLED): [quick, slow, quick]})
    assert met(lines) == ["NO"]
    assert any(line.startswith(f"| SQLite | {restart.KILLED} | 3 | 1.20 | 2.00 |") for line in lines)


def test_the_rules_of_the_queued_section_queue_what_the_shipped_ones_deliver(tmp_path: Path) -> None:
    text = (queued.queueing(tmp_path) / "emergency-care.rules").read_text("utf-8")
    assert "  to record\n  in order of PID-3.1\n  on failure queue for 72 hours\n" in text
    assert "and to bed-board" not in text


def test_bodies_are_of_other_patients_under_other_control_ids() -> None:
    found = list(itertools.islice(bodies(), 300))
    assert len({body.split(b"|")[9] for body in found}) == 300
    assert len({re.search(rb"\d{10}(?=\^\^\^NHS)", body)[0] for body in found}) == 300  # type: ignore[index]


def test_a_section_is_written_in_its_place_and_others_stay() -> None:
    first = written("", {"restart": "slow"})
    both = written(first, {"backends": "figures"})
    assert both.index("<!-- backends -->\nfigures") < both.index("<!-- restart -->\nslow")
    assert written(both, {"restart": "quick"}).count("<!--") == 2
