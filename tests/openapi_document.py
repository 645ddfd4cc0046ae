"""What is wrong with an OpenAPI document, by the validator of the OpenAPI initiative's community."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Mapping
from typing import Any


@functools.cache
def _validator() -> Any:
    """The validator, imported by whoever asks first: it compiles grammars for longer than most modules' tests run."""
    return importlib.import_module("openapi_spec_validator").OpenAPIV31SpecValidator


def faults(document: Mapping[str, Any]) -> list[Exception]:
    """Where a document departs from OpenAPI 3.1."""
    return list(_validator()(document).iter_errors())
