"""A rule set read into what the documents say of it: all of it, or the share of one caller."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TypeVar

from gateway import query
from gateway.documents import words
from gateway.documents.linking import linked
from gateway.documents.offer import (
    FACADE,
    MEDIA_TYPES,
    SEARCHING,
    SHOWING,
    Accepted,
    Against,
    Offer,
    OfferedColumn,
    OfferedLayout,
    SendingDomain,
    ServedType,
    Statement,
    Use,
    View,
)
from gateway.documents.share import Share
from gateway.fhir import Elements
from gateway.language.nodes import Column, Element, Fact, Field, Item, Leaf, Part
from gateway.query.offer import NEEDING_MORE
from gateway.rules import RuleSet
from gateway.rules.account.words import Titles, titles
from gateway.rules.declared import Accept, Applies, Check, Domain, Forbid, Mask, Permit, Route, RouteTarget, Rows
from gateway.rules.flow import covers
from gateway.rules.nodes import GLASS
from gateway.rules.queries import OPEN
from gateway.source import Span
from gateway.specs import FhirTables, SearchParameter
from gateway.tabular import Column as LayoutColumn
from gateway.tabular import Layout


def offered(rules: RuleSet, tables: FhirTables, share: Share | None = None) -> Offer:
    """What a rule set offers: to anybody, whoever asks, or what of it is the share of one caller."""
    sending = [domain for name, domain in sorted(rules.domains.items()) if domain.accepts]
    registry = rules.registry
    if share is not None:
        sending = [domain for domain in sending if domain.name in share.sends]
    domains = tuple(_sending(domain, rules, share) for domain in sending)
    accepted = {accept.data_type for domain in domains for accept in domain.accepts}
    organisations = registry.organisations.keys() if share is None else share.organisations
    purposes = registry.purposes.keys() if share is None else share.purposes
    return Offer(
        domains=domains,
        organisations=tuple((code, registry.organisations[code].title) for code in sorted(organisations)),
        purposes=tuple((code, registry.purposes[code].title) for code in sorted(purposes)),
        data_types=tuple(name for name in MEDIA_TYPES if name in accepted),
        types=linked(_served(rules, tables, share), tables),
        glass=share.glass if share is not None else any(one.may_break_glass for one in registry.principals.values()),
    )


def _sending(domain: Domain, rules: RuleSet, share: Share | None) -> SendingDomain:
    names = titles(rules.registry)
    accepts = tuple(_accepted(domain, share))
    taken = {(accept.data_type, name) for accept in accepts for name in accept.types}
    return SendingDomain(
        name=domain.name,
        title=domain.title,
        owner=domain.owner or "",
        contact=domain.contact or "",
        profile=domain.acknowledge,
        outcome=domain.outcome,
        same_control_id=domain.same_control_id,
        accepts=accepts,
        layouts=tuple(_layout(rules.layouts[name]) for a in accepts if a.data_type == "Csv" for name in a.types),
        permits=_in_order(Statement(p.id, p.title, words.when(p.when, names)) for p in _ingest(domain.permits, share)),
        forbids=_in_order(Statement(f.id, f.title, words.when(f.when, names)) for f in _ingest(domain.forbids, share)),
        checks=_in_order(Statement(c.id, c.title, _check(c, names)) for c in domain.checks if _applies(c.on, taken)),
        routes=_in_order(
            Statement(r.id, r.title, route_words(r, names)) for r in domain.routes if _applies(r.on, taken)
        ),
    )  # fmt: skip


R = TypeVar("R", Permit, Forbid)


def _ingest(rules: Iterable[R], share: Share | None) -> Iterator[R]:
    """Those of submissions that are about the caller."""
    for rule in rules:
        if "ingest" in rule.actions and (share is None or rule.id in share.rules):
            yield rule


def _accepted(domain: Domain, share: Share | None) -> Iterator[Accepted]:
    for accept in domain.accepts:
        own = {name for data_type, name in share.sends[domain.name] if data_type == accept.data_type} if share else None
        types = tuple(sorted(name for name in accept.types if own is None or name in own))
        if types:
            yield Accepted(accept.data_type, types, _versions(accept), accept.overlays)


def _applies(on: Applies, taken: Collection[tuple[str, str]]) -> bool:
    """Whether a rule is about something of what is taken; rules on results and on resources in Bundles always are."""
    return "result" in on.data_types or "Fhir" in on.data_types or any(covers(on, *one) for one in taken)


def _layout(layout: Layout) -> OfferedLayout:
    taken = "taken whole or not at all" if layout.whole else "taken row by row"
    header = "with a header line, columns in any order" if layout.header else "without a header line, columns in order"
    written = f"{header}; {layout.dialect.encoding}, delimiter `{layout.dialect.delimiter}`; {taken}"
    columns = tuple(OfferedColumn(column.header, _column(column)) for column in layout.columns.values())
    return OfferedLayout(layout.name, layout.title, written, columns)


def _column(column: LayoutColumn) -> str:
    """Type and form of a column, whether it is required, and what the layout says of it."""
    form = " or ".join(f"`{form}`" for form in column.formats) or (f"`{column.pattern}`" if column.pattern else "")
    longest = f"at most {column.longest} characters" if column.longest is not None else ""
    codes = ", ".join(f"`{code}`" for code in sorted(column.among)) if column.among else ""
    parts = [column.kind, form, codes, longest, "required" if column.required else "", column.title]
    return ", ".join(part for part in parts if part)


def _check(check: Check, names: Titles) -> str:
    """Severity, issue type and where it applies; then what is demanded and the message, what it reads in braces."""
    message = "".join(part if isinstance(part, str) else f"{{{_path(part)}}}" for part in check.text)
    how = check.judging or check.holding
    code = "by kind of departure" if how is not None and how.code is None else check.code
    told = f"{check.severity} {code}{_where(check.on)}: {words.demand(check, names)}"
    return f"{told}; it says: {message}" if message != check.title else told


def _path(leaf: Leaf) -> str:
    """What a message reads, as rules write it."""
    match leaf:
        case Field():
            parts = (leaf.component, leaf.subcomponent)
            return ".".join([f"{leaf.segment}-{leaf.field}", *(str(part) for part in parts if part is not None)])
        case Part():
            parts = (leaf.component, leaf.subcomponent)
            return ".".join([leaf.variable, *(str(part) for part in parts if part is not None)])
        case Element():
            return ".".join([leaf.of if leaf.of == "patient" else leaf.resource or "resource", *leaf.steps])
        case Item():
            return ".".join([leaf.variable, *leaf.steps])
        case Fact():
            return leaf.name
        case Column():
            return f"row.{leaf.name}"


def _where(on: Applies) -> str:
    if "result" in on.data_types:
        return f" in what is made of it, {', '.join(on.types)}" if on.types else " in what is made of it"
    return f" in {', '.join(on.types)}" if on.types else ""


def route_words(route: Route, names: Titles) -> str:
    """Where a route leads to, for how long it waits, in which order, of what and when."""
    if route.on.data_types == (GLASS,):
        return _glass_words(route, names)
    order = f", in order of {words.operand(route.order, names)}" if route.order is not None else ""
    told = "; ".join(f"to {_target(target)}" for target in route.targets) + order + _where(route.on)
    return f"{told}, {when}" if (when := words.when(route.when, names)) else told


def _glass_words(route: Route, names: Titles) -> str:
    """To whom uses of broken glass are told, of what and when."""
    legs = "; ".join(f"to {_target(target)}" for target in route.targets)
    of = f" of {', '.join(route.on.types)}" if route.on.types else ""
    when = words.when(route.when, names)
    return f"each use of broken glass{of} {legs}{f', {when}' if when else ''}"


def _target(target: RouteTarget) -> str:
    if target.hold is None:
        return f"{target.name}, refused while it is down"
    return f"{target.name}, queued for {target.hold.total_seconds() / 3600:g} hours while it is down"


def _in_order(statements: Iterable[Statement]) -> tuple[Statement, ...]:
    return tuple(sorted(statements, key=lambda statement: statement.id))


def _versions(accept: Accept) -> str:
    return f"{accept.versions[0]} to {accept.versions[1]}" if accept.versions else ""


def _served(rules: RuleSet, tables: FhirTables, share: Share | None) -> tuple[ServedType, ...]:
    """Resource types that permits of any domain grant, with every view of each."""
    domains = rules.domains.values()
    granted: dict[str, list[tuple[Permit, frozenset[str]]]] = {}
    for permit in sorted((permit for domain in domains for permit in domain.permits), key=lambda one: one.id):
        for name in permit.types:
            own = frozenset(permit.actions) if share is None else share.grants.get(name, {}).get(permit.id, frozenset())
            if own & FACADE and name in tables.types:
                granted.setdefault(name, []).append((permit, own & FACADE))
    found: list[Forbid | Mask] = [one for domain in domains for one in domain.forbids]
    found += [one for domain in domains for one in domain.masks]
    against = sorted(found, key=lambda one: one.id)
    return tuple(
        _type(name, granted[name], [one for one in against if _about(one, name, share)], tables)
        for name in sorted(granted)
    )


def _about(one: Forbid | Mask, name: str, share: Share | None) -> bool:
    if not FACADE & set(one.actions) or name not in (one.types or (name,)):
        return False
    return share is None or one.id in share.against.get(name, frozenset())


def _type(
    name: str, granted: list[tuple[Permit, frozenset[str]]], against: list[Forbid | Mask], tables: FhirTables
) -> ServedType:
    """One type. An update reads what stands, so that it needs the right to read too."""
    views = tuple(_view(name, permit, actions, tables) for permit, actions in granted)
    actions = frozenset(action for view in views for action in view.actions)
    kept = tuple(_against(name, one) for one in against)
    return ServedType(
        name=name,
        actions=actions if "read" in actions else actions - {"update"},
        uses=_uses(name, [permit for permit, actions in granted if SEARCHING & actions], tables),
        views=views,
        against=kept,
        hidden=_hidden([view for view in views if SHOWING & view.actions], kept),
    )


def _hidden(views: Sequence[View], against: Iterable[Against]) -> tuple[str, ...]:
    """What every view hides, or a mask that knows no exception."""
    shared = set[str]().union(*(view.hide for view in views)).intersection(*(view.hide for view in views))
    always = {path for one in against if one.actions >= SHOWING and not one.when for path in one.hide}
    return tuple(sorted(shared | always))


def _uses(name: str, permits: Sequence[Permit], tables: FhirTables) -> tuple[Use, ...]:
    """Parameters of a type. One counts for the granted types that have it, so one that this type lacks is left out."""
    codes = query.names(name, tables, query.FACADE)
    views = [(permit, _alternatives(name, permit, tables)) for permit in permits]
    found: list[Use] = []
    for code in codes:
        asked = tuple(permit.id for permit, groups in views if any(code in group for group in groups))
        allowed = tuple(permit.id for permit, _ in views if code in permit.allowing)
        if asked or allowed:
            required = all(groups and all(code in group for group in groups) for _, groups in views)
            parameter = tables.search_parameters[name, code]
            modifiers = tuple(_modifiers(name, parameter, Elements(tables)))
            taken = modifiers if allowed else tuple(m for m in modifiers if m not in OPEN)
            found.append(Use(parameter, asked, allowed, required, taken))
    return tuple(found)


TEXTUAL = frozenset({"CodeableConcept", "Coding", "Identifier", "Reference"})
"""Types that have words beside their code, which `:text` searches. Source: https://hl7.org/fhir/R4/search.html#token"""


def _modifiers(name: str, parameter: SearchParameter, elements: Elements) -> Iterator[str]:
    """Modifiers that a parameter of a type may carry where no view asks for it."""
    for modifier in parameter.modifiers:
        if modifier not in query.FACADE.modifiers or (parameter.type, modifier) in NEEDING_MORE:
            continue
        if modifier == "of-type" and not query.of_identifiers(parameter, elements.tables):
            continue
        if modifier != "text" or _textual(name, parameter, elements):
            yield modifier


def _textual(name: str, parameter: SearchParameter, elements: Elements) -> bool:
    """Whether some value that a parameter searches has words beside its code."""
    paths = re.findall(rf"\b{name}(?:\.[A-Za-z]+)+", parameter.fhirpath)
    found = (elements.resolve(path) for path in paths)
    return any(ref.code in TEXTUAL for definition in found if definition is not None for ref in definition.types)


def _against(name: str, one: Forbid | Mask) -> Against:
    hide = () if isinstance(one, Forbid) else tuple(sorted(path for path in one.hide if path.startswith(f"{name}.")))
    when = "" if one.when is None else _words(one.when.span)
    return Against(one.id, one.title, frozenset(one.actions), when, hide)


def _alternatives(name: str, permit: Permit, tables: FhirTables) -> tuple[tuple[str, ...], ...]:
    """What a search of a type carries, as far as the type has it."""
    return tuple(g for g in permit.asking if all((name, code) in tables.search_parameters for code in g))


def _view(name: str, permit: Permit, actions: frozenset[str], tables: FhirTables) -> View:
    groups = _alternatives(name, permit, tables)
    asking = " or ".join(f"({' and '.join(group)})" if len(group) > 1 else group[0] for group in groups)
    hide = tuple(sorted(path for path in permit.hide if path.startswith(f"{name}.")))
    return View(
        id=permit.id,
        title=permit.title,
        actions=actions,
        when=_words(permit.when.span) if permit.when is not None else "",
        asking=asking,
        rows=_rows(permit.rows[name]) if name in permit.rows else "",
        hide=hide,
        alternatives=groups,
        roles=tuple(sorted(words.roles(permit.when))),
    )


def _rows(rows: Rows) -> str:
    """Which rows, in the author's words after `where`, with the path that they are linked by."""
    own = _words(rows.where.span)
    return own if rows.link is None else f"linked by {rows.link.path} where {own}"


def _words(span: Span) -> str:
    """The author's text on one line."""
    return " ".join(span.text.split())
