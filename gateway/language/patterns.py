"""Regular expressions of authors: re2's, which take time in proportion to the text and no more."""

from __future__ import annotations

import functools
from typing import Any

import re2

from gateway.language.functions import EvaluationError


@functools.cache
def _options() -> Any:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 1 << 20  # a pattern that needs more is no rule's
    return options


@functools.lru_cache(maxsize=4096)
def compiled(pattern: str) -> Any:
    """A regular expression, ready. Errors: re2.error where it is none, or would take too much memory.

    Source: https://github.com/google/re2/wiki/Syntax
    """
    return re2.compile(pattern, _options())


def matches(value: object, pattern: Any) -> bool:
    """Whether a regular expression fits the whole of a text. Errors: EvaluationError where it is no text."""
    if not isinstance(value, str):
        raise EvaluationError("a value is not a text")
    return pattern.fullmatch(value) is not None
