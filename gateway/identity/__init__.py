"""Who is asking: credentials, the built-in token issuer, and the verification of access tokens.

Identity yields a `Principal` and nothing more; what a principal may do is decided by the rules.

| file | holds |
|---|---|
| `credentials.py` | the enrolments of a data folder |
| `jwks.py`, `secret.py` | the two kinds of credential, judged at enrolment |
| `keys.py` | the issuer's signing keys, key pairs for clients |
| `form.py`, `assertion.py`, `scopes.py` | the parts of a token request |
| `issuer.py` | the token endpoint |
| `verify.py` | access token to principal |
| `jose.py` | signed texts, read strictly |
| `private_file.py` | files for the gateway's own account alone |
"""

from __future__ import annotations

from gateway.identity.credentials import Credentials, CredentialsError, Enrolment
from gateway.identity.issuer import Issuer, TokenAnswer
from gateway.identity.jwks import BadKeys
from gateway.identity.keys import KeysError, SigningKeys, new_client_key, public_set, signing_keys
from gateway.identity.scopes import Scope
from gateway.identity.scopes import resources as scope_of
from gateway.identity.secret import BadSecret, new_secret
from gateway.identity.verify import Principal, TrustedIssuer, Unauthorised, Verifier, built_in

__all__ = [
    "BadKeys",
    "BadSecret",
    "Credentials",
    "CredentialsError",
    "Enrolment",
    "Issuer",
    "KeysError",
    "Principal",
    "Scope",
    "SigningKeys",
    "TokenAnswer",
    "TrustedIssuer",
    "Unauthorised",
    "Verifier",
    "built_in",
    "new_client_key",
    "new_secret",
    "public_set",
    "scope_of",
    "signing_keys",
]
