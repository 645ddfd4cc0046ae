"""The two sides of a comparison: what a word or text means there, of which type it is, and whether it may be absent."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal

from gateway.language import messages
from gateway.language.kinds import DECLARED, SPOKEN, Kind, Type
from gateway.language.nodes import Element, Fact, Field, Leaf, Literal, Operand, Part, Text, Word
from gateway.language.presence import Key, key
from gateway.language.types import COLUMN, FHIR_PATH, HL7_PATH, Scope, column_of, element_of, field_of, part_of
from gateway.source import Diagnostic, Span, nearest

_CATEGORY = re.compile(r"[A-Z][A-Z0-9]{2}\^[A-Z0-9]{3}")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")


@dataclass(slots=True)
class Operands:
    """Reads the operands of one condition. Collects what is wrong.

    Shape: `unguarded` are the exempt facts that were read without asking for their presence.
    """

    scope: Scope
    diagnostics: list[Diagnostic] = field(default_factory=list)
    unguarded: set[str] = field(default_factory=set)

    def is_path(self, word: Word) -> bool:
        """Whether a word has the form of something to be read, rather than of a name or a number."""
        text = word.text
        root = text.partition(".")[0]
        return (
            text in self.scope.facts
            or text in self.scope.unreadable
            or root in self.scope.bound
            or HL7_PATH.fullmatch(text) is not None
            or FHIR_PATH.fullmatch(text) is not None
            or COLUMN.fullmatch(text) is not None
        )

    def leaf(self, operand: Operand) -> Leaf | None:
        """What is read by a path or a fact."""
        if not isinstance(operand, Word):
            self.say(messages.NO_LIST.at(operand.span, "name a path or a fact", word=operand.span.text))
            return None
        found = self._resolve(operand)
        if isinstance(found, Diagnostic):
            self.say(found)
            return None
        if operand.label is not None and not isinstance(found, Field):
            self.say(
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
        if FHIR_PATH.fullmatch(text) or COLUMN.fullmatch(text):
            return column_of(word, scope) if COLUMN.fullmatch(text) else element_of(word, scope)
        if any(text in d.segments for d in scope.dictionaries.values()):
            return messages.NEEDS_FIELD.at(word.span, word=text)
        near = nearest(text, [*scope.facts, *scope.bound])
        return messages.UNKNOWN_WORD.at(word.span, f"did you mean `{near}`?" if near else None, word=text)

    def single(self, operand: Operand, known: frozenset[Key]) -> Leaf | Literal | None:
        """An operand that is one value which is known to be there, or needs not be."""
        leaf = self.leaf(operand)
        if leaf is None:
            return None
        if leaf.type.kind in {"complex", "caller"}:
            self.say(messages.COMPLEX.at(leaf.span, self._below(leaf), word=leaf.span.text))
            return None
        if leaf.type.many:
            if not self.scope.first:
                self.say(messages.REPEATS.at(leaf.span, self._one(leaf), word=leaf.span.text))
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
                self.say(messages.UNGUARDED.at(leaf.span, hint, word=leaf.span.text))
                return None
            case "warned":
                self.say(messages.UNCHECKED_ABSENCE.at(leaf.span, word=shown))
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

    def against(
        self, operand: Operand, other: Leaf | Literal, known: frozenset[Key], *, literal: bool = False
    ) -> Leaf | Literal | None:
        """The other side of a comparison: what a bare word means there depends on the first side's kind."""
        kind = other.type.kind
        if isinstance(operand, Text):
            return self._text(operand, other)
        if not isinstance(operand, Word):
            return None
        if self.is_path(operand) and not (kind == "category" and _CATEGORY.fullmatch(operand.text)):
            if literal:
                self.say(messages.NO_LIST.at(operand.span, word=operand.text))
                return None
            leaf = self.single(operand, known)
            if leaf is not None and not self.comparable(leaf.type, other.type):
                self.mismatch(other, operand.span, operand.text, SPOKEN[leaf.type.kind])
                return None
            return leaf
        return self._constant(operand, other)

    def _text(self, operand: Text, other: Leaf | Literal) -> Literal | None:
        kind = other.type.kind
        shown = operand.span.text
        if kind in DECLARED or kind == "category":
            self.say(messages.QUOTED.at(operand.span, word=operand.value))
            return None
        if operand.value == "":
            self.say(messages.EMPTY_TEXT.at(operand.span))
            return None
        if kind in {"boolean", "number", "date", "instant"} and not other.type.raw:
            self.mismatch(other, operand.span, shown, "a text")
            return None
        if other.type.codes is not None and operand.value not in other.type.codes:
            self.unknown_code(operand.value, other, operand.span)
            return None
        return Literal(operand.value, Type("text"), shown, operand.span)

    def _constant(self, word: Word, other: Leaf | Literal) -> Literal | None:
        kind, text = other.type.kind, word.text
        if kind in DECLARED:
            return self._declared(word, kind)
        if kind == "category":
            if _CATEGORY.fullmatch(text) or text in self.scope.declared.get("category", ()):
                return Literal(text, Type("category"), text, word.span)
            self.mismatch(other, word.span, text, "no message type such as `ADT^A01`")
            return None
        if kind == "boolean" and text in {"true", "false"}:
            return Literal(text == "true", Type("boolean"), text, word.span)
        if kind == "number" and _NUMBER.fullmatch(text):
            return Literal(Decimal(text), Type("number"), text, word.span)
        if kind in {"date", "instant"} and _DAY.fullmatch(text):
            return self._day(word)
        if kind == "text":
            self.say(messages.UNQUOTED.at(word.span, word=text))
        else:
            near = nearest(text, self.scope.facts)
            self.say(messages.UNKNOWN_WORD.at(word.span, f"did you mean `{near}`?" if near else None, word=text))
        return None

    def _day(self, word: Word) -> Literal | None:
        try:
            return Literal(date.fromisoformat(word.text), Type("date"), word.text, word.span)
        except ValueError:
            self.say(messages.UNKNOWN_WORD.at(word.span, "there is no such day", word=word.text))
            return None

    def _declared(self, word: Word, kind: Kind) -> Literal | None:
        known = self.scope.declared.get(kind, frozenset())
        name = word.text.upper() if kind == "organisation" else word.text
        if name in known:
            return Literal(name, Type(kind), word.text, word.span)
        near = nearest(word.text, known)
        shown = near.lower() if near and kind == "organisation" and word.text.islower() else near
        hint = f"did you mean `{shown}`?" if shown else f"declare it: `{kind} {word.text} ...`"
        self.say(messages.UNDECLARED.at(word.span, hint, kind=kind, word=word.text))
        return None

    def comparable(self, left: Type, right: Type) -> bool:
        """Whether values of two types may be compared."""
        if left.kind == right.kind:
            return True
        texts = (left.kind == "text" or left.raw) and (right.kind == "text" or right.raw)
        return texts or {left.kind, right.kind} == {"date", "instant"}

    def say(self, diagnostic: Diagnostic) -> None:
        """Keep what is wrong."""
        self.diagnostics.append(diagnostic)

    def mismatch(self, left: Leaf | Literal, span: Span, right: str, right_kind: str) -> None:
        """Say that two sides are of different kinds."""
        self.say(
            messages.MISMATCH.at(
                span, left=left.span.text, left_kind=SPOKEN[left.type.kind], right=right, right_kind=right_kind
            )
        )

    def unknown_code(self, value: str, leaf: Leaf | Literal, span: Span) -> None:
        """Say that a text is none of the codes that stand there."""
        codes = leaf.type.codes or frozenset()
        near = nearest(value, codes)
        hint = f'did you mean `"{near}"`?' if near else "its codes are " + ", ".join(sorted(codes)[:12])
        self.say(messages.UNKNOWN_CODE.at(span, hint, word=value, path=leaf.span.text))


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
