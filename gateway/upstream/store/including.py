"""What comes with the resources of a page: what they refer to, and what refers to them, as of the page's moment.

Source: https://hl7.org/fhir/R4/search.html#include
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from gateway.query import Include
from gateway.specs import SearchParameter
from gateway.upstream import wire
from gateway.upstream.store.conditions import URL, Index
from gateway.upstream.store.extraction import is_canonical, is_indexed, value_rows
from gateway.upstream.store.schema import GONE
from gateway.upstream.store.statements import Sql, all_of
from gateway.upstream.store.versions import Version

MOST = 1000
"""Most resources that come with a page."""
ROUNDS = 10
"""So often `:iterate` goes on from what came last."""
_ANY = "*"

_Name = tuple[str, str]


def included(index: Index, includes: Sequence[Include], found: Sequence[Version]) -> tuple[tuple[Version, ...], bool]:
    """What comes with the resources that were found, and whether that is all of it."""
    seen: set[_Name] = {(version.type, version.id) for version in found}
    more: list[Version] = []
    last = list(found)
    for turn in range(ROUNDS + 1):
        asked = [include for include in includes if turn == 0 or include.iterate]
        if not asked or not last:
            return tuple(more), True
        if turn == ROUNDS:
            break
        new: dict[_Name, Version] = {}
        for include in asked:
            for version in (_backwards if include.reverse else _forwards)(index, include, last):
                name = (version.type, version.id)
                if name not in seen and name not in new:
                    new[name] = version
        room = MOST - len(more)
        last = list(new.values())
        more += last[:room]
        seen |= new.keys()
        if len(last) > room:
            break
    return tuple(more), False


def _forwards(index: Index, include: Include, found: Sequence[Version]) -> list[Version]:
    """What the resources refer to."""
    names: dict[_Name, None] = {}
    urls: dict[_Name, None] = {}
    for version in found:
        if include.source not in {_ANY, version.type}:
            continue
        resource = wire.loads(version.body)
        for parameter in _references(index, version.type, include.name):
            for target, kind in sorted(value_rows(version.type, parameter.code, index.tables)(resource)):
                if (name := _own(index, target, kind)) is not None:
                    names[name] = None
                elif is_canonical(version.type, parameter.code, index.tables):
                    urls.update(((one, target), None) for one in parameter.targets)
    wanted = [name for name in names if include.target in {None, name[0]}]
    named = [(type_, url) for type_, url in urls if include.target in {None, type_}]
    return [*_standing(index, wanted), *_standing(index, _called(index, named))]


def _references(index: Index, type_: str, code: str) -> Iterable[SearchParameter]:
    """The reference parameters that an include names for a type."""
    for (base, name), parameter in index.tables.search_parameters.items():
        if base == type_ and parameter.type == "reference" and code in {_ANY, name} and is_indexed(parameter):
            yield parameter


def _own(index: Index, target: str, kind: str) -> _Name | None:
    """Type and id of a reference to this store."""
    if kind and not kind.startswith("|"):
        return kind, target
    own = f"{index.base}/"
    type_, slash, id_ = target.removeprefix(own).partition("/")
    return (type_, id_) if not kind and target.startswith(own) and slash and "/" not in id_ else None


def _called(index: Index, urls: Sequence[_Name]) -> list[_Name]:
    """Names of the resources that have canonical URLs. Shape: `urls` are types with URLs."""
    found: list[_Name] = []
    for type_ in dict.fromkeys(type_ for type_, _ in urls):
        if (type_, URL) in index.parameters:
            listed = json.dumps([url for one, url in urls if one == type_])
            rows = index.rows("uri", (type_, URL), [Sql("uri IN (SELECT value FROM json_each(?))", (listed,))]).sql()
            statement = f"SELECT id FROM resource WHERE key IN ({rows.text}) ORDER BY key"  # noqa: S608 - text of this package
            found += [(type_, row[0]) for row in index.connection.execute(statement, rows.values)]
    return found


def _standing(index: Index, names: Sequence[_Name]) -> list[Version]:
    """The versions of resources that stood at the moment; those that there weren't are left out."""
    if not names:
        return []
    wanted = Sql(
        "SELECT r.key FROM json_each(?) w CROSS JOIN resource r ON r.id = json_extract(w.value, '$[1]')"
        " AND r.type IN (json_extract(w.value, '$[0]'), ? || json_extract(w.value, '$[0]'))",
        (json.dumps(names[: MOST + 1]), GONE),
    )
    return _versions(index, wanted)


def _backwards(index: Index, include: Include, found: Sequence[Version]) -> list[Version]:
    """What refers to the resources."""
    ids: dict[str, list[str]] = {}
    for version in found:
        if include.target in {None, version.type}:
            ids.setdefault(version.type, []).append(version.id)
    more: list[Version] = []
    for type_, several in ids.items():
        numbers = [
            index.parameters[base, code]
            for (base, code), parameter in index.tables.search_parameters.items()
            if include.source in {_ANY, base}
            and parameter.type == "reference"
            and include.name in {_ANY, code}
            and is_indexed(parameter)
            and (not parameter.targets or type_ in parameter.targets)
        ]
        more += _referring(index, numbers, type_, several) if numbers else []
    return more


def _referring(index: Index, parameters: Sequence[int], type_: str, ids: Sequence[str]) -> list[Version]:
    marks = ",".join("?" * len(parameters))
    start = f'SELECT resource FROM "reference" WHERE parameter IN ({marks})'  # noqa: S608 - question marks
    absolute = [f"{index.base}/{type_}/{id_}" for id_ in ids]
    among = "target IN (SELECT value FROM json_each(?))"
    ways = [
        all_of((Sql(start, tuple(parameters)), Sql(among, (json.dumps(listed),)), Sql("kind = ?", (kind,)), index.at))
        for listed, kind in ((ids, type_), (absolute, ""))
    ]
    both = Sql(f"{ways[0].text} UNION {ways[1].text} ORDER BY resource LIMIT ?",
               (*ways[0].values, *ways[1].values, MOST + 1))  # fmt: skip
    return _versions(index, both)


def _versions(index: Index, keys: Sql) -> list[Version]:
    """Versions that stood at the moment, in the order of their keys."""
    statement = (
        f"WITH wanted(key) AS MATERIALIZED ({keys.text}) "  # noqa: S608 - text of this module, values bound
        "SELECT r.key, r.type, r.id, r.version, r.updated, r.body FROM resource r"
        f" WHERE r.key IN (SELECT key FROM wanted) AND r.since <= ? AND substr(r.type, 1, 1) <> '{GONE}' UNION ALL "
        f"SELECT r.key, ltrim(r.type, '{GONE}'), r.id, p.version, p.updated, p.body"
        " FROM resource r JOIN past p ON p.resource = r.key WHERE r.key IN (SELECT key FROM wanted)"
        " AND p.since <= ? AND p.until > ? AND p.body <> x'' ORDER BY 1"
    )
    values: tuple[Any, ...] = (*keys.values, index.moment, index.moment, index.moment)
    return [Version(*row[1:]) for row in index.connection.execute(statement, values)]
