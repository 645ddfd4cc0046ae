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
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict, SettingsError

REPOSITORY = Path(__file__).resolve().parent.parent
PREFIX = "GATEWAY_"
FILE = "gateway.toml"


class ConfigError(Exception):
    """A setting that can't be used; its words name the setting, where it stands and what it takes."""


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's own."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _address(text: str) -> str:
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


class TargetCredentials(BaseModel):
    """What the gateway shows to one target. Secrets stand in files of their own, relative to the data folder.

    Shape: a token by client credentials (`token_url`, `client_id`, `client_secret_file`, maybe `scope`), or a header
    (`header_file`, `header`); and, beside either or alone, a client certificate with its key, and the authority that
    the target's own certificate is checked by.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    token_url: Annotated[str, AfterValidator(_address)] | None = None
    client_id: str = ""
    client_secret_file: Path | None = None
    scope: str = ""
    header: str = "Authorization"
    header_file: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    authority: Path | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        told = [bool(self.token_url), bool(self.client_id), self.client_secret_file is not None]
        if any(told) and not all(told):
            raise ValueError("token_url, client_id and client_secret_file go together")
        if all(told) and self.header_file is not None:
            raise ValueError("a target gets a token or a header from header_file, not both")
        if bool(self.certificate) != bool(self.key):
            raise ValueError("certificate and key go together")
        if not _HEADER.fullmatch(self.header) or self.header.lower() in _ITS_OWN:
            raise ValueError("header takes the name of a header that the gateway does not set itself")
        if self.header_file is None and "header" in self.model_fields_set:
            raise ValueError("header needs header_file, which holds its value")
        return self


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
    public_url: Annotated[str, AfterValidator(_address)] = "http://localhost:8000"
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    environment: str = "production"
    application: str = "DEX"
    facility: str = "QVV"
    targets: dict[str, str] = Field(default_factory=dict)
    credentials: dict[str, TargetCredentials] = Field(default_factory=dict)
    client_secrets: bool = False
    body_limit: int = Field(default=10 * 1024 * 1024, ge=1024)
    file_limit: int = Field(default=1024 * 1024 * 1024, ge=1024)
    rows_at_once: int = Field(default=5000, ge=1)
    batch_limit: int = Field(default=256 * 1024 * 1024, ge=1024)
    answer_within: float = Field(default=25.0, gt=0)
    batch_within: float = Field(default=25.0, gt=0)
    page_size: int = Field(default=50, ge=1)
    page_limit: int = Field(default=500, ge=1)
    versioned_updates: bool = False
    rules_watched: float = Field(default=2.0, ge=0)

    @property
    def token_address(self) -> str:
        """The token endpoint's public address, which is the audience of every client assertion."""
        return f"{self.public_url}/$ingest/auth"


def load(**flags: Any) -> Settings:
    """Read the settings.

    Shape: `flags` are those given on the command line, by field name; one that is None was not given.
    Errors: ConfigError for an unreadable file, an unknown name, a value that doesn't fit, or values that don't fit
    together: plain HTTP and client secrets are for loopback hosts alone.
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
    if settings.client_secrets and not is_loopback(settings.host):
        raise ConfigError(
            f"client_secrets is on and host {settings.host} is not a loopback address: secrets are for loopback alone. "
            "Enrol every principal with a key (`gateway principals enrol NAME --jwks FILE`) and set "
            "client_secrets = false, or leave host at 127.0.0.1"
        )
    return settings


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
    """The tables by target, target by target: what stands above the file takes the place of the file's.

    Shape: nothing where either isn't a table; then what is higher says all of it.
    """
    tables = {name: (stored.get(name), above.get(name)) for name in ("targets", "credentials")}
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
        in_file = _has(stored, fault["loc"]) and not _has(above, fault["loc"])
        place = str(file) if in_file else "flag or environment variable"
        rows.append(f"setting `{name}` ({place}): {fault['msg']}")
    return "\n".join(rows)
