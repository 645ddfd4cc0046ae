"""CSV files of growing length: rows a second, the server's peak of memory, and how long others wait meanwhile.

`section()` is what `make bench` writes; run alone, this module prints it: `python -m tests.bench.csv_file`.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from gateway.client import GatewayClient, load_credential
from gateway.config import CLIENTS
from tests.bench.resident import children, resident
from tests.traffic import DOMAIN, ENGINE, ORGANISATION, Server, nhs_numbers, start_gateway

LENGTHS = (1_000, 10_000, 100_000)
HEADER = (
    "ATTENDANCE_ID,PROVIDER,SITE,DEPARTMENT_TYPE,NHS_NUMBER,FAMILY_NAME,GIVEN_NAME,BIRTH_DATE,STATED_GENDER,ARRIVED,"
    "DEPARTED,DIAGNOSIS\r\n"
)
WAIT = 0.25
MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Figure:
    """One file. Units: seconds, bytes, milliseconds."""

    rows: int
    size: int
    seconds: float
    idle: int
    peak: int
    others_p50: float
    others_most: float


def attendances(count: int) -> Iterator[str]:
    """Lines of attendances of different, invented people."""
    yield HEADER
    for number, nhs_number in zip(range(count), nhs_numbers(), strict=False):
        yield (
            f"B{number:08d},R0D,R0D01,01,{nhs_number},Marlow{number % 1000},Edith,1980-02-14,2,2026-05-12 10:15,"
            "2026-05-12 12:00,22298006\r\n"
        )


def written(path: Path, count: int) -> Path:
    """A file of so many rows."""
    with path.open("w", encoding="utf-8", newline="") as file:
        file.writelines(attendances(count))
    return path


def memory(pid: int) -> tuple[int, int]:
    """Resident memory of a process and of those that it started: now, and the sum of their peaks.

    Units: bytes.
    """
    found = [resident(one) for one in (pid, *children(pid))]
    return sum(one.whole for one in found), sum(one.peak for one in found)


class Others(threading.Thread):
    """Someone else who asks something small all the time."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.took: list[float] = []
        self._url = url
        self._over = threading.Event()

    def run(self) -> None:
        with httpx.Client(trust_env=False, timeout=60) as client:
            while not self._over.wait(0.05):
                began = time.perf_counter()
                client.get(f"{self._url}/_health/live").raise_for_status()
                self.took.append((time.perf_counter() - began) * 1000)

    def stop(self) -> None:
        self._over.set()
        self.join()


def one(server: Server, path: Path, count: int) -> Figure:
    """Send one file and wait until its receipt says that all is stored."""
    credential = load_credential(server.data / CLIENTS / f"{ENGINE}.json")
    others = Others(server.url)
    with GatewayClient(server.url, ENGINE, credential, timeout=120) as client:
        client.token()
        idle, _ = memory(server.process.pid)
        others.start()
        began = time.perf_counter()
        reply = client.send_file(path, domain=DOMAIN, organisation=ORGANISATION)
        if not reply.accepted or reply.receipt is None:
            raise RuntimeError(reply.text)
        while (state := client.receipt(reply.receipt).resource)["state"] == "received":
            time.sleep(WAIT)
        seconds = time.perf_counter() - began
    others.stop()
    if state["rows"] != {"read": count, "stored": count, "refused": 0}:
        raise RuntimeError(str(state))
    _, peak = memory(server.process.pid)
    return Figure(count, path.stat().st_size, seconds, idle, peak, statistics.median(others.took), max(others.took))


def measured(folder: Path, lengths: Sequence[int] = LENGTHS) -> list[Figure]:
    """Each length on a server and a store of its own."""
    figures = []
    for count in lengths:
        server = start_gateway(folder / f"csv-{count}")
        try:
            figures.append(one(server, written(folder / f"{count}.csv", count), count))
        finally:
            server.stop()
    return figures


def section(figures: Sequence[Figure]) -> list[str]:
    """Figures as Markdown."""
    rows = [
        f"| {f.rows:,} | {f.size / MEBIBYTE:.1f} | {f.rows / f.seconds:,.0f} | {f.idle / MEBIBYTE:.0f} "
        f"| {f.peak / MEBIBYTE:.0f} | {f.others_p50:.1f} | {f.others_most:.0f} |"
        for f in figures
    ]
    words = (
        "Judged wholly, then delivered to the embedded store in journalled batches; memory of the server and of the "
        "processes that it starts; `others` ask `/_health/live` meanwhile."
    )
    return [
        "", "## CSV files, each row made a Patient, an Encounter, a Condition and what they refer to", "", words, "",
        "| rows | MiB | rows/s, sent to stored | memory idle, MiB | peak, MiB | others p50 ms | others at most ms |",
        "|---|---|---|---|---|---|---|", *rows,
    ]  # fmt: skip


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lengths", nargs="*", type=int, default=list(LENGTHS))
    parser.add_argument("--folder", type=Path, default=None, help="where data folders are made; default: a new one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder or os.environ.get("TMPDIR")) as folder:
        print("\n".join(section(measured(Path(folder), options.lengths))))  # noqa: T201 - the figures are the point


if __name__ == "__main__":
    main()
