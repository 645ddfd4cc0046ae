"""Client certificates: which are accepted, and what changes while the gateway runs."""

from __future__ import annotations

import logging
import shutil
import subprocess
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.identity import Authorities, AuthoritiesError, BadCertificate
from gateway.identity.certificates import described
from tests.certificates import Authority, der

DAY = timedelta(days=1)
NAMED = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "client")])
SERVERS = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
CLIENTS = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
ANY = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE])
UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
SIGNS = x509.BasicConstraints(ca=True, path_length=None)


@dataclass
class Clock:
    now: float = field(default_factory=lambda: datetime.now(UTC).timestamp())

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


def refused(authorities: Authorities, certificate: x509.Certificate) -> str:
    with pytest.raises(BadCertificate) as caught:
        authorities.judge(der(certificate))
    words = str(caught.value)
    assert not set(words) & set('"\\\r\n|^~&'), "it goes into a header and into HL7"
    return words


def test_a_certificate_of_the_authority_is_known_by_its_thumbprint(authority: Authority) -> None:
    certificate = authority.client("uhd-mirth")
    known = Authorities(authority.file).judge(der(certificate))
    assert known == described(certificate)
    assert known.subject == "CN=uhd-mirth"
    assert known.sha256 == described(certificate).sha256
    assert len(known.thumbprint) == 43


def test_what_rfc5280_lets_a_clients_certificate_be(authority: Authority) -> None:
    authorities = Authorities(authority.file)
    strong = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    for extensions in ((), ((CLIENTS, True),), ((ANY, False),), ((UNKNOWN, False),)):
        authorities.judge(der(authority.client(extensions=extensions)))
    authorities.judge(der(authority.signed(NAMED, strong.public_key())))


BAD = {
    "for servers alone": ({"extensions": [(SERVERS, False)]}, "not for clients"),
    "an unknown critical extension": ({"extensions": [(UNKNOWN, True)]}, "not for clients"),
    "an authority's own": ({"extensions": [(SIGNS, True)]}, "not for clients"),
    "expired": ({"ends": datetime.now(UTC) - timedelta(seconds=5)}, "expired at"),
    "not valid yet": ({"begins": datetime.now(UTC) + timedelta(hours=1)}, "not valid before"),
    "signed by another under the same name": ({"signer": ec.generate_private_key(ec.SECP256R1())}, "not signed by"),
}


@pytest.mark.parametrize("case", BAD)
def test_rfc5280_a_bad_certificate_is_refused(authority: Authority, case: str) -> None:
    changed, words = BAD[case]
    authorities = Authorities(authority.file)
    bad = authority.client(**changed)  # type: ignore[arg-type]  # each case has its own
    for _ in range(2):  # nothing of it is remembered
        assert words in refused(authorities, bad)


def test_another_authority_is_not_trusted(authority: Authority, tmp_path: Path) -> None:
    stranger = Authority(tmp_path / "stranger", name="Strangers")
    assert "not signed by an authority" in refused(Authorities(authority.file), stranger.client())


def test_what_is_no_certificate_is_refused(authority: Authority) -> None:
    with pytest.raises(BadCertificate, match="can't be read"):
        Authorities(authority.file).judge(b"\x30\x03hi!")


def test_a_self_signed_certificate_is_trusted_where_it_stands_in_the_file(authority: Authority, tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    begun = x509.CertificateBuilder().subject_name(NAMED).issuer_name(NAMED).public_key(key.public_key())
    begun = begun.serial_number(7).not_valid_before(datetime.now(UTC) - DAY).not_valid_after(datetime.now(UTC) + DAY)
    own = begun.sign(key, hashes.SHA256())
    assert "not signed by" in refused(Authorities(authority.file), own)
    file = tmp_path / "pinned.pem"
    file.write_bytes(own.public_bytes(Encoding.PEM))
    assert Authorities(file).judge(der(own)).subject == "CN=client"


def test_a_certificate_of_version_1_hears_what_is_wrong(authority: Authority, tmp_path: Path) -> None:
    key, request, made = tmp_path / "v1.key", tmp_path / "v1.csr", tmp_path / "v1.pem"
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs openssl: nothing else here makes certificates of version 1")
    for step in (
        ("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key),
        ("req", "-new", "-key", key, "-subj", "/CN=old", "-out", request),
        ("x509", "-req", "-in", request, "-CA", authority.file, "-CAkey", authority.private_file(), "-CAcreateserial",
         "-days", "1", "-out", made),
    ):  # fmt: skip
        subprocess.run([openssl, *step], check=True, capture_output=True)
    old = x509.load_pem_x509_certificate(made.read_bytes())
    if old.version is x509.Version.v3:
        pytest.skip("this openssl makes version 3 whatever it is asked")
    assert "version 1" in refused(Authorities(authority.file), old)


def test_it_expires_while_it_is_remembered(authority: Authority) -> None:
    clock = Clock()
    authorities = Authorities(authority.file, clock=clock)
    certificate = authority.client(ends=datetime.now(UTC) + timedelta(hours=1))
    authorities.judge(der(certificate))
    clock.now += 3590
    authorities.judge(der(certificate))
    clock.now += 20
    assert "expired at" in refused(authorities, certificate)


def test_an_authority_that_ended_vouches_for_nobody(authority: Authority) -> None:
    clock = Clock()
    authorities = Authorities(authority.file, clock=clock)
    certificate = authority.client(ends=datetime.now(UTC) + 9 * DAY)
    authorities.judge(der(certificate))
    clock.now += 2 * DAY.total_seconds()
    assert "not signed by an authority" in refused(authorities, certificate)


def test_rfc5280_a_revoked_certificate_is_refused_as_soon_as_the_list_says_so(authority: Authority) -> None:
    lists = authority.revocations()
    authorities = Authorities(authority.file, (lists,))
    leaving, staying = authority.client("leaving"), authority.client("staying")
    for one in (leaving, staying):
        authorities.judge(der(one))
    authority.revocations(leaving)
    assert "was revoked by CN=Tests" in refused(authorities, leaving)
    authorities.judge(der(staying))
    authority.revocations()  # taken off it again: a hold that ended
    authorities.judge(der(leaving))


def test_rfc5280_a_list_that_is_out_of_date_lets_nobody_in(authority: Authority) -> None:
    clock = Clock()
    lists = authority.revocations(ends=datetime.now(UTC) + timedelta(hours=1))
    authorities, certificate = Authorities(authority.file, (lists,), clock=clock), authority.client()
    authorities.judge(der(certificate))
    clock.now += 3500
    authorities.judge(der(certificate))
    clock.now += 200
    words = refused(authorities, certificate)
    assert "out of date since" in words
    assert "operator" in words


def test_an_authority_without_a_list_lets_nobody_in_where_lists_are_kept(authority: Authority, tmp_path: Path) -> None:
    second = Authority(tmp_path / "second", name="Second")
    both = tmp_path / "both.pem"
    both.write_bytes(authority.file.read_bytes() + second.file.read_bytes())
    authorities = Authorities(both, (authority.revocations(),))
    authorities.judge(der(authority.client()))
    assert "no revocation list of CN=Second" in refused(authorities, second.client())


def test_a_changed_file_that_can_not_be_used_leaves_the_last_good_one(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    gone = authority.client("gone")
    lists = authority.revocations(gone)
    authorities = Authorities(authority.file, (lists,))
    lists.write_text("half a list")
    with caplog.at_level(logging.ERROR):
        assert "was revoked" in refused(authorities, gone)
        authorities.judge(der(authority.client("stays")))
    assert caplog.text.count("can't be read as a revocation list") == 1


def test_an_authority_that_is_left_out_of_the_file_is_trusted_no_more(authority: Authority, tmp_path: Path) -> None:
    authorities, certificate = Authorities(authority.file), authority.client()
    authorities.judge(der(certificate))
    authority.file.write_bytes(Authority(tmp_path / "next", name="Next").file.read_bytes())
    assert "not signed by an authority" in refused(authorities, certificate)


DELTA = x509.DeltaCRLIndicator(crl_number=1)
LISTS = {
    "a list of changes alone": ({"extensions": [(DELTA, True)]}, "critical extension"),
    "another's signature": ({"signer": ec.generate_private_key(ec.SECP256R1())}, "not signed by"),
}


@pytest.mark.parametrize("case", LISTS)
def test_a_list_that_can_not_be_believed_stops_the_start(authority: Authority, case: str) -> None:
    changed, words = LISTS[case]
    file = authority.revocations(**changed)  # type: ignore[arg-type]  # each case has its own
    with pytest.raises(AuthoritiesError, match=words):
        Authorities(authority.file, (file,))


@pytest.mark.parametrize("content", ["", "hello", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_a_file_without_authorities_stops_the_start(tmp_path: Path, content: str) -> None:
    file = tmp_path / "authorities.pem"
    with pytest.raises(AuthoritiesError, match=r"authorities\.pem can't be read"):
        Authorities(file)
    file.write_text(content)
    with pytest.raises(AuthoritiesError, match=r"authorities\.pem can't be read"):
        Authorities(file)


def test_the_memory_is_bounded(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.identity.authorities.REMEMBERED", 2)
    authorities = Authorities(authority.file)
    for number in range(4):
        authorities.judge(der(authority.client(f"client-{number}")))
    assert len(authorities._judged) == 2


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_authorities_of_one_name_each_vouches_for_its_own(
    authority: Authority, tmp_path: Path, order: int
) -> None:
    other = Authority(tmp_path / "other")
    both = tmp_path / "both.pem"
    both.write_bytes(authority.file.read_bytes() + other.file.read_bytes())
    gone, stays = authority.client(), authority.client()
    lists = (authority.revocations(gone), other.revocations(name="other.crl"))
    authorities = Authorities(both, lists[::order])
    assert "revoked" in refused(authorities, gone)
    authorities.judge(der(stays))
    authorities.judge(der(other.client()))
    assert "no revocation list" in refused(Authorities(both, lists[1:]), stays)


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_lists_of_one_authority_either_revokes(authority: Authority, order: int) -> None:
    gone, stays = authority.client(), authority.client()
    ended = datetime.now(UTC) - timedelta(minutes=1)
    lists = (authority.revocations(gone, name="old.crl", ends=ended), authority.revocations(name="new.crl"))
    authorities = Authorities(authority.file, lists[::order])
    assert "revoked" in refused(authorities, gone)
    authorities.judge(der(stays))


def test_authorities_that_certified_each_other_end(tmp_path: Path) -> None:
    one, two = Authority(tmp_path / "one", name="One"), Authority(tmp_path / "two", name="Two")
    crossed = tmp_path / "crossed.pem"
    basic = ((SIGNS, True), (_signs_certificates(), True))
    pairs = ((one, two), (two, one))
    crossed.write_bytes(
        b"".join(
            above.signed(below.certificate.subject, _key_of(below), extensions=basic).public_bytes(Encoding.PEM)
            for above, below in pairs
        )
    )
    assert Authorities(crossed).judge(der(one.client())).subject == "CN=client"


def _key_of(authority: Authority) -> ec.EllipticCurvePublicKey:
    key = authority.certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    return key


def _signs_certificates() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
    )  # fmt: skip
