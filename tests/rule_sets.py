"""Rules loaded for tests; the maps beside them, which take longest, once for all rules that stand on the same."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from gateway import loading

_BESIDE = shutil.ignore_patterns("*.test.rules", "samples", "examples")

_standing: dict[Path, loading.Decisions] = {}


def decisions(rules: Path, specs: Path) -> loading.Decisions:
    """What `loading.decisions` of the gateway loads, as a gateway does that reads its rules again."""
    loaded = _standing[specs] = loading.decisions(rules, specs, standing=_standing.get(specs))
    return loaded


def with_more(folder: Path, repository: Path, more: Mapping[str, str]) -> loading.Decisions:
    """The shipped rules with more said at the end of some files, by their names. Shape: `folder` is not there yet."""
    shutil.copytree(repository / "rules", folder, ignore=_BESIDE)
    for name, text in more.items():
        with (folder / name).open("a", encoding="utf-8") as file:
            file.write(text)
    return decisions(folder, repository / "specs")
