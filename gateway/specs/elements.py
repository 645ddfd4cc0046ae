"""FHIR's types and elements: `types.csv`, and the indented `elements.txt` (the README.md of specs/fhir/ tells how)."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from gateway.specs.addresses import VALUE_SETS, absolute
from gateway.specs.rows import Origin, SpecsError, lines_of, shown_path, table


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


def read_types(path: Path) -> dict[str, TypeDefinition]:
    """Types by name.

    Errors: SpecsError.
    """
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


class ElementTable(Mapping[str, ElementDefinition]):
    """Every element by path, made type by type when first asked for: most processes use a tenth of them.

    A child that a type inherits and doesn't restate is copied from its base, as the notation leaves it out.
    """

    def __init__(self, path: Path, types: Mapping[str, TypeDefinition]) -> None:
        """Read the lines; the definitions come later."""
        self._file = shown_path(path)
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


_Line = tuple[list[str], int]  # the words after the name, and the line's number


def _element_tree(
    path: Path, name: str, types: Mapping[str, TypeDefinition]
) -> tuple[tuple[TypeRef, ...], dict[str, dict[str, _Line]]]:
    """What `*` stands for; and under each path its children with their words and line."""
    every: tuple[TypeRef, ...] = ()
    tree: dict[str, dict[str, _Line]] = {}
    stack = [""]
    for number, line in enumerate(lines_of(path), 1):
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


def _type_ref(word: str) -> TypeRef:
    code, _, targets = word.partition("(")
    return TypeRef(code, tuple(targets.removesuffix(")").split("|")) if targets else ())
