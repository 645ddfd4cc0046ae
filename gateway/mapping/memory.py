"""What data types tell of, remembered: wards, practitioners, organisations and codes come again and again.

What a data type becomes depends on its text alone, and on what a sender's messages have in common (delimiters,
character set, organisation, zone; maps of data types may read nothing else). So it is kept for the next message,
unless anything had to be reported about it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gateway.mapping.run import Json, Making, Run, copied

SIZE = 4096
"""How many texts each map remembers; of more, the first go."""
LED_ON = 512
"""The same of each row whose code a code map leads on."""
CODED = frozenset({"CodeableConcept", "Coding"})
"""Types beside resources that are worth it: what else there is, as names and addresses, is of one patient."""

Convert = Callable[[str, Run], Any]


@dataclass(frozen=True, slots=True)
class _Known:
    """What a text became: its value, and the resources (type, id, content) that were kept for it.

    Shape: `flat` is whether the value holds texts alone, as a reference does, and `coded` whether there is a list of
    such beside them, as in a CodeableConcept.
    """

    value: Json | None
    flat: bool
    coded: bool
    made: tuple[tuple[tuple[str, str], Json], ...]


def remembered(convert: Convert, size: int = SIZE) -> Convert:
    """A data type's function that remembers what it made of so many texts."""
    known: dict[tuple[Any, ...], _Known] = {}

    def converted(raw: str, run: Run) -> Any:
        key = (raw, run.sender)
        found = known.get(key)
        if found is not None:
            for name, resource in found.made:
                standing = run.made.get(name)
                if standing is not None and standing.resource is resource:
                    run.trail.append(standing)  # told of already, and nothing was added to it
                else:
                    run.register(Making(*name, resource, shared=True))
            value = found.value
            if value is None:
                return None
            # a row may add to it
            if found.flat:
                return value.copy()
            if not found.coded:
                return copied(value)
            value = value.copy()
            value["coding"] = [coding.copy() for coding in value["coding"]]
            return value
        made, reports = len(run.trail), (len(run.lost), len(run.findings))
        value = convert(raw, run)
        if reports == (len(run.lost), len(run.findings)):
            if len(known) >= size:
                del known[next(iter(known))]
            told = tuple(((m.type, m.id), copied(m.resource)) for m in run.trail[made:])
            known[key] = _Known(copied(value), _is_flat(value), _is_coded(value), told)
        return value

    return converted


def led_on(convert: Convert, recode: Callable[[Any, Run], Any], component: int | None) -> Convert:
    """A data type's function whose value a code map leads on; it remembers that too.

    Shape: `component` is where a code that the map does not know is reported, None where that is told already.
    """

    def converted(raw: str, run: Run) -> Any:
        value = convert(raw, run)
        if component is not None:
            run.component = component
        return None if value is None else recode(value, run)

    return remembered(converted, LED_ON)


def _is_flat(value: Json | None) -> bool:
    return value is not None and all(each.__class__ is str for each in value.values())


def _is_coded(value: Json | None) -> bool:
    if value is None or value.get("coding").__class__ is not list or not all(map(_is_flat, value["coding"])):
        return False
    return all(each.__class__ is str for name, each in value.items() if name != "coding")
