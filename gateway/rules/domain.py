"""The statements that the rules of a domain stand on: domain, accept, set, condition; and what is readable in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from gateway.fhir.elements import Elements
from gateway.hl7v2.dictionary import Dictionary
from gateway.hl7v2.structure import Group, SegmentUse
from gateway.language import messages
from gateway.language.check import check
from gateway.language.kinds import DECLARED, Kind
from gateway.language.nodes import Named, Test, Text, Word, parts
from gateway.language.types import Absence, NamedSet, Scope
from gateway.rules.clauses import Report, choose, declared, duration, every, one, said
from gateway.rules.declared import Accept, Applies, Condition, Registry
from gateway.rules.facts import ACTIONS, DATA_TYPES, LATER_DATA_TYPES, readable
from gateway.rules.nodes import Asked, On, Said, SetOf, Statement
from gateway.source import Diagnostic, nearest
from gateway.specs import FhirTables

PROFILES = ("http-status", "hl7-over-http")
_WINDOW = timedelta(days=7)  # http-interface.md, "Keys"


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The standards that rules are typed against.

    Shape: `dictionaries` by HL7 version; it may make them when asked. `layouts` and `maps` are names.
    """

    dictionaries: Mapping[str, Dictionary]
    elements: Elements
    tables: FhirTables
    layouts: frozenset[str] = frozenset()
    maps: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Heading:
    """What a `domain` statement says, apart from rules."""

    owner: str | None
    contact: str | None
    acknowledge: str
    outcome: bool
    same_control_id: str
    window: timedelta
    serves: str | None


@dataclass(slots=True)
class Ground:
    """What the rules of one file stand on; filled in order: accepts, sets, conditions."""

    name: str
    vocabulary: Vocabulary
    registry: Registry
    domains: frozenset[str]
    accepts: tuple[Accept, ...] = ()
    dictionaries: dict[str, Dictionary] = field(default_factory=dict)
    repeats: frozenset[str] = frozenset()
    sets: dict[str, NamedSet] = field(default_factory=dict)
    conditions: dict[str, Condition] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)

    def accepted(self, data_type: str) -> tuple[str, ...]:
        """The types of a data type that the domain accepts, each once."""
        return tuple(dict.fromkeys(t for a in self.accepts if a.data_type == data_type for t in a.types))

    def declared(self) -> dict[Kind, frozenset[str]]:
        """Declared names of each kind."""
        registry = self.registry
        return {
            "organisation": frozenset(registry.organisations),
            "role": frozenset(registry.roles),
            "purpose": frozenset(registry.purposes),
            "principal": frozenset(registry.principals),
            "domain": self.domains,
            "action": frozenset(ACTIONS),
        }

    def scope(
        self, on: Applies, absence: Absence, *, ingest: bool, resources: Iterable[str] = (), exempt: Iterable[str] = ()
    ) -> Scope:
        """What a statement of this domain may read."""
        hl7v2 = "Hl7v2" in on.data_types
        facts, unreadable = readable(ingest=ingest, hl7v2=hl7v2)
        conditions: dict[str, Test | None] = dict.fromkeys(self.broken)
        for name, condition in self.conditions.items():
            if condition.data_type is None or condition.data_type in on.data_types:
                conditions[name] = condition.test
            else:
                unreadable[name] = f"the condition is `on {condition.data_type}`, and this statement is not"
        return Scope(
            facts=facts,
            unreadable=unreadable,
            dictionaries=self.dictionaries if hl7v2 else {},
            elements=self.vocabulary.elements,
            tables=self.vocabulary.tables,
            resources=frozenset(resources),
            declared=self.declared(),
            sets=self.sets,
            conditions=conditions,
            absence=absence,
            exempt=frozenset(exempt),
            repeats=self.repeats,
        )


def heading(statement: Statement, targets: Iterable[str], report: Report) -> Heading:
    """What a `domain` statement says."""

    def text(name: str) -> str | None:
        clause = said(statement, name, report)
        return None if clause is None else clause.texts[0].value

    loud, silent = said(statement, "acknowledge", report), said(statement, "acknowledge silent", report)
    if loud is not None and silent is not None:
        report.say(messages.TWICE.at(silent.span, word="acknowledge"))
    profile = loud or silent
    chosen = PROFILES[0] if profile is None else choose(profile.words[0], PROFILES, "way to acknowledge", report)
    same = said(statement, "same control id", report)
    reuse = (
        "refuse"
        if same is None
        else choose(same.words[0], ("refuse", "accept"), "answer to a control id that comes again", report)
    )
    window = None if same is None or len(same.words) == 1 else duration(same.words[1], same.words[2], report)
    serves = said(statement, "serves", report)
    return Heading(
        text("owner"),
        text("contact"),
        chosen or PROFILES[0],
        silent is None,
        reuse or "refuse",
        window or _WINDOW,
        None if serves is None else declared(serves.words[0], targets, "target", report),
    )


def accept(statement: Statement, vocabulary: Vocabulary, report: Report) -> Accept | None:
    """One `accept` statement. The data type stands where other statements have their name."""
    data_type = statement.name
    if data_type.text in LATER_DATA_TYPES:
        report.say(messages.NOT_YET.at(data_type.span, word=f"accept {data_type.text}"))
        return None
    if choose(data_type, DATA_TYPES, "data type", report) is None:
        return None
    types = tuple(word for clause in every(statement, Said) if clause.kind == "names" for word in clause.words)
    span = said(statement, "versions", report)
    versions = None if span is None else _versions(span, vocabulary, report)
    if span is not None and versions is None:
        return None
    taken = between(versions, vocabulary)
    dictionaries = {version: vocabulary.dictionaries[version] for version in taken}
    known = tuple(word.text for word in types if _known_type(word, dictionaries, report))
    return Accept(data_type.text, known, versions, statement.span)


def _versions(clause: Said, vocabulary: Vocabulary, report: Report) -> tuple[str, str] | None:
    low, high = clause.words
    for word in clause.words:
        if word.text not in vocabulary.dictionaries:
            hint = "it has " + ", ".join(sorted(vocabulary.dictionaries, key=_order))
            report.say(messages.NO_SUCH_VERSION.at(word.span, hint, word=word.text))
            return None
    if _order(low.text) > _order(high.text):
        report.say(messages.ORDER_OF_TWO.at(low.span, first=low.text, last=high.text))
        return None
    return low.text, high.text


def _order(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def between(versions: tuple[str, str] | None, vocabulary: Vocabulary) -> tuple[str, ...]:
    """The versions that an `accept` takes, oldest first."""
    known = sorted(vocabulary.dictionaries, key=_order)
    if versions is None:
        return tuple(known)
    low, high = map(_order, versions)
    return tuple(version for version in known if low <= _order(version) <= high)


def _known_type(word: Word, dictionaries: Mapping[str, Dictionary], report: Report) -> bool:
    """A type that no accepted version has is an error; one that some lack is not: the reader refuses it there."""
    if any(dictionary.structure_of(word.text) is not None for dictionary in dictionaries.values()):
        return True
    versions = list(dictionaries)
    shown = versions[0] if len(versions) == 1 else f"{versions[0]} to {versions[-1]}"
    events = {"^".join(key) for dictionary in dictionaries.values() for key in dictionary.events}
    near = nearest(word.text, events)
    hint = f"did you mean `{near}`?" if near and near != word.text else None
    report.say(messages.NO_SUCH_TYPE.at(word.span, hint, word=word.text, version=shown))
    return False


def repeating(
    accepts: Iterable[Accept], dictionaries: Mapping[str, Dictionary], vocabulary: Vocabulary
) -> frozenset[str]:
    """Segments that may occur more than once in some accepted message."""
    found: set[str] = set()
    for one_accept in accepts:
        for version in between(one_accept.versions, vocabulary):
            dictionary = dictionaries[version]
            for message_type in one_accept.types:
                name = dictionary.structure_of(message_type)
                if name is not None:
                    found |= _repeated(dictionary.structures[name], below=False)
    return frozenset(found)


def _repeated(group: Group, *, below: bool) -> set[str]:
    """Segments of a structure that may stand more than once; `below` where the group around them already may."""
    found: set[str] = set()
    seen: set[str] = set()
    for member in group.members:
        again = below or member.max is None or member.max > 1
        if isinstance(member, SegmentUse):
            names = {member.name}
            if again:
                found.add(member.name)
        else:
            names = set(member.segments())
            found |= _repeated(member, below=again)
        if not group.choice:
            found |= names & seen
        seen |= names
    return found


def named_set(statement: Statement, ground: Ground, report: Report) -> NamedSet | None:
    """A `set`: texts, message types, or declared names of one kind."""
    members = one(statement, SetOf, report)
    options = () if members is None else members.options
    if all(isinstance(option, Text) for option in options):
        return NamedSet("text", tuple(option.value for option in options if isinstance(option, Text)))
    words = [option for option in options if isinstance(option, Word)]
    if len(words) != len(options):
        report.say(messages.MIXED_SET.at(statement.span, word=statement.name.text))
        return None
    accepted = frozenset(t for a in ground.accepts for t in a.types)
    if any("^" in word.text for word in words):
        for word in words:
            if word.text not in accepted:
                report.say(_not_accepted(word, ground.name, accepted))
        return NamedSet("category", tuple(word.text for word in words))
    return _declared_set(statement, words, ground, report)


def _declared_set(statement: Statement, words: list[Word], ground: Ground, report: Report) -> NamedSet | None:
    kinds = ground.declared()
    for kind in sorted(DECLARED):
        names = [word.text.upper() if kind == "organisation" else word.text for word in words]
        if kinds[kind].issuperset(names):
            return NamedSet(kind, tuple(names))
    for word in words:
        if not any((word.text.upper() if k == "organisation" else word.text) in kinds[k] for k in DECLARED):
            near = nearest(word.text, [name for known in kinds.values() for name in known])
            hint = f"did you mean `{near}`?" if near else f'a text stands in quotes: `"{word.text}"`'
            report.say(messages.UNDECLARED.at(word.span, hint, kind="name", word=word.text))
            return None
    report.say(messages.MIXED_SET.at(statement.span, word=statement.name.text))
    return None


def _not_accepted(word: Word, domain: str, accepted: frozenset[str]) -> Diagnostic:
    near = nearest(word.text, accepted)
    hint = f"did you mean `{near}`?" if near else "it accepts " + (", ".join(sorted(accepted)) or "nothing")
    return messages.NOT_ACCEPTED.at(word.span, hint, domain=domain, word=word.text)


def applies(on: On | None, ground: Ground, report: Report, *, result: bool = False) -> Applies:
    """Where a statement applies; `result` where it may say `on result`."""
    if on is None:
        return Applies()
    known = (*DATA_TYPES, *(("result",) if result else ()))
    data_types: list[str] = []
    for word in on.data_types:
        if word.text in LATER_DATA_TYPES:
            report.say(messages.NOT_YET.at(word.span, word=f"on {word.text}"))
        elif choose(word, known, "data type", report) is not None:
            data_types.append(word.text)
            if word.text != "result" and not ground.accepted(word.text):
                report.say(messages.NOT_ACCEPTED.at(word.span, domain=ground.name, word=word.text))
    types: list[str] = []
    for word in on.types:
        types.extend(_types(word, tuple(data_types), ground, report))
    if data_types == ["result"] and not types and not on.types:
        report.say(messages.NEEDS_TYPES.at(on.span, "name them: `on result Encounter`", word="result"))
    return Applies(tuple(data_types), tuple(dict.fromkeys(types)))


def _types(word: Word, data_types: tuple[str, ...], ground: Ground, report: Report) -> tuple[str, ...]:
    if data_types == ("result",):
        return (word.text,) if resource_type(word, ground.vocabulary, report) else ()
    named = ground.sets.get(word.text)
    if named is not None and named.kind == "category":
        return named.values
    accepted = frozenset(t for data_type in data_types for t in ground.accepted(data_type))
    if data_types and word.text not in accepted:
        report.say(_not_accepted(word, ground.name, accepted | frozenset(ground.sets)))
        return ()
    return (word.text,)


def resource_type(word: Word, vocabulary: Vocabulary, report: Report) -> bool:
    """Whether a word is a resource type; if not it is said."""
    if vocabulary.elements.is_resource(word.text):
        return True
    near = nearest(word.text, (name for name in vocabulary.tables.types if vocabulary.elements.is_resource(name)))
    report.say(messages.UNKNOWN_RESOURCE.at(word.span, f"did you mean `{near}`?" if near else None, word=word.text))
    return False


def conditions(statements: Mapping[str, Statement], ground: Ground, report: Report) -> None:
    """Check the conditions of a domain, those that others need first; fills `ground.conditions`."""
    open_names: list[str] = []

    def visit(name: str) -> None:
        if name in ground.conditions or name in ground.broken:
            return
        statement = statements[name]
        if name in open_names:
            report.say(messages.CYCLE.at(statement.name.span, word=name))
            ground.broken.add(name)
            return
        open_names.append(name)
        means = next(iter(every(statement, Asked)), None)
        if means is not None:
            for needed in _needs(means.test):
                if needed in statements:
                    visit(needed)
            if name not in ground.broken:
                _condition(statement, means.test, ground, report)
        open_names.pop()

    for name in statements:
        visit(name)


def _needs(test: Test) -> Iterable[str]:
    if isinstance(test, Named):
        yield test.word.text
    for part in parts(test):
        yield from _needs(part)


def _condition(statement: Statement, test: Test, ground: Ground, report: Report) -> None:
    on = applies(one(statement, On, report), ground, report)
    if on.types:
        ground.broken.add(statement.name.text)
        report.say(
            messages.NOTHING_READ.at(statement.name.span, "a condition names no types", word=statement.name.text)
        )
        return
    data_type = on.data_types[0] if on.data_types else None
    checked = check(test, ground.scope(on, "spelled", ingest=data_type is not None))
    report.diagnostics.extend(checked.diagnostics)
    name = statement.name.text
    if checked.test is None:
        ground.broken.add(name)
    else:
        ground.conditions[name] = Condition(name, data_type, checked.test, statement.span)


def fill(statements: Mapping[str, list[Statement]], ground: Ground, report: Report) -> None:
    """Accepts, sets and conditions of a domain, in the order in which they need each other."""
    accepts = [accept(statement, ground.vocabulary, report) for statement in statements.get("accept", [])]
    ground.accepts = tuple(one_accept for one_accept in accepts if one_accept is not None)
    versions = {v: None for a in ground.accepts for v in between(a.versions, ground.vocabulary)}
    ground.dictionaries = {version: ground.vocabulary.dictionaries[version] for version in versions}
    ground.repeats = repeating(ground.accepts, ground.dictionaries, ground.vocabulary)
    for name, statement in unique(statements.get("set", []), report).items():
        found = named_set(statement, ground, report)
        if found is not None:
            ground.sets[name] = found
    conditions(unique(statements.get("condition", []), report), ground, report)


def unique(statements: Iterable[Statement], report: Report) -> dict[str, Statement]:
    """Statements by name; a second one of a name is an error."""
    found: dict[str, Statement] = {}
    for statement in statements:
        name = statement.name.text
        if name in found:
            first = str(found[name].span)
            report.say(messages.DUPLICATE.at(statement.name.span, kind=statement.kind, word=name, first=first))
        else:
            found[name] = statement
    return found
