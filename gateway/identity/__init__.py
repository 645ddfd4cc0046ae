"""Who is asking: credentials, the built-in token issuer, and the verification of access tokens.

Identity yields a `Principal` and nothing more; what a principal may do is decided by the rules.

| file | holds |
|---|---|
| `credentials.py` | the enrolments of a data folder |
| `jwks.py`, `secret.py`, `certificates.py` | the kinds of credential, judged at enrolment |
| `remote_keys.py` | key sets at addresses: of clients, and of issuers elsewhere |
| `keys.py`, `audit_keys.py` | the issuer's signing keys, key pairs for clients; the keys of the audit's chain |
| `authorities.py`, `forwarded.py` | which client certificates are accepted, and whose word for one is |
| `form.py`, `assertion.py`, `scopes.py` | the parts of a token request |
| `authorization_server.py`, `issuer.py` | the token endpoint, introspection and revocation |
| `own_token.py`, `revocations.py` | our own tokens afterwards: what they say, which were taken back |
| `verify.py`, `external.py` | access token to principal, ours and those of issuers elsewhere |
| `discovery.py` | the issuer's metadata |
| `development.py` | certificates to try things with |
| `jose.py` | signed texts, read strictly |
| `private_file.py` | files for the gateway's own account alone |
"""

from __future__ import annotations

from gateway.identity.authorities import Authorities, AuthoritiesError
from gateway.identity.authorization_server import TokenAnswer
from gateway.identity.certificates import BadCertificate, Certificate, described, read_certificate
from gateway.identity.credentials import Credentials, CredentialsError, Enrolment
from gateway.identity.discovery import Endpoints, authorization_server, smart_configuration
from gateway.identity.form import basic_client
from gateway.identity.forwarded import ClientCertificates
from gateway.identity.issuer import Form, Issuer
from gateway.identity.jwks import BadKeys
from gateway.identity.keys import KeyFile, KeysError, SigningKeys, new_client_key, public_set, signing_keys
from gateway.identity.remote_keys import RemoteKeys, fetch
from gateway.identity.revocations import Revocations
from gateway.identity.scopes import Scope
from gateway.identity.scopes import resources as scope_of
from gateway.identity.secret import BadSecret, new_secret
from gateway.identity.verify import Principal, TrustedIssuer, Unauthorised, Verifier, built_in, external

__all__ = [
    "Authorities",
    "AuthoritiesError",
    "BadCertificate",
    "BadKeys",
    "BadSecret",
    "Certificate",
    "ClientCertificates",
    "Credentials",
    "CredentialsError",
    "Endpoints",
    "Enrolment",
    "Form",
    "Issuer",
    "KeyFile",
    "KeysError",
    "Principal",
    "RemoteKeys",
    "Revocations",
    "Scope",
    "SigningKeys",
    "TokenAnswer",
    "TrustedIssuer",
    "Unauthorised",
    "Verifier",
    "authorization_server",
    "basic_client",
    "built_in",
    "described",
    "external",
    "fetch",
    "new_client_key",
    "new_secret",
    "public_set",
    "read_certificate",
    "scope_of",
    "signing_keys",
    "smart_configuration",
]
