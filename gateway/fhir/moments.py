"""Which of two dates or moments is the later, as FHIR writes them.

Source: https://hl7.org/fhir/R4/datatypes.html#dateTime, http://hl7.org/fhirpath/N1/#comparison
"""

from __future__ import annotations

from datetime import datetime


def compared(one: str, other: str) -> int | None:
    """-1 where the first is earlier, 0 where both are the same, 1 where it is later; None where that can't be told.

    Shape: dates of one precision compare as texts; a date and a moment, or texts that are neither, can't be told.
    """
    if "T" not in one and "T" not in other:
        return (one > other) - (one < other) if len(one) == len(other) else None
    try:
        first, second = datetime.fromisoformat(one), datetime.fromisoformat(other)
        return (first > second) - (first < second)
    except (ValueError, TypeError):
        return None
