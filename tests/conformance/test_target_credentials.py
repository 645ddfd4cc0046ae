"""Credentials of targets: what is shown to whom, renewed when, and told nobody.

Real sockets and real TLS; each server is uvicorn in a thread.

Source: RFC 6749 section 4.4, RFC 6750; `facade.md` of the design, "Upstream"
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import logging
import socket
import ssl
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
import uvicorn
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from gateway import loading
from gateway.config import FILE, ConfigError, TargetCredentials, load
from gateway.upstream import AddressError, Answer, FhirServer, TargetDown, connect, store
from tests.certificates import Authority
from tests.running import acknowledged, message, running

SECRET = "Correct-Horse:Battery/Staple"
TOKENS = ["token-one", "token-two", "token-three", "token-four"]


class Guarded:
    """A FHIR server, with its token endpoint beside it, that lets in who shows what it takes."""

    def __init__(self, *, header: str = "authorization", expires_in: Any = 3600, kind: str = "Bearer") -> None:
        self.header = header
        self.accepted: set[str] = {f"Bearer {token}" for token in TOKENS}
        self.expires_in = expires_in
        self.kind = kind
        self.status = 200
        self.shown: list[str] = []
        self.asked: list[tuple[str, bytes]] = []
        self.methods: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = (await receive())["body"]
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        if scope["path"] == "/token":
            self.asked.append((headers.get("authorization", ""), body))
            token = {"access_token": TOKENS[len(self.asked) - 1], "token_type": self.kind}
            told = token if self.expires_in is None else token | {"expires_in": self.expires_in}
            return await answer(send, self.status, told)
        self.methods.append(scope["method"])
        self.shown.append(headers.get(self.header, ""))
        if self.shown[-1] not in self.accepted:
            return await answer(send, 401, {"resourceType": "OperationOutcome"})
        return await answer(send, 200, {"resourceType": "Patient", "id": "a"})


async def answer(send: Any, status: int, body: Any) -> None:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = [(b"content-type", b"application/fhir+json"), (b"content-length", str(len(raw)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": raw})


@contextlib.contextmanager
def served(app: Any, **tls: Any) -> Iterator[str]:
    """Address of an app on a loopback port."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off", **tls))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield f"http{'s' if tls else ''}://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def ask(
    address: str, data: Path, credentials: TargetCredentials, *calls: Callable[[FhirServer], Awaitable[Any]]
) -> list[Any]:
    """What a target with credentials answers, or the words of why it doesn't."""

    async def run() -> list[Any]:
        server = connect("records", address, data=data, credentials=credentials)
        assert isinstance(server, FhirServer)
        found: list[Any] = []
        for call in calls:
            try:
                told = await call(server)
                found.append(told.status if isinstance(told, Answer) else told)
            except TargetDown as error:
                found.append(error.why)
        await server.aclose()
        return found

    return asyncio.run(run())


async def read(server: FhirServer) -> Answer:
    return await server.read("Patient", "a")


async def many(server: FhirServer) -> list[int]:
    return [found.status for found in await asyncio.gather(*(read(server) for _ in range(20)))]


def token(address: str, data: Path, **more: Any) -> TargetCredentials:
    (data / "secret").write_text(f"{SECRET}\n")
    return TargetCredentials(
        token_url=f"{address}/token", client_id="gate way", client_secret_file=Path("secret"), **more
    )


def test_a_token_is_asked_for_once_and_shown_to_the_target(tmp_path: Path) -> None:
    app = Guarded()
    with served(app) as address:
        given = token(address, tmp_path, scope="system/*.cruds")
        assert ask(address, tmp_path, given, many, read) == [[200] * 20, 200]
    ((authorization, form),) = app.asked
    shown = base64.b64decode(authorization.removeprefix("Basic ")).decode()
    assert shown == "gate%20way:Correct-Horse%3ABattery%2FStaple"
    assert form == b"grant_type=client_credentials&scope=system%2F%2A.cruds"
    assert set(app.shown) == {"Bearer token-one"}


def test_a_refused_token_is_renewed_once_and_the_request_sent_again(tmp_path: Path) -> None:
    app = Guarded()
    app.accepted = {"Bearer token-two"}

    async def transact(server: FhirServer) -> Answer:
        return await server.transact(b"{}")

    with served(app) as address:
        assert ask(address, tmp_path, token(address, tmp_path), transact, read) == [200, 200]
    assert app.shown == ["Bearer token-one", "Bearer token-two", "Bearer token-two"]
    assert app.methods == ["POST", "POST", "GET"]


def test_a_target_that_takes_no_token_is_asked_twice_and_told_of(tmp_path: Path) -> None:
    app = Guarded()
    app.accepted = set()
    with served(app) as address:
        told = ask(address, tmp_path, token(address, tmp_path), read, read, read)
    assert set(told) == {"it answered 401: it does not take the gateway's credentials, configure others"}
    assert (len(app.shown), len(app.asked)) == (4, 2)  # and who gives tokens is not asked for one each time


@pytest.mark.parametrize(("expires_in", "asked"), [(0.001, 3), (3600, 1), (None, 1), (60, 1)])
def test_a_token_is_renewed_before_it_expires(tmp_path: Path, expires_in: Any, asked: int) -> None:
    app = Guarded(expires_in=expires_in)

    async def later(server: FhirServer) -> Answer:
        await asyncio.sleep(0.01)
        return await read(server)

    with served(app) as address:
        assert ask(address, tmp_path, token(address, tmp_path), later, later, later) == [200] * 3
    assert len(app.asked) == asked


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"status": 400}, "its token endpoint answered 400"),
        ({"status": 302}, "its token endpoint answered 302"),
        ({"status": 503}, "its token endpoint answered 503"),
        ({"kind": "MAC"}, "its token endpoint's answer is no bearer token"),
        ({"expires_in": "soon"}, "its token endpoint's answer is not one"),
        ({"expires_in": 10**400}, "its token endpoint's answer is not one"),
        ({"expires_in": -1}, "its token endpoint's answer is no bearer token"),
    ],
)
def test_without_a_token_nothing_is_asked_of_the_target(tmp_path: Path, change: dict[str, Any], why: str) -> None:
    app = Guarded()
    for name, value in change.items():
        setattr(app, name, value)
    with served(app) as address:
        assert ask(address, tmp_path, token(address, tmp_path), read, read) == [why, why]
    assert (len(app.asked), app.shown) == (1, [])  # a failure is told again for a moment


def test_a_token_endpoint_that_is_not_there_is_told(tmp_path: Path) -> None:
    with served(Guarded()) as address:
        given = token("http://127.0.0.1:9", tmp_path)
        (why,) = ask(address, tmp_path, given, read)
    assert why == "its token endpoint can't be reached"


def test_a_header_comes_from_a_file_and_is_read_again_where_it_is_refused(tmp_path: Path) -> None:
    app = Guarded(header="x-api-key")
    app.accepted = {"first"}
    (tmp_path / "key").write_text("first\n")

    async def turn(_: FhirServer) -> None:
        app.accepted = {"second"}
        (tmp_path / "key").write_text("second\n")

    with served(app) as address:
        given = TargetCredentials(header="X-Api-Key", header_file=Path("key"))
        assert ask(address, tmp_path, given, read, read, turn, read, read) == [200, 200, None, 200, 200]
    assert app.shown == ["first", "first", "first", "second", "second"]


@pytest.mark.parametrize("text", [None, "", "two\nlines", "caf\u00e9", "\x00"])
def test_a_file_without_a_secret_is_told_and_nothing_sent(tmp_path: Path, text: str | None) -> None:
    app = Guarded()
    if text is not None:
        (tmp_path / "key").write_text(text, "utf-8")
    with served(app) as address:
        (why,) = ask(address, tmp_path, TargetCredentials(header_file=Path("key")), read)
    assert why.startswith("the file key of its credentials ")
    assert app.shown == []


class Certificates:
    """What a server shows, and what it asks of who connects."""

    def __init__(self, folder: Path) -> None:
        self.authority, self.other = Authority(folder / "own"), Authority(folder / "other", "Others")
        certificate, key = self.authority.issue("server")
        self.open: dict[str, Any] = {"ssl_certfile": certificate, "ssl_keyfile": key}
        asking = {"ssl_ca_certs": str(self.authority.file), "ssl_cert_reqs": ssl.CERT_REQUIRED}
        self.mutual = self.open | asking

    def given(self, *, by: Authority | None = None, trust: Authority | None = None) -> TargetCredentials:
        certificate, key = (None, None) if by is None else by.issue("client")
        return TargetCredentials(certificate=certificate, key=key, authority=(trust or self.authority).file)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


async def patient(_: Any, receive: Any, send: Any) -> None:
    await receive()
    await answer(send, 200, {"resourceType": "Patient", "id": "a"})


def test_mutual_tls_lets_in_who_has_a_certificate_of_the_authority(tmp_path: Path, certificates: Certificates) -> None:
    with served(patient, **certificates.mutual) as address:
        assert ask(address, tmp_path, certificates.given(by=certificates.authority), read, many) == [200, [200] * 20]
        for given in (certificates.given(), certificates.given(by=certificates.other)):
            (why,) = ask(address, tmp_path, given, read)
            assert why.startswith(("no TLS with it", "the connection broke", "no connection to it")), why


def test_a_target_of_another_authority_or_name_is_not_talked_to(tmp_path: Path, certificates: Certificates) -> None:
    app = Guarded()
    with served(app, **certificates.open) as address:
        for given in (certificates.given(trust=certificates.other), TargetCredentials()):
            (why,) = ask(address, tmp_path, given, read)
            assert why.startswith("its certificate is not trusted: "), why
        (why,) = ask(address.replace("127.0.0.1", "localhost"), tmp_path, certificates.given(), read)
        assert "localhost" in why
    assert app.shown == []


def test_a_token_goes_over_the_same_tls(tmp_path: Path, certificates: Certificates) -> None:
    app = Guarded()
    with served(app, **certificates.mutual) as address:
        certificate, key = certificates.authority.issue("client")
        given = token(address, tmp_path, certificate=certificate, key=key, authority=certificates.authority.file)
        assert ask(address, tmp_path, given, read) == [200]
    assert app.shown == ["Bearer token-one"]


# --- a signed assertion ----------------------------------------------------------------------------------------------


def written_key(folder: Path, kind: str) -> Any:
    """A private key in the file `key.pem` of a folder; its public half."""
    made = ec.generate_private_key(ec.SECP384R1()) if kind == "EC" else rsa.generate_private_key(65537, 2048)
    pem = made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "key.pem").write_bytes(pem)
    return (ECKey if kind == "EC" else RSAKey).import_key(pem)


def signed(address: str, **more: Any) -> TargetCredentials:
    return TargetCredentials(
        token_url=f"{address}/token", client_id="gateway", client_key_file=Path("key.pem"), client_key_id="2026-11",
        **more,
    )  # fmt: skip


@pytest.mark.parametrize(("kind", "algorithm"), [("RSA", "RS384"), ("EC", "ES384")])
def test_a_token_is_asked_for_by_a_signed_assertion(
    tmp_path: Path, certificates: Certificates, kind: str, algorithm: str
) -> None:
    key, app = written_key(tmp_path, kind), Guarded(expires_in=0.001)

    async def later(server: FhirServer) -> Answer:
        await asyncio.sleep(0.01)
        return await read(server)

    with served(app, **certificates.open) as address:
        given = signed(address, authority=certificates.authority.file, scope="system/*.rs")
        assert ask(address, tmp_path, given, later, later) == [200, 200]
    assert [header for header, _ in app.asked] == ["", ""]
    told = [dict(parse_qsl(form.decode())) for _, form in app.asked]
    assert {one["grant_type"] for one in told} == {"client_credentials"}
    assert {one["scope"] for one in told} == {"system/*.rs"}
    assert {one["client_assertion_type"] for one in told} == {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}
    read_back = [jwt.decode(one["client_assertion"], key, algorithms=[algorithm]) for one in told]
    for one in read_back:
        assert one.header == {"alg": algorithm, "kid": "2026-11", "typ": "JWT"}
        assert (one.claims["iss"], one.claims["sub"], one.claims["aud"]) == ("gateway", "gateway", f"{address}/token")
        assert 0 < one.claims["exp"] - one.claims["iat"] <= 300
        assert abs(one.claims["iat"] - time.time()) < 60
    assert len({one.claims["jti"] for one in read_back}) == 2, "each is used once"


def test_an_assertion_is_for_the_audience_that_is_configured_and_by_the_key_that_stands(tmp_path: Path) -> None:
    app = Guarded(expires_in=0.001)
    keys = [written_key(tmp_path, "EC")]

    async def renew(_: FhirServer) -> None:
        keys.append(written_key(tmp_path, "RSA"))
        await asyncio.sleep(0.01)

    with served(app) as address:
        given = signed(address, audience="https://login.example.org")
        assert ask(address, tmp_path, given, read, renew, read) == [200, None, 200]
    for (_, form), key, algorithm in zip(app.asked, keys, ("ES384", "RS384"), strict=True):
        told = jwt.decode(dict(parse_qsl(form.decode()))["client_assertion"], key, algorithms=[algorithm])
        assert told.claims["aud"] == "https://login.example.org"


def weak() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def public() -> bytes:
    key = ec.generate_private_key(ec.SECP384R1()).public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize(
    ("raw", "why"),
    [(None, "can't be read"), (b"", "no private key"), (b"nonsense", "no private key"), (b"{}", "no private key"),
     (weak(), "no private key"), (public(), "no private key"), (b'{"kty":"oct","k":"c2VjcmV0"}', "no private key")],
)  # fmt: skip
def test_a_file_without_a_signing_key_is_told_and_nothing_sent(tmp_path: Path, raw: bytes | None, why: str) -> None:
    app = Guarded()
    if raw is not None:
        (tmp_path / "key.pem").write_bytes(raw)
    with served(app) as address:
        (told,) = ask(address, tmp_path, signed(address), read)
    assert told.startswith(f"the file key.pem of its credentials {'is ' if raw is not None else ''}{why}"), told
    assert (app.asked, app.shown) == ([], [])


def test_no_key_or_assertion_is_logged_or_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    app = Guarded()
    app.accepted = set()
    written_key(tmp_path, "EC")
    with caplog.at_level(logging.DEBUG), served(app) as address:
        told = ask(address, tmp_path, signed(address), read, read)
        told += ask("http://127.0.0.1:9", tmp_path, signed("http://127.0.0.1:9"), read)
    said = caplog.text + repr(told) + repr(signed(address))
    assertion = dict(parse_qsl(app.asked[0][1].decode()))["client_assertion"]
    for secret in (assertion, (tmp_path / "key.pem").read_text().splitlines()[1]):
        assert secret not in said


@pytest.mark.parametrize("accepted", [True, False])
def test_no_secret_is_logged_or_told(tmp_path: Path, caplog: pytest.LogCaptureFixture, *, accepted: bool) -> None:
    app = Guarded()
    if not accepted:
        app.accepted = set()
    with caplog.at_level(logging.DEBUG), served(app) as address:
        given = token(address, tmp_path)
        told = ask(address, tmp_path, given, read, many if accepted else read)
        told += ask("http://127.0.0.1:9", tmp_path, given, read)
    said = caplog.text + repr(told) + repr(given)
    for secret in (SECRET, *TOKENS, app.asked[0][0].removeprefix("Basic ")):
        assert secret not in said


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("http://fhir.example.org", "over https alone"),
        ("hl7v2+http://engine.example.org", "over https alone"),
        ("embedded", "for targets at an http"),
        ("folder:here", "for targets at an http"),
    ],
)
def test_credentials_go_with_addresses_that_keep_them(tmp_path: Path, address: str, why: str) -> None:
    with pytest.raises(AddressError, match=why):
        connect("records", address, data=tmp_path, credentials=TargetCredentials(header_file=Path("key")))


def test_a_certificate_that_can_not_be_used_is_told(tmp_path: Path, certificates: Certificates) -> None:
    (tmp_path / "nonsense").write_text("nonsense")
    certificate, _ = certificates.authority.issue("client")
    for certificate_, key in ((Path("none"), Path("none")), (certificate, Path("nonsense"))):
        with pytest.raises(AddressError, match="target records: its certificate, key or authority can't be used"):
            connect(
                "records", "https://fhir.example.org", data=tmp_path,
                credentials=TargetCredentials(certificate=certificate_, key=key),
            )  # fmt: skip


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ('token_url = "https://login.example.org"', "go together"),
        ('client_id = "a"', "go together"),
        ('token_url = "http://login.example.org"\nclient_id = "a"\nclient_secret_file = "b"', "takes https"),
        ('token_url = "https://x.org"\nclient_id = "a"\nclient_secret_file = "b"\nheader_file = "c"', "not both"),
        ('token_url = "https://x.org"\nclient_id = "a"\nclient_key_file = "b"', "client_key_id go together"),
        ('client_key_file = "b"\nclient_key_id = "c"', "go together"),
        ('client_secret_file = "b"\naudience = "c"', "audience with these"),
        ('client_secret_file = "b"\nclient_key_file = "c"\nclient_key_id = "d"', "not both"),
        ('certificate = "a"', "go together"),
        ('header = "X-Key"', "needs header_file"),
        ('header = "Host"\nheader_file = "a"', "does not set itself"),
        ('header = "X Key"\nheader_file = "a"', "does not set itself"),
        ('secret = "a"', "Extra inputs"),
    ],
)
def test_settings_that_do_not_fit_are_refused(tmp_path: Path, lines: str, why: str) -> None:
    (tmp_path / FILE).write_text(f"[credentials.record]\n{lines}\n")
    with pytest.raises(ConfigError, match=rf"setting `credentials\.record.*{why}"):
        load(data=tmp_path)


def test_settings_by_target_from_file_and_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / FILE).write_text('[credentials.record]\nheader_file = "a"\n[credentials.other]\nheader_file = "b"\n')
    monkeypatch.setenv("GATEWAY_CREDENTIALS", '{"record": {"header_file": "c"}}')
    found = load(data=tmp_path).credentials
    assert {name: str(one.header_file) for name, one in found.items()} == {"record": "c", "other": "b"}


class Door:
    """Lets whoever shows the token into an app; everybody else gets 401."""

    def __init__(self, app: Any, guard: Guarded) -> None:
        self.app, self.guard = app, guard
        self.refused = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["path"] == "/token":
            await self.guard(scope, receive, send)
        elif dict(scope["headers"]).get(b"authorization", b"").decode() in self.guard.accepted:
            await self.app(scope, receive, send)
        else:
            self.refused += 1
            await answer(send, 401, {})


def test_a_gateway_shows_them_to_its_record(tmp_path: Path, decisions: loading.Decisions) -> None:
    record = store.app(tmp_path / "elsewhere" / "store.db")
    door = Door(record, Guarded())
    with served(door) as address:
        (tmp_path / "data").mkdir()
        given = token(address, tmp_path / "data")
        targets = {"record": address, "bed-board": "folder:bed-board"}
        with running(tmp_path / "data", decisions, targets=targets, credentials={"record": given}) as one:
            assert acknowledged(one.send(message())).code == "AA"
            found = one.search("/Patient?_id=9990000018")
            assert [entry["resource"]["id"] for entry in found.json()["entry"]] == ["9990000018"]
            assert one.http.get("/_health/ready").status_code == 200
        assert (door.refused, len(door.guard.asked)) == (0, 1)
        with running(tmp_path / "data", decisions, targets=targets) as one:
            refused = one.search("/Patient?_id=9990000018")
            assert (refused.status_code, one.http.get("/_health/ready").status_code) == (503, 503)
            assert "token" not in refused.text
    asyncio.run(record.aclose())


def test_credentials_of_a_target_that_nobody_declares_are_refused(tmp_path: Path, decisions: loading.Decisions) -> None:
    stranger = {"nobody": TargetCredentials(header_file=Path("key"))}
    with (
        pytest.raises(ConfigError, match="setting `credentials` names nobody"),
        running(tmp_path, decisions, credentials=stranger),
    ):
        raise AssertionError("it started")
