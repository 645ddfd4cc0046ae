"""What maps read, written into functions: leaves of conditions, and the values of assignments, identities, displays.

Everything is read as text, empty where nothing (or `""`, HL7's null) was sent.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gateway.language.compile import Code, compile_test, local
from gateway.language.nodes import (
    Chain,
    Equal,
    Fact,
    Field,
    Leaf,
    Literal,
    Member,
    Not,
    Part,
    Present,
    Test,
    Word,
    leaves,
)
from gateway.mapping.facts import FACTS
from gateway.mapping.nodes import Counted, Every, Hole, Later, Template, Value
from gateway.mapping.vocabulary import Path, path_of
from gateway.mapping.writer import Writer

NOTHING = '""'
"""The expression of what can't be there."""


class Hand(Protocol):
    """What is in hand where something is read, as expressions."""

    def text(self, path: Path) -> str:
        """Text of a leaf."""

    def raw(self, path: Path) -> str:
        """What was sent there, which is empty for nothing and `""` alone."""

    def repetitions(self) -> str:
        """How many repetitions the field in hand has."""


@dataclass(slots=True)
class Cells:
    """The components of a data type in hand.

    Shape: `level` 0 for a field's repetition, 1 for a component, 2 for a sub-component, whose first part is itself.
    `read` collects the components that are read; they are `p1`, `p2` ... as sent, and `plain` says that they are texts
    already.
    """

    level: int
    read: set[int] = field(default_factory=set)

    def text(self, path: Path) -> str:
        """Text of a component, or of a sub-component."""
        component, subcomponent = (*path.steps, 1, 1)[:2]
        found = self._part(component)
        if found == NOTHING or (self.level and subcomponent > 1):
            return NOTHING
        return (
            f"({found} if plain else run.leaf({found}))" if subcomponent == 1 else f"run.sub({found}, {subcomponent})"
        )

    def raw(self, path: Path) -> str:
        """A component, or a sub-component, as it was sent."""
        if not path.steps:
            return "raw"
        component, subcomponent = (*path.steps, 0)[:2]
        found = self._part(component)
        if not subcomponent or (self.level and subcomponent == 1) or found == NOTHING:
            return found
        return NOTHING if self.level else f"run.sub({found}, {subcomponent})"

    def repetitions(self) -> str:
        """A data type has one."""
        return "1"

    def _part(self, component: int) -> str:
        if self.level > 1 and component > 1:
            return NOTHING
        self.read.add(component)
        return f"p{component}"


@dataclass(frozen=True, slots=True)
class SegmentInHand:
    """The fields `f` of a segment, and, in a row of a field, the repetition `e` of it.

    Shape: `read` collects what is read of the segment's other fields, by expression: the name that stands for it.
    """

    name: str
    field: int | None = None
    read: dict[str, str] | None = None

    def text(self, path: Path) -> str:
        """Text of a leaf: of the repetition in hand, of the segment, or of the first segment of another name."""
        component, subcomponent = (*path.steps, 1, 1)[:2]
        if path.of == self.name and path.field == self.field:
            return f"run.pick(e, {component}, {subcomponent})"
        return self._named(self._sent(path, f"run.text({{f}}, {path.field}, {component}, {subcomponent})"), path)

    def raw(self, path: Path) -> str:
        """What was sent there."""
        component, subcomponent = (*path.steps, 0, 0)[:2]
        if path.of == self.name and path.field == self.field:
            return f"run.part(e, {component}, {subcomponent})"
        return self._named(self._sent(path, f"run.has({{f}}, {path.field}, {component}, {subcomponent})"), path)

    def repetitions(self) -> str:
        """Of the field in hand."""
        return "n"

    def _named(self, expression: str, path: Path) -> str:
        if self.read is None or path.of != self.name:
            return expression
        return self.read.setdefault(expression, f"read_{len(self.read)}_")

    def _sent(self, path: Path, reading: str) -> str:
        """What is read of a field; of the segment in hand, where anything was sent in it: most fields are empty."""
        if path.of == self.name:
            return f'({reading.format(f="f")} if len(f) > {path.field} and f[{path.field}] else "")'
        # a segment's name has the form that `path_of` takes: capitals and digits
        return reading.format(f=f'run.first("{path.of}")')


# --- conditions ----------------------------------------------------------------------------------------------------


def settled(lines: Sequence[str], read: Mapping[str, str]) -> list[str]:
    """Lines of a function in which names stand for what is read of the segment: what is read often is read once.

    Shape: the reading of a name that stands for itself comes first; elsewhere the expression takes its place.
    """
    text = "\n".join(lines)
    names = {name: expression for expression, name in read.items()}
    counts = Counter(_READ.findall(text))
    once = {name: expression for name, expression in names.items() if counts[name] < _OFTEN}
    first = [f"    {name} = {names[name]}" for name in counts if name not in once]
    return [*first, *_READ.sub(lambda match: once.get(match[0], match[0]), text).split("\n")]


_READ = re.compile(r"\bread_\d+_")
_OFTEN = 3


@dataclass(slots=True)
class _Reader:
    """Leaves as arguments of a condition's function. Shape: `arguments` by name, in the order of the first use."""

    hand: Hand
    arguments: dict[str, str] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    known: dict[str, str] = field(default_factory=dict)

    def value(self, leaf: Leaf, code: Code) -> ast.expr:
        """The text of a leaf, None where it is absent."""
        del code
        if isinstance(leaf, Fact):
            return self._argument(self.hand.repetitions() if leaf.name == "repetitions" else fact(leaf.name))
        return self._argument(f"({self.hand.text(_path(leaf))}) or None")

    def present(self, leaf: Leaf, code: Code) -> ast.expr | None:
        """Whether anything was sent; of a composite, in any of its parts."""
        del code
        if isinstance(leaf, Fact):
            return None
        return self._argument(self.hand.raw(_path(leaf)))

    def _argument(self, expression: str) -> ast.expr:
        name = self.known.get(expression)
        if name is None:
            name = self.known[expression] = f"a{len(self.names)}"
            self.names.append(name)
            self.arguments[name] = expression
        return ast.Name(local(name), ast.Load())


def fact(name: str) -> str:
    """A fact as an expression; its name is one of ours."""
    return f'facts["{name}"]'


def reads(test: Test | None, segment: str, field: int) -> bool:
    """Whether a condition reads a field of a segment."""
    found = [] if test is None else leaves(test)
    return any(isinstance(leaf, Field) and (leaf.segment, leaf.field) == (segment, field) for leaf in found)


def condition(writer: Writer, test: Test | None, hand: Hand) -> str | None:
    """A condition as an expression; None where there is none.

    Shape: what most conditions ask is written out, so that nothing is read which doesn't matter any more; of all else
    the language makes a function.
    """
    if test is None:
        return None
    match test:
        case Chain():
            return "(" + f" {test.word} ".join(str(condition(writer, part, hand)) for part in test.parts) + ")"
        case Not():
            return f"(not {condition(writer, test.part, hand)})"
        case Present(operand=Field() | Part() as leaf):
            return f"{'' if test.positive else 'not '}({hand.raw(_path(leaf))})"
        case Equal(left=Field() | Part() | Fact() as leaf, right=Literal(value=str(wanted))) if _is_text(leaf):
            unequal = f"not in {writer.hold(('', wanted))}"  # absent, so neither equal nor another
            return f"({_leaf(leaf, hand)}) {unequal if test.negated else f'== {writer.hold(wanted)}'}"
        case Member(left=Field() | Part() | Fact() as leaf, options=options) if _is_text(leaf) and all(
            isinstance(each, Literal) and isinstance(each.value, str) for each in options
        ):
            found = frozenset(each.value for each in options if isinstance(each, Literal))
            return f"({_leaf(leaf, hand)}) in {writer.hold(found)}"
        case _:
            return _called(writer, test, hand)


def _is_text(leaf: Leaf) -> bool:
    """Whether a leaf is compared as it is sent."""
    return leaf.type.kind not in {"number", "date", "instant", "quantity"}


def _leaf(leaf: Leaf, hand: Hand) -> str:
    """Text of a leaf as an expression, empty where it is absent."""
    return fact(leaf.name) if isinstance(leaf, Fact) else hand.text(_path(leaf))


def _called(writer: Writer, test: Test, hand: Hand) -> str:
    """A condition as the call of a function of the language's."""
    reader = _Reader(hand)
    function = compile_test(test, reader, absent="false", variables=reader.names, name="when")
    return f"{writer.hold(function)}({', '.join(['run', *reader.arguments.values()])})"


def _path(leaf: Leaf) -> Path:
    match leaf:
        case Part():
            return Path(leaf.variable, None, _steps(leaf.component, leaf.subcomponent))
        case Field():
            return Path(leaf.segment, leaf.field, _steps(leaf.component, leaf.subcomponent))
        case _:
            raise TypeError(leaf)  # the checker lets no other leaf into a map


def _steps(component: int | None, subcomponent: int | None) -> tuple[int, ...]:
    return tuple(step for step in (component, subcomponent) if step is not None)


# --- values --------------------------------------------------------------------------------------------------------


def value(writer: Writer, of: Value, hand: Hand) -> str:
    """A value's text as an expression; empty where it has none."""
    if isinstance(of, Word):
        return _word(of, hand)
    if isinstance(of, Every | Later | Counted):
        raise TypeError(of)  # messages alone have the one, and `later` and `counted` write the others
    if is_constant(of):
        return writer.hold(constant(of))
    return _filled(writer, of, hand)


def _filled(writer: Writer, of: Template, hand: Hand) -> str:
    """A template with its holes filled: blanks that an empty one leaves are closed up; with none filled it is empty."""
    holes: list[str] = []
    parts: list[str] = []
    for part in of.parts:
        if isinstance(part, Hole):
            name = writer.local()
            holes.append(f"({name} := {_word(part.word, hand)})")
            parts.append(name)
        else:
            parts.append(writer.hold(part))
    return f'(" ".join("".join(({", ".join(parts)},)).split()) if {" + ".join(holes)} else "")'


def later(of: Later, hand: Hand) -> tuple[str, str, str]:
    """The texts of a moment, of the length of time that is added to it, and of its unit, as expressions."""
    unit = _word(of.unit, hand) if isinstance(of.unit, Word) else repr(constant(of.unit))
    return _word(of.start, hand), _word(of.length, hand), unit


def counted(of: Counted, hand: Hand) -> tuple[str, str]:
    """The texts of a length of time and of its unit, as expressions."""
    return _word(of.length, hand), _word(of.unit, hand) if isinstance(of.unit, Word) else repr(constant(of.unit))


def _word(word: Word, hand: Hand) -> str:
    if word.text in FACTS:
        return fact(word.text)
    path = path_of(word.text)
    if path is None:
        raise TypeError(word)  # the checker refuses it
    return hand.text(path)


def is_constant(of: Value) -> bool:
    """Whether a value is a text without holes."""
    return isinstance(of, Template) and not any(isinstance(part, Hole) for part in of.parts)


def constant(of: Value) -> str:
    """The text of a constant."""
    return "".join(part for part in of.parts if isinstance(part, str)) if isinstance(of, Template) else ""


def paths(of: Value) -> tuple[Path, ...]:
    """The paths that a value reads."""
    words = [of] if isinstance(of, Word) else []
    if isinstance(of, Template):
        words = [part.word for part in of.parts if isinstance(part, Hole)]
    if isinstance(of, Later):
        words = [word for word in (of.start, of.length, of.unit) if isinstance(word, Word)]
    if isinstance(of, Counted):
        words = [word for word in (of.length, of.unit) if isinstance(word, Word)]
    found = [path_of(word.text) for word in words if word.text not in FACTS]
    return tuple(path for path in found if path is not None)
