"""Scopes of a token narrow what the rules allow; they never widen it.

Source: `trust.md` of the design; SMART App Launch 2.2, "Scopes for requesting FHIR resources".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from gateway.identity import Scope, scope_of
from gateway.interactions.refused import Refused, error

RIGHTS = {
    "search": "s", "count": "s", "read": "r", "history": "r", "create": "c", "update": "u", "patch": "u", "delete": "d",
    "operation everything": "r", "operation export": "r", "operation validate": "r",
}  # fmt: skip
"""Source: SMART App Launch 2.2: `r` covers reading versions too, `u` includes an update that creates and patches."""

INGEST = "ingest"
NARROWED = frozenset({"search", "count", "read", "operation everything", "operation export"})
"""Actions that a scope with a query covers: what they show stands, so that it can be looked up by the query."""


@dataclass(frozen=True, slots=True)
class Held:
    """The scopes of one request.

    Shape: `names` as the token has them, none for a token that the rules alone narrow; `user` whether a user is known,
    without whom `user/` gives nothing; `patient` the id of the patient in context, without whom `patient/` gives
    nothing; `unusable` why a query gives nothing, by the scope's name.
    """

    names: tuple[str, ...] = ()
    user: bool = False
    patient: str | None = None
    unusable: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, ...]:
        """What tells these scopes from others."""
        return *self.names, f"user: {self.user}", f"patient: {self.patient}"

    def queried(self) -> Iterator[tuple[str, Scope]]:
        """Those that have a query, by name."""
        for name in self.names:
            scope = scope_of(name)
            if scope is not None and scope.query:
                yield name, scope


NONE = Held()


def check_ingest(held: Held) -> None:
    """Whether a token may submit.

    Errors: Refused (403) for a token that has scopes, and not `ingest`.
    """
    if held.names and INGEST not in held.names:
        raise Refused("denied", error(
            "forbidden", f"the scopes of this token leave out {INGEST}; ask for a token with it, or with no scope",
            "Authorization", "HTTP-A05",
        ))  # fmt: skip


def covers(held: Held, action: str, resource_type: str) -> bool:
    """Whether a token may do this with some of a type's resources; one without scopes may do what the rules allow."""
    return not held.names or next(_covering(held, action, resource_type), None) is not None


def bounds(held: Held, action: str, resource_type: str) -> tuple[Scope, ...] | None:
    """The scopes one of which a resource has to fit; None where a token may do this with all that the rules allow."""
    if not held.names:
        return None
    found = tuple(_covering(held, action, resource_type))
    return None if any(not one.query and one.context != "patient" for one in found) else found


def check_access(held: Held, action: str, resource_type: str) -> None:
    """Whether a token may do this with a type.

    Errors: Refused (403) for a token that has scopes, and none for this.
    """
    if covers(held, action, resource_type):
        return
    wanted = f"system/{resource_type}.{RIGHTS[action]}"
    words = f"the scopes of this token leave out {wanted}; ask for a token with it, or with no scope"
    told = [f"{name}: {why}" for name, why in held.unusable.items() if f"/{resource_type}." in name]
    raise Refused("denied", error("forbidden", "; ".join([words, *told]), "Authorization", "HTTP-A05"))


def _covering(held: Held, action: str, resource_type: str) -> Iterator[Scope]:
    right = RIGHTS.get(action)
    for name in held.names:
        scope = scope_of(name)
        if scope is None or right is None or scope.type not in {"*", resource_type} or right not in scope.rights:
            continue
        if (scope.context == "user" and not held.user) or (scope.context == "patient" and held.patient is None):
            continue
        if scope.query and (action not in NARROWED or name in held.unusable):
            continue
        yield scope
