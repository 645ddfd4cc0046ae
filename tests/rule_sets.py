"""Rules and maps loaded for tests: what takes long is done once for all that say the same, or stand on the same."""

from __future__ import annotations

import gc
import hashlib
import shutil
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar
from unittest.mock import patch

from gateway import loading, mapping
from gateway.cli.keeping import keeping
from gateway.rules import Vocabulary
from gateway.source import Keep, made_anew

T = TypeVar("T")

_BESIDE = shutil.ignore_patterns("*.test.rules", "samples", "examples")
_MOST = 8

_loaded: dict[tuple[bytes, loading.Files], loading.Decisions] = {}
_stood_on: dict[Hashable, Any] = {}
_vocabulary, _maps = loading.vocabulary, mapping.load


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


@contextmanager
def stood_on() -> Iterator[None]:
    """Have commands that run in this process stand on names and maps that are made once of the same files.

    Each would make them again, for a second; rules are read by each. What a program of its own does is seen where
    tests start one.
    """

    def vocabulary(root: Path) -> Vocabulary:
        return _once(("names", root.resolve(), loading.files(root)), lambda: _vocabulary(root))

    def maps(
        root: Path, names: Vocabulary, keep: Keep = made_anew, laid: Iterable[tuple[str, ...]] = (), *,
        traced: bool = False,
    ) -> mapping.LoadedMaps:  # fmt: skip
        over = frozenset(laid)
        wanted = ("maps", root.resolve(), loading.files(root), tuple(names.dictionaries), over, traced)
        return _once(wanted, lambda: _maps(root, names, keep, over, traced=traced))

    with patch.object(loading, "vocabulary", vocabulary), patch.object(mapping, "load", maps):
        yield


def _once(wanted: Hashable, make: Callable[[], T]) -> T:
    found: T = _stood_on.pop(wanted, None) or make()
    _stood_on[wanted] = found
    while len(_stood_on) > _MOST:
        del _stood_on[next(iter(_stood_on))]
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
