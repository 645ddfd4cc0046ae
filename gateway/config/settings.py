"""All settings with their defaults, and the folders and files that follow from them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import parse_qsl, urlsplit

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from gateway.config.tables import ExternalIssuer, MutualTls, TargetCredentials
from gateway.config.web_address import web_address

REPOSITORY = Path(__file__).resolve().parents[2]
PREFIX = "GATEWAY_"
AUDIT_KEY = "audit.key"
ANCHORS, CHAINS = Path("audit") / "anchors.ndjson", Path("audit") / "chains"
FILE = "gateway.toml"
KEYS, CREDENTIALS, CLIENTS, FILES, EXPORTS = "keys", "credentials", "clients", "files", "exports"
WORKERS = "workers"
"""Folders of the data folder."""

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
    workers: int = Field(default=1, ge=1, le=64)

    @property
    def token_address(self) -> str:
        """The token endpoint's public address, which is the audience of every client assertion."""
        return f"{self.public_url}/$ingest/auth"

    def own_folder(self, worker: int | None) -> Path:
        """The folder of what one process alone has: the data folder, or a worker's part of it."""
        return self.data if worker is None else self.data / WORKERS / str(worker)

    @property
    def own_folders(self) -> tuple[Path, ...]:
        """The folders of all processes that ever served from this data folder, one at a time or together."""
        return (self.data, *sorted((self.data / WORKERS).glob("*")))

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
