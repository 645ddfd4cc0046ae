"""Overlays: maps that are laid over others, and replace or add rows by name.

A row's name is what it reads and what it fills, `PID-8 -> gender`; that of a `set` is what it fills. The rows of a name
replace all of that name, where the first of them stood. Rows of a new name stand before the others, because the first
that fills an element wins; those of messages stand behind, because they add to what was made.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from gateway.language.nodes import Word
from gateway.mapping import messages
from gateway.mapping.nodes import (
    Group,
    Map,
    MessageMap,
    MessagesWith,
    Overlay,
    Remove,
    Row,
    Set,
    Statement,
    Step,
    Target,
)
from gateway.source import Diagnostic, nearest

R = TypeVar("R", bound=Row | Set)


@dataclass(frozen=True, slots=True)
class Laid:
    """What maps are with an overlay over them. Shape: `zone` is the overlay's, None where it names none."""

    statements: tuple[Statement, ...]
    zone: str | None
    diagnostics: tuple[Diagnostic, ...]


def misplaced(statements: Iterable[Statement]) -> Iterator[Diagnostic]:
    """What only an overlay may say, in maps that are none."""
    for statement in statements:
        if isinstance(statement, Overlay):
            yield messages.OVERLAY_ALONE.at(statement.span, word="overlay")
        elif isinstance(statement, MessagesWith):
            yield messages.OVERLAY_ALONE.at(statement.span, word="messages with")
        else:
            yield from (messages.OVERLAY_ALONE.at(one.span, word="remove") for one in statement.removes)


def laid(base: Sequence[Statement], over: Sequence[Statement]) -> Laid:
    """The maps of an overlay laid over others.

    Errors: diagnostics for what has nothing to be laid over, and for a zone that there is not.
    """
    wrong: list[Diagnostic] = []
    maps = {one.key: one for one in over if isinstance(one, Map)}
    structures = {one.structure.text: one for one in over if isinstance(one, MessageMap)}
    made: list[Statement] = []
    for one in base:
        if isinstance(one, Map) and one.key in maps:
            made.append(_map(one, maps.pop(one.key), wrong))
        elif isinstance(one, MessageMap) and one.structure.text in structures:
            made.append(_message(one, structures.pop(one.structure.text), wrong))
        else:
            made.append(one)
    left: tuple[Map | MessageMap, ...] = (*maps.values(), *structures.values())
    for new in left:
        wrong.extend(_nothing(new.removes, new.title if isinstance(new, Map) else new.structure.text, ()))
        made.append(new)
    for beside in over:
        if isinstance(beside, MessagesWith):
            made = _beside(made, beside, wrong)
    zones = [one.zone for one in over if isinstance(one, Overlay) and one.zone is not None]
    wrong.extend(messages.NO_ZONE.at(zone.span, word=zone.value) for zone in zones if not _is_zone(zone.value))
    return Laid(tuple(made), zones[0].value if zones else None, tuple(wrong))


def named(folder: str, statements: Sequence[Statement]) -> Iterator[Diagnostic]:
    """Whether the maps of an overlay's folder say once what it is, under the folder's name."""
    own = [one for one in statements if isinstance(one, Overlay)]
    for one in own[:1]:
        if one.name.text != folder:
            yield messages.WRONG_FOLDER.at(one.name.span, word=one.name.text, folder=folder)
    for one in own[1:]:
        yield messages.TWICE.at(one.name.span, word=one.name.text, place=own[0].name.span)
    if not own and statements:
        yield messages.NAMELESS.at(statements[0].span, word=folder)


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


# --- data types and segments ---------------------------------------------------------------------------------------


def _map(base: Map, over: Map, wrong: list[Diagnostic]) -> Map:
    """A map with another over it: its identities and displays, where it has any, are all that count."""
    wrong.extend(_nothing(over.removes, base.title, [_target(row) for row in base.rows]))
    kept = [row for row in base.rows if not _removed(_target(row), over.removes)]
    return replace(
        base,
        reads=(*base.reads, *(word for word in over.reads if word.text not in {w.text for w in base.reads})),
        identities=over.identities or base.identities,
        displays=over.displays or base.displays,
        rows=_rows(kept, over.rows, _name, first=True),
        ignores=(*base.ignores, *over.ignores),
    )


def _target(row: Row | Set) -> Target:
    return row.target if isinstance(row, Row) else row.assign.target


def _name(row: Row | Set) -> Hashable:
    return ("set" if isinstance(row, Set) else row.source.text, _target(row).steps)


def _rows(base: Sequence[R], over: Sequence[R], name: Callable[[R], Hashable], *, first: bool) -> tuple[R, ...]:
    """Rows with others over them, each where the first of its name stood; new ones before the others, or behind."""
    named: dict[Hashable, list[R]] = {}
    for row in over:
        named.setdefault(name(row), []).append(row)
    known = {name(row) for row in base}
    new = [row for row in over if name(row) not in known]
    standing: list[R] = []
    for row in base:
        if name(row) in named:
            standing.extend(named.pop(name(row)))
        elif name(row) not in {name(each) for each in over}:
            standing.append(row)
    return (*new, *standing) if first else (*standing, *new)


# --- what is taken out ---------------------------------------------------------------------------------------------


def _removed(target: Target, removes: Iterable[Remove]) -> bool:
    return any(_below(target.steps, out.steps) for remove in removes for out in remove.targets)


def _below(steps: Sequence[Step], above: Sequence[Step]) -> bool:
    """Whether a path is another, or below it; an item that the other doesn't name is any."""
    return len(steps) >= len(above) and all(
        one.name == other.name and other.item in {None, one.item} for one, other in zip(steps, above, strict=False)
    )


def _nothing(removes: Iterable[Remove], title: str, targets: Sequence[Target]) -> Iterator[Diagnostic]:
    """What is to be taken out and is not there."""
    for remove in removes:
        for out in remove.targets:
            if not any(_below(target.steps, out.steps) for target in targets):
                near = nearest(out.span.text, [target.span.text for target in targets])
                hint = f"did you mean `{near}`?" if near else None
                yield messages.NOT_THERE.at(out.span, hint, word=out.span.text, map=title)


# --- messages ------------------------------------------------------------------------------------------------------


def _message(base: MessageMap, over: MessageMap, wrong: list[Diagnostic]) -> MessageMap:
    """A message's map with another over it: rows by group and name; a group that is new stands behind the others."""
    wrong.extend(_nothing(over.removes, base.structure.text, [row.target for row in base.every_row()]))
    triggers = {word.text for word in base.triggers}
    above = {group.path.text: group for group in over.groups}
    groups: list[Group] = []
    for group in base.groups:
        other = above.pop(group.path.text, None)
        groups.append(replace(group, rows=_kept(group.rows, other.rows if other else (), over.removes)))
    return replace(
        base,
        triggers=(*base.triggers, *(word for word in over.triggers if word.text not in triggers)),
        requires=over.requires or base.requires,
        rows=_kept(base.rows, over.rows, over.removes),
        last=_kept(base.last, over.last, over.removes),
        groups=(*groups, *above.values()),
        ignores=(*base.ignores, *over.ignores),
    )


def _kept(base: Sequence[Row], over: Sequence[Row], removes: Sequence[Remove]) -> tuple[Row, ...]:
    return _rows([row for row in base if not _removed(row.target, removes)], over, _message_name, first=False)


def _message_name(row: Row) -> Hashable:
    after, refers = (word.text if word is not None else None for word in (row.after, row.refers))
    return (row.source.text, after, row.target.steps, refers)


def _beside(statements: Sequence[Statement], beside: MessagesWith, wrong: list[Diagnostic]) -> list[Statement]:
    """Maps with rows added where the segment stands, in each message that makes what they speak of."""
    used: set[int] = set()
    made: list[Statement] = []
    for one in statements:
        if not isinstance(one, MessageMap) or all(r.source.text != beside.segment.text for r in one.every_row()):
            made.append(one)
            continue
        rows = tuple(row for row in beside.rows if _fits(row, one))
        used.update(map(id, rows))
        made.append(_with(one, beside, rows))
    wrong.extend(
        messages.NEVER_LAID.at(row.span, segment=beside.segment.text, word=row.target.steps[0].name)
        for row in beside.rows
        if id(row) not in used
    )
    return made


def _fits(row: Row, made: MessageMap) -> bool:
    """Whether a message makes the resource that a row adds to, and those that it refers to."""
    names = {each.target.steps[0].name for each in made.every_row()}
    assigned = (assign.value for assign in (*row.presets, *row.defaults) if isinstance(assign.value, Word))
    own = {word.text for word in assigned if word.text.isidentifier()}
    return {row.target.steps[0].name, *own, *([row.refers.text] if row.refers is not None else ())} <= names


def _with(made: MessageMap, beside: MessagesWith, rows: tuple[Row, ...]) -> MessageMap:
    def stands(each: Sequence[Row]) -> bool:
        return any(row.source.text == beside.segment.text for row in each)

    def laid_into(each: tuple[Row, ...]) -> tuple[Row, ...]:
        return _rows(each, rows, _message_name, first=False) if stands(each) else each

    groups = tuple(replace(group, rows=laid_into(group.rows)) for group in made.groups)
    return replace(made, rows=laid_into(made.rows), groups=groups, ignores=(*made.ignores, *beside.ignores))


def coded_by(made: Map | MessageMap) -> frozenset[str]:
    """The code maps that a map names."""
    found: list[Word | None] = []
    for row in made.rows if isinstance(made, Map) else made.every_row():
        if isinstance(row, Set):
            found.append(row.assign.coded)
        else:
            found += [row.coded, *(assign.coded for assign in (*row.presets, *row.defaults))]
    return frozenset(word.text for word in found if word is not None)
