"""What paths lead to: fields by the dictionaries of the accepted versions, elements by R4, columns by the layouts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from gateway.editor.book import Book, Page
from gateway.editor.uses import variables
from gateway.hl7v2.dictionary import Dictionary, FieldDefinition
from gateway.language.nodes import Word
from gateway.language.types import HL7_PATH
from gateway.rules.accepting import accept, between
from gateway.rules.clauses import Report
from gateway.rules.declared import Accept
from gateway.rules.facts import TABLE
from gateway.rules.nodes import GLASS, On, RowsWhere, Said, SendsCategory, Statement, To
from gateway.specs import ElementDefinition
from gateway.tabular import Column

_FIELD = "https://hl7-definition.caristix.com/v2/HL7v{version}/Fields/{field}"
_R4 = "https://hl7.org/fhir/R4/"
_PAGES = {
    "Reference": "references",
    "Extension": "extensibility",
    "Narrative": "narrative",
    "Meta": "resource",
    "Element": "element",
    "BackboneElement": "backboneelement",
    "Dosage": "dosage",
    "ElementDefinition": "elementdefinition",
    **dict.fromkeys(
        ("ContactDetail", "Contributor", "DataRequirement", "Expression", "ParameterDefinition", "RelatedArtifact",
         "TriggerDefinition", "UsageContext"),
        "metadatatypes",
    ),
}  # fmt: skip
"""Pages of the types that stand on none of their own name, nor on that of the data types."""

_FEW = 12
"""How many codes are shown; completion has them all."""


@dataclass(frozen=True, slots=True)
class Reach:
    """What paths of one statement lead into.

    Shape: `dictionaries` of the versions that its domain accepts, oldest first; `segments` those of the accepted
    messages; `resources` the types that it speaks of; `columns` of the layouts that it accepts; `loops` the variables
    with their paths.
    """

    dictionaries: Mapping[str, Dictionary]
    segments: frozenset[str]
    resources: tuple[str, ...]
    columns: Mapping[str, Column]
    loops: Mapping[str, str]


def accepts(page: Page, book: Book) -> tuple[Accept, ...]:
    """What the domain of a file accepts."""
    found = (accept(s, book.vocabulary, Report()) for s in page.statements if s.kind == "accept")
    return tuple(one for one in found if one is not None)


def home(book: Book, page: Page, statement: Statement, word: Word) -> Page:
    """The file of the domain whose types a word is among: of `sends category DOMAIN`, else its own."""
    for clause in statement.clauses:
        if isinstance(clause, SendsCategory) and word in clause.types:
            for other in book.pages.values():
                if any(s.kind == "domain" and s.name.text == clause.domain.text for s in other.statements):
                    return other
    return page


def reach(book: Book, page: Page, statement: Statement | None) -> Reach:
    """What paths of a statement lead into."""
    taken = _taken(accepts(page, book), statement)
    dictionaries: dict[str, Dictionary] = {}
    segments: set[str] = set()
    layouts: list[str] = []
    for one in taken:
        if one.data_type == "Hl7v2":
            for version in between(one.versions, book.vocabulary):
                dictionary = dictionaries.setdefault(version, book.vocabulary.dictionaries[version])
                names = (dictionary.structure_of(t) for t in one.types)
                segments.update(*(dictionary.structures[n].segments() for n in names if n is not None))
        elif one.data_type == "Csv":
            layouts.extend(one.types)
    columns = {c.name: c for name in layouts for c in book.vocabulary.layouts[name].columns.values()}
    loops = {} if statement is None else {name: path.text for name, path in variables(statement).items()}
    return Reach(dictionaries, frozenset(segments), _resources(book, taken, statement), columns, loops)


def _taken(taken: tuple[Accept, ...], statement: Statement | None) -> tuple[Accept, ...]:
    """What of it a statement reads: of its data types, and what is stored where it is about that alone."""
    kinds: set[str] = set()
    for clause in () if statement is None else statement.clauses:
        if isinstance(clause, On):
            kinds |= {"Fhir" if word.text in {"result", GLASS} else word.text for word in clause.data_types}
        elif isinstance(clause, To) and all(word.text != "ingest" for word in clause.actions):
            kinds.add("Fhir")
    return tuple(one for one in taken if not kinds or one.data_type in kinds)


def _resources(book: Book, taken: Sequence[Accept], statement: Statement | None) -> tuple[str, ...]:
    """The resource types that a statement speaks of; all that its domain accepts where it names none."""
    named: list[str] = []
    for clause in () if statement is None else statement.clauses:
        match clause:
            case To() | On():
                named += [word.text for word in clause.types]
            case RowsWhere():
                named += [
                    *(w.text for w in clause.types),
                    *([] if clause.linked is None else [clause.linked.text.partition(".")[0]]),
                ]
            case Said(kind="given"):
                # an address or a search begins with the type that it asks for
                named += [re.split(r"[/?]", text.value)[0] for text in clause.texts]
            case _:
                pass
    known = [name for name in dict.fromkeys(named) if book.vocabulary.elements.is_resource(name)]
    return tuple(known) or tuple(t for one in taken if one.data_type == "Fhir" for t in one.types)


def rooted(path: str, within: Reach) -> str:
    """A path with its loop variable, `patient` or `resource` written out: `id.1` to `PID-3.1`."""
    stem, dot, below = path.partition(".")
    for _ in within.loops:
        if stem not in within.loops:
            break
        path = within.loops[stem] + dot + below
        stem, dot, below = path.partition(".")
    if stem == "patient":
        return f"Patient{dot}{below}"
    if stem == "resource":
        return f"{next(iter(within.resources), 'Patient')}{dot}{below}"
    return path


def told(path: str, within: Reach, book: Book) -> str | None:
    """What a path leads to, as Markdown; None where it leads nowhere."""
    whole = rooted(path, within)
    if whole.startswith("row."):
        column = within.columns.get(whole.removeprefix("row."))
        return None if column is None else _column(path, column)
    if HL7_PATH.fullmatch(whole) is not None:
        return _field(path, whole, within)
    definition = book.vocabulary.elements.resolve(whole)
    return None if definition is None or "." not in whole else _element(path, whole, definition, book)


def codes(path: str, within: Reach, book: Book) -> frozenset[str]:
    """The codes that stand at a place: of its table, its binding or its column."""
    whole = rooted(path, within)
    if whole.startswith("row."):
        column = within.columns.get(whole.removeprefix("row."))
        return (column.among or frozenset()) if column is not None else frozenset()
    if HL7_PATH.fullmatch(whole) is not None:
        return _coded_over(whole, within)
    element = book.vocabulary.elements.resolve(whole)
    return frozenset() if element is None else _bound(element, book)


def labels(path: str, within: Reach) -> tuple[str, ...]:
    """The dictionary's names of a field, as its label may say them."""
    match = HL7_PATH.fullmatch(path)
    if match is None:
        return ()
    fields = (d.field(match[1], int(match[2])) for d in within.dictionaries.values())
    return tuple(dict.fromkeys(_title(field.name) for field in fields if field is not None))


# --- HL7 v2 --------------------------------------------------------------------------------------------------------


def _definitions(path: str, within: Reach) -> dict[str, tuple[Dictionary, FieldDefinition | None]]:
    match = HL7_PATH.fullmatch(path)
    if match is None:
        return {}
    steps = tuple(int(step) for step in (match[3], match[4]) if step is not None)
    return {v: (d, d.component(match[1], int(match[2]), steps)) for v, d in within.dictionaries.items()}


def _field(path: str, whole: str, within: Reach) -> str | None:
    by_words: dict[str, list[str]] = {}
    names: list[str] = []
    for version, (dictionary, definition) in _definitions(whole, within).items():
        by_words.setdefault(_of_field(dictionary, definition), []).append(version)
        names += [] if definition is None else [_title(definition.name)]
    if not names:
        return None
    shown = f"`{path}`" if path == whole else f"`{path}` = `{whole}`"
    link = _FIELD.format(version=[*within.dictionaries][-1], field=whole.replace("-", "."))
    rows = [f"- HL7 {_versions(versions)}: {words}" for words, versions in by_words.items()]
    coded = _shown(_coded_over(whole, within))
    rows += ["", f"Codes{coded}"] if coded else []
    return "\n".join([f"**{names[-1]}** {shown}", "", *rows, "", f"[HL7 v2 {[*within.dictionaries][-1]}]({link})"])


def _of_field(dictionary: Dictionary, definition: FieldDefinition | None) -> str:
    if definition is None:
        return "not there"
    known = dictionary.tables.get(definition.table or "")
    title = f" {known.name}" if known is not None else ""
    table = "" if definition.table is None else f", table {definition.table}{title}"
    return f"`{definition.datatype}` {_cardinality(definition.min, definition.max)}{table}"


def _coded_over(path: str, within: Reach) -> frozenset[str]:
    """The codes of a place's table in all accepted versions, as the checker takes them."""
    return frozenset().union(*(_coded(*one) for one in _definitions(path, within).values()))


def _coded(dictionary: Dictionary, definition: FieldDefinition | None) -> frozenset[str]:
    """The codes of a field's table; of a coded field with parts they are those of its first."""
    if definition is None:
        return frozenset()
    own = dictionary.tables.get(definition.table or "")
    if own is not None:
        return own.codes
    parts = dictionary.datatypes.get(definition.datatype)
    below = parts.components.get(1) if parts is not None and parts.components else None
    table = dictionary.tables.get(below.table or "") if below is not None else None
    return frozenset() if table is None else table.codes


def _versions(versions: Sequence[str]) -> str:
    return versions[0] if len(versions) == 1 else f"{versions[0]} to {versions[-1]}"


def _title(name: str) -> str:
    return name.replace("_", " ").title()


def _cardinality(least: int, most: int | None) -> str:
    return f"[{least}..{'*' if most is None else most}]"


def _shown(codes: frozenset[str]) -> str:
    if not codes:
        return ""
    few = sorted(codes)[:_FEW]
    return ": " + ", ".join(f"`{code}`" for code in few) + (" ..." if len(codes) > _FEW else "")


# --- FHIR and CSV --------------------------------------------------------------------------------------------------


def _element(path: str, whole: str, definition: ElementDefinition, book: Book) -> str:
    types = " or ".join(
        f"`{t.code.rpartition('/')[2]}`" + (f" of {', '.join(t.targets)}" if t.targets else "")
        for t in definition.types
    )
    shown = f"**`{path}`**" if path == whole else f"**`{path}`** = `{whole}`"
    rows = [f"{shown} {types} {_cardinality(definition.min, definition.max)}"]
    if definition.binding is not None and definition.value_set is not None:
        name = definition.value_set.rpartition("/")[2]
        rows += ["", f"{definition.binding} binding: {name}{_shown(_bound(definition, book))}"]
    return "\n".join([*rows, "", f"[FHIR R4]({link(definition.path, book)})"])


def link(path: str, book: Book) -> str:
    """The place in the specification of FHIR R4 that defines a type or an element."""
    head = path.partition(".")[0]
    resource = book.vocabulary.elements.is_resource(head)
    if "." not in path and resource:
        return f"{_R4}{head.lower()}.html"
    page = _PAGES.get(head, head.lower() if resource else "datatypes")
    return f"{_R4}{page}-definitions.html#{path.replace('[x]', '_x_')}"


def _bound(definition: ElementDefinition, book: Book) -> frozenset[str]:
    return book.vocabulary.tables.codes.get(definition.value_set or "", frozenset())


def _column(path: str, column: Column) -> str:
    required = "always there" if column.required else "may be empty"
    title = f"**{column.title}** " if column.title else ""
    return f"{title}`{path}` {column.kind}, {required}{_shown(column.among or frozenset())}\n\nHeader `{column.header}`"


# --- what may follow -----------------------------------------------------------------------------------------------


def below(typed: str, within: Reach, book: Book) -> Iterator[tuple[str, str]]:
    """Paths that begin as typed, one step further than it has, each with what it is in short."""
    if "." in typed:
        yield from _steps(typed.rpartition(".")[0], within, book)
    elif "-" in typed:
        yield from _fields(typed.partition("-")[0], within)
    else:
        yield from ((f"{segment}-", "segment") for segment in sorted(within.segments - {"*"}) if within.dictionaries)
        yield from ((f"{name}.", "resource") for name in within.resources)
        yield from ((name, f"each of {path}") for name, path in within.loops.items())
        yield from _columns(within)


def _steps(base: str, within: Reach, book: Book) -> Iterator[tuple[str, str]]:
    if base == "row":
        yield from _columns(within)
        return
    if any(fact.name.startswith(f"{base}.") for fact in TABLE) and base not in within.loops:
        return
    whole = rooted(base, within)
    if HL7_PATH.fullmatch(whole) is not None:
        yield from _components(base, whole, within)
        return
    elements = book.vocabulary.elements
    for name in elements.children(whole):
        definition = elements.resolve(f"{whole}.{name}")
        if definition is not None and name not in {"id", "extension", "modifierExtension"}:
            types = " or ".join(t.code.rpartition("/")[2] for t in definition.types[:3])
            yield f"{base}.{name}", f"{types} {_cardinality(definition.min, definition.max)}"


def _fields(segment: str, within: Reach) -> Iterator[tuple[str, str]]:
    """Fields that every accepted version has."""
    having = [d.segments[segment].fields for d in within.dictionaries.values() if segment in d.segments]
    if not having or len(having) < len(within.dictionaries):
        return
    for number, definition in sorted(having[-1].items()):
        if all(number in fields for fields in having):
            yield f"{segment}-{number}", f"{_title(definition.name)} {definition.datatype}"


def _components(base: str, whole: str, within: Reach) -> Iterator[tuple[str, str]]:
    having = [
        d.datatypes[f.datatype].components
        for d, f in _definitions(whole, within).values()
        if f is not None and f.datatype in d.datatypes
    ]
    for number, definition in sorted(having[-1].items()) if having else ():
        if all(number in components for components in having):
            yield f"{base}.{number}", f"{_title(definition.name)} {definition.datatype}"


def _columns(within: Reach) -> Iterator[tuple[str, str]]:
    return ((f"row.{name}", column.title or column.kind) for name, column in within.columns.items())
