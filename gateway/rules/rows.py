"""`rows` and `all rows` of a permit, checked: which resources of each type it shows, and by what they are linked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from gateway.language import messages
from gateway.language.check import check
from gateway.language.nodes import Operand, Test, Word, operands, parts
from gateway.rules import messages as own
from gateway.rules.around import PATIENT
from gateway.rules.clauses import Report, every, said
from gateway.rules.declared import Applies, Link, Rows
from gateway.rules.ground import Ground, Vocabulary
from gateway.rules.nodes import RowsWhere, Statement
from gateway.source import nearest
from gateway.specs import SearchParameter

_ROOT = re.compile(r"([A-Z][A-Za-z]+)\.")
_ANYTHING = "Resource"


def rows_of(statement: Statement, types: tuple[str, ...], ground: Ground, report: Report) -> dict[str, Rows]:
    """The `rows` lines of a permit by type; every type that it grants has one, or `all rows`."""
    found: dict[str, Rows] = {}
    spoken: set[str] = set()
    for clause in every(statement, RowsWhere):
        names: list[str] = []
        for word in clause.types:
            name = _granted(word, types, report)
            if name is not None and name in spoken:
                report.say(messages.ROWS_TWICE.at(word.span, word=name))
            elif name is not None:
                spoken.add(name)
                names.append(name)
        found |= _rows(clause, names, ground, report)
    spoken |= _all_rows(statement, types, spoken, report)
    for name in types:
        if name not in spoken:
            hint = f"add `rows {name} where ...`, or `all rows {name}`"
            report.say(messages.NO_ROWS.at(statement.name.span, hint, word=name))
    return found


def _rows(clause: RowsWhere, names: Sequence[str], ground: Ground, report: Report) -> dict[str, Rows]:
    """One line by its types; none where it is wrong, which is said once."""
    links: dict[str, Link | None] = {}
    for name in names:
        link = None if clause.linked is None else _link(clause, clause.linked, name, ground.vocabulary, report)
        if link is None and clause.linked is not None:
            return {}
        links[name] = link
    if not links:
        return {}
    read = {name if link is None else link.type for name, link in links.items()}
    checked = check(clause.where, ground.scope(Applies(), "free", ingest=False, resources=read))
    report.diagnostics.extend(checked.diagnostics)
    test = checked.test
    return {} if test is None else {name: Rows(name, test, clause.span, link) for name, link in links.items()}


def _all_rows(statement: Statement, types: tuple[str, ...], spoken: set[str], report: Report) -> set[str]:
    """Types that `all rows` covers; without types of its own, all that no other line speaks of."""
    clause = said(statement, "all rows", report)
    if clause is None:
        return set()
    rest = set(types) - spoken
    if not clause.words:
        if not rest and types:
            report.say(messages.EITHER_ROWS.at(clause.span))
        return rest
    named: set[str] = set()
    for word in clause.words:
        name = _granted(word, types, report)
        if name is not None and name in spoken | named:
            report.say(messages.ROWS_TWICE.at(word.span, word=name))
        elif name is not None:
            named.add(name)
    return named


def _granted(word: Word, types: tuple[str, ...], report: Report) -> str | None:
    if word.text in types:
        return word.text
    near = nearest(word.text, types)
    hint = f"did you mean `{near}`?" if near else None
    report.say(messages.NOT_GRANTED.at(word.span, hint, word=word.text, types=", ".join(types)))
    return None


# --- linked by -----------------------------------------------------------------------------------------------------


def _link(clause: RowsWhere, path: Word, row: str, vocabulary: Vocabulary, report: Report) -> Link | None:
    """What a path links a row with: what the row refers to, or what refers to the row."""
    root, _, below = path.text.partition(".")
    definition = vocabulary.elements.resolve(path.text) if below else None
    if definition is None:
        above = path.text.rpartition(".")[0] or root
        near = nearest(path.text.rpartition(".")[2], vocabulary.elements.children(above))
        hint = f"did you mean `{above}.{near}`?" if near and below else None
        report.say(messages.UNKNOWN_ELEMENT.at(path.span, hint, word=path.text))
        return None
    targets = {target for kind in definition.types if kind.code == "Reference" for target in kind.targets}
    if root != row:
        return _backwards(path, row, targets, vocabulary, report)
    named = [name for name in dict.fromkeys(_roots(clause.where)) if name in targets or _ANYTHING in targets]
    possible = [name for name in targets if name != _ANYTHING] if len(targets) == 1 else named
    if len(possible) != 1:
        hint = "name an element of one of " + ", ".join(sorted(targets)) if targets else "it is no reference"
        report.say(own.NOT_LINKED.at(path.span, hint, word=path.text, type=row))
        return None
    return Link(path.text, possible[0], steps=tuple(below.split(".")))


def _backwards(path: Word, row: str, targets: set[str], vocabulary: Vocabulary, report: Report) -> Link | None:
    root = path.text.partition(".")[0]
    about = row
    if row not in targets and PATIENT in targets and vocabulary.elements.in_patient_compartment(row):
        about = PATIENT  # both are of one patient
    if about not in targets and _ANYTHING not in targets:
        hint = "it refers to " + ", ".join(sorted(targets)) if targets else "it is no reference"
        report.say(own.NOT_LINKED.at(path.span, hint, word=path.text, type=row))
        return None
    parameters = [
        code
        for (name, code), parameter in vocabulary.tables.search_parameters.items()
        if name == root and _finds(parameter, path.text, about)
    ]
    if not parameters:
        report.say(own.NOT_FOUND_BY.at(path.span, word=path.text, type=row))
        return None
    return Link(path.text, root, parameter=min(parameters), patient=about != row)


def _finds(parameter: SearchParameter, path: str, row: str) -> bool:
    """Whether a parameter finds what refers to a type by one element, and nothing else."""
    root = path.partition(".")[0]
    own = [one for one in map(str.strip, parameter.fhirpath.split("|")) if one.startswith(f"{root}.")]
    return parameter.type == "reference" and own in ([path], [f"{path}.where(resolve() is {row})"])


def _roots(test: Test) -> Iterator[str]:
    """The resource types that a condition names, before it is resolved."""
    for word in _words(test):
        match = _ROOT.match(word.text)
        if match is not None:
            yield match[1]


def _words(test: Test) -> Iterator[Word]:
    found: Iterable[Operand] = operands(test)
    yield from (operand for operand in found if isinstance(operand, Word))
    for part in parts(test):
        yield from _words(part)
