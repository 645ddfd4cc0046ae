"""Reading the audit row by row, on either storage.

The whole of it may be long, so it comes in pages; all of a reading is as of one moment.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from gateway.journal.audit import AuditRow, restored
from gateway.journal.audit_chain import Link, Values
from gateway.journal.steps import Statement, Steps

T = TypeVar("T")
PAGE = 2000
_COLUMNS = """id, chain, seq, "key", mac, instant, at, principal, "user", purpose, action, what, rules, outcome, digest,
    detail"""
_PAGE = f"SELECT {_COLUMNS} FROM audit WHERE id > ? ORDER BY id LIMIT {PAGE}"  # noqa: S608 - no value is in it
_SINCE = f"""SELECT {_COLUMNS} FROM audit WHERE id > ? AND instant >= ? AND instant < ?
    ORDER BY id LIMIT {PAGE}"""  # noqa: S608 - no value is in it
_HEAD = 'SELECT chain, seq, "key", mac FROM audit WHERE chain = ? ORDER BY seq DESC LIMIT 1'
_LAST = 'SELECT chain, seq, "key", mac FROM audit ORDER BY id DESC LIMIT 1'
FOREVER = 1 << 62


@dataclass(frozen=True, slots=True)
class Kept:
    """A row as it is stored. Shape: `link` is None for a row from before there were chains; `values` as chained."""

    id: int
    link: Link | None
    values: Values

    @property
    def row(self) -> AuditRow:
        """What it says. Errors: ValueError, TypeError for what no gateway wrote."""
        return restored(self.values[1:])  # type: ignore[arg-type]  # the columns have these types in both storages


def each(take: Callable[[Kept], None], since: int | None = None, until: int = FOREVER) -> Steps[None]:
    """Hand over every row, in the order in which they were stored.

    Units: `since` and `until` as `instant`; without `since` from the beginning.
    """
    last = 0
    while True:
        asked = Statement(_PAGE, (last,)) if since is None else Statement(_SINCE, (last, since, until))
        rows = yield asked
        for id_, chain, seq, key, mac, *values in rows:
            take(Kept(id_, None if chain is None else Link(chain, seq, key, bytes(mac)), tuple(values)))
            last = id_
        if len(rows) < PAGE:
            return


def head(chain: str, *, shared: bool) -> Steps[Link | None]:
    """The last row of a chain; None where it has none.

    Shape: where no others write to the journal (`shared`) it is the last of all, which no index is needed for.
    """
    rows = yield Statement(_HEAD, (chain,)) if shared else Statement(_LAST)
    if not rows or rows[0][0] != chain:
        return None
    name, seq, key, mac = rows[0]
    return Link(name, seq, key, bytes(mac))
