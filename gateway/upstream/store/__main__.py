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
from functools import partial
from pathlib import Path

import uvloop

from gateway.upstream.store.asgi import StoreApp
from gateway.upstream.store.frames import Answer, answers_framed, frame, puts_of
from gateway.upstream.store.own_process import BUFFER, OPENED
from gateway.upstream.store.refusal import Refusal
from gateway.upstream.store.schema import StoreError
from gateway.upstream.store.versions import Written
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
    under_way: set[asyncio.Future[list[Written]]] = set()
    with contextlib.suppress(asyncio.IncompleteReadError):  # the end of what feeds it
        while True:
            for number, texts in puts_of(await frame(reader)):
                try:
                    written = app.hand_over(texts)
                except Exception as error:  # noqa: BLE001 - told to whoever waits for it
                    answer(_outcome(number, error))
                else:
                    under_way.add(written)
                    written.add_done_callback(under_way.discard)
                    written.add_done_callback(partial(_tell, number, answer))
    await asyncio.gather(*under_way, return_exceptions=True)
    await app.aclose()


def _tell(number: int, answer: Callable[[Answer], None], written: asyncio.Future[list[Written]]) -> None:
    answer(_outcome(number, written.exception()))


def _outcome(number: int, error: BaseException | None) -> Answer:
    match error:
        case None:
            return {"number": number}
        case Refusal():
            findings = [dataclasses.astuple(found) for found in error.findings]
            return {"number": number, "status": error.status, "findings": findings}
        case StoreError() | Unwritable() | sqlite3.Error():
            return {"number": number, "unwritable": str(error)}
    # whoever waits for the outcome would wait for ever
    _LOG.error("the store's writer failed", exc_info=error)
    return {"number": number, "unwritable": "it failed"}


async def _main(path: Path) -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=BUFFER)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints must not get between the answers
    transport, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, out)

    going: list[Answer] = []

    def answer(outcome: Answer) -> None:
        if not going:
            loop.call_soon(tell)
        going.append(outcome)

    def tell() -> None:
        if going and not transport.is_closing():  # of a gateway that is gone, all that it handed over is written
            transport.write(answers_framed(going))
        going.clear()

    await serve(path, reader, answer)
    tell()
    transport.close()


if __name__ == "__main__":
    gc.set_threshold(20_000, 20, 100)  # a write makes thousands of short-lived objects and hardly a cycle
    uvloop.run(_main(Path(sys.argv[1])))
