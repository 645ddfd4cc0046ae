"""What a client shows and trusts over TLS: its certificate and key, and an authority of its own choosing."""

from __future__ import annotations

import ssl
from pathlib import Path

from gateway.client.credentials import CredentialError


def tls_of(certificate: Path | None, key: Path | None, authority: Path | None) -> ssl.SSLContext | None:
    """TLS with files in PEM; None for the machine's own, without a certificate.

    Shape: without `key` it stands in the certificate's file; `authority` takes the place of those of the machine.
    Errors: CredentialError naming the file.
    """
    if key is not None and certificate is None:
        raise CredentialError(f"{key} is the key of no certificate: give the certificate too")
    if certificate is None and authority is None:
        return None
    try:
        context = ssl.create_default_context(cafile=authority)
    except OSError as error:  # ssl's own are OSError too
        raise CredentialError(f"{authority} can't be used ({error}); it takes certificates in PEM") from error
    if certificate is not None:
        try:
            # without a password OpenSSL would ask for one at the terminal
            context.load_cert_chain(certificate, key, password="")
        except OSError as error:
            files = f"{certificate} and {key}" if key is not None else str(certificate)
            raise CredentialError(
                f"{files} can't be used ({error}); it takes a certificate and its key in PEM, without a password"
            ) from error
    return context
