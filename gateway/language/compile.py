"""Resolved tree to a Python function, built through `ast` nodes: no text of an author's is ever pasted into source.

Literals become constants; a path that a condition reads more than once is read once, into a local. How a leaf is read
is the caller's: a `Reader` turns it into an expression over the function's arguments.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Any, Protocol
from typing import Literal as Choice

from gateway.language import functions, nodes
from gateway.language.functions import PHRASES, PREDICATES, EvaluationError

ARGUMENT = "c"
"""The name of a compiled function's first argument, the context."""


class Reader(Protocol):
    """How leaves are read from the context."""

    def value(self, leaf: nodes.Leaf, code: Code) -> ast.expr:
        """Expression for the value: None where it is absent; of a `many` leaf, a tuple or list of its values."""

    def present(self, leaf: nodes.Leaf, code: Code) -> ast.expr | None:
        """Expression for whether there is any value; None where `value(...) is not None` says it."""


@dataclass(slots=True)
class Code:
    """What generated functions call: objects by the name under which the code finds them."""

    names: dict[str, Any] = field(default_factory=lambda: {"__builtins__": {}})
    _known: dict[int, str] = field(default_factory=dict)

    def hold(self, thing: Any) -> ast.expr:
        """An expression that stands for an object."""
        name = self._known.get(id(thing))
        if name is None:
            name = f"k{len(self._known)}"
            self._known[id(thing)] = name
            self.names[name] = thing
        return ast.Name(name, ast.Load())

    def call(self, function: Callable[..., Any], *arguments: ast.expr) -> ast.expr:
        """An expression that calls a function."""
        return ast.Call(self.hold(function), list(arguments), [])


def constant(value: Any) -> ast.expr:
    """A constant of Python's own kinds: text, number, boolean, None, tuple or frozenset of them."""
    return ast.Constant(value)


def context() -> ast.expr:
    """The context, the function's first argument."""
    return ast.Name(ARGUMENT, ast.Load())


def attribute(of: ast.expr, *names: str) -> ast.expr:
    """Attributes of an expression, one of the other."""
    for name in names:
        of = ast.Attribute(of, name, ast.Load())
    return of


def local(variable: str) -> str:
    """Python name of a loop variable of the author's; it can't collide with any other name."""
    return "v_" + "".join(c if c.isascii() and c.isalnum() else f"_{ord(c):x}_" for c in variable)


Absent = Choice["false", "passes", "fails"]
"""What a comparison with an absent value says: `false`; or what makes the whole condition hold, or fail."""


def compile_test(
    test: nodes.Test,
    reader: Reader,
    *,
    absent: Absent = "false",
    variables: Iterable[str] = (),
    name: str = "condition",
) -> Callable[..., bool]:
    """A condition as a function.

    Shape: `function(context, *variables) -> bool`, the variables being what the loop variables stand for. `name` shows
    in profiles.
    Errors: the function raises one of `functions.ERRORS` where the condition can't be decided.
    """
    code = Code()
    hoisted = hoist([test], reader, code)
    body = body_of(reader, code, absent, hoisted.names)
    statements: list[ast.stmt] = [*hoisted.statements, ast.Return(body.test(test))]
    return function(name, statements, code, variables)


def compile_value(
    leaf: nodes.Leaf, reader: Reader, *, variables: Iterable[str] = (), name: str = "value"
) -> Callable[..., Any]:
    """A leaf as a function that reads it."""
    code = Code()
    return function(name, [ast.Return(reader.value(leaf, code))], code, variables)


def function(name: str, statements: list[ast.stmt], code: Code, variables: Iterable[str] = ()) -> Callable[..., Any]:
    """A function of these statements, over the context and the variables."""
    arguments = [ast.arg(ARGUMENT), *(ast.arg(local(v)) for v in variables)]
    definition = ast.FunctionDef(
        name="compiled",
        args=ast.arguments([], arguments, None, [], [], None, []),
        body=statements,
        decorator_list=[],
    )
    module = ast.Module([definition], [])
    ast.fix_missing_locations(module)
    exec(compile(module, f"<{name}>", "exec"), code.names)  # noqa: S102 - the tree is ours; no author text is source
    made: Callable[..., Any] = code.names["compiled"]
    made.__name__ = made.__qualname__ = name
    return made


@dataclass(frozen=True, slots=True)
class Hoisted:
    """Locals for what is read more than once: the statements that fill them, and their names."""

    statements: tuple[ast.stmt, ...]
    names: Mapping[object, str]


def hoist(tests: Iterable[nodes.Test], reader: Reader, code: Code, prefix: str = "h") -> Hoisted:
    """Read what several tests of one function read more than once into locals.

    HL7 paths alone: reading one can't fail, so it may be read where a condition before it would have stopped. A fact
    is an attribute, a local would cost as much; reading an element may fail.
    """
    counts: Counter[object] = Counter()
    first: dict[object, nodes.Leaf] = {}
    for test in tests:
        for leaf in _values(test, reader, code):
            if isinstance(leaf, nodes.Field | nodes.Part):
                counts[_identity(leaf)] += 1
                first.setdefault(_identity(leaf), leaf)
    statements: list[ast.stmt] = []
    names: dict[object, str] = {}
    for identity, count in counts.items():
        if count > 1:
            names[identity] = f"{prefix}{len(names)}"
            target = ast.Name(names[identity], ast.Store())
            statements.append(ast.Assign([target], reader.value(first[identity], code)))
    return Hoisted(tuple(statements), names)


def body_of(reader: Reader, code: Code, absent: Absent, hoisted: Mapping[object, str]) -> Body:
    """Expressions of one condition within a function."""
    return Body(reader, code, absent != "false", absent == "passes", hoisted)


@dataclass(frozen=True, slots=True)
class Body:
    """Expressions of one function."""

    reader: Reader
    code: Code
    turns: bool  # under `not`, what an absent value says is turned round too, so that the whole stays what it was
    absent: bool
    hoisted: Mapping[object, str]

    def test(self, test: nodes.Test) -> ast.expr:
        """A condition as an expression."""
        return _TESTS[type(test)](self, test)

    def value(self, operand: nodes.Operand) -> ast.expr:
        """An operand as an expression."""
        if isinstance(operand, nodes.Literal):
            return self.literal(operand)
        leaf = _leaf(operand)
        name = self.hoisted.get(_identity(leaf))
        return self.reader.value(leaf, self.code) if name is None else ast.Name(name, ast.Load())

    def literal(self, literal: nodes.Literal) -> ast.expr:
        """A constant; a date or a decimal is held as an object."""
        value = literal.value
        return self.code.hold(value) if isinstance(value, date | Decimal) else constant(value)

    def converted(self, operand: nodes.Operand, convert: Callable[[Any], Any] | None) -> ast.expr:
        """An operand read as number, day or instant."""
        found = self.value(operand)
        if convert is None or isinstance(operand, nodes.Literal):
            return found
        return self.code.call(convert, found)


def _leaf(operand: nodes.Operand) -> nodes.Leaf:
    if not isinstance(operand, nodes.Leaf):
        raise TypeError(operand)  # the checker resolves every operand first
    return operand


def _identity(leaf: nodes.Leaf) -> object:
    """Two leaves that read the same, wherever they stand."""
    return (type(leaf), *(getattr(leaf, name) for name in leaf.__slots__ if name != "span"))


def _values(test: nodes.Test, reader: Reader, code: Code) -> Iterable[nodes.Leaf]:
    """The leaves whose value is read, without those that are only asked for presence in another way."""
    asked = {
        id(t.operand)
        for t in _all(test)
        if isinstance(t, nodes.Present) and reader.present(_leaf(t.operand), code) is not None
    }
    return (leaf for leaf in nodes.leaves(test) if id(leaf) not in asked)


def _all(test: nodes.Test) -> Iterable[nodes.Test]:
    yield test
    match test:
        case nodes.Chain():
            for part in test.parts:
                yield from _all(part)
        case nodes.Not():
            yield from _all(test.part)
        case nodes.Named(test=inner) if inner is not None:
            yield from _all(inner)
        case _:
            return


def _optional(operand: nodes.Operand) -> bool:
    return not isinstance(operand, nodes.Literal) and _leaf(operand).type.optional


def _chain(body: Body, test: nodes.Chain) -> ast.expr:
    values = [body.test(part) for part in test.parts]
    return ast.BoolOp(ast.And() if test.word == "and" else ast.Or(), values) if len(values) > 1 else values[0]


def _negation(body: Body, test: nodes.Not) -> ast.expr:
    inner = replace(body, absent=not body.absent) if body.turns else body
    return ast.UnaryOp(ast.Not(), inner.test(test.part))


def _converter(left: nodes.Operand, right: nodes.Operand) -> Callable[[Any], Any] | None:
    """As what two sides are compared: as they are, unless both have an order."""
    kinds = {o.type.kind if isinstance(o, nodes.Literal) else _leaf(o).type.kind for o in (left, right)}
    if kinds == {"number"}:
        return functions.number
    if kinds == {"instant"}:
        return functions.moment
    if kinds <= {"date", "instant"}:
        return functions.day
    return None


def _guarded(body: Body, operands: tuple[nodes.Operand, ...], result: ast.expr) -> ast.expr:
    """A comparison, and what it says where a value is absent."""
    asked = [body.value(o) for o in operands if _optional(o)]
    if not asked:
        return result
    none = ast.Is() if body.absent else ast.IsNot()
    tests: list[ast.expr] = [ast.Compare(value, [none], [ast.Constant(None)]) for value in asked]
    return ast.BoolOp(ast.Or() if body.absent else ast.And(), [*tests, result])


def _equal(body: Body, test: nodes.Equal) -> ast.expr:
    convert = _converter(test.left, test.right)
    left, right = body.converted(test.left, convert), body.converted(test.right, convert)
    comparison = ast.Compare(left, [ast.NotEq() if test.negated else ast.Eq()], [right])
    if not (test.negated or body.absent or convert or (_optional(test.left) and _optional(test.right))):
        return comparison  # None is equal to no value
    return _guarded(body, (test.left, test.right), comparison)


def _present(body: Body, test: nodes.Present) -> ast.expr:
    leaf = _leaf(test.operand)
    own = body.reader.present(leaf, body.code)
    if own is not None:
        return own if test.positive else ast.UnaryOp(ast.Not(), own)
    value = body.value(leaf)
    if leaf.type.many:
        empty = ast.UnaryOp(ast.Not(), value)
        return ast.UnaryOp(ast.Not(), empty) if test.positive else empty
    return ast.Compare(value, [ast.IsNot() if test.positive else ast.Is()], [ast.Constant(None)])


def _member(body: Body, test: nodes.Member) -> ast.expr:
    only = test.options[0]
    if not isinstance(only, nodes.Literal):
        found = ast.Compare(body.value(test.left), [ast.In()], [body.value(only)])
        return _guarded(body, (test.left,), found)
    literals = [o for o in test.options if isinstance(o, nodes.Literal)]
    convert = _converter(test.left, only)
    values = frozenset(o.value for o in literals)
    options = constant(values) if convert is None else body.code.hold(values)
    found = ast.Compare(body.converted(test.left, convert), [ast.In()], [options])
    return found if convert is None and not body.absent else _guarded(body, (test.left,), found)


_SIGNS: Mapping[str, type[ast.cmpop]] = {"<": ast.Lt, "<=": ast.LtE, ">": ast.Gt, ">=": ast.GtE}


def _ordered(body: Body, test: nodes.Ordered) -> ast.expr:
    convert = _converter(test.left, test.right)
    left, right = body.converted(test.left, convert), body.converted(test.right, convert)
    return _guarded(body, (test.left, test.right), ast.Compare(left, [_SIGNS[test.sign]()], [right]))


def _phrased(body: Body, test: nodes.Phrased) -> ast.expr:
    phrase = PHRASES[test.phrase]
    among: ast.expr = attribute(body.value(test.left), phrase.attribute)
    if phrase.by is not None:
        key = attribute(context(), phrase.by)
        among = ast.Call(attribute(among, "get"), [key, constant(())], [])
    return _guarded(body, (test.right,), ast.Compare(body.value(test.right), [ast.In()], [among]))


def _predicated(body: Body, test: nodes.Predicated) -> ast.expr:
    call = body.code.call(PREDICATES[test.predicate], body.value(test.operand))
    return _guarded(body, (test.operand,), ast.UnaryOp(ast.Not(), call) if test.negated else call)


def _named(body: Body, test: nodes.Named) -> ast.expr:
    if test.test is None:
        raise EvaluationError("a condition that was not checked")
    return body.test(test.test)


_TESTS: Mapping[type, Callable[[Body, Any], ast.expr]] = {
    nodes.Chain: _chain,
    nodes.Not: _negation,
    nodes.Equal: _equal,
    nodes.Present: _present,
    nodes.Member: _member,
    nodes.Ordered: _ordered,
    nodes.Phrased: _phrased,
    nodes.Predicated: _predicated,
    nodes.Named: _named,
}
