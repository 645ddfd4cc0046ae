"""A resolved condition in plain English: the one place that knows how each is said.

Documents, `show`, `diff` and `explain` all say conditions by it. Names keep the author's spelling; where the registry
has a title it stands behind in brackets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any

from gateway.language import nodes
from gateway.language.kinds import Kind
from gateway.rules.declared import Judging, Registry, Severity


@dataclass(frozen=True, slots=True)
class Titles:
    """What names are called. Shape: titles by kind and name, as the registry has them."""

    known: Mapping[Kind, Mapping[str, str]] = field(default_factory=dict)

    def said(self, name: str, kind: Kind) -> str:
        """A name with its title, where it has one."""
        title = self.known.get(kind, {}).get(name)
        return f"{name} ({title})" if title else name


def titles(*registries: Registry) -> Titles:
    """The titles of a registry; of several, those of the last that has them."""
    known: dict[Kind, dict[str, str]] = {"role": {}, "purpose": {}, "organisation": {}, "principal": {}}
    for registry in registries:
        known["role"] |= {name: one.title for name, one in registry.roles.items()}
        known["purpose"] |= {name: one.title for name, one in registry.purposes.items()}
        known["organisation"] |= {code: one.title for code, one in registry.organisations.items()}
        known["principal"] |= {name: one.title for name, one in registry.principals.items()}
    return Titles(known)


UNTITLED = Titles()


def condition(test: nodes.Test, titles: Titles = UNTITLED) -> str:
    """A condition as a clause of a sentence, without a full stop."""
    return SAID[type(test)](test, titles)


def listed(words: Iterable[str], last: str = "and") -> str:
    """Words as a list in a sentence: `a, b and c`."""
    found = list(words)
    if len(found) <= 1:
        return "".join(found)
    return f"{', '.join(found[:-1])} {last} {found[-1]}"


def kept(keeps: Mapping[str, timedelta]) -> str:
    """How long what was sent is kept, in words: what is kept as long together."""
    alike: dict[timedelta, list[str]] = {}
    for state, held in keeps.items():
        alike.setdefault(held, []).append(state)
    return ", ".join(f"{listed(states)} {days(held)}" for held, states in alike.items())


def days(held: timedelta) -> str:
    """A length of time in days."""
    count = held.total_seconds() / 86400
    return f"{count:g} day{'' if count == 1 else 's'}"


def day(when: date) -> str:
    """A day as people write it: `1 April 2026`."""
    return f"{when.day} {when:%B %Y}"


_BECOMES: Mapping[Severity | None, str] = {
    "error": "refuse",
    "warning": "warn",
    "information": "inform",
    None: "are ignored",
}


def excepted(how: Judging | None) -> str:
    """What becomes of the departures from the standard that a check names; nothing where it names none."""
    by: dict[Severity | None, list[str]] = {}
    for kind, severity in how.excepted.items() if how is not None else ():
        by.setdefault(severity, []).append(kind)
    return "; ".join(f"departures in {listed(kinds)} {_BECOMES[severity]}" for severity, kinds in by.items())


_WHOLE = {"resource": "the resource"}


def _standard(to: nodes.Word | None) -> str:
    return "the standard" if to is None else to.text


# --- what is read --------------------------------------------------------------------------------------------------

FACTS: Mapping[str, str] = {
    "action": "the action",
    "organisation": "the sending organisation",
    "domain": "the domain",
    "message": "the message",
    "message.type": "the message type",
    "message.version": "the HL7 version",
    "message.control-id": "the control id",
    "message.received": "the time of receipt",
    "caller": "the caller",
    "caller.name": "the caller",
    "caller.organisations": "the caller's organisations",
    "caller.roles": "the caller's roles",
    "purpose": "the purpose",
    "user": "the user",
    "environment": "the environment",
    "now": "now",
    "today": "today",
    "patient": "the patient",
    "source.organisations": "the organisations that it came from",
    "source.domains": "the domains that it came from",
}
"""How each fact is called in a sentence."""


def operand(found: nodes.Operand, titles: Titles = UNTITLED) -> str:
    """What is read or compared with, in a sentence."""
    return OPERANDS[type(found)](found, titles)


def _literal(found: nodes.Literal, titles: Titles) -> str:
    return titles.said(str(found.value), found.type.kind) if found.type.kind in titles.known else found.shown


def _element(found: nodes.Element, _: Titles) -> str:
    if found.of == "patient":
        return ".".join(("the patient's", *found.steps)).replace("'s.", "'s ") if found.steps else "the patient"
    return ".".join((found.resource or "resource", *found.steps))


def _field(found: nodes.Field, _: Titles) -> str:
    return "-".join((found.segment, _numbers(found.field, found.component, found.subcomponent)))


def _part(found: nodes.Part, _: Titles) -> str:
    return ".".join(filter(None, (found.variable, _numbers(found.component, found.subcomponent))))


def _numbers(*numbers: int | None) -> str:
    return ".".join(str(number) for number in numbers if number is not None)


def duration(found: nodes.Duration) -> str:
    """A length of time: `16 years`."""
    return f"{found.count} {found.unit}{'' if found.count == 1 else 's'}"


def _moved(found: nodes.Moved, titles: Titles) -> str:
    length = duration(found.length)
    if isinstance(found.base, nodes.Fact) and found.base.name in {"today", "now"}:
        return f"{length} {'ago' if found.back else 'from now'}"
    return f"{length} {'before' if found.back else 'after'} {operand(found.base, titles)}"


OPERANDS: Mapping[type, Callable[[Any, Titles], str]] = {
    nodes.Literal: _literal,
    nodes.Fact: lambda found, _: FACTS.get(found.name, found.name),
    nodes.Field: _field,
    nodes.Part: _part,
    nodes.Element: _element,
    nodes.Column: lambda found, _: f"column {found.name}",
    nodes.Item: lambda found, _: ".".join((found.variable, *found.steps)),
    nodes.Moved: _moved,
    nodes.Word: lambda found, _: found.text,
    nodes.Text: lambda found, _: f'"{found.value}"',
    nodes.Duration: lambda found, _: duration(found),
    nodes.Amount: lambda found, _: f"{found.number.text} {found.unit.value}",
}
"""How each kind of operand is said."""


# --- conditions ----------------------------------------------------------------------------------------------------


def _chain(test: nodes.Chain, titles: Titles) -> str:
    return f" {test.word} ".join(_bracketed(part, test, titles) for part in test.parts)


def _bracketed(part: nodes.Test, within: nodes.Chain, titles: Titles) -> str:
    """A part, in brackets where another word joins its own parts."""
    inner = part.test if isinstance(part, nodes.Named) and part.test is not None else part
    said = condition(part, titles)
    return f"({said})" if isinstance(inner, nodes.Chain) and inner.word != within.word else said


_NOT_SO: Mapping[type, Callable[[Any, Titles], str]] = {
    nodes.BreaksGlass: lambda _, __: "the caller does not break the glass",
    nodes.Phrased: lambda test, titles: _phrased(test, titles, no="not "),
    nodes.Listed: lambda test, titles: _listed(test, titles, no="not "),
    nodes.Equal: lambda test, titles: condition(replace(test, negated=not test.negated), titles),
    nodes.Predicated: lambda test, titles: condition(replace(test, negated=not test.negated), titles),
    nodes.Present: lambda test, titles: condition(replace(test, positive=not test.positive), titles),
    nodes.Member: lambda test, titles: _member(test, titles, no="not "),
}
"""Conditions that have a short form of their own under `not`."""


def _not(test: nodes.Not, titles: Titles) -> str:
    short = _NOT_SO.get(type(test.part))
    return f"it is not so that {condition(test.part, titles)}" if short is None else short(test.part, titles)


def _equal(test: nodes.Equal, titles: Titles) -> str:
    return f"{operand(test.left, titles)} is {'not ' if test.negated else ''}{operand(test.right, titles)}"


def _present(test: nodes.Present, titles: Titles) -> str:
    return f"{operand(test.operand, titles)} is {'given' if test.positive else 'not given'}"


def _member(test: nodes.Member, titles: Titles, no: str = "") -> str:
    left = operand(test.left, titles)
    options = [operand(option, titles) for option in test.options]
    if len(options) == 1:
        return f"{left} is {no}{'among ' if _many(test.options[0]) else ''}{options[0]}"
    return (
        f"{left} is {no}{listed(options, 'or')}" if len(options) <= _FEW else f"{left} is {no}one of {listed(options)}"
    )


_FEW = 3


def _many(found: nodes.Operand) -> bool:
    return isinstance(found, nodes.Leaf) and found.type.many


_SIGNS = {"<": "less than", "<=": "at most", ">": "more than", ">=": "at least"}
_TIMES = {"<": "before", "<=": "not after", ">": "after", ">=": "not before"}


def _ordered(test: nodes.Ordered, titles: Titles) -> str:
    timed = any(getattr(getattr(o, "type", None), "kind", None) in {"date", "instant"} for o in (test.left, test.right))
    sign = (_TIMES if timed else _SIGNS)[test.sign]
    return f"{operand(test.left, titles)} is {sign} {operand(test.right, titles)}"


_PHRASES: Mapping[str, tuple[str, str]] = {
    "connects as": ("connects as", "connect as"),
    "sends as": ("sends for", "send for"),
    "sends category": ("is registered to send {} to this domain", "be registered to send {} to this domain"),
    "has role": ("has the role", "have the role"),
}


def _phrased(test: nodes.Phrased, titles: Titles, no: str = "") -> str:
    does, do = _PHRASES.get(test.phrase, (test.phrase, test.phrase))
    right = operand(test.right, titles)
    verb = f"does not {do}" if no else does
    return f"{operand(test.left, titles)} {verb.format(right) if '{}' in verb else f'{verb} {right}'}"


_PREDICATES: Mapping[str, str] = {
    "nhs-number": "a valid NHS number",
    "numeric": "a number",
    "ods-code": "an ODS code",
    "uk-postcode": "a postcode of the United Kingdom",
    "snomed-concept": "a SNOMED CT concept id",
    "date": "a date",
}


def _predicated(test: nodes.Predicated, titles: Titles) -> str:
    what = _PREDICATES.get(test.predicate, test.predicate)
    return f"{operand(test.operand, titles)} is {'not ' if test.negated else ''}{what}"


def _listed(test: nodes.Listed, titles: Titles, no: str = "") -> str:
    return f"{operand(test.operand, titles)} is {no}on the list {test.of.text}"


def _aged(test: nodes.HasAge, titles: Titles) -> str:
    length = duration(test.length)
    return f"{operand(test.operand, titles)} is {f'under {length} old' if test.under else f'{length} old or over'}"


def _quantified(test: nodes.Quantified, titles: Titles) -> str:
    path, name = operand(test.path, titles), test.variable.text
    which = "" if test.where is None else f" where {condition(test.where, titles)}"
    # the name only where it is said again: `of some ...`
    return f"for {'some' if test.word == 'any' else 'every'} {name} of {path}{which}: {condition(test.test, titles)}"


SAID: Mapping[type, Callable[[Any, Titles], str]] = {
    nodes.Chain: _chain,
    nodes.Not: _not,
    nodes.Equal: _equal,
    nodes.Present: _present,
    nodes.Member: _member,
    nodes.Ordered: _ordered,
    nodes.Phrased: _phrased,
    nodes.Predicated: _predicated,
    nodes.Named: lambda test, titles: test.word.text if test.test is None else condition(test.test, titles),
    nodes.Lacks: lambda test, titles: f"{operand(test.left, titles)} do not include {operand(test.right, titles)}",
    nodes.Starts: lambda test, titles: f'{operand(test.operand, titles)} starts with "{test.prefix.value}"',
    nodes.Matches: lambda test, titles: f'{operand(test.operand, titles)} has the form "{test.pattern.value}"',
    nodes.Within: lambda test, titles: f"{operand(test.operand, titles)} is in the last {duration(test.length)}",
    nodes.HasCode: lambda test, titles: (
        f'{operand(test.operand, titles)} has the code "{test.code.value}" of {test.system.value}'
    ),
    nodes.HasListedCode: lambda test, titles: (
        f"{operand(test.operand, titles)} has a code of the list {test.codes.text}"
    ),
    nodes.HasAge: _aged,
    nodes.Listed: _listed,
    nodes.BreaksGlass: lambda _, __: "the caller breaks the glass",
    nodes.Conforms: lambda test, titles: (
        f"{_WHOLE.get(found := operand(test.operand, titles), found)} keeps to {_standard(test.to)}"
    ),
    nodes.Quantified: _quantified,
}
"""How each kind of condition is said."""
