"""The issuer's signing keys and key pairs for clients."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import logging
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from gateway.identity import (
    Credentials,
    KeyFile,
    KeysError,
    Unauthorised,
    Verifier,
    built_in,
    new_client_key,
    public_set,
    signing_keys,
)
from gateway.identity.jwks import public_keys
from gateway.identity.keys import OVERLAP, KeyAge, ages, rotate


def test_the_first_run_makes_a_key_that_later_runs_use(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "keys"
    first = signing_keys(folder)
    assert signing_keys(folder).jwks() == first.jwks()
    assert stat.S_IMODE((folder / "issuer.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_the_kid_is_the_thumbprint_of_rfc7638(tmp_path: Path) -> None:
    (key,) = signing_keys(tmp_path).jwks()["keys"]
    canonical = json.dumps({name: key[name] for name in ("crv", "kty", "x", "y")}, separators=(",", ":"))
    thumbprint = base64.urlsafe_b64encode(hashlib.sha256(canonical.encode()).digest()).rstrip(b"=").decode()
    assert key["kid"] == thumbprint


def test_the_public_set_shows_nothing_private(tmp_path: Path) -> None:
    (key,) = signing_keys(tmp_path).jwks()["keys"]
    assert set(key) == {"kty", "crv", "x", "y", "use", "alg", "kid"}
    assert (key["kty"], key["crv"], key["use"], key["alg"]) == ("EC", "P-256", "sig", "ES256")


def test_what_is_signed_verifies_under_the_public_set(tmp_path: Path) -> None:
    keys = signing_keys(tmp_path)
    token = jwt.decode(keys.sign({"sub": "x"}, kind="at+jwt"), KeySet.import_key_set(keys.jwks()), algorithms=["ES256"])  # type: ignore[arg-type]  # a plain dict is what the address serves
    assert token.header["typ"] == "at+jwt"
    assert token.claims == {"sub": "x"}


def test_processes_that_start_at_once_end_with_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        seen = list(threads.map(lambda _: next(iter(signing_keys(tmp_path).by_id)), range(8)))
    assert len(set(seen)) == 1


def test_the_first_of_several_keys_signs_and_all_are_found(tmp_path: Path) -> None:
    old = signing_keys(tmp_path)
    kept = json.loads((tmp_path / "issuer.json").read_text())["keys"]
    new = ECKey.generate_key("P-256").as_dict(private=True) | {"kid": "new"}
    (tmp_path / "issuer.json").write_text(json.dumps({"keys": [new, *kept]}))
    both = signing_keys(tmp_path)
    header = json.loads(base64.urlsafe_b64decode(both.sign({}, kind="x").split(".")[0] + "=="))
    assert header["kid"] == "new"
    assert both.find(next(iter(old.by_id))) is not None
    assert both.find("another") is None


BROKEN = {
    "not JSON": "hello",
    "no keys": json.dumps({"keys": []}),
    "no list": json.dumps({}),
    "no kid": json.dumps({"keys": [ECKey.generate_key("P-256").as_dict(private=True)]}),
    "another curve": json.dumps({"keys": [ECKey.generate_key("P-384").as_dict(private=True) | {"kid": "x"}]}),
    "public alone": json.dumps({"keys": [ECKey.generate_key("P-256").as_dict(private=False) | {"kid": "x"}]}),
    "a text for a key": json.dumps({"keys": ["x"]}),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_file_that_holds_no_signing_keys_stops_the_start_in_words(tmp_path: Path, case: str) -> None:
    (tmp_path / "issuer.json").write_text(BROKEN[case])
    with pytest.raises(KeysError, match=r"issuer\.json"):
        signing_keys(tmp_path)
    assert (tmp_path / "issuer.json").read_text() == BROKEN[case]


@pytest.mark.parametrize("algorithm", ["ES384", "RS384", "RS512"])
def test_a_client_key_can_be_enrolled_by_its_public_part(algorithm: str) -> None:
    private = new_client_key(algorithm)  # type: ignore[arg-type]  # pytest gives plain text
    assert "d" in private
    (key,) = public_keys(public_set(private))
    assert key.kid == private["kid"]
    assert key.algorithms == {algorithm}


NOW = 1_800_000_000.0


def kid_of(token: str) -> str:
    return str(json.loads(base64.urlsafe_b64decode(token.split(".", maxsplit=1)[0] + "=="))["kid"])


def test_a_rotated_key_signs_from_the_next_token_on_and_the_old_one_verifies(tmp_path: Path) -> None:
    running = KeyFile(tmp_path)
    before = kid_of(running.sign({}, kind="x"))
    after = next(iter(rotate(tmp_path, now=NOW).by_id))
    assert kid_of(running.sign({}, kind="x")) == after != before
    assert running.find(before) is not None
    assert [key["kid"] for key in running.jwks()["keys"]] == [after, before]
    assert stat.S_IMODE((tmp_path / "issuer.json").stat().st_mode) == 0o600


def test_a_key_goes_out_of_the_file_an_hour_after_it_was_replaced(tmp_path: Path) -> None:
    first = next(iter(signing_keys(tmp_path).by_id))
    second = next(iter(rotate(tmp_path, now=NOW).by_id))
    third = next(iter(rotate(tmp_path, now=NOW + OVERLAP - 1).by_id))
    assert list(signing_keys(tmp_path).by_id) == [third, second, first]
    fourth = next(iter(rotate(tmp_path, now=NOW + OVERLAP).by_id))
    assert list(signing_keys(tmp_path).by_id) == [fourth, third, second]
    assert ages(tmp_path) == (
        KeyAge(fourth, int(NOW + OVERLAP), None), KeyAge(third, int(NOW + OVERLAP - 1), int(NOW + OVERLAP)),
        KeyAge(second, int(NOW), int(NOW + OVERLAP - 1)),
    )  # fmt: skip


def test_there_are_no_ages_before_the_first_key(tmp_path: Path) -> None:
    assert ages(tmp_path) == ()


def test_a_rotation_at_once_ends_every_token_remembered_ones_too(tmp_path: Path) -> None:
    keys, credentials = KeyFile(tmp_path / "keys"), Credentials(tmp_path / "credentials", clock=lambda: NOW)
    credentials.enrol("demo", keys=public_set(new_client_key()))
    verifier = Verifier(
        [built_in(keys, "https://x.example")], credentials, realm="", token_address="", clock=lambda: NOW
    )
    claims = {
        "iss": "https://x.example", "aud": "https://x.example", "sub": "demo", "client_id": "demo", "iat": NOW,
        "exp": NOW + 300, "jti": "1",
    }  # fmt: skip
    token = f"Bearer {keys.sign(claims, kind='at+jwt')}"
    assert asyncio.run(verifier.authenticate([token])).name == "demo"
    rotate(tmp_path / "keys", now=NOW)
    assert asyncio.run(verifier.authenticate([token])).name == "demo"
    rotate(tmp_path / "keys", now=NOW, overlap=0)
    with pytest.raises(Unauthorised, match="signature"):
        asyncio.run(verifier.authenticate([token]))


def test_rotations_at_the_same_time_lose_no_key(tmp_path: Path) -> None:
    signing_keys(tmp_path)
    with ThreadPoolExecutor(8) as threads:
        made = [next(iter(keys.by_id)) for keys in threads.map(lambda _: rotate(tmp_path, now=NOW), range(8))]
    assert len(signing_keys(tmp_path).by_id) == 9
    assert set(made) <= set(signing_keys(tmp_path).by_id)


def test_a_changed_file_that_holds_no_keys_leaves_the_last_good_ones(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    running = KeyFile(tmp_path)
    before = running.jwks()
    (tmp_path / "issuer.json").write_text("half a fi")
    with caplog.at_level(logging.ERROR):
        assert running.jwks() == before
        assert running.jwks() == before
    assert caplog.text.count("last good signing keys") == 1
    with pytest.raises(KeysError, match=r"issuer\.json"):
        rotate(tmp_path, now=NOW)
    assert (tmp_path / "issuer.json").read_text() == "half a fi"
