"""The issuer's signing keys and key pairs for clients."""

from __future__ import annotations

import base64
import hashlib
import json
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from gateway.identity import KeysError, new_client_key, public_set, signing_keys
from gateway.identity.jwks import public_keys


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
