"""The place that a check tells of, as a test names it."""

from __future__ import annotations

import re

from gateway.hl7v2.place import Place, parse
from gateway.language.nodes import Column, Element, Field, Part, leaves
from gateway.rules.declared import Check

_NUMBER = re.compile(r"\[\d+\]")
_LINE = re.compile(r"line \d+, column ")
_ENTRY = "Bundle.entry.resource."


def place(check: Check) -> str | None:
    """The place without numbers of segments, repetitions and entries; None where a check tells of none."""
    leaf = next((leaf for leaf in leaves(check.require) if isinstance(leaf, Field | Part | Element | Column)), None)
    each = check.each
    match leaf:
        case Element():
            return ".".join((leaf.resource or "", *leaf.steps)).lstrip(".")
        case Column():
            return f"row.{leaf.name}"
        case Field() if each is None or leaf.of is not None:
            return str(Place(leaf.segment, 1, leaf.field, None, leaf.component, leaf.subcomponent))
        case Part() if each is not None:
            return str(Place(each.segment, 1, each.field, None, leaf.component, leaf.subcomponent))
    return None if each is None else str(Place(each.segment, 1, each.field))


def tells_of(check: Check, said: str) -> bool:
    """Whether a check may tell of a place that a test names."""
    if check.judging is not None:
        return parse(said) is not None  # it tells of any place of a message
    if check.holding is not None:
        return said.partition(".")[0].partition("[")[0] in {"Bundle", *check.on.types}  # and so of a resource
    own = place(check)
    if own is None:
        return False
    plain = _NUMBER.sub("", _LINE.sub("row.", said))
    below = own.partition(".")[2] or own
    return plain in {own, f"{_ENTRY}{below}", f"{_ENTRY}{own}"}
