"""Whether the keys that a journal's payloads are sealed with are there, before anything is taken."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.journal.sealed import Key, Unsealable
from gateway.journal.steps import Statement, Steps


def checked(keys: Sequence[Key]) -> Steps[None]:
    """See that every key is there that payloads are sealed with, and note the one that seals from now on.

    Errors: Unsealable, with the ids of the keys that are missing.
    """
    missing = yield from missing_of(keys)
    if missing:
        raise Unsealable(words(missing, keys))
    if keys:
        yield Statement("INSERT INTO sealing (key) VALUES (?) ON CONFLICT (key) DO NOTHING", (keys[0].name,))


def missing_of(keys: Sequence[Key]) -> Steps[tuple[str, ...]]:
    """Ids of the keys that payloads are sealed with, and that are not given."""
    used = yield Statement("SELECT key FROM sealing ORDER BY key")
    return tuple(name for (name,) in used if name not in {key.name for key in keys})


def words(missing: Sequence[str], keys: Sequence[Key]) -> str:
    """What to say where keys are missing."""
    given = f"the keys given are {', '.join(key.name for key in keys)}" if keys else "no key is given"
    return (
        f"the journal holds payloads sealed with key {', '.join(missing)}, and {given}: add it to journal_key_file, "
        "behind the one that seals from now on; `gateway journal rekey` seals everything with the first"
    )
