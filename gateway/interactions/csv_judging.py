"""The rows of a CSV file, judged; and whether the file goes on with what they were found to be."""

from __future__ import annotations

import asyncio

from gateway.interactions.csv_submission import File, judged, some
from gateway.interactions.csv_tally import Tally
from gateway.interactions.gateway import Gateway
from gateway.interactions.refused import Reason, Refused, error

SLICE = 250
"""Rows that are judged before others get their turn."""


async def judge_rows(gateway: Gateway, file: File, tally: Tally, most: int | None) -> bool:
    """Judge rows in slices, each in a thread, so that others are answered meanwhile: whether that was all of them.

    Errors: Refused where the time of a dry run is over; OSError.
    """
    rows = judged(gateway, file)
    while True:
        found = await asyncio.to_thread(some, rows, SLICE)
        for row in found:
            tally.count(row.findings, denied=row.denied)
        if most is not None and tally.read > most:
            return False
        if len(found) < SLICE:
            return True
        if file.options.dry_run and asyncio.get_running_loop().time() > file.deadline:
            words = f"a dry run of so many rows takes too long: the first {tally.read} were judged; send a part of them"
            raise Refused("busy", error("too-costly", words, None, "CSV-D01"), *tally.findings)


def check_rows(file: File, tally: Tally) -> None:
    """Whether the file goes on with what its rows were found to be.

    Errors: Refused.
    """
    if not tally.refused or (not file.whole and tally.refused < tally.read):
        return
    reason: Reason = "denied" if tally.denied == tally.read else "failed"
    rules = tuple(dict.fromkeys(f.rule for f in tally.issues if f.rule and f.severity == "error"))
    raise Refused(reason, *tally.findings, rules=rules)
