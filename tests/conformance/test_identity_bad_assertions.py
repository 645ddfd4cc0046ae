"""Client assertions that must not be accepted, as data: RFC 7523 section 3, SMART Backend Services, RFC 8725.

Every case is the good assertion but for one thing, and signed with the client's real key unless the case is about
that. All of them get the same answer to the letter. Signatures are made with `cryptography` directly.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from gateway.identity import Credentials, Form, Issuer, TokenAnswer, signing_keys

NOW = 1_800_000_000
URL = "https://exchange.example.org"
ENDPOINT = f"{URL}/$ingest/auth"
JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
Signer = Callable[[bytes], bytes]


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def number(value: int, size: int) -> str:
    return b64(value.to_bytes(size, "big"))


def es384(key: ec.EllipticCurvePrivateKey) -> Signer:
    def sign(message: bytes) -> bytes:
        r, s = decode_dss_signature(key.sign(message, ec.ECDSA(hashes.SHA384())))
        return r.to_bytes(48, "big") + s.to_bytes(48, "big")

    return sign


def rs(key: rsa.RSAPrivateKey, digest: hashes.HashAlgorithm) -> Signer:
    return lambda message: key.sign(message, padding.PKCS1v15(), digest)


def ps(key: rsa.RSAPrivateKey, digest: hashes.HashAlgorithm) -> Signer:
    return lambda message: key.sign(message, padding.PSS(padding.MGF1(digest), digest.digest_size), digest)


def compact(header: str, payload: str, sign: Signer) -> str:
    start = f"{b64(header.encode())}.{b64(payload.encode())}"
    return f"{start}.{b64(sign(start.encode()))}"


def without_none(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


@dataclass(frozen=True)
class Bench:
    issuer: Issuer
    claimed: dict[tuple[str, str], int]
    curve: ec.EllipticCurvePrivateKey
    modulus: rsa.RSAPrivateKey
    serial: Iterator[int]

    def header(self, **changes: Any) -> dict[str, Any]:
        return without_none({"alg": "ES384", "typ": "JWT", "kid": "ec-1"} | changes)

    def claims(self, **changes: Any) -> dict[str, Any]:
        good = {
            "iss": "demo-engine", "sub": "demo-engine", "aud": ENDPOINT, "iat": NOW, "exp": NOW + 120,
            "jti": f"jti-{next(self.serial)}",
        }  # fmt: skip
        return without_none(good | changes)

    def assertion(self, header: dict[str, Any] | None = None, claims: dict[str, Any] | None = None) -> str:
        return compact(json.dumps(header or self.header()), json.dumps(claims or self.claims()), es384(self.curve))

    def ask(self, assertion: str, **fields: str) -> TokenAnswer:
        form = {"grant_type": "client_credentials", "client_assertion_type": JWT_BEARER, "client_assertion": assertion}
        body = urlencode(form | fields).encode()
        content_type = ["application/x-www-form-urlencoded"]
        return asyncio.run(self.issuer.token(Form(body, content_type, [])))


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    data = tmp_path_factory.mktemp("data")
    curve = ec.generate_private_key(ec.SECP384R1())
    modulus = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    point, numbers = curve.public_key().public_numbers(), modulus.public_key().public_numbers()
    keys = {
        "keys": [
            {"kty": "EC", "crv": "P-384", "kid": "ec-1", "x": number(point.x, 48), "y": number(point.y, 48)},
            {"kty": "RSA", "kid": "rsa-1", "n": number(numbers.n, 256), "e": "AQAB"},
            {"kty": "RSA", "kid": "rsa-384-only", "alg": "RS384", "n": number(numbers.n, 256), "e": "AQAB"},
        ]
    }
    credentials = Credentials(data / "credentials", clock=lambda: NOW)
    credentials.enrol("demo-engine", keys=keys)
    credentials.enrol("left-us", keys=keys)
    credentials.revoke("left-us")
    credentials.enrol("secret-only", secret="0123456789abcdef")
    claimed: dict[tuple[str, str], int] = {}

    async def claim(issuer: str, jti: str, expires: int) -> bool:
        if (issuer, jti) in claimed:
            return False
        claimed[issuer, jti] = expires
        return True

    issuer = Issuer(
        public_url=URL, token_address=ENDPOINT, keys=signing_keys(data / "keys"), credentials=credentials,
        claim_token_id=claim, clock=lambda: NOW,
    )  # fmt: skip
    yield Bench(issuer, claimed, curve, modulus, itertools.count())
    issuer.close()


def refused(answer: TokenAnswer) -> None:
    assert answer.status == 401
    assert dict(answer.body) == {"error": "invalid_client", "error_description": "client authentication failed"}
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["WWW-Authenticate"] == f'Bearer realm="{URL}"'
    assert answer.reason


GOOD: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "as SMART Backend Services shows it": ({}, {}),
    "without typ (RFC 7523)": ({"typ": None}, {}),
    "typed as the revision of RFC 7523 wants": ({"typ": "client-authentication+jwt"}, {}),
    "without iat": ({}, {"iat": None}),
    "exp 300 s ahead": ({}, {"exp": NOW + 300}),
    "a clock a little ahead": ({}, {"iat": NOW + 20, "nbf": NOW + 20}),
    "a certificate's thumbprint in the header": ({"x5t#S256": "A" * 43}, {}),
    "an unknown header member (RFC 7515 4)": ({"nonce": "n" * 600}, {}),
}


@pytest.mark.parametrize("case", GOOD)
def test_rfc7523_good_assertions_get_a_token(bench: Bench, case: str) -> None:
    header, claims = GOOD[case]
    answer = bench.ask(bench.assertion(bench.header(**header), bench.claims(**claims)))
    assert answer.status == 200, answer.reason
    assert answer.client == "demo-engine"


@pytest.mark.parametrize(("algorithm", "digest"), [("RS384", hashes.SHA384()), ("RS512", hashes.SHA512())])
def test_rfc7518_rsa_algorithms_are_accepted(bench: Bench, algorithm: str, digest: hashes.HashAlgorithm) -> None:
    header = json.dumps(bench.header(alg=algorithm, kid="rsa-1"))
    assert bench.ask(compact(header, json.dumps(bench.claims()), rs(bench.modulus, digest))).status == 200


BAD_HEADERS: dict[str, dict[str, Any]] = {
    "alg absent": {"alg": None},
    "alg none": {"alg": "none"},
    "alg ES256 named": {"alg": "ES256"},
    "alg HS384 named": {"alg": "HS384"},
    "alg RS384 named over an EC key": {"alg": "RS384"},
    "alg in lower case": {"alg": "es384"},
    "kid absent (SMART)": {"kid": None},
    "kid empty": {"kid": ""},
    "kid unknown": {"kid": "ec-2"},
    "kid of the RSA key": {"kid": "rsa-1"},
    "kid a list": {"kid": ["ec-1"]},
    "typ of an access token (RFC 8725 3.11)": {"typ": "at+jwt"},
    "typ of DPoP": {"typ": "dpop+jwt"},
    "typ not text": {"typ": {}},
    "crit": {"crit": ["exp"], "exp": NOW},
    "b64 false (RFC 7797)": {"crit": ["b64"], "b64": False},
    "b64 true": {"crit": ["b64"], "b64": True},
    "jwk embedded": {"jwk": {"kty": "EC", "crv": "P-384", "x": "AA", "y": "AA"}},
    "jku that was not registered (SMART)": {"jku": "https://attacker.example/jwks.json"},
    "x5u": {"x5u": "https://attacker.example/cert.pem"},
    "x5c": {"x5c": ["MIIB"]},
    "header of more than 4 KiB": {"pad": "x" * 4096},
}

BAD_CLAIMS: dict[str, dict[str, Any]] = {
    "iss absent": {"iss": None},
    "sub absent": {"sub": None},
    "iss and sub absent": {"iss": None, "sub": None},
    "iss and sub differ": {"sub": "secret-only"},
    "iss and sub empty": {"iss": "", "sub": ""},
    "iss and sub lists": {"iss": ["demo-engine"], "sub": ["demo-engine"]},
    "client unknown": {"iss": "nobody", "sub": "nobody"},
    "client revoked": {"iss": "left-us", "sub": "left-us"},
    "client has a secret alone": {"iss": "secret-only", "sub": "secret-only"},
    "client as a path": {"iss": "../credentials/demo-engine", "sub": "../credentials/demo-engine"},
    "client with a NUL": {"iss": "demo-engine\0", "sub": "demo-engine\0"},
    "aud absent": {"aud": None},
    "aud the issuer": {"aud": URL},
    "aud a prefix": {"aud": ENDPOINT[:-1]},
    "aud with a slash more": {"aud": ENDPOINT + "/"},
    "aud with a query": {"aud": ENDPOINT + "?x=1"},
    "aud percent-encoded": {"aud": ENDPOINT.replace("$", "%24")},
    "aud in capitals": {"aud": ENDPOINT.upper()},
    "aud over plain http": {"aud": ENDPOINT.replace("https", "http")},
    "aud a list with ours in it": {"aud": [ENDPOINT, "https://attacker.example"]},
    "aud a list of ours alone": {"aud": [ENDPOINT]},
    "aud another server's": {"aud": "https://other.example.org/token"},
    "exp absent": {"exp": None},
    "expired": {"exp": NOW - 1},
    "expired this second": {"exp": NOW},
    "exp 301 s ahead (SMART)": {"exp": NOW + 301},
    "exp a year ahead": {"exp": NOW + 31_536_000},
    "exp as text": {"exp": str(NOW + 60)},
    "exp true": {"exp": True},
    "exp in milliseconds": {"exp": (NOW + 60) * 1000},
    "iat an hour ahead": {"iat": NOW + 3600},
    "iat after exp": {"iat": NOW + 20, "exp": NOW + 10},
    "iat an hour ago": {"iat": NOW - 3600},
    "iat as text": {"iat": "x"},
    "nbf ahead": {"nbf": NOW + 60},
    "nbf as a list": {"nbf": [NOW]},
    "jti absent": {"jti": None},
    "jti empty": {"jti": ""},
    "jti a number": {"jti": 1},
    "jti of 300 characters": {"jti": "j" * 300},
    "jti with a line break": {"jti": "a\nb"},
}


@pytest.mark.parametrize("case", BAD_HEADERS)
def test_rfc8725_bad_headers_are_refused(bench: Bench, case: str) -> None:
    refused(bench.ask(bench.assertion(header=bench.header(**BAD_HEADERS[case]))))


@pytest.mark.parametrize("case", BAD_CLAIMS)
def test_rfc7523_bad_claims_are_refused(bench: Bench, case: str) -> None:
    refused(bench.ask(bench.assertion(claims=bench.claims(**BAD_CLAIMS[case]))))


def test_rfc7515_bad_texts_are_refused(bench: Bench) -> None:
    header, claims = json.dumps(bench.header()), json.dumps(bench.claims())
    good = compact(header, claims, es384(bench.curve))
    first, second, third = good.split(".")
    stranger = ec.generate_private_key(ec.SECP384R1())
    small = ec.generate_private_key(ec.SECP256R1())
    rsa_header = json.dumps(bench.header(alg="RS384", kid="rsa-1"))
    n = bench.modulus.public_key().public_numbers().n.to_bytes(256, "big")

    def with_alg(algorithm: str, kid: str = "rsa-1") -> str:
        return json.dumps(bench.header(alg=algorithm, kid=kid))

    cases = {
        "empty": "",
        "not a JWS": "hello",
        "alg none and no signature": f"{b64(with_alg('none', 'ec-1').encode())}.{second}.",
        "a stranger's key": compact(header, claims, es384(stranger)),
        "a P-256 key": compact(header, claims, lambda m: small.sign(m, ec.ECDSA(hashes.SHA384()))[:96]),
        "signature as DER": compact(header, claims, lambda m: bench.curve.sign(m, ec.ECDSA(hashes.SHA384()))),
        "signature of zeros (CVE-2022-21449)": compact(header, claims, lambda _: bytes(96)),
        "signature cut": good[:-4],
        "signature missing": f"{first}.{second}.",
        "payload of another": f"{first}.{b64(json.dumps(bench.claims(aud=ENDPOINT, jti='new')).encode())}.{third}",
        "RS256": compact(with_alg("RS256"), claims, rs(bench.modulus, hashes.SHA256())),
        "PS384": compact(with_alg("PS384"), claims, ps(bench.modulus, hashes.SHA384())),
        "PS384 under the name RS384": compact(rsa_header, claims, ps(bench.modulus, hashes.SHA384())),
        "RS256 under the name RS384": compact(rsa_header, claims, rs(bench.modulus, hashes.SHA256())),
        "RS512 with a key enrolled for RS384 alone": compact(
            with_alg("RS512", "rsa-384-only"), claims, rs(bench.modulus, hashes.SHA512())
        ),
        "HS384 with the modulus as the secret": compact(
            with_alg("HS384"), claims, lambda m: hmac.digest(n, m, hashlib.sha384)
        ),
        "header member twice": compact(header[:-1] + ', "kid": "ec-1"}', claims, es384(bench.curve)),
        "claim twice": compact(header, claims[:-1] + f', "aud": "{ENDPOINT}"}}', es384(bench.curve)),
        "exp NaN": compact(header, claims.replace(str(NOW + 120), "NaN"), es384(bench.curve)),
        "exp 1e999": compact(header, claims.replace(str(NOW + 120), "1e999"), es384(bench.curve)),
        "payload a list": compact(header, f"[{claims}]", es384(bench.curve)),
        "payload not UTF-8": compact(header, claims, es384(bench.curve)).replace(second, b64(b"\xff\xfe{}")),
        "iat null": compact(header, claims.replace(f'"iat": {NOW}', '"iat": null'), es384(bench.curve)),
        "four parts": good + ".AAAA",
        "base64 padding": good + "=",
        "larger than 16 KiB": bench.assertion(claims=bench.claims(pad="x" * 14000)),
    }  # fmt: skip
    for case, assertion in cases.items():
        answer = bench.ask(assertion)
        refused(answer)
        assert answer.client is None, case


def test_rfc7523_a_refused_assertion_claims_no_jti(bench: Bench) -> None:
    before = dict(bench.claimed)
    refused(bench.ask(bench.assertion(claims=bench.claims(exp=NOW - 1))))
    refused(bench.ask(bench.assertion(header=bench.header(kid="ec-2"))))
    assert bench.claimed == before


def test_rfc7523_an_assertion_is_good_once(bench: Bench) -> None:
    assertion = bench.assertion()
    assert bench.ask(assertion).status == 200
    again = bench.ask(assertion)
    refused(again)
    assert again.reason == "its jti was used before"
    # another assertion with the same jti is a replay too
    used = bench.claims(jti="once")
    assert bench.ask(bench.assertion(claims=used)).status == 200
    refused(bench.ask(bench.assertion(claims=used | {"exp": NOW + 121})))


def test_rfc7523_an_assertion_is_used_up_by_a_request_that_fails_later(bench: Bench) -> None:
    assertion = bench.assertion()
    assert bench.ask(assertion, scope="launch").body["error"] == "invalid_scope"
    refused(bench.ask(assertion))


@pytest.mark.parametrize("kind", ["", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer", JWT_BEARER.upper()])
def test_rfc7521_another_assertion_type_is_refused(bench: Bench, kind: str) -> None:
    refused(bench.ask(bench.assertion(), client_assertion_type=kind))


def test_rfc7521_a_client_id_beside_it_must_be_the_same(bench: Bench) -> None:
    assert bench.ask(bench.assertion(), client_id="demo-engine").status == 200
    refused(bench.ask(bench.assertion(), client_id="secret-only"))
