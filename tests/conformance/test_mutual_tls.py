"""Mutual TLS as clients meet it: a gateway in a process of its own, real handshakes, RFC 8705 and RFC 9440.

Source: `trust.md` of the design, "Identity"; `http-interface.md`, `POST /$ingest/auth`.
"""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import httpx
import pytest
from cryptography import x509

from gateway import cli
from gateway.config import CREDENTIALS, KEYS
from gateway.hl7v2.acknowledgement import read_acknowledgement
from gateway.identity import Credentials
from gateway.identity.keys import rotate
from tests.certificates import Authority
from tests.mutual_tls import WITHIN, Site, start_site
from tests.traffic import ROOT, admissions

pytestmark = [pytest.mark.xdist_group("certificates"), pytest.mark.timeout(180)]

NAME, OTHER = "uhd-mirth", "wessex-lims"
HEADERS = {
    "source-domain": "emergency-care", "organisation-code": "r0d", "data-type": "Hl7v2", "Content-Type": "text/plain",
}  # fmt: skip
BODIES = iter([body for *_, body in admissions(40, 500)])


def ask(client: httpx.Client, name: str = NAME, **headers: str) -> httpx.Response:
    form = {"grant_type": "client_credentials", "client_id": name}
    return client.post("/$ingest/auth", data=form, headers=headers)


def token(client: httpx.Client, name: str = NAME, **headers: str) -> str:
    reply = ask(client, name, **headers)
    assert reply.status_code == 200, reply.text
    return str(reply.json()["access_token"])


def send(client: httpx.Client, token: str, **headers: str) -> httpx.Response:
    return client.post(
        "/$ingest", content=next(BODIES), headers={**HEADERS, "Authorization": f"Bearer {token}", **headers}
    )


def code(reply: httpx.Response) -> str:
    read = read_acknowledgement(reply.content)
    assert read is not None
    return read.code


def refused(reply: httpx.Response) -> str:
    """Words of a 401, which carries an acknowledgement."""
    assert (reply.status_code, code(reply)) == (401, "AR"), reply.text
    read = read_acknowledgement(reply.content)
    return (read.text if read is not None else None) or ""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = start_site(tmp_path_factory.mktemp("site"), (NAME, OTHER), others=("spare", "proxy", "leaving"))
    yield site
    site.server.stop()
    assert not (site.server.data / "proxy.sock").exists()


def test_rfc8705_a_certificate_gets_a_token_and_sends(site: Site) -> None:
    with site.client(NAME) as client:
        reply = send(client, token(client))
    assert (reply.status_code, code(reply)) == (200, "AA")


def test_rfc8705_a_token_with_anothers_certificate_or_none_is_refused(site: Site) -> None:
    with site.client(NAME) as client, site.client(OTHER) as other, site.plain() as plain:
        own = token(client)
        assert "came with another" in refused(send(other, own))
        assert "came without one" in refused(send(plain, own))
        assert send(client, own).status_code == 200


def test_rfc8705_a_certificate_gets_no_token_of_anothers_name(site: Site) -> None:
    with site.client(NAME) as client, site.client("spare") as spare, site.plain() as plain:
        for reply in (ask(client, OTHER), ask(spare), ask(plain)):
            assert (reply.status_code, reply.json()["error"]) == (401, "invalid_client")


def test_the_common_port_asks_nobody_for_a_certificate(site: Site) -> None:
    with site.plain() as plain:
        assert plain.get("/_health/live").status_code == 200
        assert plain.get("/.well-known/jwks.json").json()["keys"]


def test_nobody_without_a_certificate_is_spoken_to_on_the_other_port(site: Site, tmp_path: Path) -> None:
    stranger = Authority(tmp_path / "stranger", name="Strangers")
    stranger.issue(NAME)
    for client in (site.client(None), site.client(NAME, stranger)):
        with client, pytest.raises(httpx.TransportError):
            client.get("/_health/live")
    with site.client("spare") as spare:
        assert spare.get("/_health/live").status_code == 200


def test_plain_http_gets_nothing_from_the_other_port(site: Site) -> None:
    with pytest.raises(httpx.TransportError):
        httpx.get(site.mtls.replace("https", "http") + "/_health/live", trust_env=False, timeout=WITHIN)


def test_rfc9440_what_a_client_says_of_its_certificate_counts_for_nothing(site: Site) -> None:
    forged = {"Client-Cert": site.told(NAME)}
    with site.plain() as plain, site.client(OTHER) as other, site.client(NAME) as client:
        assert ask(plain, **forged).status_code == 401
        assert ask(other, **forged).status_code == 401
        own = token(client)
        assert "came without one" in refused(send(plain, own, **forged))
        assert "came with another" in refused(send(other, own, **forged))


def test_rfc9440_a_proxys_word_counts_over_its_socket_and_with_its_certificate(site: Site) -> None:
    told = {"Client-Cert": site.told(NAME)}
    for proxy in (site.local(), site.client("proxy")):
        with proxy:
            own = token(proxy, **told)
            reply = send(proxy, own, **told)
            assert (reply.status_code, code(reply)) == (200, "AA")
            assert "came without one" in refused(send(proxy, own))
            assert "came with another" in refused(send(proxy, own, **{"Client-Cert": site.told(OTHER)}))
            assert "RFC 9440" in refused(send(proxy, own, **{"Client-Cert": "-----BEGIN%20CERTIFICATE-----"}))


def test_rfc8705_5_the_metadata_names_the_other_port(site: Site) -> None:
    port = site.mtls.rpartition(":")[2]
    with site.plain() as plain:
        told = plain.get("/.well-known/oauth-authorization-server").json()
    assert told["mtls_endpoint_aliases"]["token_endpoint"] == f"https://localhost:{port}/$ingest/auth"
    assert "tls_client_auth" in told["token_endpoint_auth_methods_supported"]
    assert told["tls_client_certificate_bound_access_tokens"] is True


def test_a_key_is_rotated_while_it_serves(site: Site) -> None:
    with site.client(NAME) as client:
        before = token(client)
        kids = {key["kid"] for key in client.get("/.well-known/jwks.json").json()["keys"]}
        new = next(iter(rotate(site.server.data / KEYS, now=time.time()).by_id))
        after = token(client)
        assert {key["kid"] for key in client.get("/.well-known/jwks.json").json()["keys"]} == {*kids, new}
        assert [send(client, one).status_code for one in (before, after)] == [200, 200]


def test_rfc5280_a_revoked_certificate_is_refused_on_a_connection_that_stands(site: Site) -> None:
    leaving = site.authority.folder / "leaving.pem"
    Credentials(site.server.data / CREDENTIALS).enrol(OTHER, certificates=[leaving.read_bytes()])
    with site.client("leaving") as client, site.client(NAME) as stays:
        own = token(client, OTHER)
        assert client.get("/metadata", headers={"Authorization": f"Bearer {own}"}).status_code == 200
        site.authority.revocations(x509.load_pem_x509_certificate(leaving.read_bytes()))
        assert "was revoked" in refused(send(client, own))
        told = ask(client, OTHER)
        assert (told.status_code, told.json()["error"]) == (401, "invalid_client")
        assert "was revoked" in told.json()["error_description"]
        assert send(stays, token(stays)).status_code == 200
        site.authority.revocations()


def test_rfc7009_a_token_is_taken_back_over_the_other_port(site: Site) -> None:
    with site.client(NAME) as client:
        own, form = token(client), {"client_id": NAME}
        told = client.post("/$ingest/auth/introspect", data={**form, "token": own}).json()
        assert (told["active"], told["client_id"]) == (True, NAME)
        assert client.post("/$ingest/auth/revoke", data={**form, "token": own}).status_code == 200
        assert "was revoked" in refused(send(client, own))
        assert client.post("/$ingest/auth/introspect", data={**form, "token": own}).json() == {"active": False}


class Shell(Protocol):
    """Run a command of the gateway's in this process: how it ended, what it printed, and what it said beside that."""

    def __call__(self, *arguments: str) -> tuple[int, str, str]: ...


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        with monkeypatch.context() as patched:
            patched.setattr(sys, "argv", ["gateway", *arguments])
            with pytest.raises(SystemExit) as ended:
                cli.main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return run


def shows(site: Site, name: str | None) -> list[str]:
    """Options of a client that shows a certificate."""
    own = site.authority.folder
    mine = [] if name is None else ["--certificate", f"{own}/{name}.pem", "--certificate-key", f"{own}/{name}.key"]
    return ["--principal", NAME, "--url", site.mtls, "--authority", str(site.authority.file), *mine]


def test_our_own_command_line_shows_a_certificate_too(site: Site, shell: Shell, tmp_path: Path) -> None:
    status, printed, said = shell("token", *shows(site, NAME))
    assert status == 0, said
    with site.client(NAME) as client:
        assert send(client, printed.strip()).status_code == 200
    file = tmp_path / "a01.hl7"
    file.write_bytes(next(BODIES))
    status, printed, said = shell(
        "send", str(file), "--domain", "emergency-care", "--organisation", "r0d", *shows(site, NAME)
    )
    assert (status, "MSA|AA|" in printed) == (0, True), said


def test_our_own_command_line_says_what_is_wrong_with_a_certificate(site: Site, shell: Shell, tmp_path: Path) -> None:
    status, _, said = shell("token", *shows(site, "spare"))
    assert (status, "invalid_client" in said) == (1, True)
    mixed = shows(site, NAME)
    mixed[-1] = str(site.authority.folder / "spare.key")
    nowhere = [*shows(site, None), "--certificate", str(tmp_path / "nowhere.pem")]
    keyless = [*shows(site, None), "--certificate-key", str(tmp_path / "a.key")]
    strangers = [one if not one.endswith("authority.pem") else mixed[-1] for one in shows(site, NAME)]
    for options, words in (
        (mixed, "spare.key can't be used"), (nowhere, "nowhere.pem can't be used"),
        (keyless, "is the key of no certificate"), (strangers, "it takes certificates in PEM"),
    ):  # fmt: skip
        status, _, said = shell("token", *options)
        assert (status, words in said.replace("\n", " ")) == (1, True), said


def test_a_handshake_that_never_ends_holds_nobody_up(site: Site) -> None:
    host, _, port = site.mtls.removeprefix("https://").partition(":")
    silent = [socket.create_connection((host, int(port)), timeout=WITHIN) for _ in range(20)]
    try:
        with site.client(NAME) as client:
            assert send(client, token(client)).status_code == 200
    finally:
        for one in silent:
            one.close()
