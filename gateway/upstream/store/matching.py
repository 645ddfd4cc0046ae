"""Criteria of a search as one statement for the versions that fit, criteria on other resources among them.

Source: https://hl7.org/fhir/R4/search.html#chaining, #has, #modifiers
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.query import Chain, Clause, CompositeValue, Criterion, MissingValue, Reverse, StringValue, full_name
from gateway.upstream import wire
from gateway.upstream.store.conditions import ARMS, COLUMNS, URL, Index, of_composite, of_value
from gateway.upstream.store.extraction import has_modified, is_canonical, stands_together, texts, value_rows
from gateway.upstream.store.refusal import Refusal
from gateway.upstream.store.schema import GONE
from gateway.upstream.store.statements import Rows, Sql, all_of, any_of
from gateway.upstream.store.values import fold, without_punctuation

FEW = 200
"""So many resources are looked into sooner than all values of a parameter are walked through."""


@dataclass(frozen=True, slots=True)
class Condition:
    """What a criterion asks of a resource: index rows that each has, or a condition on its row `r`.

    Shape: `by_id` says that the condition names those that fit by their ids.
    """

    rows: tuple[Rows, ...] = ()
    sql: Sql | None = None
    by_id: bool = False


def matches(index: Index, type_: str, criteria: Iterable[Criterion]) -> Sql:
    """A statement for all versions that stood at the moment and fit.

    Shape: key, id, version, updated, and whether the version has been replaced since (1).
    Errors: Refusal.
    """
    found = [_condition(index, type_, criterion) for criterion in criteria]
    rows = [one for condition in found for one in condition.rows]
    conditions = [*_together(index, rows), *(condition.sql for condition in found if condition.sql is not None)]
    columns = "SELECT r.key, r.id, r.version, r.updated"
    if not index.past:
        # a plus keeps SQLite from walking through all resources of the type where an index names a few
        of_type = "+r.type" if rows and not any(condition.by_id for condition in found) else "r.type"
        return all_of((Sql(f"{columns}, 0 AS old FROM resource r WHERE {of_type} = ?", (type_,)), *conditions))
    still = Sql(f"{columns}, 0 AS old FROM resource r WHERE r.type = ? AND r.since <= ?", (type_, index.moment))
    before = (
        f"SELECT c.key, ltrim(c.type, '{GONE}') AS type, c.id, p.version, p.updated, p.body"  # noqa: S608 - a constant
        " FROM past p JOIN resource c ON c.key = p.resource WHERE p.until > ? AND p.since <= ? AND p.body <> x''"
    )
    replaced = Sql(f"{columns}, 1 AS old FROM ({before}) r WHERE r.type = ?", (index.moment, index.moment, type_))
    one, other = all_of((still, *conditions)), all_of((replaced, *conditions))
    return Sql(f"{one.text} UNION ALL {other.text}", (*one.values, *other.values))


def in_order(index: Index, type_: str, criteria: Sequence[Criterion], count: int, offset: int) -> Sql | None:
    """A statement for the same as `matches`, some of it in the order of the keys, where the index has it in that order.

    Shape: None where it has not: criteria that are no equal values, one that few meet, a moment that has passed.
    """
    if index.past or not criteria or any(isinstance(criterion, Reverse) for criterion in criteria):
        return None
    conditions = [_condition(index, type_, criterion) for criterion in criteria]
    rows = [one for condition in conditions for one in condition.rows]
    if len(rows) != len(conditions) or any(condition.sql is not None for condition in conditions):
        return None
    if len(rows) > 1 and not all(one.apart and _few_keys(index, one) is None for one in rows):
        return None
    wanted = rows[0].portion(count, offset, rows[1:])
    statement = (
        f"WITH wanted(key) AS MATERIALIZED ({wanted.text}) SELECT r.key, r.id, r.version, r.updated, 0 AS old"  # noqa: S608 - text of this package
        " FROM wanted CROSS JOIN resource r ON r.key = wanted.key ORDER BY 1"
    )
    return Sql(statement, wanted.values)


def _together(index: Index, rows: Sequence[Rows]) -> list[Sql]:
    """Conditions on the row `r` that it is among all of these; where one names few, the others are asked about them."""
    if len(rows) < 2:  # noqa: PLR2004 - there is nothing to put together
        return [_among(one.sql()) for one in rows]
    named = [(one, found) for one in rows if (found := _few_keys(index, one)) is not None]
    if not named:
        first, *more = sorted(rows, key=lambda one: len(one.arms))  # what each arm asks for is found for each anew
        also = [Sql(f"resource IN ({found.text})", found.values) for found in (one.sql() for one in more)]
        return [_among(first.sql(all_of(also)))]
    driving, keys = min(named, key=lambda pair: len(pair[1]))
    few_ = Sql("resource IN (SELECT value FROM json_each(?))", (json.dumps(keys),))
    others = [_among(one.sql(few_)) for one in rows if one is not driving]
    return [Sql("r.key IN (SELECT value FROM json_each(?))", (json.dumps(keys),)), *others]


def _few_keys(index: Index, rows: Rows) -> list[int] | None:
    """The resources that rows name; None where they are many."""
    found = rows.sql()
    statement = f"SELECT * FROM ({found.text}) LIMIT ?"  # noqa: S608 - text of this package
    keys = [row[0] for row in index.connection.execute(statement, (*found.values, FEW + 1))]
    return None if len(keys) > FEW else sorted(set(keys))


def _among(found: Sql) -> Sql:
    return Sql(f"r.key IN ({found.text})", found.values)


def body_of(index: Index, key: int, version: int, old: int) -> bytes:
    """Text of a version that `matches` found."""
    execute, row = index.connection.execute, (key, version)
    if old:
        found = execute("SELECT body FROM past WHERE resource = ? AND version = ?", row)
    else:
        found = execute("SELECT body FROM resource WHERE key = ?", row[:1])
    body: bytes = found.fetchone()[0]
    return body


def few(index: Index, found: Sql) -> list[tuple[tuple[Any, ...], Mapping[str, Any]]] | None:
    """What a statement of `matches` finds, in the order of the keys, with the resources; None where these are many."""
    window = Sql(f"SELECT * FROM ({found.text}) LIMIT ?", (*found.values, FEW + 1))  # noqa: S608 - text of this package
    rows = index.connection.execute(window.text, window.values).fetchall()
    if len(rows) > FEW:
        return None
    return [(row, wire.loads(body_of(index, row[0], row[2], row[4]))) for row in sorted(rows)]


def _condition(index: Index, type_: str, criterion: Criterion) -> Condition:
    match criterion:
        case Chain():
            return _chain(index, type_, criterion)
        case Reverse():
            return _reverse(index, type_, criterion)
        case _:
            return _clause(index, type_, criterion)


def _clause(index: Index, type_: str, clause: Clause) -> Condition:
    if clause.name in COLUMNS:
        return _column(index, clause)
    if clause.parameter.type == "composite":
        return _composite(index, type_, clause)
    place = (type_, clause.name)
    match clause.modifier:
        case "missing":
            rows = index.rows(clause.parameter.type, place)
            wanted = {value.missing for value in clause.values if isinstance(value, MissingValue)}
            return Condition() if len(wanted) > 1 else _within(rows, wrong=True in wanted)
        case "text":
            return Condition(sql=_texts(index, type_, clause))
        case "of-type" | "identifier" as modifier:
            if not has_modified(type_, clause.parameter, modifier, index.tables):
                raise _refused(clause)
            alternatives = [one for value in clause.values for one in of_value(index, place, value, None)]
            return _within(index.rows("token", (type_, f"{clause.name}:{modifier}"), alternatives), wrong=False)
        case modifier:
            apart = len(clause.values) <= ARMS
            alternatives = [
                one for value in clause.values for one in of_value(index, place, value, modifier, apart=apart)
            ]
            return _within(index.rows(clause.parameter.type, place, alternatives), wrong=modifier == "not")


def _composite(index: Index, type_: str, clause: Clause) -> Condition:
    together = stands_together(type_, clause.parameter, index.tables)
    values = [value for value in clause.values if isinstance(value, CompositeValue)]
    found = [of_composite(index, type_, value, together) for value in values]
    if len(found) == 1:
        return Condition(found[0])
    return Condition(sql=any_of(all_of(_among(rows.sql()) for rows in several) for several in found))


def _within(rows: Rows, *, wrong: bool) -> Condition:
    """The resources of some rows, or where that is `wrong` all others."""
    if not wrong:
        return Condition((rows,))
    found = rows.sql()
    return Condition(sql=Sql(f"r.key NOT IN ({found.text})", found.values))


def _column(index: Index, clause: Clause) -> Condition:
    if clause.modifier == "missing":  # every resource has both
        there = any(isinstance(value, MissingValue) and not value.missing for value in clause.values)
        return Condition(sql=Sql("TRUE" if there else "FALSE"))
    if clause.modifier not in {None, "not"}:
        raise _refused(clause)
    found = any_of(COLUMNS[clause.name](index, value) for value in clause.values)
    if clause.modifier:
        return Condition(sql=Sql(f"NOT {found.text}", found.values))
    return Condition(sql=found, by_id=clause.name == "_id")


def _texts(index: Index, type_: str, clause: Clause) -> Sql:
    """`:text`, which every code would need rows of its own for, looks into the bodies of what else fits."""
    read = texts(type_, clause.name, index.tables)
    if read is None:
        raise _refused(clause)
    folded = tuple(fold(value.text) for value in clause.values if isinstance(value, StringValue))
    wanted = (*folded, *map(without_punctuation, folded))

    def fits(body: bytes) -> bool:
        texts_of = map(fold, read(wire.loads(body)))
        return any(text.startswith(wanted) or without_punctuation(text).startswith(wanted) for text in texts_of)

    return index.checked(fits)


def _refused(clause: Clause) -> Refusal:
    shown = full_name(clause)
    words = f"{shown} is not offered by the store: no value of {clause.name} is of a kind that {clause.modifier} is for"
    return Refusal(400, "not-supported", words, shown)


def _chain(index: Index, type_: str, chain: Chain) -> Condition:
    """A reference to what fits: relative, absolute with the store's own address, or by a canonical URL."""
    arms: list[Sql] = []
    canonical = is_canonical(type_, chain.name, index.tables)
    for number, (target, _) in enumerate(chain.targets):
        fitting, own = f"fitting{number}", f"{index.base}/{target}/"
        pointing = [
            Sql(f"kind = ? AND target IN (SELECT id FROM {fitting})", (target,)),  # noqa: S608 - a name made here
            Sql(f"kind = '' AND target IN (SELECT ? || id FROM {fitting})", (own,)),  # noqa: S608 - same
        ]
        if canonical and (target, URL) in index.parameters:
            among = Sql(f"resource IN (SELECT key FROM {fitting})")  # noqa: S608 - same
            named = index.rows("uri", (target, URL), [among], select="uri").sql()
            pointing.append(Sql(f"target IN ({named.text})", named.values))
        for one in pointing:
            arms += index.rows("reference", (type_, chain.name), [one]).arms
    return Condition((Rows(tuple(arms), tuple(matches(index, one, (inner,)) for one, inner in chain.targets)),))


def _reverse(index: Index, type_: str, reverse: Reverse) -> Condition:
    """What some fitting resource refers to: read from these where they are few."""
    found = matches(index, reverse.type, (reverse.criterion,))
    canonical = is_canonical(reverse.type, reverse.name, index.tables) and (type_, URL) in index.parameters
    own = f"{index.base}/{type_}/"
    if (known := few(index, found)) is not None:
        read = value_rows(reverse.type, reverse.name, index.tables)
        rows = {(row[0], row[1]) for _, resource in known for row in read(resource)}
        ids = [t if kind else t[len(own) :] for t, kind in rows if kind == type_ or (not kind and t.startswith(own))]
        condition = Sql("r.id IN (SELECT value FROM json_each(?))", (json.dumps(ids),))
        urls = [target for target, kind in rows if not kind or kind.startswith("|")]
        called = Sql("uri IN (SELECT value FROM json_each(?))", (json.dumps(urls),))
    else:
        among, place = Sql("resource IN (SELECT key FROM fitting0)"), (reverse.type, reverse.name)

        def pointing(way: Sql, select: str) -> tuple[Sql, ...]:
            return index.rows("reference", place, [all_of((way, among))], select=select).arms

        begins = Sql("kind = '' AND substr(target, 1, ?) = ?", (len(own), own))
        ways = (*pointing(Sql("kind = ?", (type_,)), "target"), *pointing(begins, f"substr(target, {len(own) + 1})"))
        way = Rows(ways, (found,)).sql()
        condition = Sql(f"r.id IN ({way.text})", way.values)
        way = Rows(pointing(Sql("(kind = '' OR kind >= '|' AND kind < '}')"), "target"), (found,)).sql()
        called = Sql(f"uri IN ({way.text})", way.values)
    if not canonical:
        return Condition(sql=condition, by_id=True)
    return Condition(sql=any_of((condition, _among(index.rows("uri", (type_, URL), [called]).sql()))))
