"""The journal that the settings say, not open yet."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from gateway.config import SQLITE, ConfigError, Settings, is_loopback
from gateway.journal import key_file
from gateway.journal.audit_chain import Chaining
from gateway.journal.postgres import PostgresJournal
from gateway.journal.postgres_schema import Database
from gateway.journal.sealed import Keys
from gateway.journal.sqlite import SqliteJournal

FILE = "journal.db"
VERIFIED = "verify-full"


def journal_of(
    settings: Settings, same: Mapping[str, str], chaining: Chaining | None = None, *, own_store: bool = False,
    worker: int | None = None,
) -> SqliteJournal | PostgresJournal:  # fmt: skip
    """The journal of a gateway.

    Shape: `same` tells what has to be the same at all gateways on one journal, by name; `chaining` links the audit;
    `own_store` says that the gateway keeps resources in a store of its own; `worker` which of several processes it is.
    Errors: ConfigError for a password that can't be read.
    """
    if settings.journal == SQLITE:
        return SqliteJournal(settings.data / FILE, chaining)
    home = settings.own_folder(worker)
    beside = tuple(one for one in settings.own_folders if one != home)  # whose files are in the same folder
    return PostgresJournal(database_of(settings), home, same, chaining, own_store=own_store, beside=beside)


def keys_of(settings: Settings) -> Keys:
    """The keys that the journal's payloads are sealed with, newest first; none where none is configured.

    Errors: Unsealable for keys that can't be read.
    """
    return key_file.keys_of(settings.data, settings.journal_key_file, settings.journal_keys.get_secret_value())


def database_of(settings: Settings) -> Database:
    """Where the journal's tables are, and how to get in.

    Errors: ConfigError for a password that can't be read.
    """
    return Database(checked(settings.journal), _password(settings))


def checked(address: str) -> str:
    """Address of a database, with the server's certificate checked unless the address says otherwise.

    Shape: a server on this machine needs none.
    Source: https://www.postgresql.org/docs/current/libpq-ssl.html.
    """
    parts = urlsplit(address)
    asked = dict(parse_qsl(parts.query))
    hosts = asked.get("host", parts.netloc.rpartition("@")[2]).split(",")
    here = all(_is_here(host) for host in hosts)
    if here or "sslmode" in asked:
        return address
    return urlunsplit(parts._replace(query=urlencode({**asked, "sslmode": VERIFIED})))


def _is_here(host: str) -> bool:
    if not host or host.startswith("/"):
        return True  # a Unix socket
    return is_loopback(urlsplit(f"//{host}").hostname or "")


def _password(settings: Settings) -> str | None:
    file = settings.journal_password_file
    if file is None:
        return None
    path = settings.data / file
    try:
        return path.read_text("utf-8").strip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"journal_password_file {path} can't be read: {error}") from error
