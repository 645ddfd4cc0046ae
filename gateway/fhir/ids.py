"""What a resource's id may be.

Source: https://hl7.org/fhir/R4/datatypes.html#id
"""

from __future__ import annotations

import re
from typing import Final

ID: Final = r"[A-Za-z0-9\-.]{1,64}"
"""The form of an id, as a part of a regular expression."""

_ID: Final = re.compile(ID)


def is_id(text: str) -> bool:
    """Whether a text can be an id in an address: `.` and `..` are ids too, and name other places there."""
    return _ID.fullmatch(text) is not None and text not in {".", ".."}
