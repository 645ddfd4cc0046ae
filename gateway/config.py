"""Settings: what a site decides outside of the rules.

A setting comes, in this order, from a command-line flag, an environment variable `GATEWAY_NAME`, the file
`gateway.toml` in the data folder, or its default here; `targets` and `credentials` do so target by target. Rules never
read configuration but for `environment`, and configuration never says who may do what.
"""

from __future__ import annotations

import ipaddress
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import parse_qsl, urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict, SettingsError

from gateway.stated import Stated

REPOSITORY = Path(__file__).resolve().parent.parent
PREFIX = "GATEWAY_"
AUDIT_KEY = "audit.key"
ANCHORS, CHAINS = Path("audit") / "anchors.ndjson", Path("audit") / "chains"
FILE = "gateway.toml"
KEYS, CREDENTIALS, CLIENTS, FILES, EXPORTS = "keys", "credentials", "clients", "files", "exports"
"""Folders of the data folder."""


class ConfigError(Stated):
    """A setting that can't be used; its words name the setting, where it stands and what it takes."""


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's own."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def web_address(text: str) -> str:
    """An address of the web, without a slash at its end.

    Errors: ValueError for one with a query or credentials, or of plain HTTP elsewhere than on this machine.
    """
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise ValueError("takes an address such as https://exchange.example.org, without query or credentials")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ValueError("takes https; plain http is for loopback addresses alone")
    return text.rstrip("/")


_ITS_OWN = frozenset(
    {"host", "connection", "content-length", "content-type", "transfer-encoding", "accept", "if-match"}
)
"""Headers of a request to a target that no secret takes the place of."""
_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9\-]*")


SQLITE = "sqlite"


def _journal(text: str) -> str:
    """Where the journal is.

    Errors: ValueError, without the text: there may be a password in it.
    """
    if text == SQLITE:
        return text
    try:
        parts = urlsplit(text)
        named = parts.scheme in {"postgresql", "postgres"} and len(parts.path) > 1
        secret = parts.password is not None or "password" in {name for name, _ in parse_qsl(parts.query)}
    except ValueError:
        named = secret = False
    if not named or secret:
        raise ValueError(
            "takes sqlite, or an address such as postgresql://gateway@db.example.org/exchange without a password: "
            "the password comes from journal_password_file, or from the environment (PGPASSWORD, PGPASSFILE)"
        )
    return text


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


class Settings(BaseSettings):
    """Everything that is configured.

    Units: sizes in bytes, times in seconds.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", frozen=True, extra="forbid", validate_default=True
    )

    data: Path = Path("data")
    rules: Path = REPOSITORY / "rules"
    specs: Path = REPOSITORY / "specs"
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=1, le=65535)
    public_url: Annotated[str, AfterValidator(web_address)] = "http://localhost:8000"
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    environment: str = "production"
    application: str = "DEX"
    facility: str = "QVV"
    targets: dict[str, str] = Field(default_factory=dict)
    credentials: dict[str, TargetCredentials] = Field(default_factory=dict)
    client_secrets: bool = False
    mtls: MutualTls | None = None
    issuers: dict[str, ExternalIssuer] = Field(default_factory=dict)
    body_limit: int = Field(default=10 * 1024 * 1024, ge=1024)
    file_limit: int = Field(default=1024 * 1024 * 1024, ge=1024)
    rows_at_once: int = Field(default=5000, ge=1)
    parts_limit: int = Field(default=20_000, ge=100)
    batch_limit: int = Field(default=256 * 1024 * 1024, ge=1024)
    export_limit: int = Field(default=4 * 1024 * 1024 * 1024, ge=1024)
    answer_within: float = Field(default=25.0, gt=0)
    batch_within: float = Field(default=25.0, gt=0)
    page_size: int = Field(default=50, ge=1)
    page_limit: int = Field(default=500, ge=1)
    versioned_updates: bool = False
    rules_watched: float = Field(default=2.0, ge=0)
    journal: Annotated[str, AfterValidator(_journal)] = SQLITE
    journal_password_file: Path | None = None
    shared: Path | None = None
    journal_key_file: Path | None = None
    journal_keys: SecretStr = SecretStr("")
    audit_key_file: Path | None = None
    audit_anchors: Path | None = None
    audit_anchors_to: str | None = None
    audit_anchor_rows: int = Field(default=1000, ge=1)
    audit_anchor_seconds: float = Field(default=60.0, gt=0)
    purge_every: float = Field(default=3600.0, ge=0)
    metrics_host: str = "127.0.0.1"
    metrics_port: int | None = Field(default=None, ge=1, le=65535)
    trace_endpoint: Annotated[str, AfterValidator(web_address)] | None = None
    trace_share: float = Field(default=1.0, ge=0, le=1)
    failures_a_minute: int = Field(default=120, ge=0)
    connections: int = Field(default=2000, ge=1)
    head_within: float = Field(default=10.0, gt=0)
    body_rate: int = Field(default=500, ge=0)
    body_within: float = Field(default=10.0, gt=0)
    idle_within: float = Field(default=30.0, gt=0)

    @property
    def token_address(self) -> str:
        """The token endpoint's public address, which is the audience of every client assertion."""
        return f"{self.public_url}/$ingest/auth"

    @property
    def keys_folder(self) -> Path:
        """Where keys and secrets are, which all gateways on one journal share."""
        return (self.shared or self.data) / KEYS

    @property
    def audit_key(self) -> Path:
        """The file of the keys that the audit's rows are chained with, relative to the folder of keys."""
        return self.keys_folder / (self.audit_key_file or AUDIT_KEY)

    @property
    def anchors_file(self) -> Path:
        """The log of the audit's anchors, relative to the data folder."""
        return self.data / (self.audit_anchors or ANCHORS)

    @property
    def credentials_folder(self) -> Path:
        """Where principals' credentials are, which all gateways on one journal share."""
        return (self.shared or self.data) / CREDENTIALS

    @property
    def mtls_url(self) -> str | None:
        """Public address of the listener for clients with certificates, where there is one."""
        if self.mtls is None or self.mtls.port is None:
            return None
        return self.mtls.url or f"https://{urlsplit(self.public_url).hostname}:{self.mtls.port}"


def load(**flags: Any) -> Settings:
    """Read the settings.

    Shape: `flags` are those given on the command line, by field name; one that is None was not given.
    Errors: ConfigError for an unreadable file, an unknown name, a value that doesn't fit, or values that don't fit
    together: plain HTTP and client secrets are for loopback hosts alone, and each listener has a port of its own.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    spoken = _environment()
    data = Path(given.get("data") or spoken.get("data") or Settings.model_fields["data"].default)
    file = data / FILE
    stored = _stored(file)
    above = {**spoken, **given}
    try:
        settings = Settings(**{**stored, **above, **_by_target(stored, above), "data": data})
    except ValidationError as error:
        raise ConfigError(_words(error, file, stored, above)) from error
    if "public_url" not in settings.model_fields_set:
        settings = settings.model_copy(update={"public_url": f"http://localhost:{settings.port}"})
    if bool(settings.tls_certificate) != bool(settings.tls_key):
        raise ConfigError("tls_certificate and tls_key go together: give both, or neither on a loopback host")
    if not settings.tls_certificate and not is_loopback(settings.host):
        raise ConfigError(
            f"host {settings.host} is not a loopback address, and plain HTTP is served on loopback alone: "
            f"give tls_certificate and tls_key in {file}, or leave host at 127.0.0.1"
        )
    hosts = [settings.host, *([settings.mtls.host] if settings.mtls is not None else [])]
    open_host = next((host for host in hosts if not is_loopback(host)), None)
    if settings.client_secrets and open_host is not None:
        raise ConfigError(
            f"client_secrets is on and host {open_host} is not a loopback address: secrets are for loopback alone. "
            "Enrol every principal with a key (`gateway principals enrol NAME --jwks FILE`) and set "
            "client_secrets = false, or leave host at 127.0.0.1"
        )
    if settings.client_secrets and settings.mtls is not None and settings.mtls.socket is not None:
        raise ConfigError(
            "client_secrets is on and mtls.socket is set, which serves a proxy's clients from anywhere: secrets are "
            "for loopback alone. Set client_secrets = false, or leave mtls.socket out"
        )
    _judge_ports(settings)
    return settings


def _judge_ports(settings: Settings) -> None:
    """Whether each listener has a port of its own.

    Errors: ConfigError.
    """
    mtls_port = settings.mtls.port if settings.mtls is not None else None
    listeners = (("port", settings.port), ("mtls.port", mtls_port), ("metrics_port", settings.metrics_port))
    taken: dict[int, str] = {}
    for name, port in listeners:
        if port is None:
            continue
        if port in taken:
            raise ConfigError(
                f"{taken[port]} and {name} are both {port}: give each listener a port of its own, or leave {name} out"
            )
        taken[port] = name


def _environment() -> dict[str, Any]:
    """What environment variables say, by field name, whatever the case of their names.

    Errors: ConfigError for a variable that takes JSON and has none.
    """
    try:
        return EnvSettingsSource(Settings)()
    except SettingsError as error:
        raise ConfigError(f"an environment variable can't be read: {error}; a table takes JSON") from error


def _stored(file: Path) -> dict[str, Any]:
    """What the file says; nothing where there is none.

    Errors: ConfigError.
    """
    try:
        return tomllib.loads(file.read_text("utf-8")) if file.exists() else {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{file} can't be read as TOML: {error}") from error


def _by_target(stored: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """The tables, entry by entry: what stands above the file takes the place of the file's.

    Shape: nothing where either isn't a table; then what is higher says all of it.
    """
    tables = {name: (stored.get(name), above.get(name)) for name in ("targets", "credentials", "mtls", "issuers")}
    return {
        name: {**low, **high}
        for name, (low, high) in tables.items()
        if isinstance(low, dict) and isinstance(high, dict)
    }


def _has(values: Any, place: tuple[int | str, ...]) -> bool:
    """Whether there is anything at a place in nested tables."""
    if not place:
        return True
    return isinstance(values, dict) and place[0] in values and _has(values[place[0]], place[1:])


def _words(error: ValidationError, file: Path, stored: dict[str, Any], above: dict[str, Any]) -> str:
    rows = []
    for fault in error.errors():
        name = ".".join(str(part) for part in fault["loc"])
        table = fault["loc"][:-1] if fault["type"] == "missing" else fault["loc"]
        in_file = _has(stored, table) and not _has(above, table)
        place = str(file) if in_file else "flag or environment variable"
        rows.append(f"setting `{name}` ({place}): {fault['msg']}")
    return "\n".join(rows)
