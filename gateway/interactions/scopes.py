"""Scopes of a token narrow what the rules allow; they never widen it.

Source: `trust.md` of the design; SMART App Launch 2.2, "Scopes for requesting FHIR resources".
"""

from __future__ import annotations

from gateway.interactions.refused import Refused, error

RIGHTS = {"search": "s", "count": "s", "read": "r", "history": "r", "create": "c", "update": "u"}
"""Source: SMART App Launch 2.2: `r` covers reading versions too, `u` includes an update that creates."""

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


def covers(scopes: tuple[str, ...], action: str, resource_type: str) -> bool:
    """Whether a token may do this with a type; one without scopes may do what the rules allow."""
    for scope in scopes:
        named, _, rights = scope.removeprefix("system/").partition(".")
        if scope != INGEST and named in {"*", resource_type} and RIGHTS[action] in WORDS.get(rights, rights):
            return True
    return not scopes


def check_access(scopes: tuple[str, ...], action: str, resource_type: str) -> None:
    """Whether a token may do this with a type.

    Errors: Refused (403) for a token that has scopes, and none for this.
    """
    if covers(scopes, action, resource_type):
        return
    wanted = f"system/{resource_type}.{RIGHTS[action]}"
    raise Refused("denied", error(
        "forbidden", f"the scopes of this token leave out {wanted}; ask for a token with it, or with no scope",
        "Authorization", "HTTP-A05",
    ))  # fmt: skip
