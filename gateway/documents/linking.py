"""What of other types a search may bring along or lead to, from what the rules grant of each type.

Source: https://hl7.org/fhir/R4/search.html#include, #chaining, #has
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from gateway.documents.offer import ServedType, View
from gateway.rules.grants import hidden_by
from gateway.specs import FhirTables, SearchParameter

References = Mapping[str, Sequence[tuple[str, SearchParameter]]]
"""The reference parameters of each type, by their codes."""


@dataclass(frozen=True, slots=True)
class _Searched:
    """A type that may be searched: the views that let it be, each with the parameters that it takes."""

    served: ServedType
    views: tuple[tuple[View, frozenset[str]], ...]

    def by(self, *codes: str) -> bool:
        """Whether some view takes these parameters and no more."""
        wanted = set(codes)
        return any(
            wanted <= known and (not view.alternatives or any(wanted.issuperset(group) for group in view.alternatives))
            for view, known in self.views
        )


def linked(types: Sequence[ServedType], tables: FhirTables) -> tuple[ServedType, ...]:
    """The same types with what a search of each may bring along, and lead to."""
    searched = {served.name: _searched(served) for served in types if "search" in served.actions}
    readable, references = frozenset(served.name for served in types if "read" in served.actions), _references(tables)
    return tuple(_linked(served, searched, readable, references) for served in types)


def _searched(served: ServedType) -> _Searched:
    views = tuple(
        (view, frozenset(use.parameter.code for use in served.uses if view.id in {*use.asked, *use.allowed}))
        for view in served.views
        if "search" in view.actions
    )
    return _Searched(served, views)


def _linked(
    served: ServedType, searched: Mapping[str, _Searched], readable: frozenset[str], references: References
) -> ServedType:
    if served.name not in searched:
        return served
    forth = (
        code
        for code, parameter in references.get(served.name, ())
        if _leads(parameter, readable) and hidden_by(parameter, served.name, served.hidden) is None
    )
    back = (
        f"{name}:{code}"
        for name, one in searched.items()
        for code, parameter in references.get(name, ())
        if _leads(parameter, {served.name}) and one.by(code)
    )
    return replace(
        served,
        uses=tuple(replace(use, chains=tuple(_chains(use.parameter, searched))) for use in served.uses),
        includes=tuple(f"{served.name}:{code}" for code in sorted(forth)),
        revincludes=tuple(sorted(back)),
        has=tuple(_has(served.name, searched, references)),
    )


def _references(tables: FhirTables) -> References:
    found: dict[str, list[tuple[str, SearchParameter]]] = {}
    for (base, code), parameter in sorted(tables.search_parameters.items()):
        if parameter.type == "reference" and parameter.fhirpath:
            found.setdefault(base, []).append((code, parameter))
    return found


def _leads(parameter: SearchParameter, types: Collection[str]) -> bool:
    return not parameter.targets or not set(parameter.targets).isdisjoint(types)


def _chains(parameter: SearchParameter, searched: Mapping[str, _Searched]) -> Iterator[str]:
    """Chains of one step on a reference that say enough by themselves."""
    if parameter.type != "reference":
        return
    for name, one in sorted(searched.items()):
        if _leads(parameter, {name}):
            codes = (use.parameter.code for use in one.served.uses if one.by(use.parameter.code))
            yield from (f"{parameter.code}:{name}.{code}" for code in codes)


def _has(name: str, searched: Mapping[str, _Searched], references: References) -> Iterator[str]:
    """What may be asked of resources that refer to this type."""
    for other, one in sorted(searched.items()):
        for reference, parameter in references.get(other, ()):
            if _leads(parameter, {name}):
                codes = (use.parameter.code for use in one.served.uses if one.by(reference, use.parameter.code))
                yield from (f"_has:{other}:{reference}:{code}" for code in codes if code != reference)
