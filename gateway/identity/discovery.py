"""What the issuer tells of itself: where its endpoints are and what they take.

Source: RFC 8414 section 2; RFC 8705 sections 3.3 and 5; SMART App Launch 2.2, "Conformance".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

ALGORITHMS: Final = ("RS384", "RS512", "ES384")
SCOPES: Final = ("ingest", "system/*.cruds", "user/*.cruds")


@dataclass(frozen=True, slots=True)
class Endpoints:
    """What there is.

    Shape: `public_url` is the issuer's name and the address of everything; `mtls_url` that of the listener for clients
    with certificates, None where there is none; `certificates` says that client certificates are known at all.
    """

    public_url: str
    mtls_url: str | None
    certificates: bool
    secrets: bool

    @property
    def methods(self) -> list[str]:
        """How a client proves itself."""
        return [
            "private_key_jwt",
            *(["client_secret_basic"] if self.secrets else []),
            *(["tls_client_auth"] if self.certificates else []),
        ]


def authorization_server(there: Endpoints) -> dict[str, Any]:
    """Metadata of the authorization server. Source: RFC 8414 section 2."""
    aliases = {} if there.mtls_url is None else {"mtls_endpoint_aliases": _endpoints(there.mtls_url)}
    told = {
        f"{endpoint}_{name}": value
        for endpoint in _endpoints("")
        for name, value in (
            ("auth_methods_supported", there.methods),
            ("auth_signing_alg_values_supported", list(ALGORITHMS)),
        )
    }
    return {
        "issuer": there.public_url,
        **_endpoints(there.public_url),
        "jwks_uri": f"{there.public_url}/.well-known/jwks.json",
        "grant_types_supported": ["client_credentials"],
        "response_types_supported": [],  # needed by RFC 8414; there is no authorization endpoint
        "scopes_supported": list(SCOPES),
        **told,
        "tls_client_certificate_bound_access_tokens": there.certificates,
        "service_documentation": f"{there.public_url}/swagger/index.html",
        **aliases,
    }


def smart_configuration(there: Endpoints) -> dict[str, Any]:
    """SMART's own form of it. Source: SMART App Launch 2.2, `.well-known/smart-configuration`."""
    return {
        "issuer": there.public_url,
        "jwks_uri": f"{there.public_url}/.well-known/jwks.json",
        **_endpoints(there.public_url),
        "grant_types_supported": ["client_credentials"],
        "token_endpoint_auth_methods_supported": there.methods,
        "token_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
        "scopes_supported": list(SCOPES),
        "code_challenge_methods_supported": ["S256"],  # SMART wants it told even without an authorization endpoint
        "capabilities": ["client-confidential-asymmetric", "permission-v1", "permission-v2"],
    }


def _endpoints(base: str) -> dict[str, str]:
    return {
        "token_endpoint": f"{base}/$ingest/auth",
        "introspection_endpoint": f"{base}/$ingest/auth/introspect",
        "revocation_endpoint": f"{base}/$ingest/auth/revoke",
    }
