"""The journal of the settings, for people at a command line."""

from __future__ import annotations

from contextlib import AbstractContextManager

from gateway.config import SQLITE, Settings
from gateway.journal import postgres_desk
from gateway.journal.desk import Desk, to_read, to_write
from gateway.journal.opening import FILE, database_of


def reading(settings: Settings) -> AbstractContextManager[Desk]:
    """A desk where nothing is written, beside gateways or not.

    Errors: ConfigError, JournalUnavailable.
    """
    return to_read(settings.data / FILE) if settings.journal == SQLITE else postgres_desk.desk(database_of(settings))


def writing(settings: Settings) -> AbstractContextManager[Desk]:
    """A desk where one writes, beside gateways or not.

    Errors: ConfigError, JournalUnavailable.
    """
    return to_write(settings.data / FILE) if settings.journal == SQLITE else postgres_desk.desk(database_of(settings))
