"""What was parsed, kept between two starts by its content: rules and maps are read once, until they change.

A file holds what one set of texts was parsed to by one version of the program. It is Python's own format, which may
run what it holds, so it is read only where nobody else can have written it: in the gateway's data folder, or among the
caches of the account, whole, from a file of its own account that others can neither read nor write, in a folder of its
own account where others can put nothing: such a file may hold what another sent, and a link to it would be found.

Source: the gateway's design (rules language, how it runs).
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import io
import operator
import os
import pickle  # nosec B403
import platform
import stat
from collections.abc import Callable, Hashable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar, cast

from gateway.identity.private_file import make_folder, write_private
from gateway.source import Source

T = TypeVar("T")

_PROGRAM = Path(__file__).parent
_PARTS = ("source.py", "specs", "fhir", "hl7v2", "language", "mapping", "rules")
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_OTHERS_CHANGE = stat.S_IWGRP | stat.S_IWOTH
_DIGEST = hashlib.sha256().digest_size


class Kept:
    """Parsed texts in a folder, one file for each name."""

    def __init__(self, folder: Path) -> None:
        """Make nothing yet."""
        self._folder = folder

    def __call__(self, name: str, sources: Sequence[Source], make: Callable[[], T]) -> T:
        """What `make` made of these sources: what it made before, where neither they nor the program changed.

        Shape: `make` depends on the sources alone, and what it makes holds no others.
        Errors: what `make` raises; a folder that can't be written keeps nothing.
        """
        path = self._folder / name
        wanted = _name_of(sources)
        found: tuple[T] | None = _read(path, wanted)
        if found is not None:
            return found[0]
        made = make()
        content = _pickled((made,))
        try:
            for folder in (self._folder.parent, self._folder):
                make_folder(folder)
            write_private(path, wanted + hashlib.sha256(content).digest() + content)
        except OSError:
            # a start without it is slower, and says the same
            return made
        return made


class _Pickler(pickle.Pickler):
    """Writes dataclasses as calls of their classes: Python's own way with slots takes ten times as long to read."""

    def reducer_override(self, obj: Any) -> Any:
        """How an object is made again."""
        kind = type(obj)
        made_of = _made_of(cast("Hashable", kind))
        return NotImplemented if made_of is None else (kind, made_of(obj))


@functools.cache
def _made_of(kind: Hashable) -> Callable[[Any], tuple[Any, ...]] | None:
    """What gives the fields that a dataclass with slots is made of, and of nothing else; None for all other classes."""
    if not dataclasses.is_dataclass(kind) or not hasattr(kind, "__slots__") or hasattr(kind, "__post_init__"):
        return None
    fields = dataclasses.fields(kind)
    if not all(field.init and not field.kw_only for field in fields):
        return None
    names = [field.name for field in fields]
    if len(names) > 1:
        return operator.attrgetter(*names)
    return lambda obj: tuple(getattr(obj, name) for name in names)


def _pickled(made: object) -> bytes:
    content = io.BytesIO()
    _Pickler(content, pickle.HIGHEST_PROTOCOL).dump(made)
    return content.getvalue()


def _read(path: Path, wanted: bytes) -> tuple[T] | None:
    """What a file keeps, if it is of the wanted texts, whole, and nobody else's."""
    try:
        text = _own(path)
    except OSError:
        return None
    key, digest, content = text[:_DIGEST], text[_DIGEST : 2 * _DIGEST], text[2 * _DIGEST :]
    if key != wanted or hashlib.sha256(content).digest() != digest:
        return None
    kept: tuple[T] = pickle.loads(content)  # noqa: S301 - the gateway's own file, checked above  # nosec B301
    return kept


def _own(path: Path) -> bytes:
    """What stands in a file that nobody else can have put there, and nothing for another. Errors: OSError."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if not _is_own(os.fstat(folder), _OTHERS_CHANGE):
            return b""
        # a pipe would be waited for
        opened = os.open(path.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    finally:
        os.close(folder)
    with os.fdopen(opened, "rb") as file:
        return file.read() if _is_own(os.fstat(opened), _OTHERS) else b""


def _is_own(about: os.stat_result, others: int) -> bool:
    return about.st_uid == os.geteuid() and not about.st_mode & others


def _name_of(sources: Sequence[Source]) -> bytes:
    """Digest of texts, of the program that parses them, and of what it runs on."""
    whole = hashlib.sha256(_program())
    for source in sources:
        for part in (source.name.encode(), source.text.encode()):
            whole.update(len(part).to_bytes(8, "big") + part)
    return whole.digest()


@functools.cache
def _program() -> bytes:
    whole = hashlib.sha256(f"{platform.python_version()} {metadata.version('lark')}".encode())
    for part in _PARTS:
        root = _PROGRAM / part
        for path in [root] if root.is_file() else sorted([*root.rglob("*.py"), *root.rglob("*.lark")]):
            whole.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return whole.digest()
