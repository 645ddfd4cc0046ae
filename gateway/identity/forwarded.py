"""Which certificate a request comes with: the one of its own connection, or the one that a proxy tells.

Source: RFC 9440; RFC 8941 section 3.3.5 (byte sequences).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from typing import Final

from gateway.identity.authorities import Authorities
from gateway.identity.certificates import BadCertificate, Certificate

LIMIT: Final = 16 * 1024
_BYTES: Final = re.compile(r":([A-Za-z0-9+/]+={0,2}):")


class ClientCertificates:
    """Finds and judges the certificate of a request.

    Shape: `proxies` are thumbprints of the certificates of proxies whose header `Client-Cert` is believed.
    """

    def __init__(self, authorities: Authorities, proxies: frozenset[str] = frozenset()) -> None:
        """Remember whom to believe."""
        self._authorities = authorities
        self._proxies = proxies

    def of(self, der: bytes | None, *, local: bool, forwarded: Sequence[str]) -> Certificate | None:
        """The certificate of a request; None where its client showed none.

        Shape: `der` is what the connection showed, `local` says that it came over a Unix socket, and `forwarded` are
        the values of `Client-Cert`, which count for nothing from anybody but a proxy.
        Errors: BadCertificate.
        """
        shown = None if der is None else self._authorities.judge(der)
        if not local and (shown is None or shown.thumbprint not in self._proxies):
            return shown
        if not forwarded:
            return None  # the proxy's own certificate is not its client's
        if len(forwarded) > 1:
            raise BadCertificate(
                "the header Client-Cert was sent more than once; the proxy has to replace its client's"
            )
        told = _BYTES.fullmatch(forwarded[0].strip()) if len(forwarded[0]) <= LIMIT else None
        if told is None:
            raise BadCertificate(
                "the header Client-Cert is not a certificate in base64 between two colons (RFC 9440); the proxy's "
                "setting for it has to be the DER form"
            )
        try:
            return self._authorities.judge(base64.b64decode(told[1], validate=True))
        except ValueError:
            raise BadCertificate("the header Client-Cert is not whole base64") from None
