"""Codes beside the value sets of a profile."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gateway.fhir.faults import Faults, fault, shown

Codings = frozenset[tuple[str, str]]
"""Pairs of system and code; the code `*` is any of its system."""

ANY = "*"


def codings(value: Any) -> Iterator[Mapping[str, Any]]:
    """The codings of a CodeableConcept or a Coding."""
    if not isinstance(value, dict):
        return
    if "coding" in value:
        yield from value["coding"]
    elif "code" in value or "system" in value:
        yield value


def holds(coding: Mapping[str, Any], allowed: Codings) -> bool:
    """Whether a coding is in a value set."""
    system = str(coding.get("system"))
    return (system, str(coding.get("code"))) in allowed or (system, ANY) in allowed


def required(value: Any, allowed: Codings, value_set: str) -> Faults:
    """Faults of a concept that has to have one of its codings in a value set."""
    if any(holds(coding, allowed) for coding in codings(value)):
        return ()
    return fault("code-invalid", "PROFILE-CODE", f"no coding is in {value_set}, which is required")


def advised(value: Any, allowed: Codings, value_set: str) -> Faults:
    """Warnings of codes that a value set lacks, of the systems that it lists: of others it allows what it needs.

    Source: https://hl7.org/fhir/R4/terminologies.html#extensible
    """
    systems = {system for system, _ in allowed}
    for coding in codings(value):
        if str(coding.get("system")) in systems and "code" in coding and not holds(coding, allowed):
            words = f"`{shown(coding['code'])}` of {shown(coding['system'])} is not in {value_set}"
            return fault("code-invalid", "PROFILE-CODE", words, severity="warning")
    return ()
