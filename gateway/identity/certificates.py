"""Certificates of clients: read from files for enrolment, and known by their thumbprint from then on.

Source: RFC 5280 (X.509), RFC 8705 section 3.1 (`x5t#S256`), RFC 4514 (names as text).
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.stated import Stated

_BEGIN: Final = b"-----BEGIN "
_CERTIFICATE: Final = b"-----BEGIN CERTIFICATE-----"


class BadCertificate(Stated):
    """A certificate that is not accepted; its words are for people, without quotes, line breaks or HL7 delimiters."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """What is known of a client's certificate.

    Shape: `thumbprint` is the SHA-256 of its DER form in base64url, as tokens carry it; `subject` is its name as text.
    Units: `begins` and `ends` in seconds since 1970, both within.
    """

    thumbprint: str
    subject: str
    begins: float
    ends: float

    @property
    def sha256(self) -> str:
        """The thumbprint in hexadecimal, as openssl and keytool show it without colons."""
        return base64.urlsafe_b64decode(self.thumbprint + "=").hex()


def thumbprint(der: bytes) -> str:
    """SHA-256 of a certificate in base64url without padding.

    Source: RFC 8705 section 3.1.
    """
    return thumbprint_of(hashlib.sha256(der).digest())


def thumbprint_of(sha256: bytes) -> str:
    """The same of a SHA-256 that was taken before."""
    return base64.urlsafe_b64encode(sha256).rstrip(b"=").decode()


def described(certificate: x509.Certificate) -> Certificate:
    """What is kept of a certificate that was parsed."""
    return Certificate(
        thumbprint(certificate.public_bytes(Encoding.DER)),
        certificate.subject.rfc4514_string() or f"serial {certificate.serial_number:x}",
        certificate.not_valid_before_utc.timestamp(),
        certificate.not_valid_after_utc.timestamp(),
    )


def read_certificate(raw: bytes) -> x509.Certificate:
    """The certificate of a file, PEM or DER; of several in PEM the first, which is the owner's own.

    Errors: BadCertificate with words for the person who enrols.
    """
    if _BEGIN in raw and _CERTIFICATE not in raw:
        raise BadCertificate(
            "this is a PEM file without a certificate: give the one that begins with BEGIN CERTIFICATE, never a key"
        )
    try:
        if _CERTIFICATE in raw:
            return x509.load_pem_x509_certificates(raw[raw.index(_CERTIFICATE) :])[0]
        return x509.load_der_x509_certificate(raw)
    except ValueError:
        raise BadCertificate(
            "this is no certificate in PEM or DER; of a PKCS 12 file export it first: "
            "keytool -exportcert -rfc -keystore FILE -alias NAME -file certificate.pem"
        ) from None
