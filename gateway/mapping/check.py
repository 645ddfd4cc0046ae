"""Syntax tree to checked tree: every path looked up in HL7's dictionaries, every target in the R4 element table.

The checked tree is the same tree with its conditions resolved. Faults are collected, so that one doesn't hide the next.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from gateway.fhir.elements import Elements
from gateway.language import check as language
from gateway.language.kinds import Type
from gateway.language.nodes import Test, Word
from gateway.language.types import Bound, Scope
from gateway.mapping import fitting, messages
from gateway.mapping.codes import CodeMap
from gateway.mapping.facts import FACTS, SENDERS
from gateway.mapping.nodes import (
    Assign,
    Counted,
    Every,
    Hole,
    Identity,
    Key,
    Later,
    Map,
    Row,
    Set,
    Template,
    Using,
    Value,
)
from gateway.mapping.primitives import PRIMITIVES, VARIANTS
from gateway.mapping.targets import Place, place
from gateway.mapping.vocabulary import ANY, Path, Versions, path_of
from gateway.source import Diagnostic, nearest

FORMS = ("nhs-number", "ods-code")


@dataclass(frozen=True, slots=True, eq=False)
class Library:
    """Everything that maps refer to."""

    maps: Mapping[Key, Map]
    codes: Mapping[str, CodeMap]
    elements: Elements
    versions: Versions


def check(made: Map, library: Library) -> tuple[Map, tuple[Diagnostic, ...]]:
    """The map with its conditions resolved, and what is wrong with it."""
    checker = Checker(library, made.of.text)
    return checker.map(made), tuple(checker.diagnostics)


@dataclass(slots=True)
class Checker:
    """One statement's walk. Collects what is wrong."""

    library: Library
    of: str
    in_datatype: bool = False
    diagnostics: list[Diagnostic] = field(default_factory=list)

    def say(self, diagnostic: Diagnostic) -> None:
        """Keep a diagnostic."""
        self.diagnostics.append(diagnostic)

    # --- maps ------------------------------------------------------------------------------------------------------

    def map(self, made: Map) -> Map:
        """A map of a data type or a segment."""
        self.in_datatype = made.kind == "datatype"
        versions = self.library.versions
        if self.in_datatype and not versions.has_datatype(made.of.text):
            self.say(messages.UNKNOWN_DATATYPE.at(made.of.span, word=made.of.text))
        if not self.in_datatype and not made.of.text.startswith("Z") and not versions.has_segment(made.of.text):
            self.say(messages.UNKNOWN_SEGMENT.at(made.of.span, word=made.of.text))
        for word in made.reads:
            if not any(name.startswith(word.text) for d in versions for name in d.datatypes):
                self.say(messages.UNKNOWN_DATATYPE.at(word.span, word=word.text))
        if made.source is None:
            self.say(messages.NO_SOURCE.at(made.span, word=made.title))
        base = made.target.text
        if not self._is_type(base):
            self._unknown_type(made.target)
            return made
        self._resource(made)
        self._rows_or_primitive(made)
        for ignore in made.ignores:
            for word in ignore.names:
                self._own_path(word)
        for display in made.displays:
            self._value(display.template)
        return replace(
            made,
            identities=tuple(self._identity(i, base) for i in made.identities),
            rows=tuple(
                self.row(r, base) if isinstance(r, Row) else replace(r, assign=self.assign(r.assign, base))
                for r in made.rows
            ),
        )

    def _resource(self, made: Map) -> None:
        if self.library.elements.is_resource(made.target.text):
            if self.in_datatype and not made.identities:
                self.say(messages.NEEDS_IDENTITY.at(made.span, word=made.title))
            return
        for span in (part.span for parts in (made.identities, made.displays) for part in parts):
            self.say(messages.NO_RESOURCE.at(span, word=made.title))

    def _rows_or_primitive(self, made: Map) -> None:
        target = made.target.text
        variant = made.variant.text if made.variant else None
        own = target in PRIMITIVES if variant is None else (target, variant) in VARIANTS
        if not any(isinstance(r, Row | Set) for r in made.rows) and not own:
            self.say(messages.NO_ROWS.at(made.span, word=made.title))

    def _is_type(self, name: str) -> bool:
        return name in self.library.elements.tables.types or bool(self.library.elements.members(name))

    def _unknown_type(self, word: Word) -> None:
        near = nearest(word.text, self.library.elements.tables.types)
        self.say(messages.UNKNOWN_TYPE.at(word.span, f"did you mean `{near}`?" if near else None, word=word.text))

    def _identity(self, identity: Identity, base: str) -> Identity:
        for value in (identity.value, *identity.authorities):
            if not (isinstance(value, Word) and self._is_element(value, base)):
                self._value(value)
        if identity.form is not None and identity.form.text not in FORMS:
            near = nearest(identity.form.text, FORMS)
            hint = f"did you mean `{near}`?" if near else "an id is an `nhs-number` or an `ods-code`"
            self.say(messages.UNKNOWN_VALUE.at(identity.form.span, hint, word=identity.form.text))
        return replace(identity, test=self.test(identity.test))

    def _is_element(self, word: Word, base: str) -> bool:
        return word.text in self.library.elements.members(base)

    # --- rows ------------------------------------------------------------------------------------------------------

    def row(self, row: Row, base: str) -> Row:
        """A row that puts something into a thing of a type."""
        for words in (*message_words(row), *([f"after {row.after.text}"] if row.after is not None else ())):
            self.say(messages.NO_MESSAGE_ROW.at(row.span, words=words))
        path = self._own_path(row.source)
        found = self._place(row, base)
        if row.without is not None:
            self.diagnostics.extend(fitting.of_absence(row.without, base, self.library.elements))
        using = None
        if row.using is not None:
            using = self.using(row.using, path, row.source)
        if found is not None:
            self.diagnostics.extend(self._unfit(row, found, using))
        made = row.using.target.text if row.using is not None else base
        return replace(
            row,
            test=self.test(row.test),
            presets=tuple(self.assign(a, made) for a in row.presets),
            defaults=tuple(self.assign(a, made) for a in row.defaults),
        )

    def _place(self, row: Row, base: str) -> Place | None:
        found = place(row.target, base, self.library.elements)
        if isinstance(found, Diagnostic):
            self.say(found)
            return None
        return found

    def _unfit(self, row: Row, found: Place, using: Map | None) -> Iterator[Diagnostic]:
        """Why what a row makes, by the map that it uses where that is there, may not stand at its place."""
        elements = self.library.elements
        if row.joined and (self.in_datatype or row.using is not None or found.type not in fitting.TEXTS or row.coded):
            yield messages.NOT_JOINED.at(row.target.span, word=found.path, type=found.below)
        if row.using is None:
            yield from fitting.of_text(row.target, found, elements)
        elif using is not None:
            yield from fitting.of_map(row.using, found, elements)
        if row.coded is not None:
            yield from fitting.of_codes(row.coded, found, self.library.codes, elements)
        elif found.value_set is not None and not (using is not None and using.rows):
            yield messages.CLOSED.at(row.target.span, word=found.path)

    def using(self, using: Using, path: Path | None, source: Word) -> Map | None:
        """The map that a row uses; its data type has to be one that the source has."""
        key: Key = (using.datatype.text, using.target.text, using.variant.text if using.variant else None)
        found = self.library.maps.get(key)
        if found is None:
            wanted = _titled(key)
            near = nearest(wanted, (_titled(k) for k in self.library.maps))
            self.say(messages.UNKNOWN_MAP.at(using.span, f"did you mean `{near}`?" if near else None, word=wanted))
            return None
        if path is not None:
            reads = {using.datatype.text, *(w.text for w in found.reads)}
            for version, datatype in self.library.versions.datatypes(path).items():
                if datatype == ANY:  # another field says what it is, and the row's condition asks for that
                    continue
                if datatype.partition("_")[0] not in reads and datatype not in reads:
                    hint = f"write `reads {datatype}` in that map, if it does" + f" (HL7 {version})"
                    self.say(
                        messages.WRONG_READING.at(
                            source.span, hint, word=source.text, datatype=datatype, map=found.title
                        )
                    )
                    break
        return found

    def assign(self, assign: Assign, base: str, names: Mapping[str, str] | None = None) -> Assign:
        """An assignment below a type; in a message, `names` are its resources' types."""
        elements = self.library.elements
        if assign.without is not None:
            self.diagnostics.extend(fitting.of_absence(assign.without, base, elements))
        found = place(assign.target, base, elements)
        if isinstance(found, Diagnostic):
            self.say(found)
        elif names is not None and isinstance(assign.value, Word) and assign.value.text in names:
            self.diagnostics.extend(fitting.of_reference(assign, found, names[assign.value.text]))
        elif not isinstance(assign.value, Every):
            if not self._value(assign.value, names):
                return assign
            self.diagnostics.extend(fitting.of_value(assign, found, self.library.codes, elements))
        return replace(assign, test=self.test(assign.test))

    # --- what is read ----------------------------------------------------------------------------------------------

    def _own_path(self, word: Word) -> Path | None:
        """The path of a row's source, which begins with what the map is of."""
        path = path_of(word.text)
        joint = "." if self.in_datatype else "-"
        if path is None or path.of != self.of or (path.field is None) != self.in_datatype:
            self.say(messages.NOT_OF_THIS.at(word.span, word=word.text, of=self.of, joint=joint))
            return None
        return path if self._known(path, word) else None

    def field(self, word: Word) -> None:
        """The field of a segment that a message leaves out."""
        path = path_of(word.text)
        if path is None or path.field is None:
            self.say(messages.UNKNOWN_VALUE.at(word.span, word=word.text))
        else:
            self._known(path, word)

    def _known(self, path: Path, word: Word) -> bool:
        if path.of.startswith("Z") or self.library.versions.knows(path):
            return True
        self.say(messages.UNKNOWN_FIELD.at(word.span, word=word.text))
        return False

    @property
    def facts(self) -> Mapping[str, Type]:
        """The facts that may be read."""
        return SENDERS if self.in_datatype else FACTS

    def _value(self, value: Value, names: Iterable[str] | None = None) -> bool:
        """Whether what a value reads is there: facts and paths."""
        good = True
        for word in words(value):
            path = path_of(word.text)
            if word.text in self.facts:
                continue
            if path is None or (path.field is None and not self.in_datatype):
                near = nearest(word.text, (*self.facts, *(names or ())))
                hint = f"did you mean `{near}`?" if near else None
                made = messages.UNKNOWN_VALUE if names is None else messages.UNKNOWN_NAME
                self.say(made.at(word.span, hint, word=word.text))
                good = False
            else:
                good = self._known(path, word) and good
        return good

    def test(self, test: Test | None) -> Test | None:
        """A condition, resolved by the first version that has all of its paths."""
        if test is None:
            return None
        first: tuple[Diagnostic, ...] = ()
        for scope in self._scopes():
            found = language.check(test, scope)
            if found.test is not None:
                return found.test
            first = first or found.diagnostics
        self.diagnostics.extend(first)
        return None

    def _scopes(self) -> Iterator[Scope]:
        for dictionary in self.library.versions:
            bound = {self.of: Bound({dictionary.version: self.of})} if self.in_datatype else {}
            if self.in_datatype and self.of not in dictionary.datatypes:
                continue
            yield Scope(
                facts=self.facts, dictionaries={dictionary.version: dictionary}, bound=bound, absence="free", first=True
            )


def message_words(row: Row) -> Iterator[str]:
    """What a row says that only the row of a message can."""
    if row.refers is not None:
        yield f"as reference to {row.refers.text}"
    if row.numbered:
        yield "numbered"
    if row.by_receipt:
        yield "otherwise by receipt"
    if row.only_new:
        yield "unless known"
    if row.apart is not None:
        yield f"apart from {row.apart.text}"


def words(value: Value) -> Iterator[Word]:
    """The words that a value reads."""
    if isinstance(value, Word):
        yield value
    elif isinstance(value, Template):
        yield from (part.word for part in value.parts if isinstance(part, Hole))
    elif isinstance(value, Later):
        yield from (value.start, value.length, *words(value.unit))
    elif isinstance(value, Counted):
        yield from (value.length, *words(value.unit))


def _titled(key: Key) -> str:
    return f"{key[0]} to {key[1]}" + (f" as {key[2]}" if key[2] else "")
