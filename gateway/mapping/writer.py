"""Python functions written line by line.

The lines hold names of our own and names of FHIR's elements alone: whatever an author wrote stands for itself as an
object under such a name, so that no author text is ever source.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class Whole:
    """What a function has put into the thing that it makes, as it is written.

    Shape: `slots` are the local variables of items that have a name in the maps, by their key; `put` the members by the
    key of what they stand in, empty for the thing itself; in a `loop` what was not put yet may be put the next time;
    `unsure` says that a value was put whose members are not known.
    """

    __slots__ = ("loop", "put", "slots", "unsure")

    def __init__(self) -> None:
        """Nothing is put yet."""
        self.slots: dict[str, str] = {}
        self.put: set[tuple[str, str]] = set()
        self.loop = False
        self.unsure = False

    def slot(self, key: str) -> str:
        """The variable of an item."""
        return self.slots.setdefault(key, f"s{len(self.slots)}")


class Writer:
    """The lines of one function, and the objects that they speak of.

    Shape: `whole` is what the function has put so far where it makes a thing of its own from the start, None where
    others lay something into it too.
    """

    def __init__(self) -> None:
        """Start inside the function."""
        self.lines: list[str] = []
        self.whole: Whole | None = None
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

    def later(self, make: Callable[[], Callable[..., Any]]) -> str:
        """The name of a function that is made when it is first called: most of what maps speak of is never sent."""
        name = f"l{len(self.names)}"
        names = self.names

        def first(*arguments: Any) -> Any:
            names[name] = made = make()
            return made(*arguments)

        names[name] = first
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
    def loop(self, head: str) -> Iterator[None]:
        """The same of a block that may be done several times."""
        whole = self.whole
        with self.block(head):
            before = whole is not None and whole.loop
            if whole is not None:
                whole.loop = True
            yield
            if whole is not None:
                whole.loop = before

    @contextmanager
    def elsewhere(self) -> Iterator[None]:
        """What is added meanwhile puts into another thing."""
        whole, self.whole = self.whole, None
        yield
        self.whole = whole

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
