"""A subset of FHIRPath, compiled to closures over parsed JSON.

Enough for every search parameter of R4, for most of its invariants and for paths in the gateway's own tables: members,
`[n]`, `|`, `is`, `as`, `ofType`, `where`, `select`, `all`, `exists`, `resolve() is Type`, `extension(url)`, `iif`, some
functions of texts, comparisons, `in`, `and`/`or`/`xor`/`implies`, `+`, `&`. The element table gives each step its type,
so that a choice (`Observation.value`) becomes its JSON members (`valueQuantity`, ...) and `as` is decided while
compiling: at run time a step is a look-up in a dict.

Source: http://hl7.org/fhirpath/N1/ and https://hl7.org/fhir/R4/fhirpath.html
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lark import Token, Tree

from gateway.fhir.fhirpath_parse import FhirPathError, literal, name_of, parsed, type_of, unquoted
from gateway.fhir.fhirpath_values import (
    OPERATORS,
    ORDERS,
    SUMMARIES,
    Function,
    Values,
    after,
    constant,
    each,
    is_resource_type,
    kept,
    of_resource_type,
    of_text,
    ordered,
    resolved,
    same,
    step,
    step_with_extensions,
)
from gateway.specs import ElementDefinition, FhirTables, fhir

__all__ = ["Branch", "FhirPathError", "branches", "compile", "invariant", "members_read"]

_MOMENTS = frozenset({"date", "dateTime", "instant"})
_QUANTITIES = frozenset({"Age", "Count", "Distance", "Duration", "Quantity", "SimpleQuantity"})
_SYSTEM_TYPES = {"Boolean": "boolean", "Decimal": "decimal", "Integer": "integer", "String": "string"}
_CONSTANTS = {"ucum": "http://unitsofmeasure.org", "sct": "http://snomed.info/sct", "loinc": "http://loinc.org"}
"""Source: https://hl7.org/fhir/R4/fhirpath.html#variables"""


@dataclass(frozen=True, slots=True)
class Branch:
    """One alternative of a compiled expression, of one type.

    Shape: `key` is the member of the resource's JSON object that it starts from, or None where it needs the whole
    resource; `function` takes the list of values found there (None: a list with the resource alone) and gives the list
    of results; `type` is the FHIR type or backbone path of the results, empty where only the data can tell;
    `value_set` is the URL of the one that the last element is bound to as required.
    """

    key: str | None
    function: Function
    type: str
    value_set: str | None = None


def compile(  # noqa: A001 - the word that `re` uses, always called as fhirpath.compile
    expression: str, *, context: str = "", tables: FhirTables | None = None
) -> Callable[[dict[str, Any]], Values]:
    """Function from a resource (or an element of the type `context`) to the collection that the expression selects.

    Errors: FhirPathError.
    """
    found = _merged(_Compiler(expression, tables or fhir()).branches(context))
    return lambda resource: found([resource])


def invariant(expression: str, context: str, tables: FhirTables) -> Callable[[Any], Values]:
    """Function from an element of a type, or of a backbone path, to what an invariant says of it.

    Shape: an element that has extensions alone is there, and has no value (`exists`, `hasValue`); an order that can't
    be told, of a date and a moment or of two units, holds.
    Errors: FhirPathError.
    """
    compiler = _Compiler(expression, tables, judging=True)
    found = _merged(compiler.branches(context))
    return lambda element: found([element])


def members_read(expression: str, context: str, tables: FhirTables) -> frozenset[str] | None:
    """JSON members of an element of a type that an expression may read; None where it looks at the element as a whole.

    Errors: FhirPathError.
    """
    tree = parsed(expression)
    if any(node.data == "this" for node in tree.iter_subtrees()) or context not in tables.elements:
        return None
    compiler, found = _Compiler(expression, tables), set[str]()
    for node in tree.iter_subtrees():
        names = [name_of(child) for child in node.children if isinstance(child, Token)]
        if node.data == "function" or (node.data == "call" and names[0] in _WHOLE_ELEMENT):
            return None  # a function without a path before it is asked of the element itself
        if node.data in {"head", "member"}:
            found.update(key for key, _, _ in compiler.children(context, names[-1]))
            if names[-1][0].isupper():
                return None
    return frozenset(found | {f"_{name}" for name in found})


_WHOLE_ELEMENT = frozenset({"children", "descendants"})


@functools.cache
def branches(expression: str, context: str, tables: FhirTables) -> tuple[Branch, ...]:
    """Alternatives of an expression for resources of the type `context`, those for other types left out.

    Errors: FhirPathError.
    """
    return _Compiler(expression, tables).branches(context)


class _Compiler:
    """Compiles one expression; holds what every node needs."""

    def __init__(self, expression: str, tables: FhirTables, *, judging: bool = False) -> None:
        self.expression = expression
        self.tables = tables
        self.judging = judging

    def branches(self, context: str) -> tuple[Branch, ...]:
        """Alternatives of the whole expression."""
        return self.node(parsed(self.expression), (Branch(None, same, context),))

    def fail(self, words: str) -> FhirPathError:
        """The error for this expression."""
        return FhirPathError(self.expression, words)

    def node(self, tree: Tree[Token], this: tuple[Branch, ...]) -> tuple[Branch, ...]:
        """Alternatives of a node whose `$this` is `this`."""
        match tree:
            case Tree("head", [Token() as name]):
                return self.head(name_of(name), this)
            case Tree("this"):
                return this
            case Tree("member", [Tree() as target, Token() as name]):
                return self.member(self.node(target, this), name_of(name))
            case Tree("invoke", [Tree() as target, Tree() as call]):
                return self.invoke(call, self.node(target, this), this)
            case Tree("function", [Tree() as call]):
                return self.invoke(call, this, this)
            case Tree("index", [Tree() as target, Token() as number]):
                return self.sliced(self.node(target, this), int(number))
            case _:
                return self.operation(tree, this)

    def operation(self, tree: Tree[Token], this: tuple[Branch, ...]) -> tuple[Branch, ...]:
        """Alternatives of an operator or a literal."""
        match tree:
            case Tree("is_type", [Tree() as target, Tree() as named]):
                return self.is_type(self.node(target, this), type_of(named))
            case Tree("as_type", [Tree() as target, Tree() as named]):
                return self.as_type(self.node(target, this), type_of(named))
            case Tree("binary", [Tree() as left, Token() as sign, Tree() as right]):
                return self.binary(str(sign), self.node(left, this), self.node(right, this))
            case Tree("constant", [Token() as name]) if str(name) in _CONSTANTS:
                value = _CONSTANTS[str(name)]
                return (Branch(None, lambda _: [value], "string"),)
            case Tree("constant", [Token() as name]):
                raise self.fail(f"`%{name}` is not in the subset")
            case _:
                value, type_ = literal(tree)
                return (Branch(None, lambda _: [value], type_),)

    def head(self, name: str, this: tuple[Branch, ...]) -> tuple[Branch, ...]:
        """The first word of a path: a type's name stands for `$this` where it is of that type."""
        if not name[0].isupper():  # `id` is a type too, but here the element
            return self.member(this, name)
        if name not in self.tables.types:
            raise self.fail(f"`{name}` is no type of FHIR")
        found = []
        for branch in this:
            if self.is_open(branch.type):
                found.append(replace(branch, function=of_resource_type(branch.function, name), type=name))
            elif self.conforms(branch.type, name):
                found.append(branch)
        return tuple(found)

    def conforms(self, type_: str, base: str) -> bool:
        """Whether a type is another, or inherits from it."""
        name = type_
        while name != base:
            definition = self.tables.types.get(name)
            if definition is None or not definition.base:
                return False
            name = definition.base
        return True

    def is_primitive(self, type_: str) -> bool:
        """Whether values of a type are JSON strings, numbers or booleans."""
        definition = self.tables.types.get(type_)
        return definition is not None and definition.kind == "primitive"

    def is_open(self, type_: str) -> bool:
        """Whether only the data tell which type it is: any resource."""
        definition = self.tables.types.get(type_)
        return not type_ or (definition is not None and definition.abstract and definition.kind == "resource")

    def member(self, targets: tuple[Branch, ...], name: str) -> tuple[Branch, ...]:
        """The alternatives of a member: one for each type of a choice."""
        found = []
        for branch in targets:
            for key, type_, value_set in self.children(branch.type, name):
                if self.judging and self.is_primitive(type_):
                    found.append(Branch(branch.key, step_with_extensions(branch.function, key), type_, value_set))
                elif branch.key is None and branch.function is same:
                    found.append(Branch(key, same, type_, value_set))
                else:
                    found.append(Branch(branch.key, step(branch.function, key), type_, value_set))
        if targets and not found:
            raise self.fail(f"`{name}` is no element of `{targets[0].type}`")
        return tuple(found)

    def children(self, type_: str, name: str) -> list[tuple[str, str, str | None]]:
        """JSON members, with their types and value sets, that a name stands for below a type or backbone path."""
        if self.is_open(type_):
            return [(name, "", None)]
        elements = self.tables.elements
        path = f"{type_}.{name}"
        if path in elements:
            return [(name, self.type_of(elements[path]), elements[path].value_set)]
        if f"{path}[x]" in elements:
            choice = elements[f"{path}[x]"]
            codes = [reference.code for reference in choice.types]
            return [(name + code[0].upper() + code[1:], code, choice.value_set) for code in codes]
        return []

    @staticmethod
    def type_of(element: ElementDefinition) -> str:
        """FHIR type of an element, or the path that its children stand under."""
        if element.content_reference is not None:
            return element.content_reference.removeprefix("#")
        code = element.types[0].code
        return element.path if code in {"BackboneElement", "Element"} else code

    def as_type(self, targets: tuple[Branch, ...], name: str) -> tuple[Branch, ...]:
        """Those alternatives that are of a type."""
        return tuple(
            replace(branch, function=of_resource_type(branch.function, name), type=name)
            if self.is_open(branch.type)
            else branch
            for branch in targets
            if self.is_open(branch.type) or self.conforms(branch.type, name)
        )

    def is_type(self, targets: tuple[Branch, ...], name: str) -> tuple[Branch, ...]:
        """Whether each value is of a type."""
        found = []
        name = _SYSTEM_TYPES.get(name, name)
        for branch in targets:
            known = not self.is_open(branch.type)
            test = constant(self.conforms(branch.type, name)) if known else is_resource_type(name)
            found.append(Branch(branch.key, each(branch.function, test), "boolean"))
        return tuple(found)

    def sliced(self, targets: tuple[Branch, ...], start: int) -> tuple[Branch, ...]:
        """The one value at a place, counted from 0."""
        branch = _one(targets)
        function = branch.function
        return (replace(branch, function=lambda values: function(values)[start : start + 1]),)

    def binary(self, sign: str, left: tuple[Branch, ...], right: tuple[Branch, ...]) -> tuple[Branch, ...]:
        """Union, logic or comparison."""
        if sign == "|":
            return (*left, *right)
        one, other, compare = _merged(left), _merged(right), OPERATORS[sign]
        kinds = {branch.type for branch in (*left, *right)}
        if self.judging and sign in ORDERS and (kinds <= _MOMENTS or kinds <= _QUANTITIES):
            return (Branch(None, lambda values: ordered(sign, one(values), other(values)), "boolean"),)
        type_ = "string" if sign == "&" else "" if sign == "+" else "boolean"
        return (Branch(None, lambda values: compare(one(values), other(values)), type_),)

    def invoke(self, call: Tree[Token], targets: tuple[Branch, ...], this: tuple[Branch, ...]) -> tuple[Branch, ...]:
        """A function applied to its targets; `this` is what `$this` means around it."""
        name, *arguments = call.children
        match name_of(name), arguments:
            case "where", [Tree() as criterion]:
                return tuple(self.where(branch, criterion) for branch in targets)
            case (("as" | "ofType"), [Tree("head", [Token() as type_])]):
                return self.as_type(targets, name_of(type_))
            case "is", [Tree("head", [Token() as type_])]:
                return self.is_type(targets, name_of(type_))
            case "extension", [Tree("string", [Token() as url])]:
                wanted = unquoted(url)
                return tuple(
                    replace(branch, function=kept(branch.function, lambda item: item.get("url") == wanted))
                    for branch in self.member(targets, "extension")
                )
            case "resolve", []:
                return tuple(replace(b, function=each(b.function, resolved), type="") for b in targets)
            case function, [] if function in SUMMARIES:
                return (_summed(function, _merged(targets)),)
            case "first", []:
                return self.sliced(targets, 0)
            case _:
                return self.further(call, targets, this)

    def further(self, call: Tree[Token], targets: tuple[Branch, ...], this: tuple[Branch, ...]) -> tuple[Branch, ...]:
        """A function with an expression or a text in it."""
        name, *arguments = call.children
        match name_of(name), arguments:
            case "exists", [Tree() as criterion]:
                return (_summed("exists", _merged(tuple(self.where(branch, criterion) for branch in targets))),)
            case "select", [Tree() as projection]:
                return self.selected(targets, projection)
            case "all", [Tree() as criterion]:
                every, some = _merged(targets), _merged(tuple(self.where(branch, criterion) for branch in targets))
                return (Branch(None, lambda values: [len(every(values)) == len(some(values))], "boolean"),)
            case "trace", [*_]:
                return targets
            case "combine", [Tree() as other]:
                return (*targets, *self.node(other, this))
            case "iif", [Tree() as criterion, Tree() as then, *otherwise]:
                return self.decided(targets, criterion, [then, *(one for one in otherwise if isinstance(one, Tree))])
            case function, [Tree("string", [Token() as argument])]:
                of, before = of_text(function, unquoted(argument)), _merged(targets)
                if of is not None:
                    return (Branch(None, lambda values: of(before(values)), "boolean"),)
        raise self.fail(f"function `{name_of(name)}` with {len(arguments)} arguments is not in the subset")

    def selected(self, targets: tuple[Branch, ...], projection: Tree[Token]) -> tuple[Branch, ...]:
        """What an expression makes of each value."""
        found = []
        for branch in targets:
            chosen = self.node(projection, (Branch(None, same, branch.type),))
            whole, make = _whole(branch), _merged(chosen)
            found.append(Branch(None, _each_of(whole, make), chosen[0].type if chosen else ""))
        return tuple(found)

    def decided(
        self, targets: tuple[Branch, ...], criterion: Tree[Token], choices: Sequence[Tree[Token]]
    ) -> tuple[Branch, ...]:
        """One of two expressions, by a third."""
        before, around = _merged(targets), (Branch(None, same, targets[0].type if targets else ""),)
        test = _merged(self.node(criterion, around))
        then, *rest = (_merged(self.node(choice, around)) for choice in choices)

        def chosen(values: Values) -> Values:
            found = before(values)
            if test(found) == [True]:
                return then(found)
            return rest[0](found) if rest else []

        return (Branch(None, chosen, ""),)

    def where(self, branch: Branch, criterion: Tree[Token]) -> Branch:
        """The values for which a criterion holds."""
        test = _merged(self.node(criterion, (Branch(None, same, branch.type),)))
        return replace(branch, function=kept(branch.function, lambda item: test([item]) == [True]))


def _whole(branch: Branch) -> Function:
    return branch.function if branch.key is None else after(step(same, branch.key), branch.function)


def _merged(found: Sequence[Branch]) -> Function:
    functions = [_whole(branch) for branch in found]
    if len(functions) == 1:
        return functions[0]
    return lambda values: [value for function in functions for value in function(values)]


def _each_of(before: Function, make: Function) -> Function:
    return lambda values: [made for value in before(values) for made in make([value])]


def _one(found: tuple[Branch, ...]) -> Branch:
    """Several alternatives as one: for functions that look at the order of the whole collection."""
    if len(found) == 1:
        return found[0]
    types = {branch.type for branch in found}
    return Branch(None, _merged(found), types.pop() if len(types) == 1 else "")


def _summed(name: str, before: Function) -> Branch:
    summary, type_ = SUMMARIES[name]
    return Branch(None, lambda values: summary(before(values)), type_)
