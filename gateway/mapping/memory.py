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
CODED = frozenset({"CodeableConcept", "Coding"})
"""Types beside resources that are worth it: what else there is, as names and addresses, is of one patient."""

Convert = Callable[[str, Run, Any, Any], Any]


@dataclass(frozen=True, slots=True)
class _Known:
    """What a text became: its value, and the resources (type, id, content) that were kept for it.

    Shape: `flat` is whether the value holds texts alone, as a reference does.
    """

    value: Json | None
    flat: bool
    made: tuple[tuple[str, str, Json], ...]


def remembered(convert: Convert) -> Convert:
    """A data type's function that remembers what it made; with a row's own assignments it does not."""
    known: dict[tuple[Any, ...], _Known] = {}

    def converted(raw: str, run: Run, before: Any, after: Any) -> Any:
        if before is not None or after is not None:
            return convert(raw, run, before, after)
        key = (raw, run.sender)
        found = known.get(key)
        if found is not None:
            for type_, id_, resource in found.made:
                standing = run.made.get((type_, id_))
                if standing is not None and standing.resource is resource:
                    run.trail.append(standing)  # told of already, and nothing was added to it
                else:
                    run.register(Making(type_, id_, resource, shared=True))
            value = found.value
            # a row may add to it
            return value.copy() if found.flat and value is not None else copied(value)
        made, reports = len(run.trail), (len(run.lost), len(run.findings))
        value = convert(raw, run, None, None)
        if reports == (len(run.lost), len(run.findings)):
            if len(known) >= SIZE:
                del known[next(iter(known))]
            flat = value is not None and all(each.__class__ is str for each in value.values())
            known[key] = _Known(
                copied(value), flat, tuple((m.type, m.id, copied(m.resource)) for m in run.trail[made:])
            )
        return value

    return converted
