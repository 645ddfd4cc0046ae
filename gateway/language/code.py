"""What generated functions are made of: constants, calls of held objects, and how readers turn leaves into both."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from gateway.language import nodes

ARGUMENT = "c"
"""The name of a compiled function's first argument, the context."""


class Reader(Protocol):
    """How leaves are read from the context."""

    def value(self, leaf: nodes.Leaf, code: Code) -> ast.expr:
        """Expression for the value: None where it is absent; of a `many` leaf, a tuple or list of its values."""

    def present(self, leaf: nodes.Leaf, code: Code) -> ast.expr | None:
        """Expression for whether there is any value; None where `value(...) is not None` says it."""


@runtime_checkable
class LoopReader(Reader, Protocol):
    """A reader that can go over what repeats."""

    def loop(self, leaf: nodes.Leaf, variable: str, code: Code) -> tuple[ast.expr, ast.expr, Reader]:
        """How to go over a leaf: what is assigned for each, what gives them, and how what is asked of each is read."""
        ...


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
