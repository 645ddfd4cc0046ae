"""What an author may read at one place (`Scope`), and the type of each path.

HL7 paths are looked up in the dictionary of every accepted version, columns in the layout; FHIR paths in
`elements.py`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from gateway.fhir.elements import Elements
from gateway.fhir.standards import Standard
from gateway.hl7v2.conformance import Conformance
from gateway.hl7v2.dictionary import Dictionary, FieldDefinition, label_fits
from gateway.language import messages
from gateway.language.kinds import Kind, Type
from gateway.language.lists import CodeList, NamedList
from gateway.language.nodes import Column, Field, Part, Test, Word
from gateway.source import Diagnostic, nearest
from gateway.specs import FhirTables
from gateway.tabular import Layout

HL7_PATH = re.compile(r"([A-Z][A-Z0-9]{2})-([1-9]\d{0,2})(?:\.([1-9]\d?))?(?:\.([1-9]\d?))?")
PART = re.compile(r"([A-Za-z][A-Za-z0-9_-]*)(?:\.([1-9]\d?))?(?:\.([1-9]\d?))?")
COLUMN = re.compile(r"row\.([A-Za-z][A-Za-z0-9_]*(?:-[A-Za-z0-9_]+)*)")
FHIR_PATH = re.compile(r"([A-Z][A-Za-z]+|resource|patient)((?:\.[A-Za-z][A-Za-z0-9]*(?:\[x\])?)+)")

# HL7 data types whose values are compared as something else than text
HL7_KINDS: Mapping[str, Kind] = {
    "NM": "number",
    "SI": "number",
    "DT": "date",
    "DTM": "instant",
    "TS": "instant",
}


Absence = Literal["spelled", "warned", "free"]


@dataclass(frozen=True, slots=True)
class NamedSet:
    """A declared `set`. Shape: the `kind` of its members and their values."""

    kind: Kind
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Bound:
    """What a loop variable stands for: one repetition of a field, or a data type in a map.

    Shape: `datatypes` by HL7 version; the data type of a version that lacks it is None.
    """

    datatypes: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class BoundItem:
    """What a variable of `any` or `every` stands for where it is no repetition of an HL7 field.

    Shape: `paths` are those of the element in each type that is read, none for a value of a list fact; `type` that of
    one of its values.
    """

    paths: tuple[str, ...]
    type: Type


@dataclass(frozen=True, slots=True)
class Scope:
    """What may be read at one place, and how absence is treated there.

    Shape: `facts` by name, those of elsewhere with the reason in `unreadable`; `dictionaries` by version, empty where
    no HL7 message is read; `resources` the types that are read here, empty where none is; `layouts` the columns of the
    CSV layouts that are read here, by name of the layout and of the column; `declared` the names of
    each kind (organisations in upper case); `conditions` resolved, by name, None where one is wrong itself; `bound`
    the loop variables; `absence` is `spelled` where a use must stand behind `is present` (permit, forbid), `warned`
    where it should (require), and `free` where it needs not (when and where of a check, rows, maps); `exempt` are
    facts that need no guard; `repeats` the segments that may occur more than once; `own` the segments that loops are
    in, each with its variable, so that paths of that segment are read there; `first` reads the first repetition
    where one value is needed, instead of refusing it (maps, `in order of`); `lists` and `codes` are the declared ones;
    `conformance` judges messages by the standard, `standards` resources, by the names that rules give them; `domain` is
    the one whose rules are read, which accepts the types in `declared`, and empty where no rules are (maps).
    """

    facts: Mapping[str, Type] = field(default_factory=dict)
    unreadable: Mapping[str, str] = field(default_factory=dict)
    dictionaries: Mapping[str, Dictionary] = field(default_factory=dict)
    elements: Elements | None = None
    tables: FhirTables | None = None
    resources: frozenset[str] = frozenset()
    layouts: Mapping[str, Mapping[str, Type]] = field(default_factory=dict)
    declared: Mapping[Kind, frozenset[str]] = field(default_factory=dict)
    sets: Mapping[str, NamedSet] = field(default_factory=dict)
    conditions: Mapping[str, Test | None] = field(default_factory=dict)
    bound: Mapping[str, Bound | BoundItem] = field(default_factory=dict)
    absence: Absence = "free"
    exempt: frozenset[str] = frozenset()
    repeats: frozenset[str] = frozenset()
    own: Mapping[str, str] = field(default_factory=dict)
    first: bool = False
    lists: Mapping[str, NamedList] = field(default_factory=dict)
    codes: Mapping[str, CodeList] = field(default_factory=dict)
    conformance: Conformance | None = None
    standards: Mapping[str, Standard] = field(default_factory=dict)
    domain: str = ""


def field_of(word: Word, scope: Scope) -> Field | Diagnostic:
    """The HL7 path that a word names, typed in every accepted version.

    Errors: a Diagnostic for a segment, field or component that some accepted version lacks, or a label that is the
    field's name in none.
    """
    match = HL7_PATH.fullmatch(word.text)
    if match is None:
        return messages.UNKNOWN_WORD.at(word.span, word=word.text)
    segment, number, component, subcomponent = match[1], int(match[2]), _number(match[3]), _number(match[4])
    definitions: list[FieldDefinition] = []
    datatypes: dict[str, str | None] = {}
    for version, dictionary in scope.dictionaries.items():
        if segment not in dictionary.segments:
            near = _near(segment, dictionary)
            hint = f"did you mean `{near}{word.text[len(segment) :]}`?" if near else None
            return messages.UNKNOWN_SEGMENT.at(word.span, hint, word=segment, version=version)
        definition = dictionary.field(segment, number)
        if definition is None:
            last = max(dictionary.segments[segment].fields, default=0)
            hint = f"{segment} has fields 1 to {last} in HL7 {version}, which this domain accepts"
            return messages.UNKNOWN_FIELD.at(word.span, hint, word=f"{segment}-{number}", version=version)
        definitions.append(definition)
        datatypes[version] = definition.datatype
    wrong = _label(word, definitions)
    if wrong is not None:
        return wrong
    own = scope.own.get(segment)
    repeats = any(d.max is None or d.max > 1 for d in definitions) or (own is None and segment in scope.repeats)
    below = _below(word, datatypes, component, subcomponent, scope)
    if isinstance(below, Diagnostic):
        return below
    kind, composite = below
    steps = tuple(step for step in (component, subcomponent) if step is not None)
    places = {v: d.component(segment, number, steps) for v, d in scope.dictionaries.items()}
    table = _table(places, scope)
    if table is None and steps in {(), (1,)}:
        # the table of a coded field is that of its first component
        table = _table({v: d.field(segment, number) for v, d in scope.dictionaries.items()}, scope)
    return Field(
        segment,
        number,
        component,
        subcomponent,
        Type(kind, many=repeats, optional=True, composite=composite, raw=True, table=table),
        word.span,
        own,
    )


@functools.lru_cache(maxsize=1024)
def _near(segment: str, dictionary: Dictionary) -> str | None:
    """The segment that was meant; maps ask version after version for one that only later versions have."""
    return nearest(segment, dictionary.segments)


def part_of(word: Word, scope: Scope) -> Part | Diagnostic | None:
    """The part of a loop variable that a word names; None if it begins with none."""
    match = PART.fullmatch(word.text)
    bound = scope.bound.get(match[1]) if match else None
    if match is None or not isinstance(bound, Bound):
        return None
    component, subcomponent = _number(match[2]), _number(match[3])
    below = _below(word, bound.datatypes, component, subcomponent, scope)
    if isinstance(below, Diagnostic):
        return below
    kind, composite = below
    whole = component is None  # a repetition that is looped over is there
    return Part(
        match[1],
        component,
        subcomponent,
        Type(kind, optional=not whole or composite, composite=composite, raw=True),
        word.span,
    )


def _table(definitions: Mapping[str, FieldDefinition | None], scope: Scope) -> tuple[str, frozenset[str]] | None:
    """The table that a place takes its codes from, with those of all accepted versions; None where none has any."""
    codes: set[str] = set()
    number = ""
    for version, definition in definitions.items():
        own = definition.table if definition is not None else None
        table = scope.dictionaries[version].tables.get(own or "")
        if own is not None and table is not None:
            codes |= table.codes
            number = own
    return (number, frozenset(codes)) if codes else None


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)


def _label(word: Word, definitions: list[FieldDefinition]) -> Diagnostic | None:
    label = word.label
    if label is None or any(label_fits(d, label.value) for d in definitions):
        return None
    names = sorted({d.name for d in definitions})
    hint = "the dictionary says " + " or ".join(f'"{name.replace("_", " ").title()}"' for name in names)
    return messages.LABEL.at(label.span, hint, word=word.text, label=label.value)


def _below(
    word: Word, datatypes: Mapping[str, str | None], component: int | None, subcomponent: int | None, scope: Scope
) -> tuple[Kind, bool] | Diagnostic:
    """Kind of the part that is meant, and whether it has parts itself, over all versions."""
    kinds: set[Kind] = set()
    composite = False
    for version, outermost in datatypes.items():
        dictionary = scope.dictionaries[version]
        datatype = outermost
        for step in (component, subcomponent):
            if step is None:
                break
            # TS.1 is the time itself, and is an ST in some versions
            datatype = "DTM" if (datatype, step) == ("TS", 1) else _component(dictionary, datatype, step)
            if datatype is None:
                has = len(_components(dictionary, outermost))
                hint = f"its data type {outermost} has {has or 'no'} components in HL7 {version}"
                return messages.UNKNOWN_COMPONENT.at(word.span, hint, word=word.text, version=version)
        composite = composite or len(_components(dictionary, datatype)) > 1
        kinds.add(_kind(dictionary, datatype))
    return (kinds.pop() if len(kinds) == 1 else "text"), composite


def _components(dictionary: Dictionary, datatype: str | None) -> Mapping[int, FieldDefinition]:
    definition = dictionary.datatypes.get(datatype or "")
    return {} if definition is None else definition.components


def _component(dictionary: Dictionary, datatype: str | None, step: int) -> str | None:
    """Data type one level down; a primitive is its own first part, and of a varying type nothing is known."""
    if datatype is None or datatype in {"varies", "Varies", "*"}:
        return datatype
    components = _components(dictionary, datatype)
    if not components:
        return datatype if step == 1 else None
    return components[step].datatype if step in components else None


def _kind(dictionary: Dictionary, datatype: str | None) -> Kind:
    """What the first scalar of a data type compares as."""
    for _ in range(4):  # HL7 nests three levels at most; a dictionary that nests on is no reason to hang
        if datatype is not None and datatype in HL7_KINDS:
            return HL7_KINDS[datatype]
        below = _components(dictionary, datatype)
        if not below:
            break
        datatype = below[min(below)].datatype
    return "text"


# types of columns, by what they compare as; those not here are texts
COLUMN_KINDS: Mapping[str, Kind] = {
    "integer": "number",
    "decimal": "number",
    "boolean": "boolean",
    "date": "date",
    "instant": "instant",
}


def columns_of(layout: Layout) -> dict[str, Type]:
    """The columns of a CSV layout by name, typed."""
    return {
        column.name: Type(COLUMN_KINDS.get(column.kind, "text"), optional=not column.required, codes=column.among)
        for column in layout.columns.values()
    }


def column_of(word: Word, scope: Scope) -> Column | Diagnostic:
    """The column of a CSV row that a word names, in every layout that is read here.

    Errors: a Diagnostic for a column that some layout lacks, or that the layouts have of different types.
    """
    match = COLUMN.fullmatch(word.text)
    if match is None:
        return messages.UNKNOWN_WORD.at(word.span, word=word.text)
    if not scope.layouts:
        return messages.NOT_READABLE.at(word.span, "only a statement `on Csv` reads rows", word=word.text)
    found: dict[Type, str] = {}
    for layout, columns in scope.layouts.items():
        if match[1] not in columns:
            near = nearest(match[1], columns)
            hint = f"did you mean `row.{near}`?" if near else "its columns are " + ", ".join(columns)
            return messages.UNKNOWN_COLUMN.at(word.span, hint, word=word.text, layout=layout)
        found.setdefault(columns[match[1]], layout)
    if len(found) > 1:
        first, second = tuple(found.values())[:2]
        hint = f"it is of another type in `{first}` than in `{second}`: write a rule for each, `on Csv {first}`"
        return messages.NOT_READABLE.at(word.span, hint, word=word.text)
    return Column(match[1], next(iter(found)), word.span)
