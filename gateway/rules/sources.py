"""Who contributed to a stored resource: the facts `source.organisations` and `source.domains`.

Read from the tags that ingest and writes leave on it (`fhir.contributed`). The systems are known by their ends, so that
rules need not be told the address that a site has them under.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.fhir.marks import DOMAIN, ORGANISATION
from gateway.language.functions import EvaluationError


def organisations(resource: Mapping[str, Any]) -> frozenset[str]:
    """ODS codes of the organisations that contributed, in upper case; empty where none is told.

    Errors: EvaluationError for tags that are none.
    """
    return frozenset(code.upper() for code in _codes(resource, ORGANISATION))


def domains(resource: Mapping[str, Any]) -> frozenset[str]:
    """Names of the domains that it was contributed to; empty where none is told. Errors: EvaluationError."""
    return _codes(resource, DOMAIN)


def _codes(resource: Mapping[str, Any], system: str) -> frozenset[str]:
    try:
        tags = resource.get("meta", {}).get("tag", ())
        return frozenset(str(tag["code"]) for tag in tags if str(tag.get("system")).endswith(system) and "code" in tag)
    except (AttributeError, TypeError) as fault:
        raise EvaluationError("the tags of a resource are none") from fault
