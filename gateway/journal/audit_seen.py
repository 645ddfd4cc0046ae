"""Who saw a patient: the rows of the audit that are about one, by the keyed hashes that stand for it there."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from gateway.journal.audit import AuditRow
from gateway.journal.audit_rows import Kept

_HASH = re.compile(r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])")
ACCESSED = frozenset({"permit", "stored", "queued", "unknown"})
"""Outcomes that may have shown, stored or changed something; with all others nothing was."""


@dataclass(frozen=True, slots=True)
class Saw:
    """One access, or attempt at one. Shape: `id` is that of the row; `came_of_it` is false for an attempt."""

    id: int
    row: AuditRow
    came_of_it: bool


class Aliases:
    """Finds the hashes of the ids that a patient has beside its number, from rows that knew both."""

    def __init__(self, hashes: Iterable[str]) -> None:
        """Know the hashes of the names that are told."""
        self._told = frozenset(hashes)
        self.found = set(self._told)

    def take(self, kept: Kept) -> None:
        """Learn from one row."""
        self.found |= {patient for patient, number in kept.row.known if number in self._told}


class Seen:
    """Takes the rows in their order, and keeps those that are about a patient."""

    def __init__(self, hashes: Iterable[str], *, attempts: bool = False) -> None:
        """Keep nothing yet. Shape: with `attempts` those too that nothing came of."""
        self._hashes = frozenset(hashes)
        self._attempts = attempts
        self.rows: list[Saw] = []

    def take(self, kept: Kept) -> None:
        """Keep a row if it is about the patient."""
        row = kept.row
        # rows from before there were chains have the hashes in their words
        named = {*row.patients, *row.seen, *(() if kept.link else _HASH.findall(row.what))}
        if self._hashes.isdisjoint(named):
            return
        came_of_it = row.outcome in ACCESSED
        if came_of_it or self._attempts:
            self.rows.append(Saw(kept.id, row, came_of_it))
