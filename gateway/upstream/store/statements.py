"""Pieces of SQL with the values of their question marks, and how they are put together.

Nothing here knows a table but by the name `resource` that the columns of resources' numbers have.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

_EQUALITIES = re.compile(r"([a-z.]+ = \?(?: AND [a-z.]+ = \?)*)((?: AND [a-z.]+ <> '')*)")


@dataclass(frozen=True, slots=True)
class Sql:
    """A piece of SQL with the values of its question marks."""

    text: str
    values: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Rows:
    """Statements that together select resources by rows of an index table.

    Shape: each of `arms` ends in a condition; `fitting` are statements that they name `fitting0`, `fitting1` ...;
    `apart` are the same with an arm for each alternative, where each asks for equal values alone, so that its rows of
    `table` stand in the order of their resources.
    """

    arms: tuple[Sql, ...]
    fitting: tuple[Sql, ...] = ()
    apart: tuple[Sql, ...] = ()
    table: str = ""

    def sql(self, also: Sql | None = None) -> Sql:
        """One statement. Shape: `also` is a condition that its rows meet besides."""
        arms = self.arms if also is None else tuple(all_of((arm, also)) for arm in self.arms)
        return self._statement(" UNION ALL ".join(arm.text for arm in arms), arms)

    def portion(self, count: int, offset: int, also: Sequence[Rows] = ()) -> Sql:
        """A statement for some of the resources, each once, in the order of their numbers.

        Shape: `also` are others of which each names the resource too; all have `apart`.
        No more rows of `apart` are read than are wanted, or than are in vain among the others.
        """
        among = [one.naming(f'"{self.table}".resource') for one in also]
        arms = tuple(all_of((arm, *among)) for arm in self.apart or self.arms)
        several = " UNION ".join(arm.text for arm in arms)
        each_once = several if len(arms) > 1 else f"SELECT DISTINCT resource FROM ({several})"  # noqa: S608 - text of this package
        return self._statement(f"{each_once} ORDER BY 1 LIMIT ? OFFSET ?", (*arms, Sql("", (count, offset))))

    def naming(self, resource: str) -> Sql:
        """The condition that some row of `apart` is of a resource, looked up for that one alone."""
        found = [f"EXISTS (SELECT 1 FROM ({arm.text}) x WHERE x.resource = {resource})" for arm in self.apart]  # noqa: S608 - same
        return Sql(" OR ".join(found), tuple(value for arm in self.apart for value in arm.values))

    def _statement(self, text: str, arms: Sequence[Sql]) -> Sql:
        named = ", ".join(f"fitting{n} AS MATERIALIZED ({one.text})" for n, one in enumerate(self.fitting))
        values = tuple(value for one in (*self.fitting, *arms) for value in one.values)
        return Sql(f"WITH {named} {text}" if named else text, values)


def all_of(pieces: Iterable[Sql]) -> Sql:
    """Every piece holds; the first may be the beginning of a statement that ends in a condition."""
    found = tuple(pieces)
    text = " AND ".join(piece.text if number == 0 else f"({piece.text})" for number, piece in enumerate(found))
    return Sql(text or "TRUE", tuple(value for piece in found for value in piece.values))


def any_of(pieces: Iterable[Sql]) -> Sql:
    """Some piece holds."""
    return either(listed(pieces))


def listed(pieces: Iterable[Sql]) -> tuple[Sql, ...]:
    """The same pieces, but equalities of the same columns as one look-up of a list."""
    alike: dict[str, list[tuple[Any, ...]]] = {}
    for piece in pieces:
        alike.setdefault(piece.text, []).append(piece.values)
    found: list[Sql] = []
    for text, several in alike.items():
        equal = _EQUALITIES.fullmatch(text)
        if len(several) > 1 and equal is not None:
            found.append(_list(equal[1], equal[2], several))
        else:
            found += [Sql(text, values) for values in several]
    return tuple(found)


def _list(equalities: str, rest: str, several: Sequence[tuple[Any, ...]]) -> Sql:
    columns = [part.removesuffix(" = ?") for part in equalities.split(" AND ")]
    # as JSON a list is one value, of which there may not be too many; and SQLite goes by no index of several columns
    # where these are in a list of VALUES
    members = ", ".join(f"json_extract(value, '$[{place}]')" for place in range(len(columns)))
    among = f"({', '.join(columns)}) IN (SELECT {members} FROM json_each(?))"  # noqa: S608 - text of this package
    return Sql(f"{among}{rest}", (json.dumps(several),))


def either(pieces: Sequence[Sql]) -> Sql:
    """Some piece holds, in a tree as deep as it must be: SQLite takes 1,000 levels."""
    if len(pieces) == 1:
        return Sql(f"({pieces[0].text})", pieces[0].values)
    middle = len(pieces) // 2
    one, other = either(pieces[:middle]), either(pieces[middle:])
    return Sql(f"({one.text} OR {other.text})", (*one.values, *other.values))
