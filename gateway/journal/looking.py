"""One submission of a journal that may be another process's: for people who ask why, never for a server."""

from __future__ import annotations

from contextlib import suppress
from functools import partial

from gateway.config import Settings
from gateway.journal import browsing, desks, key_check
from gateway.journal.browsing import Entry
from gateway.journal.model import JournalUnavailable
from gateway.journal.opening import keys_of
from gateway.journal.sealed import Unsealable
from gateway.journal.sought import Sought


def check_keys(settings: Settings) -> None:
    """See that every key is configured that payloads are sealed with, as far as that can be told before it is opened.

    Shape: a journal that is not there, or is to be brought up to date first, is asked when it opens.
    Errors: ConfigError; Unsealable for keys that can't be read, and where one is missing.
    """
    keys = keys_of(settings)
    missing: tuple[str, ...] = ()
    with suppress(JournalUnavailable), desks.reading(settings) as desk:
        missing = desk.read(partial(key_check.missing_of, keys))
    if missing:
        raise Unsealable(key_check.words(missing, keys))


def look_up(settings: Settings, receipt: str) -> Entry | None:
    """What came under a receipt, and what became of it; None if nothing did. Nothing is written.

    Errors: ConfigError; JournalUnavailable where the journal can't be read; Unsealable where a key is missing.
    """
    keys = keys_of(settings)
    with desks.reading(settings) as desk:
        found = desk.read(partial(browsing.entries, Sought(receipt=receipt), 1, 0, keys))
    return found[0] if found else None
