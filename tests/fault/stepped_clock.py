"""The gateway's command with a clock that a file sets forwards or backwards: `clock_steps.py` starts it.

Both clocks of the program are set: the one that a gateway is opened with, and `time.time`, which tokens are judged by.
"""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from gateway import assemble
from gateway.__main__ import main

VARIABLE = "FAULT_CLOCK"
_true = time.time


def stepped() -> float:
    """The time that the file makes it. Units: seconds since 1970."""
    return _true() + float(Path(os.environ[VARIABLE]).read_text("ascii"))


if __name__ == "__main__":
    time.time = stepped
    assemble.opened = partial(assemble.opened, clock=lambda: datetime.fromtimestamp(stepped(), UTC))
    main()
