"""What the rules of one file stand on: the standards, and what its domain declares; and where a statement applies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gateway.fhir.elements import Elements
from gateway.fhir.standards import Standard
from gateway.hl7v2.conformance import Conformance
from gateway.hl7v2.dictionary import Dictionary
from gateway.language import messages
from gateway.language.kinds import Kind, Type
from gateway.language.nodes import Test, Word
from gateway.language.types import Absence, NamedSet, Scope, columns_of
from gateway.rules.clauses import Report, choose, every
from gateway.rules.declared import Accept, Applies, Condition, Registry
from gateway.rules.facts import ACTIONS, DATA_TYPES, WRITES, readable
from gateway.rules.nodes import On, Statement, To
from gateway.source import Diagnostic, nearest
from gateway.specs import FhirTables
from gateway.tabular import Layout

BUNDLE = "Bundle"
"""The resource type whose entries are resources of any type."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The standards that rules are typed against.

    Shape: `dictionaries` by HL7 version; it may make them when asked. `layouts` are those of CSV files by name;
    `overlays` the names of what may be laid over the maps of HL7 v2; `standards` what resources may conform to.
    """

    dictionaries: Mapping[str, Dictionary]
    elements: Elements
    tables: FhirTables
    layouts: Mapping[str, Layout] = field(default_factory=dict)
    overlays: frozenset[str] = frozenset()
    conformance: Conformance | None = None
    standards: Mapping[str, Standard] = field(default_factory=dict)


@dataclass(slots=True)
class Ground:
    """What the rules of one file stand on; filled in order: accepts, sets, conditions.

    Shape: `written` are the resource types that some permit lets a caller of the facade write.
    """

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
    written: frozenset[str] = frozenset()

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
            "category": frozenset(t for a in self.accepts for t in a.types),
        }

    def scope(
        self, on: Applies, absence: Absence, *, ingest: bool, resources: Iterable[str] = (), exempt: Iterable[str] = ()
    ) -> Scope:
        """What a statement of this domain may read."""
        hl7v2 = "Hl7v2" in on.data_types
        resources = frozenset(resources)
        facts, unreadable = readable(ingest=ingest, hl7v2=hl7v2, stored=bool(resources) and not ingest)
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
            resources=resources,
            layouts=self._columns(on),
            declared=self.declared(),
            sets=self.sets,
            lists={name: one.held for name, one in self.registry.lists.items()},
            codes={name: one.held for name, one in self.registry.codes.items()},
            conditions=conditions,
            absence=absence,
            exempt=frozenset(exempt),
            repeats=self.repeats,
            conformance=self.vocabulary.conformance,
            standards=self.vocabulary.standards,
            domain=self.name,
        )

    def _columns(self, on: Applies) -> dict[str, Mapping[str, Type]]:
        """The columns of the layouts that a statement reads."""
        if on.data_types != ("Csv",):
            return {}
        names = on.types or self.accepted("Csv")
        layouts = self.vocabulary.layouts
        return {name: columns_of(layouts[name]) for name in names if name in layouts}


def applies(on: On | None, ground: Ground, report: Report, *, result: bool = False, entries: bool = False) -> Applies:
    """Where a statement applies.

    Shape: `result` where it may say `on result`; `entries` where `on Fhir TYPE` concerns every resource of that type in
    a submission, not submissions of that type.
    """
    if on is None:
        return Applies()
    known = (*DATA_TYPES, *(("result",) if result else ()))
    data_types: list[str] = []
    for word in on.data_types:
        if choose(word, known, "data type", report) is not None:
            data_types.append(word.text)
            facade = entries and word.text == "Fhir" and bool(ground.written)
            if word.text != "result" and not facade and not ground.accepted(word.text):
                report.say(messages.NOT_ACCEPTED.at(word.span, domain=ground.name, word=word.text))
    types: list[str] = []
    for word in on.types:
        types.extend(_types(word, tuple(data_types), ground, report, entries=entries))
    if data_types == ["result"] and not types and not on.types:
        report.say(messages.NEEDS_TYPES.at(on.span, "name them: `on result Encounter`", word="result"))
    return Applies(tuple(data_types), tuple(dict.fromkeys(types)))


def _types(
    word: Word, data_types: tuple[str, ...], ground: Ground, report: Report, *, entries: bool
) -> tuple[str, ...]:
    within = entries and data_types == ("Fhir",) and BUNDLE in ground.accepted("Fhir")
    if (data_types == ("result",) or within) and word.text not in ground.sets:
        return (word.text,) if resource_type(word, ground.vocabulary, report) else ()
    named = ground.sets.get(word.text)
    if named is not None and named.kind == "category":
        return named.values
    accepted = frozenset(t for data_type in data_types for t in ground.accepted(data_type))
    if entries and data_types == ("Fhir",):
        accepted |= ground.written
    if data_types and word.text not in accepted:
        report.say(not_accepted(word, ground.name, accepted | frozenset(ground.sets)))
        return ()
    return (word.text,)


def written(permits: Iterable[Statement]) -> frozenset[str]:
    """The resource types that permits let a caller of the facade write."""
    return frozenset(
        word.text
        for permit in permits
        for to in every(permit, To)
        if any(action.text in WRITES for action in to.actions)
        for word in to.types
    )


def submitted(on: Applies) -> tuple[str, ...]:
    """The resource types that a statement `on Fhir TYPE` reads."""
    return on.types if on.data_types == ("Fhir",) else ()


def resource_type(word: Word, vocabulary: Vocabulary, report: Report, others: Iterable[str] = ()) -> bool:
    """Whether a word is a resource type; if not it is said. Shape: `others` may stand there too, and be meant."""
    if vocabulary.elements.is_resource(word.text):
        return True
    types = (name for name in vocabulary.tables.types if vocabulary.elements.is_resource(name))
    near = nearest(word.text, (*others, *types))
    report.say(messages.UNKNOWN_RESOURCE.at(word.span, f"did you mean `{near}`?" if near else None, word=word.text))
    return False


def not_accepted(word: Word, domain: str, accepted: frozenset[str]) -> Diagnostic:
    """That a domain does not accept a type."""
    near = nearest(word.text, accepted)
    hint = f"did you mean `{near}`?" if near else "it accepts " + (", ".join(sorted(accepted)) or "nothing")
    return messages.NOT_ACCEPTED.at(word.span, hint, domain=domain, word=word.text)
