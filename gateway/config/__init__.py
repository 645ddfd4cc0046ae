"""Settings: what a site decides outside of the rules.

A setting comes, in this order, from a command-line flag, an environment variable `GATEWAY_NAME`, the file
`gateway.toml` in the data folder, or its default; `targets`, `credentials`, `mtls` and `issuers` do so entry by entry.
Rules never read configuration but for `environment`, and configuration never says who may do what. `settings.py` has
all with their defaults, `tables.py` what stands in tables such as credentials; `reading.py` finds and judges them.
"""

from gateway.config.reading import ConfigError, load
from gateway.config.settings import (
    CHAINS,
    CLIENTS,
    CREDENTIALS,
    EXPORTS,
    FILE,
    FILES,
    KEYS,
    REPOSITORY,
    SQLITE,
    WORKERS,
    Settings,
)
from gateway.config.tables import ExternalIssuer, MutualTls, TargetCredentials
from gateway.config.web_address import is_loopback, web_address

__all__ = [
    "CHAINS",
    "CLIENTS",
    "CREDENTIALS",
    "EXPORTS",
    "FILE",
    "FILES",
    "KEYS",
    "REPOSITORY",
    "SQLITE",
    "WORKERS",
    "ConfigError",
    "ExternalIssuer",
    "MutualTls",
    "Settings",
    "TargetCredentials",
    "is_loopback",
    "load",
    "web_address",
]
