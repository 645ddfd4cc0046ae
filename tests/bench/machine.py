"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path


def machine() -> str:
    """Processor, cores, Python, who built it (distributions optimise it, version managers often don't), and day."""
    info = Path("/proc/cpuinfo")
    names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    model = names[0] if names else platform.machine()
    day = datetime.now(UTC).date().isoformat()
    build = "the system's build" if sys.base_prefix == "/usr" else "a build of its own"
    python = f"Python {platform.python_version()} ({build})"
    return f"{model}, {os.cpu_count()} cores, {python}, {platform.system()}, {day}"
