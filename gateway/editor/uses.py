"""What each word of a statement may name: read off the shape of the statement, nothing is looked up yet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.language.nodes import (
    Conforms,
    Equal,
    HasCode,
    HasListedCode,
    Lacks,
    Listed,
    Member,
    Moved,
    Named,
    Operand,
    Ordered,
    Phrased,
    Quantified,
    Test,
    Text,
    Word,
    operands,
    parts,
)
from gateway.rules.nodes import (
    GLASS,
    Asked,
    Asking,
    Because,
    Clause,
    Expect,
    ForEach,
    FromPrincipal,
    FromSource,
    InOrder,
    Limit,
    On,
    RowsWhere,
    Said,
    SendsCategory,
    SetOf,
    Statement,
    To,
)

RULES = ("permit", "forbid", "mask", "check", "route")
"""Statements that are known by an id, of which there is one over all files."""

VALUES = ("organisation", "domain", "role", "purpose", "principal")
"""Declared names that a value may be."""

NAMES = ("domain", "set", "condition", "organisation", "role", "purpose", "target", "agreement", "list", "codes",
         "principal")  # fmt: skip
"""Statements that declare a name of their own kind."""

READ = ("fact", "path", "variable")
"""What may be read."""


@dataclass(frozen=True, slots=True)
class Use:
    """A word, and what it may name.

    Shape: `kinds` are kinds of statements that declare names (`rule` for all that have an id), or of what the standards
    and the language have (`type`, `path`, `fact` ...), the likeliest first; `beside` is what it is compared with.
    """

    word: Word
    kinds: tuple[str, ...]
    declares: bool = False
    beside: Operand | None = None


@dataclass(frozen=True, slots=True)
class Quoted:
    """A text in quotes. Shape: `beside` is what it is compared with, None where with nothing."""

    text: Text
    beside: Operand | None


def uses(statement: Statement) -> Iterator[Use | Quoted]:
    """Every word and text of a statement, but for its keywords, in the order of its clauses."""
    if statement.kind in NAMES or statement.kind in RULES:
        yield Use(statement.name, ("rule" if statement.kind in RULES else statement.kind,), declares=True)
    elif statement.kind == "accept":
        yield Use(statement.name, ("data type",))
    for clause in statement.clauses:
        yield from CLAUSES[type(clause)](clause, statement)


def words(statement: Statement) -> Iterator[Use]:
    """Its words alone."""
    return (use for use in uses(statement) if isinstance(use, Use))


def variables(statement: Statement) -> Mapping[str, Word]:
    """The loop variables of a statement, each with the path that it goes over."""
    found: dict[str, Word] = {}
    for clause in statement.clauses:
        if isinstance(clause, ForEach):
            found[clause.variable.text] = clause.path
        for test in _tests(clause):
            found |= {q.variable.text: q.path for q in _quantified(test) if isinstance(q.path, Word)}
    return found


def _tests(clause: Clause) -> tuple[Test, ...]:
    match clause:
        case Asked():
            return (clause.test,)
        case ForEach() | RowsWhere():
            return () if clause.where is None else (clause.where,)
        case _:
            return ()


def _quantified(test: Test) -> Iterator[Quantified]:
    if isinstance(test, Quantified):
        yield test
    for part in parts(test):
        yield from _quantified(part)


# --- clauses -------------------------------------------------------------------------------------------------------


def _each(words: Iterable[Word], *kinds: str) -> Iterator[Use]:
    return (Use(word, kinds) for word in words)


SAID: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "acknowledge": (("acknowledgement",),),
    "acknowledge silent": (("acknowledgement",),),
    "same control id": (("reuse",), ()),
    "keep": (("kept",), ()),
    "serves": (("target",),),
    "versions": (("version",),),
    "holding": (("resource",),),
    "convert with": (("overlay",),),
    "hide": (("path",),),
    "allowing": (("parameter",),),
    "all rows": (("resource",),),
    "except": (("departure",),),
    "otherwise": (("severity",), ("issue",)),
    "to target": (("target",),),
    "and to target": (("target",),),
    "on failure": (("failure",), ()),
    "for purpose": (("purpose",),),
    "connects as": (("organisation",),),
    "sends as": (("organisation",),),
    "roles": (("role",),),
    "may assert": (("purpose",),),
    "given": (("given",),),
    "with": (("subject", "resource"),),
}
"""What the words of a clause name, one after the other; the last goes for all that follow."""


def _said(clause: Said, statement: Statement) -> Iterator[Use | Quoted]:
    kinds = SAID.get(clause.kind, ((),))
    if clause.kind == "names":
        kinds = (("organisation",),) if statement.kind == "organisation" else (("type",),)
    elif clause.kind == "":
        kinds = (_LOOSE.get(statement.kind, ()),)
    for number, word in enumerate(clause.words):
        yield Use(word, kinds[min(number, len(kinds) - 1)])
    yield from (Quoted(text, None) for text in clause.texts)


_LOOSE: Mapping[str, tuple[str, ...]] = {"target": ("data type",), "list": ("form",)}
"""What words of a statement itself name, outside of any clause."""


def _to(clause: To, _statement: Statement) -> Iterator[Use]:
    yield from _each(clause.actions, "action")
    yield from _each(clause.operations, "operation")
    yield from _each(clause.types, "resource")


def _on(clause: On, _statement: Statement) -> Iterator[Use]:
    if clause.data_types[0].text == GLASS:
        yield from _each(clause.types, "resource")
        return
    yield from _each(clause.data_types, "data type")
    yield from _each(clause.types, "set", "type")


def _asked(clause: Asked, _statement: Statement) -> Iterator[Use | Quoted]:
    return _of_test(clause.test)


def _for_each(clause: ForEach, _statement: Statement) -> Iterator[Use | Quoted]:
    yield Use(clause.variable, ("variable",), declares=True)
    yield Use(clause.path, ("path",))
    if clause.where is not None:
        yield from _of_test(clause.where)


def _rows(clause: RowsWhere, _statement: Statement) -> Iterator[Use | Quoted]:
    yield from _each(clause.types, "resource")
    if clause.linked is not None:
        yield Use(clause.linked, ("path",))
    yield from _of_test(clause.where)


def _asking(clause: Asking, _statement: Statement) -> Iterator[Use]:
    return _each((word for one in clause.alternatives for word in one), "parameter")


def _because(clause: Because, _statement: Statement) -> Iterator[Use]:
    if isinstance(clause.reason, Word):
        yield Use(clause.reason, ("agreement",))


def _set_of(clause: SetOf, _statement: Statement) -> Iterator[Use]:
    return _each((o for o in clause.options if isinstance(o, Word)), "type", *VALUES)


def _sends(clause: SendsCategory, _statement: Statement) -> Iterator[Use]:
    yield Use(clause.domain, ("domain",))
    yield from _each(clause.types, "type")


def _limit(clause: Limit, _statement: Statement) -> Iterator[Use]:
    if clause.type is not None:
        yield Use(clause.type, ("resource",))


def _in_order(clause: InOrder, _statement: Statement) -> Iterator[Use]:
    yield Use(clause.path, ("path",))


def _from(clause: FromPrincipal, _statement: Statement) -> Iterator[Use]:
    yield Use(clause.principal, ("principal",))
    if clause.organisation is not None:
        yield Use(clause.organisation, ("organisation",))
    if clause.domain is not None:
        yield Use(clause.domain, ("domain",))


def _source(clause: FromSource, _statement: Statement) -> Iterator[Use]:
    yield from _each(clause.organisations, "organisation")
    if clause.domain is not None:
        yield Use(clause.domain, ("domain",))


_EXPECTED: Mapping[str, str] = {
    "accept": "target",
    "notice": "target",
    "permit": "path",
    "want": "aspect",
}


def _expect(clause: Expect, _statement: Statement) -> Iterator[Use]:
    if clause.rule is not None:
        yield Use(clause.rule, ("rule",))
    yield from _each(clause.names, _EXPECTED.get(clause.outcome, ""))
    yield from _each((word for word in clause.narrowed if isinstance(word, Word)), "parameter")


CLAUSES: Mapping[type, Callable[[Any, Statement], Iterator[Use | Quoted]]] = {
    Said: _said,
    To: _to,
    On: _on,
    Asked: _asked,
    ForEach: _for_each,
    RowsWhere: _rows,
    Asking: _asking,
    Because: _because,
    SetOf: _set_of,
    SendsCategory: _sends,
    Limit: _limit,
    InOrder: _in_order,
    FromPrincipal: _from,
    FromSource: _source,
    Expect: _expect,
}
"""How each clause is read, by its class."""


# --- conditions ----------------------------------------------------------------------------------------------------


def _of_test(test: Test) -> Iterator[Use | Quoted]:
    """The words and texts of a condition. A shape that is not in the table names nothing but what it reads."""
    yield from _TESTS.get(type(test), _reads)(test)
    for part in parts(test):
        yield from _of_test(part)


def _operand(operand: Operand, beside: Operand | None, *kinds: str) -> Iterator[Use | Quoted]:
    match operand:
        case Word():
            yield Use(operand, (*READ, *kinds), beside=beside)
        case Text():
            yield Quoted(operand, beside)
        case Moved():
            yield from _operand(operand.base, beside, *kinds)


def _reads(test: Test) -> Iterator[Use | Quoted]:
    for operand in operands(test):
        yield from _operand(operand, None)


def _equal(test: Equal) -> Iterator[Use | Quoted]:
    yield from _operand(test.left, test.right, *VALUES)
    yield from _operand(test.right, test.left, "predicate", *VALUES, "action", "type")


def _sides(test: Ordered | Lacks) -> Iterator[Use | Quoted]:
    yield from _operand(test.left, test.right)
    yield from _operand(test.right, test.left, *VALUES)


def _member(test: Member) -> Iterator[Use | Quoted]:
    yield from _operand(test.left, test.options[0], *VALUES)
    sets = ("set",) if len(test.options) == 1 else ()
    for option in test.options:
        yield from _operand(option, test.left, *sets, *VALUES, "action", "type")


_PHRASED: Mapping[str, str] = {
    "connects as": "organisation",
    "sends as": "organisation",
    "sends category": "type",
    "has role": "role",
}


def _phrased(test: Phrased) -> Iterator[Use | Quoted]:
    yield from _operand(test.left, None)
    yield from _operand(test.right, None, _PHRASED[test.phrase])


def _named(test: Named) -> Iterator[Use]:
    yield Use(test.word, ("condition", *READ))


def _has_code(test: HasCode) -> Iterator[Use | Quoted]:
    yield from _operand(test.operand, None)
    yield Quoted(test.code, test.operand)


def _has_listed_code(test: HasListedCode) -> Iterator[Use | Quoted]:
    yield from _operand(test.operand, None)
    yield Use(test.codes, ("codes",))


def _listed(test: Listed) -> Iterator[Use | Quoted]:
    yield from _operand(test.operand, None)
    yield Use(test.of, ("list",))


def _conforms(test: Conforms) -> Iterator[Use | Quoted]:
    yield from _operand(test.operand, None)
    if test.to is not None:
        yield Use(test.to, ("standard",))


def _loop(test: Quantified) -> Iterator[Use | Quoted]:
    yield Use(test.variable, ("variable",), declares=True)
    yield from _operand(test.path, None)


_TESTS: Mapping[type, Callable[[Any], Iterator[Use | Quoted]]] = {
    Equal: _equal,
    Ordered: _sides,
    Lacks: _sides,
    Member: _member,
    Phrased: _phrased,
    Named: _named,
    HasCode: _has_code,
    HasListedCode: _has_listed_code,
    Listed: _listed,
    Conforms: _conforms,
    Quantified: _loop,
}
