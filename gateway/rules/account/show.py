"""The table of who can send or see what, one row for what a principal can do alike: as cells, as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields, replace
from typing import Literal

from gateway.rules.account.reach import ANY, Ability, Against, reach
from gateway.rules.account.words import Titles, condition, kept, listed, titles
from gateway.rules.decide import RuleSet
from gateway.rules.declared import PrincipalDeclaration, Route


@dataclass(frozen=True, slots=True)
class Row:
    """One row, all in words.

    Shape: `types` and `may` may name several that are alike in all else; dates are ISO's; empty where there is nothing
    to say.
    """

    principal: str
    title: str
    may: tuple[str, ...]
    domain: str
    types: tuple[str, ...]
    organisations: str
    when: str
    rows: str
    asking: str
    allowing: str
    hidden: str
    masked: str
    unless: str
    rule: str
    agreement: str
    first: str
    last: str
    purposes: str
    review_by: str
    glass: str
    limits: str
    converted: str
    kept: str


HEADINGS: tuple[str, ...] = (
    "principal", "title", "may", "domain", "types", "as organisations", "when", "rows", "a search must give",
    "a search may give",
    "hidden", "hidden by masks", "unless", "by rule", "agreement", "from", "until", "for purposes", "review by",
    "may break glass", "limits", "converted with", "kept",
)  # fmt: skip
"""What the cells of a row are called, in their order."""


def table(rules: RuleSet) -> tuple[Row, ...]:
    """Who can send or see what. Shape: in the order of the registry; what is alike in all but type is one row."""
    names = titles(rules.registry)
    noticing = [one.route for one in rules.noticing]
    rows = [
        _row(ability, rules.registry.principals[ability.principal], names, noticing, _kept(ability, rules))
        for ability in reach(rules)
    ]
    return tuple(_alike(_alike(rows, "types"), "may"))


def cells(row: Row) -> tuple[str, ...]:
    """The cells of a row as texts, in the order of `HEADINGS`."""
    return tuple(", ".join(cell) if isinstance(cell, tuple) else cell for cell in astuple(row))


def as_csv(rows: Iterable[Row]) -> str:
    """The table as CSV with a header line. Source: RFC 4180."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(HEADINGS)
    writer.writerows([_harmless(cell) for cell in cells(row)] for row in rows)
    return out.getvalue()


def _harmless(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula. Source: OWASP, CSV Injection."""
    return f"'{cell}" if cell[:1] in set("=+-@\t\r") and cell[:1] else cell


def _alike(rows: Iterable[Row], name: Literal["types", "may"]) -> list[Row]:
    """Rows with those that differ in one cell alone made one."""
    found: dict[Row, list[str]] = {}
    for row in rows:
        found.setdefault(_with(row, name, ()), []).extend(getattr(row, name))
    return [_with(row, name, tuple(dict.fromkeys(values))) for row, values in found.items()]


def _with(row: Row, name: Literal["types", "may"], values: tuple[str, ...]) -> Row:
    return replace(row, types=values) if name == "types" else replace(row, may=values)


def _kept(ability: Ability, rules: RuleSet) -> str:
    """How long the journal keeps what is sent, in words; empty for what is asked."""
    return kept(rules.domains[ability.domain].keeps) if ability.data_type is not None else ""


def _row(
    ability: Ability, principal: PrincipalDeclaration, names: Titles, noticing: Iterable[Route], kept_for: str
) -> Row:
    agreement = ability.agreement
    return Row(
        principal=ability.principal,
        title=principal.title,
        may=(ability.action,),
        domain=ability.domain,
        types=(ability.type,),
        organisations=organisations(ability.organisations, ability.but),
        when="" if ability.when is None else condition(ability.when, names),
        rows=rows(ability, names),
        asking=asking(ability.asking),
        allowing=", ".join(ability.allowing),
        hidden=", ".join(ability.hide),
        masked="; ".join(mask(one, names) for one in ability.masks),
        unless="; ".join(against(one, names) for one in ability.forbids),
        rule=ability.permit,
        agreement="" if agreement is None else agreement.id,
        first="" if agreement is None else agreement.first.isoformat(),
        last="" if agreement is None else agreement.last.isoformat(),
        purposes="" if agreement is None else ", ".join(agreement.purposes),
        review_by="" if ability.review_by is None else ability.review_by.isoformat(),
        glass=glass(ability, noticing) if principal.may_break_glass and ability.action != "ingest" else "",
        limits=limits(principal, ability.type if ability.data_type is None else None),
        converted=", ".join(ability.overlays),
        kept=kept_for,
    )


def organisations(codes: Sequence[str], but: Sequence[str] = ()) -> str:
    """The organisations that one sends as, in words."""
    if ANY not in codes:
        return ", ".join(codes)
    return f"any but {listed(but, 'or')}" if but else "any"


def rows(ability: Ability, names: Titles) -> str:
    """Which resources an ability shows, in words; empty for what is sent."""
    if ability.data_type is not None:
        return ""
    if ability.rows is None:
        return "all"
    words = condition(ability.rows, names)
    link = ability.link
    return words if link is None else f"those linked by {link.path} where {words}"


def asking(alternatives: Sequence[Sequence[str]]) -> str:
    """What a search must carry, in words."""
    return listed((" with ".join(names) for names in alternatives), "or")


def against(one: Against, names: Titles, *, rule: bool = True) -> str:
    """A forbid in words. Shape: `rule` is whether its id stands before them."""
    when = "always" if one.when is None else condition(one.when, names)
    within = f"it holds a {listed(one.of, 'or')} and " if one.of else ""
    return f"{f'{one.rule}: ' if rule else ''}{within}{when}"


def mask(one: Against, names: Titles) -> str:
    """A mask in words."""
    when = "" if one.when is None else f" when {condition(one.when, names)}"
    return f"{one.rule}: {', '.join(one.hide)}{when}"


def glass(ability: Ability, noticing: Iterable[Route]) -> str:
    """That one may break glass, and which targets may be told of it, in words."""
    about = [route for route in noticing if not route.on.types or ability.type in route.on.types]
    told = listed(dict.fromkeys(target.name for route in about for target in route.targets))
    return f"yes, told to {told}" if told else "yes"


def limits(principal: PrincipalDeclaration, kind: str | None) -> str:
    """How much a principal may ask for, in words. Shape: `kind` is the type that it sees, None where it sends."""
    found = [] if principal.per_second is None else [f"{principal.per_second} requests a second"]
    daily = principal.per_day.get(kind) if kind is not None else None
    if daily is not None:
        found.append(f"{daily} {kind} a day")
    return listed(found)


if len(HEADINGS) != len(fields(Row)):
    raise AssertionError(HEADINGS)
