"""The resources of a layout, from its TOML to checked nodes; everything that is wrong is told by file and line."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from lark import Lark

from gateway.fhir.elements import Elements
from gateway.language import parse as language
from gateway.language.check import check
from gateway.language.nodes import Test
from gateway.language.types import Scope, columns_of
from gateway.mapping import targets
from gateway.mapping.codes import CodeMap
from gateway.mapping.nodes import Step, Target
from gateway.mapping.rows import messages
from gateway.mapping.rows.nodes import CONTEXT, Filled, Filler, Form, Hole, Identity, RowResource
from gateway.mapping.targets import Place
from gateway.source import Diagnostic, Keep, Message, Source, Span, made_anew, nearest
from gateway.tabular import Layout
from gateway.tabular.messages import MISSING_KEY, UNKNOWN_KEY, WRONG_KIND

_KEYS = ("type", "identity", "when", "required", "only-new", "elements")
_STEP = re.compile(r'([a-z][A-Za-z0-9]*)(?:\[(?:(\d+)|"([^"\n]*)")\])?(?:\.|$)')
_HOLE = re.compile(r"\{([^{}]*)\}")
_IDENTITY = re.compile(r"(\S+)(?:\s+of\s+(\S+(?:\s*,\s*\S+)*?))?(?:\s+as\s+(nhs-number|ods-code))?")
_TEXTS = frozenset({"string", "markdown", "code", "uri", "url", "canonical", "oid", "uuid", "id"})
_CONCEPTS = frozenset({"CodeableConcept", "Coding"})
FITS: Mapping[str, tuple[str, ...]] = {
    "boolean": ("boolean",),
    "integer": ("integer",),
    "positiveInt": ("integer",),
    "unsignedInt": ("integer",),
    "decimal": ("integer", "decimal"),
    "date": ("date", "instant"),
    "dateTime": ("date", "instant"),
    "instant": ("instant",),
    **dict.fromkeys(_CONCEPTS, ("code",)),
}
"""Types of columns that may fill an element of a type; a text takes any."""


@functools.cache
def _fresh() -> Lark:
    return language.parser("", ("condition",))


def conditions(keep: Keep) -> Lark:
    """The parser of a condition that stands alone. Shape: `keep` holds its tables."""
    return _fresh() if keep is made_anew else language.kept_parser("conditions", "", ("condition",), keep)


@dataclass(slots=True)
class Reading:
    """One layout's resources while they are read; collects what is wrong."""

    layout: Layout
    elements: Elements
    codes: Mapping[str, CodeMap]
    parser: Lark = field(default_factory=_fresh)
    wrong: list[Diagnostic] = field(default_factory=list)
    types: dict[str, str] = field(default_factory=dict)

    def resources(self) -> tuple[RowResource, ...]:
        """Every resource, those first whose ids others need."""
        told = self.layout.located.data.get("resources", {})
        if not isinstance(told, dict) or not told:
            self.say(messages.NO_RESOURCES, self.layout.located.key())
            return ()
        for name, said in told.items():
            if isinstance(said, dict):
                self.types[name] = self.type(name, said)
            else:
                self.say(WRONG_KIND, self.span(name), word=name, wanted="a table")
        found = [self.resource(name, told[name]) for name in self.types if self.types[name]]
        return self.ordered({one.name: one for one in found})

    def type(self, name: str, said: Mapping[str, Any]) -> str:
        """The FHIR type of a resource, empty where it is none."""
        kind = said.get("type")
        if kind is None:
            self.say(messages.MISSING_TYPE, self.span(name), word=name)
            return ""
        if isinstance(kind, str) and self.elements.is_resource(kind):
            return kind
        near = nearest(str(kind), (t for t in self.elements.tables.types if self.elements.is_resource(t)))
        hint = f"did you mean `{near}`?" if near else None
        self.say(messages.UNKNOWN_RESOURCE, self.value(name, "type"), hint, word=kind)
        return ""

    def resource(self, name: str, said: Mapping[str, Any]) -> RowResource:
        """One resource."""
        for key in said:
            if key not in _KEYS:
                self.say(UNKNOWN_KEY, self.span(name, key), _meant(key, _KEYS), word=key)
        told = said.get("elements", {})
        if not isinstance(told, dict):
            self.say(WRONG_KIND, self.value(name, "elements"), word="elements", wanted="a table of elements")
            told = {}
        filled = [self.filled(name, path, value) for path, value in _flat(told)]
        test = self.condition(said.get("when"), self.value(name, "when"))
        return RowResource(
            name, self.types[name], self.identities(name, said), tuple(f for f in filled if f is not None), test,
            self.flag(name, said, "required"), self.flag(name, said, "only-new"),
        )  # fmt: skip

    def flag(self, name: str, said: Mapping[str, Any], key: str) -> bool:
        """True or false, false where nothing is said."""
        value = said.get(key, False)
        if not isinstance(value, bool):
            self.say(WRONG_KIND, self.value(name, key), word=key, wanted="true or false")
        return value is True

    # --- identity --------------------------------------------------------------------------------------------------

    def identities(self, name: str, said: Mapping[str, Any]) -> tuple[Identity, ...]:
        """The business identifiers, in their order."""
        if "identity" not in said:
            self.say(messages.NO_IDENTITY, self.span(name), word=name)
            return ()
        told = said["identity"] if isinstance(said["identity"], list) else [said["identity"]]
        return tuple(found for one in told if (found := self.identity(name, one)) is not None)

    def identity(self, name: str, told: Any) -> Identity | None:
        """One business identifier: `COLUMN of COLUMN, ... as FORM`."""
        span = self.within(self.value(name, "identity"), str(told))
        match = _IDENTITY.fullmatch(told.strip()) if isinstance(told, str) else None
        if match is None:
            self.say(messages.BAD_IDENTITY, span, word=told)
            return None
        authorities = tuple(part.strip() for part in match[2].split(",")) if match[2] else ()
        self.readable(match[1], span)
        for authority in authorities:
            if authority not in self.types:
                self.readable(authority, span)
        return Identity(match[1], authorities, cast("Form | None", match[3]))

    def ordered(self, found: Mapping[str, RowResource]) -> tuple[RowResource, ...]:
        """Resources, each behind those that its identity refers to."""
        done: dict[str, RowResource] = {}
        open_: list[str] = []

        def visit(name: str) -> None:
            if name in done or name not in found:
                return
            if name in open_:
                self.say(messages.CIRCLE, self.span(name), word=name)
                return
            open_.append(name)
            for identity in found[name].identities:
                for authority in identity.authorities:
                    visit(authority)
            open_.pop()
            done[name] = found[name]

        for name in found:
            visit(name)
        return tuple(done.values())

    # --- elements --------------------------------------------------------------------------------------------------

    def filled(self, name: str, keys: tuple[str, ...], value: Any) -> Filled | None:
        """One element with what fills it."""
        span = self.span(name, "elements", *keys)
        place = self.place(name, ".".join(keys), span)
        if place is None:
            return None
        values = value if isinstance(value, list) else [value]
        at = self.value(name, "elements", *keys)
        fillers = [self.filler(one, place, at) for one in values]
        return Filled(place, tuple(f for f in fillers if f is not None))

    def place(self, name: str, text: str, span: Span) -> Place | None:
        """Where a path leads to."""
        steps: list[Step] = []
        at = 0
        while at < len(text):
            match = _STEP.match(text, at)
            if match is None:
                self.say(messages.BAD_PATH, span, word=text)
                return None
            steps.append(Step(match[1], match[2] or match[3], new=False))
            at = match.end()
        found = targets.place(Target(tuple(steps), span), self.types[name], self.elements)
        if isinstance(found, Diagnostic):
            self.wrong.append(self.own(found, self.types[name], text))
            return None
        if found.leaf is None and found.type not in _CONCEPTS:
            self.say(messages.NOT_WHOLE, span, word=text, type=found.type, value="a text")
            return None
        return found

    def own(self, fault: Diagnostic, type_: str, text: str) -> Diagnostic:
        """A fault of a path as a layout's author reads it."""
        if "no element" in fault.message:
            return messages.UNKNOWN_ELEMENT.at(fault.span, fault.help, type=type_, word=text)
        item = text.partition("[")[2].partition("]")[0]
        return messages.NO_LIST.at(fault.span, word=text.partition("[")[0], item=item)

    def filler(self, told: Any, place: Place, span: Span) -> Filler | None:
        """One way to fill an element."""
        test = None
        if isinstance(told, dict):
            for key in ("value", "when"):
                if key not in told:
                    self.say(MISSING_KEY, span, f"add `{key} = ...`", word=key)
                    return None
            test = self.condition(told["when"], self.within(span, str(told["when"])))
            told = told["value"]
        span = self.within(span, str(told))
        if place.type == "Reference":
            return self.reference(told, place, span, test)
        if not isinstance(told, str):
            return self.constant(told, place, span, test)
        if "{" not in told and "}" not in told:
            return self.constant(told, place, span, test)
        parts: list[str | Hole] = []
        at = 0
        for match in _HOLE.finditer(told):
            parts += [told[at : match.start()], Hole(match[1].strip())]
            at = match.end()
        parts.append(told[at:])
        texts = [part for part in parts if isinstance(part, str)]
        if any("{" in text or "}" in text for text in texts):
            self.say(messages.BRACE, span)
            return None
        made = Filler(tuple(part for part in parts if part != ""), test=test)
        known = [self.readable(name, span) for name in made.holes]  # each is told of
        if all(known):
            self.check_kind(made, place, span)
        return made

    def reference(self, told: Any, place: Place, span: Span, test: Test | None) -> Filler | None:
        """A reference to another resource of the row."""
        kind = self.types.get(told) if isinstance(told, str) else None
        if kind is None:
            self.say(messages.UNKNOWN_NAME, span, _meant(str(told), self.types), word=told)
            return None
        if place.allowed and kind not in place.allowed and "Resource" not in place.allowed:
            self.say(messages.BAD_TARGET, span, word=place.path, type=kind, allowed=", ".join(place.allowed))
        return Filler(refers=told, test=test)

    def constant(self, told: Any, place: Place, span: Span, test: Test | None) -> Filler | None:
        """A value that is always the same."""
        wanted: tuple[type, ...] = {"boolean": (bool,), "decimal": (int, float), "integer": (int,)}.get(
            place.type, (int,) if place.type in {"positiveInt", "unsignedInt"} else (str,)
        )
        if not isinstance(told, wanted) or (isinstance(told, bool) and place.type != "boolean"):
            shown = f"`{told}`"
            self.say(messages.NOT_WHOLE, span, word=place.path, type=place.type, value=shown)
            return None
        if not self.elements.is_primitive(place.type):
            self.say(messages.NOT_WHOLE, span, word=place.path, type=place.type, value="a text")
            return None
        allowed = self.elements.tables.codes.get(place.value_set or "")
        if allowed is not None and told not in allowed:
            self.say(messages.BAD_CODE, span, _meant(str(told), allowed), value=told, word=place.path)
        return Filler(constant=cast("str | bool | int | float", told), test=test)

    def check_kind(self, made: Filler, place: Place, span: Span) -> None:
        """Whether what stands in the holes can be what the element is."""
        shown = f"`{{{made.holes[0]}}}`"
        alone = len(made.parts) == 1
        column = self.layout.columns.get(made.holes[0])
        kind = "text" if column is None else column.kind
        if place.type in _TEXTS:
            if place.value_set is not None and place.type == "code":
                self.check_codes(made, place, span)
        elif place.type not in FITS:
            self.say(messages.NOT_WHOLE, span, word=place.path, type=place.type, value=shown)
        elif not alone or kind not in FITS[place.type]:
            value = shown if alone else "a text with more than one part"
            self.say(messages.NOT_OF_TYPE, span, word=place.path, type=place.type, value=value, kind=f"a {kind}")

    def check_codes(self, made: Filler, place: Place, span: Span) -> None:
        """Whether a code map leads to the codes of a closed list alone."""
        allowed = self.elements.tables.codes.get(place.value_set or "", frozenset())
        column = self.layout.columns.get(made.holes[0])
        code_map = self.codes.get(column.codes or "") if column is not None and len(made.parts) == 1 else None
        if code_map is None:
            self.say(messages.CLOSED, span, word=place.path)
            return
        for row in (*code_map.rows.values(), *code_map.patterns):
            if row.to_code not in allowed:
                self.say(messages.CODES_DO_NOT_FIT, span, map=code_map.name, code=row.to_code, word=place.path)
                return

    # --- words -----------------------------------------------------------------------------------------------------

    def condition(self, told: Any, span: Span) -> Test | None:
        """A condition in the words of the rules language."""
        if told is None:
            return None
        if not isinstance(told, str):
            self.say(WRONG_KIND, span, word="when", wanted="a condition in quotes")
            return None
        at = self.within(span, told)
        # a text with escapes is not the author's letter by letter: it is told of without its place in the file
        place = at if at.text == told else Span(Source(span.source.name, told), 0, len(told))
        tree = language.read(self.parser, place, "condition")
        parsed = tree if isinstance(tree, Diagnostic) else language.condition(tree, place.source)
        if isinstance(parsed, Diagnostic):
            self.wrong.append(parsed)
            return None
        scope = Scope(layouts={self.layout.name: columns_of(self.layout)})
        checked = check(parsed, scope)
        self.wrong.extend(checked.diagnostics)
        return checked.test

    def readable(self, name: str, span: Span) -> bool:
        """Whether a name is a column or a fact; if not it is said."""
        if name in self.layout.columns or name in CONTEXT:
            return True
        self.say(messages.UNKNOWN_COLUMN, span, _meant(name, [*self.layout.columns, *CONTEXT]), word=name)
        return False

    def say(self, message: Message, span: Span, hint: str | None = None, **filled: object) -> None:
        """Add a diagnostic."""
        self.wrong.append(message.at(span, hint, **filled))

    def span(self, *path: str) -> Span:
        """Where a key below `resources` stands."""
        return self.layout.located.key("resources", *path)

    def value(self, *path: str) -> Span:
        """Where a value below `resources` stands."""
        return self.layout.located.value("resources", *path)

    def within(self, span: Span, text: str) -> Span:
        """The part of a span that a text is, the whole where it is spelt in another way."""
        at = span.text.find(text)
        return span if at < 0 else Span(span.source, span.start + at, span.start + at + len(text))


def _flat(table: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Elements with their values; a dotted key makes tables, one with `value` and `when` is a value."""
    for key, value in table.items():
        path = (*above, key)
        if isinstance(value, dict) and "when" not in value:
            yield from _flat(value, path)
        else:
            yield path, value


def _meant(word: str, known: Any) -> str | None:
    near = nearest(word, known)
    return f"did you mean `{near}`?" if near is not None else None
