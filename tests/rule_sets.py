"""Rules loaded for tests: what takes long is done once for all rules that say the same, or stand on the same."""

from __future__ import annotations

import gc
import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from gateway import loading
from gateway.cli.keeping import keeping

_BESIDE = shutil.ignore_patterns("*.test.rules", "samples", "examples")
_MOST = 8

_loaded: dict[tuple[bytes, loading.Files], loading.Decisions] = {}


def decisions(rules: Path, specs: Path) -> loading.Decisions:
    """What `loading.decisions` of the gateway loads, as a gateway does that reads its rules again.

    Shape: rules that say in every file what rules of another folder say are those of that folder, but for where they
    stand.
    """
    looked = loading.Looked(loading.files(rules), loading.files(specs))
    wanted = (_said(rules, looked.rules), looked.specs)
    found = _loaded.pop(wanted, None)
    if found is None:
        standing = next((one for (_, of), one in reversed(_loaded.items()) if of == looked.specs), None)
        found = loading.decisions(rules, specs, keeping(), standing)
        if standing is None:
            gc.freeze()  # most of it stays to the end of the run, as what was collected does
    else:
        found = replace(found, looked=looked)
    _loaded[wanted] = found
    while len(_loaded) > _MOST:
        del _loaded[next(iter(_loaded))]
    return found


def _said(folder: Path, files: loading.Files) -> bytes:
    """Digest of what stands below a folder, and of its name, which spans show."""
    whole = hashlib.sha256(folder.name.encode() + b"\0")
    for name, _, _ in files:
        text = Path(name).read_bytes()
        whole.update(b"%s\0%d\0" % (Path(name).relative_to(folder).as_posix().encode(), len(text)) + text)
    return whole.digest()


def with_more(folder: Path, repository: Path, more: Mapping[str, str]) -> loading.Decisions:
    """The shipped rules with more said at the end of some files, by their names. Shape: `folder` is not there yet."""
    shutil.copytree(repository / "rules", folder, ignore=_BESIDE)
    for name, text in more.items():
        with (folder / name).open("a", encoding="utf-8") as file:
            file.write(text)
    return decisions(folder, repository / "specs")
