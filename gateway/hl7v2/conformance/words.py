"""What the validator says, every message in one place: what was found, what the standard says, what to do.

The words hold no quote, backslash, line break or HL7 delimiter, because engines show them still escaped; what the
sender wrote is shown shortened and without such characters.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

from gateway.hl7v2.conformance.kinds import Nonconformity
from gateway.hl7v2.message import Segment
from gateway.hl7v2.place import Place

_SHOWN = 40
_NAMES_SHOWN = 8
_UNSHOWN = frozenset("|^~\\&#\"'")


def shown(text: str) -> str:
    """What the sender wrote, as it may stand in a message; blanks around it are told in words."""
    if text.isalnum() and len(text) <= _SHOWN:
        return text
    cut = "".join(c if c.isprintable() and c not in _UNSHOWN else " " for c in text[:_SHOWN])
    bare = cut.strip()
    if len(text) > _SHOWN:
        return f"{bare} ..."
    return f"{bare} with blanks around it" if bare and bare != cut else bare or "a blank"


@functools.lru_cache(maxsize=4096)
def named(name: str) -> str:
    """A name of the dictionary, `DISCHARGE_DATE_TIME`, for people."""
    return name.replace("_", " ").capitalize()


def _at(segment: Segment) -> Place:
    return Place(segment.name, segment.number)


# --- the message -----------------------------------------------------------------------------------------------------


def no_version(version: str | None, known: Sequence[str]) -> Nonconformity:
    """MSH-12 names no version that there is a dictionary of."""
    says = f"MSH-12 says {shown(version)}, which is no version" if version else "MSH-12 names no version"
    told = f"{says} of HL7 that is known here, so nothing else was judged: write one of {', '.join(known)}"
    return Nonconformity("structure", Place("MSH", 1, 12), told)


def no_structure(message_type: str | None, version: str) -> Nonconformity:
    """MSH-9 names no message of the version."""
    says = f"HL7 {version} has no message {shown(message_type)}" if message_type else "MSH-9 names no message type"
    told = f"{says}, so the order of its segments was not judged: correct MSH-9 or MSH-12"
    return Nonconformity("structure", Place("MSH", 1, 9), told)


def other_structure(sent: str, structure: str, version: str) -> Nonconformity:
    """MSH-9.3 is another structure than the standard's for the type."""
    told = f"MSH-9.3 says {shown(sent)}, and HL7 {version} gives this message the structure {structure}: send that"
    return Nonconformity("structure", Place("MSH", 1, 9, 1, 3), told)


def more(most: int) -> str:
    """That there were more departures than are told."""
    return f"the first {most} departures from the standard are told, and there are more: correct these first"


# --- segments --------------------------------------------------------------------------------------------------------


def unknown_segment(segment: Segment, version: str) -> Nonconformity:
    """A segment that the version does not have, and no Z segment."""
    told = (
        f"HL7 {version} has no segment {shown(segment.name)}: leave it out, "
        "or give a segment of your own a name that begins with Z"
    )
    return Nonconformity("unknown", _at(segment), told)


def not_in_structure(segment: Segment, structure: str) -> Nonconformity:
    """A segment that the message structure has nowhere."""
    told = f"{structure} has no place for the segment {segment.name}: leave it out, or send it in a message that does"
    return Nonconformity("order", _at(segment), told)


def wrong_place(segment: Segment, before: Segment | None, structure: str, expected: Sequence[str]) -> Nonconformity:
    """A segment that the message structure has, but not there."""
    names = ", ".join(expected[:_NAMES_SHOWN]) + (" and others" if len(expected) > _NAMES_SHOWN else "")
    there = f"behind {before.name} may stand {names}" if before is not None else f"there may stand {names}"
    told = f"{segment.name} stands where {structure} has no place for it: {there or 'nothing'}; move it"
    return Nonconformity("order", _at(segment), told)


def segment_again(segment: Segment, structure: str) -> Nonconformity:
    """A segment once more, where one may stand."""
    told = f"{structure} takes one {segment.name} there, and this is one more: send it once"
    return Nonconformity("repetitions", _at(segment), told)


def missing_segment(names: Sequence[str], before: Segment, structure: str) -> Nonconformity:
    """Segments that have to stand before another."""
    told = f"{_are_missing(names)} before {before.name}: {structure} requires {_it(names)}"
    return Nonconformity("required", _at(before), told)


def missing_at_end(names: Sequence[str], behind: Segment, structure: str) -> Nonconformity:
    """Segments that have to stand behind the last."""
    told = f"{_are_missing(names)} behind {behind.name}: {structure} requires {_it(names)}"
    return Nonconformity("required", _at(behind), told)


def _are_missing(names: Sequence[str]) -> str:
    several = " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]
    return f"{several} {'are' if len(names) > 1 else 'is'} missing"


def _it(names: Sequence[str]) -> str:
    return "them" if len(names) > 1 else "it"


# --- fields and below ------------------------------------------------------------------------------------------------


def unknown_field(place: Place, last: int, version: str) -> Nonconformity:
    """A field behind the last, or one that the version does not have."""
    told = (
        f"{place.segment} has no field {place.field} in HL7 {version}, its last is {last}, and something is sent in it"
    )
    return Nonconformity("unknown", place, f"{told}: leave it out, or move it to a Z segment")


def missing(place: Place, name: str, version: str) -> Nonconformity:
    """A field or component that is required and empty."""
    told = f"{_without(place)} {named(name)} is empty, and HL7 {version} requires it: send it"
    return Nonconformity("required", place, told)


def withdrawn(place: Place, name: str, version: str) -> Nonconformity:
    """A field or component that the version has withdrawn."""
    told = f"HL7 {version} has withdrawn {_without(place)} {named(name)}, and something is sent in it: leave it out"
    return Nonconformity("withdrawn", place, told)


def too_many(place: Place, name: str, count: int, most: int) -> Nonconformity:
    """More repetitions than the field may have."""
    told = f"{_without(place)} {named(name)} is sent {count} times and may stand {_times(most)}: send no more"
    return Nonconformity("repetitions", place, told)


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def unknown_part(place: Place, datatype: str, last: int, version: str) -> Nonconformity:
    """A component behind the last of its data type."""
    what = "subcomponent" if place.subcomponent is not None else "component"
    number = place.subcomponent if place.subcomponent is not None else place.component
    told = f"data type {datatype} has {last} parts in HL7 {version}, and {what} {number} is sent: leave it out"
    return Nonconformity("unknown", place, told)


def parted(place: Place, datatype: str, sign: str) -> Nonconformity:
    """A value of a primitive data type with a separator in it."""
    told = (
        f"data type {datatype} has no parts, and a {sign} separator stands in the value: "
        "escape the character where it belongs to the text"
    )
    return Nonconformity("unknown", place, told)


def wrong_type(place: Place, datatype: str, value: str, form: str) -> Nonconformity:
    """A value that is not of its data type."""
    return Nonconformity("type", place, f"{shown(value)} is no {datatype}: write it as {form}")


def too_long(place: Place, length: int, most: int, of: str) -> Nonconformity:
    """A value longer than allowed; `of` is what allows it."""
    return Nonconformity("length", place, f"the value has {length} characters, and {of} takes {most}: shorten it")


def not_in_table(kind: str, place: Place, value: str, table: str, name: str, codes: tuple[str, ...]) -> Nonconformity:
    """A code that a table does not have."""
    of = f"{'HL7' if kind == 'table' else 'user-defined'} table {table}{f' {shown(name)}' if name else ''}"
    return Nonconformity(kind, place, f"{shown(value)} is not in {of}: it has {_some(codes[: _NAMES_SHOWN + 1])}")


# the tables of a site's messages are few, and asked again and again
@functools.lru_cache(maxsize=256)
def _some(codes: tuple[str, ...]) -> str:
    """The first codes of a table; one more than are shown says that there are others."""
    return ", ".join(map(shown, codes[:_NAMES_SHOWN])) + (" and others" if len(codes) > _NAMES_SHOWN else "")


def _without(place: Place) -> str:
    """A place without its numbers of segment and repetition."""
    text = f"{place.segment}-{place.field}"
    if place.component is not None:
        text += f".{place.component}"
    return text if place.subcomponent is None else f"{text}.{place.subcomponent}"
