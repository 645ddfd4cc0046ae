"""Access tokens that must not be accepted, as data: RFC 9068 section 4, RFC 8725, RFC 7515, RFC 6750.

Every case is the good token but for one thing, and signed with the issuer's real key unless the case is about that:
so each fails for its own reason alone. Signatures are made with `cryptography` directly, not with what is tested.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from gateway.identity import (
    Certificate,
    Credentials,
    Principal,
    Unauthorised,
    Verifier,
    built_in,
    new_client_key,
    public_set,
    signing_keys,
)

NOW = 1_800_000_000
URL = "https://exchange.example.org"
Signer = Callable[[bytes], bytes]


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def es(key: ec.EllipticCurvePrivateKey, digest: hashes.HashAlgorithm, size: int) -> Signer:
    def sign(message: bytes) -> bytes:
        r, s = decode_dss_signature(key.sign(message, ec.ECDSA(digest)))
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")

    return sign


def compact(header: str, payload: str, sign: Signer) -> str:
    start = f"{b64(header.encode())}.{b64(payload.encode())}"
    return f"{start}.{b64(sign(start.encode()))}"


@dataclass(frozen=True)
class Bench:
    verifier: Verifier
    credentials: Credentials
    kid: str
    key: ec.EllipticCurvePrivateKey
    sign: Signer

    def header(self, **changes: Any) -> dict[str, Any]:
        return without_none({"alg": "ES256", "typ": "at+jwt", "kid": self.kid} | changes)

    def claims(self, **changes: Any) -> dict[str, Any]:
        good = {
            "iss": URL, "sub": "demo-partner", "client_id": "demo-partner", "aud": URL, "iat": NOW - 10,
            "exp": NOW + 290, "jti": "0123456789abcdef",
        }  # fmt: skip
        return without_none(good | changes)

    def token(self, header: dict[str, Any] | None = None, claims: dict[str, Any] | None = None) -> str:
        return compact(json.dumps(header or self.header()), json.dumps(claims or self.claims()), self.sign)

    def accepted(self, *authorization: str) -> Principal:
        return asyncio.run(self.verifier.authenticate(authorization))


def without_none(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    data = tmp_path_factory.mktemp("data")
    return make_bench(data)


def make_bench(data: Path) -> Bench:
    keys = signing_keys(data / "keys")
    jwk = json.loads((data / "keys" / "issuer.json").read_text())["keys"][0]
    x, y, d = (int.from_bytes(base64.urlsafe_b64decode(jwk[name] + "=="), "big") for name in "xyd")
    private = ec.EllipticCurvePrivateNumbers(d, ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1())).private_key()
    credentials = Credentials(data / "credentials", clock=lambda: NOW - 3600)
    credentials.enrol("demo-partner", keys=public_set(new_client_key()))
    credentials.enrol("left-us", keys=public_set(new_client_key()))
    credentials.revoke("left-us")
    verifier = Verifier(
        [built_in(keys, URL)], credentials, realm=URL, token_address=f"{URL}/$ingest/auth", clock=lambda: NOW
    )
    return Bench(verifier, credentials, jwk["kid"], private, es(private, hashes.SHA256(), 32))


# Header members and claims that a good token may have: the corpus below must not pass for want of a working check.
GOOD: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "as issued": ({}, {}),
    "typ as a media type (RFC 9068 4)": ({"typ": "application/at+jwt"}, {}),
    "typ in capitals (RFC 7515 4.1.9)": ({"typ": "AT+JWT"}, {}),
    "an unknown header member is ignored (RFC 7515 4)": ({"nonce": "x"}, {}),
    "an unknown claim is ignored (RFC 7519 4)": ({}, {"tenant": ["x"]}),
    "fractions of seconds (RFC 7519 2)": ({}, {"exp": NOW + 0.5}),
    "a little ahead of our clock": ({}, {"iat": NOW + 20}),
    "purpose, user and scopes": ({}, {"purpose_of_use": "TREAT", "on_behalf_of": "dr-who", "scope": "ingest"}),
}


@pytest.mark.parametrize("case", GOOD)
def test_good_tokens_are_accepted(bench: Bench, case: str) -> None:
    header, claims = GOOD[case]
    principal = bench.accepted(f"Bearer {bench.token(bench.header(**header), bench.claims(**claims))}")
    assert principal.name == "demo-partner"
    assert principal.purpose == claims.get("purpose_of_use")
    assert principal.user == claims.get("on_behalf_of")
    assert principal.scopes == tuple(claims.get("scope", "").split())


BAD_HEADERS: dict[str, dict[str, Any]] = {
    "alg absent": {"alg": None},
    "alg none (RFC 8725 3.2)": {"alg": "none"},
    "alg None in another case": {"alg": "nOnE"},
    "alg HS256 named over an ES256 signature": {"alg": "HS256"},
    "alg ES384 named over an ES256 signature": {"alg": "ES384"},
    "alg RS256": {"alg": "RS256"},
    "alg not text": {"alg": ["ES256"]},
    "alg empty": {"alg": ""},
    "typ absent (RFC 9068 4)": {"typ": None},
    "typ JWT: an assertion or id token in the wrong place": {"typ": "JWT"},
    "typ not text": {"typ": 1},
    "kid absent": {"kid": None},
    "kid empty": {"kid": ""},
    "kid unknown": {"kid": "another"},
    "kid not text": {"kid": 7},
    "kid a path": {"kid": "../keys/issuer.json"},
    "kid of 300 characters": {"kid": "k" * 300},
    "crit with an unknown extension (RFC 7515 4.1.11)": {"crit": ["exp"], "exp": 1},
    "crit empty (RFC 7515 4.1.11)": {"crit": []},
    "crit naming b64 (RFC 7797)": {"crit": ["b64"], "b64": True},
    "b64 false (RFC 7797)": {"crit": ["b64"], "b64": False},
    "b64 false without crit": {"b64": False},
    "b64 true without crit": {"b64": True},
    "jwk embedded (RFC 8725 3.10)": {"jwk": {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}},
    "jku (RFC 8725 3.10)": {"jku": "https://attacker.example/jwks.json"},
    "x5u": {"x5u": "https://attacker.example/cert.pem"},
    "x5c": {"x5c": ["MIIB"]},
    "enc: an encrypted token's header": {"enc": "A256GCM"},
    "zip": {"zip": "DEF"},
    "header of more than 4 KiB": {"pad": "x" * 4096},
}

BAD_CLAIMS: dict[str, dict[str, Any]] = {
    "iss absent": {"iss": None},
    "iss another": {"iss": "https://attacker.example"},
    "iss with a slash more": {"iss": URL + "/"},
    "iss as a list": {"iss": [URL]},
    "aud absent (RFC 9068 4)": {"aud": None},
    "aud another": {"aud": "https://other.example.org"},
    "aud the token endpoint": {"aud": f"{URL}/$ingest/auth"},
    "aud a prefix": {"aud": "https://exchange.example"},
    "aud with a suffix": {"aud": URL + ".attacker.example"},
    "aud a list with ours in it": {"aud": [URL, "https://attacker.example"]},
    "aud a list of ours alone": {"aud": [URL]},
    "exp absent": {"exp": None},
    "expired": {"exp": NOW - 1},
    "expired this second": {"exp": NOW},
    "exp as text": {"exp": str(NOW + 100)},
    "exp true": {"exp": True},
    "exp negative": {"exp": -1},
    "exp past every calendar": {"exp": 10**30},
    "exp a list": {"exp": [NOW + 100]},
    "iat absent": {"iat": None},
    "iat an hour ahead": {"iat": NOW + 3600},
    "iat as text": {"iat": "now"},
    "nbf ahead": {"nbf": NOW + 120},
    "nbf as text": {"nbf": "soon"},
    "jti absent": {"jti": None},
    "jti a number": {"jti": 5},
    "sub another than client_id": {"sub": "demo-engine"},
    "sub absent": {"sub": None},
    "client_id absent (RFC 9068 2.2)": {"client_id": None},
    "client_id a list": {"client_id": ["demo-partner"], "sub": ["demo-partner"]},
    "client not enrolled": {"client_id": "nobody", "sub": "nobody"},
    "client revoked": {"client_id": "left-us", "sub": "left-us"},
    "client named as a path": {"client_id": "../credentials/demo-partner", "sub": "../credentials/demo-partner"},
    "client in capitals": {"client_id": "DEMO-PARTNER", "sub": "DEMO-PARTNER"},
    "client with a line break": {"client_id": "demo-partner\n", "sub": "demo-partner\n"},
    "issued before the enrolment began": {"iat": NOW - 7200},
    "bound to a certificate (RFC 8705 3.1)": {"cnf": {"x5t#S256": "AA"}},
    "bound to a certificate that it came without (RFC 8705 3)": {"cnf": {"x5t#S256": "A" * 43}},
    "bound to nothing (RFC 7800 3.1)": {"cnf": {}},
    "bound by a text": {"cnf": "null"},
    "bound to a key by thumbprint (RFC 9449 6.1)": {"cnf": {"jkt": "A" * 43}},
    "bound to a key that it brings (RFC 7800 3.2)": {"cnf": {"jwk": {"kty": "EC", "crv": "P-256", "x": "AA"}}},
    "bound to a key by name (RFC 7800 3.4)": {"cnf": {"kid": "one"}},
    "bound to a certificate and a key": {"cnf": {"x5t#S256": "A" * 43, "jkt": "A" * 43}},
    "bound to a certificate by SHA-1": {"cnf": {"x5t": "A" * 27}},
    "bound to a list of certificates": {"cnf": {"x5t#S256": ["A" * 43]}},
    "bound by a list": {"cnf": ["x5t#S256"]},
    "purpose_of_use a list": {"purpose_of_use": ["TREAT"]},
    "purpose_of_use empty": {"purpose_of_use": ""},
    "on_behalf_of with a line break": {"on_behalf_of": "a\nb"},
    "on_behalf_of of 300 characters": {"on_behalf_of": "x" * 300},
    "scope a list": {"scope": ["ingest"]},
}


def raw_cases(bench: Bench) -> dict[str, str]:
    """Cases that are about the text itself, or about another signer."""
    good = bench.token()
    header, payload, signature = good.split(".")
    plain_header, plain = json.dumps(bench.header()), json.dumps(bench.claims())
    pem = bench.key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    stranger = ec.generate_private_key(ec.SECP256R1())
    longer = ec.generate_private_key(ec.SECP384R1())
    carmichael = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    cases = {
        "HS256 with the public key as the secret (RFC 8725 2.1)": compact(
            json.dumps(bench.header(alg="HS256")), plain, lambda m: hmac.digest(pem, m, hashlib.sha256)
        ),
        "HS256 with an empty secret": compact(
            json.dumps(bench.header(alg="HS256")), plain, lambda m: hmac.digest(b"", m, hashlib.sha256)
        ),
        "alg none and no signature": f"{b64(json.dumps(bench.header(alg='none')).encode())}.{payload}.",
        "a stranger's key under our kid": compact(plain_header, plain, es(stranger, hashes.SHA256(), 32)),
        "P-384 under our kid": compact(json.dumps(bench.header(alg="ES384")), plain, es(longer, hashes.SHA384(), 48)),
        "RS384 under our kid": compact(
            json.dumps(bench.header(alg="RS384")), plain,
            lambda m: carmichael.sign(m, padding.PKCS1v15(), hashes.SHA384()),
        ),
        "signature as DER": compact(plain_header, plain, lambda m: bench.key.sign(m, ec.ECDSA(hashes.SHA256()))),
        "signature of zeros (CVE-2022-21449)": compact(plain_header, plain, lambda _: bytes(64)),
        "signature cut": good[:-4],
        "signature empty": f"{header}.{payload}.",
        "signature of another token": f"{header}.{payload}.{bench.token(claims=bench.claims(jti='x')).split('.')[2]}",
        "payload changed": f"{header}.{b64(json.dumps(bench.claims(scope='ingest')).encode())}.{signature}",
        "header changed": f"{b64(json.dumps(bench.header(nonce='x')).encode())}.{payload}.{signature}",
        "header member twice (RFC 7515 4)": compact(
            plain_header[:-1] + ', "alg": "ES256"}', plain, bench.sign
        ),
        "claim twice (RFC 7519 4)": compact(plain_header, plain[:-1] + ', "sub": "demo-partner"}', bench.sign),
        "exp NaN": compact(plain_header, plain.replace(str(NOW + 290), "NaN"), bench.sign),
        "exp Infinity": compact(plain_header, plain.replace(str(NOW + 290), "Infinity"), bench.sign),
        "exp 1e999": compact(plain_header, plain.replace(str(NOW + 290), "1e999"), bench.sign),
        "exp of 5,000 digits": compact(plain_header, plain.replace(str(NOW + 290), "9" * 5000), bench.sign),
        "payload a list": compact(plain_header, f"[{plain}]", bench.sign),
        "payload not JSON": compact(plain_header, "hello", bench.sign),
        "payload null": compact(plain_header, "null", bench.sign),
        "payload nested 4,000 deep": compact(
            plain_header, plain[:-1] + ',"a":' + "[" * 4000 + "]" * 4000 + "}", bench.sign
        ),
        "payload with a lone surrogate": compact(plain_header, plain[:-1] + ',"a":"\\ud800"}', bench.sign),
        "header not an object": compact('"ES256"', plain, bench.sign),
        "two parts": f"{header}.{payload}",
        "four parts": f"{good}.{signature}",
        "five parts (an encrypted token)": f"{header}.{payload}.{signature}.{payload}.{signature}",
        "empty payload (detached)": f"{header}..{signature}",
        "JSON serialisation": json.dumps({"protected": header, "payload": payload, "signature": signature}),
        "base64 padding": f"{header}.{payload}.{signature}==",
        "a space within": f"{header}. {payload}.{signature}",
        "a line break within": f"{header}.\n{payload}.{signature}",
        "standard base64 alphabet": f"{header}.{payload}.{signature[:-1]}+",
        "larger than 16 KiB": bench.token(claims=bench.claims(pad="x" * 16384)),
        "not ASCII": good[:-1] + "\u00e9",
        "not even text": "\udcff" * 30,
    }  # fmt: skip
    last = {"A": "B", "Q": "R", "g": "h", "w": "x"}
    if signature[-1] in last:
        cases["spare bits set in the last character"] = good[:-1] + last[signature[-1]]
    return cases


def refused(bench: Bench, *authorization: str) -> Unauthorised:
    with pytest.raises(Unauthorised) as caught:
        bench.accepted(*authorization)
    words, challenge = caught.value.words, caught.value.challenge
    assert challenge.startswith(f'Bearer realm="{URL}"')
    assert not set(words) & set('"\\\r\n|^~&')
    for value in authorization:
        for part in value.split(".")[1:]:  # no part of a token is repeated
            assert len(part) < 8 or part not in words + challenge
    return caught.value


@pytest.mark.parametrize("case", BAD_HEADERS)
def test_rfc8725_bad_headers_are_refused(bench: Bench, case: str) -> None:
    bad = refused(bench, f"Bearer {bench.token(header=bench.header(**BAD_HEADERS[case]))}")
    assert 'error="invalid_token"' in bad.challenge


@pytest.mark.parametrize("case", BAD_CLAIMS)
def test_rfc9068_bad_claims_are_refused(bench: Bench, case: str) -> None:
    bad = refused(bench, f"Bearer {bench.token(claims=bench.claims(**BAD_CLAIMS[case]))}")
    assert 'error="invalid_token"' in bad.challenge


def test_rfc7515_bad_texts_are_refused(bench: Bench) -> None:
    cases = raw_cases(bench)
    assert len(cases) >= 37
    for case, token in cases.items():
        assert 'error="invalid_token"' in refused(bench, f"Bearer {token}").challenge, case


def certificate(thumbprint: str) -> Certificate:
    return Certificate(thumbprint, "CN=client", NOW - 9, NOW + 9)


OWN, OTHER = "o" * 43, "x" * 43
BOUND: dict[str, tuple[Any, str | None]] = {
    "another's certificate": (OWN, OTHER),
    "no certificate": (OWN, None),
    "the thumbprint in another case": (OWN.upper(), OWN),
    "a prefix of the thumbprint": (OWN[:-1], OWN),
    "padding behind the thumbprint": (OWN + "=", OWN),
    "an empty thumbprint": ("", OWN),
    "an empty thumbprint and no certificate": ("", None),
    "no text for the thumbprint": (5, OWN),
    "null for the thumbprint": ([None], OWN),
}


@pytest.mark.parametrize("case", BOUND)
def test_rfc8705_3_a_token_bound_to_anything_but_its_senders_certificate_is_refused(bench: Bench, case: str) -> None:
    told, shown = BOUND[case]
    token = bench.token(claims=bench.claims(cnf={"x5t#S256": told}))
    with pytest.raises(Unauthorised) as caught:
        asyncio.run(bench.verifier.authenticate([f"Bearer {token}"], None if shown is None else certificate(shown)))
    assert 'error="invalid_token"' in caught.value.challenge


def test_rfc8705_3_a_token_bound_to_its_senders_certificate_is_accepted(bench: Bench) -> None:
    token = f"Bearer {bench.token(claims=bench.claims(cnf={'x5t#S256': OWN}))}"
    assert asyncio.run(bench.verifier.authenticate([token], certificate(OWN))).name == "demo-partner"


def test_the_corpus_has_a_hundred_bad_tokens(bench: Bench) -> None:
    count = len(BAD_HEADERS) + len(BAD_CLAIMS) + len(raw_cases(bench)) + len(BOUND)
    assert count >= 120


HEADERS: dict[str, tuple[tuple[str, ...], str]] = {
    "absent": ((), "is missing"),
    "twice": (("Bearer a.b.c", "Bearer a.b.c"), "more than once"),
    "Basic": (("Basic ZGVtbzpkZW1v",), "not of the scheme Bearer"),
    "no scheme": (("eyJhbGciOiJFUzI1NiJ9.e30.AAAA",), "the word Bearer and a space are missing"),
    "Bearer and nothing": (("Bearer",), "variable that your sender puts there is empty"),
    "Bearer and a space": (("Bearer ",), "variable that your sender puts there is empty"),
    "Bearer null": (("Bearer null",), "variable that your sender puts there is empty"),
    "Bearer undefined": (("Bearer undefined",), "variable that your sender puts there is empty"),
    "a Mirth variable": (("Bearer ${token}",), "a variable's name after Bearer"),
    "a shell variable": (("Bearer $TOKEN",), "a variable's name after Bearer"),
    "a Postman variable": (("Bearer {{token}}",), "a variable's name after Bearer"),
    "a placeholder": (("Bearer <token>",), "a variable's name after Bearer"),
    "quoted": (('Bearer "a.b.c"',), "stands in quotes"),
    "empty": (("",), "not of the scheme Bearer"),
}  # fmt: skip


@pytest.mark.parametrize("case", HEADERS)
def test_rfc6750_headers_that_are_no_bearer_token_get_a_hint(bench: Bench, case: str) -> None:
    sent, words = HEADERS[case]
    bad = refused(bench, *sent)
    assert words in bad.words
    # RFC 6750 section 3.1: without any credentials, no error code.
    assert ("error=" in bad.challenge) == bool(sent)
