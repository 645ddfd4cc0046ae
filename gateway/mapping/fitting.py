"""Whether what a row makes may stand where it puts it: types, targets of references, codes of closed lists.

Each function gives what is wrong, and nothing where it fits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gateway.fhir.elements import Elements
from gateway.language.nodes import Word
from gateway.mapping import messages
from gateway.mapping.codes import UNITS, CodeMap
from gateway.mapping.nodes import Assign, Counted, Hole, Later, Target, Template, Using, Value
from gateway.mapping.primitives import EACH, UNITS_OF_TIME
from gateway.mapping.targets import Place, place, plain
from gateway.source import Diagnostic, nearest

TEXTS = frozenset({"string", "markdown", "base64Binary"})
"""Types of which several texts may be joined to one."""

_MOMENTS = frozenset({"dateTime", "instant"})
_NUMBERS = frozenset({"decimal", "integer", "unsignedInt", "positiveInt"})
_CODED = frozenset({"code", "string", "uri", "boolean", "decimal", "Coding", "CodeableConcept"})


def of_map(using: Using, found: Place, elements: Elements) -> Iterator[Diagnostic]:
    """What a map makes, at a place."""
    made = using.target.text
    if elements.is_resource(made):
        fits = found.type == "Reference" and (not found.allowed or made in found.allowed)
        shown = _shown_reference(found)
    else:
        fits = made in {found.type, found.below}
        shown = found.below
        if using.variant is not None and using.variant.text == EACH and not found.many:
            fits, shown, made = False, "one element", "several"
    if not fits:
        yield messages.WRONG_TYPE.at(using.target.span, word=found.path or "this", type=shown, made=made)


def of_text(target: Target, found: Place, elements: Elements) -> Iterator[Diagnostic]:
    """A text that no map reads, which a primitive alone can take."""
    if found.leaf is None or not elements.is_primitive(plain(found.type)):
        yield messages.NOT_WHOLE.at(target.span, word=found.path, type=found.below)


def of_reference(assign: Assign, found: Place, made: str) -> Iterator[Diagnostic]:
    """A reference to a resource of a type."""
    if found.type != "Reference" or (found.allowed and made not in found.allowed and "Resource" not in found.allowed):
        yield messages.WRONG_TYPE.at(assign.value.span, word=found.path, type=_shown_reference(found), made=made)


def of_value(assign: Assign, found: Place, codes: Mapping[str, CodeMap], elements: Elements) -> Iterator[Diagnostic]:
    """A value that an assignment reads, reckons or states."""
    if isinstance(assign.value, Later):
        yield from _later(assign.value, found, codes)
    if isinstance(assign.value, Counted):
        yield from _counted(assign.value, found, codes)
    whole = tuple(of_text(assign.target, found, elements))
    yield from whole or _constant(assign.value, found, elements)
    if assign.coded is not None:
        yield from of_codes(assign.coded, found, codes, elements)


def of_codes(word: Word, found: Place, codes: Mapping[str, CodeMap], elements: Elements) -> Iterator[Diagnostic]:
    """What a code map leads to."""
    named = codes.get(word.text)
    if named is None:
        near = nearest(word.text, codes)
        yield messages.UNKNOWN_CODES.at(word.span, f"did you mean `{near}`?" if near else None, word=word.text)
        return
    if found.type not in _CODED:
        yield messages.NOT_CODED.at(word.span, word=found.path, type=found.type)
    allowed = elements.tables.codes.get(found.value_set or "")
    if allowed is None:
        return
    for row in named.rows.values():
        if row.to_code not in allowed:
            hint = f"the row stands at {row.origin}"
            yield messages.CODES_DO_NOT_FIT.at(word.span, hint, map=word.text, code=row.to_code, word=found.path)


def of_absence(target: Target, base: str, elements: Elements) -> Iterator[Diagnostic]:
    """An element that has to be absent: it must be one that is there once or not at all."""
    found = place(target, base, elements)
    if isinstance(found, Diagnostic):
        yield found
    elif found.leaf is None or any(box.new or (box.many and box.item is None) for box in found.boxes):
        yield messages.NOT_WITHOUT.at(target.span, word=found.path)


def _later(later: Later, found: Place, codes: Mapping[str, CodeMap]) -> Iterator[Diagnostic]:
    if found.type not in _MOMENTS:
        yield messages.NO_MOMENT.at(later.span, word=found.path, type=found.below)
    if UNITS not in codes:
        yield messages.UNKNOWN_CODES.at(later.span, word=UNITS)


def _counted(counted: Counted, found: Place, codes: Mapping[str, CodeMap]) -> Iterator[Diagnostic]:
    if found.type not in _NUMBERS:
        yield messages.NO_NUMBER.at(counted.span, word=found.path, type=found.below)
    if counted.wanted.value not in UNITS_OF_TIME:
        near = nearest(counted.wanted.value, UNITS_OF_TIME)
        hint = f"did you mean `{near}`?" if near else None
        yield messages.NO_UNIT.at(counted.wanted.span, hint, word=counted.wanted.value)
    if UNITS not in codes:
        yield messages.UNKNOWN_CODES.at(counted.span, word=UNITS)


def _constant(value: Value, found: Place, elements: Elements) -> Iterator[Diagnostic]:
    """Whether a constant is a value of its element."""
    if not isinstance(value, Template) or any(isinstance(p, Hole) for p in value.parts):
        return
    text = "".join(str(p) for p in value.parts)
    allowed = elements.tables.codes.get(found.value_set or "")
    if allowed is not None and text not in allowed:
        near = nearest(text, allowed)
        hint = f"did you mean `{near}`?" if near else "its codes are " + ", ".join(sorted(allowed))
        yield messages.BAD_CODE.at(value.span, hint, value=text, word=found.path)


def _shown_reference(found: Place) -> str:
    """The type of a place for people, with what a reference may lead to."""
    return f"a reference to {' or '.join(found.allowed)}" if found.type == "Reference" else found.type
