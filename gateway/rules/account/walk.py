"""A condition re-evaluated step by step, each step with its place in the source and what was seen there.

It says what the compiled condition says (`gateway/language/compile.py`); a property test holds the two together. It is
for telling people why, so parts that the decision never came to are asked too, and marked.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from gateway.language import codings, functions, moments, nodes, patterns
from gateway.language.comparing import converter_of, leaf_of, may_be_absent, of_quantities
from gateway.language.compile import Absent
from gateway.language.functions import ERRORS, PHRASES, PREDICATES, EvaluationError
from gateway.language.kinds import Quantity
from gateway.rules.account.sight import Sight, each, present, value
from gateway.rules.facts import Facts

Convert = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Read:
    """One thing that a condition read.

    Shape: `value` is None where it is absent; of the caller it is what the condition asked it for.
    """

    operand: nodes.Operand
    value: Any


@dataclass(frozen=True, slots=True)
class Seen:
    """What became of one condition.

    Shape: `outcome` is None where it could not be decided, with `why`; `absent` where a value that isn't there decided
    it; `asked` is false for what the decision never came to; `parts` are the conditions that it is made of.
    """

    test: nodes.Test
    outcome: bool | None
    reads: tuple[Read, ...] = ()
    parts: tuple[Seen, ...] = ()
    why: str | None = None
    absent: bool = False
    asked: bool = True


@dataclass(frozen=True, slots=True)
class Walk:
    """How a condition is asked: of what, and what a comparison with an absent value says."""

    sight: Sight
    turns: bool
    absent: bool

    def test(self, test: nodes.Test) -> Seen:
        """One condition."""
        return STEPS[type(test)](self, test)


def walk(test: nodes.Test, sight: Sight, absent: Absent = "false") -> Seen:
    """What a resolved condition says of what is seen; `absent` as `compile_test` has it."""
    return Walk(sight, absent != "false", absent == "passes").test(test)


# --- conditions made of conditions ---------------------------------------------------------------------------------


def _chain(walk: Walk, test: nodes.Chain) -> Seen:
    deciding = test.word == "or"
    outcome: bool | None = not deciding
    decided = False
    parts: list[Seen] = []
    for part in test.parts:
        seen = walk.test(part)
        parts.append(not_asked(seen) if decided else seen)
        if not decided and (seen.outcome is None or seen.outcome is deciding):
            outcome, decided = seen.outcome, True
    return Seen(test, outcome, parts=tuple(parts))


def not_asked(seen: Seen) -> Seen:
    """The same, marked as what the decision never came to."""
    return replace(seen, asked=False, parts=tuple(not_asked(part) for part in seen.parts))


def _not(walk: Walk, test: nodes.Not) -> Seen:
    inner = replace(walk, absent=not walk.absent) if walk.turns else walk
    seen = inner.test(test.part)
    return Seen(test, None if seen.outcome is None else not seen.outcome, parts=(seen,))


def _named(walk: Walk, test: nodes.Named) -> Seen:
    if test.test is None:
        return Seen(test, None, why="a condition that was not checked")
    seen = walk.test(test.test)
    return Seen(test, seen.outcome, parts=(seen,))


# --- comparisons ---------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Reading:
    """What one comparison reads, each thing once."""

    walk: Walk
    found: dict[int, Read]

    def value(self, operand: nodes.Operand) -> Any:
        """Value of an operand."""
        known = self.found.get(id(operand))
        if known is None:
            known = Read(operand, _value(operand, self.walk.sight))
            self.found[id(operand)] = known
        return known.value

    def converted(self, operand: nodes.Operand, convert: Convert | None) -> Any:
        """Value of an operand as a number, day or instant."""
        found = self.value(operand)
        return found if convert is None or isinstance(operand, nodes.Literal) else convert(found)


class _AbsentError(Exception):
    """A value that a comparison needs is not there."""


def _value(operand: nodes.Operand, sight: Sight) -> Any:
    if isinstance(operand, nodes.Literal):
        return operand.value
    if isinstance(operand, nodes.Moved):
        count = -operand.length.count if operand.back else operand.length.count
        return moments.MOVES[operand.type.kind](_value(operand.base, sight), count, operand.length.unit)
    return value(leaf_of(operand), sight)


def _compared(walk: Walk, test: nodes.Test, compare: Callable[[_Reading], bool]) -> Seen:
    """What a comparison says, with all that it read."""
    reading = _Reading(walk, {})
    outcome: bool | None
    why, absent = None, False
    try:
        outcome = bool(compare(reading))
    except _AbsentError:
        outcome, absent = walk.absent, True
    except ERRORS as error:
        outcome, why = None, _words(error)
    return Seen(test, outcome, tuple(_in_order(test, reading)), why=why, absent=absent)


def _words(error: Exception) -> str:
    """Why something could not be decided; never the value, which only `Read` holds."""
    return str(error) if isinstance(error, EvaluationError) else "a value is not of its type"


def _in_order(test: nodes.Test, reading: _Reading) -> Iterable[Read]:
    """What was read, of what is moved as it was before."""
    for operand in nodes.operands(test):
        found = reading.found.get(id(operand))
        if found is not None:
            yield found


def _guard(reading: _Reading, *operands: nodes.Operand) -> None:
    """Stop where a value that may be absent is."""
    for operand in operands:
        if may_be_absent(operand) and reading.value(leaf_of(operand)) is None:
            raise _AbsentError


def _equal(walk: Walk, test: nodes.Equal) -> Seen:
    convert = converter_of(test.left, test.right)
    # what is absent is equal to no value: no guard, unless it would say something else
    plain = not (test.negated or walk.absent or convert or (may_be_absent(test.left) and may_be_absent(test.right)))

    def compare(reading: _Reading) -> bool:
        if of_quantities(test):
            _guard(reading, test.left, test.right)
            more = codings.difference(reading.value(test.left), reading.value(test.right))
            return (more == 0) is not test.negated
        if plain:
            left, right = reading.value(test.left), reading.value(test.right)
            _guard(reading, test.left, test.right)
            return bool(left == right)
        _guard(reading, test.left, test.right)
        return (reading.converted(test.left, convert) == reading.converted(test.right, convert)) is not test.negated

    return _compared(walk, test, compare)


def _present(walk: Walk, test: nodes.Present) -> Seen:
    leaf = leaf_of(test.operand)
    seen = _compared(walk, test, lambda _: present(leaf, walk.sight) is test.positive)
    try:
        return replace(seen, reads=(Read(leaf, value(leaf, walk.sight)),))
    except ERRORS:
        return seen  # that it is there could be told all the same


_SIGNS: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def _member(walk: Walk, test: nodes.Member) -> Seen:
    only = test.options[0]
    literals = [o for o in test.options if isinstance(o, nodes.Literal)]
    convert = converter_of(test.left, only) if literals else None

    def compare(reading: _Reading) -> bool:
        _guard(reading, test.left)
        if not literals:
            return _among(reading, test.left, only)
        found = reading.converted(test.left, convert)
        values = {o.value for o in literals}
        if literals[0].type.kind == "quantity":
            return codings.equals_one(found, cast("Iterable[Quantity]", values))
        return found in values

    return _compared(walk, test, compare)


def _among(reading: _Reading, value: nodes.Operand, several: nodes.Operand) -> bool:
    """Whether a value is one of those of a list."""
    convert = converter_of(value, several)
    if convert is None:
        return reading.value(value) in reading.value(several)
    return functions.among(reading.converted(value, convert), reading.value(several), convert)


def _lacks(walk: Walk, test: nodes.Lacks) -> Seen:
    def compare(reading: _Reading) -> bool:
        _guard(reading, test.right)
        return not _among(reading, test.right, test.left)

    return _compared(walk, test, compare)


def _ordered(walk: Walk, test: nodes.Ordered) -> Seen:
    convert = converter_of(test.left, test.right)

    def compare(reading: _Reading) -> bool:
        _guard(reading, test.left, test.right)
        if of_quantities(test):
            return _SIGNS[test.sign](codings.difference(reading.value(test.left), reading.value(test.right)), 0)
        return _SIGNS[test.sign](reading.converted(test.left, convert), reading.converted(test.right, convert))

    return _compared(walk, test, compare)


def _phrased(walk: Walk, test: nodes.Phrased) -> Seen:
    phrase = PHRASES[test.phrase]

    def compare(reading: _Reading) -> bool:
        _guard(reading, test.right)
        among = getattr(reading.value(test.left), phrase.attribute)
        if phrase.by is not None:
            among = among.get(getattr(walk.sight.facts, phrase.by), ())
        reading.found[id(test.left)] = Read(test.left, among)  # all else of the caller was not asked for
        return reading.value(test.right) in among

    return _compared(walk, test, compare)


# --- in words ------------------------------------------------------------------------------------------------------


def _asked(ask: Callable[[Any, Any, Facts], bool]) -> Callable[[Walk, Any], Seen]:
    """A condition on one operand; an absent one decides it. Shape: `ask` takes the value, the node and the facts."""

    def step(walk: Walk, test: Any) -> Seen:
        def compare(reading: _Reading) -> bool:
            _guard(reading, test.operand)
            return ask(reading.value(test.operand), test, walk.sight.facts)

        return _compared(walk, test, compare)

    return step


def _open(ask: Callable[[Any, Any, Facts], bool]) -> Callable[[Walk, Any], Seen]:
    """A condition that says itself what absence means."""

    def step(walk: Walk, test: Any) -> Seen:
        return _compared(walk, test, lambda reading: ask(reading.value(test.operand), test, walk.sight.facts))

    return step


def _within(found: Any, test: nodes.Within, facts: Facts) -> bool:
    return moments.within(found, test.length.count, test.length.unit, facts.today, facts.now)


def _aged(found: Any, test: nodes.HasAge, facts: Facts) -> bool:
    born = codings.birth_date(found) if leaf_of(test.operand).type.kind == "complex" else found
    return moments.under_age(born, test.length.count, test.length.unit, facts.today) is test.under


def _listed(found: Any, test: nodes.Listed, facts: Facts) -> bool:
    if test.listing is None:
        raise EvaluationError("a list that was not checked")
    if leaf_of(test.operand).type.kind == "complex":
        return codings.patient_listed(found, test.listing, facts.today, test.system)
    return codings.listed(found, test.listing, facts.today)


def _has_listed_code(found: Any, test: nodes.HasListedCode, _: Facts) -> bool:
    if test.listing is None:
        raise EvaluationError("codes that were not checked")
    return codings.has_listed_code(found, test.listing)


def _conforms(found: Any, test: nodes.Conforms, _: Facts) -> bool:
    if test.judge is None:
        raise EvaluationError("a condition that was not checked")
    return test.judge(found)


def _breaks_glass(walk: Walk, test: nodes.BreaksGlass) -> Seen:
    return Seen(test, walk.sight.facts.glass)


def _quantified(walk: Walk, test: nodes.Quantified) -> Seen:
    """Each of what repeats, until the answer is known; what comes after is not asked."""
    deciding = test.word == "any"
    parts: list[Seen] = []
    try:
        for one in each(leaf_of(test.path), walk.sight):
            inner = replace(walk, sight=walk.sight.binding(test.variable.text, one))
            if test.where is not None:
                where = replace(inner, turns=False, absent=False).test(test.where)
                parts.append(where)
                if where.outcome is None:
                    return Seen(test, None, parts=tuple(parts))
                if not where.outcome:
                    continue
            seen = inner.test(test.test)
            parts.append(seen)
            if seen.outcome is None or seen.outcome is deciding:
                return Seen(test, seen.outcome, parts=tuple(parts))
    except ERRORS as error:
        return Seen(test, None, parts=tuple(parts), why=_words(error))
    return Seen(test, not deciding, parts=tuple(parts))


STEPS: Mapping[type, Callable[[Walk, Any], Seen]] = {
    nodes.Chain: _chain,
    nodes.Not: _not,
    nodes.Named: _named,
    nodes.Equal: _equal,
    nodes.Present: _present,
    nodes.Member: _member,
    nodes.Lacks: _lacks,
    nodes.Ordered: _ordered,
    nodes.Phrased: _phrased,
    nodes.Predicated: _asked(lambda found, test, _: PREDICATES[test.predicate](found) is not test.negated),
    nodes.Starts: _asked(lambda found, test, _: functions.starts(found, test.prefix.value)),
    nodes.Matches: _asked(lambda found, test, _: patterns.matches(found, patterns.compiled(test.pattern.value))),
    nodes.Within: _asked(_within),
    nodes.HasAge: _asked(_aged),
    nodes.HasCode: _open(lambda found, test, _: codings.has_code(found, test.code.value, test.system.value)),
    nodes.HasListedCode: _open(_has_listed_code),
    nodes.Listed: _open(_listed),
    nodes.BreaksGlass: _breaks_glass,
    nodes.Conforms: _open(_conforms),
    nodes.Quantified: _quantified,
}
"""How each kind of condition is asked."""
