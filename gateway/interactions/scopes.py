"""Scopes of a token narrow what the rules allow; they never widen it.

Source: `trust.md` of the design; SMART App Launch 2.2, "Scopes for requesting FHIR resources".
"""

from __future__ import annotations

from gateway.interactions.refused import Refused, error

RIGHTS = {"search": "s", "read": "r"}
INGEST = "ingest"
WORDS = {"read": "rs", "write": "cud", "*": "cruds"}


def check_ingest(scopes: tuple[str, ...]) -> None:
    """Whether a token may submit.

    Errors: Refused (403) for a token that has scopes, and not `ingest`.
    """
    if scopes and INGEST not in scopes:
        raise Refused("denied", error(
            "forbidden", f"the scopes of this token leave out {INGEST}; ask for a token with it, or with no scope",
            "Authorization", "HTTP-A05",
        ))  # fmt: skip


def check_access(scopes: tuple[str, ...], action: str, resource_type: str) -> None:
    """Whether a token may search or read a type.

    Errors: Refused (403) for a token that has scopes, and none for this.
    """
    if not scopes:
        return
    for scope in scopes:
        named, _, rights = scope.removeprefix("system/").partition(".")
        if scope != INGEST and named in {"*", resource_type} and RIGHTS[action] in WORDS.get(rights, rights):
            return
    wanted = f"system/{resource_type}.{RIGHTS[action]}"
    raise Refused("denied", error(
        "forbidden", f"the scopes of this token leave out {wanted}; ask for a token with it, or with no scope",
        "Authorization", "HTTP-A05",
    ))  # fmt: skip
