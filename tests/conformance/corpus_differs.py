"""Published examples that differ from what they are examples of: `corpus-differs.csv`, each with the reason.

Each line was looked up in the definition of its element.
"""

from __future__ import annotations

import csv
from pathlib import Path

TABLE = Path(__file__).with_name("corpus-differs.csv")


def differs(corpus: str) -> dict[str, dict[str, int]]:
    """How many findings of each rule are true, by file."""
    found: dict[str, dict[str, int]] = {}
    with TABLE.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            assert row["reason"]
            if row["corpus"] == corpus:
                found.setdefault(row["file"], {})[row["rule"]] = int(row["count"])
    return found
