"""`gateway serve --demo`: demo secrets are made for loopback alone, wherever the host was set."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.cli import serving
from gateway.config import CLIENTS, CREDENTIALS, FILE, ConfigError, Settings, load
from gateway.identity import Credentials

TLS = 'tls_certificate = "c.pem"\ntls_key = "k.pem"\n'
ELSEWHERE = "192.0.2.1"


class Stopped(Exception):  # noqa: N818 - the end of what these tests look at
    """Rules would be loaded now, and the settings are what they are."""


@pytest.fixture(autouse=True)
def served(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop before anything is loaded or served."""

    def stop(*_: Any) -> None:
        raise Stopped

    monkeypatch.setattr("gateway.loading.decisions", stop)
    monkeypatch.setattr("gateway.serve.load_without_pauses", lambda: None)
    monkeypatch.delenv("GATEWAY_HOST", raising=False)


def by_variable(_data: Path, monkeypatch: pytest.MonkeyPatch) -> str | None:
    monkeypatch.setenv("GATEWAY_HOST", ELSEWHERE)
    return None


def by_file(data: Path, _monkeypatch: pytest.MonkeyPatch) -> str | None:
    with (data / FILE).open("a") as file:
        file.write(f'host = "{ELSEWHERE}"\n')
    return None


def by_flag(_data: Path, _monkeypatch: pytest.MonkeyPatch) -> str | None:
    return ELSEWHERE


@pytest.mark.parametrize("way", [by_variable, by_file, by_flag])
def test_no_demo_secret_is_made_for_a_host_that_others_reach(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: Callable[[Path, pytest.MonkeyPatch], str | None]
) -> None:
    (tmp_path / FILE).write_text(TLS, "utf-8")
    host = way(tmp_path, monkeypatch)
    with pytest.raises(ConfigError, match=f"the demo runs on loopback alone, not on {ELSEWHERE}"):
        serving.serve_command(tmp_path, host, None, with_demo=True)
    assert not (tmp_path / CLIENTS).exists()
    assert Credentials(tmp_path / CREDENTIALS).list() == ()


def test_settings_that_do_not_fit_are_told_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_HOST", ELSEWHERE)
    with pytest.raises(ConfigError, match="plain HTTP"):
        serving.serve_command(tmp_path / "data", None, None, with_demo=True)
    assert list(tmp_path.iterdir()) == []


def test_what_the_demo_writes_into_the_file_is_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[Settings] = []

    def seen(**flags: Any) -> Settings:
        found.append(load(**flags))
        return found[-1]

    monkeypatch.setattr(serving, "load", seen)
    with pytest.raises(Stopped):
        serving.serve_command(tmp_path / "data", None, 8123, with_demo=True)
    last = found[-1]
    assert (last.client_secrets, last.environment, last.port) == (True, "demo", 8123)
    assert last.targets


def test_rules_of_the_environment_have_their_own_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_RULES", str(tmp_path))
    with pytest.raises(ConfigError, match=r"demo\.toml can't be read as the demo's script"):
        serving.serve_command(tmp_path / "data", None, None, with_demo=True)
