"""Who is let in, put together from settings: the issuer, what verifies tokens, and what judges client certificates.

Source: `trust.md` of the design, "Identity".
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import structlog

from gateway.config import ConfigError, Settings
from gateway.identity import (
    Authorities,
    BadCertificate,
    ClientCertificates,
    Credentials,
    Issuer,
    KeyFile,
    RemoteKeys,
    TrustedIssuer,
    Verifier,
    built_in,
    described,
    external,
    fetch,
    read_certificate,
)
from gateway.journal import Journal, token_ids
from gateway.rules import RuleSet

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Trust:
    """What a gateway knows its clients by. Shape: `certificates` is None where none are asked for."""

    issuer: Issuer
    verifier: Verifier
    certificates: ClientCertificates | None


@asynccontextmanager
async def trusted(settings: Settings, journal: Journal, declared: RuleSet) -> AsyncIterator[Trust]:
    """Open what knows clients, and close it again.

    Errors: as `check`; KeysError for the file of signing keys.
    """
    keys = KeyFile(settings.keys_folder)
    credentials = Credentials(settings.credentials_folder)
    remote = RemoteKeys(fetch)
    issuer = Issuer(
        public_url=settings.public_url, token_address=settings.token_address, keys=keys, credentials=credentials,
        claim_token_id=journal.claim_token_id, secret_basic=settings.client_secrets, remote=remote,
    )  # fmt: skip
    verifier = Verifier(
        [built_in(keys, settings.public_url), *_external(settings, declared, remote)], credentials,
        realm=settings.public_url, token_address=settings.token_address, revoked=issuer.revoked,
    )  # fmt: skip

    async def kept(name: str) -> Mapping[str, float]:
        return await journal.read(token_ids(name))

    try:
        certificates = _certificates(settings)
        await issuer.revoked.look(kept)
        follower = asyncio.create_task(issuer.revoked.follow(kept, _told), name="revocations")
        yield Trust(issuer, verifier, certificates)
        follower.cancel()
        with suppress(asyncio.CancelledError):
            await follower
    finally:
        issuer.close()


def check(settings: Settings, declared: RuleSet) -> None:
    """Whether what settings say of issuers and certificates can be used: said before anything is served.

    Errors: ConfigError, AuthoritiesError.
    """
    _external(settings, declared, RemoteKeys(fetch))
    _certificates(settings)


def _told(fault: Exception) -> None:
    log.warning("revoked tokens of other gateways can't be read", why=str(fault))


def _external(settings: Settings, declared: RuleSet, remote: RemoteKeys) -> list[TrustedIssuer]:
    """The issuers elsewhere.

    Errors: ConfigError for one that is named twice, and for principals and roles that no rule file declares.
    """
    registry, seen = declared.registry, {settings.public_url}
    for name, one in settings.issuers.items():
        if one.issuer in seen:
            raise ConfigError(f"setting `issuers.{name}.issuer`: {one.issuer} is the name of another issuer already")
        seen.add(one.issuer)
        for table, used, known in (
            ("clients", one.clients, registry.principals),
            ("roles", one.roles, registry.roles),
        ):
            strangers = sorted(set(used.values()) - set(known))
            if strangers:
                raise ConfigError(
                    f"setting `issuers.{name}.{table}` names {', '.join(strangers)}, which no rule file declares; "
                    f"declared: {', '.join(sorted(known)) or 'none'}"
                )
    return [external(one, remote) for one in settings.issuers.values()]


def _certificates(settings: Settings) -> ClientCertificates | None:
    mtls = settings.mtls
    if mtls is None:
        return None
    data = settings.data
    authorities = Authorities(data / mtls.authorities, tuple(data / path for path in mtls.revocations))
    proxies = set()
    for path in mtls.proxies:
        try:
            proxies.add(described(read_certificate((data / path).read_bytes())).thumbprint)
        except (BadCertificate, OSError) as bad:
            raise ConfigError(f"setting `mtls.proxies`: {data / path} can't be read: {bad}") from bad
    return ClientCertificates(authorities, frozenset(proxies))
