"""What reaches the log of a fault of the program: where it was, and never a value, which may be a patient's."""

from __future__ import annotations

import subprocess
import sys

FAULTS = """
import logging
from gateway import serve

serve.log_as_json()

def judged():
    try:
        int("MARLOW 9990000018")
    except ValueError as fault:
        raise RuntimeError("MARLOW") from fault

try:
    judged()
except RuntimeError as fault:
    record = logging.LogRecord("uvicorn.error", logging.ERROR, "", 0, "Exception in ASGI application", None, None)
    record.exc_info = (RuntimeError, fault, fault.__traceback__)
    record.exc_text = "MARLOW, as another handler kept it"
    logging.getLogger("uvicorn.error").handle(record)
    logging.getLogger("uvicorn.error").error("again", exc_info=fault)
logging.getLogger("uvicorn.error").error("nothing in hand", exc_info=True)
"""


def test_a_traceback_in_the_log_has_places_and_no_values() -> None:
    ran = subprocess.run([sys.executable, "-c", FAULTS], check=True, capture_output=True, text=True, timeout=60)
    said = ran.stdout + ran.stderr
    assert "MARLOW" not in said
    assert "9990000018" not in said
    assert said.count("RuntimeError") == 2
    assert said.count("judged") == 2
    assert "ERROR uvicorn.error: Exception in ASGI application" in said
    assert "nothing in hand" in said


STARTS = """
import sys
from contextlib import asynccontextmanager
from starlette.applications import Starlette
from gateway import serve
from gateway.stated import Stated

serve.log_as_json()

@asynccontextmanager
async def life(app):
    if sys.argv[1] == "stated":
        raise Stated("another gateway uses this data folder")
    raise ValueError("MARLOW 9990000018")
    yield

try:
    serve.run(Starlette(lifespan=life), "127.0.0.1", None, lambda: None)
except Stated as fault:
    sys.exit(f"gateway: {fault}")
"""


def started(kind: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", STARTS, kind], check=False, capture_output=True, text=True, timeout=60)


def test_a_start_that_fails_for_a_known_reason_is_told_in_its_words_alone() -> None:
    ran = started("stated")
    assert ran.returncode == 1
    assert "gateway: another gateway uses this data folder" in ran.stderr
    assert "Traceback" not in ran.stdout + ran.stderr


def test_a_start_that_fails_for_another_reason_is_told_by_places_without_values() -> None:
    ran = started("other")
    assert ran.returncode != 0
    assert "ValueError" in ran.stderr
    assert "life" in ran.stderr
    assert "MARLOW" not in ran.stdout + ran.stderr
