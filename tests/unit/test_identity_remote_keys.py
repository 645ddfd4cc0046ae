"""Key sets at addresses: when they are asked for, how long they count, and which keys of them do."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from joserfc.jwk import ECKey, RSAKey

from gateway.identity import RemoteKeys, new_client_key, public_set
from gateway.identity.remote_keys import AGAIN, FRESH, STALE

ADDRESS = "https://id.example.org/keys"
FIRST, SECOND = new_client_key("ES384"), new_client_key("ES384")


@dataclass
class Place:
    """An address whose answer can be changed, and which counts how often it is asked; `now` is the clock."""

    body: bytes | Exception
    asked: int = 0
    now: float = 1000.0
    slow: asyncio.Event | None = None
    seen: list[str] = field(default_factory=list)

    async def fetch(self, address: str) -> bytes:
        self.asked += 1
        self.seen.append(address)
        if self.slow is not None:
            await self.slow.wait()
        if isinstance(self.body, Exception):
            raise self.body
        return self.body


def keys(*jwks: dict[str, Any]) -> bytes:
    return json.dumps(public_set(*jwks)).encode()


@pytest.fixture
def place() -> Place:
    return Place(keys(FIRST))


@pytest.fixture
def remote(place: Place) -> RemoteKeys:
    return RemoteKeys(place.fetch, clock=lambda: place.now)


def kids(remote: RemoteKeys, kid: str) -> list[str]:
    return [key.kid for key in asyncio.run(remote.client_keys(ADDRESS, kid))]


def test_a_set_is_asked_for_once_while_it_is_fresh(remote: RemoteKeys, place: Place) -> None:
    for _ in range(3):
        assert kids(remote, FIRST["kid"]) == [FIRST["kid"]]
    assert place.seen == [ADDRESS]
    place.now += FRESH + 1
    kids(remote, FIRST["kid"])
    assert place.asked == 2


def test_an_unknown_key_is_asked_for_at_most_once_in_30_s(remote: RemoteKeys, place: Place) -> None:
    kids(remote, FIRST["kid"])
    for _ in range(50):
        assert SECOND["kid"] not in kids(remote, SECOND["kid"])
    assert place.asked == 1, "it was asked a moment ago"
    place.body = keys(SECOND, FIRST)
    place.now += AGAIN + 1
    assert SECOND["kid"] in kids(remote, SECOND["kid"])
    place.now += 1
    for number in range(50):
        kids(remote, f"made-up-{number}")
    assert place.asked == 2


def test_where_the_address_is_down_its_last_keys_go_on_for_an_hour(remote: RemoteKeys, place: Place) -> None:
    kids(remote, FIRST["kid"])
    place.body = httpx.ConnectError("down")
    for _ in range(10):
        place.now += (STALE - 10) / 10
        assert kids(remote, FIRST["kid"]) == [FIRST["kid"]]
        assert remote.holds(ADDRESS, FIRST["kid"])
    place.now += 20
    assert kids(remote, FIRST["kid"]) == []
    assert not remote.holds(ADDRESS, FIRST["kid"])
    place.body = keys(FIRST)
    place.now += AGAIN + 1
    assert kids(remote, FIRST["kid"]) == [FIRST["kid"]]


def test_a_key_that_left_the_set_counts_no_more(remote: RemoteKeys, place: Place) -> None:
    assert asyncio.run(remote.issuer_key(ADDRESS, FIRST["kid"])) is not None
    place.body = keys(SECOND)
    place.now += FRESH + 1
    assert asyncio.run(remote.issuer_key(ADDRESS, FIRST["kid"])) is None
    assert not remote.holds(ADDRESS, FIRST["kid"])


def test_those_who_wait_ask_once(place: Place) -> None:
    async def many() -> list[int]:
        place.slow = asyncio.Event()
        remote = RemoteKeys(place.fetch, clock=lambda: place.now)
        asking = [asyncio.create_task(remote.client_keys(ADDRESS, FIRST["kid"])) for _ in range(20)]
        await asyncio.sleep(0)
        place.slow.set()
        return [len(found) for found in await asyncio.gather(*asking)]

    assert asyncio.run(many()) == [1] * 20
    assert place.asked == 1


def test_a_slow_answer_holds_nobody_up_whose_key_is_known(remote: RemoteKeys, place: Place) -> None:
    async def two() -> bool:
        await remote.client_keys(ADDRESS, FIRST["kid"])
        place.now += AGAIN + 1
        place.slow = asyncio.Event()
        stuck = asyncio.create_task(remote.client_keys(ADDRESS, "made-up"))
        await asyncio.sleep(0)
        async with asyncio.timeout(60):
            found = await remote.client_keys(ADDRESS, FIRST["kid"])
        waiting = not stuck.done()
        place.slow.set()
        await stuck
        return waiting and len(found) == 1

    assert asyncio.run(two())


USELESS: dict[str, bytes | Exception] = {
    "not JSON": b"<html>",
    "no list": b'{"keys": {}}',
    "no keys": b"{}",
    "too many": json.dumps({"keys": [{"kid": str(number)} for number in range(51)]}).encode(),
    "twice a member": b'{"keys": [], "keys": []}',
    "down": httpx.ConnectError("down"),
    "slow": TimeoutError(),
    "an error's page": ValueError("it answers 500"),
}


@pytest.mark.parametrize("case", USELESS)
def test_an_answer_of_no_use_leaves_what_was_known(remote: RemoteKeys, place: Place, case: str) -> None:
    kids(remote, FIRST["kid"])
    place.body = USELESS[case]
    place.now += FRESH + 1
    assert kids(remote, FIRST["kid"]) == [FIRST["kid"]]
    assert place.asked == 2


RSA = RSAKey.generate_key(2048).as_dict(private=False)
EC = ECKey.generate_key("P-256").as_dict(private=False)
NO_KEYS: dict[str, dict[str, Any]] = {
    "for encryption": {**RSA, "use": "enc"},
    "symmetric": {"kty": "oct", "k": "AAAA"},
    "private": dict(ECKey.generate_key("P-256").as_dict(private=True)),
    "short": {**RSA, "n": RSA["n"][:100]},
    "another exponent": {**RSA, "e": "Aw"},
    "no point of the curve": {**EC, "x": EC["y"]},
    "a curve that is none": {**EC, "crv": "P-999"},
    "parts missing": {"kty": "EC", "crv": "P-256"},
    "a number for a part": {**RSA, "n": 5},
    "no kind": {"x": "AA"},
}


@pytest.mark.parametrize("case", NO_KEYS)
def test_a_set_may_hold_what_verifies_nothing(remote: RemoteKeys, place: Place, case: str) -> None:
    place.body = json.dumps({"keys": [{**NO_KEYS[case], "kid": "bad"}, {**RSA, "kid": "good"}]}).encode()
    assert asyncio.run(remote.issuer_key(ADDRESS, "bad")) is None
    assert asyncio.run(remote.issuer_key(ADDRESS, "good")) is not None


def test_two_keys_of_one_name_are_none(remote: RemoteKeys, place: Place) -> None:
    place.body = json.dumps({"keys": [{**RSA, "kid": "same"}, {**EC, "kid": "same"}]}).encode()
    assert asyncio.run(remote.issuer_key(ADDRESS, "same")) is None


def test_of_a_clients_set_the_keys_count_that_could_be_enrolled(remote: RemoteKeys, place: Place) -> None:
    place.body = json.dumps(
        {"keys": [{**EC, "kid": "p256"}, {**RSA, "kid": "enc", "use": "enc"}, *public_set(FIRST)["keys"]]}
    ).encode()
    assert kids(remote, FIRST["kid"]) == [FIRST["kid"]]


def test_who_can_not_wait_goes_on_with_what_was_told_and_the_question_is_not_lost(
    remote: RemoteKeys, place: Place
) -> None:
    async def two() -> list[list[str]]:
        known = [key.kid for key in await remote.client_keys(ADDRESS, FIRST["kid"], within=10)]
        place.now += AGAIN + 1
        place.slow, place.body = asyncio.Event(), keys(FIRST, SECOND)
        early = [key.kid for key in await remote.client_keys(ADDRESS, SECOND["kid"], within=0.01)]
        place.slow.set()
        async with asyncio.timeout(60):
            late = [key.kid for key in await remote.client_keys(ADDRESS, SECOND["kid"], within=10)]
        return [known, early, late]

    assert asyncio.run(two()) == [[FIRST["kid"]], [FIRST["kid"]], [FIRST["kid"], SECOND["kid"]]]
    assert place.asked == 2
