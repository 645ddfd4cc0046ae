"""The reference card, `rules/REFERENCE.md`: the language on one page, from its grammar and its table of facts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from gateway.finding import Severity
from gateway.hl7v2.conformance import KINDS as DEPARTURES
from gateway.language.functions import PREDICATES
from gateway.language.kinds import SPOKEN
from gateway.rules import syntax
from gateway.rules.conforming import IGNORED
from gateway.rules.declared import SEVERITIES
from gateway.rules.facts import ACTIONS, DATA_TYPES, TABLE, Fact
from gateway.rules.parse import KINDS

MEANINGS: Mapping[str, str] = {
    "language": "The first line of every file; this is language 1.",
    "domain": "One a file: what it is about and who answers for it.",
    "accept": "What may be sent to the domain.",
    "set": "A name for several values, for `in`.",
    "condition": "A name for a condition of this file.",
    "permit": "Grants. Without a permit that matches, everything is denied; each is a view of its own.",
    "forbid": "Denies, whatever permits say; one that errs denies too.",
    "mask": "Hides elements, whatever permits show; one that errs hides too.",
    "check": "What a submission must satisfy; all of them run, and an `error` refuses.",
    "route": "Where what was permitted and is valid goes, or who is told of broken glass; all that match apply.",
    "organisation": "An organisation by its ODS code.",
    "role": "A role that principals may have.",
    "purpose": "A purpose of use that requests may name.",
    "target": "Where submissions are stored or sent; its address is configuration.",
    "agreement": "A sharing agreement, for `because`: the permit holds from its first to its last day.",
    "list": "Values in a file beside the rules, for `listed in`.",
    "codes": "Codes in a file beside the rules, for `has code`.",
    "principal": "Who calls: its organisations, roles and limits; credentials are enrolled.",
    "test": "What is expected of the rules; `gateway rules test` asks them.",
}
"""What each statement is for."""

_WHERE: Mapping[str, str] = {
    "always": "always",
    "ingest": "where something is sent",
    "Hl7v2": "`on Hl7v2`",
    "stored": "of resources that are stored",
}


_TOLD_AS: Mapping[Severity | None, str] = {
    "error": "what `otherwise` says",
    "warning": "`warning` at most",
    None: "not at all",
}


def card() -> str:
    """The page, as Markdown."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield from (
        "# The rules language on one page",
        "",
        "Made from the grammar and the table of facts: `gateway rules card --write rules/REFERENCE.md`.",
        "",
        "In brackets: may be left out. `|`: one of them. `...`: and more of the same. Clauses stand in any order,",
        "`on`, `when` and their like once. `#` begins a comment. `and` and `or` are mixed with parentheses alone.",
        "",
        "## Statements",
    )
    for kind in KINDS:
        yield from ("", f"**{kind}**: {MEANINGS[kind]}", "", "```")
        yield syntax.head(kind)
        yield from (f"  {clause}" for clause in dict.fromkeys(syntax.clauses(kind)))
        yield "```"
    yield from ("", "## Conditions", "", "```")
    yield from syntax.forms("condition")
    for name in ("block", "negation", "group", "quantified", "comparison", "literal_in"):
        yield from (form for form in syntax.forms(name) if form not in {"CONDITION", "TEST"})
    yield from ("```", "", "VALUE is one of:", "", "```", *syntax.forms("right"), "```", "")
    yield from ("`is` and `is not` also take " + _quoted(PREDICATES) + ".", "")
    yield f"Actions: {_quoted(ACTIONS)}. Data types: {_quoted(DATA_TYPES)}. Severities: {_quoted(SEVERITIES)}."
    yield from (
        "",
        "## Departures from the standard",
        "",
        "What `require message conforms` tells, one by one; `except KIND, ... as SEVERITY` says otherwise of kinds,",
        f"and `as {IGNORED}` leaves them out. `require resource conforms`, `... conforms to model` and",
        "`... conforms to uk-core`, or to another folder of `specs/fhir/`, tell those of a resource, each with its own",
        "place and issue type.",
        "",
        "| kind | is | told as |",
        "|---|---|---|",
    )
    yield from (f"| `{kind.name}` | {kind.words} | {_TOLD_AS[kind.most]} |" for kind in DEPARTURES.values())
    yield from ("", "## Facts", "", "| fact | is | known | from |", "|---|---|---|---|")
    yield from (_fact(fact) for fact in TABLE)
    yield from (
        "| `PID-3.1` | by the dictionary | `on Hl7v2` | the message |",
        "| `Encounter.status` | by the R4 element table | `on Fhir`, `on result`, rules on the type | the resource |",
        "| `row.NAME` | by the layout | `on Csv` | the row |",
    )


def _quoted(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def _fact(fact: Fact) -> str:
    kind = SPOKEN[fact.type.kind]
    many = f"a list, each {kind}" if fact.type.many else kind
    absent = ", may be absent" if fact.type.optional else ""
    return f"| `{fact.name}` | {many}{absent} | {_WHERE[fact.where]} | {fact.source} |"
