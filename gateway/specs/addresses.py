"""Short names in the tables of FHIR, and the URLs that they stand for."""

from __future__ import annotations

FHIR = "http://hl7.org/fhir/"
VALUE_SETS = FHIR + "ValueSet/"
SEARCH_PARAMETERS = FHIR + "SearchParameter/"


def absolute(name: str, base: str) -> str:
    """URL that a short name stands for below `base`; a URL or URN stays as it is."""
    return name if ":" in name else base + name
