"""Settings that are tables of their own: credentials for targets, certificates of clients, issuers elsewhere."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from gateway.config.web_address import web_address

_ITS_OWN = frozenset(
    {"host", "connection", "content-length", "content-type", "transfer-encoding", "accept", "if-match"}
)
"""Headers of a request to a target that no secret takes the place of."""
_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9\-]*")


class TargetCredentials(BaseModel):
    """What the gateway shows to one target. Secrets stand in files of their own, relative to the data folder.

    Shape: a token by client credentials (`token_url`, `client_id`, `client_secret_file`, maybe `scope`), where a signed
    assertion may stand for the secret (`client_key_file`, `client_key_id`, maybe `audience`, else it is for
    `token_url`); or a header (`header_file`, `header`); and, beside either or alone, a client certificate with its key,
    and the authority that the target's own certificate is checked by.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    token_url: Annotated[str, AfterValidator(web_address)] | None = None
    client_id: str = ""
    client_secret_file: Path | None = None
    client_key_file: Path | None = None
    client_key_id: str = ""
    audience: str = ""
    scope: str = ""
    header: str = "Authorization"
    header_file: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    authority: Path | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        by_key = self.client_key_file is not None
        if by_key and self.client_secret_file is not None:
            raise ValueError("a token is asked for with client_secret_file or with client_key_file, not both")
        if by_key != bool(self.client_key_id) or (self.audience and not by_key):
            raise ValueError("client_key_file and client_key_id go together, and audience with these")
        told = [bool(self.token_url), bool(self.client_id), by_key or self.client_secret_file is not None]
        if any(told) and not all(told):
            raise ValueError("token_url, client_id and client_secret_file (or client_key_file) go together")
        if all(told) and self.header_file is not None:
            raise ValueError("a target gets a token or a header from header_file, not both")
        if bool(self.certificate) != bool(self.key):
            raise ValueError("certificate and key go together")
        if not _HEADER.fullmatch(self.header) or self.header.lower() in _ITS_OWN:
            raise ValueError("header takes the name of a header that the gateway does not set itself")
        if self.header_file is None and "header" in self.model_fields_set:
            raise ValueError("header needs header_file, which holds its value")
        return self


class MutualTls(BaseModel):
    """Certificates of clients. Files are relative to the data folder.

    Shape: `port` opens a listener of its own, whose clients all show a certificate; it needs `certificate` and `key`,
    which are the gateway's own, and `url` is its public address. `authorities` are whose certificates are taken;
    `revocations` their lists of those that were taken back. A proxy that ends TLS tells the client's certificate in the
    header `Client-Cert`: it is believed over the Unix socket `socket`, and over `port` of a proxy whose own certificate
    is one of `proxies`; from anybody else the header counts for nothing.
    Source: RFC 8705, RFC 9440.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = "127.0.0.1"
    port: int | None = Field(default=None, ge=1, le=65535)
    url: Annotated[str, AfterValidator(web_address)] | None = None
    certificate: Path | None = None
    key: Path | None = None
    authorities: Path
    revocations: tuple[Path, ...] = ()
    proxies: tuple[Path, ...] = ()
    socket: Path | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.port is None and self.socket is None:
            raise ValueError("needs port, for clients that connect themselves, or socket, for a proxy")
        if self.port is not None and (self.certificate is None or self.key is None):
            raise ValueError("port needs certificate and key: the gateway's own, which clients check")
        if self.port is None and (self.url is not None or self.proxies):
            raise ValueError("url and proxies need port")
        return self


class ExternalIssuer(BaseModel):
    """An issuer elsewhere whose access tokens are believed, and how they look.

    Shape: `jwks` is the address of its keys; `audience` is what it calls this gateway. `client_claim` names the claim
    that tells the client (`azp`, `appid`, `client_id`), and `clients` which principal each is: a client that is not
    there is nobody. `roles_claim` is the way to a list of roles, and `roles` which role of the rules each is; others
    count for nothing. `types` are those of the header's `typ`, and an empty one lets it be absent.
    Source: RFC 9068; RFC 7517.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuer: str = Field(min_length=1)
    jwks: Annotated[str, AfterValidator(web_address)]
    audience: str = Field(min_length=1)
    algorithms: frozenset[Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"]] = (
        frozenset({"RS256"})
    )
    types: frozenset[str] = frozenset({"JWT", "at+jwt"})
    client_claim: str = "azp"
    clients: dict[str, str] = Field(min_length=1)
    roles_claim: tuple[str, ...] = ("roles",)
    roles: dict[str, str] = Field(default_factory=dict)
    user_claim: str | None = None
