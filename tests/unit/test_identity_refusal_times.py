"""That the time of a refusal tells nobody which clients there are, where some have their keys at an address.

Held here: no refusal is answered before the same moment, and none after it for an address that does not answer. How
close to each other they are is measured by `tests/fault/token_timing.py`.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from joserfc import jwt
from joserfc.jwk import import_key

from gateway.identity import Credentials, Form, Issuer, KeyFile, RemoteKeys, TokenAnswer, new_client_key, public_set

URL = "https://exchange.example.org"
ENDPOINT = f"{URL}/$ingest/auth"
KEYS_ADDRESS = "https://lims.example.org/jwks.json"
OWN, STRANGER = new_client_key("ES384"), new_client_key("ES384")
AFTER = 0.3
HANGS = 60.0


class Address:
    """Where a client's keys are: it answers until it is made to hang."""

    def __init__(self) -> None:
        self.hangs = False
        self.asked = 0

    async def fetch(self, _address: str) -> bytes:
        self.asked += 1
        if self.hangs:
            await asyncio.sleep(3600)
        return json.dumps(public_set(OWN)).encode()


class Bench:
    """An issuer; `known` has its key here, `away` at an address."""

    def __init__(self, folder: Path) -> None:
        self.credentials = Credentials(folder / "credentials")
        self.credentials.enrol("known", keys=public_set(OWN))
        self.address = Address()
        self.issuer = Issuer(
            public_url=URL, token_address=ENDPOINT, keys=KeyFile(folder / "keys"), credentials=self.credentials,
            claim_token_id=_first, remote=RemoteKeys(self.address.fetch),
        )  # fmt: skip
        self.issuer.refused_after = AFTER

    def ask(self, client: str, key: dict[str, Any], kid: str, to: str = "token") -> tuple[TokenAnswer, float]:
        async def once() -> tuple[TokenAnswer, float]:
            began = time.monotonic()
            async with asyncio.timeout(HANGS):
                answer: TokenAnswer = await getattr(self.issuer, to)(_form(client, key, kid))
            return answer, time.monotonic() - began

        return asyncio.run(once())


async def _first(_issuer: str, _jti: str, _expires: int) -> bool:
    return True


def _form(client: str, key: dict[str, Any], kid: str) -> Form:
    now = int(time.time())
    claims = {"iss": client, "sub": client, "aud": ENDPOINT, "exp": now + 60, "jti": "one"}
    text = jwt.encode({"alg": "ES384", "kid": kid}, claims, import_key(dict(key)), algorithms=["ES384"])
    kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    fields = {"grant_type": "client_credentials", "client_assertion_type": kind, "client_assertion": text, "token": "x"}
    return Form(urlencode(fields).encode(), ["application/x-www-form-urlencoded"], [])


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.issuer.close()


WAYS = {
    "a client that nobody knows": ("nobody", STRANGER, OWN["kid"]),
    "another's key": ("known", STRANGER, OWN["kid"]),
    "a kid that nobody knows": ("known", STRANGER, STRANGER["kid"]),
    "another's key beside keys at an address": ("away", STRANGER, OWN["kid"]),
    "a kid that the address has to be asked for": ("away", STRANGER, STRANGER["kid"]),
}


@pytest.mark.parametrize("to", ["token", "introspect", "revoke"])
@pytest.mark.parametrize("way", WAYS)
def test_no_refusal_comes_before_the_others(bench: Bench, way: str, to: str) -> None:
    bench.credentials.enrol("away", key_address=KEYS_ADDRESS)
    client, key, kid = WAYS[way]
    answer, took = bench.ask(client, key, kid, to)
    assert answer.status == 401
    assert answer.body == {"error": "invalid_client", "error_description": "client authentication failed"}
    assert took >= AFTER


def test_an_address_that_does_not_answer_makes_no_refusal_later(bench: Bench) -> None:
    bench.credentials.enrol("away", key_address=KEYS_ADDRESS)
    bench.address.hangs = True
    answer, _ = bench.ask("away", OWN, OWN["kid"])  # which comes at all: the address would take an hour
    assert (answer.status, bench.address.asked) == (401, 1)


def test_who_proves_itself_waits_for_nothing(bench: Bench) -> None:
    bench.credentials.enrol("away", key_address=KEYS_ADDRESS)
    bench.issuer.refused_after = 3600.0
    assert [bench.ask(client, OWN, OWN["kid"])[0].status for client in ("known", "away")] == [200, 200]


def test_where_all_keys_are_here_nobody_waits(bench: Bench) -> None:
    bench.issuer.refused_after = 3600.0
    assert bench.ask("nobody", STRANGER, OWN["kid"])[0].status == 401
    bench.credentials.enrol("away", key_address=KEYS_ADDRESS)
    assert bench.credentials.any_at_an_address()
    bench.credentials.revoke("away")
    assert not bench.credentials.any_at_an_address()
    assert bench.ask("away", STRANGER, OWN["kid"])[0].status == 401
