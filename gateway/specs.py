"""Loads `specs/` into frozen dataclasses that remember the file and line they came from.

Two notations: CSV with a header (`table`) for flat facts, and the indented tables of `specs/fhir/` (its README.md
describes them). What is wrong in a file is a `SpecsError` that names file, line and what to do.
"""

from __future__ import annotations

import csv
import dataclasses
import functools
import gc
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

ROOT = Path(__file__).resolve().parent.parent / "specs"
"""The repository's `specs/`."""

FHIR = "http://hl7.org/fhir/"
VALUE_SETS = FHIR + "ValueSet/"
SEARCH_PARAMETERS = FHIR + "SearchParameter/"


class SpecsError(Exception):
    """A file below `specs/` that can't be read; the text is `file:line: what is wrong: what to do`."""

    def __init__(self, origin: Origin, words: str) -> None:
        """Say where and what."""
        super().__init__(f"{origin}: {words}")
        self.origin = origin


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a fact stands.

    Shape: `file` relative to the root of the specs where it is below it. Units: lines are counted from 1.
    """

    file: str
    line: int

    def __str__(self) -> str:
        """`file:line`, which editors make clickable."""
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a CSV table: column name to text, empty text where the cell is empty."""

    origin: Origin
    values: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class TypeRef:
    """A type that an element may have, with the resource types that a Reference or canonical may point to."""

    code: str
    targets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ElementDefinition:
    """One element of a FHIR type or resource.

    Shape: `max` None means unbounded; `content_reference` is the path whose children it shares; `binding` is
    `required` or None (weaker bindings are not kept), `value_set` its URL without version.
    Source: https://hl7.org/fhir/R4/elementdefinition.html
    """

    path: str
    min: int
    max: int | None
    types: tuple[TypeRef, ...]
    content_reference: str | None
    binding: str | None
    value_set: str | None
    is_modifier: bool
    in_summary: bool
    invariants: tuple[str, ...]
    origin: Origin


@dataclass(frozen=True, slots=True)
class TypeDefinition:
    """A FHIR type.

    Shape: `kind` is `primitive`, `complex` or `resource`; `base` is empty for Element and Resource; `max_length` in
    bytes where the standard sets one.
    Source: https://hl7.org/fhir/R4/datatypes.html
    """

    name: str
    kind: str
    abstract: bool
    base: str
    format: str
    max_length: int | None
    origin: Origin


@dataclass(frozen=True, slots=True)
class Component:
    """One part of a composite search parameter: the URL of the parameter and the path to its value."""

    url: str
    fhirpath: str


@dataclass(frozen=True, slots=True)
class SearchParameter:
    """One search parameter.

    Shape: `type` is FHIR's (token, string, date, ...); `comparators` and `modifiers` are those of its type, and the
    modifier `[type]` stands for any target type's name.
    Source: https://hl7.org/fhir/R4/searchparameter-registry.html
    """

    code: str
    bases: tuple[str, ...]
    type: str
    targets: tuple[str, ...]
    fhirpath: str
    comparators: tuple[str, ...]
    modifiers: tuple[str, ...]
    components: tuple[Component, ...]
    url: str
    origin: Origin


@dataclass(frozen=True, slots=True, eq=False)
class FhirTables:
    """The facts of FHIR R4 (4.0.1) that the gateway works by.

    Shape: `elements` by path; `types` by name; `search_parameters` by (type, code), with the inherited ones under every
    resource type; `codes` by value set URL; `codings` the same as (system, code); `formats` regular expression by
    primitive; `compartment` the search parameters by which a type is in the Patient compartment.
    """

    elements: ElementTable
    types: Mapping[str, TypeDefinition]
    search_parameters: Mapping[tuple[str, str], SearchParameter]
    codes: Mapping[str, frozenset[str]]
    codings: Mapping[str, frozenset[tuple[str, str]]]
    formats: Mapping[str, str]
    compartment: Mapping[str, tuple[str, ...]]


def table(path: Path) -> tuple[Row, ...]:
    """Rows of a CSV table with a header; lines that start with `#` and empty lines are left out.

    Errors: SpecsError for a missing file, a missing or doubled column name, a row of another length, a bad byte.
    Source: RFC 4180, UTF-8, LF or CRLF.
    """
    name = _name(path)
    lines = _lines(path)
    numbers: list[int] = []
    # csv counts what it is given; the comments it never sees would shift its line numbers
    reader = csv.reader(_counted(lines, numbers), strict=True)
    rows: list[Row] = []
    header: list[str] | None = None
    try:
        for cells in reader:
            origin = Origin(name, numbers[-1])
            if header is None:
                header = cells
                _check_header(header, origin)
            elif len(cells) != len(header):
                raise SpecsError(origin, f"{len(cells)} cells where the header has {len(header)}: add or quote cells")
            else:
                rows.append(Row(origin, MappingProxyType(dict(zip(header, cells, strict=True)))))
    except csv.Error as error:
        raise SpecsError(Origin(name, numbers[-1] if numbers else 1), f"not CSV ({error}): quote the cell") from error
    if header is None:
        raise SpecsError(Origin(name, 1), "no header line: the first line names the columns")
    return tuple(rows)


@functools.cache
def fhir(root: Path = ROOT) -> FhirTables:
    """FHIR R4's tables from `root/fhir`, loaded once.

    Errors: SpecsError.
    """
    folder = root / "fhir"
    # Some 30,000 small objects that live for ever: the collector would walk them over and over while they are made.
    collecting = gc.isenabled()
    gc.disable()
    try:
        types = _types(folder / "types.csv")
        codings = _codings(folder / "codes.txt")
        return FhirTables(
            elements=ElementTable(folder / "elements.txt", types),
            types=types,
            search_parameters=_search_parameters(folder, types),
            codes={url: frozenset(code for _, code in pairs) for url, pairs in codings.items()},
            codings=codings,
            formats={t.name: t.format for t in types.values() if t.format},
            compartment={
                row.values["type"]: tuple(row.values["parameters"].split())
                for row in table(folder / "compartment-patient.csv")
            },
        )
    finally:
        if collecting:
            gc.enable()


def _name(path: Path) -> str:
    return path.relative_to(ROOT.parent).as_posix() if path.is_relative_to(ROOT.parent) else path.as_posix()


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").split("\n")
    except FileNotFoundError as error:
        raise SpecsError(Origin(_name(path), 1), "no such file: run `gateway specs build` or restore it") from error
    except UnicodeDecodeError as error:
        raise SpecsError(Origin(_name(path), 1), f"byte {error.start} is not UTF-8: save the file as UTF-8") from error


def _counted(lines: list[str], numbers: list[int]) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.startswith("#"):
            numbers.append(number)
            yield line + "\n"


def _check_header(header: list[str], origin: Origin) -> None:
    if "" in header or len(set(header)) != len(header):
        raise SpecsError(origin, "the header has an empty or a doubled column name: name each column once")


def _types(path: Path) -> dict[str, TypeDefinition]:
    found: dict[str, TypeDefinition] = {}
    for row in table(path):
        cell = row.values
        found[cell["name"]] = TypeDefinition(
            name=cell["name"],
            kind=cell["kind"],
            abstract=cell["abstract"] == "y",
            base=cell["base"],
            format=cell["format"],
            max_length=int(cell["max_length"]) if cell["max_length"] else None,
            origin=row.origin,
        )
    return found


def _search_parameters(folder: Path, types: Mapping[str, TypeDefinition]) -> dict[tuple[str, str], SearchParameter]:
    offers = {
        row.values["type"]: (tuple(row.values["comparators"].split()), tuple(row.values["modifiers"].split()))
        for row in table(folder / "search-types.csv")
    }
    lists: Callable[[str], tuple[str, ...]] = functools.cache(lambda text: tuple(text.split()))
    found: dict[tuple[str, str], SearchParameter] = {}
    for row in table(folder / "search-parameters.csv"):
        cell = row.values
        if cell["type"] not in offers:
            raise SpecsError(row.origin, f"unknown parameter type `{cell['type']}`: search-types.csv lists them")
        comparators, modifiers = offers[cell["type"]]
        parameter = SearchParameter(
            code=cell["code"],
            bases=lists(cell["bases"]),
            type=cell["type"],
            targets=lists(cell["targets"]),
            fhirpath=cell["fhirpath"],
            comparators=comparators,
            modifiers=modifiers,
            components=_components(cell["components"]),
            url=SEARCH_PARAMETERS + cell["url"],
            origin=row.origin,
        )
        for base in parameter.bases:
            found[base, parameter.code] = parameter
    return _inherited(found, types)


def _inherited(
    own: dict[tuple[str, str], SearchParameter], types: Mapping[str, TypeDefinition]
) -> dict[tuple[str, str], SearchParameter]:
    general: dict[str, list[SearchParameter]] = {}
    for (base, _), parameter in own.items():
        if base in {"Resource", "DomainResource"}:
            general.setdefault(base, []).append(parameter)
    found = dict(own)
    for definition in types.values():
        base = definition.base if definition.kind == "resource" else ""
        while base:
            for parameter in general.get(base, ()):
                found.setdefault((definition.name, parameter.code), parameter)
            base = types[base].base
    return found


def _components(text: str) -> tuple[Component, ...]:
    if not text:
        return ()
    pairs = (part.split(": ", 1) for part in text.split("; "))
    return tuple(Component(SEARCH_PARAMETERS + name, fhirpath) for name, fhirpath in pairs)


def _codings(path: Path) -> dict[str, frozenset[tuple[str, str]]]:
    """Value sets: a line at the margin names one, an indented line a system and some of its codes."""
    name = _name(path)
    found: dict[str, set[tuple[str, str]]] = {}
    url = ""
    for number, line in enumerate(_lines(path), 1):
        if not line or line.startswith("#"):
            continue
        words = line.split()
        if not line.startswith(" "):
            url = absolute(words[0], VALUE_SETS)
            found[url] = set()
        elif not url or len(words) == 1:
            raise SpecsError(Origin(name, number), "codes need a value set above and a system before them")
        else:
            system = absolute(words[0], FHIR)
            found[url].update((system, code) for code in words[1:])
    return {url: frozenset(pairs) for url, pairs in found.items()}


def absolute(name: str, base: str) -> str:
    """URL that a short name stands for below `base`; a URL or URN stays as it is."""
    return name if ":" in name else base + name


_Line = tuple[list[str], int]  # the words after the name, and the line's number


def _element_tree(
    path: Path, name: str, types: Mapping[str, TypeDefinition]
) -> tuple[tuple[TypeRef, ...], dict[str, dict[str, _Line]]]:
    """What `*` stands for; and under each path its children with their words and line."""
    every: tuple[TypeRef, ...] = ()
    tree: dict[str, dict[str, _Line]] = {}
    stack = [""]
    for number, line in enumerate(_lines(path), 1):
        if not line or line[0] == "#":
            continue
        child, *words = line.split()
        depth, odd = divmod(len(line) - len(line.lstrip(" ")), 2)
        if child == "*":
            every = tuple(TypeRef(word) for word in words)
            continue
        if odd or depth >= len(stack):
            raise SpecsError(Origin(name, number), "indentation is two spaces a level, below the parent")
        if not depth and child not in types:
            raise SpecsError(Origin(name, number), f"`{child}` is not a type: types.csv lists them")
        del stack[depth + 1 :]
        parent = stack[depth]
        children = tree.setdefault(parent, {})
        if child in children:
            raise SpecsError(Origin(name, number), f"`{child}` stands twice below `{parent}`: keep one")
        children[child] = (words, number)
        stack.append(f"{parent}.{child}" if parent else child)
    return every, tree


class ElementTable(Mapping[str, ElementDefinition]):
    """Every element by path, made type by type when first asked for: most processes use a tenth of them.

    A child that a type inherits and doesn't restate is copied from its base, as the notation leaves it out.
    """

    def __init__(self, path: Path, types: Mapping[str, TypeDefinition]) -> None:
        """Read the lines; the definitions come later."""
        self._file = _name(path)
        self._types = types
        self._every, self._tree = _element_tree(path, self._file, types)
        self._found: dict[str, ElementDefinition] = {}
        self._children: dict[str, tuple[ElementDefinition, ...]] = {}
        self._type_ref = functools.cache(_type_ref)

    def __getitem__(self, path: str) -> ElementDefinition:
        """The element at a path as the standard writes it (`Patient.deceased[x]`)."""
        self._load(path.partition(".")[0])
        return self._found[path]

    def __iter__(self) -> Iterator[str]:
        """Every path, type by type."""
        for name in self._tree.get("", ()):
            self._load(name)
        return iter(self._found)

    def __len__(self) -> int:
        """How many elements there are in all."""
        return sum(1 for _ in self)

    def children(self, path: str) -> tuple[ElementDefinition, ...]:
        """Elements right below a type or a backbone element, inherited ones first; none below any other element."""
        self._load(path.partition(".")[0])
        return self._children.get(path, ())

    def _load(self, name: str) -> None:
        if name not in self._children and name in self._tree.get("", ()):
            words, line = self._tree[""][name]
            # a type's own cardinality is left out where it is the usual one
            shown = words if words and words[0][0].isdigit() else ["0..*", *words]
            self._load(self._types[name].base)
            self._add(name, shown, line, self._types[name].base)

    def _add(self, path: str, words: list[str], line: int, base: str) -> None:
        """Add an element and all below it; `base` is the type whose children it inherits."""
        self._load(base)
        self._found[path] = self._definition(path, words, Origin(self._file, line))
        own = dict(self._tree.get(path, {}))
        children = []
        for inherited in self._children.get(base, ()):
            name = inherited.path.rpartition(".")[2]
            if name in own:
                children.append(self._child(path, name, *own.pop(name)))
            else:
                # the copy keeps its origin: where it is written
                children.append(dataclasses.replace(inherited, path=f"{path}.{name}"))
                self._found[children[-1].path] = children[-1]
        children.extend(self._child(path, name, *rest) for name, rest in own.items())
        self._children[path] = tuple(children)

    def _child(self, parent: str, name: str, words: list[str], line: int) -> ElementDefinition:
        path = f"{parent}.{name}"
        base = words[1] if len(words) > 1 and words[1] in {"Element", "BackboneElement"} else ""
        if base or path in self._tree:
            self._add(path, words, line, base)
        else:
            self._found[path] = self._definition(path, words, Origin(self._file, line))
        return self._found[path]

    def _definition(self, path: str, words: list[str], origin: Origin) -> ElementDefinition:
        low, dots, high = words[0].partition("..") if words else ("", "", "")
        if not dots or not low.isdigit() or not (high == "*" or high.isdigit()):
            raise SpecsError(origin, "cardinality is `0..1`, `1..1`, `0..*`: write it after the name")
        types: tuple[TypeRef, ...] = ()
        reference = value_set = None
        modifier = summary = False
        invariants: tuple[str, ...] = ()
        for word in words[1:]:
            match word[0]:
                case "Σ":
                    summary = True
                case "?":
                    modifier = True
                case "<":
                    value_set = absolute(word[1:-1], VALUE_SETS)
                case "{":
                    invariants = tuple(word[1:-1].split(","))
                case "#":
                    reference = word[1:]
                case "*":
                    types = self._every
                case _:
                    types = (*types, self._type_ref(word))
        return ElementDefinition(
            path,
            int(low),
            None if high == "*" else int(high),
            types,
            reference,
            "required" if value_set else None,
            value_set,
            modifier,
            summary,
            invariants,
            origin,
        )


def _type_ref(word: str) -> TypeRef:
    code, _, targets = word.partition("(")
    return TypeRef(code, tuple(targets.removesuffix(")").split("|")) if targets else ())
