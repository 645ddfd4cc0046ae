"""Resolved tree to a Python function, built through `ast` nodes: no text of an author's is ever pasted into source.

Literals become constants; a path that a condition reads more than once is read once, into a local (`hoist.py`). How a
leaf is read is the caller's: a `Reader` turns it into an expression over the function's arguments.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from typing import Literal as Choice

from gateway.language import codings, functions, moments, nodes, patterns
from gateway.language.code import ARGUMENT, Code, LoopReader, Reader, attribute, constant, context, function, local
from gateway.language.comparing import converter_of, leaf_of, may_be_absent, of_quantities
from gateway.language.functions import PHRASES, PREDICATES, EvaluationError
from gateway.language.hoist import hoist, identity_of
from gateway.language.work import bounded

__all__ = [
    "ARGUMENT",
    "Absent",
    "Body",
    "Code",
    "LoopReader",
    "Reader",
    "attribute",
    "body_of",
    "compile_test",
    "compile_value",
    "constant",
    "context",
    "function",
    "local",
]

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
        return TESTS[type(test)](self, test)

    def value(self, operand: nodes.Operand) -> ast.expr:
        """An operand as an expression."""
        if isinstance(operand, nodes.Literal):
            return self.literal(operand)
        if isinstance(operand, nodes.Moved):
            count = -operand.length.count if operand.back else operand.length.count
            amount = (constant(count), constant(operand.length.unit))
            return self.code.call(moments.MOVES[operand.type.kind], self.value(operand.base), *amount)
        leaf = leaf_of(operand)
        name = self.hoisted.get(identity_of(leaf))
        return self.reader.value(leaf, self.code) if name is None else ast.Name(name, ast.Load())

    def literal(self, literal: nodes.Literal) -> ast.expr:
        """A constant; a date, a decimal or a quantity is held as an object."""
        value = literal.value
        return constant(value) if isinstance(value, str | bool) else self.code.hold(value)

    def converted(self, operand: nodes.Operand, convert: Callable[[Any], Any] | None) -> ast.expr:
        """An operand read as number, day or instant."""
        found = self.value(operand)
        if convert is None or isinstance(operand, nodes.Literal):
            return found
        return self.code.call(convert, found)


def _chain(body: Body, test: nodes.Chain) -> ast.expr:
    values = [body.test(part) for part in test.parts]
    return ast.BoolOp(ast.And() if test.word == "and" else ast.Or(), values) if len(values) > 1 else values[0]


def _negation(body: Body, test: nodes.Not) -> ast.expr:
    inner = replace(body, absent=not body.absent) if body.turns else body
    return ast.UnaryOp(ast.Not(), inner.test(test.part))


def _guarded(body: Body, operands: tuple[nodes.Operand, ...], result: ast.expr) -> ast.expr:
    """A comparison, and what it says where a value is absent."""
    asked = [body.value(leaf_of(o)) for o in operands if may_be_absent(o)]
    if not asked:
        return result
    none = ast.Is() if body.absent else ast.IsNot()
    tests: list[ast.expr] = [ast.Compare(value, [none], [ast.Constant(None)]) for value in asked]
    return ast.BoolOp(ast.Or() if body.absent else ast.And(), [*tests, result])


def _differing(body: Body, test: nodes.Equal | nodes.Ordered, sign: ast.cmpop) -> ast.expr:
    """Two quantities compared: by what one is more than the other."""
    more = body.code.call(codings.difference, body.value(test.left), body.value(test.right))
    return _guarded(body, (test.left, test.right), ast.Compare(more, [sign], [constant(0)]))


def _equal(body: Body, test: nodes.Equal) -> ast.expr:
    if of_quantities(test):
        return _differing(body, test, ast.NotEq() if test.negated else ast.Eq())
    convert = converter_of(test.left, test.right)
    left, right = body.converted(test.left, convert), body.converted(test.right, convert)
    comparison = ast.Compare(left, [ast.NotEq() if test.negated else ast.Eq()], [right])
    if not (test.negated or body.absent or convert or (may_be_absent(test.left) and may_be_absent(test.right))):
        return comparison  # None is equal to no value
    return _guarded(body, (test.left, test.right), comparison)


def _present(body: Body, test: nodes.Present) -> ast.expr:
    leaf = leaf_of(test.operand)
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
        return _guarded(body, (test.left,), _among(body, test.left, only))
    literals = [o for o in test.options if isinstance(o, nodes.Literal)]
    convert = converter_of(test.left, only)
    values = frozenset(o.value for o in literals)
    if only.type.kind == "quantity":
        found = body.code.call(codings.equals_one, body.value(test.left), body.code.hold(values))
        return _guarded(body, (test.left,), found)
    options = constant(values) if convert is None else body.code.hold(values)
    found = ast.Compare(body.converted(test.left, convert), [ast.In()], [options])
    return found if convert is None and not body.absent else _guarded(body, (test.left,), found)


_SIGNS: Mapping[str, type[ast.cmpop]] = {"<": ast.Lt, "<=": ast.LtE, ">": ast.Gt, ">=": ast.GtE}


def _ordered(body: Body, test: nodes.Ordered) -> ast.expr:
    if of_quantities(test):
        return _differing(body, test, _SIGNS[test.sign]())
    convert = converter_of(test.left, test.right)
    left, right = body.converted(test.left, convert), body.converted(test.right, convert)
    return _guarded(body, (test.left, test.right), ast.Compare(left, [_SIGNS[test.sign]()], [right]))


def _lacks(body: Body, test: nodes.Lacks) -> ast.expr:
    return _guarded(body, (test.right,), ast.UnaryOp(ast.Not(), _among(body, test.right, test.left)))


def _among(body: Body, value: nodes.Operand, values: nodes.Operand) -> ast.expr:
    """Whether a value is one of a list's."""
    convert = converter_of(value, values)
    if convert is None:
        return ast.Compare(body.value(value), [ast.In()], [body.value(values)])
    several = (body.value(values), body.code.hold(convert))
    return body.code.call(functions.among, body.converted(value, convert), *several)


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


# --- in words ------------------------------------------------------------------------------------------------------


def _fact(name: str) -> ast.expr:
    """An attribute of the context that no path names."""
    return attribute(context(), name)


def _starts(body: Body, test: nodes.Starts) -> ast.expr:
    call = body.code.call(functions.starts, body.value(test.operand), constant(test.prefix.value))
    return _guarded(body, (test.operand,), call)


def _matches(body: Body, test: nodes.Matches) -> ast.expr:
    pattern = body.code.hold(patterns.compiled(test.pattern.value))
    return _guarded(body, (test.operand,), body.code.call(patterns.matches, body.value(test.operand), pattern))


def _within(body: Body, test: nodes.Within) -> ast.expr:
    length = (constant(test.length.count), constant(test.length.unit))
    call = body.code.call(moments.within, body.value(test.operand), *length, _fact("today"), _fact("now"))
    return _guarded(body, (test.operand,), call)


def _has_age(body: Body, test: nodes.HasAge) -> ast.expr:
    born = body.value(test.operand)
    if leaf_of(test.operand).type.kind == "complex":
        born = body.code.call(codings.birth_date, born)
    length = (constant(test.length.count), constant(test.length.unit))
    under = body.code.call(moments.under_age, born, *length, _fact("today"))
    return _guarded(body, (test.operand,), under if test.under else ast.UnaryOp(ast.Not(), under))


def _has_code(body: Body, test: nodes.HasCode) -> ast.expr:
    sought = (constant(test.code.value), constant(test.system.value))
    return body.code.call(codings.has_code, body.value(test.operand), *sought)


def _has_listed_code(body: Body, test: nodes.HasListedCode) -> ast.expr:
    return body.code.call(codings.has_listed_code, body.value(test.operand), body.code.hold(test.listing))


def _listed(body: Body, test: nodes.Listed) -> ast.expr:
    value, listing = body.value(test.operand), body.code.hold(test.listing)
    if leaf_of(test.operand).type.kind == "complex":
        return body.code.call(codings.patient_listed, value, listing, _fact("today"), constant(test.system))
    return body.code.call(codings.listed, value, listing, _fact("today"))


def _breaks_glass(body: Body, test: nodes.BreaksGlass) -> ast.expr:
    del body, test
    return _fact("glass")


def _conforms(body: Body, test: nodes.Conforms) -> ast.expr:
    if test.judge is None:
        raise EvaluationError("a condition that was not checked")
    return body.code.call(test.judge, body.value(test.operand))


def _quantified(body: Body, test: nodes.Quantified) -> ast.expr:
    """A generator, which stops where the answer is known."""
    if not isinstance(body.reader, LoopReader):
        raise TypeError(test.span.text)  # the checker refuses loops where none can be read
    target, each, reader = body.reader.loop(leaf_of(test.path), test.variable.text, body.code)
    inner = replace(body, reader=reader)
    chosen = [] if test.where is None else [replace(inner, turns=False, absent=False).test(test.where)]
    looped = ast.comprehension(target, body.code.call(bounded, context(), each), chosen, 0)
    asked = ast.GeneratorExp(inner.test(test.test), [looped])
    return body.code.call(any if test.word == "any" else all, asked)


TESTS: Mapping[type, Callable[[Body, Any], ast.expr]] = {
    nodes.Chain: _chain,
    nodes.Not: _negation,
    nodes.Equal: _equal,
    nodes.Present: _present,
    nodes.Member: _member,
    nodes.Ordered: _ordered,
    nodes.Phrased: _phrased,
    nodes.Predicated: _predicated,
    nodes.Named: _named,
    nodes.Lacks: _lacks,
    nodes.Starts: _starts,
    nodes.Matches: _matches,
    nodes.Within: _within,
    nodes.HasAge: _has_age,
    nodes.HasCode: _has_code,
    nodes.HasListedCode: _has_listed_code,
    nodes.Listed: _listed,
    nodes.BreaksGlass: _breaks_glass,
    nodes.Conforms: _conforms,
    nodes.Quantified: _quantified,
}
