"""Access token to principal: remembering, forgetting, revocation."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

import pytest
from joserfc.jwk import Key

from gateway.identity import Credentials, Principal, SigningKeys, TrustedIssuer, Unauthorised, Verifier, signing_keys
from gateway.identity.verify import TYPES

URL = "https://exchange.example.org"
SECRET = "demo-secret-0123456789"


@dataclass
class Clock:
    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class Bench:
    """A verifier whose clock can be set, and which counts how often a key is looked for."""

    def __init__(self, data: Path, capacity: int = 3) -> None:
        self.clock = Clock()
        self.keys: SigningKeys = signing_keys(data / "keys")
        self.credentials = Credentials(data / "credentials", clock=self.clock)
        self.credentials.enrol("demo-partner", secret=SECRET)
        self.checked = 0
        issuer = TrustedIssuer(URL, URL, frozenset({"ES256"}), TYPES, "client_id", self.key)
        self.verifier = Verifier(
            [issuer], self.credentials, realm=URL, token_address=f"{URL}/$ingest/auth", clock=self.clock,
            capacity=capacity,
        )  # fmt: skip

    def key(self, kid: str) -> Key | None:
        self.checked += 1
        return self.keys.find(kid)

    def token(self, jti: str = "one", lasts: int = 300) -> str:
        now = int(self.clock.now)
        claims = {
            "iss": URL, "aud": URL, "sub": "demo-partner", "client_id": "demo-partner", "iat": now, "exp": now + lasts,
            "jti": jti,
        }  # fmt: skip
        return self.keys.sign(claims, kind="at+jwt")

    def authenticate(self, token: str) -> Principal:
        return asyncio.run(self.verifier.authenticate([f"Bearer {token}"]))

    def refusal(self, token: str) -> str:
        with pytest.raises(Unauthorised) as caught:
            self.authenticate(token)
        return caught.value.words


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_token_is_checked_once(bench: Bench) -> None:
    token = bench.token()
    assert bench.authenticate(token) == Principal("demo-partner")
    assert bench.authenticate(token) is bench.authenticate(token)
    assert bench.checked == 1


def test_a_refused_token_is_not_remembered(bench: Bench) -> None:
    forged = bench.token()[:-6] + "AAAAAA"
    bench.refusal(forged)
    bench.refusal(forged)
    assert bench.checked == 2


def test_a_remembered_token_expires(bench: Bench) -> None:
    token = bench.token(lasts=300)
    bench.authenticate(token)
    bench.clock.now += 299
    bench.authenticate(token)
    bench.clock.now += 1
    assert "has expired" in bench.refusal(token)
    assert "has expired" in bench.refusal(token)


def test_the_memory_is_bounded_and_the_oldest_goes_first(bench: Bench) -> None:
    tokens = [bench.token(str(number)) for number in range(4)]
    for token in tokens:
        bench.authenticate(token)
    assert bench.checked == 4
    bench.authenticate(tokens[3])
    bench.authenticate(tokens[1])
    assert bench.checked == 4
    bench.authenticate(tokens[0])
    assert bench.checked == 5
    assert len(bench.verifier._verified) == 3


def test_a_revocation_holds_for_remembered_tokens_at_once(bench: Bench) -> None:
    token = bench.token()
    bench.authenticate(token)
    bench.credentials.revoke("demo-partner")
    assert "revoked" in bench.refusal(token)
    # ... and an enrolment later on doesn't bring the old token back
    bench.clock.now += 10
    bench.credentials.enrol("demo-partner", secret=SECRET)
    assert "revoked" in bench.refusal(token)
    assert bench.authenticate(bench.token("new")).name == "demo-partner"


def test_a_renewed_key_leaves_the_tokens_in_use(bench: Bench) -> None:
    token = bench.token()
    bench.clock.now += 10
    bench.credentials.enrol("demo-partner", secret=SECRET + "-new")
    assert bench.authenticate(token).name == "demo-partner"


def test_words_say_where_to_get_a_token(bench: Bench) -> None:
    with pytest.raises(Unauthorised) as caught:
        asyncio.run(bench.verifier.authenticate([]))
    assert f"{URL}/$ingest/auth" in str(caught.value)


def test_several_issuers_are_told_apart(tmp_path: Path) -> None:
    own = Bench(tmp_path / "own")
    other = Bench(tmp_path / "other")
    issuers = [
        TrustedIssuer(URL, URL, frozenset({"ES256"}), TYPES, "client_id", own.key),
        TrustedIssuer("https://id.example", URL, frozenset({"RS384"}), frozenset({"jwt"}), "azp", other.key),
    ]
    verifier = Verifier(issuers, own.credentials, realm=URL, token_address=URL, clock=own.clock)
    assert asyncio.run(verifier.authenticate([f"Bearer {own.token()}"])).name == "demo-partner"
    # a token of the one under the name of the other, whose algorithm it doesn't have
    now = int(own.clock.now)
    claims = {"iss": "https://id.example", "aud": URL, "sub": "x", "azp": "x", "iat": now, "exp": now + 9, "jti": "x"}
    with pytest.raises(Unauthorised, match="signature"):
        asyncio.run(verifier.authenticate([f"Bearer {other.keys.sign(claims, kind='JWT')}"]))
