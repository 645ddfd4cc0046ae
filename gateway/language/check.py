"""Syntax tree to resolved tree: every word looked up, every comparison typed, absence spelled out.

Errors are collected: one wrong operand doesn't hide the next. Presence is followed through a condition: behind
`X is present and`, X is known to be there; behind `X is absent or` as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from gateway.language import meant, messages
from gateway.language.asking import ASKED, looped
from gateway.language.functions import PHRASES, PREDICATES
from gateway.language.kinds import ORDERED, SPOKEN, Type
from gateway.language.limits import too_many
from gateway.language.nodes import (
    Chain,
    Equal,
    Fact,
    Lacks,
    Leaf,
    Literal,
    Member,
    Named,
    Not,
    Operand,
    Ordered,
    Phrased,
    Predicated,
    Present,
    Quantified,
    Test,
    Text,
    Word,
)
from gateway.language.operands import Operands
from gateway.language.presence import Key, Known, joined, presence
from gateway.language.types import Scope
from gateway.source import Diagnostic, nearest, slip

# kinds whose values are not found in a list by being equal
_WHOLE = frozenset({"complex", "caller", "quantity"})


@dataclass(frozen=True, slots=True)
class Checked:
    """A resolved condition.

    Shape: `test` is None where there is any error; `unguarded` are the exempt facts that it uses without asking for
    their presence.
    """

    test: Test | None
    diagnostics: tuple[Diagnostic, ...]
    unguarded: frozenset[str] = frozenset()


def check(test: Test, scope: Scope, known: Iterable[Key] = ()) -> Checked:
    """Resolve and type a condition.

    Shape: `known` are the keys of what is present wherever the condition is asked.
    Errors: diagnostics; warnings leave the tree whole.
    """
    operands = Operands(scope)
    resolved, _ = _Checker(scope, operands).test(test, frozenset(known))
    much = None if resolved is None else too_many(resolved)
    if much is not None:
        operands.say(much)
    wrong = any(d.severity == "error" for d in operands.diagnostics)
    return Checked(None if wrong else resolved, tuple(operands.diagnostics), frozenset(operands.unguarded))


def check_operand(operand: Operand, scope: Scope) -> Leaf | Diagnostic:
    """Resolve one path or fact outside of a condition, such as that of `in order of`."""
    if isinstance(operand, Text):
        return messages.UNKNOWN_WORD.at(operand.span, "name a path", word=operand.value)
    operands = Operands(scope)
    leaf = operands.leaf(operand) if isinstance(operand, Word) else operand
    if isinstance(leaf, Leaf):
        return leaf
    if operands.diagnostics:
        return operands.diagnostics[0]
    shown = operand.text if isinstance(operand, Word) else operand.span.text
    return messages.UNKNOWN_WORD.at(operand.span, "name a path or a fact", word=shown)


@dataclass(slots=True)
class _Checker:
    """One walk over a condition."""

    scope: Scope
    operands: Operands

    def test(self, test: Test, known: frozenset[Key]) -> tuple[Test | None, Known]:
        """The resolved condition (None if wrong), and what its outcome tells of presence."""
        made = MADE.get(type(test))
        return (COMPARED[type(test)](self, test, known), Known()) if made is None else made(self, test, known)

    def negation(self, test: Not, known: frozenset[Key]) -> tuple[Test | None, Known]:
        part, inner = self.test(test.part, known)
        return (None if part is None else replace(test, part=part)), Known(inner.failed, inner.held)

    def predicate(self, test: Predicated, _known: frozenset[Key]) -> Test:
        return test  # resolved already

    def told(self, test: Test, known: frozenset[Key]) -> Test | None:
        return ASKED[type(test)](self.operands, test, known)

    def quantified(self, test: Quantified, known: frozenset[Key]) -> Test | None:
        """`any` and `every`: what is asked of each is checked with the variable bound."""
        loop = looped(self.operands, test)
        if loop is None:
            return None
        path, inner = loop
        chosen_in = inner if inner.absence == "spelled" else replace(inner, absence="free")
        where, chosen = None, Known()
        if test.where is not None:
            where, chosen = self._within(chosen_in).test(test.where, known)
        asked, _ = self._within(inner).test(test.test, known | chosen.held)
        if asked is None or (test.where is not None and where is None):
            return None
        return replace(test, path=path, where=where, test=asked)

    def _within(self, scope: Scope) -> _Checker:
        """The walk that goes on in a loop, and says what is wrong there in the same place."""
        return _Checker(scope, replace(self.operands, scope=scope))

    def chain(self, test: Chain, known: frozenset[Key]) -> tuple[Test | None, Known]:
        resolved: list[Test] = []
        outcomes: list[Known] = []
        for part in test.parts:
            found, outcome = self.test(part, known)
            outcomes.append(outcome)
            known |= outcome.held if test.word == "and" else outcome.failed
            if found is not None:
                resolved.append(found)
        whole = replace(test, parts=tuple(resolved)) if len(resolved) == len(test.parts) else None
        return whole, joined(test.word, outcomes)

    def equal(self, test: Equal, known: frozenset[Key]) -> Test | None:
        if isinstance(test.right, Word) and test.right.text in PREDICATES:
            return self._predicated(test, test.right.text, known)
        word = test.right if isinstance(test.right, Word) and not self.operands.is_path(test.right) else None
        near = None if word is None else meant.presence(word.text)
        if word is not None and near is not None:
            self.operands.say(messages.UNKNOWN_WORD.at(word.span, meant.hint(near), word=word.text))
            return None
        left = self.operands.single(test.left, known, guarded=False)
        if left is None:
            return None
        right = self.operands.against(test.right, left, known)
        # what is of the wrong kind is said first, and alone
        if right is None or not self.operands.guard(left, known):
            return None
        return replace(test, left=left, right=right)

    def _predicated(self, test: Equal, predicate: str, known: frozenset[Key]) -> Test | None:
        left = self.operands.single(test.left, known, guarded=False)
        if left is None:
            return None
        if left.type.kind != "text" and not left.type.raw:
            self.operands.mismatch(left, test.right.span, predicate, "a predicate of texts")
            return None
        return Predicated(left, predicate, test.negated, test.span) if self.operands.guard(left, known) else None

    def present(self, test: Present, _known: frozenset[Key]) -> tuple[Test | None, Known]:
        leaf = self.operands.leaf(test.operand)
        if leaf is None:
            return None, Known()
        if not leaf.type.optional and not leaf.type.many:
            self.operands.say(messages.ALWAYS.at(test.span, word=leaf.span.text))
            return None, Known()
        resolved = replace(test, operand=leaf)
        return resolved, presence(resolved)

    def member(self, test: Member, known: frozenset[Key]) -> Test | None:
        if len(test.options) == 1 and isinstance(test.options[0], Word):
            word = test.options[0]
            if word.text in self.scope.sets:
                return self._in_set(test, word, known)
            if self.operands.is_path(word):
                return self._in_list(test, word, known)
        left = self.operands.single(test.left, known, guarded=False)
        if left is None:
            return None
        options = [self.operands.against(option, left, known, literal=True) for option in test.options]
        kept = tuple(option for option in options if option is not None)
        if len(kept) < len(options) or not self.operands.guard(left, known):
            return None
        return replace(test, left=left, options=kept)

    def _in_set(self, test: Member, word: Word, known: frozenset[Key]) -> Test | None:
        left = self.operands.single(test.left, known, guarded=False)
        if left is None:
            return None
        named = self.scope.sets[word.text]
        if left.type.kind != named.kind and not (named.kind == "text" and left.type.raw):
            self.operands.mismatch(left, word.span, word.text, f"a set of {SPOKEN[named.kind].partition(' ')[2]}s")
            return None
        for value in named.values:
            self.operands.suggested(value, left, word.span)
            if left.type.codes is not None and value not in left.type.codes:
                self.operands.unknown_code(value, left, word.span)
                return None
        options = tuple(Literal(v, Type(named.kind), v, word.span) for v in named.values)
        return replace(test, left=left, options=options) if self.operands.guard(left, known) else None

    def _in_list(self, test: Member, word: Word, known: frozenset[Key]) -> Test | None:
        right = self.operands.leaf(word)
        if right is None:
            return None
        if not right.type.many:
            self.operands.say(
                messages.NO_LIST.at(word.span, f"write `is {word.text}`, or values after commas", word=word.text)
            )
            return None
        if right.type.kind in _WHOLE:
            self.operands.say(messages.COMPLEX.at(word.span, word=word.text))
            return None
        left = (
            self.operands.single(test.left, known, guarded=False)
            if isinstance(test.left, Word) and self.operands.is_path(test.left)
            else self.operands.against(test.left, right, known)
        )
        if left is None:
            return None
        if not self.operands.comparable(left.type, right.type):
            self.operands.mismatch(left, word.span, word.text, SPOKEN[right.type.kind])
            return None
        if isinstance(left, Leaf) and not self.operands.guard(left, known):
            return None
        return replace(test, left=left, options=(right,))

    def ordered(self, test: Ordered, known: frozenset[Key]) -> Test | None:
        left = self.operands.single(test.left, known, guarded=False)
        if left is None:
            return None
        if left.type.kind not in ORDERED:
            self.operands.say(messages.NO_ORDER.at(left.span, word=left.span.text, kind=SPOKEN[left.type.kind]))
            return None
        right = self.operands.against(test.right, left, known)
        if right is None:
            return None
        if right.type.kind not in ORDERED:
            self.operands.mismatch(left, right.span, right.span.text, SPOKEN[right.type.kind])
            return None
        return replace(test, left=left, right=right) if self.operands.guard(left, known) else None

    def lacks(self, test: Lacks, known: frozenset[Key]) -> Test | None:
        listed = self.operands.leaf(test.left)
        if listed is None:
            return None
        if not listed.type.many:
            hint = f"write `{test.left.span.text} is not ...`"
            self.operands.say(messages.NO_LIST.at(test.left.span, hint, word=test.left.span.text))
            return None
        if listed.type.kind in _WHOLE:
            self.operands.say(messages.COMPLEX.at(test.left.span, word=test.left.span.text))
            return None
        right = self.operands.against(test.right, listed, known)
        return None if right is None else replace(test, left=listed, right=right)

    def phrased(self, test: Phrased, known: frozenset[Key]) -> Test | None:
        phrase = PHRASES[test.phrase]
        if not (isinstance(test.left, Word) and test.left.text == "caller" and "caller" in self.scope.facts):
            hint = "did you mean `caller`?" if slip(test.left.span.text, "caller") else None
            self.operands.say(messages.CALLER.at(test.left.span, hint, phrase=test.phrase, word=test.left.span.text))
            return None
        caller = Fact("caller", self.scope.facts["caller"], test.left.span)
        wanted = Literal("", Type(phrase.right), test.phrase, test.span)
        right = self.operands.against(test.right, wanted, known)
        return None if right is None else replace(test, left=caller, right=right)

    def named(self, test: Named, _known: frozenset[Key]) -> tuple[Test | None, Known]:
        word = test.word
        if word.text in self.scope.conditions and word.label is None:
            meaning = self.scope.conditions[word.text]
            if meaning is None:
                return None, Known()  # what is wrong with it is said where it is declared
            return replace(test, test=meaning), presence(meaning)
        if self.operands.is_path(word):
            if self.operands.leaf(word) is not None:
                self.operands.say(messages.NO_CONDITION.at(word.span, word=word.text))
        else:
            near = nearest(word.text, self.scope.conditions)
            hint = f"did you mean `{near}`?" if near else None
            self.operands.say(messages.UNDECLARED.at(word.span, hint, kind="condition", word=word.text))
        return None, Known()


# those whose outcome may tell of presence
MADE: Mapping[type, Callable[[_Checker, Any, frozenset[Key]], tuple[Test | None, Known]]] = {
    Chain: _Checker.chain,
    Not: _Checker.negation,
    Present: _Checker.present,
    Named: _Checker.named,
}

COMPARED: Mapping[type, Callable[[_Checker, Any, frozenset[Key]], Test | None]] = {
    Equal: _Checker.equal,
    Member: _Checker.member,
    Ordered: _Checker.ordered,
    Phrased: _Checker.phrased,
    Predicated: _Checker.predicate,
    Lacks: _Checker.lacks,
    Quantified: _Checker.quantified,
    **dict.fromkeys(ASKED, _Checker.told),
}
