"""The token endpoint: what it gives, what it refuses, and what it never tells."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from authlib.oauth2.rfc6749.errors import InsecureTransportError
from joserfc import jwt
from joserfc.jwk import Key, import_key

from gateway.identity import (
    Credentials,
    Form,
    Issuer,
    SigningKeys,
    TokenAnswer,
    Verifier,
    built_in,
    new_client_key,
    public_set,
    signing_keys,
)
from gateway.identity.assertion import BadAssertion, Decoys, check
from tests.running import cheap_secrets, enrol

NOW = 1_800_000_000
URL = "https://exchange.example.org"
ENDPOINT = f"{URL}/$ingest/auth"
FORM = "application/x-www-form-urlencoded"
SECRET = "demo-secret-0123456789"
JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
CLIENT_KEY = new_client_key()


@dataclass
class Once:
    """Stands for the journal: takes each pair once, and lets others run in between."""

    taken: list[tuple[str, str, int]] = field(default_factory=list)

    async def claim(self, issuer: str, jti: str, expires: int) -> bool:
        free = (issuer, jti) not in [(i, j) for i, j, _ in self.taken]
        if free:
            self.taken.append((issuer, jti, expires))
        await asyncio.sleep(0)
        return free


@dataclass(frozen=True)
class Bench:
    issuer: Issuer
    keys: SigningKeys
    credentials: Credentials
    once: Once
    make: Callable[..., Issuer]


@pytest.fixture(autouse=True)
def cheap() -> Iterator[None]:
    with cheap_secrets():
        yield


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    credentials = Credentials(tmp_path / "credentials", clock=lambda: NOW)
    enrol(credentials, "demo-engine", SECRET, public_set(CLIENT_KEY))
    keys, once = signing_keys(tmp_path / "keys"), Once()
    made = []

    def make(**changes: Any) -> Issuer:
        given: dict[str, Any] = {
            "public_url": URL, "token_address": ENDPOINT, "keys": keys, "credentials": credentials,
            "claim_token_id": once.claim, "secret_basic": True, "clock": lambda: NOW,
        }  # fmt: skip
        made.append(Issuer(**(given | changes)))
        return made[-1]

    yield Bench(make(), keys, credentials, once, make)
    for issuer in made:
        issuer.close()


def ask(
    issuer: Issuer,
    fields: dict[str, str] | bytes,
    *authorization: str,
    content_type: Sequence[str] = (FORM,),
    query: str = "",
) -> TokenAnswer:
    body = fields if isinstance(fields, bytes) else urlencode(fields).encode()
    return asyncio.run(issuer.token(Form(body, content_type, authorization, query)))


def basic(client: str = "demo-engine", secret: str = SECRET) -> str:
    return "Basic " + base64.b64encode(f"{client}:{secret}".encode()).decode()


def assertion(**changes: Any) -> dict[str, str]:
    claims = {"iss": "demo-engine", "sub": "demo-engine", "aud": ENDPOINT, "exp": NOW + 60, "jti": "one"} | changes
    header = {"alg": "ES384", "kid": CLIENT_KEY["kid"]}
    text = jwt.encode(header, claims, import_key(dict(CLIENT_KEY)), algorithms=["ES384"])
    return {"grant_type": "client_credentials", "client_assertion_type": JWT_BEARER, "client_assertion": text}


GRANT = {"grant_type": "client_credentials"}


def invalid_client(answer: TokenAnswer) -> TokenAnswer:
    assert answer.status == 401
    assert dict(answer.body) == {"error": "invalid_client", "error_description": "client authentication failed"}
    assert answer.client is None
    return answer


def test_a_token_looks_as_rfc9068_says(bench: Bench) -> None:
    answer = ask(bench.issuer, assertion())
    assert (answer.status, answer.client, answer.reason) == (200, "demo-engine", None)
    assert answer.headers == {"Content-Type": "application/json", "Cache-Control": "no-store", "Pragma": "no-cache"}
    assert set(answer.body) == {"access_token", "token_type", "expires_in"}
    assert (answer.body["token_type"], answer.body["expires_in"]) == ("Bearer", 300)
    key = next(iter(bench.keys.by_id.values()))
    token = jwt.decode(answer.body["access_token"], key, algorithms=["ES256"])
    assert token.header == {"alg": "ES256", "typ": "at+jwt", "kid": next(iter(bench.keys.by_id))}
    jti = token.claims.pop("jti")
    assert len(jti) == 24
    assert token.claims == {
        "iss": URL, "sub": "demo-engine", "client_id": "demo-engine", "aud": URL, "iat": NOW, "exp": NOW + 300,
    }  # fmt: skip


def test_two_tokens_are_never_the_same(bench: Bench) -> None:
    first, second = ask(bench.issuer, GRANT, basic()), ask(bench.issuer, GRANT, basic())
    assert first.body["access_token"] != second.body["access_token"]


def test_the_gateway_accepts_its_own_tokens(bench: Bench) -> None:
    token = ask(bench.issuer, assertion() | {"scope": "ingest"}).body["access_token"]
    verifier = Verifier(
        [built_in(bench.keys, URL)], bench.credentials, realm=URL, token_address=ENDPOINT, clock=lambda: NOW
    )
    principal = asyncio.run(verifier.authenticate([f"Bearer {token}"]))
    assert (principal.name, principal.scopes) == ("demo-engine", ("ingest",))


def test_the_public_keys_are_those_of_the_signing_keys(bench: Bench) -> None:
    assert bench.issuer.jwks() == bench.keys.jwks()


def test_the_jti_is_claimed_with_its_client_and_expiry(bench: Bench) -> None:
    ask(bench.issuer, assertion(jti="abc", exp=NOW + 60.5))
    assert bench.once.taken == [("demo-engine", "abc", NOW + 61)]


def test_one_assertion_sent_fifty_times_at_once_gives_one_token(bench: Bench) -> None:
    body = urlencode(assertion()).encode()

    async def race() -> list[TokenAnswer]:
        return await asyncio.gather(*(bench.issuer.token(Form(body, [FORM], [])) for _ in range(50)))

    answers = asyncio.run(race())
    assert sorted(answer.status for answer in answers) == [200] + [401] * 49
    assert all("access_token" not in answer.body for answer in answers if answer.status != 200)


def test_when_the_claim_fails_no_token_is_given(bench: Bench) -> None:
    async def full(_issuer: str, _jti: str, _expires: int) -> bool:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        ask(bench.make(claim_token_id=full), assertion())


# --- client_secret_basic --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header",
    [
        basic(),
        basic().replace("Basic", "basic"),
        basic(secret=SECRET.replace("-", "%2D")),  # encoded as RFC 6749 section 2.3.1 says
        basic().replace("Basic ", "Basic   "),
    ],
)
def test_a_secret_gets_a_token(bench: Bench, header: str) -> None:
    assert ask(bench.issuer, GRANT, header).status == 200
    assert bench.once.taken == []


def test_a_secret_gets_nothing_unless_enabled(bench: Bench) -> None:
    answer = invalid_client(ask(bench.make(secret_basic=False), GRANT, basic()))
    # RFC 6749 section 5.2: a client that tried by header is told the scheme
    assert answer.headers["WWW-Authenticate"] == f'Basic realm="{URL}"'


@pytest.mark.parametrize(
    "header",
    [
        basic(secret="another-secret-0123456789"),
        basic(secret=SECRET[:-1]),
        basic(secret=SECRET + "x" * 200),
        basic(client="nobody"),
        basic(client="keys-only"),
        basic(client="left-us"),
        basic(client="../credentials/demo-engine"),
        basic(client=""),
        basic(secret=""),
        "Basic",
        "Basic ????",
        "Basic " + base64.b64encode(b"no colon").decode(),
        "Basic " + base64.b64encode(b"\xff:\xff").decode(),
        "Bearer abc",
        "",
    ],
)
def test_every_bad_secret_gets_the_same_answer(bench: Bench, header: str) -> None:
    bench.credentials.enrol("keys-only", keys=public_set(CLIENT_KEY))
    bench.credentials.enrol("left-us", secret=SECRET)
    bench.credentials.revoke("left-us")
    answer = invalid_client(ask(bench.issuer, GRANT, header))
    assert answer.headers["WWW-Authenticate"] == f'Basic realm="{URL}"'
    assert answer.reason
    assert SECRET not in answer.reason


def test_a_client_id_beside_a_secret_must_be_the_same(bench: Bench) -> None:
    assert ask(bench.issuer, GRANT | {"client_id": "demo-engine"}, basic()).status == 200
    invalid_client(ask(bench.issuer, GRANT | {"client_id": "demo-partner"}, basic()))


def test_no_credentials_at_all_get_the_same_answer(bench: Bench) -> None:
    invalid_client(ask(bench.issuer, GRANT))
    invalid_client(ask(bench.issuer, GRANT | {"client_id": "demo-engine"}))
    # client_secret_post is not offered
    invalid_client(ask(bench.issuer, GRANT | {"client_id": "demo-engine", "client_secret": SECRET}))


def test_a_revoked_client_gets_no_further_token(bench: Bench) -> None:
    assert ask(bench.issuer, GRANT, basic()).status == 200
    bench.credentials.revoke("demo-engine")
    invalid_client(ask(bench.issuer, GRANT, basic()))
    invalid_client(ask(bench.issuer, assertion()))


# --- unknown clients cost the same ----------------------------------------------------------------------------------


class Counting(Decoys):
    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def key(self, algorithm: str) -> Key:
        self.asked.append(algorithm)
        return super().key(algorithm)


@pytest.mark.parametrize(
    ("algorithm", "kid"),
    [("ES384", "unknown"), ("RS384", CLIENT_KEY["kid"]), ("RS512", "x")],
    ids=["unknown", "another algorithm", "no key"],
)
@pytest.mark.parametrize("client", ["demo-engine", "nobody"])
def test_a_signature_is_checked_even_without_a_key(bench: Bench, algorithm: str, kid: str, client: str) -> None:
    decoys = Counting()
    claims = {"iss": client, "sub": client, "aud": ENDPOINT, "exp": NOW + 60, "jti": "x"}
    parts = ({"alg": algorithm, "kid": kid}, claims)
    text = ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts)
    with pytest.raises(BadAssertion):
        check(f"{text}.AAAA", find=bench.credentials.find, audience=ENDPOINT, now=NOW, decoys=decoys)
    assert decoys.asked == [algorithm]


def test_what_decoys_sign_is_refused_all_the_same(bench: Bench) -> None:
    class Ours(Decoys):
        def key(self, algorithm: str) -> Key:
            assert algorithm == "ES384"
            return import_key(dict(CLIENT_KEY))

    text = assertion(iss="nobody", sub="nobody")["client_assertion"]
    with pytest.raises(BadAssertion, match="not enrolled"):
        check(text, find=bench.credentials.find, audience=ENDPOINT, now=NOW, decoys=Ours())


# --- forms ----------------------------------------------------------------------------------------------------------

BAD_FORMS: dict[str, tuple[Any, dict[str, Any], str]] = {
    "empty body": (b"", {}, "grant_type is missing"),
    "no grant_type": ({"scope": "ingest"}, {}, "grant_type is missing"),
    "empty grant_type": ({"grant_type": ""}, {}, "grant_type is missing"),
    "not a form": (b"hello", {}, "not a form"),
    "not ASCII": (b"grant_type=\xff", {}, "not a form"),
    "not UTF-8 once decoded": (b"grant_type=%ff", {}, "not a form"),
    "a field twice": (b"grant_type=client_credentials&grant_type=client_credentials", {}, "more than once"),
    "an empty field twice": (b"grant_type=client_credentials&scope=&scope=", {}, "more than once"),
    "an assertion twice": (urlencode(assertion()).encode() + b"&client_assertion=x", {}, "more than once"),
    "too many fields": (b"&".join(b"f%d=x" % i for i in range(30)), {}, "not a form"),
    "too large": (GRANT | {"pad": "x" * 40_000}, {}, "larger than"),
    "JSON": (json.dumps(GRANT).encode(), {"content_type": ["application/json"]}, FORM),
    "no content type": (GRANT, {"content_type": []}, FORM),
    "two content types": (GRANT, {"content_type": [FORM, FORM]}, FORM),
    "in the address": (GRANT, {"query": "client_secret=x"}, "not in its address"),
}


@pytest.mark.parametrize("case", BAD_FORMS)
def test_what_is_no_token_request_is_refused_in_words(bench: Bench, case: str) -> None:
    body, more, words = BAD_FORMS[case]
    answer = ask(bench.issuer, body, **more)
    assert (answer.status, answer.body["error"]) == (400, "invalid_request")
    assert words in answer.body["error_description"]
    assert answer.headers["Cache-Control"] == "no-store"


def test_two_ways_of_authentication_at_once_are_refused(bench: Bench) -> None:
    for fields, headers in (
        (assertion(), [basic()]),
        (GRANT | {"client_secret": SECRET}, [basic()]),
        (assertion() | {"client_secret": SECRET}, []),
        (GRANT, [basic(), basic()]),
    ):
        assert ask(bench.issuer, fields, *headers).body["error"] == "invalid_request"
    assert bench.once.taken == []


def test_a_charset_beside_the_media_type_is_fine(bench: Bench) -> None:
    assert ask(bench.issuer, GRANT, basic(), content_type=[f"{FORM.upper()}; charset=UTF-8"]).status == 200


@pytest.mark.parametrize("grant", ["password", "authorization_code", "refresh_token", "CLIENT_CREDENTIALS", "'\"\n"])
def test_other_grants_are_refused_and_not_repeated(bench: Bench, grant: str) -> None:
    answer = ask(bench.issuer, {"grant_type": grant}, basic())
    assert (answer.status, answer.body["error"]) == (400, "unsupported_grant_type")
    assert grant not in answer.body["error_description"]


# --- scopes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ("ingest", "ingest"),
        ("system/Patient.rs", "system/Patient.rs"),
        ("system/*.cruds", "system/*.cruds"),
        ("system/Patient.read system/*.*", "system/Patient.read system/*.*"),
        ("ingest  ingest", "ingest"),
        ("user/Patient.rs", "user/Patient.rs"),
        ("system/Observation.rs?category=laboratory", "system/Observation.rs?category=laboratory"),
    ],
)
def test_known_scopes_are_put_into_the_token(bench: Bench, asked: str, given: str) -> None:
    answer = ask(bench.issuer, GRANT | {"scope": asked}, basic())
    assert answer.body["scope"] == given
    token = jwt.decode(answer.body["access_token"], next(iter(bench.keys.by_id.values())), algorithms=["ES256"])
    assert token.claims["scope"] == given


def test_no_scope_means_none_in_the_token(bench: Bench) -> None:
    # Swagger's Authorize sends an empty one
    assert "scope" not in ask(bench.issuer, GRANT | {"scope": ""}, basic()).body
    assert "scope" not in ask(bench.issuer, GRANT | {"scope": " "}, basic()).body


@pytest.mark.parametrize(
    "scope",
    [
        "launch", "openid", "INGEST", "ingest admin", "system/", "system/Patient", "system/Patient.",
        "system/patient.r", "system/Patient.sr", "system/Patient.rr", "system/Patient.read?category=x",
        "system/Patient.cruds?category=x", "system/*.rs?category=x", "system/Patient.rs?", "system/*.*?",
        "user/Patient.sr", "patient/*.rs",
        "patient/Patient.rs", "system/Patient.rs\tingest", "system/Pat ient.rs", "system/\u00c4rzte.r",
        " ".join(f"system/A{'a' * i}.r" for i in range(51)),
    ],
)  # fmt: skip
def test_unknown_scopes_are_refused(bench: Bench, scope: str) -> None:
    answer = ask(bench.issuer, GRANT | {"scope": scope}, basic())
    assert (answer.status, answer.body["error"]) == (400, "invalid_scope")
    assert answer.client == "demo-engine" or answer.client is None
    # who isn't known learns nothing about scopes
    invalid_client(ask(bench.issuer, GRANT | {"scope": scope}, basic(client="nobody")))


# --- what is never told ---------------------------------------------------------------------------------------------


def test_neither_tokens_nor_credentials_are_logged(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    sent = assertion()
    with caplog.at_level(logging.DEBUG):
        tokens = [ask(bench.issuer, GRANT, basic()), ask(bench.issuer, sent), ask(bench.issuer, sent)]
    assert tokens[0].status == tokens[1].status == 200
    for hidden in (tokens[0].body["access_token"], tokens[1].body["access_token"], SECRET, sent["client_assertion"]):
        assert hidden not in caplog.text


def test_a_plain_http_address_off_loopback_is_refused_at_the_start(bench: Bench) -> None:
    with pytest.raises(InsecureTransportError):
        bench.make(token_address="http://exchange.example.org/$ingest/auth")
    assert bench.make(token_address="http://127.0.0.1:8000/$ingest/auth") is not None


def test_the_core_runs_in_threads_of_its_own(bench: Bench) -> None:
    ask(bench.issuer, GRANT, basic())
    assert sum(thread.name.startswith("token") for thread in threading.enumerate()) >= 1
