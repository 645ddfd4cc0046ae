"""The chains of the audit that a gateway began on its data folder and whose end is not anchored yet, by their ids.

A run that is killed leaves its own there, so that the next one anchors it before what went behind its last anchor can
be taken away for good.
"""

from __future__ import annotations

from pathlib import Path

from gateway.identity.private_file import only_writer, write_private


def begun(path: Path, chain: str) -> tuple[str, ...]:
    """Put a chain down, durable on return, before its first row: those that stood there before.

    Errors: OSError as the file system says.
    """
    with only_writer(path.parent):
        before = _read(path)
        write_private(path, _written((*before, chain)))
    return before


def anchored(path: Path, *chains: str) -> None:
    """Take away chains whose end is anchored; the others stay. Errors: OSError as the file system says."""
    with only_writer(path.parent):
        write_private(path, _written(tuple(one for one in _read(path) if one not in chains)))


def _read(path: Path) -> tuple[str, ...]:
    return tuple(path.read_text("utf-8").split()) if path.exists() else ()


def _written(chains: tuple[str, ...]) -> bytes:
    return "".join(f"{one}\n" for one in chains).encode()
