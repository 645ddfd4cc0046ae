"""Python functions written line by line.

The lines hold names of our own and names of FHIR's elements alone: whatever an author wrote stands for itself as an
object under such a name, so that no author text is ever source.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class Writer:
    """The lines of one function, and the objects that they speak of."""

    def __init__(self) -> None:
        """Start inside the function."""
        self.lines: list[str] = []
        self.names: dict[str, Any] = {}
        self._indent = 1
        self._count = 0
        self._held: dict[tuple[int, str], str] = {}

    def hold(self, thing: Any) -> str:
        """The name of an object."""
        known = (id(thing), type(thing).__name__)
        name = self._held.get(known)
        if name is None:
            name = self._held[known] = f"k{len(self._held)}"
            self.names[name] = thing
        return name

    def local(self) -> str:
        """A new name of a variable."""
        self._count += 1
        return f"v{self._count}"

    def line(self, text: str) -> None:
        """Add a line."""
        self.lines.append("    " * self._indent + text)

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        """Add a line that begins a block, and what is added meanwhile below it."""
        self.line(head)
        at = len(self.lines)
        self._indent += 1
        yield
        if len(self.lines) == at:
            self.line("pass")
        self._indent -= 1

    @contextmanager
    def when(self, test: str | None) -> Iterator[None]:
        """What is added meanwhile is done where a test holds; always where there is none."""
        if test is None:
            yield
            return
        with self.block(f"if {test}:"):
            yield

    def function(self, title: str, arguments: str) -> Callable[..., Any]:
        """The function. Shape: `title` shows in profiles and tracebacks; `facts` are the facts of its `run`."""
        body = "\n".join(self.lines or ["    return None"])
        facts = "    facts = run.facts\n" if "facts[" in body else ""
        text = f"def made({arguments}):\n{facts}{body}\n"
        exec(compile(text, f"<{title}>", "exec"), self.names)  # noqa: S102 - names of ours alone; see the module
        made: Callable[..., Any] = self.names["made"]
        made.__qualname__ = made.__name__ = title
        return made
