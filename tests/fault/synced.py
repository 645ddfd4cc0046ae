"""Every acknowledgement comes after its message is on the disk, as the system's own calls tell.

strace watches the gateway (SQLite), or the gateway and PostgreSQL, while one message after the other is sent. From the
moment at which a message has come to that at which its acknowledgement leaves, the log of the journal has to be synced
twice: for the claim and for the settling; and the last thing that happens to it is that it is synced.
Source: strace(1); fdatasync(2).
"""

from __future__ import annotations

import asyncio
import re
import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.fault.scenario import Counts
from tests.fault.sites import PROGRAM, Backend, Site, site
from tests.peers import NotHere
from tests.traffic import DOMAIN, ENGINE, ORGANISATION, READY_WITHIN, admissions, process

CALLS = "read,recvfrom,recvmsg,write,writev,sendto,sendmsg,pwrite64,pwritev,pwritev2,fsync,fdatasync"
TWICE = 2
_SENDS = frozenset({"write", "writev", "sendto", "sendmsg"})
LOGS = {"sqlite": r"journal\.db-wal", "postgresql": r"/pg_wal/"}


@dataclass(frozen=True, slots=True)
class Event:
    """What a process did. Shape: `kind` is `came`, `left`, `written` or `synced`; `name` the control id. Units: s."""

    at: float
    kind: str
    name: str = ""


def strace() -> str | None:
    """The tracer, where there is one."""
    return shutil.which("strace")


def tracer(file: Path) -> tuple[str, ...]:
    """The command that runs another and writes its calls to files that begin with `file`, one a thread.

    Shape: the command keeps its process id; the tracer is beside it.
    """
    return ("strace", "-D", "-ff", "-ttt", "-yy", "-s", "2000", "-e", f"trace={CALLS}", "-o", str(file))


def events(lines: Iterator[str], log: str) -> Iterator[Event]:
    """What one thread's calls were, as far as they matter here."""
    for line in lines:
        stamp, _, call = line.partition(" ")
        name = call.partition("(")[0]
        told = re.search(r"<TCP.*MSA\|AA\|(T-\d+)\|", call) if name in _SENDS else None
        if name in {"fsync", "fdatasync"} and re.search(log, call) and call.rstrip().endswith("= 0"):
            yield Event(float(stamp), "synced")
        elif name.startswith("pwrite") and re.search(log, call):
            yield Event(float(stamp), "written")
        elif name in {"read", "recvfrom", "recvmsg"} and (sent := re.search(r"\|ADT\^A01[^|]*\|(T-\d+)\|", call)):
            yield Event(float(stamp), "came", sent[1])
        elif told is not None:
            yield Event(float(stamp), "left", told[1])


def judged(found: list[Event]) -> Counts:
    """What the events of all threads come to, message by message."""
    told: Counter[str] = Counter({"acknowledged": 0, "acknowledged before it was synced": 0})
    came: dict[str, int] = {}
    ordered = sorted(found, key=lambda event: event.at)
    for place, event in enumerate(ordered):
        if event.kind == "came":
            came.setdefault(event.name, place)
        elif event.kind == "left" and event.name in came:
            between = [one.kind for one in ordered[came.pop(event.name) : place]]
            log = [kind for kind in between if kind in {"written", "synced"}]
            synced = log.count("synced") >= TWICE and log[-1] == "synced"
            told["acknowledged"] += 1
            told["acknowledged before it was synced"] += not synced
    told["never acknowledged"] = len(came)
    return told


async def _sent(place: Site, times: int) -> None:
    async with place.gateways[0].client(ENGINE) as client:
        for _, _, _, body in admissions(times):
            reply = await client.send(body, domain=DOMAIN, organisation=ORGANISATION)
            assert reply.accepted, reply.text


def run(folder: Path, times: int, seed: int, *, backend: Backend = "sqlite", program: str = PROGRAM) -> Counts:  # noqa: ARG001 - nothing here is left to chance
    """Trace so many messages, and count.

    Errors: NotHere where strace is not installed.
    """
    if strace() is None:
        raise NotHere("needs strace")
    traces = folder / "traces"
    traces.mkdir(mode=0o777)
    traces.chmod(0o777)  # PostgreSQL's account writes here too
    folder.chmod(0o755)
    database = tracer(traces / "database") if backend == "postgresql" else ()
    traced = partial(process, before=tracer(traces / "gateway"))
    with site(folder, backend, program=program, launch=traced, database_before=database) as place:
        asyncio.run(_sent(place, times))
        place.gateways[0].process.send_signal(signal.SIGTERM)
        place.gateways[0].process.wait(READY_WITHIN)
    found: list[Event] = []
    for trace in traces.iterdir():
        with trace.open("r", encoding="utf-8", errors="replace") as lines:
            found.extend(events(lines, LOGS[backend]))
    return judged(found)
