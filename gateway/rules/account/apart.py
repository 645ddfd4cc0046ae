"""A search as the searches that the rules judge one by one: itself, and those that its chains and `_has` lead to.

Source: `facade.md` of the design, "Query parsing"; the gateway plans it so in `interactions/chains.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from urllib.parse import quote

from gateway import query
from gateway.query import Criterion, Query, Reverse
from gateway.specs import FhirTables

ANY_ID = "0"
"""Stands for the ids that a link leads to, which only the record knows."""


@dataclass(frozen=True, slots=True)
class Apart:
    """One of the searches.

    Shape: `name` shows it as it is asked; `by` are the links that lead to it, empty for the search itself; `named` is
    the same with an `_id`, as which `_has` is asked too, None where there is no `_has`.
    """

    name: str
    asked: Query
    by: str = ""
    named: Query | None = None


def apart(asked: Query, tables: FhirTables, by: str = "") -> Iterator[Apart]:
    """The searches of which each has to be permitted; of the types that a chain may lead to one is enough."""
    bare = replace(asked, links=(), includes=())
    backwards = [link for link in asked.links if isinstance(link, Reverse)]
    for link in asked.links:
        if not isinstance(link, Reverse):
            bare = query.narrow(bare, link.name, (f"{link.targets[0][0]}/{ANY_ID}",), tables)
    named = query.narrow(bare, "_id", (ANY_ID,), tables) if backwards else None
    yield Apart(_shown(bare), bare, by, named)
    for link in asked.links:
        name = " by ".join(filter(None, (query.full_name(link), by)))
        if isinstance(link, Reverse):
            inner = query.narrow(_search(link.type, link.criterion), link.name, (f"{asked.type}/{ANY_ID}",), tables)
            yield from apart(inner, tables, name)
        else:
            for kind, criterion in link.targets:
                yield from apart(_search(kind, criterion), tables, name)


def _search(kind: str, criterion: Criterion) -> Query:
    if isinstance(criterion, query.Clause):
        return Query(kind, (criterion,))
    return Query(kind, (), links=(criterion,))


def _shown(asked: Query) -> str:
    pairs = "&".join(f"{name}={quote(value, safe='/:,|')}" for name, value in query.render(asked))
    return f"{asked.type}?{pairs}"
