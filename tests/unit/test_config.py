"""Settings: where each comes from, and what doesn't fit together."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.config import FILE, ConfigError, load


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.upper().startswith("GATEWAY_"):
            monkeypatch.delenv(name)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder whose file sets a plain setting and a table."""
    text = 'environment = "file"\nport = 8001\n[targets]\nstore = "https://file.example.org"\nboard = "folder:board"\n'
    (tmp_path / FILE).write_text(text, "utf-8")
    return tmp_path


BOTH = {"store": "https://file.example.org", "board": "folder:board"}


def test_the_file_stands_above_defaults_and_below_variables_and_flags(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load(data=data).environment == "file"
    monkeypatch.setenv("GATEWAY_ENVIRONMENT", "variable")
    assert load(data=data).environment == "variable"
    assert load(data=data, environment="flag").environment == "flag"
    assert load(data=data).targets == BOTH


@pytest.mark.parametrize("name", ["gateway_environment", "Gateway_Environment"])
def test_a_variable_counts_whatever_its_case(data: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "variable")
    assert load(data=data).environment == "variable"


def test_the_data_folder_too(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("gateway_data", str(data))
    assert (load().data, load().environment) == (data, "file")


@pytest.mark.parametrize("name", ["GATEWAY_TARGETS__STORE", "GATEWAY_TARGETS__store", "gateway_targets__store"])
def test_one_target_of_a_variable_takes_the_place_of_the_files(
    data: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "embedded")
    assert load(data=data).targets == {**BOTH, "store": "embedded"}


def test_one_target_of_a_variable_stands_beside_the_files(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_TARGETS__other", "folder:other")
    assert load(data=data).targets == {**BOTH, "other": "folder:other"}


def test_a_table_as_json_counts_target_by_target(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_TARGETS", '{"store": "embedded"}')
    assert load(data=data).targets == {**BOTH, "store": "embedded"}


def test_a_table_that_is_no_json_gets_words(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_TARGETS", "store=embedded")
    with pytest.raises(ConfigError, match=r"targets.*takes JSON"):
        load(data=data)


def test_a_fault_is_told_where_it_stands(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (data / FILE).write_text("port = 0\n[targets]\nstore = 3\nboard = 4\n", "utf-8")
    monkeypatch.setenv("GATEWAY_TARGETS__board", "folder:board")
    monkeypatch.setenv("GATEWAY_BODY_LIMIT", "few")
    with pytest.raises(ConfigError) as raised:
        load(data=data)
    rows = dict(row.split("): ")[0].split(" (") for row in str(raised.value).splitlines())
    file = str(data / FILE)
    assert rows == {
        "setting `port`": file,
        "setting `targets.store`": file,
        "setting `body_limit`": "flag or environment variable",
    }


@pytest.mark.parametrize("text", ["targets = 3\n", "unknown = 1\n", "port =\n"])
def test_a_file_that_does_not_fit_gets_words(data: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    (data / FILE).write_text(text, "utf-8")
    monkeypatch.setenv("GATEWAY_HOST", "127.0.0.1")
    with pytest.raises(ConfigError, match=FILE):
        load(data=data)


TLS = 'tls_certificate = "c.pem"\ntls_key = "k.pem"\n'


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "gateway.example.org"])  # noqa: S104
def test_client_secrets_are_for_loopback_alone(tmp_path: Path, host: str) -> None:
    (tmp_path / FILE).write_text(f"{TLS}client_secrets = true\n", "utf-8")
    with pytest.raises(ConfigError, match=f"client_secrets is on and host {host} is not a loopback address"):
        load(data=tmp_path, host=host)
    assert load(data=tmp_path, host=host, client_secrets=False).host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "[::1]", "localhost"])
def test_client_secrets_on_loopback(tmp_path: Path, host: str) -> None:
    assert load(data=tmp_path, host=host, client_secrets=True).client_secrets


def test_plain_http_is_for_loopback_alone(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="plain HTTP"):
        load(data=tmp_path, host="192.0.2.1")
    (tmp_path / FILE).write_text(TLS.splitlines()[0], "utf-8")
    with pytest.raises(ConfigError, match="go together"):
        load(data=tmp_path)


MTLS = '\n[mtls]\nport = 9443\ncertificate = "c"\nkey = "k"\nauthorities = "a"\n'
SOCKET = '\n[mtls]\nsocket = "s"\nauthorities = "a"\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("port = 8443\nmetrics_port = 8443\n", "port and metrics_port are both 8443"),
        (f"metrics_port = 9443\n{MTLS}", "mtls.port and metrics_port are both 9443"),
        (f"port = 9443\n{MTLS}", "port and mtls.port are both 9443"),
    ],
)
def test_each_listener_has_a_port_of_its_own(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / FILE).write_text(text, "utf-8")
    with pytest.raises(ConfigError, match=words):
        load(data=tmp_path)
    assert load(data=tmp_path, port=7001, metrics_port=7002).port == 7001


def test_client_secrets_are_not_for_the_clients_of_a_proxy(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(f"client_secrets = true\n{SOCKET}", "utf-8")
    with pytest.raises(ConfigError, match=r"client_secrets is on and mtls\.socket is set"):
        load(data=tmp_path)
    assert load(data=tmp_path, client_secrets=False).mtls is not None
