"""Conditions in words, checked: what may be asked of a text, a moment, an element, a patient; and what repeats.

Each function takes the operands of the condition, the condition and what is known to be present, and gives the
resolved condition; None where it is wrong, which is said then.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import re2

from gateway.fhir import Elements
from gateway.fhir.standards import r4
from gateway.hl7v2.conformance import KINDS, Conformance
from gateway.language import messages
from gateway.language.elements import PATIENT, paths_of
from gateway.language.kinds import SPOKEN, Type
from gateway.language.moments import FINE
from gateway.language.nodes import (
    BreaksGlass,
    Conforms,
    Element,
    Fact,
    Field,
    HasAge,
    HasCode,
    HasListedCode,
    Item,
    Leaf,
    Listed,
    Matches,
    Operand,
    Quantified,
    Starts,
    Test,
    Text,
    Within,
    Word,
)
from gateway.language.operands import Operands
from gateway.language.patterns import compiled
from gateway.language.presence import Key
from gateway.language.systems import same
from gateway.language.types import Bound, BoundItem, Scope
from gateway.source import nearest, slip

_WHOLE = Type("complex", composite=True)
CALLER = "caller"
RESOURCE = "resource"
MESSAGE = "message"
TODAY = "today"
SAME, A_SLIP = 2, 3
"""How far a code system may be from one that it is taken for, as `slip` counts: a site's own may well differ in one
letter, those of FHIR R4 don't."""
MOST_TOLD = 8
"""So many of a system's codes are told where none is near the one that was written."""


def _text(operands: Operands, operand: Operand, known: frozenset[Key], phrase: str) -> Leaf | None:
    leaf = operands.single(operand, known, guarded=False)
    if leaf is None:
        return None
    if leaf.type.kind == "text" or leaf.type.raw:
        return leaf if operands.guard(leaf, known) else None
    kind = SPOKEN[leaf.type.kind]
    operands.say(messages.NO_TEXT.at(leaf.span, word=leaf.span.text, kind=kind, phrase=phrase))
    return None


def _some(operands: Operands, text: Text) -> bool:
    """Whether a text says anything; if not it is said."""
    if text.value == "":
        operands.say(messages.EMPTY_TEXT.at(text.span, "name what is looked for"))
    return text.value != ""


def _starts(operands: Operands, test: Starts, known: frozenset[Key]) -> Test | None:
    leaf = _text(operands, test.operand, known, "starts with")
    return replace(test, operand=leaf) if leaf is not None and _some(operands, test.prefix) else None


def _matches(operands: Operands, test: Matches, known: frozenset[Key]) -> Test | None:
    leaf = _text(operands, test.operand, known, "matches")
    if not _some(operands, test.pattern):
        return None
    try:
        compiled(test.pattern.value)
    except re2.error as error:
        why = error.args[0]
        said = why.decode(errors="replace") if isinstance(why, bytes) else str(why)
        operands.say(messages.BAD_PATTERN.at(test.pattern.span, said, word=test.pattern.value))
        return None
    return None if leaf is None else replace(test, operand=leaf)


def _clock(operands: Operands, test: Test) -> bool:
    """Whether the day is known here; if not it is said."""
    if TODAY in operands.scope.facts:
        return True
    operands.say(messages.NO_CLOCK.at(test.span, word=test.span.text))
    return False


def _within(operands: Operands, test: Within, known: frozenset[Key]) -> Test | None:
    if not _clock(operands, test):
        return None
    leaf = operands.single(test.operand, known, guarded=False)
    fits = leaf is not None and operands.in_time(leaf, test.length) and operands.guard(leaf, known)
    return replace(test, operand=leaf) if leaf is not None and fits else None


def _has_age(operands: Operands, test: HasAge, known: frozenset[Key]) -> Test | None:
    if not _clock(operands, test):
        return None
    if test.length.unit in FINE:
        operands.say(messages.AGE_UNIT.at(test.length.span, word=test.length.span.text))
        return None
    patient = _patient(operands, test.operand)
    if patient is not None:
        return replace(test, operand=patient)
    leaf = operands.single(test.operand, known, guarded=False)
    if leaf is None:
        return None
    if leaf.type.kind not in {"date", "instant"}:
        operands.say(messages.NO_PATIENT.at(leaf.span, word=leaf.span.text))
        return None
    return replace(test, operand=leaf) if operands.guard(leaf, known) else None


def _patient(operands: Operands, operand: Operand) -> Fact | None:
    """The fact `patient`, where it is meant and known."""
    if isinstance(operand, Word) and operand.text == PATIENT and PATIENT in operands.scope.facts:
        return Fact(PATIENT, operands.scope.facts[PATIENT], operand.span)
    return None


def _coded(operands: Operands, operand: Operand) -> Leaf | None:
    leaf = operands.leaf(operand)
    if leaf is None or leaf.type.coded:
        return leaf
    operands.say(messages.NO_CODES.at(leaf.span, word=leaf.span.text))
    return None


def _has_code(operands: Operands, test: HasCode, _known: frozenset[Key]) -> Test | None:
    leaf = _coded(operands, test.operand)
    both = _some(operands, test.code) and _some(operands, test.system)
    if not both or not _system(operands, test):
        return None
    return replace(test, operand=leaf) if leaf is not None else None


def _system(operands: Operands, test: HasCode) -> bool:
    """Whether the system of a code is one that may be meant: any, but for one that is nearly one that is known."""
    scope, word = operands.scope, test.system.value
    known = {} if scope.elements is None else _systems(scope.elements)
    codes = known.get(word)
    if codes is not None:
        if test.code.value not in codes:
            near = nearest(test.code.value, codes)
            hint = f"did you mean `{near}`?" if near else f"there are {', '.join(sorted(codes)[:MOST_TOLD])}"
            said = messages.NO_CODE_OF.at(test.code.span, hint, word=test.code.value, system=word)
            operands.say(said)
        return True
    declared = {system for listing in scope.codes.values() for system, _ in listing.codings or ()}
    if word in declared:
        return True
    alike = {one for one in known if _nearly(word, one, A_SLIP)} | {one for one in declared if _nearly(word, one, SAME)}
    if not alike:
        return True  # of a site's own systems nobody knows here
    operands.say(messages.NO_SYSTEM.at(test.system.span, f"did you mean `{min(alike)}`?", word=word))
    return False


def _nearly(word: str, system: str, most: int) -> bool:
    rank = slip(word.casefold(), system.casefold())
    return same(word, system) or (rank is not None and rank <= most)


@functools.lru_cache(maxsize=4)
def _systems(elements: Elements) -> Mapping[str, frozenset[str]]:
    """The code systems that elements of FHIR R4 are bound to, each with the codes that are taken from it."""
    found: dict[str, set[str]] = {}
    for pairs in elements.tables.codings.values():
        for system, code in pairs:
            found.setdefault(system, set()).add(code)
    return {system: frozenset(codes) for system, codes in found.items()}


def _has_listed_code(operands: Operands, test: HasListedCode, _known: frozenset[Key]) -> Test | None:
    leaf = _coded(operands, test.operand)
    listing = operands.scope.codes.get(test.codes.text)
    if listing is None:
        _undeclared(operands, test.codes, "codes", operands.scope.codes, operands.scope.lists)
    return None if leaf is None or listing is None else replace(test, operand=leaf, listing=listing)


def _undeclared(
    operands: Operands, word: Word, kind: str, known: Mapping[str, object], others: Mapping[str, object]
) -> None:
    near = nearest(word.text, known)
    hint = f"did you mean `{near}`?" if near else f"declare it: `{kind} {word.text} ...`"
    if word.text in others:
        hint = "it is declared as " + ("`list`: write `listed in`" if kind == "codes" else "`codes`: write `has code`")
    operands.say(messages.UNDECLARED.at(word.span, hint, kind=kind, word=word.text))


def _listed(operands: Operands, test: Listed, known: frozenset[Key]) -> Test | None:
    scope = operands.scope
    listing = scope.lists.get(test.of.text)
    patient = _patient(operands, test.operand)
    leaf = patient or operands.single(test.operand, known, guarded=False)
    if listing is None:
        _undeclared(operands, test.of, "list", scope.lists, scope.codes)
    if leaf is None or listing is None or not _clock(operands, test):
        return None
    if leaf.type.kind != "text" and not leaf.type.raw and (patient is None or listing.form != "nhs-number"):
        said = messages.OTHER_FORM.at(leaf.span, word=leaf.span.text, list=listing.name, form=listing.form)
        operands.say(said)
        return None
    return replace(test, operand=leaf, listing=listing, system=_nhs_numbers(scope))


def _nhs_numbers(scope: Scope) -> str:
    """The system of identifiers that are NHS numbers."""
    known = () if scope.tables is None else scope.tables.identities.get("Patient", ())
    return next((identity.system for identity in known if identity.form == "nhs-number"), "")


def _breaks_glass(operands: Operands, test: BreaksGlass, _known: frozenset[Key]) -> Test | None:
    operand = test.operand
    if not (isinstance(operand, Word) and operand.text == CALLER and CALLER in operands.scope.facts):
        hint = "write `caller breaks glass`"
        operands.say(messages.CALLER.at(operand.span, hint, phrase="breaks glass", word=operand.span.text))
        return None
    return replace(test, operand=Fact(CALLER, operands.scope.facts[CALLER], operand.span))


def _conforms(operands: Operands, test: Conforms, _known: frozenset[Key]) -> Test | None:
    scope, word = operands.scope, test.operand.span.text
    if test.to is None and word == MESSAGE and MESSAGE in scope.facts and scope.conformance is not None:
        message = Fact(MESSAGE, scope.facts[MESSAGE], test.operand.span)
        return replace(test, operand=message, judge=functools.partial(_keeps, scope.conformance))
    whole = word == RESOURCE or (word in scope.resources and len(scope.resources) == 1)
    if not whole or not scope.resources or scope.elements is None or scope.tables is None:
        operands.say(messages.NOT_JUDGED.at(test.operand.span, word=word))
        return None
    leaf = Element(None, (), _WHOLE, test.operand.span, scope.tables.systems.ods)
    standard = r4(scope.elements) if test.to is None else scope.standards.get(test.to.text)
    if standard is None and test.to is not None:
        near = nearest(test.to.text, scope.standards)
        hint = f"did you mean `{near}`?" if near else f"write one of {', '.join(scope.standards)}"
        operands.say(messages.NO_STANDARD.at(test.to.span, hint, word=test.to.text))
    strangers = sorted(name for name in scope.resources if standard is not None and not standard.knows(name))
    if strangers and test.to is not None:
        operands.say(messages.NO_MODEL.at(test.to.span, word=test.to.text, type=strangers[0]))
    if standard is None or strangers:
        return None
    return replace(test, operand=leaf, judge=standard.kept, departures=standard.judge)


def _keeps(conformance: Conformance, message: Any) -> bool:
    """Whether a message departs from the standard in nothing that is an error of itself."""
    return not any(KINDS[found.kind].most == "error" for found in conformance.departures(message))


ASKED: Mapping[type, Callable[[Operands, Any, frozenset[Key]], Test | None]] = {
    Starts: _starts,
    Matches: _matches,
    Within: _within,
    HasAge: _has_age,
    HasCode: _has_code,
    HasListedCode: _has_listed_code,
    Listed: _listed,
    BreaksGlass: _breaks_glass,
    Conforms: _conforms,
}


# --- any and every -------------------------------------------------------------------------------------------------


def looped(operands: Operands, test: Quantified) -> tuple[Leaf, Scope] | None:
    """What `any` or `every` goes over, and the scope of what is asked of each, the variable bound there."""
    scope, name = operands.scope, test.variable.text
    taken = name in scope.facts or name in scope.unreadable or name in scope.bound or name in {RESOURCE, MESSAGE}
    if taken or "." in name or "^" in name or ("-" in name and name.upper() == name):
        operands.say(messages.SHADOWS.at(test.variable.span, word=name))
        return None
    if scope.first:
        operands.say(messages.NOTHING_REPEATS.at(test.span, f"leave `{test.word}` out", word=test.path.span.text))
        return None
    leaf = operands.leaf(test.path)
    if leaf is None:
        return None
    if isinstance(leaf, Field):
        return _over_field(operands, leaf, name)
    if not leaf.type.many:
        operands.say(messages.NOTHING_REPEATS.at(leaf.span, word=leaf.span.text))
        return None
    paths = paths_of(leaf, scope) if isinstance(leaf, Element | Item) else ()
    return leaf, _bind(scope, name, BoundItem(paths, replace(leaf.type, many=False, optional=False)))


def _over_field(operands: Operands, leaf: Field, name: str) -> tuple[Leaf, Scope] | None:
    scope = operands.scope
    if leaf.component is not None:
        field = f"{leaf.segment}-{leaf.field}"
        operands.say(messages.NO_REPETITION.at(leaf.span, word=leaf.span.text, field=field))
        return None
    datatypes: dict[str, str | None] = {}
    for version, dictionary in scope.dictionaries.items():
        definition = dictionary.field(leaf.segment, leaf.field)
        datatypes[version] = None if definition is None else definition.datatype
    own = {leaf.segment: name, **scope.own}
    return leaf, replace(_bind(scope, name, Bound(datatypes)), own=own)


def _bind(scope: Scope, name: str, bound: Bound | BoundItem) -> Scope:
    return replace(scope, bound={**scope.bound, name: bound})
