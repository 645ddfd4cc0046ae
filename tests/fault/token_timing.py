"""Whether the time that a refusal takes tells which clients there are.

`python -m tests.fault.token_timing --count 10000` asks the issuer for tokens with credentials that fail in different
ways, in an order of chance, and compares the processor time of each with that of an unknown client: by how often one
takes longer than the other (the area under the ROC curve; 0.5 says nothing), with its standard error, and by the
difference of the medians. Clients whose keys are at an address, asked nearly each time, are compared by the time that
passes until the answer is there: 2 s, as the product has it, so some hundreds are asked for at once. An area is told as
a difference where it is further from 0.5 than four standard errors and than a guess would gain, 0.02. It is also a
fault run (`python -m tests.fault --only timing`). A test runs a few rounds, to see that it measures; it asserts no
time.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import math
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import urlencode

from joserfc import jwt
from joserfc.jwk import import_key

from gateway.identity import Credentials, Form, Issuer, KeyFile, RemoteKeys, new_client_key, public_set
from gateway.identity import secret as secrets
from gateway.identity.issuer import REFUSED_AFTER
from gateway.identity.remote_keys import AGAIN
from tests.bench.machine import machine
from tests.fault.scenario import Counts, Scenario

URL = "https://exchange.example.org"
ENDPOINT = f"{URL}/$ingest/auth"
KIND = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
FORM = ["application/x-www-form-urlencoded"]
REFUSED = 401
CLIENTS = 20
UNLIKE = 0.02
ERRORS = 4.0
RESULTS = Path(__file__).parent / "token_timing.md"
AT_ONCE = 300
"""Requests under way at a time, where each waits."""
AWAY = 1000
"""Clients whose keys are at an address: so many, since an address is asked again after a while alone."""
SECRET_COST = 2**8
"""Of scrypt, here: at the product's own, 10,000 refusals take half an hour, and hide more."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One way to fail beside that of an unknown client.

    Units: medians and their difference in microseconds, of what `of` says.
    """

    way: str
    base: str
    area: float
    error: float
    median: float
    difference: float
    of: str = "processor time"

    @property
    def tells(self) -> bool:
        """Whether somebody who measures could tell the two apart."""
        return abs(self.area - 0.5) > max(ERRORS * self.error, UNLIKE)


async def _never_used(_issuer: str, _jti: str, _expires: int) -> bool:
    return True


def _assertion(client: str, key: Mapping[str, Any], kid: str) -> Form:
    now = int(time.time())
    claims = {"iss": client, "sub": client, "aud": ENDPOINT, "exp": now + 250, "iat": now, "jti": "always-the-same-one"}
    text = jwt.encode({"alg": "ES384", "kid": kid}, claims, import_key(dict(key)), algorithms=["ES384"])
    fields = {"grant_type": "client_credentials", "client_assertion_type": KIND, "client_assertion": text}
    return Form(urlencode(fields).encode(), FORM, [])


def _basic(client: str, secret: str) -> Form:
    header = "Basic " + base64.b64encode(f"{client}:{secret}".encode()).decode()
    return Form(b"grant_type=client_credentials", FORM, [header])


def _ways(keys: list[dict[str, Any]], stranger: Mapping[str, Any], chance: random.Random) -> dict[str, list[Form]]:
    """Requests that fail, by the way that they do; names of clients are of one length."""
    known = [f"client-{number:04d}" for number in range(CLIENTS)]
    nobody = [f"nobody-{number:04d}" for number in range(CLIENTS)]
    return {
        "unknown client": [_assertion(one, stranger, key["kid"]) for one, key in zip(nobody, keys, strict=True)],
        "wrong key": [_assertion(one, stranger, key["kid"]) for one, key in zip(known, keys, strict=True)],
        "unknown kid": [_assertion(one, stranger, stranger["kid"]) for one in known],
        "unknown client, secret": [_basic(one, f"{chance.getrandbits(128):032x}") for one in nobody],
        "wrong secret": [_basic(one, f"{chance.getrandbits(128):032x}") for one in known],
    }


def _ways_away(keys: list[dict[str, Any]], stranger: Mapping[str, Any], clients: int) -> dict[str, list[Form]]:
    """The same for clients whose keys are at an address."""
    kids = [keys[number % len(keys)]["kid"] for number in range(clients)]
    away = [f"remote-{number:04d}" for number in range(clients)]
    nobody = [f"nobody-{number:04d}" for number in range(clients)]
    return {
        "unknown client": [_assertion(one, stranger, kid) for one, kid in zip(nobody, kids, strict=True)],
        "wrong key, keys at an address": [_assertion(one, stranger, kid) for one, kid in zip(away, kids, strict=True)],
        "unknown kid, keys at an address": [_assertion(one, stranger, stranger["kid"]) for one in away],
    }


async def _times(
    issuer: Issuer, ways: Mapping[str, list[Form]], count: int, chance: random.Random
) -> dict[str, list[int]]:
    """Processor time of each refusal, one after the other. Units: nanoseconds."""
    taken: dict[str, list[int]] = {way: [] for way in ways}
    for way in ways:  # what is made at the first use is made before
        for form in ways[way]:
            await issuer.token(form)
    for way in _shuffled(ways, count, chance):
        taken[way].append(await _refusal(issuer, way, chance.choice(ways[way]), time.process_time_ns))
    return taken


async def _times_away(
    issuer: Issuer, ways: Mapping[str, list[Form]], count: int, chance: random.Random, at_once: int
) -> dict[str, list[int]]:
    """Time of each refusal until it is there, with so many under way. Units: nanoseconds."""
    taken: dict[str, list[int]] = {way: [] for way in ways}
    more = iter(_shuffled(ways, count, chance))

    async def client() -> None:
        await asyncio.sleep(chance.uniform(0, issuer.refused_after))  # else they would all come together, each time
        for way in more:
            taken[way].append(await _refusal(issuer, way, chance.choice(ways[way]), time.perf_counter_ns))

    await asyncio.gather(*(client() for _ in range(at_once)))
    return taken


def _shuffled(ways: Iterable[str], count: int, chance: random.Random) -> list[str]:
    order = [way for way in ways for _ in range(count)]
    chance.shuffle(order)
    return order


async def _refusal(issuer: Issuer, way: str, form: Form, clock: Callable[[], int]) -> int:
    """What one takes. Errors: RuntimeError where it is none."""
    began = clock()
    answer = await issuer.token(form)
    took = clock() - began
    if answer.status != REFUSED:
        raise RuntimeError(f"{way}: {answer.status} {answer.reason}")
    return took


def _area(these: list[int], those: list[int]) -> float:
    """How often one of these is larger than one of those; an equal pair counts half. Source: Mann and Whitney, 1947."""
    both = sorted([(value, 0) for value in those] + [(value, 1) for value in these])
    below = wins = place = 0
    while place < len(both):
        until = place
        while until < len(both) and both[until][0] == both[place][0]:
            until += 1
        mine = sum(which for _, which in both[place:until])
        others = until - place - mine
        wins += mine * (2 * below + others)
        below += others
        place = until
    return wins / (2 * len(these) * len(those))


def measured(folder: Path, count: int, seed: int) -> list[Compared]:
    """Compare the ways to fail, each tried `count` times."""
    chance = random.Random(seed)  # noqa: S311 - an order of requests
    keys, stranger = [new_client_key() for _ in range(CLIENTS)], new_client_key()
    credentials = Credentials(folder / "credentials")
    with patch.object(secrets, "COST", SECRET_COST), patch.object(secrets, "_NOBODY", _nobody()):
        for number, key in enumerate(keys):
            credentials.enrol(f"client-{number:04d}", keys=public_set(key), secret=f"{chance.getrandbits(128):032x}")
        issuer = Issuer(
            public_url=URL, token_address=ENDPOINT, keys=KeyFile(folder / "keys"), credentials=credentials,
            claim_token_id=_never_used, secret_basic=True,
        )  # fmt: skip
        try:
            taken = asyncio.run(_times(issuer, _ways(keys, stranger, chance), count, chance))
        finally:
            issuer.close()
    pairs = [
        ("unknown client", "wrong key"),
        ("unknown client", "unknown kid"),
        ("unknown client, secret", "wrong secret"),
    ]
    return [_compared(base, way, taken) for base, way in pairs]


def measured_away(
    folder: Path, count: int, seed: int, *, after: float = REFUSED_AFTER, at_once: int = AT_ONCE, clients: int = AWAY
) -> list[Compared]:
    """Compare the ways to fail of clients whose keys are at an address, each tried `count` times.

    Shape: so many are under way `at_once`, of so many `clients`. Units: a refusal is answered `after` so many seconds.
    """
    chance = random.Random(seed)  # noqa: S311 - an order of requests
    keys, stranger = [new_client_key() for _ in range(CLIENTS)], new_client_key()
    credentials = Credentials(folder / "credentials")
    at: dict[str, bytes] = {}
    for number in range(clients):
        address = f"https://remote-{number:04d}.example.org/jwks.json"
        at[address] = json.dumps(public_set(keys[number % CLIENTS])).encode()
        credentials.enrol(f"remote-{number:04d}", key_address=address)

    async def fetch(address: str) -> bytes:
        await asyncio.sleep(chance.uniform(0.0, 2 * after))  # some answer too late
        return at[address]

    issuer = Issuer(
        public_url=URL, token_address=ENDPOINT, keys=KeyFile(folder / "keys"), credentials=credentials,
        claim_token_id=_never_used, remote=RemoteKeys(fetch, clock=lambda: time.monotonic() * AGAIN / (2 * after)),
    )  # fmt: skip
    issuer.refused_after = after
    ways = _ways_away(keys, stranger, clients)
    try:
        taken = asyncio.run(_times_away(issuer, ways, count, chance, at_once))
    finally:
        issuer.close()
    base, *others = ways
    return [replace(_compared(base, way, taken), of="time") for way in others]


def _nobody() -> secrets.SecretHash:
    return secrets.SecretHash(SECRET_COST, secrets.BLOCK, secrets.LANES, bytes(secrets.SALT_BYTES), bytes(32))


def _compared(base: str, way: str, taken: Mapping[str, list[int]]) -> Compared:
    these, those = taken[way], taken[base]
    error = math.sqrt((len(these) + len(those) + 1) / (12 * len(these) * len(those)))
    median, other = statistics.median(these) / 1000, statistics.median(those) / 1000
    return Compared(way, base, _area(these, those), error, median, median - other)


def shown(found: list[Compared], count: int) -> str:
    """The figures as a table."""
    rows = [
        f"| {one.way} beside {one.base} | {one.area:.3f} ± {one.error:.3f} | {one.median:.0f} | "
        f"{one.difference:+.1f} | {one.of} | {'yes' if one.tells else 'no'} |"
        for one in found
    ]
    return "\n".join([
        f"## Refusals of the token endpoint, {count} each", "",
        "| refusal | takes longer in | median, µs | difference, µs | of | tells |",
        "|---|---|---|---|---|---|",
        *rows,
    ])  # fmt: skip


def compared(folder: Path, count: int, seed: int) -> list[Compared]:
    """All ways, each tried `count` times."""
    return [*measured(folder / "here", count, seed), *measured_away(folder / "away", count, seed)]


def counted(found: Iterable[Compared], count: int) -> Counts:
    """What a fault run tells of them."""
    listed = list(found)
    return {
        "refusals of each kind": count,
        "kinds compared with an unknown client": len(listed),
        "told apart": sum(one.tells for one in listed),
    }


def run(folder: Path, times: int, seed: int) -> Counts:
    """Compare all ways so often, write the figures, and count."""
    found = compared(folder, times, seed)
    _write(found, times)
    return counted(found, times)


SCENARIO = Scenario(
    "Refusals of the token endpoint by the time that they take (figures in token_timing.md)", run, 1000, 10_000,
    ("told apart",), ("refusals of each kind", "kinds compared with an unknown client"),
)  # fmt: skip


def _write(found: list[Compared], count: int) -> str:
    text = "\n".join([
        "# Timing of refusals", "", "Written by `python -m tests.fault.token_timing`.", "", f"Machine: {machine()}", "",
        shown(found, count),
    ])  # fmt: skip
    RESULTS.write_text(text + "\n", "utf-8")
    return text


def main() -> None:
    """Run, print, and write the results; exit status 1 where a time tells."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=20261123)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = compared(Path(folder), options.count, options.seed)
    print(_write(found, options.count))  # noqa: T201 - the figures are what this command is for
    if any(one.tells for one in found):
        sys.exit(1)


if __name__ == "__main__":
    main()
