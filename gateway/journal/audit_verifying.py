"""Whether the audit is as it was written: every row held to its chain, every chain to its anchors."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from gateway.journal.audit_anchors import Anchor
from gateway.journal.audit_chain import Keys, fits
from gateway.journal.audit_rows import Kept

Kind = Literal["changed", "removed", "inserted", "reordered", "truncated", "unknown key"]


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is not as it was written.

    Shape: `id` is that of the row, or of the one before the place where one is missing; None where all are.
    """

    kind: Kind
    id: int | None
    chain: str
    words: str


@dataclass(frozen=True, slots=True)
class Verified:
    """What came of it.

    Shape: `faults` in the order of their rows; `unchained` rows are from before there were chains.
    """

    rows: int
    unchained: int
    chains: int
    anchors: int
    faults: tuple[Fault, ...]


@dataclass(slots=True)
class _State:
    """How far one chain was followed.

    Shape: `id` and `mac` are those of its last row; `gaps` the first and last number that were left out, each with the
    id of the row before it.
    """

    last: int = 0
    id: int | None = None
    mac: bytes | None = None
    anchors: dict[int, str] = field(default_factory=dict)
    gaps: list[tuple[int, int, int | None]] = field(default_factory=list)

    def found(self, seq: int) -> bool:
        """Whether a number is one that was left out; it isn't any more then."""
        for place, (first, last, id_) in enumerate(self.gaps):
            if first <= seq <= last:
                parts = ((first, seq - 1, id_), (seq + 1, last, id_))
                self.gaps[place : place + 1] = [part for part in parts if part[0] <= part[1]]
                return True
        return False


class Verifier:
    """Takes the rows in the order in which they are stored, then says what is wrong with them."""

    def __init__(self, keys: Keys, anchors: Iterable[Anchor] = ()) -> None:
        """Take no row yet."""
        self._keys = keys
        self._chains: dict[str, _State] = {}
        self._faults: list[Fault] = []
        self._rows = self._unchained = self._anchors = 0
        for one in anchors:
            self._anchors += 1
            self._chains.setdefault(one.chain, _State()).anchors[one.seq] = one.mac

    def take(self, kept: Kept) -> None:
        """Hold one row to what came before it."""
        link = kept.link
        self._rows += 1
        if link is None:
            self._unchained += 1
            if any(state.last for state in self._chains.values()):
                self._say("inserted", kept.id, "", "it is in no chain, and rows before it are")
            return
        state = self._chains.setdefault(link.chain, _State())
        if link.seq <= state.last and state.found(link.seq):
            self._say("reordered", kept.id, link.chain, f"row {link.seq} stands behind row {state.last}")
            return
        if link.seq <= state.last:
            self._say("inserted", kept.id, link.chain, f"there is a row {link.seq} before it")
            return
        follows = link.seq == state.last + 1
        if not follows:
            state.gaps.append((state.last + 1, link.seq - 1, state.id))
        self._hold(kept, state, follows=follows)
        state.last, state.id, state.mac = link.seq, kept.id, link.mac

    def _hold(self, kept: Kept, state: _State, *, follows: bool) -> None:
        """Hold a row to its hash, as far as the row before it is there; and to its anchor."""
        link = kept.link
        if link is None:
            return
        anchored = state.anchors.get(link.seq)
        if anchored is not None and anchored != link.mac.hex():
            self._say("changed", kept.id, link.chain, f"row {link.seq} is not the one that an anchor names")
        elif link.key not in self._keys.secrets:
            self._say("unknown key", kept.id, link.chain, f"its key {link.key} is not here, so it can't be verified")
        elif follows and not fits(self._keys, link, state.mac, kept.values):
            words = f"row {link.seq} does not fit its hash behind row {link.seq - 1}: it was changed, or put there"
            self._say("changed", kept.id, link.chain, words)

    def verified(self) -> Verified:
        """What came of all rows."""
        for chain, state in self._chains.items():
            for first, last, id_ in state.gaps:
                which = f"row {first} of the chain is" if first == last else f"rows {first} to {last} of the chain are"
                self._say("removed", id_, chain, f"{which} missing")
            furthest = max(state.anchors, default=0)
            if furthest > state.last:
                there = f"its last row is {state.last}" if state.last else "none of it is there"
                self._say("truncated", state.id, chain, f"an anchor names row {furthest} of the chain, and {there}")
        faults = sorted(self._faults, key=lambda one: (one.id is None, one.id or 0))
        return Verified(self._rows, self._unchained, len(self._chains), self._anchors, tuple(faults))

    def _say(self, kind: Kind, id_: int | None, chain: str, words: str) -> None:
        self._faults.append(Fault(kind, id_, chain, words))
