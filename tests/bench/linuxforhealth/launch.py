"""LinuxForHealth's converter, on a JVM that is started once and warmed up, over the messages of the bench."""

from __future__ import annotations

import base64
import shutil
import statistics
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.maven import built, class_path
from tests.peers import NotHere

HERE = Path(__file__).resolve().parent
NAME, VERSION = "LinuxForHealth hl7v2-fhir-converter (JVM)", "1.0.19"
WHAT = "read, convert, serialise"
WARM = 20.0
"""Units: seconds of its processor time in which every message is converted, over and over, before it is measured."""

_ENDS_WITHIN = 1800.0


def measured(raws: Sequence[bytes], rounds: int, warm: float = WARM) -> dict[str, Any]:
    """What it took for each message: `median` in seconds of its thread's CPU, `done` how many it converts.

    Errors: NotHere where there is no JVM, no Maven, or Maven can't build it.
    """
    for program in ("java", "mvn"):
        if shutil.which(program) is None:
            raise NotHere(f"{program} is not installed")
    try:
        folder = built("linuxforhealth", HERE / "pom.xml", [HERE / "ConvertTimed.java"])
    except (RuntimeError, subprocess.TimeoutExpired) as fault:
        raise NotHere(f"Maven could not build it: {fault}") from fault
    lines = [base64.b64encode(raw.replace(b"\r\n", b"\r").replace(b"\n", b"\r")) for raw in raws]
    done = subprocess.run(
        ["java", "-Xmx1g", "-cp", class_path(folder), "ConvertTimed", str(rounds), str(warm)],
        input=b"\n".join(lines) + b"\n", capture_output=True, timeout=_ENDS_WITHIN, check=False,
    )  # fmt: skip
    told = done.stdout.decode().split()
    if done.returncode or len(told) != len(raws):
        raise RuntimeError(f"the JVM ended with {done.returncode}: {done.stderr.decode('utf-8', 'replace')[-2000:]}")
    times = [int(each) / 1e9 for each in told if each != "none"]
    median = statistics.median(times) if times else None
    return {"name": NAME, "version": VERSION, "what": WHAT, "done": len(times), "median": median}
