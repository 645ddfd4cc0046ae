"""Where the settings say that the journal is, and how a gateway gets in."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config import ConfigError, Settings, load
from gateway.journal import PostgresJournal, SqliteJournal
from gateway.journal.opening import checked, database_of, journal_of

ADDRESS = "postgresql://gateway@localhost/exchange"


def test_by_default_it_is_a_file_of_the_data_folder(tmp_path: Path) -> None:
    assert isinstance(journal_of(Settings(data=tmp_path), {}), SqliteJournal)
    assert isinstance(journal_of(Settings(data=tmp_path, journal=ADDRESS), {}), PostgresJournal)


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://gateway:secret-word@localhost/exchange",
        "postgresql://gateway@localhost/exchange?password=secret-word",
        "mysql://gateway@localhost/exchange",
        "postgresql://gateway@localhost",
        "secret-word",
        "postgresql://gateway@[::1/secret-word",
    ],
)
def test_an_address_holds_no_password_and_names_a_database(tmp_path: Path, address: str) -> None:
    with pytest.raises(ConfigError, match=r"setting `journal` .*journal_password_file") as told:
        load(data=tmp_path, journal=address)
    assert "secret-word" not in str(told.value)


def test_the_password_comes_from_a_file_and_is_shown_nowhere(tmp_path: Path) -> None:
    (tmp_path / "journal.secret").write_text("secret-word\n", "utf-8")
    settings = Settings(data=tmp_path, journal=ADDRESS, journal_password_file=Path("journal.secret"))
    database = database_of(settings)
    assert database.password == "secret-word"
    assert "secret-word" not in repr((database, settings))
    absent = Settings(data=tmp_path, journal=ADDRESS, journal_password_file=Path("absent"))
    with pytest.raises(ConfigError, match=r"journal_password_file .*absent can't be read"):
        database_of(absent)


@pytest.mark.parametrize(
    ("address", "asked"),
    [
        ("postgresql://gateway@db.example.org/x", "postgresql://gateway@db.example.org/x?sslmode=verify-full"),
        ("postgresql://gateway@a.example.org,b.example.org:6432/x",
         "postgresql://gateway@a.example.org,b.example.org:6432/x?sslmode=verify-full"),
        ("postgresql://gateway@localhost,b.example.org/x?connect_timeout=3",
         "postgresql://gateway@localhost,b.example.org/x?connect_timeout=3&sslmode=verify-full"),
        ("postgresql://gateway@/x?host=b.example.org", "postgresql://gateway@/x?host=b.example.org&sslmode=verify-full"),
        ("postgresql://gateway@db/x?sslmode=disable", None),  # whoever says so means it
        ("postgresql://gateway@localhost:6432/x", None),
        ("postgresql://gateway@[::1]/x", None),
        ("postgresql://gateway@127.0.0.1/x", None),
        ("postgresql://gateway@/x?host=/run/postgresql", None),
    ],
)  # fmt: skip
def test_a_server_elsewhere_has_to_show_its_certificate(address: str, asked: str | None) -> None:
    assert checked(address) == (asked or address)


def test_keys_and_credentials_may_stand_in_a_folder_that_gateways_share(tmp_path: Path) -> None:
    own = Settings(data=tmp_path)
    assert (own.keys_folder, own.credentials_folder) == (tmp_path / "keys", tmp_path / "credentials")
    beside = Settings(data=tmp_path, shared=tmp_path / "all")
    assert (beside.keys_folder, beside.credentials_folder) == (tmp_path / "all/keys", tmp_path / "all/credentials")
