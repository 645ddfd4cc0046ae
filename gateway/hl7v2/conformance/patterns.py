"""Patterns that a field fits if nothing is wrong with it: what is sound is told in one go.

A pattern is never too lenient: what fits has no departures. It may be too strict, so what does not fit is looked at
part by part (`examine.py`). No pattern can run long: every piece of text ends where the next delimiter is, and nothing
that was taken is given back.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from gateway.hl7v2.conformance.kinds import USER_TABLE
from gateway.hl7v2.conformance.rules import FieldRule, Leaf, Part, Shape
from gateway.hl7v2.delimiters import NULL, Delimiters

Fits = Callable[[str], object]
"""Whether a field that is not empty surely departs in nothing: false where it may."""

_ORDINALS = frozenset(map(str, range(1000)))
"""What most set ids are; another is looked at."""


class Writer:
    """Patterns for one set of delimiters. Shape: `suggested` is whether user-defined tables are asked too."""

    __slots__ = ("_component", "_ends", "_repetition", "_separators", "_subcomponent", "_suggested", "_text")

    def __init__(self, delimiters: Delimiters, *, suggested: bool) -> None:
        """Work out how texts end."""
        d = delimiters
        self._repetition = re.escape(d.repetition)
        self._component, self._subcomponent = re.escape(d.component), re.escape(d.subcomponent)
        self._separators = f"[{self._component}{self._repetition}{self._subcomponent}]"
        self._text = f"[^{self._component}{self._repetition}{self._subcomponent}]"
        self._ends = f"(?!{self._text})"
        self._suggested = suggested

    def fits(self, field: FieldRule) -> Fits:
        """What a field is asked: most often its pattern, of a few codes or numbers whether it is one of them."""
        leaf = field.shape.leaf
        if leaf is not None and field.most == 1:
            if leaf.table is not None and self._asked(leaf.table.kind):
                return leaf.table.codes.__contains__
            if leaf.datatype == "SI":
                return _ORDINALS.__contains__
        return re.compile(self.field(field)).fullmatch

    def field(self, field: FieldRule) -> str:
        """The pattern of a field as it stands between two field separators, and is not empty."""
        one = self._value(field.shape, self._component)
        rest = "*+" if field.most is None else f"{{0,{field.most - 1}}}+"
        inner = one if field.most == 1 else f"{one}(?:{self._repetition}{one}){rest}"
        return f"(?={self._separators}*+{self._text}){inner}" if field.required else inner

    def _value(self, shape: Shape, separator: str) -> str:
        """The pattern of one value: what stands between two delimiters, or nothing."""
        if shape.leaf is not None:
            return self._leaf(shape.leaf)
        if not shape.parts:
            return f"[^{self._repetition}{self._component}]*+"
        inner = self._parts(shape, separator)
        return f"(?>{inner})?" if any(part.required for part in shape.parts) else inner

    def _parts(self, shape: Shape, separator: str) -> str:
        own = {part.position: part for part in shape.parts}
        needed = max((part.position for part in shape.parts if part.required), default=0)
        rest = ""
        # from the last to the first, each within the one before it, so that the end of a value is found in one step
        for position in range(max(own), 1, -1):
            part = own.get(position)
            piece = f"{separator}{'' if part is None else self._part(part, separator)}{rest}"
            rest = piece if position <= needed else f"(?:{piece})?+"
        first = own.get(1)
        return f"{self._coded(shape, '' if first is None else self._part(first, separator))}{rest}"

    def _coded(self, shape: Shape, inner: str) -> str:
        """The first component of a coded value, which a table may be asked of."""
        if shape.coded is None or not self._asked(shape.coded.kind):
            return inner
        return f"(?:{alternatives(shape.coded.codes)})?{self._ends}"

    def _part(self, part: Part, separator: str) -> str:
        """The pattern of a part; what `separator` stands between is of components or of subcomponents."""
        if part.withdrawn:
            return self._ends
        inner = self._value(part.shape, self._subcomponent)
        # a component has a value where any subcomponent has; a subcomponent has its own alone
        ahead = self._text if separator == self._subcomponent else f"{self._subcomponent}*+{self._text}"
        return f"(?={ahead}){inner}" if part.required else inner

    def _leaf(self, leaf: Leaf) -> str:
        if leaf.table is not None and self._asked(leaf.table.kind):
            return f"(?:{alternatives({*leaf.table.codes, NULL})})?{self._ends}"
        if leaf.format is not None:
            most = "" if leaf.most is None else f"(?!{self._text}{{{leaf.most + 1}}})"
            return f"{most}(?:{leaf.format.pattern}|{NULL})?{self._ends}"
        return f"{self._text}*+" if leaf.most is None else f"{self._text}{{0,{leaf.most}}}+"

    def _asked(self, kind: str) -> bool:
        return self._suggested or kind != USER_TABLE


def alternatives(texts: Iterable[str]) -> str:
    """A pattern of several texts, shared beginnings written once."""
    by_first: dict[str, list[str]] = {}
    empty = False
    for text in sorted(texts):
        if text:
            by_first.setdefault(text[0], []).append(text[1:])
        else:
            empty = True
    if not by_first:
        return ""
    branches = [re.escape(first) + alternatives(rest) for first, rest in by_first.items()]
    inner = branches[0] if len(branches) == 1 else f"(?:{'|'.join(branches)})"
    return f"(?:{inner})?" if empty else inner
