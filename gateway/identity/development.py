"""Certificates to try mutual TLS with: an authority of one's own, a server and clients, as PEM and as PKCS 12.

For development alone: the authority's key lies beside what it signs.
Source: RFC 5280; RFC 7292 (PKCS 12), in the form that `keytool` of Java 8u301 and later reads.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    pkcs12,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.identity.credentials import NAME
from gateway.identity.private_file import make_folder, write_private
from gateway.stated import Stated

AUTHORITY_DAYS: Final = 1825
DAYS: Final = 397
AUTHORITY, SERVER, TRUSTED = "authority", "server", "truststore.p12"
LOCAL: Final = ("localhost", "127.0.0.1", "::1")


class DevelopmentError(Stated):
    """Certificates that can't be made there; its words say why."""


@dataclass(frozen=True, slots=True)
class Made:
    """Files of a folder for trying: what the gateway needs, and what its client does.

    Shape: `keystore` holds the client's key and certificate, `truststore` the authority's; both open with `password`.
    """

    authority: Path
    server: Path
    server_key: Path
    client: Path
    client_key: Path
    keystore: Path
    truststore: Path


def development_certificates(
    folder: Path, client: str, password: str, *, hosts: Sequence[str] = (), now: Callable[[], float]
) -> Made:
    """Make what is not there yet: authority and server once, a client each time.

    Shape: `hosts` are names or addresses of the server beside this machine's own. Files are for their owner alone.
    Units: `now` in seconds since 1970.
    Errors: DevelopmentError for a client that has files already, or a name that is none; OSError.
    """
    if NAME.fullmatch(client) is None or client in {AUTHORITY, SERVER}:
        raise DevelopmentError(f"{client!r} is no name for a client: letters, digits and . _ - are")
    make_folder(folder)
    made = Made(
        folder / f"{AUTHORITY}.pem", folder / f"{SERVER}.pem", folder / f"{SERVER}.key", folder / f"{client}.pem",
        folder / f"{client}.key", folder / f"{client}.p12", folder / TRUSTED,
    )  # fmt: skip
    if made.client.exists():
        raise DevelopmentError(f"{made.client} is there already; give another --client, or another folder")
    moment = datetime.fromtimestamp(now(), UTC)
    authority, key = _authority(folder, moment)
    if not made.server.exists():
        names = x509.SubjectAlternativeName([_host(host) for host in dict.fromkeys((*LOCAL, *hosts))])
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        _write(folder, SERVER, *_issued(SERVER, authority, key, moment, (names, usage)))
    own, own_key = _issued(client, authority, key, moment, (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]),))
    _write(folder, client, own, own_key)
    hidden = BestAvailableEncryption(password.encode())
    store = pkcs12.serialize_key_and_certificates(client.encode(), own_key, own, [authority], hidden)
    write_private(made.keystore, store)
    trusted = pkcs12.serialize_java_truststore([pkcs12.PKCS12Certificate(authority, AUTHORITY.encode())], hidden)
    write_private(made.truststore, trusted)
    return made


def _authority(folder: Path, moment: datetime) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    certificate, private = folder / f"{AUTHORITY}.pem", folder / f"{AUTHORITY}.key"
    if certificate.exists():
        key = load_pem_private_key(private.read_bytes(), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise DevelopmentError(f"{private} was not made here; give another folder")
        return x509.load_pem_x509_certificate(certificate.read_bytes()), key
    key = ec.generate_private_key(ec.SECP256R1())
    named = _named("Development authority of a gateway")
    usage = x509.KeyUsage(
        digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    made = (
        _begun(named, named, key.public_key(), moment, AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    _write(folder, AUTHORITY, made, key)
    return made, key


def _issued(
    name: str,
    authority: x509.Certificate,
    authority_key: ec.EllipticCurvePrivateKey,
    moment: datetime,
    extensions: Sequence[x509.ExtensionType],
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    begun = _begun(_named(name), authority.subject, key.public_key(), moment, DAYS)
    begun = begun.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    for extension in extensions:
        begun = begun.add_extension(extension, critical=False)
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    return begun.add_extension(issuer, critical=False).sign(authority_key, hashes.SHA256()), key


def _begun(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, moment: datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(moment - timedelta(hours=1))  # clocks differ
        .not_valid_after(moment + timedelta(days=days))
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _write(folder: Path, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_private(folder / f"{name}.key", private)
    write_private(folder / f"{name}.pem", certificate.public_bytes(Encoding.PEM))
