"""Whether the time that a refusal takes tells which clients there are.

`python -m tests.fault.token_timing --count 10000` asks the issuer for tokens with credentials that fail in different
ways, in an order of chance, and compares the processor time of each with that of an unknown client: by how often one
takes longer than the other (the area under the ROC curve; 0.5 says nothing), with its standard error, and by the
difference of the medians. Clients whose keys are at an address, asked each time, are compared by the time that
passes until the answer is there: up to 1,000 of each, since an answer waits. An area is told as a difference where it
is further from 0.5 than four standard errors and than a guess would gain, 0.02. A test runs a few rounds, to see that
it measures; it asserts no time.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import itertools
import json
import math
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import urlencode

from joserfc import jwt
from joserfc.jwk import import_key

from gateway.identity import Credentials, Form, Issuer, KeyFile, RemoteKeys, new_client_key, public_set
from gateway.identity import secret as secrets
from gateway.identity.remote_keys import AGAIN
from tests.bench.machine import machine

URL = "https://exchange.example.org"
ENDPOINT = f"{URL}/$ingest/auth"
KIND = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
FORM = ["application/x-www-form-urlencoded"]
CLIENTS = 20
UNLIKE = 0.02
ERRORS = 4.0
RESULTS = Path(__file__).parent / "token_timing.md"
AFTER = 0.05
"""Until a refusal is answered, here: at the product's own 2 s, 1,000 of each way take hours. Units: seconds."""
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


def _ways_away(keys: list[dict[str, Any]], stranger: Mapping[str, Any]) -> dict[str, list[Form]]:
    """The same for clients whose keys are at an address."""
    away = [f"remote-{number:04d}" for number in range(CLIENTS)]
    nobody = [f"nobody-{number:04d}" for number in range(CLIENTS)]
    return {
        "unknown client": [_assertion(one, stranger, key["kid"]) for one, key in zip(nobody, keys, strict=True)],
        "wrong key, keys at an address": [
            _assertion(one, stranger, key["kid"]) for one, key in zip(away, keys, strict=True)
        ],
        "unknown kid, keys at an address": [_assertion(one, stranger, stranger["kid"]) for one in away],
    }


async def _times(
    issuer: Issuer, ways: Mapping[str, list[Form]], count: int, chance: random.Random,
    clock: Callable[[], int] = time.process_time_ns,
) -> dict[str, list[int]]:  # fmt: skip
    order = [way for way in ways for _ in range(count)]
    chance.shuffle(order)
    taken: dict[str, list[int]] = {way: [] for way in ways}
    for way in ways:  # what is made at the first use is made before
        for form in ways[way]:
            await issuer.token(form)
    for way in order:
        form = chance.choice(ways[way])
        began = clock()
        answer = await issuer.token(form)
        taken[way].append(clock() - began)
        if answer.status != 401:
            raise RuntimeError(f"{way}: {answer.status} {answer.reason}")
    return taken


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


def measured_away(folder: Path, count: int, seed: int) -> list[Compared]:
    """Compare the ways to fail of clients whose keys are at an address, each tried up to 1,000 times."""
    chance = random.Random(seed)  # noqa: S311 - an order of requests
    keys, stranger = [new_client_key() for _ in range(CLIENTS)], new_client_key()
    credentials = Credentials(folder / "credentials")
    at: dict[str, bytes] = {}
    for number, key in enumerate(keys):
        address = f"https://remote-{number:04d}.example.org/jwks.json"
        at[address] = json.dumps(public_set(key)).encode()
        credentials.enrol(f"remote-{number:04d}", key_address=address)
    later = itertools.count(0, 2 * AGAIN)

    async def fetch(address: str) -> bytes:
        await asyncio.sleep(chance.uniform(0.0, 2 * AFTER))  # some answer too late
        return at[address]

    issuer = Issuer(
        public_url=URL, token_address=ENDPOINT, keys=KeyFile(folder / "keys"), credentials=credentials,
        claim_token_id=_never_used, remote=RemoteKeys(fetch, clock=lambda: next(later)),
    )  # fmt: skip
    issuer.refused_after = AFTER
    ways = _ways_away(keys, stranger)
    try:
        taken = asyncio.run(_times(issuer, ways, min(count, 1000), chance, time.perf_counter_ns))
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


def main() -> None:
    """Run, print, and write the results; exit status 1 where a time tells."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=20261123)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measured(Path(folder) / "here", options.count, options.seed)
        found += measured_away(Path(folder) / "away", options.count, options.seed)
    text = "\n".join([
        "# Timing of refusals", "", "Written by `python -m tests.fault.token_timing`.", "", f"Machine: {machine()}", "",
        shown(found, options.count),
    ])  # fmt: skip
    RESULTS.write_text(text + "\n", "utf-8")
    print(text)  # noqa: T201 - the figures are what this command is for
    if any(one.tells for one in found):
        sys.exit(1)


if __name__ == "__main__":
    main()
