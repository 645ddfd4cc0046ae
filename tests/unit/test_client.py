"""The client of `gateway send`, the demo and the bench, against the real issuer behind an in-process transport."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest

from gateway.client import (
    AsyncGatewayClient,
    CredentialError,
    GatewayClient,
    PrivateKey,
    Secret,
    Sent,
    TokenFlow,
    TokenRefused,
    load_credential,
    private_key,
    sent,
)
from gateway.identity import (
    Credentials,
    Form,
    Issuer,
    Unauthorised,
    Verifier,
    built_in,
    new_client_key,
    public_set,
    signing_keys,
)
from tests.running import enrol

URL = "http://localhost:8000"
SECRET = "demo-secret-0123456789"
ACK = b"MSH|^~\\&|DEX|QVV|emergency-care|r0d|20270115080000||ACK|x|P|2.4\rMSA|AA|8457239|{}\r"
PATIENT = b'{"resourceType":"Patient","id":"9990000018","x":72.50}'


def send(client: GatewayClient) -> Sent:
    return client.send(b"MSH", domain="emergency-care", organisation="r0d")


async def send_in_time(client: AsyncGatewayClient) -> Sent:
    return await client.send(b"MSH", domain="emergency-care", organisation="r0d")


@dataclass
class Clock:
    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Server:
    """The token endpoint as it is, and canned answers for the rest."""

    issuer: Issuer
    verifier: Verifier
    seen: list[httpx.Request] = field(default_factory=list)
    answer: Callable[[httpx.Request], httpx.Response] = lambda _: httpx.Response(200, content=ACK)

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request)
        headers = request.headers
        if request.url.path == "/$ingest/auth":
            told = await self.issuer.token(
                Form(request.content, headers.get_list("content-type"), headers.get_list("authorization"))
            )
            return httpx.Response(told.status, json=dict(told.body))
        try:
            await self.verifier.authenticate(headers.get_list("authorization"))
        except Unauthorised as unknown:
            return httpx.Response(
                401, headers={"WWW-Authenticate": unknown.challenge}, content=ACK.replace(b"AA", b"AR")
            )
        return self.answer(request)

    def at_once(self, request: httpx.Request) -> httpx.Response:
        return asyncio.run(self(request))

    def paths(self) -> list[str]:
        return [request.url.path for request in self.seen]


@dataclass(frozen=True)
class Bench:
    server: Server
    clock: Clock
    credentials: Credentials
    jwk: dict[str, Any]

    def client(self, credential: Any = None, **more: Any) -> GatewayClient:
        transport = httpx.MockTransport(self.server.at_once)
        client = GatewayClient(URL, "demo-engine", credential or Secret(SECRET), transport=transport, **more)
        client._flow._clock = self.clock
        return client


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    clock, jwk = Clock(), new_client_key()
    credentials = Credentials(tmp_path / "credentials", clock=clock)
    enrol(credentials, "demo-engine", SECRET, public_set(jwk))
    keys = signing_keys(tmp_path / "keys")
    taken: set[tuple[str, str]] = set()

    async def claim(issuer: str, jti: str, _expires: int) -> bool:
        before = len(taken)
        taken.add((issuer, jti))
        return len(taken) > before

    address = f"{URL}/$ingest/auth"
    issuer = Issuer(
        public_url=URL, token_address=address, keys=keys, credentials=credentials, claim_token_id=claim,
        secret_basic=True, clock=clock,
    )  # fmt: skip
    verifier = Verifier([built_in(keys, URL)], credentials, realm=URL, token_address=address, clock=clock)
    yield Bench(Server(issuer, verifier), clock, credentials, jwk)
    issuer.close()


def test_a_message_is_sent_with_its_headers_and_its_bytes(bench: Bench) -> None:
    with bench.client() as client:
        reply = client.send(
            b"MSH|\r\xff",
            domain="emergency-care",
            organisation="r0d",
            key="k-1",
            dry_run=True,
            purpose="TREAT",
            user="dr-who",
            break_glass="x" * 10,
        )
    request = bench.server.seen[-1]
    assert str(request.url) == f"{URL}/$ingest?dry-run=true"
    assert request.content == b"MSH|\r\xff"
    expected = {
        "source-domain": "emergency-care", "organisation-code": "r0d", "data-type": "Hl7v2",
        "content-type": "text/plain", "idempotency-key": "k-1", "purpose-of-use": "TREAT", "on-behalf-of": "dr-who",
        "break-glass-reason": "x" * 10,
    }  # fmt: skip
    assert expected.items() <= dict(request.headers).items()
    assert (reply.status, reply.code, reply.control_id, reply.outcome) == (200, "AA", "8457239", "{}")
    assert reply.accepted
    assert reply.text.splitlines()[1] == "MSA|AA|8457239|{}"


def test_what_is_not_given_is_not_sent(bench: Bench) -> None:
    send(bench.client())
    request = bench.server.seen[-1]
    assert str(request.url) == f"{URL}/$ingest"
    assert not {"idempotency-key", "purpose-of-use", "on-behalf-of", "break-glass-reason"} & set(request.headers)


@pytest.mark.parametrize(
    ("response", "data_type", "accepted", "code"),
    [
        (httpx.Response(200, content=ACK), "Hl7v2", True, "AA"),
        (httpx.Response(200, content=ACK.replace(b"|AA|", b"|CA|")), "Hl7v2", True, "CA"),
        (httpx.Response(422, content=ACK.replace(b"|AA|", b"|AE|")), "Hl7v2", False, "AE"),
        # hl7-over-http: the status says nothing
        (httpx.Response(200, content=ACK.replace(b"|AA|", b"|AR|")), "Hl7v2", False, "AR"),
        # a proxy's page is no acknowledgement
        (httpx.Response(200, content=b"<html>ok</html>"), "Hl7v2", False, None),
        (httpx.Response(204), "Hl7v2", False, None),
        (httpx.Response(200, content=b"{}"), "Fhir", True, None),
        (httpx.Response(422, content=b"{}"), "Csv", False, None),
    ],
)
def test_what_counts_as_accepted(response: httpx.Response, data_type: str, accepted: bool, code: str | None) -> None:  # noqa: FBT001 - a table's column
    reply = sent(response, data_type)
    assert (reply.accepted, reply.code) == (accepted, code)


BATCH = b"FHS|^~\\&|\rBHS|^~\\&|\r%sBTS|2\rFTS|1\r"


@pytest.mark.parametrize(
    ("body", "accepted", "refused", "codes"),
    [
        (BATCH % (ACK + ACK), True, 0, ["AA", "AA"]),
        (BATCH % (ACK + ACK.replace(b"|AA|", b"|CE|")), False, 1, ["AA", "CE"]),
        (BATCH % b"", True, 0, []),
        (BATCH % b"MSH|^~\\&|\r", False, 1, [None]),
        (ACK, True, 0, ["AA"]),
        (b"<html>", False, 1, [None]),
    ],
)
def test_a_batch_is_accepted_where_each_of_its_messages_is(
    body: bytes, accepted: bool, refused: int, codes: list[str | None]  # noqa: FBT001 - a table's column
) -> None:  # fmt: skip
    reply = sent(httpx.Response(200, content=body), "Hl7v2")
    assert (reply.accepted, reply.refused) == (accepted, refused)
    assert [one.code if one else None for one in reply.acknowledgements] == codes
    assert reply.code == (codes[0] if codes and body in {ACK, b"<html>"} else None)


def test_receipt_and_waiting_time_are_read(bench: Bench) -> None:
    bench.server.answer = lambda _: httpx.Response(
        503, headers={"Location": "/$ingest/receipts/1", "Retry-After": "5"}, content=ACK.replace(b"|AA|", b"|AE|")
    )
    reply = send(bench.client())
    assert (reply.receipt, reply.retry_after) == ("/$ingest/receipts/1", 5)
    bench.server.answer = lambda _: httpx.Response(503, headers={"Retry-After": "Fri, 15 Jan 2027 08:00:00 GMT"})
    assert send(bench.client()).retry_after is None


def test_a_search_is_asked_as_it_was_meant(bench: Bench) -> None:
    bench.server.answer = lambda _: httpx.Response(200, content=PATIENT, headers={"ETag": 'W/"1"'})
    client = bench.client()
    found = client.search("Patient", [("_id", "9990000018"), ("name", "a&b=c|d")], purpose="TREAT")
    request = bench.server.seen[-1]
    assert request.method == "GET"
    assert request.url.path == "/Patient"
    assert parse_qsl(request.url.query.decode()) == [("_id", "9990000018"), ("name", "a&b=c|d")]
    assert request.headers["purpose-of-use"] == "TREAT"
    assert found.resource == {"resourceType": "Patient", "id": "9990000018", "x": Decimal("72.50")}
    assert (found.status, found.headers["etag"], found.body) == (200, 'W/"1"', PATIENT)
    assert client.search("Patient", []).status == 200
    assert str(bench.server.seen[-1].url) == f"{URL}/Patient"


def test_a_search_by_post_leaves_nothing_in_the_address(bench: Bench) -> None:
    bench.client().search("Patient", [("_id", "9990000018")], post=True)
    request = bench.server.seen[-1]
    assert (request.method, str(request.url)) == ("POST", f"{URL}/Patient/_search")
    assert request.content == b"_id=9990000018"
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"


def test_a_read_cannot_leave_its_path(bench: Bench) -> None:
    bench.client().read("Patient", "9990000018", purpose="TREAT")
    assert str(bench.server.seen[-1].url) == f"{URL}/Patient/9990000018"
    bench.client().read("Patient", "../metadata?x")
    assert bench.server.seen[-1].url.raw_path == b"/Patient/..%2Fmetadata%3Fx"


# --- tokens ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["ES384", "RS384", "RS512"])
def test_a_key_gets_a_token(bench: Bench, algorithm: str) -> None:
    jwk = new_client_key(algorithm)  # type: ignore[arg-type]  # pytest gives plain text
    bench.credentials.enrol("demo-engine", keys=public_set(jwk))
    assert bench.client(private_key(jwk)).token().count(".") == 2


def test_a_token_is_asked_for_once_and_before_it_ends(bench: Bench) -> None:
    client = bench.client(private_key(bench.jwk))
    token = client.token()
    assert client.token() == token
    send(client)
    send(client)
    assert bench.server.paths() == ["/$ingest/auth", "/$ingest", "/$ingest"]
    assert bench.server.seen[-1].headers["authorization"] == f"Bearer {token}"
    bench.clock.now += 271
    send(client)
    assert bench.server.paths()[3:] == ["/$ingest/auth", "/$ingest"]


def test_a_token_that_is_refused_is_replaced_once(bench: Bench) -> None:
    client = bench.client()
    send(client)
    bench.credentials.revoke("demo-engine")
    bench.clock.now += 10
    bench.credentials.enrol("demo-engine", secret=SECRET)
    assert send(client).accepted
    assert bench.server.paths()[2:] == ["/$ingest", "/$ingest/auth", "/$ingest"]
    # a fresh token that is refused is not asked for again and again
    bench.server.answer = lambda _: httpx.Response(401, content=ACK.replace(b"|AA|", b"|AR|"))
    bench.server.seen.clear()
    assert send(bench.client()).status == 401
    assert bench.server.paths() == ["/$ingest/auth", "/$ingest"]


def test_a_refused_client_is_told_so(bench: Bench) -> None:
    with pytest.raises(TokenRefused, match=r"invalid_client \(HTTP 401\): client authentication failed") as caught:
        send(bench.client(Secret("another-secret-0123456789")))
    assert (caught.value.status, caught.value.code) == (401, "invalid_client")
    assert bench.server.paths() == ["/$ingest/auth"]


@pytest.mark.parametrize(
    "answer",
    [b"<html>", b"[]", b"{}", b'{"access_token": 1, "expires_in": 1}', b'{"access_token": "x", "expires_in": "1"}'],
)
def test_an_answer_that_is_no_token_is_refused(bench: Bench, answer: bytes) -> None:
    flow = TokenFlow(URL, "demo-engine", Secret(SECRET), clock=bench.clock)
    with pytest.raises(TokenRefused, match="not a token endpoint's"):
        flow.keep(httpx.Response(200, content=answer))
    assert flow.standing() is None


def test_a_scope_and_another_audience_are_asked_for(bench: Bench) -> None:
    flow = TokenFlow(
        "http://10.0.0.1:9/", "demo-engine", private_key(bench.jwk), scope="ingest", audience=f"{URL}/$ingest/auth",
        clock=bench.clock,
    )  # fmt: skip
    request = flow.ask()
    assert str(request.url) == "http://10.0.0.1:9/$ingest/auth"
    assert dict(parse_qsl(request.content.decode()))["scope"] == "ingest"
    assert asyncio.run(bench.server(request)).json()["scope"] == "ingest"


def test_the_token_goes_to_the_gateway_alone(bench: Bench) -> None:
    flow = TokenFlow(URL, "demo-engine", Secret(SECRET), clock=bench.clock)
    transport = httpx.MockTransport(bench.server.at_once)
    for elsewhere in ("https://localhost:8000/x", "http://localhost:8001/x", "http://attacker.example:8000/x"):
        with httpx.Client(transport=transport) as http, pytest.raises(httpx.UnsupportedProtocol, match="alone"):
            http.get(elsewhere, auth=flow)
    assert bench.server.seen == []


def test_a_redirect_is_not_followed(bench: Bench) -> None:
    bench.server.answer = lambda _: httpx.Response(302, headers={"Location": "http://attacker.example/"})
    assert bench.client().read("Patient", "1").status == 302
    assert {request.url.host for request in bench.server.seen} == {"localhost"}


def test_token_requests_have_the_time_limit_of_the_rest(bench: Bench) -> None:
    with bench.client(timeout=3.0) as client:
        send(client)
        bench.clock.now += 300
        client.token()
    assert bench.server.paths() == ["/$ingest/auth", "/$ingest", "/$ingest/auth"]
    assert {request.extensions["timeout"]["read"] for request in bench.server.seen} == {3.0}


def test_many_at_once_share_a_token(bench: Bench) -> None:
    bench.server.answer = lambda request: httpx.Response(200, content=ACK if request.method == "POST" else PATIENT)

    async def use() -> list[Any]:
        transport = httpx.MockTransport(bench.server)
        async with AsyncGatewayClient(URL, "demo-engine", private_key(bench.jwk), transport=transport) as client:
            client._flow._clock = bench.clock
            assert await client.token() == await client.token()
            replies: list[Any] = await asyncio.gather(*(send_in_time(client) for _ in range(5)))
            replies.append(await client.search("Patient", [("_id", "1")], purpose="TREAT"))
            replies.append(await client.read("Patient", "1", purpose="TREAT"))
            return replies

    replies = asyncio.run(use())
    assert [reply.status for reply in replies] == [200] * 7
    assert bench.server.paths().count("/$ingest/auth") == 1


def test_the_default_transport_speaks_http(bench: Bench) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = int(head.lower().partition("content-length:")[2].split()[0])
        body = await reader.readexactly(length)
        target = head.split()[1]
        headers = [
            (name, value) for line in head.split("\r\n")[1:] for name, _, value in [line.partition(": ")] if name
        ]
        answer = await bench.server(httpx.Request("POST", URL + target, headers=headers, content=body))
        writer.write(
            b"HTTP/1.1 %d X\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
            % (answer.status_code, len(answer.content))
        )
        writer.write(answer.content)
        writer.close()
        await writer.wait_closed()

    async def use() -> bool:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        client = AsyncGatewayClient(
            f"http://127.0.0.1:{port}", "demo-engine", private_key(bench.jwk), audience=f"{URL}/$ingest/auth"
        )
        client._flow._clock = bench.clock
        async with server, client:
            return (await send_in_time(client)).accepted

    assert asyncio.run(use())


# --- credentials ----------------------------------------------------------------------------------------------------


def test_credentials_are_read_from_files(tmp_path: Path, bench: Bench) -> None:
    file = tmp_path / "demo-engine.json"
    file.write_text(json.dumps({"client_secret": SECRET}))
    assert load_credential(file) == Secret(SECRET)
    file.write_text(json.dumps(bench.jwk))
    key = load_credential(file)
    assert isinstance(key, PrivateKey)
    assert (key.kid, key.algorithm) == (bench.jwk["kid"], "ES384")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"client_secret": 1}', '{"kty": "EC"}', '{"kty": []}'])
def test_files_without_a_credential_are_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(CredentialError):
        load_credential(tmp_path / "x.json")
    with pytest.raises(CredentialError, match=r"y\.json"):
        load_credential(tmp_path / "y.json")


def test_keys_that_cannot_prove_anything_are_refused(bench: Bench) -> None:
    public = public_set(bench.jwk)["keys"][0]
    symmetric = {"kty": "oct", "k": base64.urlsafe_b64encode(b"x" * 32).decode().rstrip("="), "kid": "x"}
    for jwk in (
        public,
        {**bench.jwk, "kid": None},
        {**bench.jwk, "alg": "ES256"},
        {**bench.jwk, "alg": "RS384"},
        symmetric,
    ):
        with pytest.raises(CredentialError):
            private_key(jwk)
    rsa = {name: value for name, value in new_client_key("RS512").items() if name != "alg"}
    assert private_key(rsa).algorithm == "RS384"


def test_credentials_do_not_show_in_logs(bench: Bench) -> None:
    assert SECRET not in repr(Secret(SECRET))
    assert bench.jwk["d"] not in repr(private_key(bench.jwk))
