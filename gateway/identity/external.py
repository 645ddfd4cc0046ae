"""Access tokens of issuers elsewhere: which principal their client is, and what roles it brings.

Entra ID tells the client in `azp` (version 2) or `appid` (version 1) and its roles in `roles`; Keycloak in `azp` and
`realm_access.roles` or `resource_access.CLIENT.roles`, with several audiences. Both say `JWT` where RFC 9068 says
`at+jwt`. A client that configuration names no principal for is nobody, and a role that it maps to none counts for
nothing: who may ask an issuer for names must not choose whom this gateway takes it for.
Source: `rules-language.md` of the design, registry.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.identity import jose
from gateway.identity.jose import BadJws

NAME_LIMIT = 256
ROLES_LIMIT = 500
SCOPE_LIMIT = 4096


@dataclass(frozen=True, slots=True)
class Outside:
    """How the tokens of an issuer elsewhere are read.

    Shape: `clients` are principals by client, `roles` roles of the rules by the issuer's; `roles_claim` is the way to
    its list, member by member.
    """

    clients: Mapping[str, str]
    roles_claim: tuple[str, ...]
    roles: Mapping[str, str]
    user_claim: str | None = None


def principal_of(claims: Mapping[str, Any], claim: str, outside: Outside) -> str:
    """The principal that a token's client is.

    Errors: BadJws for a client that no principal is named for.
    """
    client = jose.text_claim(claims, claim, NAME_LIMIT)
    principal = None if client is None else outside.clients.get(client)
    if principal is None:
        raise BadJws("its client is not one of those that the gateway knows of its issuer")
    return principal


def roles_of(claims: Mapping[str, Any], outside: Outside) -> frozenset[str]:
    """The roles of the rules that a token brings.

    Errors: BadJws where the list of roles is there and is none.
    """
    place: Any = claims
    for name in outside.roles_claim:
        if not isinstance(place, dict):
            raise BadJws("its roles are not where they belong")
        if name not in place:
            return frozenset()
        place = place[name]
    if not isinstance(place, list) or len(place) > ROLES_LIMIT or not all(isinstance(role, str) for role in place):
        raise BadJws("its roles are not a list of texts")
    return frozenset(outside.roles[role] for role in place if role in outside.roles)


def scopes_of(claims: Mapping[str, Any]) -> tuple[str, ...]:
    """The scopes that narrow what a token may do; `scp` is Entra's name for them.

    Shape: names of OpenID Connect and of the issuer's own (`profile`, `email` ...) say nothing here and are left out;
    one that could be a scope of FHIR stays, whether it can be held or not.
    """
    text = jose.text_claim(claims, "scope" if "scope" in claims else "scp", SCOPE_LIMIT)
    return tuple(name for name in (text or "").split() if "/" in name or name == "ingest")
