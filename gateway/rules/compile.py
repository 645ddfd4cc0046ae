"""Declared permits, forbids, masks and checks `on result` to functions."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from gateway.language.compile import Absent, Code, attribute, compile_test, compile_value, constant, context
from gateway.language.nodes import Chain, Element, Equal, Fact, Literal, Member, Named, Test
from gateway.rules.declared import Agreement, Because, Check, Forbid, Mask, Permit
from gateway.rules.facts import Facts
from gateway.rules.grants import hidden_by, searched, usable
from gateway.rules.ground import Vocabulary
from gateway.rules.reading import READER, RESOURCE
from gateway.rules.stored import Asked, Each, Later, Narrow, Shown, Values, each_of, shown, split
from gateway.rules.telling import Teller, teller

AskedOf = Callable[[Facts, Any], bool]


@dataclass(frozen=True, slots=True)
class Gate:
    """What stands before a permit's condition: its agreement, and facts that must not be absent."""

    first: date = date.min
    last: date = date.max
    purposes: frozenset[str] = frozenset()
    needs: tuple[str, ...] = ()

    def open(self, facts: Facts) -> bool:
        """Whether the agreement covers the day and the purpose, and what the permit names is there."""
        if not self.first <= facts.today <= self.last or (self.purposes and facts.purpose not in self.purposes):
            return False
        return all(getattr(facts, name) is not None for name in self.needs)

    def conditions(self, code: Code) -> list[ast.expr]:
        """The same as expressions over the facts."""
        found: list[ast.expr] = []
        if (self.first, self.last) != (date.min, date.max):
            days = [attribute(context(), "today"), code.hold(self.last)]
            found.append(ast.Compare(code.hold(self.first), [ast.LtE(), ast.LtE()], days))
        if self.purposes:
            purpose = attribute(context(), "purpose")
            found.append(ast.Compare(purpose, [ast.In()], [constant(self.purposes)]))
        none = constant(None)
        found += [ast.Compare(attribute(context(), name), [ast.IsNot()], [none]) for name in self.needs]
        return found


@dataclass(frozen=True, slots=True)
class Granting:
    """A permit, compiled.

    Shape: `when` is the part of its condition that reads the request alone, `each` the part that reads a resource;
    `rows` by type; `asking` and `names` (what a search may carry) by type; `narrow` by type.
    """

    permit: Permit
    gate: Gate
    when: Asked | None
    each: Each | None
    rows: Mapping[str, Shown]
    asking: Mapping[str, tuple[tuple[str, ...], ...]]
    names: Mapping[str, frozenset[str]]
    narrow: Mapping[str, tuple[tuple[str, Values], ...]]
    hide: frozenset[str]


@dataclass(frozen=True, slots=True)
class Forbidding:
    """A forbid, compiled.

    Shape: `when` is the part of its condition that reads the request alone, `each` the part that reads a resource; both
    must hold, neither: always.
    """

    forbid: Forbid
    when: Asked | None
    each: Each | None


@dataclass(frozen=True, slots=True)
class Masking:
    """A mask, compiled as a forbid is.

    Shape: `hide` its element paths, `parameters` those that search a hidden element, by type.
    """

    mask: Mask
    when: Asked | None
    each: Each | None
    hide: frozenset[str]
    parameters: Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True)
class Checking:
    """A check `on result`, compiled. Shape: the functions take the facts and the resource."""

    check: Check
    when: AskedOf | None
    require: AskedOf
    tell: Teller


def gate(because: Because | None, unguarded: Iterable[str], agreements: Mapping[str, Agreement]) -> Gate:
    """The gate of a permit."""
    needs = tuple(sorted(unguarded))
    cited = agreements.get(because.agreement or "") if because is not None else None
    return Gate(needs=needs) if cited is None else Gate(cited.first, cited.last, frozenset(cited.purposes), needs)


def granting(permit: Permit, agreements: Mapping[str, Agreement], vocabulary: Vocabulary) -> Granting:
    """Compile a permit."""
    asked, of_each = split(permit.when)
    table = vocabulary.tables.search_parameters
    asking = {name: usable(permit.asking, name, vocabulary) for name in permit.types} if permit.asking else {}
    names = {
        name: frozenset(
            {n for names in asking.get(name, ()) for n in names} | {n for n in permit.allowing if (name, n) in table}
        )
        for name in permit.types
    }
    return Granting(
        permit,
        gate(permit.because, permit.unguarded, agreements),
        None if asked is None else Later(lambda: compile_test(asked, READER, absent="fails", name=permit.id)),
        None if of_each is None else each_of(of_each, permit.id, "fails"),
        {
            name: shown(
                rows,
                f"{permit.id} rows {name}",
                narrowing(rows.where, name if rows.link is None else rows.link.type, vocabulary),
            )
            for name, rows in permit.rows.items()
        },
        asking,
        names,
        {
            name: tuple((one.name, one.values) for one in narrowing(rows.where, name, vocabulary))
            if rows.link is None
            else ()
            for name, rows in permit.rows.items()
        },
        frozenset(permit.hide),
    )


def forbidding(forbid: Forbid) -> Forbidding:
    """Compile a forbid; a value that is absent all the same makes it hold, not fail."""
    asked, of_each = split(forbid.when)
    return Forbidding(forbid, _request(asked, forbid.id), _each(of_each, forbid.id))


def masking(mask: Mask, vocabulary: Vocabulary) -> Masking:
    """Compile a mask; a value that is absent all the same makes it hide."""
    asked, of_each = split(mask.when)
    searching = {
        name: frozenset(
            code
            for (resource, code), parameter in vocabulary.tables.search_parameters.items()
            if resource == name and hidden_by(parameter, name, mask.hide) is not None
        )
        for name in mask.types
    }
    return Masking(mask, _request(asked, mask.id), _each(of_each, mask.id), frozenset(mask.hide), searching)


def _request(test: Test | None, name: str) -> Asked | None:
    return None if test is None else Later(lambda: compile_test(test, READER, absent="passes", name=name))


def _each(test: Test | None, name: str) -> Each | None:
    return None if test is None else each_of(test, name, "passes")


def checking(check: Check) -> Checking:
    """Compile a check `on result`."""
    of = (RESOURCE,)
    return Checking(
        check,
        None if check.when is None else _of(check.when, of, f"{check.id} when"),
        _of(check.require, of, check.id, "passes"),
        teller(check, RESOURCE),
    )


def _of(test: Test, variables: tuple[str, ...], name: str, absent: Absent = "false") -> Callable[..., bool]:
    return compile_test(test, READER, absent=absent, variables=variables, name=name)


# --- narrowing -----------------------------------------------------------------------------------------------------


def narrowing(where: Test, resource: str, vocabulary: Vocabulary) -> Iterable[Narrow]:
    """Search parameters that carry a part of a `rows` condition upstream, with what gives their values.

    Only parts that must all hold; only parameters that search that one element and nothing else.
    """
    parameters = {
        path: code
        for (name, code), parameter in vocabulary.tables.search_parameters.items()
        if name == resource and parameter.type in {"token", "reference"}
        for path in searched(parameter, resource)
        if parameter.fhirpath == path
    }
    return _narrowing(where, parameters)


def _narrowing(where: Test, parameters: Mapping[str, str]) -> Iterable[Narrow]:
    match where:
        case Chain(word="and"):
            for part in where.parts:
                yield from _narrowing(part, parameters)
        case Named(test=meaning) if meaning is not None:
            yield from _narrowing(meaning, parameters)
        case Member(left=Element() as leaf, options=(Fact() as fact,)):
            code = parameters.get(_path(leaf))
            if code is not None and leaf.type.kind == "organisation":
                yield Narrow(code, _organisations(compile_value(fact, READER)), leaf.steps)
        case Member(left=Element() as leaf, options=options):
            yield from _fixed(leaf, [o for o in options if isinstance(o, Literal)], parameters)
        case Equal(left=Element() as leaf, right=Literal() as literal, negated=False):
            yield from _fixed(leaf, [literal], parameters)


def _path(leaf: Element) -> str:
    return ".".join((leaf.resource or "", *leaf.steps))


def _organisations(read: Callable[[Facts], Iterable[str]]) -> Values:
    return lambda facts: tuple(f"Organization/{code}" for code in sorted(read(facts)))


def _fixed(leaf: Element, literals: list[Literal], parameters: Mapping[str, str]) -> Iterable[Narrow]:
    code = parameters.get(_path(leaf))
    if code is None or (leaf.type.kind != "organisation" and leaf.type.codes is None):
        return  # a free text may hold what a search value would need escaped
    organisation = leaf.type.kind == "organisation"
    values = tuple(f"Organization/{one.value}" if organisation else str(one.value) for one in literals)
    yield Narrow(code, lambda _facts: values, leaf.steps if organisation else ())
