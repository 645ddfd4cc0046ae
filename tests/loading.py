"""Rules loaded for tests; the maps beside them, which take longest, once for all rules that stand on the same."""

from __future__ import annotations

from pathlib import Path

from gateway import assemble

_standing: dict[Path, assemble.Decisions] = {}


def decisions(rules: Path, specs: Path) -> assemble.Decisions:
    """What `assemble.decisions` loads, as a gateway does that reads its rules again."""
    loaded = _standing[specs] = assemble.decisions(rules, specs, standing=_standing.get(specs))
    return loaded
