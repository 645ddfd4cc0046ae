"""Who signs clients' certificates, and which of those were taken back: two kinds of files, read again when they change.

A certificate is judged here however it came, over our own listener or forwarded by a proxy, and at every request: one
that expires or is revoked while a connection stays open is refused with the next request on it.
Source: RFC 5280 sections 5 (revocation lists) and 6 (paths).
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    Policy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from gateway.identity.certificates import BadCertificate, Certificate, described, thumbprint
from gateway.stated import Stated

REMEMBERED: Final = 1024
_PEM_LIST: Final = b"-----BEGIN X509 CRL-----"
_CLIENTS: Final = frozenset({ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE})
Stamp = tuple[tuple[int, int, int], ...]
Lists = tuple[x509.CertificateRevocationList, ...]

_log = logging.getLogger(__name__)


class AuthoritiesError(Stated):
    """A file of authorities or a revocation list that can't be used; its words name the file and what to do."""


@dataclass(frozen=True, slots=True)
class _Trusted:
    """What the files hold.

    Shape: `lists` are all revocation lists, several of one issuer's name too; None where none are configured.
    """

    authorities: tuple[x509.Certificate, ...]
    lists: Lists | None


@dataclass(frozen=True, slots=True)
class _Judged:
    """A certificate that was accepted.

    Units: `until` is when something ends that it was accepted by, in seconds since 1970.
    """

    certificate: Certificate
    until: float


class Authorities:
    """Judges clients' certificates.

    Shape: each certificate in `file` is trusted in itself, root or not; the issuer of every client's certificate has
    to stand there. With `revocations` each issuer needs a list that is not out of date, or its clients are refused.
    Files that change are read again at the next request; where they can't be used, the last good ones stay, and the
    log says so. For one event loop.
    Errors: AuthoritiesError for files that can't be used at the start.
    """

    def __init__(
        self, file: Path, revocations: tuple[Path, ...] = (), *, clock: Callable[[], float] = time.time
    ) -> None:
        """Read the files."""
        self._file = file
        self._revocations = revocations
        self._clock = clock
        self._stamp = self._stamped()
        self._trusted = _read(file, revocations)
        self._judged: OrderedDict[str, _Judged] = OrderedDict()

    def judge(self, der: bytes) -> Certificate:
        """What is known of a certificate that a client holds the key of.

        Errors: BadCertificate for one that is not valid now, of another authority, not for clients, or revoked.
        """
        self._look_again()
        now = self._clock()
        name = thumbprint(der)
        judged = self._judged.get(name)
        if judged is None or not judged.certificate.begins <= now <= judged.until:
            self._judged.pop(name, None)
            judged = _judge(der, self._trusted, now)
            self._judged[name] = judged
            if len(self._judged) > REMEMBERED:
                self._judged.popitem(last=False)
        return judged.certificate

    def _look_again(self) -> None:
        stamp = self._stamped()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._trusted = _read(self._file, self._revocations)
        except AuthoritiesError as error:
            _log.error("the last good authorities and revocation lists stay in use: %s", error)
            return
        self._judged.clear()

    def _stamped(self) -> Stamp:
        """What tells the files from any others; a file that is not there has a stamp of its own."""
        return tuple(_stamp(path) for path in (self._file, *self._revocations))


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        status = path.stat()
    except OSError:
        return (0, 0, 0)
    return (status.st_ino, status.st_mtime_ns, status.st_size)


def _read(file: Path, revocations: tuple[Path, ...]) -> _Trusted:
    try:
        authorities = tuple(x509.load_pem_x509_certificates(file.read_bytes()))
    except (OSError, ValueError) as error:
        raise AuthoritiesError(
            f"{file} can't be read as client authorities ({type(error).__name__}); it takes certificates in PEM"
        ) from error
    lists = tuple(_list(path, authorities, file) for path in revocations)
    return _Trusted(authorities, lists or None)


def _list(path: Path, authorities: tuple[x509.Certificate, ...], file: Path) -> x509.CertificateRevocationList:
    try:
        raw = path.read_bytes()
        read = x509.load_pem_x509_crl(raw) if _PEM_LIST in raw else x509.load_der_x509_crl(raw)
        critical = [extension.oid.dotted_string for extension in read.extensions if extension.critical]
    except (OSError, ValueError) as error:
        raise AuthoritiesError(
            f"{path} can't be read as a revocation list ({type(error).__name__}); it takes a CRL in PEM or DER"
        ) from error
    if critical:
        # A list of changes alone, or of some certificates alone, would be taken for the whole.
        raise AuthoritiesError(f"{path} has a critical extension ({critical[0]}); give a full list of the authority")
    if read.next_update_utc is None:
        raise AuthoritiesError(f"{path} does not say when the next list comes (nextUpdate), so it could never be old")
    if not any(one.subject == read.issuer and _signed(read, one) for one in authorities):
        raise AuthoritiesError(f"{path} is not signed by a certificate in {file}")
    return read


def _signed(read: x509.CertificateRevocationList, authority: x509.Certificate) -> bool:
    try:
        return read.is_signature_valid(authority.public_key())  # type: ignore[arg-type]  # TypeError for other keys
    except (TypeError, UnsupportedAlgorithm):
        return False


def _judge(der: bytes, trusted: _Trusted, now: float) -> _Judged:
    try:
        certificate = x509.load_der_x509_certificate(der)
        known = described(certificate)
        _judge_times(known, now)
        if certificate.version is not x509.Version.v3:
            raise BadCertificate("the client certificate is of X.509 version 1; have it signed anew as version 3")
        path = _path(certificate, trusted.authorities, now)
    except (ValueError, UnsupportedAlgorithm):
        raise BadCertificate("the client certificate can't be read as X.509") from None
    except VerificationError:
        raise BadCertificate(
            "the client certificate is not for clients, or not signed by an authority that the gateway trusts: "
            "the certificate of its issuer has to stand in the gateway's file of client authorities"
        ) from None
    ends = [one.not_valid_after_utc.timestamp() for one in path]
    if trusted.lists is not None:
        ends += [_ends(_judge_revoked(one, issuer, trusted.lists, now)) for one, issuer in pairwise(path)]
    return _Judged(known, min(ends))


def _judge_times(known: Certificate, now: float) -> None:
    if now > known.ends:
        raise BadCertificate(f"the client certificate expired at {_told(known.ends)}; renew it, and enrol the new one")
    if now < known.begins:
        raise BadCertificate(f"the client certificate is not valid before {_told(known.begins)}")


def _path(
    certificate: x509.Certificate, authorities: tuple[x509.Certificate, ...], now: float
) -> tuple[x509.Certificate, ...]:
    """The certificate, who issued it, and so on, as far as the authorities' file knows them.

    Errors: VerificationError.
    Source: RFC 5280 section 6.1.
    """
    of_authorities = ExtensionPolicy.permit_all().require_present(x509.BasicConstraints, Criticality.AGNOSTIC, None)
    of_clients = ExtensionPolicy.permit_all().may_be_present(
        x509.ExtendedKeyUsage, Criticality.AGNOSTIC, _for_clients
    ).may_be_present(x509.BasicConstraints, Criticality.AGNOSTIC, _no_authority)  # fmt: skip
    builder = (
        PolicyBuilder().store(Store(list(authorities))).time(datetime.fromtimestamp(now, UTC).replace(tzinfo=None))
    )
    builder = builder.extension_policies(ca_policy=of_authorities, ee_policy=of_clients)
    path = builder.build_client_verifier().verify(certificate, []).chain
    # two authorities that certified each other are above each other without end
    while (above := _issuer(path[-1], authorities)) is not None and above not in path:
        path.append(above)
    return tuple(path)


def _for_clients(_policy: Policy, _certificate: x509.Certificate, usage: x509.ExtendedKeyUsage | None) -> None:
    if usage is not None and not _CLIENTS & set(usage):
        raise ValueError("not for clients")


def _no_authority(_policy: Policy, _certificate: x509.Certificate, basic: x509.BasicConstraints | None) -> None:
    if basic is not None and basic.ca:
        raise ValueError("an authority's own")


def _issuer(certificate: x509.Certificate, authorities: tuple[x509.Certificate, ...]) -> x509.Certificate | None:
    """Who issued a certificate; None for one that issued itself, or whose issuer is not known."""
    if certificate.subject == certificate.issuer:
        return None
    return next((one for one in authorities if _issued_by(certificate, one)), None)


def _issued_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _judge_revoked(
    certificate: x509.Certificate, issuer: x509.Certificate, lists: Lists, now: float
) -> x509.CertificateRevocationList:
    """The newest list of an issuer, where none of its lists names a certificate.

    Shape: a list is the issuer's by its name and its signature: two authorities may have one name, each with its key.
    Errors: BadCertificate.
    """
    named = _plain(issuer.subject)
    own = [one for one in lists if one.issuer == issuer.subject and _signed(one, issuer)]
    if not own:
        raise BadCertificate(
            f"there is no revocation list of {named}, so its client certificates are not taken; the operator of the "
            "gateway has to add one"
        )
    newest = max(own, key=_ends)
    if _ends(newest) < now:
        raise BadCertificate(
            f"the revocation list of {named} is out of date since {_told(_ends(newest))}, so its client certificates "
            "are not taken; the operator of the gateway has to put a new list in its place"
        )
    if any(one.get_revoked_certificate_by_serial_number(certificate.serial_number) is not None for one in own):
        raise BadCertificate(f"the client certificate, or an authority between, was revoked by {named}")
    return newest


def _ends(revoked: x509.CertificateRevocationList) -> float:
    ends = revoked.next_update_utc
    return ends.timestamp() if ends is not None else 0.0


def _told(instant: float) -> str:
    return datetime.fromtimestamp(instant, UTC).isoformat(timespec="seconds")


def _plain(name: x509.Name) -> str:
    """A name for people, without what would break a header or an HL7 field."""
    return "".join(sign if sign.isprintable() and sign not in '"\\|^~&' else " " for sign in name.rfc4514_string())
