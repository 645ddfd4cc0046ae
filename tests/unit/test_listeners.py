"""Listeners beside the common port: what settings ask for, what is bound, and what can't be."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from pathlib import Path
from typing import Any

import pytest

from gateway import trust
from gateway.config import FILE, ConfigError, Settings, load
from gateway.guard import Handshakes, Limits
from gateway.listeners import ListenerError, listeners
from gateway.loading import Decisions
from gateway.stated import Stated
from tests.certificates import Authority
from tests.traffic import free_port


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.upper().startswith("GATEWAY_"):
            monkeypatch.delenv(name)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = Authority(tmp_path)
    made.issue("server")
    return made


def settings(data: Path, **mtls: Any) -> Settings:
    usual = {"port": free_port(), "certificate": "server.pem", "key": "server.key", "authorities": "authority.pem"}
    given = {name: value for name, value in (usual | mtls).items() if value is not None}
    return Settings(data=data, mtls=given)  # type: ignore[arg-type]  # as a file has it


def test_there_are_none_where_none_are_asked_for(tmp_path: Path) -> None:
    assert listeners(Settings(data=tmp_path)) == ()


def test_a_port_and_a_socket_are_bound(authority: Authority) -> None:
    asked = settings(authority.folder, socket="proxy.sock")
    local, port = listeners(asked)
    try:
        place = authority.folder / "proxy.sock"
        assert stat.S_IMODE(place.stat().st_mode) == 0o660
        assert port.tls is not None
        assert local.tls is None
        assert port.bound.getsockname()[1] == asked.mtls.port if asked.mtls else None
    finally:
        local.close()
        port.close()
    assert not place.exists()


def test_a_socket_that_nobody_listens_on_is_taken_over_and_one_that_somebody_does_is_not(authority: Authority) -> None:
    place = authority.folder / "proxy.sock"
    with socket.socket(socket.AF_UNIX) as old:
        old.bind(str(place))
    (left,) = listeners(settings(authority.folder, port=None, certificate=None, key=None, socket="proxy.sock"))
    left.bound.listen()
    with pytest.raises(ListenerError, match=r"mtls\.socket: can't listen on .*proxy\.sock"):
        listeners(settings(authority.folder, port=None, certificate=None, key=None, socket="proxy.sock"))
    assert place.exists()
    left.close()


def test_a_file_in_the_sockets_place_is_left_alone(authority: Authority) -> None:
    (authority.folder / "proxy.sock").write_text("a note")
    with pytest.raises(ListenerError, match=r"mtls\.socket"):
        listeners(settings(authority.folder, socket="proxy.sock"))
    assert (authority.folder / "proxy.sock").read_text() == "a note"


def test_a_port_that_is_taken_is_told_and_nothing_stays_open(authority: Authority) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        asked = settings(authority.folder, port=other.getsockname()[1], socket="proxy.sock")
        with pytest.raises(ListenerError, match=r"mtls\.port: can't listen on 127\.0\.0\.1:\d+"):
            listeners(asked)
    assert not (authority.folder / "proxy.sock").exists()


def test_of_two_gateways_that_start_at_one_moment_the_slower_is_told(authority: Authority) -> None:
    """Both may bind the port before either listens."""
    asked = settings(authority.folder)
    (first,), (second,) = listeners(asked), listeners(asked)

    async def both() -> None:
        doors = Handshakes(Limits())
        taken = await first.listen(asyncio.Protocol, 10, doors)
        with pytest.raises(ListenerError, match=r"mtls\.host and mtls\.port: can't listen on 127\.0\.0\.1:\d+"):
            await second.listen(asyncio.Protocol, 10, doors)
        taken.close()

    asyncio.run(both())
    first.close()
    second.close()


def resolved(monkeypatch: pytest.MonkeyPatch, *hosts: str) -> None:
    """Have names stand for these addresses."""
    found = [info for host in hosts for info in socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)]

    def addresses(_host: str, port: int, **_named: Any) -> list[Any]:
        return [(*kind, (address[0], port, *address[2:])) for *kind, address in found]

    monkeypatch.setattr(socket, "getaddrinfo", addresses)


@pytest.mark.parametrize("hosts", [("2001:db8::1", "127.0.0.1"), ("127.0.0.1", "203.0.113.1")])
def test_an_address_of_a_name_that_this_machine_has_not_is_left_out(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, hosts: tuple[str, ...]
) -> None:
    resolved(monkeypatch, *hosts)
    (one,) = listeners(settings(authority.folder))
    assert one.bound.getsockname()[0] == "127.0.0.1"
    one.close()


def test_a_name_of_which_this_machine_has_no_address_is_told(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolved(monkeypatch, "2001:db8::1", "203.0.113.1")
    with pytest.raises(ListenerError, match=r"mtls\.port: can't listen on"):
        listeners(settings(authority.folder))


FILES = {
    "no certificate": ({"certificate": "nowhere.pem"}, r"mtls\.certificate and mtls\.key"),
    "a key of another": ({"key": "authority.pem"}, r"mtls\.certificate and mtls\.key"),
    "no authorities": ({"authorities": "nowhere.pem"}, r"mtls\.authorities"),
    "authorities that are none": ({"authorities": "server.key"}, r"mtls\.authorities"),
}


@pytest.mark.parametrize("case", FILES)
def test_files_that_can_not_be_used_are_named(authority: Authority, case: str) -> None:
    changed, words = FILES[case]
    with pytest.raises(ListenerError, match=words):
        listeners(settings(authority.folder, **changed))


TRUSTED = {
    "a revocation list that is not there": ({"revocations": ["nowhere.crl"]}, r"nowhere\.crl can't be read"),
    "a proxy's certificate that is not there": ({"proxies": ["nowhere.pem"]}, r"mtls\.proxies.*nowhere\.pem"),
    "a key for a proxy's certificate": ({"proxies": ["server.key"]}, r"mtls\.proxies.*never a key"),
}


@pytest.mark.parametrize("case", TRUSTED)
def test_what_clients_are_judged_by_is_read_before_anything_is_served(
    authority: Authority, decisions: Decisions, case: str
) -> None:
    changed, words = TRUSTED[case]
    trust.check(settings(authority.folder), decisions.rules)
    with pytest.raises(Stated, match=words):
        trust.check(settings(authority.folder, **changed), decisions.rules)


CONFIGURED = {
    "neither port nor socket": ('authorities = "a.pem"', "needs port"),
    "a port without a certificate": ('authorities = "a.pem"\nport = 8443', "port needs certificate and key"),
    "proxies without a port": ('authorities = "a.pem"\nsocket = "s"\nproxies = ["p.pem"]', "need port"),
    "no authorities": ('socket = "s"', "mtls.authorities"),
    "an unknown name": ('authorities = "a.pem"\nsocket = "s"\ncrl = "c"', "mtls.crl"),
    "plain http for its address": (
        'authorities = "a.pem"\nport = 1\ncertificate = "c"\nkey = "k"\nurl = "http://x.example"', "takes https",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CONFIGURED)
def test_settings_that_do_not_fit_are_named_with_their_file(tmp_path: Path, case: str) -> None:
    text, words = CONFIGURED[case]
    (tmp_path / FILE).write_text(f"[mtls]\n{text}\n")
    with pytest.raises(ConfigError, match=words) as caught:
        load(data=tmp_path)
    assert FILE in str(caught.value)


def test_a_variable_changes_one_setting_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / FILE).write_text('[mtls]\nauthorities = "a.pem"\nport = 8443\ncertificate = "c"\nkey = "k"\n')
    monkeypatch.setenv("GATEWAY_MTLS__PORT", "9443")
    read = load(data=tmp_path, public_url="https://exchange.example.org")
    assert read.mtls is not None
    assert (read.mtls.port, str(read.mtls.authorities)) == (9443, "a.pem")
    assert read.mtls_url == "https://exchange.example.org:9443"


def test_secrets_stay_on_this_machine_on_the_other_port_too(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(
        'client_secrets = true\n[mtls]\nauthorities = "a.pem"\nport = 8443\ncertificate = "c"\nkey = "k"\n'
        'host = "192.0.2.1"\n'
    )
    with pytest.raises(ConfigError, match=r"host 192\.0\.2\.1 is not a loopback address: secrets are for loopback"):
        load(data=tmp_path)


ISSUERS = {
    "no clients": ("clients = {}", "issuers.x.clients"),
    "an algorithm that is none": ('clients = { a = "b" }\nalgorithms = ["HS256"]', "issuers.x.algorithms"),
    "keys over plain http": ('clients = { a = "b" }\njwks = "http://id.example.org/keys"', "takes https"),
}  # fmt: skip


@pytest.mark.parametrize("case", ISSUERS)
def test_an_issuer_that_could_let_anybody_in_is_refused(tmp_path: Path, case: str) -> None:
    text, words = ISSUERS[case]
    jwks = "" if "jwks" in text else 'jwks = "https://id.example.org/keys"\n'
    (tmp_path / FILE).write_text(f'[issuers.x]\nissuer = "https://id.example.org"\naudience = "a"\n{jwks}{text}\n')
    with pytest.raises(ConfigError, match=words):
        load(data=tmp_path)
