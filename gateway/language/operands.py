"""The two sides of a comparison: what a word or text means there, of which type it is, and whether it may be absent."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal

from gateway.language import meant, messages
from gateway.language.elements import PATIENT, element_of, item_of, paths_of
from gateway.language.kinds import DECLARED, SPOKEN, UCUM_UNITS, Kind, Quantity, Type
from gateway.language.moments import FINE
from gateway.language.nodes import (
    Amount,
    Duration,
    Element,
    Fact,
    Field,
    Item,
    Leaf,
    Literal,
    Moved,
    Operand,
    Part,
    Text,
    Word,
)
from gateway.language.presence import Key, key
from gateway.language.types import COLUMN, FHIR_PATH, HL7_PATH, Scope, column_of, field_of, part_of
from gateway.source import Diagnostic, Span, nearest

_CATEGORY = re.compile(r"[A-Z][A-Z0-9]{2}\^[A-Z0-9]{3}")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_TELLING = 3  # shorter codes are like almost any other


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
        bound = part_of(word, scope) or item_of(word, scope)
        if bound is not None:
            return bound
        if text in scope.facts:
            return Fact(text, scope.facts[text], word.span)
        if text in scope.unreadable:
            return messages.NOT_READABLE.at(word.span, scope.unreadable[text], word=text)
        if HL7_PATH.fullmatch(text):
            if not scope.dictionaries:
                return messages.NOT_READABLE.at(word.span, "only a statement `on Hl7v2` reads the message", word=text)
            return field_of(word, scope)
        if COLUMN.fullmatch(text) or FHIR_PATH.fullmatch(text):
            return column_of(word, scope) if COLUMN.fullmatch(text) else self._element(word)
        if any(text in d.segments for d in scope.dictionaries.values()):
            return messages.NEEDS_FIELD.at(word.span, word=text)
        return messages.UNKNOWN_WORD.at(word.span, meant.hint(meant.path(text, scope)), word=text)

    def _element(self, word: Word) -> Leaf | Diagnostic:
        """A path into the resource, or into its patient where that is known."""
        if word.text.startswith(f"{PATIENT}.") and PATIENT not in self.scope.facts:
            reason = self.scope.unreadable.get(PATIENT, "no patient is known here")
            return messages.NOT_READABLE.at(word.span, reason, word=word.text)
        return element_of(word, self.scope)

    def single(self, operand: Operand, known: frozenset[Key], *, guarded: bool = True) -> Leaf | None:
        """An operand that is one value which is known to be there, or needs not be.

        Shape: `guarded` is false where what is asked has an answer for an absent value too.
        """
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
        return leaf if not guarded or self.guard(leaf, known) else None

    def guard(self, leaf: Leaf, known: frozenset[Key]) -> bool:
        """Whether a leaf may be read: it is there, or needs not be; if not it is said."""
        if not leaf.type.optional or key(leaf) in known or self._exempt(leaf):
            return True
        shown = _spelled(leaf)
        if self.scope.absence == "spelled":
            hint = f"add `{shown} is present and` before it, or `{shown} is absent or`"
            self.say(messages.UNGUARDED.at(leaf.span, hint, word=leaf.span.text))
            return False
        if self.scope.absence == "warned":
            self.say(messages.UNCHECKED_ABSENCE.at(leaf.span, word=shown))
        return True

    def _exempt(self, leaf: Leaf) -> bool:
        if not isinstance(leaf, Fact) or leaf.name not in self.scope.exempt:
            return False
        self.unguarded.add(leaf.name)
        return True

    def _below(self, leaf: Leaf) -> str | None:
        if isinstance(leaf, Element | Item) and self.scope.elements is not None:
            children = [c for path in paths_of(leaf, self.scope)[:1] for c in self.scope.elements.children(path)]
            if children:
                return "name one of them: " + ", ".join(f"`{c}`" for c in children[:6])
        return None

    def _one(self, leaf: Leaf) -> str:
        if isinstance(leaf, Field):
            return f'write `for each x in {leaf.segment}-{leaf.field} require ...`, or `"..." in {leaf.span.text}`'
        return f'write `"..." in {leaf.span.text}`'

    def against(
        self, operand: Operand, other: Leaf | Literal, known: frozenset[Key], *, literal: bool = False
    ) -> Leaf | Literal | Moved | None:
        """The other side of a comparison: what a bare word means there depends on the first side's kind."""
        kind = other.type.kind
        if isinstance(operand, Text):
            return self._text(operand, other)
        if isinstance(operand, Amount | Duration):
            return self._quantity(operand, other)
        if isinstance(operand, Moved) and not literal:
            return self._moved(operand, other, known)
        if not isinstance(operand, Word):
            self.say(messages.NO_LIST.at(operand.span, word=operand.span.text))
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

    def _quantity(self, operand: Amount | Duration, other: Leaf | Literal) -> Literal | None:
        """A number with its unit; a length of time is one too."""
        if isinstance(operand, Duration):
            spoken, found = "a length of time", Quantity(Decimal(operand.count), UCUM_UNITS[operand.unit])
        else:
            spoken, found = "a quantity", Quantity(Decimal(operand.number.text), operand.unit.value)
        if other.type.kind != "quantity":
            self.mismatch(other, operand.span, operand.span.text, spoken)
            return None
        return Literal(found, Type("quantity"), operand.span.text, operand.span)

    def _moved(self, operand: Moved, other: Leaf | Literal, known: frozenset[Key]) -> Moved | None:
        base = self.single(operand.base, known)
        if base is None or not self.in_time(base, operand.length):
            return None
        if not self.comparable(base.type, other.type) or other.type.kind not in {"date", "instant"}:
            self.mismatch(other, operand.span, operand.span.text, SPOKEN[base.type.kind])
            return None
        return replace(operand, base=base)

    def in_time(self, leaf: Leaf, length: Duration) -> bool:
        """Whether a length of time can be laid against a value; if not it is said."""
        if leaf.type.kind not in {"date", "instant"}:
            self.say(messages.NO_TIME.at(leaf.span, word=leaf.span.text, kind=SPOKEN[leaf.type.kind]))
            return False
        if leaf.type.kind == "date" and length.unit in FINE:
            self.say(messages.TOO_FINE.at(length.span, word=leaf.span.text, length=length.span.text))
            return False
        return True

    def _text(self, operand: Text, other: Leaf | Literal) -> Literal | None:
        kind = other.type.kind
        shown = operand.span.text
        if kind in DECLARED or kind == "category":
            self.say(messages.QUOTED.at(operand.span, word=operand.value))
            return None
        if operand.value == "":
            self.say(messages.EMPTY_TEXT.at(operand.span))
            return None
        if kind in {"boolean", "number", "date", "instant", "quantity"} and not other.type.raw:
            self.mismatch(other, operand.span, shown, "a text")
            return None
        self.suggested(operand.value, other, operand.span)
        if other.type.codes is not None and operand.value not in other.type.codes:
            self.unknown_code(operand.value, other, operand.span)
            return None
        return Literal(operand.value, Type("text"), shown, operand.span)

    def _constant(self, word: Word, other: Leaf | Literal) -> Literal | None:
        kind, text = other.type.kind, word.text
        if kind in DECLARED:
            return self._declared(word, kind)
        if kind == "category":
            return self._category(word, other)
        if kind == "boolean" and text in {"true", "false"}:
            return Literal(text == "true", Type("boolean"), text, word.span)
        if kind == "number" and _NUMBER.fullmatch(text):
            return Literal(Decimal(text), Type("number"), text, word.span)
        if kind in {"date", "instant"} and _DAY.fullmatch(text):
            return self._day(word)
        if kind == "quantity" and _NUMBER.fullmatch(text):
            self.say(messages.NO_UNIT.at(word.span, word=other.span.text, right=text))
        elif kind == "text":
            self.say(messages.UNQUOTED.at(word.span, meant.hint(meant.value(text, self.scope)), word=text))
        else:
            near = meant.value(text, self.scope) or nearest(text, self.scope.facts)
            self.say(messages.UNKNOWN_WORD.at(word.span, meant.hint(near), word=text))
        return None

    def _category(self, word: Word, other: Leaf | Literal) -> Literal | None:
        """A message type, which the domain accepts: no message that is judged by its rules has another."""
        text, accepted = word.text, self.scope.declared.get("category", frozenset())
        typed = _CATEGORY.fullmatch(text) is not None
        if text in accepted or (typed and not self.scope.domain):
            return Literal(text, Type("category"), text, word.span)
        near = nearest(text, accepted)
        if typed:
            hint = meant.hint(near) or f"it accepts {', '.join(sorted(accepted)) or 'nothing'}"
            self.say(messages.NOT_ACCEPTED.at(word.span, hint, domain=self.scope.domain, word=text))
            return None
        wanted = "no message type such as `ADT^A01`"
        self.mismatch(other, word.span, text, wanted, meant.hint(near or meant.value(text, self.scope)))
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
        shown = shown or meant.value(word.text, self.scope)
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

    def mismatch(
        self, left: Leaf | Literal | Moved, span: Span, right: str, right_kind: str, hint: str | None = None
    ) -> None:
        """Say that two sides are of different kinds."""
        self.say(
            messages.MISMATCH.at(
                span, hint, left=left.span.text, left_kind=SPOKEN[left.type.kind], right=right, right_kind=right_kind
            )
        )

    def suggested(self, value: str, leaf: Leaf | Literal, span: Span) -> None:
        """Warn of a text that the HL7 table of a place doesn't have, where it is like one that it has.

        A site may add codes of its own to most tables, so one that is like none of them is its own affair.
        """
        if leaf.type.table is None or value in leaf.type.table[1]:
            return
        number, codes = leaf.type.table
        near = nearest(value, (code for code in codes if len(code) >= _TELLING)) if len(value) >= _TELLING else None
        if near is not None:
            hint = f'did you mean `"{near}"`?'
            self.say(messages.TABLE_CODE.at(span, hint, word=value, table=number, path=leaf.span.text))

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
