"""What an engine or a partner does: get a token, send, search, read.

`gateway send`, `gateway token`, the demo, the tests' engines and the bench use it. `requests` says once what is asked
and how an answer is read, `tokens` is an httpx authentication flow; both serve the two `clients`, the synchronous
`GatewayClient` and the `AsyncGatewayClient`. `credentials` reads what a client proves itself by, `tls` its certificate.
"""

from gateway.client.clients import AsyncGatewayClient, GatewayClient, Unreachable
from gateway.client.credentials import Credential, CredentialError, PrivateKey, Secret, load_credential, private_key
from gateway.client.requests import Answer, Asked, Sent, reading, searching, sent, submission
from gateway.client.tls import tls_of
from gateway.client.tokens import TokenFlow, TokenRefused

__all__ = [
    "Answer",
    "Asked",
    "AsyncGatewayClient",
    "Credential",
    "CredentialError",
    "GatewayClient",
    "PrivateKey",
    "Secret",
    "Sent",
    "TokenFlow",
    "TokenRefused",
    "Unreachable",
    "load_credential",
    "private_key",
    "reading",
    "searching",
    "sent",
    "submission",
    "tls_of",
]
