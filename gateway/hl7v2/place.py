"""Places in a message, as findings name them: `PID-3[1].1`, `OBX[2]-5`.

Shape: a segment's name, its number among those of its name if it isn't the first or only one, a field, its repetition,
a component, a sub-component; all counted from 1.
Source: HL7 v2.5.1, chapter 2.A.28 (ERL, error location).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from gateway.hl7v2.delimiters import Delimiters

_PLACE = re.compile(
    r"([A-Z][A-Z0-9]{2})(?:\[(\d{1,6})\])?"
    r"(?:-(\d{1,4})(?:\[(\d{1,6})\])?(?:\.(\d{1,4})(?:\.(\d{1,4}))?)?)?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a message; None for what isn't said."""

    segment: str
    number: int = 1
    field: int | None = None
    repetition: int | None = None
    component: int | None = None
    subcomponent: int | None = None

    def __str__(self) -> str:
        """The place as findings write it."""
        text = self.segment if self.number == 1 else f"{self.segment}[{self.number}]"
        if self.field is None:
            return text
        text += f"-{self.field}"
        if self.repetition is not None:
            text += f"[{self.repetition}]"
        if self.component is not None:
            text += f".{self.component}"
        if self.subcomponent is not None:
            text += f".{self.subcomponent}"
        return text


def parse(text: str) -> Place | None:
    """The place that an expression names, or None where it names something else (`Patient.birthDate`)."""
    found = _PLACE.fullmatch(text)
    if found is None:
        return None
    number, field, repetition, component, subcomponent = (int(g) if g else None for g in found.groups()[1:])
    return Place(found[1], number or 1, field, repetition, component, subcomponent)


def at_offset(before: str, delimiters: Delimiters) -> str | None:
    """The place that the text `before` leads up to, or None if it isn't within a field."""
    lines = before.split("\r" if "\r" in before else "\n")
    names = [line.lstrip("\ufeff\n ").split(delimiters.field, 1)[0] for line in lines]
    name, line = names[-1], lines[-1]
    fields = line.split(delimiters.field)
    if len(fields) == 1 or not name.isalnum():
        return None
    repetitions = fields[-1].split(delimiters.repetition)
    components = repetitions[-1].split(delimiters.component)
    number = len(fields) - 1 + (1 if name == "MSH" else 0)
    # Components are named once there is a sign of them; a field that goes on undivided is a place of its own.
    component = len(components) if len(components) > 1 else None
    return str(Place(name, names.count(name), number, len(repetitions), component))
