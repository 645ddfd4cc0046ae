"""Java programs of the tests, built once by Maven into the user's cache and kept by the digest of their sources."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.peers import cache

BUILT_WITHIN = 900.0
"""Units: seconds."""

_SHOWN = 4000


def built(name: str, pom: Path, sources: Sequence[Path]) -> Path:
    """Folder with `classes` and `jars` of what a project file builds; Maven makes it where it isn't there yet.

    Shape: the project takes `-Dbuild.folder=...` and copies what it depends on into `jars`.
    Errors: RuntimeError with Maven's words.
    """
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in (pom, *sources))).hexdigest()[:16]
    folder = cache() / f"{name}-{digest}"
    done = folder / "done"
    if done.exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    maven = subprocess.run(
        ["mvn", "--batch-mode", "--quiet", "--file", str(pom), f"-Dbuild.folder={folder}", "compile"],
        capture_output=True, text=True, timeout=BUILT_WITHIN, check=False,
    )  # fmt: skip
    if maven.returncode:
        raise RuntimeError(f"Maven ended with {maven.returncode}:\n{(maven.stdout + maven.stderr)[-_SHOWN:]}")
    done.touch()
    return folder


def class_path(folder: Path) -> str:
    """What Java is given to run a program of that folder."""
    return f"{folder / 'classes'}{os.pathsep}{folder / 'jars' / '*'}"
