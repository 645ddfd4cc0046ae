"""A subset of FHIRPath, compiled to closures over parsed JSON.

Enough for every search parameter of R4 and for paths in the gateway's own tables: members, `[n]`, `|`, `is`, `as`,
`ofType`, `where`, `exists`, `resolve() is Type`, `extension(url)`, comparisons, `and`/`or`. The element table gives
each step its type, so that a choice (`Observation.value`) becomes its JSON members (`valueQuantity`, ...) and `as` is
decided while compiling: at run time a step is a look-up in a dict.

Source: http://hl7.org/fhirpath/N1/ and https://hl7.org/fhir/R4/fhirpath.html
"""

from __future__ import annotations

import functools
import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path as File
from typing import Any

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedInput, UnexpectedToken

from gateway.specs import ElementDefinition, FhirTables, fhir

Values = list[Any]
Function = Callable[[Values], Values]

_PARSER = Lark(
    (File(__file__).parent / "fhirpath.lark").read_text(encoding="utf-8"),
    parser="lalr",
    maybe_placeholders=False,
)
# the type and id at the end of a literal reference, whatever stands before and after
_REFERENCE = re.compile(r"(?:^|/)([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})(?:/_history/[A-Za-z0-9\-.]{1,64})?$")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "f": "\f"}


class FhirPathError(Exception):
    """An expression that is not FHIRPath, or not in the subset; the text says what and quotes the expression."""

    def __init__(self, expression: str, words: str) -> None:
        """Say what is wrong and where."""
        super().__init__(f"{words} in `{expression}`")
        self.expression = expression


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


@functools.cache
def branches(expression: str, context: str, tables: FhirTables) -> tuple[Branch, ...]:
    """Alternatives of an expression for resources of the type `context`, those for other types left out.

    Errors: FhirPathError.
    """
    return _Compiler(expression, tables).branches(context)


@functools.cache
def _parse(expression: str) -> Tree[Token]:
    try:
        return _PARSER.parse(expression)
    except UnexpectedInput as error:
        ended = isinstance(error, UnexpectedToken) and error.token.type == "$END"
        place = " at the end" if ended else f" at column {getattr(error, 'column', 1)}"
        raise FhirPathError(expression, f"not FHIRPath, or not in the subset,{place}") from error


class _Compiler:
    """Compiles one expression; holds what every node needs."""

    def __init__(self, expression: str, tables: FhirTables) -> None:
        self.expression = expression
        self.tables = tables

    def branches(self, context: str) -> tuple[Branch, ...]:
        """Alternatives of the whole expression."""
        return self.node(_parse(self.expression), (Branch(None, _same, context),))

    def fail(self, words: str) -> FhirPathError:
        """The error for this expression."""
        return FhirPathError(self.expression, words)

    def node(self, tree: Tree[Token], this: tuple[Branch, ...]) -> tuple[Branch, ...]:
        """Alternatives of a node whose `$this` is `this`."""
        match tree:
            case Tree("head", [Token() as name]):
                return self.head(_name(name), this)
            case Tree("this"):
                return this
            case Tree("member", [Tree() as target, Token() as name]):
                return self.member(self.node(target, this), _name(name))
            case Tree("invoke", [Tree() as target, Tree() as call]):
                return self.invoke(call, self.node(target, this))
            case Tree("function", [Tree() as call]):
                return self.invoke(call, this)
            case Tree("index", [Tree() as target, Token() as number]):
                return self.sliced(self.node(target, this), int(number))
            case _:
                return self.operation(tree, this)

    def operation(self, tree: Tree[Token], this: tuple[Branch, ...]) -> tuple[Branch, ...]:
        """Alternatives of an operator or a literal."""
        match tree:
            case Tree("is_type", [Tree() as target, Tree() as named]):
                return self.is_type(self.node(target, this), _type(named))
            case Tree("as_type", [Tree() as target, Tree() as named]):
                return self.as_type(self.node(target, this), _type(named))
            case Tree("binary", [Tree() as left, Token() as sign, Tree() as right]):
                return self.binary(str(sign), self.node(left, this), self.node(right, this))
            case _:
                value, type_ = _literal(tree)
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
                found.append(replace(branch, function=_of_resource_type(branch.function, name), type=name))
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

    def is_open(self, type_: str) -> bool:
        """Whether only the data tell which type it is: any resource."""
        definition = self.tables.types.get(type_)
        return not type_ or (definition is not None and definition.abstract and definition.kind == "resource")

    def member(self, targets: tuple[Branch, ...], name: str) -> tuple[Branch, ...]:
        """The alternatives of a member: one for each type of a choice."""
        found = []
        for branch in targets:
            for key, type_, value_set in self.children(branch.type, name):
                if branch.key is None and branch.function is _same:
                    found.append(Branch(key, _same, type_, value_set))
                else:
                    found.append(Branch(branch.key, _step(branch.function, key), type_, value_set))
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
            replace(branch, function=_of_resource_type(branch.function, name), type=name)
            if self.is_open(branch.type)
            else branch
            for branch in targets
            if self.is_open(branch.type) or self.conforms(branch.type, name)
        )

    def is_type(self, targets: tuple[Branch, ...], name: str) -> tuple[Branch, ...]:
        """Whether each value is of a type."""
        found = []
        for branch in targets:
            known = not self.is_open(branch.type)
            test = _constant(self.conforms(branch.type, name)) if known else _is_resource_type(name)
            found.append(Branch(branch.key, _each(branch.function, test), "boolean"))
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
        before, after, compare = _merged(left), _merged(right), _OPERATORS[sign]
        return (Branch(None, lambda values: compare(before(values), after(values)), "boolean"),)

    def invoke(self, call: Tree[Token], targets: tuple[Branch, ...]) -> tuple[Branch, ...]:
        """A function applied to its targets."""
        name, *arguments = call.children
        match _name(name), arguments:
            case "where", [Tree() as criterion]:
                return tuple(self.where(branch, criterion) for branch in targets)
            case (("as" | "ofType"), [Tree("head", [Token() as type_])]):
                return self.as_type(targets, _name(type_))
            case "is", [Tree("head", [Token() as type_])]:
                return self.is_type(targets, _name(type_))
            case "extension", [Tree("string", [Token() as url])]:
                wanted = _unquoted(url)
                return tuple(
                    replace(branch, function=_kept(branch.function, lambda item: item.get("url") == wanted))
                    for branch in self.member(targets, "extension")
                )
            case "resolve", []:
                return tuple(replace(b, function=_each(b.function, _resolved), type="") for b in targets)
            case "exists", [Tree() as criterion]:
                return (_summed("exists", _merged(tuple(self.where(branch, criterion) for branch in targets))),)
            case function, [] if function in _SUMMARIES:
                return (_summed(function, _merged(targets)),)
            case "first", []:
                return self.sliced(targets, 0)
            case function, _:
                raise self.fail(f"function `{function}` with {len(arguments)} arguments is not in the subset")

    def where(self, branch: Branch, criterion: Tree[Token]) -> Branch:
        """The values for which a criterion holds."""
        test = _merged(self.node(criterion, (Branch(None, _same, branch.type),)))
        return replace(branch, function=_kept(branch.function, lambda item: test([item]) == [True]))


def _same(values: Values) -> Values:
    return values


def _step(before: Function, key: str) -> Function:
    """Values of a member, lists flattened, JSON nulls (which only hold a place for extensions) left out."""

    def step(values: Values) -> Values:
        found: Values = []
        for item in before(values):
            value = item.get(key) if type(item) is dict else None
            if type(value) is list:
                found.extend(v for v in value if v is not None)
            elif value is not None:
                found.append(value)
        return found

    return step


def _whole(branch: Branch) -> Function:
    return branch.function if branch.key is None else _after(_step(_same, branch.key), branch.function)


def _after(first: Function, second: Function) -> Function:
    return second if first is _same else lambda values: second(first(values))


def _merged(found: Sequence[Branch]) -> Function:
    functions = [_whole(branch) for branch in found]
    if len(functions) == 1:
        return functions[0]
    return lambda values: [value for function in functions for value in function(values)]


def _one(found: tuple[Branch, ...]) -> Branch:
    """Several alternatives as one: for functions that look at the order of the whole collection."""
    if len(found) == 1:
        return found[0]
    types = {branch.type for branch in found}
    return Branch(None, _merged(found), types.pop() if len(types) == 1 else "")


def _each(before: Function, change: Callable[[Any], Any]) -> Function:
    return lambda values: [changed for value in before(values) if (changed := change(value)) is not None]


def _kept(before: Function, test: Callable[[Any], bool]) -> Function:
    return lambda values: [value for value in before(values) if test(value)]


def _constant(verdict: bool) -> Callable[[Any], bool]:  # noqa: FBT001 - the value that is held, not a switch
    return lambda _: verdict


def _is_resource_type(name: str) -> Callable[[Any], bool]:
    return lambda value: type(value) is dict and value.get("resourceType") == name


def _of_resource_type(before: Function, name: str) -> Function:
    if name in {"Resource", "DomainResource"}:
        return before
    return _kept(before, _is_resource_type(name))


def _resolved(reference: Any) -> dict[str, str] | None:
    """What can be told of a reference's target without reading it: its type and id."""
    literal = reference.get("reference") if type(reference) is dict else reference
    if isinstance(literal, str) and (match := _REFERENCE.search(literal)):
        return {"resourceType": match[1], "id": match[2]}
    if type(reference) is dict and isinstance(reference.get("type"), str):
        return {"resourceType": reference["type"]}
    return None


def _compared(test: Callable[[Any, Any], bool]) -> Callable[[Values, Values], Values]:
    def compare(left: Values, right: Values) -> Values:
        if not left or not right:
            return []
        one, other = left[0], right[0]
        if type(one) is not type(other) and not (_is_number(one) and _is_number(other)):
            return []
        return [test(one, other)]

    return compare


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, Decimal)) and not isinstance(value, bool)


def _equal(left: Values, right: Values) -> Values:
    return [_same_values(left, right)] if left and right else []


def _unequal(left: Values, right: Values) -> Values:
    return [not _same_values(left, right)] if left and right else []


def _same_values(left: Values, right: Values) -> bool:
    # Python holds True and 1 for equal, FHIRPath doesn't
    return len(left) == len(right) and all(
        one == other and isinstance(one, bool) == isinstance(other, bool)
        for one, other in zip(left, right, strict=True)
    )


def _and(left: Values, right: Values) -> Values:
    if left == [False] or right == [False]:
        return [False]
    return [True] if left and right else []


def _or(left: Values, right: Values) -> Values:
    if left == [True] or right == [True]:
        return [True]
    return [False] if left and right else []


def _xor(left: Values, right: Values) -> Values:
    return [left != right] if left and right else []


_OPERATORS: dict[str, Callable[[Values, Values], Values]] = {
    "=": _equal,
    "!=": _unequal,
    "<": _compared(operator.lt),
    "<=": _compared(operator.le),
    ">": _compared(operator.gt),
    ">=": _compared(operator.ge),
    "and": _and,
    "or": _or,
    "xor": _xor,
}

# functions of a whole collection, with the type of what they give
_SUMMARIES: dict[str, tuple[Callable[[Values], Values], str]] = {
    "exists": (lambda values: [bool(values)], "boolean"),
    "empty": (lambda values: [not values], "boolean"),
    "not": (lambda values: [values != [True]] if values else [], "boolean"),
    "count": (lambda values: [len(values)], "integer"),
    "hasValue": (lambda values: [len(values) == 1 and type(values[0]) is not dict], "boolean"),
}


def _summed(name: str, before: Function) -> Branch:
    summary, type_ = _SUMMARIES[name]
    return Branch(None, lambda values: summary(before(values)), type_)


def _name(token: Any) -> str:
    return str(token).strip("`")


def _type(tree: Tree[Token]) -> str:
    """Name of a type; its namespace (`FHIR.Patient`, `System.String`) says nothing more here."""
    return _name(tree.children[-1])


def _unquoted(token: Token) -> str:
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), str(token)[1:-1])


def _literal(tree: Tree[Token]) -> tuple[Any, str]:
    text = tree.children[0] if tree.children else None
    match tree.data, text:
        case "string", Token():
            return _unquoted(text), "string"
        case "number", Token():
            return Decimal(str(text)), "decimal"
        case "integer", Token():
            return int(str(text)), "integer"
        case _:
            return tree.data == "true", "boolean"
