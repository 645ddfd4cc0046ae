"""Resources judged by models that others wrote: `fhir.resources`, R4B. A second opinion beside the R4 table.

R4B is R4 but for some twenty types, most of which it lacks. The models judge references and many codes less strictly
than the table does (facts.md of the design), and never write what is stored: they are asked, no more.
"""

from __future__ import annotations

import functools
import importlib
from typing import Any

from pydantic import ValidationError

from gateway.fhir.cleaning import clean
from gateway.fhir.jsonformat import Resource, dump
from gateway.finding import Finding

_PACKAGE = "fhir.resources.R4B"
_NO_MODEL = "FHIR-NO-MODEL"


def departures_from_model(resource: Resource, most: int | None = None) -> tuple[Finding, ...]:
    """Everything in which a resource departs from its model; empty where nothing does.

    Shape: as `validate` tells it, `rule` is `FHIR-MODEL`. A type without a model can't be judged, which is told too.
    """
    kind = str(resource.get("resourceType"))
    try:
        _model(kind).model_validate_json(dump(resource))
    except ValidationError as fault:
        return tuple(_finding(kind, one) for one in fault.errors(include_url=False, include_input=False)[:most])
    except (KeyError, LookupError) as fault:
        words = (
            f"R4B has no model for a type in this {kind} ({str(fault)[:60]}), so it could not be judged by its model"
        )
        return (Finding("error", "not-supported", clean(words), kind, _NO_MODEL),)
    return ()


def has_model(kind: str) -> bool:
    """Whether there is a model of a resource type."""
    try:
        _model(kind)
    except LookupError:
        return False
    return True


def _finding(kind: str, error: Any) -> Finding:
    place = kind
    for step in error["loc"]:
        place += f"[{step}]" if isinstance(step, int) else f".{step}"
    words = str(error["msg"]).removeprefix("Value error, ")
    return Finding("error", "structure", clean(f"the model says: {words}"), place, "FHIR-MODEL")


@functools.cache
def _package() -> Any:
    # imported when a rule first asks for it: 170 ms of CPU that no other gateway needs
    return importlib.import_module(_PACKAGE)


@functools.cache
def _model(kind: str) -> Any:
    try:
        return _package().get_fhir_model_class(kind)
    except (KeyError, ValueError) as error:
        raise LookupError(kind) from error
