"""Memory of processes, as the kernel tells it.

Source: proc(5), `/proc/PID/status`: VmRSS, RssAnon, VmHWM, each in kB; `/proc/PID/task/TID/children`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_KIBIBYTE = 1024


@dataclass(frozen=True, slots=True)
class Resident:
    """Resident memory of one process.

    Shape: `own` is what no file backs, `peak` the most that was ever resident. Units: bytes.
    """

    whole: int
    own: int
    peak: int


def resident(pid: int) -> Resident:
    """Memory of a process. Errors: OSError where it ended."""
    lines = Path(f"/proc/{pid}/status").read_text("ascii", "replace").splitlines()
    told = dict(line.split(":", 1) for line in lines if ":" in line)
    whole, own, peak = (int(told[name].split()[0]) * _KIBIBYTE for name in ("VmRSS", "RssAnon", "VmHWM"))
    return Resident(whole, own, peak)


def children(pid: int) -> tuple[int, ...]:
    """Processes that a process started and that run."""
    listed = [Path(task, "children").read_text("ascii").split() for task in Path(f"/proc/{pid}/task").iterdir()]
    return tuple(int(child) for found in listed for child in found)
