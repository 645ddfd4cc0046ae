"""Syntax tree to resolved tree: every word looked up, every comparison typed, absence spelled out.

Errors are collected: one wrong operand doesn't hide the next. Presence is followed through a condition: behind
`X is present and`, X is known to be there; behind `X is absent or` as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal

from gateway.language import messages
from gateway.language.functions import PHRASES, PREDICATES
from gateway.language.kinds import DECLARED, ORDERED, SPOKEN, Kind, Type
from gateway.language.nodes import (
    Chain,
    Element,
    Equal,
    Fact,
    Field,
    Leaf,
    Literal,
    Member,
    Named,
    Not,
    Operand,
    Ordered,
    Part,
    Phrased,
    Predicated,
    Present,
    Test,
    Text,
    Word,
)
from gateway.language.presence import Key, Known, key, presence, shared
from gateway.language.types import FHIR_PATH, HL7_PATH, Scope, element_of, field_of, part_of
from gateway.source import Diagnostic, Span, nearest

_CATEGORY = re.compile(r"[A-Z][A-Z0-9]{2}\^[A-Z0-9]{3}")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")


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
    checker = _Checker(scope)
    resolved, _ = checker.test(test, frozenset(known))
    wrong = any(d.severity == "error" for d in checker.diagnostics)
    return Checked(None if wrong else resolved, tuple(checker.diagnostics), frozenset(checker.unguarded))


def check_operand(operand: Operand, scope: Scope) -> Leaf | Diagnostic:
    """Resolve one path or fact outside of a condition, such as that of `in order of`."""
    if isinstance(operand, Text):
        return messages.UNKNOWN_WORD.at(operand.span, "name a path", word=operand.value)
    checker = _Checker(scope)
    leaf = checker.leaf(operand) if isinstance(operand, Word) else operand
    if isinstance(leaf, Fact | Field | Part | Element):
        return leaf
    if checker.diagnostics:
        return checker.diagnostics[0]
    shown = operand.text if isinstance(operand, Word) else operand.span.text
    return messages.UNKNOWN_WORD.at(operand.span, "name a path or a fact", word=shown)


@dataclass(slots=True)
class _Checker:
    """One walk over a condition. Collects what is wrong."""

    scope: Scope
    diagnostics: list[Diagnostic] = field(default_factory=list)
    unguarded: set[str] = field(default_factory=set)

    # --- conditions ------------------------------------------------------------------------------------------------

    def test(self, test: Test, known: frozenset[Key]) -> tuple[Test | None, Known]:
        """The resolved condition (None if wrong), and what its outcome tells of presence."""
        match test:
            case Chain():
                return self._chain(test, known)
            case Not():
                part, inner = self.test(test.part, known)
                resolved = None if part is None else replace(test, part=part)
                return resolved, Known(inner.failed, inner.held)
            case Present():
                return self._present(test)
            case Named():
                return self._named(test)
            case _:
                return self._comparison(test, known), Known()

    def _comparison(self, test: Test, known: frozenset[Key]) -> Test | None:
        match test:
            case Equal():
                return self._equal(test, known)
            case Member():
                return self._member(test, known)
            case Ordered():
                return self._ordered(test, known)
            case Phrased():
                return self._phrased(test, known)
            case _:
                return test  # a predicate is resolved already

    def _chain(self, test: Chain, known: frozenset[Key]) -> tuple[Test | None, Known]:
        resolved: list[Test] = []
        outcomes: list[Known] = []
        for part in test.parts:
            found, outcome = self.test(part, known)
            outcomes.append(outcome)
            known |= outcome.held if test.word == "and" else outcome.failed
            if found is not None:
                resolved.append(found)
        whole = replace(test, parts=tuple(resolved)) if len(resolved) == len(test.parts) else None
        every = frozenset[Key]().union
        if test.word == "and":
            return whole, Known(every(*(o.held for o in outcomes)), shared([o.failed for o in outcomes]))
        return whole, Known(shared([o.held for o in outcomes]), every(*(o.failed for o in outcomes)))

    def _equal(self, test: Equal, known: frozenset[Key]) -> Test | None:
        if isinstance(test.right, Word) and test.right.text in PREDICATES:
            return self._predicated(test, test.right.text, known)
        left = self._single(test.left, known)
        if left is None:
            return None
        right = self._against(test.right, left, known)
        return None if right is None else replace(test, left=left, right=right)

    def _predicated(self, test: Equal, predicate: str, known: frozenset[Key]) -> Test | None:
        left = self._single(test.left, known)
        if left is None:
            return None
        if left.type.kind != "text" and not left.type.raw:
            self._mismatch(left, test.right.span, predicate, "a predicate of texts")
            return None
        return Predicated(left, predicate, test.negated, test.span)

    def _present(self, test: Present) -> tuple[Test | None, Known]:
        leaf = self._leaf(test.operand)
        if leaf is None:
            return None, Known()
        if not leaf.type.optional and not leaf.type.many:
            self._say(messages.ALWAYS.at(test.span, word=leaf.span.text))
            return None, Known()
        resolved = replace(test, operand=leaf)
        return resolved, presence(resolved)

    def _member(self, test: Member, known: frozenset[Key]) -> Test | None:
        if len(test.options) == 1 and isinstance(test.options[0], Word):
            word = test.options[0]
            if word.text in self.scope.sets:
                return self._in_set(test, word, known)
            if self._is_path(word):
                return self._in_list(test, word, known)
        left = self._single(test.left, known)
        if left is None:
            return None
        options = [self._against(option, left, known, literal=True) for option in test.options]
        kept = tuple(option for option in options if option is not None)
        return replace(test, left=left, options=kept) if len(kept) == len(options) else None

    def _in_set(self, test: Member, word: Word, known: frozenset[Key]) -> Test | None:
        left = self._single(test.left, known)
        if left is None:
            return None
        named = self.scope.sets[word.text]
        if left.type.kind != named.kind and not (named.kind == "text" and left.type.raw):
            self._mismatch(left, word.span, word.text, f"a set of {SPOKEN[named.kind].partition(' ')[2]}s")
            return None
        if left.type.codes is not None:
            for value in named.values:
                if value not in left.type.codes:
                    self._unknown_code(value, left, word.span)
                    return None
        options = tuple(Literal(v, Type(named.kind), v, word.span) for v in named.values)
        return replace(test, left=left, options=options)

    def _in_list(self, test: Member, word: Word, known: frozenset[Key]) -> Test | None:
        right = self._leaf(word)
        if right is None:
            return None
        if not right.type.many:
            self._say(messages.NO_LIST.at(word.span, f"write `is {word.text}`, or values after commas", word=word.text))
            return None
        if right.type.kind in {"complex", "caller"}:
            self._say(messages.COMPLEX.at(word.span, word=word.text))
            return None
        left = (
            self._single(test.left, known)
            if isinstance(test.left, Word) and self._is_path(test.left)
            else self._against(test.left, right, known)
        )
        if left is None:
            return None
        if not self._comparable(left.type, right.type):
            self._mismatch(left, word.span, word.text, SPOKEN[right.type.kind])
            return None
        return replace(test, left=left, options=(right,))

    def _ordered(self, test: Ordered, known: frozenset[Key]) -> Test | None:
        left = self._single(test.left, known)
        if left is None:
            return None
        if left.type.kind not in ORDERED:
            self._say(messages.NO_ORDER.at(left.span, word=left.span.text, kind=SPOKEN[left.type.kind]))
            return None
        right = self._against(test.right, left, known)
        if right is None:
            return None
        if right.type.kind not in ORDERED:
            self._mismatch(left, right.span, right.span.text, SPOKEN[right.type.kind])
            return None
        return replace(test, left=left, right=right)

    def _phrased(self, test: Phrased, known: frozenset[Key]) -> Test | None:
        phrase = PHRASES[test.phrase]
        if not (isinstance(test.left, Word) and test.left.text == "caller" and "caller" in self.scope.facts):
            self._say(messages.CALLER.at(test.left.span, phrase=test.phrase, word=test.left.span.text))
            return None
        caller = Fact("caller", self.scope.facts["caller"], test.left.span)
        wanted = Literal("", Type(phrase.right), test.phrase, test.span)
        right = self._against(test.right, wanted, known)
        return None if right is None else replace(test, left=caller, right=right)

    def _named(self, test: Named) -> tuple[Test | None, Known]:
        word = test.word
        if word.text in self.scope.conditions and word.label is None:
            meaning = self.scope.conditions[word.text]
            if meaning is None:
                return None, Known()  # what is wrong with it is said where it is declared
            return replace(test, test=meaning), presence(meaning)
        if self._is_path(word):
            if self._leaf(word) is not None:
                self._say(messages.NO_CONDITION.at(word.span, word=word.text))
        else:
            near = nearest(word.text, self.scope.conditions)
            hint = f"did you mean `{near}`?" if near else None
            self._say(messages.UNDECLARED.at(word.span, hint, kind="condition", word=word.text))
        return None, Known()

    # --- operands --------------------------------------------------------------------------------------------------

    def leaf(self, word: Word) -> Leaf | Literal | None:
        """What a word that is to be read means."""
        return self._leaf(word)

    def _is_path(self, word: Word) -> bool:
        """Whether a word has the form of something to be read, rather than of a name or a number."""
        text = word.text
        root = text.partition(".")[0]
        return (
            text in self.scope.facts
            or text in self.scope.unreadable
            or root in self.scope.bound
            or HL7_PATH.fullmatch(text) is not None
            or FHIR_PATH.fullmatch(text) is not None
        )

    def _leaf(self, operand: Operand) -> Leaf | None:
        if not isinstance(operand, Word):
            self._say(messages.NO_LIST.at(operand.span, "name a path or a fact", word=operand.span.text))
            return None
        found = self._resolve(operand)
        if isinstance(found, Diagnostic):
            self._say(found)
            return None
        if operand.label is not None and not isinstance(found, Field):
            self._say(
                messages.LABEL.at(
                    operand.label.span, "a label follows an HL7 field", word=operand.text, label=operand.label.value
                )
            )
            return None
        return found

    def _resolve(self, word: Word) -> Leaf | Diagnostic:
        scope, text = self.scope, word.text
        part = part_of(word, scope)
        if part is not None:
            return part
        if text in scope.facts:
            return Fact(text, scope.facts[text], word.span)
        if text in scope.unreadable:
            return messages.NOT_READABLE.at(word.span, scope.unreadable[text], word=text)
        if HL7_PATH.fullmatch(text):
            if not scope.dictionaries:
                return messages.NOT_READABLE.at(word.span, "only a statement `on Hl7v2` reads the message", word=text)
            return field_of(word, scope)
        if FHIR_PATH.fullmatch(text):
            return element_of(word, scope)
        if any(text in d.segments for d in scope.dictionaries.values()):
            return messages.NEEDS_FIELD.at(word.span, word=text)
        near = nearest(text, [*scope.facts, *scope.bound])
        return messages.UNKNOWN_WORD.at(word.span, f"did you mean `{near}`?" if near else None, word=text)

    def _single(self, operand: Operand, known: frozenset[Key]) -> Leaf | Literal | None:
        """An operand that is one value which is known to be there, or needs not be."""
        leaf = self._leaf(operand)
        if leaf is None:
            return None
        if leaf.type.kind in {"complex", "caller"}:
            self._say(messages.COMPLEX.at(leaf.span, self._below(leaf), word=leaf.span.text))
            return None
        if leaf.type.many:
            if not self.scope.first:
                self._say(messages.REPEATS.at(leaf.span, self._one(leaf), word=leaf.span.text))
                return None
            leaf = replace(leaf, type=leaf.type.single())
        if leaf.type.optional and key(leaf) not in known and not self._exempt(leaf):
            return self._unguarded(leaf)
        return leaf

    def _unguarded(self, leaf: Leaf) -> Leaf | None:
        shown = _spelled(leaf)
        match self.scope.absence:
            case "spelled":
                hint = f"add `{shown} is present and` before it, or `{shown} is absent or`"
                self._say(messages.UNGUARDED.at(leaf.span, hint, word=leaf.span.text))
                return None
            case "warned":
                self._say(messages.UNCHECKED_ABSENCE.at(leaf.span, word=shown))
        return leaf

    def _exempt(self, leaf: Leaf) -> bool:
        if not isinstance(leaf, Fact) or leaf.name not in self.scope.exempt:
            return False
        self.unguarded.add(leaf.name)
        return True

    def _below(self, leaf: Leaf) -> str | None:
        if isinstance(leaf, Element) and leaf.resource is not None and self.scope.elements is not None:
            children = self.scope.elements.children(".".join((leaf.resource, *leaf.steps)))
            if children:
                return "name one of them: " + ", ".join(f"`{c}`" for c in children[:6])
        return None

    def _one(self, leaf: Leaf) -> str:
        if isinstance(leaf, Field):
            return f'write `for each x in {leaf.segment}-{leaf.field} require ...`, or `"..." in {leaf.span.text}`'
        return f'write `"..." in {leaf.span.text}`'

    def _against(
        self, operand: Operand, other: Leaf | Literal, known: frozenset[Key], *, literal: bool = False
    ) -> Leaf | Literal | None:
        """The other side of a comparison: what a bare word means there depends on the first side's kind."""
        kind = other.type.kind
        if isinstance(operand, Text):
            return self._text(operand, other)
        if not isinstance(operand, Word):
            return None
        if self._is_path(operand) and not (kind == "category" and _CATEGORY.fullmatch(operand.text)):
            if literal:
                self._say(messages.NO_LIST.at(operand.span, word=operand.text))
                return None
            leaf = self._single(operand, known)
            if leaf is not None and not self._comparable(leaf.type, other.type):
                self._mismatch(other, operand.span, operand.text, SPOKEN[leaf.type.kind])
                return None
            return leaf
        return self._constant(operand, other)

    def _text(self, operand: Text, other: Leaf | Literal) -> Literal | None:
        kind = other.type.kind
        shown = operand.span.text
        if kind in DECLARED or kind == "category":
            self._say(messages.QUOTED.at(operand.span, word=operand.value))
            return None
        if operand.value == "":
            self._say(messages.EMPTY_TEXT.at(operand.span))
            return None
        if kind in {"boolean", "number", "date", "instant"} and not other.type.raw:
            self._mismatch(other, operand.span, shown, "a text")
            return None
        if other.type.codes is not None and operand.value not in other.type.codes:
            self._unknown_code(operand.value, other, operand.span)
            return None
        return Literal(operand.value, Type("text"), shown, operand.span)

    def _constant(self, word: Word, other: Leaf | Literal) -> Literal | None:
        kind, text = other.type.kind, word.text
        if kind in DECLARED:
            return self._declared(word, kind)
        if kind == "category":
            if _CATEGORY.fullmatch(text):
                return Literal(text, Type("category"), text, word.span)
            self._mismatch(other, word.span, text, "no message type such as `ADT^A01`")
            return None
        if kind == "boolean" and text in {"true", "false"}:
            return Literal(text == "true", Type("boolean"), text, word.span)
        if kind == "number" and _NUMBER.fullmatch(text):
            return Literal(Decimal(text), Type("number"), text, word.span)
        if kind in {"date", "instant"} and _DAY.fullmatch(text):
            return self._day(word)
        if kind == "text":
            self._say(messages.UNQUOTED.at(word.span, word=text))
        else:
            near = nearest(text, self.scope.facts)
            self._say(messages.UNKNOWN_WORD.at(word.span, f"did you mean `{near}`?" if near else None, word=text))
        return None

    def _day(self, word: Word) -> Literal | None:
        try:
            return Literal(date.fromisoformat(word.text), Type("date"), word.text, word.span)
        except ValueError:
            self._say(messages.UNKNOWN_WORD.at(word.span, "there is no such day", word=word.text))
            return None

    def _declared(self, word: Word, kind: Kind) -> Literal | None:
        known = self.scope.declared.get(kind, frozenset())
        name = word.text.upper() if kind == "organisation" else word.text
        if name in known:
            return Literal(name, Type(kind), word.text, word.span)
        near = nearest(word.text, known)
        shown = near.lower() if near and kind == "organisation" and word.text.islower() else near
        hint = f"did you mean `{shown}`?" if shown else f"declare it: `{kind} {word.text} ...`"
        self._say(messages.UNDECLARED.at(word.span, hint, kind=kind, word=word.text))
        return None

    def _comparable(self, left: Type, right: Type) -> bool:
        if left.kind == right.kind:
            return True
        texts = (left.kind == "text" or left.raw) and (right.kind == "text" or right.raw)
        return texts or {left.kind, right.kind} == {"date", "instant"}

    # --- words -----------------------------------------------------------------------------------------------------

    def _say(self, diagnostic: Diagnostic) -> None:
        self.diagnostics.append(diagnostic)

    def _mismatch(self, left: Leaf | Literal, span: Span, right: str, right_kind: str) -> None:
        self._say(
            messages.MISMATCH.at(
                span, left=left.span.text, left_kind=SPOKEN[left.type.kind], right=right, right_kind=right_kind
            )
        )

    def _unknown_code(self, value: str, leaf: Leaf | Literal, span: Span) -> None:
        codes = leaf.type.codes or frozenset()
        near = nearest(value, codes)
        hint = f'did you mean `"{near}"`?' if near else "its codes are " + ", ".join(sorted(codes)[:12])
        self._say(messages.UNKNOWN_CODE.at(span, hint, word=value, path=leaf.span.text))


def _spelled(leaf: Leaf) -> str:
    """The path whose presence says that a leaf's scalar value is there."""
    match leaf:
        case Field():
            return f"{leaf.segment}-{leaf.field}" + _steps(leaf)
        case Part():
            return leaf.variable + _steps(leaf)
        case _:
            return leaf.span.text


def _steps(leaf: Field | Part) -> str:
    if leaf.subcomponent is not None:
        return f".{leaf.component}.{leaf.subcomponent}"
    if leaf.component is not None:
        return f".{leaf.component}" + (".1" if leaf.type.composite else "")
    return ".1" if leaf.type.composite else ""
