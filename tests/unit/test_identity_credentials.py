"""Enrolments: what is taken, what is refused, what is on disk, and when a running gateway sees it."""

from __future__ import annotations

import base64
import json
import logging
import stat
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from joserfc.jwk import ECKey, OKPKey

from gateway.identity import BadKeys, BadSecret, Credentials, CredentialsError, new_client_key, new_secret, public_set
from gateway.identity import secret as secrets
from gateway.identity.private_file import create_private, only_writer, write_private
from gateway.identity.secret import COST, LONGEST, SHORTEST, hash_secret, matches
from tests.running import cheap_secrets

SECRET = "correct-horse-battery-staple"


@pytest.fixture(autouse=True)
def cheap() -> Iterator[None]:
    with cheap_secrets():
        yield


@pytest.fixture
def credentials(tmp_path: Path) -> Credentials:
    return Credentials(tmp_path / "credentials", clock=lambda: 1_800_000_000.9)


@pytest.fixture(scope="module")
def jwks() -> dict[str, Any]:
    return public_set(new_client_key("ES384"), new_client_key("RS384"))


def test_nobody_is_enrolled_at_first(credentials: Credentials) -> None:
    assert credentials.find("demo-engine") is None
    assert credentials.list() == ()
    assert not credentials.folder.exists()


def test_a_key_set_is_kept_with_its_public_part_alone(credentials: Credentials, jwks: dict[str, Any]) -> None:
    jwks["keys"][0]["comment"] = "ours"
    enrolment = credentials.enrol("demo-engine", keys=jwks)
    found = credentials.find("demo-engine")
    assert found is not None
    assert [key.kid for key in found.keys] == [key["kid"] for key in jwks["keys"]]
    assert found.since == 1_800_000_000
    assert found.enrolled == enrolment.enrolled == "2027-01-15T08:00:00+00:00"
    assert found.secret is None
    record = json.loads((credentials.folder / "demo-engine.json").read_text())
    assert set(record["jwks"]["keys"][0]) == {"kty", "crv", "x", "y", "kid", "alg"}
    assert record["jwks_uri"] is None
    assert record["certificates"] == []


def test_a_key_is_found_by_kid_and_algorithm(credentials: Credentials) -> None:
    jwks = public_set(new_client_key("RS512"), new_client_key("ES384"))
    kid, curve = (key["kid"] for key in jwks["keys"])
    enrolment = credentials.enrol("demo-engine", keys=json.dumps(jwks).encode())
    assert enrolment.key(kid, "RS512") is not None
    assert enrolment.key(kid, "RS384") is None
    assert enrolment.key(kid, "ES384") is None
    assert enrolment.key(curve, "ES384") is not None
    assert enrolment.key("another", "ES384") is None
    del jwks["keys"][0]["alg"]
    assert credentials.enrol("demo-engine", keys=jwks).key(kid, "RS384") is not None


def test_files_are_for_their_owner_alone(credentials: Credentials) -> None:
    credentials.enrol("demo-engine", secret=SECRET)
    assert stat.S_IMODE(credentials.folder.stat().st_mode) == 0o700
    for file in credentials.folder.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file.name
    assert {file.name for file in credentials.folder.iterdir()} == {"demo-engine.json", ".lock"}


def test_a_secret_is_never_on_disk(credentials: Credentials) -> None:
    enrolment = credentials.enrol("demo-engine", secret=SECRET)
    kept = (credentials.folder / "demo-engine.json").read_bytes()
    assert SECRET.encode() not in kept
    assert base64.b64encode(SECRET.encode()) not in kept
    assert matches(enrolment.secret, SECRET)
    found = credentials.find("demo-engine")
    assert found is not None
    assert matches(found.secret, SECRET)
    assert not matches(found.secret, SECRET + "x")


def test_another_kind_of_credential_leaves_the_first(credentials: Credentials, jwks: dict[str, Any]) -> None:
    credentials.enrol("demo-engine", keys=jwks)
    both = credentials.enrol("demo-engine", secret=SECRET)
    assert both.keys
    assert both.secret
    other = public_set(new_client_key())
    rotated = credentials.enrol("demo-engine", keys=other)
    assert [key.kid for key in rotated.keys] == [other["keys"][0]["kid"]]
    assert rotated.secret == both.secret


def test_a_revocation_ends_everything_and_is_remembered(credentials: Credentials, jwks: dict[str, Any]) -> None:
    credentials.enrol("demo-engine", keys=jwks, secret=SECRET)
    gone = credentials.revoke("demo-engine")
    assert gone.revoked == "2027-01-15T08:00:00+00:00"
    assert credentials.find("demo-engine") is None
    assert credentials.list() == (gone,)
    assert gone.keys == ()
    assert gone.secret is None
    with pytest.raises(CredentialsError, match="demo-engine is not enrolled"):
        credentials.revoke("demo-engine")
    with pytest.raises(CredentialsError, match="not enrolled"):
        credentials.revoke("../demo-engine")


def test_an_enrolment_after_a_revocation_begins_anew(tmp_path: Path, jwks: dict[str, Any]) -> None:
    now = 1_800_000_000.0
    credentials = Credentials(tmp_path, clock=lambda: now)
    credentials.enrol("demo-engine", secret=SECRET)
    now += 50
    assert credentials.enrol("demo-engine", keys=jwks).since == 1_800_000_000
    credentials.revoke("demo-engine")
    now += 50
    again = credentials.enrol("demo-engine", keys=jwks)
    assert again.since == 1_800_000_100
    assert again.secret is None
    assert again.revoked is None


def test_a_running_gateway_sees_what_another_process_writes(credentials: Credentials) -> None:
    running = Credentials(credentials.folder)
    assert running.find("demo-engine") is None
    credentials.enrol("demo-engine", secret=SECRET)
    seen = running.find("demo-engine")
    assert seen is not None
    assert running.find("demo-engine") is seen  # not read again while the file is the same
    credentials.revoke("demo-engine")
    assert running.find("demo-engine") is None
    credentials.enrol("demo-engine", secret=SECRET)
    assert running.find("demo-engine") is not None
    (credentials.folder / "demo-engine.json").unlink()
    assert running.find("demo-engine") is None


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "-x", "a b", "a\n", "x" * 65, "\u00e4", ".lock"])
def test_names_that_could_leave_the_folder_are_refused(credentials: Credentials, name: str) -> None:
    with pytest.raises(CredentialsError, match="name"):
        credentials.enrol(name, secret=SECRET)
    assert credentials.find(name) is None


def test_an_enrolment_needs_a_credential(credentials: Credentials) -> None:
    with pytest.raises(CredentialsError, match="needs a key set or a secret"):
        credentials.enrol("demo-engine")


def edited(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def edit(file: Path) -> None:
        record = json.loads(file.read_text())
        change(record)
        file.write_text(json.dumps(record))

    return edit


def a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


BROKEN: dict[str, Callable[[Path], object]] = {
    "cut": lambda file: file.write_bytes(file.read_bytes()[:-20]),
    "empty": lambda file: file.write_bytes(b""),
    "a folder": a_folder,
    "of a later version": edited(lambda record: record.update(version=2)),
    "without since": edited(lambda record: record.pop("since")),
    "with a private key": edited(lambda record: record["jwks"]["keys"].append(new_client_key())),
    "with another scheme": edited(lambda record: record["secret"].update(scheme="md5")),
    "with a salt that is not base64": edited(lambda record: record["secret"].update(salt="?")),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_file_that_cannot_be_read_lets_nobody_in_and_is_logged_once(
    credentials: Credentials, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    credentials.enrol("demo-engine", secret=SECRET)
    BROKEN[fault](credentials.folder / "demo-engine.json")
    with caplog.at_level(logging.ERROR):
        assert credentials.find("demo-engine") is None
        assert credentials.find("demo-engine") is None
    assert len(caplog.records) == 1
    assert "demo-engine.json" in caplog.text
    with pytest.raises(CredentialsError, match=r"demo-engine\.json"):
        credentials.list()
    with pytest.raises(CredentialsError, match=r"demo-engine\.json"):
        credentials.revoke("demo-engine")


def test_a_file_of_another_principal_lets_nobody_in(credentials: Credentials) -> None:
    # what a file system that ignores letter case does with `DEMO-ENGINE`
    credentials.enrol("demo-engine", secret=SECRET)
    (credentials.folder / "demo-engine.json").rename(credentials.folder / "DEMO-ENGINE.json")
    assert credentials.find("DEMO-ENGINE") is None


def test_concurrent_enrolments_lose_none(credentials: Credentials) -> None:
    jwks = public_set(new_client_key())
    threads = [
        threading.Thread(target=credentials.enrol, args=("demo-engine",), kwargs=given)
        for given in ({"keys": jwks}, {"secret": SECRET})
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = credentials.find("demo-engine")
    assert found is not None
    assert found.keys
    assert found.secret


# --- key sets -------------------------------------------------------------------------------------------------------


def ec_key(**changes: Any) -> dict[str, Any]:
    key = public_set(new_client_key())["keys"][0] | {"kid": "one"} | changes
    return {name: value for name, value in key.items() if value is not None}


def rsa_key(bits: int = 2048, exponent: str = "AQAB", **changes: Any) -> dict[str, Any]:
    modulus = (1 << (bits - 1)) + 1  # never checked by a signature here
    raw = modulus.to_bytes((bits + 7) // 8, "big")
    n = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
    return {"kty": "RSA", "kid": "one", "n": n, "e": exponent} | changes


BAD_SETS: dict[str, tuple[object, str]] = {
    "empty object": ({}, "no list `keys`"),
    "no keys": ({"keys": []}, "no list `keys`"),
    "keys not a list": ({"keys": {}}, "no list `keys`"),
    "a single key": (ec_key(), "this is a single key"),
    "a key not an object": ({"keys": ["x"]}, "key 1 is not a JSON object"),
    "too many": ({"keys": [ec_key(kid=str(i)) for i in range(21)]}, "has 21 keys"),
    "kid missing": ({"keys": [ec_key(kid=None)]}, "key 1 has no kid"),
    "kid empty": ({"keys": [ec_key(kid="")]}, "key 1 has no kid"),
    "kid not text": ({"keys": [ec_key(kid=1)]}, "key 1 has no kid"),
    "kid with a line break": ({"keys": [ec_key(kid="a\nb")]}, "key 1 has no kid"),
    "kid twice": ({"keys": [ec_key(), rsa_key()]}, "kid `one` stands twice"),
    "private EC": ({"keys": [new_client_key() | {"kid": "one"}]}, "holds a private or symmetric key"),
    "private RSA": ({"keys": [rsa_key(d="AQAB")]}, "holds a private or symmetric key"),
    "symmetric": ({"keys": [{"kty": "oct", "kid": "one", "k": "AAAA"}]}, "holds a private or symmetric key"),
    "Ed25519": (
        {"keys": [{**OKPKey.generate_key("Ed25519").as_dict(private=False), "kid": "one"}]}, "kty that can't be used",
    ),
    "kty missing": ({"keys": [ec_key(kty=None)]}, "kty that can't be used"),
    "kty a list": ({"keys": [ec_key(kty=["EC"])]}, "kty that can't be used"),
    "alg a list": ({"keys": [ec_key(alg=["ES384"])]}, "alg that is not taken"),
    "use a list": ({"keys": [ec_key(use=["sig"])]}, "not for signatures"),
    "P-256": (
        {"keys": [{**ECKey.generate_key("P-256").as_dict(private=False), "kid": "one"}]}, "ES384 needs P-384",
    ),
    "P-521": (
        {"keys": [{**ECKey.generate_key("P-521").as_dict(private=False), "kid": "one"}]}, "ES384 needs P-384",
    ),
    "a point off the curve": ({"keys": [ec_key(y=ec_key()["y"])]}, "is not a valid EC key"),
    "a coordinate that is not base64": ({"keys": [ec_key(x="?")]}, "is not a valid EC key"),
    "a coordinate missing": ({"keys": [ec_key(x=None)]}, "lacks x"),
    "RSA of 1024 bits": ({"keys": [rsa_key(1024)]}, "has 1024 bits"),
    "RSA of 2047 bits": ({"keys": [rsa_key(2047)]}, "has 2047 bits"),
    "RSA of 16384 bits": ({"keys": [rsa_key(16384)]}, "has 16384 bits"),
    "RSA exponent 1": ({"keys": [rsa_key(exponent="AQ")]}, "unusual exponent"),
    "RSA exponent 3": ({"keys": [rsa_key(exponent="Aw")]}, "unusual exponent"),
    "RSA modulus not base64": ({"keys": [rsa_key(n="!")]}, "is not base64url"),
    "RSA modulus even": ({"keys": [rsa_key(n=rsa_key()["n"][:-1] + "A")]}, "is not a valid RSA key"),
    "RSA modulus missing": ({"keys": [{"kty": "RSA", "kid": "one", "e": "AQAB"}]}, "lacks n"),
    "for encryption": ({"keys": [ec_key(use="enc")]}, "not for signatures"),
    "for signing alone": ({"keys": [ec_key(key_ops=["sign"])]}, "not for verifying"),
    "key_ops not a list": ({"keys": [ec_key(key_ops="verify")]}, "not for verifying"),
    "alg ES256": ({"keys": [ec_key(alg="ES256")]}, "alg that is not taken for EC; ES384 is"),
    "alg RS256": ({"keys": [rsa_key(alg="RS256")]}, "alg that is not taken for RSA; RS384 or RS512 is"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_SETS)
def test_bad_key_sets_are_refused_in_words(credentials: Credentials, case: str) -> None:
    offered, words = BAD_SETS[case]
    with pytest.raises(BadKeys) as caught:
        credentials.enrol("demo-engine", keys=json.dumps(offered).encode())
    assert words in str(caught.value)
    assert credentials.find("demo-engine") is None


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n", "this is a PEM file"),
        (b"not json", "it is not JSON"),
        (b"[]", "it is not a JSON object"),
        (b'{"keys": [], "keys": []}', "a member stands twice"),
        (b'{"keys": NaN}', "a number is not finite"),
        (b"\xff", "it is not UTF-8"),
        (b"[" * 100_000, "it is nested too deeply"),
    ],
)
def test_files_that_are_no_key_set_are_refused_in_words(credentials: Credentials, raw: bytes, words: str) -> None:
    with pytest.raises(BadKeys, match=words):
        credentials.enrol("demo-engine", keys=raw)


def test_usual_members_of_a_key_are_taken(credentials: Credentials) -> None:
    enrolment = credentials.enrol("demo-engine", keys={"keys": [ec_key(use="sig", key_ops=["verify"], x5c=["AA"])]})
    assert enrolment.keys[0].algorithms == {"ES384"}


# --- secrets --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "secret", ["", "x" * (SHORTEST - 1), "x" * (LONGEST + 1), "with space in the", "x" * 16 + "%", "x" * 16 + "\n"]
)
def test_bad_secrets_are_refused_and_not_repeated(credentials: Credentials, secret: str) -> None:
    with pytest.raises(BadSecret) as caught:
        credentials.enrol("demo-engine", secret=secret)
    assert "16 to 128 characters" in str(caught.value)
    assert not secret or secret not in str(caught.value)


def test_a_new_secret_can_be_enrolled(credentials: Credentials) -> None:
    secret = new_secret()
    assert secret != new_secret()
    assert matches(credentials.enrol("demo-engine", secret=secret).secret, secret)


def test_what_hashing_costs_is_more_than_tests_spend(credentials: Credentials) -> None:
    assert COST >= 2**15
    cheap = hash_secret(SECRET)
    dear = replace(cheap, cost=COST)
    assert matches(cheap, SECRET)
    assert not matches(dear, SECRET), "the cost that stands beside a hash is the one that it is compared at"
    with patch.object(secrets, "COST", COST):
        enrolled = credentials.enrol("demo-engine", secret=SECRET)
    assert enrolled.secret is not None
    assert enrolled.secret.cost == COST
    found = credentials.find("demo-engine")
    assert found is not None
    assert matches(found.secret, SECRET)


def test_one_secret_is_hashed_twice_differently() -> None:
    assert hash_secret(SECRET).digest != hash_secret(SECRET).digest


def test_without_a_kept_secret_nothing_matches() -> None:
    assert not matches(None, SECRET)
    assert not matches(None, "")
    assert not matches(hash_secret("x" * LONGEST), "x" * (LONGEST + 1))
    assert not matches(hash_secret(SECRET), "\udcff")


# --- files ----------------------------------------------------------------------------------------------------------


def test_a_private_file_is_created_once(tmp_path: Path) -> None:
    assert create_private(tmp_path / "x", b"first")
    assert not create_private(tmp_path / "x", b"second")
    assert (tmp_path / "x").read_bytes() == b"first"
    assert [file.name for file in tmp_path.iterdir()] == ["x"]


def test_a_private_file_is_replaced_whole(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"old")
    (tmp_path / "x").chmod(0o644)
    write_private(tmp_path / "x", b"new")
    assert (tmp_path / "x").read_bytes() == b"new"
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o600


def test_the_writing_lock_is_given_back_after_a_fault(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), only_writer(tmp_path / "deep" / "folder"):
        raise RuntimeError
    with only_writer(tmp_path / "deep" / "folder"):
        pass
