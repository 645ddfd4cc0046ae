"""What an author probably meant by a word that means nothing where it stands."""

from __future__ import annotations

import re
from collections.abc import Iterable

from gateway.language.functions import PREDICATES
from gateway.language.types import Scope
from gateway.source import nearest, slip

AFTER_IS = ("present", "absent", "not", "true", "false", *PREDICATES)
"""What may follow `is`, beside values."""

# a segment, `row` or a loop variable, and what follows it
_HEADED = re.compile(r"([A-Za-z0-9]+)((?:-[1-9]\d{0,2})(?:\.[1-9]\d?){0,2}|\.[A-Za-z0-9_.-]+)")


def path(text: str, scope: Scope) -> str | None:
    """The path or fact that a word was probably meant for, whole; None where none is near."""
    whole = nearest(text, [*scope.facts, *scope.bound])
    if whole is not None and slip(text.casefold(), whole.casefold()) is not None:
        return whole
    match = _HEADED.fullmatch(text)
    head = None
    if match is not None and match[2].startswith("-"):
        head = nearest(match[1], {name for one in scope.dictionaries.values() for name in one.segments})
    elif match is not None:
        head = _slipped(match[1], [*scope.bound, *(["row"] if scope.layouts else [])])
    return whole if match is None or head is None else head + match[2]


def presence(text: str) -> str | None:
    """Whether `present` or `absent` was probably meant."""
    return next((word for word in ("present", "absent") if slip(text.casefold(), word)), None)


def value(text: str, scope: Scope) -> str | None:
    """The word that one after `is` or `in` was probably meant for, if it is one slip away."""
    return _slipped(text, [*AFTER_IS, *scope.sets, *scope.facts, *scope.bound]) or _slipped_path(text, scope)


def _slipped_path(text: str, scope: Scope) -> str | None:
    found = path(text, scope)
    return found if found is not None and slip(text.casefold(), found.casefold()) is not None else None


def _slipped(text: str, known: Iterable[str]) -> str | None:
    """The name that is one slip away."""
    near = nearest(text, known)
    return near if near is not None and slip(text.casefold(), near.casefold()) is not None else None


def hint(near: str | None) -> str | None:
    """The words of a suggestion."""
    return None if near is None else f"did you mean `{near}`?"
