"""The check of a message's map: which resources it makes, under which names, and what may refer to them."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field, replace

from gateway.language.nodes import Word
from gateway.mapping import messages
from gateway.mapping.check import Checker, Library, message_words
from gateway.mapping.nodes import MessageMap, Row, Target
from gateway.mapping.targets import place
from gateway.mapping.vocabulary import Path, path_of
from gateway.source import Diagnostic, nearest

_TRIGGER = re.compile(r"[A-Z][A-Z0-9]{2}\^[A-Z][A-Z0-9]{2}")


def check_message(made: MessageMap, library: Library) -> tuple[MessageMap, tuple[Diagnostic, ...]]:
    """The map with its conditions resolved, and what is wrong with it."""
    checker = _MessageChecker(Checker(library, made.structure.text))
    return checker.message(made), tuple(checker.within.diagnostics)


def once(structure: str, library: Library) -> frozenset[str]:
    """Segments that may occur one time in a message of a structure, in every version that has them there."""
    found: set[str] = set()
    more: set[str] = set()
    for dictionary in library.versions:
        group = dictionary.structures.get(structure)
        if group is not None:
            uses = Counter(m.name for g in group.groups() for m in g.members if not hasattr(m, "members"))
            single = {m.name for m in group.members if m.max == 1 and uses[m.name] == 1}
            found |= single
            more |= uses.keys() - single
    return frozenset(found - more)


@dataclass(slots=True)
class _MessageChecker:
    within: Checker
    names: dict[str, str] = field(default_factory=dict)
    later: frozenset[str] = frozenset()
    there: frozenset[str] = frozenset()

    def message(self, made: MessageMap) -> MessageMap:
        """The map of a message structure."""
        say = self.within.say
        if made.source is None:
            say(messages.NO_SOURCE.at(made.span, word=made.structure.text))
        for word in made.triggers:
            if _TRIGGER.fullmatch(word.text) is None:
                say(messages.UNKNOWN_TRIGGER.at(word.span, word=word.text))
        self.there = self._in_structure(made.structure.text)
        self._groups(made)
        self.later = frozenset(row.target.steps[0].name for row in made.every_row())
        rows = tuple(self._row(row, made) for row in made.rows)
        groups = tuple(replace(g, rows=tuple(self._row(row, made) for row in g.rows)) for g in made.groups)
        last = tuple(self._row(row, made) for row in made.last)
        for ignore in made.ignores:
            for word in ignore.names:
                self.within.field(word)
        for requires in made.requires:
            for word in requires.sources:
                self._segment(word, made)
            for word in requires.names:
                if word.text not in self.names:
                    self._unknown(word)
        return replace(made, rows=rows, groups=groups, last=last)

    def _groups(self, made: MessageMap) -> None:
        seen: set[str] = set()
        for group in made.groups:
            parent = group.path.text.rpartition(".")[0]
            if parent and parent not in seen:
                self.within.say(messages.UNKNOWN_GROUP.at(group.path.span, word=parent))
            seen.add(group.path.text)
            for word in group.starts:
                self._segment(word, made)

    def _in_structure(self, structure: str) -> frozenset[str]:
        """Segments that some version has in a message of a structure; none where no version has the structure."""
        versions = self.within.library.versions
        groups = [group for d in versions if (group := d.structures.get(structure)) is not None]
        if not groups:
            return frozenset()
        return versions.younger().get(structure, frozenset()).union(*(group.segments() for group in groups))

    def _segment(self, word: Word, made: MessageMap) -> bool:
        versions = self.within.library.versions
        if word.text.startswith("Z"):
            return True
        if not versions.has_segment(word.text):
            self.within.say(messages.UNKNOWN_SEGMENT.at(word.span, word=word.text))
            return False
        if self.there and word.text not in self.there:
            self.within.say(messages.NOT_IN_MESSAGE.at(word.span, word=word.text, structure=made.structure.text))
        return True

    def _row(self, row: Row, made: MessageMap) -> Row:
        path = path_of(row.source.text)
        if path is None or path.field is not None or path.steps:
            segment = path.of if path is not None else row.source.text
            self.within.say(messages.WHOLE_SEGMENT.at(row.source.span, word=row.source.text, segment=segment))
            return row
        if not self._segment(row.source, made):
            return row
        if row.after is not None:
            self._segment(row.after, made)
        if row.joined:
            self.within.say(messages.NOT_JOINED.at(row.target.span, word=row.target.span.text, type="a resource"))
        if row.without is not None:
            self.within.say(messages.NO_WITHOUT.at(row.without.span))
        if row.refers is not None:
            return self._reference(row, row.refers)
        return self._made(row, path)

    def _made(self, row: Row, path: Path) -> Row:
        """A row that makes a resource, adds to one, or makes an element of one."""
        if row.using is None:
            self.within.say(messages.NOT_USED.at(row.target.span, word=row.target.span.text, segment=path.of))
            return row
        found = self.within.using(row.using, None, row.source)
        resource = None if found is None else self._resource(row, path)
        if resource is None:
            return row
        if row.apart is not None:
            self._apart(row.apart, resource)
        assign = self.within.assign
        for a in (*row.presets, *row.defaults):
            if isinstance(a.value, Word) and a.value.text in self.later - self.names.keys():
                self.within.say(messages.NOT_BEFORE.at(a.value.span, word=a.value.text))
                return row
        return replace(
            row,
            test=self.within.test(row.test),
            presets=tuple(assign(a, row.using.target.text, self.names) for a in row.presets),
            defaults=tuple(assign(a, row.using.target.text, self.names) for a in row.defaults),
        )

    def _reference(self, row: Row, refers: Word) -> Row:
        """A row that lays a reference to one resource into another."""
        name, below = row.target.steps[0].name, row.target.steps[1:]
        for words in message_words(replace(row, refers=None)):
            self.within.say(messages.NO_MAKER.at(row.span, words=words))
        for word in (Word(name, row.target.span), refers):
            if word.text not in self.names:
                self._unknown(word)
                return row
        if not below:
            self.within.say(messages.NOT_ADDED.at(row.target.span, word=name))
            return row
        found = place(Target(below, row.target.span), self.names[name], self.within.library.elements)
        made = self.names[refers.text]
        if isinstance(found, Diagnostic):
            self.within.say(found)
        elif found.type != "Reference" or not {made, "Resource"} & set(found.allowed or (made,)):
            shown = f"a reference to {' or '.join(found.allowed)}" if found.type == "Reference" else found.below
            self.within.say(messages.WRONG_TYPE.at(refers.span, word=row.target.span.text, type=shown, made=made))
        return replace(row, test=self.within.test(row.test))

    def _resource(self, row: Row, path: Path) -> str | None:
        """Type of the resource that a row makes or adds to; None if something is wrong."""
        using = row.using
        if using is None:
            return None
        name, below = row.target.steps[0].name, row.target.steps[1:]
        made = using.target.text
        if using.datatype.text != path.of:
            self.within.say(messages.NOT_USED.at(using.span, word=row.target.span.text, segment=path.of))
            return None
        if below:
            return self._element(row, using.target, Target(below, row.target.span))
        if not self.within.library.elements.is_resource(made):
            self.within.say(messages.WRONG_TYPE.at(using.target.span, word=name, type="a resource", made=made))
            return None
        key = (using.datatype.text, made, using.variant.text if using.variant else None)
        if name not in self.names and not self.within.library.maps[key].identities:
            self.within.say(messages.NEEDS_IDENTITY.at(using.span, word=self.within.library.maps[key].title))
        if self.names.setdefault(name, made) != made:
            self.within.say(messages.WRONG_TYPE.at(using.target.span, word=name, type=self.names[name], made=made))
        return made

    def _element(self, row: Row, made: Word, target: Target) -> str | None:
        """Type of the resource that a row adds an element to; None if something is wrong."""
        name = row.target.steps[0].name
        for words in message_words(row):
            self.within.say(messages.NO_MAKER.at(row.span, words=words))
        if name not in self.names:
            self._unknown(Word(name, row.target.span))
            return None
        found = place(target, self.names[name], self.within.library.elements)
        if isinstance(found, Diagnostic):
            self.within.say(found)
            return None
        if made.text not in {found.type, found.below}:
            whole = row.target.span.text
            self.within.say(messages.WRONG_TYPE.at(made.span, word=whole, type=found.below, made=made.text))
        return self.names[name]

    def _apart(self, word: Word, made: str) -> None:
        if word.text not in self.names:
            self._unknown(word)
        elif self.names[word.text] != made:
            self.within.say(messages.NOT_APART.at(word.span, word=word.text, type=self.names[word.text], made=made))

    def _unknown(self, word: Word) -> None:
        if word.text in self.later:
            self.within.say(messages.NOT_BEFORE.at(word.span, word=word.text))
            return
        near = nearest(word.text, self.names)
        self.within.say(
            messages.UNKNOWN_NAME.at(word.span, f"did you mean `{near}`?" if near else None, word=word.text)
        )
