"""The rule set as a page for people: each domain, each rule under its id, which answers and accounts link to.

One page without script; its style comes from the gateway. Principals are not on it, nor what stands in lists.
Source: `http-interface.md` of the design, "Documents".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from html import escape
from types import MappingProxyType

from gateway.documents.offering import route_words
from gateway.documents.rule_words import Rule, told
from gateway.rules import RuleSet
from gateway.rules.account.words import Titles, condition, day, kept, listed, titles
from gateway.rules.declared import Accept, Because, Check, Domain, Forbid, Mask, Permit, Registry, Route
from gateway.rules.nodes import GLASS
from gateway.rules.trial.declared import SUBMITTED, Trial
from gateway.source import Span

STYLE = "/swagger/rules.css"

HEAD = (
    "Every request is decided by these rules: what no rule permits is refused, and what one forbids no other permits. "
    "An answer that refuses names the rule that did; it stands here under its id."
)

HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "Content-Security-Policy": (
            "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; "
            "frame-ancestors 'none'"
        ),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
    }
)
"""Response headers of the page: it runs nothing, and loads its own style alone."""

SECTIONS: tuple[tuple[str, Callable[[Domain], Sequence[Rule]]], ...] = (
    ("Who may", lambda domain: domain.permits),
    ("What is forbidden", lambda domain: domain.forbids),
    ("What is masked", lambda domain: domain.masks),
    ("What is checked", lambda domain: domain.checks),
    ("Where it goes", lambda domain: domain.routes),
)


def rules_page(rules: RuleSet, trials: Iterable[Trial] = (), *, date: str = "") -> str:
    """The page. Shape: `trials` are the tests beside the rules; `date` is when they were loaded."""
    names, tests = titles(rules.registry), tuple(trials)
    domains = [domain for _, domain in sorted(rules.domains.items())]
    body = [
        "<header><h1>Rules of the exchange</h1>",
        f"<p>{HEAD}</p>",
        f'<p class="dim">Loaded {escape(date)}; digest <code>{escape(rules.digest)}</code>.</p>',
        '<p><a href="/swagger/index.html">What may be sent and asked</a></p>',
        "<nav><ul>",
        *(f'<li><a href="#{escape(_anchor(d))}">{escape(d.title)}</a></li>' for d in domains),
        '<li><a href="#registry">Who and what there is</a></li>',
        "</ul></nav></header><main>",
    ]
    for domain in domains:
        body += _domain(domain, rules.registry, names, tests)
    body += [*_registry(rules.registry), "</main>"]
    head = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>Rules of the exchange</title><link rel="stylesheet" href="{STYLE}">'
        '<link rel="icon" href="/swagger/favicon-32x32.png"></head><body>'
    )
    return "\n".join((head, *body, "</body></html>\n"))


def _anchor(domain: Domain) -> str:
    return f"domain-{domain.name}"


def _domain(domain: Domain, registry: Registry, names: Titles, tests: Sequence[Trial]) -> Iterator[str]:
    yield f'<section class="domain" id="{escape(_anchor(domain))}"><h2>{escape(domain.title)}</h2>'
    yield _facts(
        ("Domain", domain.name),
        ("Owner", domain.owner or "not named"),
        ("Contact", domain.contact or "not named"),
        *((f"Accepts {one.data_type}", _accepted(one)) for one in domain.accepts),
        *((("Acknowledges by", domain.acknowledge),) if domain.accepts else ()),
        *((("Keeps what was sent", kept(domain.keeps)),) if domain.accepts else ()),
        *((("Serves", domain.serves),) if domain.serves is not None else ()),
    )
    for one in domain.conditions.values():
        yield f"<p><dfn>{escape(one.name)}</dfn> means {escape(condition(one.test, names))}.</p>"
    for heading, rules_of in SECTIONS:
        rules = rules_of(domain)
        if rules:
            yield f"<h3>{escape(heading)}</h3>"
        for rule in rules:
            yield from _rule(rule, registry, names, [test for test in tests if _covers(test, rule, domain)])
    yield "</section>"


def _accepted(one: Accept) -> str:
    versions = f"; versions {one.versions[0]} to {one.versions[1]}" if one.versions else ""
    return ", ".join(one.types) + versions + (f"; converted with {listed(one.overlays)}" if one.overlays else "")


def _rule(rule: Rule, registry: Registry, names: Titles, tests: Sequence[Trial]) -> Iterator[str]:
    anchor = escape(rule.id)
    yield f'<article class="{type(rule).__name__.lower()}" id="{anchor}">'
    yield f'<h4><a href="#{anchor}">{anchor}</a> {escape(rule.title)}</h4>'
    said = route_words(rule, names) if isinstance(rule, Route) else told(rule, names)
    yield f"<p>{escape(said)}</p>"
    yield f"<pre><code>{escape(rule.span.text.rstrip())}</code></pre>"
    review = getattr(rule, "review_by", None)
    yield _facts(
        *_because(rule.because, registry),
        *((("Review by", day(review)),) if review is not None else ()),
        ("Stands at", _place(rule.span)),
        ("Tests", listed(f"\u201c{test.title}\u201d" for test in tests) or "none names it"),
    )
    yield "</article>"


def _because(because: Because | None, registry: Registry) -> Iterator[tuple[str, str]]:
    """Why: an agreement with its days, or words."""
    agreement = None if because is None or because.agreement is None else registry.agreements.get(because.agreement)
    if agreement is not None:
        purposes = f", for {listed(agreement.purposes, 'or')}" if agreement.purposes else ""
        days = f"from {day(agreement.first)} until {day(agreement.last)}{purposes}"
        yield "Agreement", f"{agreement.id} {agreement.title}, {days}"
    elif because is not None:
        yield "Because", because.text or because.agreement or ""


def _place(span: Span) -> str:
    return f"{span.source.name}:{span.line}"


def _facts(*rows: tuple[str, str]) -> str:
    return f"<dl>{''.join(f'<dt>{escape(name)}</dt><dd>{escape(value)}</dd>' for name, value in rows)}</dl>"


def _covers(test: Trial, rule: Rule, domain: Domain) -> bool:
    """Whether a test is about a rule: it names it, or what it sends is accepted by it."""
    for expected in test.expected:
        if expected.rule == rule.id:
            return True
        if expected.outcome == "notice" and isinstance(rule, Route) and rule.on.data_types == (GLASS,):
            return {target.name for target in rule.targets} <= expected.names
        if expected.outcome == "accept" and test.domain == domain.name and _accepts(test, rule, expected.names):
            return True
    return False


def _accepts(test: Trial, rule: Rule, targets: Iterable[str]) -> bool:
    match rule:
        case Permit():
            return "ingest" in rule.actions
        case Route():
            taken = not rule.on.data_types or SUBMITTED.get(test.kind) in rule.on.data_types
            return taken and {target.name for target in rule.targets} <= set(targets)
        case Forbid() | Mask() | Check():
            return False


def _registry(registry: Registry) -> Iterator[str]:
    """Who and what rules speak of; principals, and what is in lists, stay with the exchange."""
    yield '<section id="registry"><h2>Who and what there is</h2>'
    tables: tuple[tuple[str, Iterable[tuple[str, str]]], ...] = (
        ("Organisations", ((one.code, one.title) for one in registry.organisations.values())),
        ("Roles", ((one.name, one.title) for one in registry.roles.values())),
        ("Purposes", ((one.name, one.title) for one in registry.purposes.values())),
        ("Agreements", (
            (one.id, f"{one.title}, from {day(one.first)} until {day(one.last)}")
            for one in registry.agreements.values()
        )),
        ("Targets", ((one.name, f"{one.title}, takes {one.takes}") for one in registry.targets.values())),
        ("Lists", ((one.name, one.title) for one in registry.lists.values())),
        ("Code lists", ((one.name, one.title) for one in registry.codes.values())),
    )  # fmt: skip
    for heading, rows in tables:
        held = tuple(rows)
        if held:
            yield f"<h3>{heading}</h3>{_facts(*held)}"
    yield "</section>"
