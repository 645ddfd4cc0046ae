"""The commands about certificates and keys, as their user runs them."""

from __future__ import annotations

import json
import re
import stat
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat, pkcs12
from joserfc.jwk import RSAKey

from gateway import cli
from gateway.config import CREDENTIALS, KEYS
from gateway.identity import Authorities, Credentials, new_client_key, public_set
from gateway.identity.keys import signing_keys
from tests.certificates import Authority, der
from tests.traffic import ROOT

NAME = "uhd-mirth"
REGISTRY = """language 1

organisation r0d "University Hospitals Dorset"

principal uhd-mirth "An engine"
  connects as r0d
"""


@dataclass(frozen=True)
class Told:
    """What a command printed, and how it ended."""

    status: int
    out: str
    err: str


Run = Callable[..., Told]


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("COLUMNS", "250")
    monkeypatch.setenv("GATEWAY_DATA", str(tmp_path / "data"))
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "registry.rules").write_text(REGISTRY)  # the shipped rules take longer to load than all else here
    monkeypatch.setenv("GATEWAY_RULES", str(rules))

    def run(*arguments: str | Path) -> Told:
        monkeypatch.setattr(sys, "argv", ["gateway", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        printed = capsys.readouterr()
        return Told(int(ended.value.code or 0), printed.out, printed.err)

    return run


@pytest.fixture
def credentials(tmp_path: Path) -> Credentials:
    return Credentials(tmp_path / "data" / CREDENTIALS)


def test_dev_certs_makes_what_the_gateway_and_its_client_need(gateway: Run, tmp_path: Path) -> None:
    folder = tmp_path / "certs"
    told = gateway("dev-certs", "--out", folder, "--client", NAME, "--host", "gateway.example.org")
    assert told.status == 0, told.err
    assert {file.name for file in folder.iterdir()} == {
        "authority.pem", "authority.key", "server.pem", "server.key", f"{NAME}.pem", f"{NAME}.key", f"{NAME}.p12",
        f"{NAME}.password", "truststore.p12",
    }  # fmt: skip
    for file in folder.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file.name
    client = x509.load_pem_x509_certificate((folder / f"{NAME}.pem").read_bytes())
    assert Authorities(folder / "authority.pem").judge(der(client)).subject == f"CN={NAME}"
    server = x509.load_pem_x509_certificate((folder / "server.pem").read_bytes())
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert set(names.get_values_for_type(x509.DNSName)) == {"localhost", "gateway.example.org"}
    word = (folder / f"{NAME}.password").read_bytes()
    key, own, more = pkcs12.load_key_and_certificates((folder / f"{NAME}.p12").read_bytes(), word)
    assert key is not None
    assert own == client
    assert len(more) == 1
    assert word.decode() not in told.out + told.err


def test_the_steps_that_dev_certs_prints_can_be_followed(
    gateway: Run, credentials: Credentials, tmp_path: Path
) -> None:
    told = gateway("dev-certs", "--out", tmp_path / "certs", "--client", NAME)
    (line,) = re.findall(r"^ +gateway (principals enrol .*)$", told.out, re.MULTILINE)
    assert gateway(*line.split()).status == 0
    found = credentials.find(NAME)
    assert found is not None
    assert [one.subject for one in found.certificates] == [f"CN={NAME}"]
    (toml,) = re.findall(r"( +\[mtls\]\n(?: +\S.*\n)+)", told.out)
    (tmp_path / "data" / "gateway.toml").write_text(toml)
    assert gateway("principals", "list").status == 0, "the settings are read with it"


def test_a_second_client_is_made_by_the_same_authority(gateway: Run, tmp_path: Path) -> None:
    folder = tmp_path / "certs"
    gateway("dev-certs", "--out", folder, "--client", "one")
    before = {name: (folder / name).read_bytes() for name in ("authority.pem", "server.pem", "one.pem")}
    assert gateway("dev-certs", "--out", folder, "--client", "two").status == 0
    assert {name: (folder / name).read_bytes() for name in before} == before
    authorities = Authorities(folder / "authority.pem")
    for name in ("one", "two"):
        authorities.judge(der(x509.load_pem_x509_certificate((folder / f"{name}.pem").read_bytes())))


@pytest.mark.parametrize("name", ["one", "../one", "authority", "server", ""])
def test_dev_certs_writes_over_nothing(gateway: Run, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "certs"
    gateway("dev-certs", "--out", folder, "--client", "one")
    before = {file: file.read_bytes() for file in folder.iterdir()}
    told = gateway("dev-certs", "--out", folder, "--client", name)
    assert told.status == 1
    assert "client" in told.err
    assert {file: file.read_bytes() for file in folder.iterdir()} == before


def test_a_certificate_is_enrolled_listed_and_revoked(gateway: Run, credentials: Credentials, tmp_path: Path) -> None:
    certificate = Authority(tmp_path / "authority").client(NAME)
    file = tmp_path / "mirth.der"
    file.write_bytes(certificate.public_bytes(Encoding.DER))
    told = gateway("principals", "enrol", NAME, "--certificate", file)
    assert told.status == 0, told.err
    found = credentials.find(NAME)
    assert found is not None
    (one,) = found.certificates
    assert f"certificate of CN={NAME}, SHA-256 {one.sha256}, until " in told.err
    listed = gateway("principals", "list").out
    assert one.sha256[:16] in listed
    assert f"CN={NAME}" in listed
    assert gateway("principals", "revoke", NAME).status == 0
    assert credentials.find(NAME) is None
    assert one.sha256[:16] not in gateway("principals", "list").out


def test_a_certificate_stands_beside_a_key_and_an_address_in_its_place(
    gateway: Run, credentials: Credentials, tmp_path: Path
) -> None:
    certificate, keys = tmp_path / "mirth.pem", tmp_path / "mirth.jwks.json"
    certificate.write_bytes(Authority(tmp_path / "authority").client(NAME).public_bytes(Encoding.PEM))
    keys.write_text(json.dumps(public_set(new_client_key())))
    assert gateway("principals", "enrol", NAME, "--jwks", keys, "--certificate", certificate).status == 0
    found = credentials.find(NAME)
    assert found is not None
    assert (len(found.keys), len(found.certificates), found.key_address) == (1, 1, None)
    address = "https://engine.example.org/jwks.json"
    assert gateway("principals", "enrol", NAME, "--jwks", address).status == 0
    found = credentials.find(NAME)
    assert found is not None
    assert (len(found.keys), len(found.certificates), found.key_address) == (0, 1, address)
    assert address in gateway("principals", "list").out


@pytest.mark.parametrize("form", ["certificate", "public key"])
def test_the_key_of_a_certificate_is_enrolled_and_its_kid_is_told(
    gateway: Run, credentials: Credentials, tmp_path: Path, form: str
) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    named = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    file = tmp_path / "mirth.pem"
    if form == "certificate":
        signed = Authority(tmp_path / "authority").signed(named, key.public_key())
        file.write_bytes(b"friendlyName: mirth\n" + signed.public_bytes(Encoding.PEM))
    else:
        file.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    told = gateway("principals", "enrol", NAME, "--key-of", file)
    found = credentials.find(NAME)
    assert found is not None
    (one,) = found.keys
    jwk = RSAKey.import_key(key.public_key())
    assert (one.kid, set(one.algorithms)) == (jwk.thumbprint(), {"RS384", "RS512"})
    assert f"the key of the kid {one.kid}" in told.err
    assert found.certificates == (), "it signs with it, and shows nothing"


def test_a_private_key_is_never_taken_for_a_public_one(gateway: Run, credentials: Credentials, tmp_path: Path) -> None:
    file = tmp_path / "mirth.key"
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    file.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    told = gateway("principals", "enrol", NAME, "--key-of", file)
    assert (told.status, "never give a private key" in told.err) == (1, True)
    assert credentials.list() == ()


MISTAKES = {
    "a key in place of a certificate": (
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        "never a key",
    ),
    "a PKCS 12 file": (b"\x30\x82\x01\x00\x02\x01\x03", "keytool -exportcert"),
    "half a certificate": (b"-----BEGIN CERTIFICATE-----\nAAAA\n", "no certificate in PEM or DER"),
    "nothing": (b"", "no certificate"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_what_is_no_certificate_is_told_in_words(
    gateway: Run, credentials: Credentials, tmp_path: Path, case: str
) -> None:
    raw, words = MISTAKES[case]
    file = tmp_path / "mistaken"
    file.write_bytes(raw)
    told = gateway("principals", "enrol", NAME, "--certificate", file)
    assert (told.status, words in told.err) == (1, True), told.err
    assert credentials.list() == ()


@pytest.mark.parametrize("address", ["http://engine.example.org/keys", "https://user:word@engine.example.org/keys"])
def test_keys_are_fetched_over_https_alone(gateway: Run, credentials: Credentials, address: str) -> None:
    told = gateway("principals", "enrol", NAME, "--jwks", address)
    assert (told.status, "the address of the key set" in told.err) == (1, True), told.err
    assert credentials.list() == ()


def test_keys_are_rotated_and_listed(gateway: Run, tmp_path: Path) -> None:
    folder = tmp_path / "data" / KEYS
    first = next(iter(signing_keys(folder).by_id))
    told = gateway("keys", "rotate")
    second = next(iter(signing_keys(folder).by_id))
    assert (told.status, second in told.err, first != second) == (0, True, True)
    listed = gateway("keys", "list").out
    assert listed.index(second[:20]) < listed.index(first[:20])
    assert "signs" in listed
    assert gateway("keys", "rotate", "--at-once").status == 0
    assert len(signing_keys(folder).by_id) == 1
