"""Ingest where the route queues: acknowledged when the message and what it was converted to are on disk.

Run alone: `python -m tests.bench --only queued`. The route of the shipped rules is changed to a queue, and the one
target that it names is away, so that each message is put down for later; the queue goes on trying meanwhile. At the end
the journal has to hold every message that was acknowledged.

Source of the bars: issue 7 of the tracker.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import uvloop

from tests.bench.admitting import QUEUED
from tests.bench.backends import AT, LEVELS, POSTGRESQL, SHARE, SQLITE, on_each
from tests.bench.bars import at_least, table
from tests.bench.turns import Figures, rows, taken
from tests.fault.sites import fhir_targets
from tests.traffic import ROOT, free_port

LEAST = 3_000
_HELD = "SELECT count(*) FROM delivery WHERE state = 'queued' AND payload IS NOT NULL"
_FILE = "emergency-care.rules"
_ROUTE = "  to record\n  and to bed-board on failure queue for 72 hours\n  in order of PID-3.1\n  on failure reject\n"
_QUEUES = "  to record\n  in order of PID-3.1\n  on failure queue for 72 hours\n"


def measure(folder: Path, seconds: float, rounds: int) -> list[str]:
    """The section. Errors: NotHere where no PostgreSQL is installed."""
    away = f"http://127.0.0.1:{free_port()}"
    targets = json.dumps({"bed-board": "folder:bed-board", **dict.fromkeys(fhir_targets(), away)})
    acknowledged = Counter[str]()
    with on_each(folder, {"rules": str(queueing(folder)), "targets": targets}) as places:
        each = {name: (place.server,) for name, place in places.items()}
        found = uvloop.run(taken(each, LEVELS, seconds, rounds, status=QUEUED, acknowledged=acknowledged))
        held = {name: place.count(_HELD) for name, place in places.items()}
    if held != acknowledged:
        raise RuntimeError(f"acknowledged {dict(acknowledged)}, but the journals hold {held}")
    return section(found)


def queueing(folder: Path) -> Path:
    """A copy of the shipped rules whose route queues. Errors: RuntimeError where the route is another by now."""
    copy = folder / "rules"
    shutil.copytree(ROOT / "rules", copy)
    text = (copy / _FILE).read_text("utf-8")
    if text.count(_ROUTE) != 1:
        raise RuntimeError(f"{_FILE} has no such route as this section changes:\n{_ROUTE}")
    (copy / _FILE).write_text(text.replace(_ROUTE, _QUEUES), "utf-8")
    return copy


def section(found: Figures) -> list[str]:
    """Lines of Markdown, with the bars."""
    rates = {name: figures[AT].rate for name, figures in found.items()}
    bars = [
        at_least(f"queued on SQLite at {AT} in flight, messages/s", rates[SQLITE], LEAST),
        at_least("the same on PostgreSQL, of SQLite's", rates[POSTGRESQL] / rates[SQLITE], SHARE, ".0%"),
    ]
    words = "The one target of the route is away; each answer is an AA by 202, and what it is for is on disk before."
    return [
        "", "## `POST /$ingest`, queued", "", words, *rows(found, tuple(found[SQLITE])), *table(bars),
    ]  # fmt: skip
