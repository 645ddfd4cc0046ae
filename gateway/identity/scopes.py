"""The scopes that a client may ask for.

A token without any is judged by the rules alone. What a scope narrows is decided where it is used; here it is only
whether a name is one that this gateway could ever hold.
Source: RFC 6749 section 3.3; SMART App Launch 2.2, "Scopes for requesting FHIR resources" (and the v1 names).
"""

from __future__ import annotations

import re
from typing import Final

COUNT: Final = 50
INGEST: Final = "ingest"

# Version 2 names its rights in this order (`cruds`, none twice); version 1 has words. A granular scope
# (`system/Observation.rs?category=...`) is refused: a token must not carry a limit that nothing holds.
_SYSTEM: Final = re.compile(r"system/(?:\*|[A-Z][A-Za-z]{1,63})\.(?:read|write|\*|(?=[cruds])c?r?u?d?s?)")


class BadScope(Exception):  # noqa: N818 - the scope is at fault, not the program
    """A scope that this gateway doesn't give."""


def read(scope: str | None) -> tuple[str, ...]:
    """Names in a scope parameter, each once, in the order asked.

    Shape: empty where nothing was asked.
    Errors: BadScope for an unknown name, or more than 50.
    """
    names = tuple(dict.fromkeys(name for name in (scope or "").split(" ") if name))
    if len(names) > COUNT or not all(name == INGEST or _SYSTEM.fullmatch(name) for name in names):
        raise BadScope
    return names
