"""Settings read from flags, the environment and the file, and judged together."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import EnvSettingsSource, SettingsError

from gateway.config.settings import FILE, SQLITE, Settings
from gateway.config.web_address import is_loopback
from gateway.stated import Stated

HIGHEST_PORT = 65535


class ConfigError(Stated):
    """A setting that can't be used; its words name the setting, where it stands and what it takes."""


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
        settings = Settings(**{**stored, **above, **_entry_by_entry(stored, above), "data": data})
    except ValidationError as error:
        raise ConfigError(_words(error, file, stored, above)) from error
    if "public_url" not in settings.model_fields_set:
        settings = settings.model_copy(update={"public_url": f"http://localhost:{settings.port}"})
    _judge_hosts(settings, file)
    _judge_ports(settings)
    _judge_workers(settings)
    return settings


def _judge_hosts(settings: Settings, file: Path) -> None:
    """Whether what is served for other machines is safe there. Shape: `file` is where to mend it.

    Errors: ConfigError.
    """
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


def _judge_ports(settings: Settings) -> None:
    """Whether each listener has a port of its own.

    Errors: ConfigError.
    """
    mtls_port = settings.mtls.port if settings.mtls is not None else None
    listeners = (("port", settings.port), ("mtls.port", mtls_port), ("metrics_port", settings.metrics_port))
    taken: dict[int, str] = {}
    # each worker has a port of its own for metrics
    more = range(1, settings.workers if settings.metrics_port is not None else 1)
    of_workers = tuple((f"metrics_port of worker {one + 1}", (settings.metrics_port or 0) + one) for one in more)
    for name, port in (*listeners, *of_workers):
        if port is not None and port > HIGHEST_PORT:
            raise ConfigError(f"{name} would be {port}, and there is no port above {HIGHEST_PORT}: lower metrics_port")
        if port is None:
            continue
        if port in taken:
            raise ConfigError(
                f"{taken[port]} and {name} are both {port}: give each listener a port of its own, or leave {name} out"
            )
        taken[port] = name


def _judge_workers(settings: Settings) -> None:
    """Whether several processes can share the journal.

    Errors: ConfigError.
    """
    if settings.workers > 1 and settings.journal == SQLITE:
        raise ConfigError(
            f"workers is {settings.workers}, and the journal is an SQLite file, which is for one process: set "
            'journal = "postgresql://..." (gateway/README.md, "Several gateways"), or leave workers out'
        )


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


def _entry_by_entry(stored: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
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
