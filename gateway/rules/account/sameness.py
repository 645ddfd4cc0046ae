"""Whether two conditions mean the same, however they are written.

A condition is a proposition over its comparisons: brackets, order, names of conditions, sets and loop variables don't
count. Two that are called the same are; of two that are called different the answer may be too careful, never too bold.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import fields
from typing import Any, Literal

from gateway.language import nodes
from gateway.language.kinds import Type

Key = Hashable
Renamed = Mapping[str, str]

MOST_ATOMS = 12
"""Comparisons up to which conditions are told apart by asking for every outcome of each: 4,096 outcomes."""

Relation = Literal["same", "wider", "narrower", "other"]


def key(test: nodes.Test | None, renamed: Renamed | None = None) -> Key:
    """What tells conditions apart; `renamed` are names under which loop variables are known. None is always true."""
    if test is None:
        return True
    special = _KEYS.get(type(test))
    return special(test, renamed or {}) if special is not None else _plain(test, renamed or {})


def relation(old: nodes.Test | None, new: nodes.Test | None, renamed: Renamed | None = None) -> Relation:
    """What the new condition is to the old one: it holds of the same, of more, of less, or neither can be told."""
    if key(old, renamed) == key(new, renamed):
        return "same"
    atoms = sorted({*_atoms(old, renamed), *_atoms(new, renamed)}, key=repr)
    if len(atoms) > MOST_ATOMS:
        return "other"
    wider = narrower = True
    for outcomes in itertools.product((False, True), repeat=len(atoms)):
        given = dict(zip(atoms, outcomes, strict=True))
        before, after = _holds(old, given, renamed), _holds(new, given, renamed)
        wider = wider and (after or not before)
        narrower = narrower and (before or not after)
    if wider and narrower:
        return "same"
    if wider:
        return "wider"
    return "narrower" if narrower else "other"


def _atoms(test: nodes.Test | None, renamed: Renamed | None) -> Iterator[Key]:
    match test:
        case None:
            return
        case nodes.Chain() | nodes.Not() | nodes.Named():
            for part in nodes.parts(test):
                yield from _atoms(part, renamed)
        case _:
            yield from _options(test, renamed) or (key(test, renamed),)


def _options(test: nodes.Test, renamed: Renamed | None) -> tuple[Key, ...]:
    """Of `in` with literals, one comparison for each: so that a shorter list is known to hold of less."""
    if not isinstance(test, nodes.Member) or not all(isinstance(o, nodes.Literal) for o in test.options):
        return ()
    left = _of(test.left, renamed or {})
    return tuple(("Member", left, frozenset({_of(option, renamed or {})})) for option in test.options)


def _holds(test: nodes.Test | None, given: Mapping[Key, bool], renamed: Renamed | None) -> bool:
    match test:
        case None:
            return True
        case nodes.Chain(word="and"):
            return all(_holds(part, given, renamed) for part in test.parts)
        case nodes.Chain():
            return any(_holds(part, given, renamed) for part in test.parts)
        case nodes.Not():
            return not _holds(test.part, given, renamed)
        case nodes.Named(test=inner) if inner is not None:
            return _holds(inner, given, renamed)
        case _:
            return any(given[atom] for atom in _options(test, renamed) or (key(test, renamed),))


# --- keys ----------------------------------------------------------------------------------------------------------

# what says where or how a thing is written, not what it is
_UNSAID = frozenset({"span", "shown", "label", "listing", "judge", "departures"})
_VARIABLES = frozenset({"variable", "of"})


def _plain(node: Any, renamed: Renamed) -> Key:
    found = [(f.name, getattr(node, f.name)) for f in fields(node) if f.name not in _UNSAID]
    return (
        type(node).__name__,
        *(
            renamed.get(value, value) if name in _VARIABLES and isinstance(value, str) else _of(value, renamed)
            for name, value in found
            if not isinstance(value, Type)
        ),
    )


def _of(value: Any, renamed: Renamed) -> Key:
    match value:
        case nodes.Word():
            return value.text
        case nodes.Text():
            return value.value
        case nodes.Literal():
            return (value.type.kind, value.value)
        case tuple():
            return tuple(_of(one, renamed) for one in value)
        case _ if type(value) in nodes.TESTS:
            return key(value, renamed)
        case _ if hasattr(value, "__dataclass_fields__"):
            return _plain(value, renamed)
        case _:
            found: Key = value
            return found


def _chain(test: nodes.Chain, renamed: Renamed) -> Key:
    parts = frozenset(_flat(test, test.word, renamed))
    return next(iter(parts)) if len(parts) == 1 else (test.word, parts)


def _flat(test: nodes.Test, word: str, renamed: Renamed) -> Iterator[Key]:
    match test:
        case nodes.Chain(word=own) if own == word:
            for part in test.parts:
                yield from _flat(part, word, renamed)
        case nodes.Named(test=inner) if inner is not None:
            yield from _flat(inner, word, renamed)
        case _:
            yield key(test, renamed)


def _named(test: nodes.Named, renamed: Renamed) -> Key:
    return ("Named", test.word.text) if test.test is None else key(test.test, renamed)


def _member(test: nodes.Member, renamed: Renamed) -> Key:
    return ("Member", _of(test.left, renamed), frozenset(_of(option, renamed) for option in test.options))


def _equal(test: nodes.Equal, renamed: Renamed) -> Key:
    """One literal is a set of one: `is "E"` says what `in "E"` says."""
    if isinstance(test.right, nodes.Literal) and not test.negated:
        return ("Member", _of(test.left, renamed), frozenset({_of(test.right, renamed)}))
    return _plain(test, renamed)


def _quantified(test: nodes.Quantified, renamed: Renamed) -> Key:
    inner = {**renamed, test.variable.text: f"#{len(renamed)}"}
    return (test.word, _of(test.path, renamed), key(test.where, inner), key(test.test, inner))


_KEYS: Mapping[type, Callable[[Any, Renamed], Key]] = {
    nodes.Chain: _chain,
    nodes.Named: _named,
    nodes.Member: _member,
    nodes.Equal: _equal,
    nodes.Quantified: _quantified,
}
