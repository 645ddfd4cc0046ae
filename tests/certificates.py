"""Certificates of an authority of the tests' own: for a server on loopback, and for clients."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

_PEM = serialization.Encoding.PEM


class Authority:
    """An authority in a folder, which holds its own certificate as `authority.pem`."""

    def __init__(self, folder: Path, name: str = "Tests") -> None:
        """Make its key and certificate."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(name)
        own = _begun(self._name, self._name, self._key.public_key())
        usage = x509.KeyUsage(
            digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
            key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
        )  # fmt: skip
        own = own.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self._certificate = own.add_extension(usage, critical=True).sign(self._key, hashes.SHA256())
        self.file = folder / "authority.pem"
        self.file.write_bytes(self._certificate.public_bytes(_PEM))

    def issue(self, name: str, *, host: str = "127.0.0.1") -> tuple[Path, Path]:
        """Files of a certificate for an address and of its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        begun = _begun(_named(name), self._name, key.public_key())
        hosts = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))])
        made = begun.add_extension(hosts, critical=False).sign(self._key, hashes.SHA256())
        certificate, private = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        certificate.write_bytes(made.public_bytes(_PEM))
        private.write_bytes(key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        return certificate, private

    def private_file(self) -> Path:
        """File of its key, for other programs that sign with it."""
        file = self.folder / "authority.key"
        file.write_bytes(self._key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        return file

    @property
    def certificate(self) -> x509.Certificate:
        """Its own certificate."""
        return self._certificate

    def client(self, name: str = "client", **changed: Any) -> x509.Certificate:
        """A client's certificate; `changed` as `signed` takes it."""
        return self.signed(_named(name), ec.generate_private_key(ec.SECP256R1()).public_key(), **changed)

    def signed(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey,
        *,
        begins: datetime | None = None,
        ends: datetime | None = None,
        extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
        signer: ec.EllipticCurvePrivateKey | None = None,
    ) -> x509.Certificate:
        """A certificate for a key. Shape: each of `extensions` with whether it is critical."""
        now = datetime.now(UTC)
        begun = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins or now - timedelta(days=1))
            .not_valid_after(ends or now + timedelta(days=1))
        )
        for extension, critical in extensions:
            begun = begun.add_extension(extension, critical=critical)
        return begun.sign(signer or self._key, hashes.SHA256())

    def revocations(
        self,
        *revoked: x509.Certificate,
        name: str = "revoked.crl",
        begins: datetime | None = None,
        ends: datetime | None = None,
        extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
        signer: ec.EllipticCurvePrivateKey | None = None,
    ) -> Path:
        """File of its list of certificates that were taken back."""
        now = datetime.now(UTC)
        begun = x509.CertificateRevocationListBuilder().issuer_name(self._name)
        begun = begun.last_update(begins or now - timedelta(hours=1)).next_update(ends or now + timedelta(days=1))
        for extension, critical in extensions:
            begun = begun.add_extension(extension, critical=critical)
        for one in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(one.serial_number)
            begun = begun.add_revoked_certificate(entry.revocation_date(now - timedelta(hours=2)).build())
        file = self.folder / name
        aside = file.with_suffix(".new")
        aside.write_bytes(begun.sign(signer or self._key, hashes.SHA256()).public_bytes(_PEM))
        return aside.rename(file)


def der(certificate: x509.Certificate) -> bytes:
    """A certificate as TLS carries it."""
    return certificate.public_bytes(serialization.Encoding.DER)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _begun(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
    )
