"""The scopes that a client may ask for, and what each says.

A token without any is judged by the rules alone. What a scope narrows is decided where it is used; here it is only
whether a name is one that this gateway could ever hold.
Source: RFC 6749 section 3.3; SMART App Launch 2.2, "Scopes for requesting FHIR resources" (and the v1 names).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

COUNT: Final = 50
INGEST: Final = "ingest"

WORDS: Final = {"read": "rs", "write": "cud", "*": "cruds"}
"""Rights by the names that version 1 has for them."""
ASKING: Final = frozenset("rs")
"""Rights that a query may narrow: what is asked for can be looked up by it, what is about to be stored can not."""

# Version 2 names its rights in this order (`cruds`, none twice); version 1 has words, and no queries.
_RESOURCES: Final = re.compile(
    r"(?P<context>system|user|patient)/(?P<type>\*|[A-Z][A-Za-z]{1,63})"
    r"\.(?P<rights>read|write|\*|(?=[cruds])c?r?u?d?s?)(?:\?(?P<query>[\x21-\x7e]+))?"
)


class BadScope(Exception):  # noqa: N818 - the scope is at fault, not the program
    """A scope that this gateway doesn't give."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What one scope for FHIR resources says.

    Shape: `context` is `system`, `user` or `patient`; `type` a resource type or `*`; `rights` letters of `cruds`;
    `query` a search that narrows it, empty for none.
    """

    context: str
    type: str
    rights: str
    query: str


@lru_cache(maxsize=1024)
def resources(name: str) -> Scope | None:
    """What a scope says of FHIR resources; None for any other name, and for one that says nothing that can be held."""
    found = _RESOURCES.fullmatch(name)
    if found is None:
        return None
    scope = Scope(found["context"], found["type"], WORDS.get(found["rights"], found["rights"]), found["query"] or "")
    if scope.query and (scope.type == "*" or found["rights"] in WORDS):
        return None  # a parameter means something else for each type; version 1 has no queries
    return scope


def read(scope: str | None) -> tuple[str, ...]:
    """Names in a scope parameter, each once, in the order asked.

    Shape: empty where nothing was asked.
    Errors: BadScope for an unknown name, one that no token of this issuer could hold, or more than 50.
    """
    names = tuple(dict.fromkeys(name for name in (scope or "").split(" ") if name))
    if len(names) > COUNT or not all(name == INGEST or _held(resources(name)) for name in names):
        raise BadScope
    return names


def granted(scope: str | None, may: Callable[[str], bool]) -> tuple[str, ...]:
    """Those of the names that a client may use at all.

    Errors: BadScope as `read`, and where something was asked and nothing of it may be used: a token without scopes
    would be one for all that the rules allow.
    """
    names = read(scope)
    found = tuple(name for name in names if may(name))
    if names and not found:
        raise BadScope
    return found


def _held(scope: Scope | None) -> bool:
    """Whether a token of this issuer can carry it: it launches nothing, so it knows no patient in context."""
    if scope is None or scope.context == "patient":
        return False
    return not scope.query or ASKING.issuperset(scope.rights)
