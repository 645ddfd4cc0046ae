"""What the log says of a fault of the program: its kind and where, and none of its values, which may be a patient's."""

from __future__ import annotations

import traceback


def trace(fault: BaseException) -> dict[str, object]:
    """Fields of a log line: the exception's type, and `file:line function` of each frame, the innermost last."""
    frames = traceback.extract_tb(fault.__traceback__)
    return {
        "error": type(fault).__name__,
        "where": [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames],
    }
