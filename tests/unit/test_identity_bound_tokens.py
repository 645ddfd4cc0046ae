"""Tokens and client certificates: who gets one by a certificate, whom it is good for, and how it is taken back.

Source: RFC 8705 (mutual TLS), RFC 7662 (introspection), RFC 7009 (revocation).
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from joserfc import jwt
from joserfc.jwk import import_key

from gateway.identity import (
    Certificate,
    Credentials,
    Form,
    Issuer,
    KeyFile,
    Principal,
    RemoteKeys,
    TokenAnswer,
    Unauthorised,
    Verifier,
    built_in,
    described,
    new_client_key,
    public_set,
)
from gateway.identity.revocations import ISSUER
from tests.certificates import Authority, der

NOW = 1_800_000_000
URL = "https://exchange.example.org"
ENDPOINT = f"{URL}/$ingest/auth"
FORM = ["application/x-www-form-urlencoded"]
KEY, OTHER_KEY = new_client_key(), new_client_key()
KEYS_ADDRESS = "https://engine.example.org/jwks.json"
BY_CERTIFICATE = {"grant_type": "client_credentials", "client_id": "by-certificate"}


@dataclass
class Kept:
    """Stands for the journal: ids of tokens under their issuer's name."""

    ids: dict[str, dict[str, float]] = field(default_factory=dict)
    down: bool = False

    async def claim(self, issuer: str, jti: str, expires: int) -> bool:
        if self.down:
            raise OSError("disk full")
        known = self.ids.setdefault(issuer, {})
        fresh = jti not in known
        known[jti] = expires
        return fresh

    async def of(self, issuer: str) -> Mapping[str, float]:
        if self.down:
            raise OSError("gone")
        return dict(self.ids.get(issuer, {}))


@dataclass(frozen=True)
class Bench:
    issuer: Issuer
    verifier: Verifier
    credentials: Credentials
    kept: Kept
    own: Certificate
    other: Certificate
    fetched: list[str]

    def ask(self, fields: dict[str, str], certificate: Certificate | None = None, *, to: str = "token") -> TokenAnswer:
        asked = Form(urlencode(fields).encode(), FORM, [], "", certificate)
        answer: TokenAnswer = asyncio.run(getattr(self.issuer, to)(asked))
        return answer

    def token(self, fields: dict[str, str], certificate: Certificate | None = None) -> str:
        answer = self.ask(fields, certificate)
        assert answer.status == 200, answer
        return str(answer.body["access_token"])

    def let_in(self, token: str, certificate: Certificate | None = None) -> Principal:
        return asyncio.run(self.verifier.authenticate([f"Bearer {token}"], certificate))

    def refusal(self, token: str, certificate: Certificate | None = None) -> str:
        with pytest.raises(Unauthorised) as caught:
            self.let_in(token, certificate)
        assert 'error="invalid_token"' in caught.value.challenge
        return caught.value.words


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    authority = Authority(tmp_path / "authority")
    own, other = authority.client("own"), authority.client("other")
    credentials = Credentials(tmp_path / "credentials", clock=lambda: NOW - 60)
    credentials.enrol("by-key", keys=public_set(KEY))
    credentials.enrol("by-certificate", certificates=[der(own)])
    credentials.enrol("by-both", keys=public_set(KEY), certificates=[der(own)])
    credentials.enrol("by-address", key_address=KEYS_ADDRESS)
    keys, kept, fetched = KeyFile(tmp_path / "keys"), Kept(), []

    async def fetch(address: str) -> bytes:
        fetched.append(address)
        return json.dumps(public_set(KEY)).encode()

    issuer = Issuer(
        public_url=URL, token_address=ENDPOINT, keys=keys, credentials=credentials, claim_token_id=kept.claim,
        remote=RemoteKeys(fetch), clock=lambda: NOW,
    )  # fmt: skip
    verifier = Verifier(
        [built_in(keys, URL)], credentials, realm=URL, token_address=ENDPOINT, revoked=issuer.revoked,
        clock=lambda: NOW,
    )  # fmt: skip
    yield Bench(issuer, verifier, credentials, kept, described(own), described(other), fetched)
    issuer.close()


SERIAL = iter(range(1_000_000))


def signed(client: str, key: dict[str, Any] = KEY, **fields: str) -> dict[str, str]:
    claims = {"iss": client, "sub": client, "aud": ENDPOINT, "exp": NOW + 60, "jti": f"j-{next(SERIAL)}"}
    text = jwt.encode({"alg": "ES384", "kid": key["kid"]}, claims, import_key(dict(key)), algorithms=["ES384"])
    kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    return {"grant_type": "client_credentials", "client_assertion_type": kind, "client_assertion": text, **fields}


def claims_of(token: str) -> dict[str, Any]:
    part = token.split(".")[1]
    read: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return read


def test_rfc8705_2_1_a_certificate_alone_gets_a_token_that_is_bound_to_it(bench: Bench) -> None:
    token = bench.token(BY_CERTIFICATE, bench.own)
    assert claims_of(token)["cnf"] == {"x5t#S256": bench.own.thumbprint}
    assert bench.let_in(token, bench.own).name == "by-certificate"


NO_TOKEN: dict[str, tuple[dict[str, str], str]] = {
    "a certificate that is not the client's": (BY_CERTIFICATE, "other"),
    "no certificate": (BY_CERTIFICATE, ""),
    "no client named": ({"grant_type": "client_credentials"}, "own"),
    "a client that nobody knows": ({**BY_CERTIFICATE, "client_id": "nobody"}, "own"),
    "a client that has a key alone": ({**BY_CERTIFICATE, "client_id": "by-key"}, "own"),
    "a client that has to show its key too": ({**BY_CERTIFICATE, "client_id": "by-both"}, "own"),
    "an assertion without the certificate": (signed("by-both"), ""),
    "an assertion with another's certificate": (signed("by-both"), "other"),
    "another's key with the certificate": (signed("by-both", OTHER_KEY), "own"),
    "an assertion of a client that is enrolled with a certificate alone": (signed("by-certificate"), "own"),
}


@pytest.mark.parametrize("case", NO_TOKEN)
def test_rfc8705_whoever_lacks_what_it_is_enrolled_with_gets_no_token(bench: Bench, case: str) -> None:
    fields, which = NO_TOKEN[case]
    answer = bench.ask(fields, getattr(bench, which) if which else None)
    assert (answer.status, answer.client) == (401, None)
    assert dict(answer.body) == {"error": "invalid_client", "error_description": "client authentication failed"}
    assert answer.reason


def test_rfc8705_a_certificate_of_ones_own_beside_a_secret_of_nobody_is_no_way_in(bench: Bench) -> None:
    basic = "Basic " + base64.b64encode(b"by-certificate:a-secret-that-is-none").decode()
    asked = Form(urlencode(BY_CERTIFICATE).encode(), FORM, [basic], "", bench.own)
    assert asyncio.run(bench.issuer.token(asked)).status == 401


def test_rfc8705_3_every_token_is_bound_to_the_certificate_that_it_was_asked_with(bench: Bench) -> None:
    assert "cnf" not in claims_of(bench.token(signed("by-key")))
    bound = bench.token(signed("by-key"), bench.other)
    assert claims_of(bound)["cnf"] == {"x5t#S256": bench.other.thumbprint}
    assert bench.let_in(bound, bench.other).name == "by-key"


def test_rfc8705_3_a_bound_token_with_anothers_certificate_or_none_is_refused(bench: Bench) -> None:
    token = bench.token(BY_CERTIFICATE, bench.own)
    for _ in range(2):  # the second time it is remembered
        assert "bound to a client certificate, and the request came with another" in bench.refusal(token, bench.other)
        assert "bound to a client certificate, and the request came without one" in bench.refusal(token)
        assert bench.let_in(token, bench.own).name == "by-certificate"


def test_a_principal_with_a_certificate_needs_it_for_tokens_that_are_bound_to_none(bench: Bench) -> None:
    token = bench.token(signed("by-key"))
    assert bench.let_in(token).name == "by-key"
    (bench.credentials.folder / "by-key.json").unlink()
    raw = json.loads((bench.credentials.folder / "by-both.json").read_text())
    (bench.credentials.folder / "by-key.json").write_text(json.dumps(raw | {"principal": "by-key"}))
    assert "enrolled with a client certificate, and the request came without one" in bench.refusal(token)
    assert "came with another" in bench.refusal(token, bench.other)
    assert bench.let_in(token, bench.own).name == "by-key"


def test_a_certificate_that_was_replaced_ends_the_tokens_bound_to_it(bench: Bench, tmp_path: Path) -> None:
    token = bench.token(BY_CERTIFICATE, bench.own)
    bench.credentials.enrol("by-certificate", certificates=[der(Authority(tmp_path / "next").client("next"))])
    assert "came with another" in bench.refusal(token, bench.own)


def test_several_certificates_are_each_good_while_one_takes_the_place_of_the_other(
    bench: Bench, tmp_path: Path
) -> None:
    authority = Authority(tmp_path / "two")
    old, new = authority.client("old"), authority.client("new")
    bench.credentials.enrol("by-certificate", certificates=[der(old), der(new)])
    for one in (old, new):
        assert bench.token(BY_CERTIFICATE, described(one))


def test_keys_at_an_address_are_fetched_and_used(bench: Bench) -> None:
    for _ in range(3):
        assert bench.token(signed("by-address"))
    assert bench.fetched == [KEYS_ADDRESS]
    assert bench.ask(signed("by-address", OTHER_KEY)).status == 401
    assert bench.fetched == [KEYS_ADDRESS], "asked a moment ago"
    bench.token(signed("by-key"))
    assert bench.ask(signed("nobody")).status == 401
    assert bench.fetched == [KEYS_ADDRESS], "who is not enrolled with an address has none asked"


def inactive(answer: TokenAnswer) -> bool:
    return answer.status == 200 and dict(answer.body) == {"active": False}


def test_rfc7662_a_client_is_told_what_its_own_token_says(bench: Bench) -> None:
    token = bench.token(signed("by-key", scope="ingest"))
    told = bench.ask(signed("by-key", token=token), to="introspect")
    claims = claims_of(token)
    assert told.status == 200
    assert dict(told.body) == {"active": True, "token_type": "Bearer", **claims}
    assert (told.body["client_id"], told.body["scope"]) == ("by-key", "ingest")
    assert told.headers["Cache-Control"] == "no-store"


def test_rfc7662_any_other_text_is_inactive(bench: Bench) -> None:
    others = bench.token(BY_CERTIFICATE, bench.own)
    mine = bench.token(signed("by-key"))
    for text in ("hello", others, mine[:-8] + "AAAAAAAA", f"{mine}.x", "{}"):
        assert inactive(bench.ask(signed("by-key", token=text), to="introspect")), text
    (bench.credentials.folder / "by-key.json").unlink()
    later = Credentials(bench.credentials.folder, clock=lambda: NOW + 1)
    later.enrol("by-key", keys=public_set(KEY))
    assert inactive(bench.ask(signed("by-key", token=mine), to="introspect")), "from before it was enrolled anew"


@pytest.mark.parametrize("to", ["introspect", "revoke"])
def test_rfc7662_and_rfc7009_nobody_is_served_without_credentials(bench: Bench, to: str) -> None:
    token = bench.token(signed("by-key"))
    for fields in ({"token": token}, {"token": token, "client_id": "by-key"}, signed("by-key", OTHER_KEY, token=token)):
        answer = bench.ask(fields, to=to)
        assert (answer.status, answer.body["error"]) == (401, "invalid_client")
        assert "WWW-Authenticate" in answer.headers
    without = {name: value for name, value in signed("by-key").items() if name != "grant_type"}
    answer = bench.ask(without, to=to)
    assert (answer.status, answer.body["error_description"]) == (400, "the field token is missing")
    assert bench.let_in(token).name == "by-key"


@pytest.mark.parametrize("to", ["introspect", "revoke"])
def test_an_assertion_is_good_once_here_too(bench: Bench, to: str) -> None:
    fields = signed("by-key", token="x")
    assert bench.ask(fields, to=to).status == 200
    assert bench.ask(fields, to=to).status == 401
    assert bench.ask(fields).status == 401


def test_rfc7009_a_revoked_token_is_refused_at_once(bench: Bench) -> None:
    token, another = bench.token(signed("by-key")), bench.token(signed("by-key"))
    assert bench.let_in(token).name == "by-key"
    answer = bench.ask(signed("by-key", token=token), to="revoke")
    assert (answer.status, dict(answer.body)) == (200, {})
    assert "was revoked" in bench.refusal(token)
    assert inactive(bench.ask(signed("by-key", token=token), to="introspect"))
    assert bench.let_in(another).name == "by-key"
    assert bench.kept.ids[ISSUER] == {claims_of(token)["jti"]: NOW + 300}


def test_rfc7009_nobody_revokes_anothers_token(bench: Bench) -> None:
    token = bench.token(BY_CERTIFICATE, bench.own)
    assert bench.ask(signed("by-key", token=token), to="revoke").status == 200
    assert bench.let_in(token, bench.own).name == "by-certificate"
    assert ISSUER not in bench.kept.ids


def test_a_revocation_that_is_not_kept_is_not_answered(bench: Bench) -> None:
    token = bench.token(BY_CERTIFICATE, bench.own)
    bench.kept.down = True
    fields = {"client_id": "by-certificate", "token": token}
    with pytest.raises(OSError, match="disk full"):
        bench.ask(fields, bench.own, to="revoke")
    assert bench.let_in(token, bench.own).name == "by-certificate"


def test_what_another_gateway_took_back_is_refused_after_the_next_look(bench: Bench) -> None:
    token = bench.token(signed("by-key"))
    bench.kept.ids[ISSUER] = {claims_of(token)["jti"]: NOW + 300}
    assert bench.let_in(token).name == "by-key"
    asyncio.run(bench.issuer.revoked.look(bench.kept.of))
    assert "was revoked" in bench.refusal(token)


def test_it_goes_on_looking_where_a_look_fails(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.identity.revocations.EVERY", 0)
    token = bench.token(signed("by-key"))
    failures: list[Exception] = []

    async def follow() -> None:
        bench.kept.down = True
        following = asyncio.create_task(bench.issuer.revoked.follow(bench.kept.of, failures.append))
        async with asyncio.timeout(60):
            while not failures:  # noqa: ASYNC110 - the follower knows nothing of this test
                await asyncio.sleep(0)
            bench.kept.down = False
            bench.kept.ids[ISSUER] = {claims_of(token)["jti"]: NOW + 300}
            while claims_of(token)["jti"] not in bench.issuer.revoked:  # noqa: ASYNC110 - same
                await asyncio.sleep(0)
        following.cancel()

    asyncio.run(follow())
    assert str(failures[0]) == "gone"


def test_ids_of_tokens_that_ended_are_forgotten(bench: Bench) -> None:
    revoked = bench.issuer.revoked
    asyncio.run(revoked.add("ended", NOW - 1))
    asyncio.run(revoked.add("stands", NOW + 1))
    bench.kept.ids.clear()
    asyncio.run(revoked.look(bench.kept.of))
    assert ("ended" in revoked, "stands" in revoked) == (False, True)
