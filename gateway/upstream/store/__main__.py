"""The process that writes for a gateway (`own_process.py`): from standard input to standard output.

It ends with its input, after it has written what it was given; a gateway that was killed leaves none behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import gc
import logging
import os
import sqlite3
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvloop

from gateway.upstream import wire
from gateway.upstream.store.asgi import StoreApp
from gateway.upstream.store.own_process import BUFFER, OPENED, Answer, frame, framed
from gateway.upstream.store.refusal import Refusal
from gateway.upstream.store.schema import StoreError
from gateway.upstream.store.writer import Unwritable

_LOG = logging.getLogger(__name__)


async def serve(path: Path, reader: asyncio.StreamReader, answer: Callable[[Answer], None]) -> None:
    """Write what comes in until nothing more does.

    Shape: `answer` sends one outcome.
    """
    app = StoreApp(path, lambda: datetime.now(UTC), None, trusted=True)
    try:
        app.store()
    except (StoreError, sqlite3.Error) as error:
        answer({"number": OPENED, "unwritable": str(error)})
        return
    answer({"number": OPENED})
    under_way: set[asyncio.Task[None]] = set()
    with contextlib.suppress(asyncio.IncompleteReadError):  # the end of what feeds it
        while True:
            asked = wire.loads(await frame(reader))
            task = asyncio.create_task(_write(app, asked, answer))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
    await asyncio.gather(*under_way)
    await app.aclose()


async def _write(app: StoreApp, asked: dict[str, Any], answer: Callable[[Answer], None]) -> None:
    outcome: Answer = {"number": asked["number"]}
    try:
        await app.put([(resource, etag) for resource, etag in asked["put"]])
    except Refusal as refusal:
        findings = [dataclasses.astuple(found) for found in refusal.findings]
        outcome |= {"status": refusal.status, "findings": findings}
    except (StoreError, Unwritable, sqlite3.Error) as error:
        outcome |= {"unwritable": str(error)}
    except Exception as error:  # noqa: BLE001 - whoever waits for the outcome would wait for ever
        _LOG.error("the store's writer failed", exc_info=error)
        outcome |= {"unwritable": "it failed"}
    answer(outcome)


async def _main(path: Path) -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=BUFFER)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints must not get between the answers
    transport, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, out)

    def answer(outcome: Answer) -> None:
        if not transport.is_closing():  # of a gateway that is gone, all that it handed over is written
            transport.write(framed(outcome))

    await serve(path, reader, answer)
    transport.close()


if __name__ == "__main__":
    gc.set_threshold(20_000, 20, 100)  # a write makes thousands of short-lived objects and hardly a cycle
    uvloop.run(_main(Path(sys.argv[1])))
