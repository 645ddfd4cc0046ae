"""What the rules offer to clients: the one source that the OpenAPI document and the CapabilityStatement are made from.

`offered` reads a rule set; a per-caller view will be the same function with the caller's share of it. Principals are
never part of an offer.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gateway.language.nodes import Column, Element, Fact, Field, Leaf, Part
from gateway.rules import RuleSet
from gateway.rules.declared import Accept, Applies, Check, Domain, Permit, Route, RouteTarget
from gateway.source import Span
from gateway.specs import FhirTables, SearchParameter
from gateway.tabular import Column as LayoutColumn
from gateway.tabular import Layout

MEDIA_TYPES = {
    "Hl7v2": ("text/plain", "application/hl7-v2", "x-application/hl7-v2+er7"),
    "Fhir": ("text/plain", "application/fhir+json"),
    "Csv": ("text/plain", "text/csv"),
}
"""Content types of a submission by data type, the preferred one first; requests are held to them too."""

FACADE = frozenset({"search", "count", "read", "history", "create", "update"})
"""Actions on stored resources that the facade serves."""

SEARCHING = frozenset({"search", "count"})
"""Actions that come by a search; who may only count asks for the number alone."""


@dataclass(frozen=True, slots=True)
class Published:
    """What a site's configuration adds to the documents.

    Shape: `public_url` without a last slash; `version` of the gateway; `application` and `facility` as MSH-3 and
    MSH-4 of acknowledgements; `client_secrets` whether client_secret_basic is enabled;
    `versioned_updates` whether an update has to name the version that it changes.
    Units: `body_limit` and `batch_limit` in bytes, `batch_within` in seconds.
    """

    public_url: str
    version: str
    application: str = "DEX"
    facility: str = "QVV"
    body_limit: int = 10 * 1024 * 1024
    batch_limit: int = 256 * 1024 * 1024
    batch_within: float = 25.0
    file_limit: int = 1024 * 1024 * 1024
    rows_at_once: int = 5000
    client_secrets: bool = False
    versioned_updates: bool = False


@dataclass(frozen=True, slots=True)
class Statement:
    """A rule as a reader of the documents sees it.

    Shape: `words` is what the rule says beyond its title (severity and code of a check, targets of a route).
    """

    id: str
    title: str
    words: str = ""


@dataclass(frozen=True, slots=True)
class Accepted:
    """What a domain takes of one data type: message types, layouts or resource types, and HL7 versions in words."""

    data_type: str
    types: tuple[str, ...]
    versions: str


@dataclass(frozen=True, slots=True)
class OfferedColumn:
    """A column of a CSV layout as a reader of the documents sees it.

    Shape: `words` say its type, whether it is required and what it holds.
    """

    name: str
    words: str


@dataclass(frozen=True, slots=True)
class OfferedLayout:
    """A CSV layout. Shape: `words` say how its files are written and taken."""

    name: str
    title: str
    words: str
    columns: tuple[OfferedColumn, ...]


@dataclass(frozen=True, slots=True)
class SendingDomain:
    """A domain that takes submissions.

    Shape: `profile` is `http-status` or `hl7-over-http`; `outcome` whether MSA-3 carries an OperationOutcome.
    """

    name: str
    title: str
    owner: str
    contact: str
    profile: str
    outcome: bool
    same_control_id: str
    accepts: tuple[Accepted, ...]
    permits: tuple[Statement, ...]
    forbids: tuple[Statement, ...]
    checks: tuple[Statement, ...]
    routes: tuple[Statement, ...]
    layouts: tuple[OfferedLayout, ...] = ()


@dataclass(frozen=True, slots=True)
class View:
    """What one permit lets its callers ask of a type.

    Shape: `when` and `rows` are the rule's own words, empty where it says none; `hide` the paths of this type.
    """

    id: str
    title: str
    actions: frozenset[str]
    when: str
    asking: str
    rows: str
    hide: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ServedType:
    """A resource type that some permit grants.

    Shape: `actions` those granted; `parameters` the search parameters that some view asks or allows, by code.
    """

    name: str
    actions: frozenset[str]
    parameters: tuple[SearchParameter, ...]
    views: tuple[View, ...]


@dataclass(frozen=True, slots=True)
class Offer:
    """Everything that the documents say about the rules; each tuple in the order of its names."""

    domains: tuple[SendingDomain, ...]
    organisations: tuple[tuple[str, str], ...]
    purposes: tuple[tuple[str, str], ...]
    data_types: tuple[str, ...]
    types: tuple[ServedType, ...]


def offered(rules: RuleSet, tables: FhirTables) -> Offer:
    """What a rule set offers to anybody, whoever asks."""
    sending = [domain for _, domain in sorted(rules.domains.items()) if domain.accepts]
    registry = rules.registry
    accepted = {accept.data_type for domain in sending for accept in domain.accepts}
    return Offer(
        domains=tuple(_sending(domain, rules) for domain in sending),
        organisations=tuple((code, registry.organisations[code].title) for code in sorted(registry.organisations)),
        purposes=tuple((code, registry.purposes[code].title) for code in sorted(registry.purposes)),
        data_types=tuple(name for name in MEDIA_TYPES if name in accepted),
        types=_served(rules.domains.values(), tables),
    )


def _sending(domain: Domain, rules: RuleSet) -> SendingDomain:
    return SendingDomain(
        name=domain.name,
        title=domain.title,
        owner=domain.owner or "",
        contact=domain.contact or "",
        profile=domain.acknowledge,
        outcome=domain.outcome,
        same_control_id=domain.same_control_id,
        accepts=tuple(Accepted(a.data_type, tuple(sorted(a.types)), _versions(a)) for a in domain.accepts),
        layouts=tuple(
            _layout(rules.layouts[name]) for a in domain.accepts if a.data_type == "Csv" for name in sorted(a.types)
        ),
        permits=_in_order(Statement(p.id, p.title) for p in domain.permits if "ingest" in p.actions),
        forbids=_in_order(Statement(f.id, f.title) for f in domain.forbids if "ingest" in f.actions),
        checks=_in_order(Statement(c.id, c.title, _check(c)) for c in domain.checks),
        routes=_in_order(Statement(r.id, r.title, _route(r)) for r in domain.routes),
    )


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


def _check(check: Check) -> str:
    """Severity, issue type and where it applies; then the message, what is read for it in braces."""
    message = "".join(part if isinstance(part, str) else f"{{{_path(part)}}}" for part in check.text)
    words = f"{check.severity} {check.code}{_where(check.on)}"
    return f"{words}: {message}" if message != check.title else words


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
            return ".".join([leaf.resource or "resource", *leaf.steps])
        case Fact():
            return leaf.name
        case Column():
            return f"row.{leaf.name}"


def _where(on: Applies) -> str:
    if "result" in on.data_types:
        return f" in what is made of it, {', '.join(on.types)}" if on.types else " in what is made of it"
    return f" in {', '.join(on.types)}" if on.types else ""


def _route(route: Route) -> str:
    return "; ".join(f"to {_target(target)}" for target in route.targets) + _where(route.on)


def _target(target: RouteTarget) -> str:
    if target.hold is None:
        return f"{target.name}, refused while it is down"
    return f"{target.name}, queued for {target.hold.total_seconds() / 3600:g} hours while it is down"


def _in_order(statements: Iterable[Statement]) -> tuple[Statement, ...]:
    return tuple(sorted(statements, key=lambda statement: statement.id))


def _versions(accept: Accept) -> str:
    return f"{accept.versions[0]} to {accept.versions[1]}" if accept.versions else ""


def _served(domains: Iterable[Domain], tables: FhirTables) -> tuple[ServedType, ...]:
    """Resource types that permits of any domain grant, with every view of each."""
    granted: dict[str, list[Permit]] = {}
    for domain in domains:
        for permit in domain.permits:
            for name in permit.types:
                if FACADE & set(permit.actions) and name in tables.types:
                    granted.setdefault(name, []).append(permit)
    return tuple(_type(name, sorted(granted[name], key=lambda p: p.id), tables) for name in sorted(granted))


def _type(name: str, permits: list[Permit], tables: FhirTables) -> ServedType:
    """One type. A parameter counts for the granted types that have it, so one that this type lacks is left out."""
    codes = {
        code
        for permit in permits
        if SEARCHING & set(permit.actions)
        for code in (*permit.allowing, *(code for group in permit.asking for code in group))
    }
    found = (tables.search_parameters.get((name, code)) for code in sorted(codes))
    return ServedType(
        name=name,
        actions=frozenset(action for permit in permits for action in permit.actions) & FACADE,
        parameters=tuple(parameter for parameter in found if parameter is not None),
        views=tuple(_view(name, permit, tables) for permit in permits),
    )


def _view(name: str, permit: Permit, tables: FhirTables) -> View:
    groups = [group for group in permit.asking if all((name, code) in tables.search_parameters for code in group)]
    asking = " or ".join(f"({' and '.join(group)})" if len(group) > 1 else group[0] for group in groups)
    hide = tuple(sorted(path for path in permit.hide if path.startswith(f"{name}.")))
    return View(
        id=permit.id,
        title=permit.title,
        actions=frozenset(permit.actions),
        when=_words(permit.when.span) if permit.when is not None else "",
        asking=asking,
        rows=_words(permit.rows[name].where.span) if name in permit.rows else "",
        hide=hide,
    )


def _words(span: Span) -> str:
    """The author's text on one line."""
    return " ".join(span.text.split())
