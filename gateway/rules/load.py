"""Rule files to a rule set: read, check, compile; nothing with an error is loaded."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from gateway.language import messages
from gateway.rules import parse
from gateway.rules.check import Checked, File, check, rules_of
from gateway.rules.compile import Checking, Granting, checking, forbidding, granting
from gateway.rules.decide import Ingesting, Querying, RuleSet
from gateway.rules.declared import Domain, Forbid
from gateway.rules.facts import ACTIONS
from gateway.rules.flow import covers
from gateway.rules.ground import Vocabulary, submitted
from gateway.rules.program import Applying, program, settle
from gateway.source import Diagnostic, Keep, Source, Span, in_order, made_anew

SUFFIX = ".rules"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A rule set, or why there is none.

    Shape: `rules` is None where any diagnostic is an error; warnings may stand beside a rule set.
    """

    rules: RuleSet | None
    diagnostics: tuple[Diagnostic, ...]


def load(directory: Path, vocabulary: Vocabulary, *, today: date | None = None, keep: Keep = made_anew) -> Loaded:
    """Load all rule files below a directory.

    Shape: with `today` (Europe/London) what ends soon is warned of; `keep` holds what the files were parsed to.
    Errors: diagnostics; files that can't be read are among them.
    """
    sources: list[Source] = []
    broken: list[Diagnostic] = []
    for path in sorted(directory.rglob(f"*{SUFFIX}")):
        name = path.relative_to(directory.parent).as_posix()
        try:
            sources.append(Source(name, path.read_text(encoding="utf-8")))
        except UnicodeDecodeError:
            broken.append(messages.UNREADABLE_FILE.at(_nowhere(name)))
    if not sources and not broken:
        broken.append(messages.NO_FILES.at(_nowhere(directory.name), word=directory.name))
    found = load_sources(sources, vocabulary, today=today, keep=keep)
    diagnostics = in_order((*broken, *found.diagnostics))
    return Loaded(None if broken else found.rules, diagnostics)


def _nowhere(name: str) -> Span:
    return Span(Source(name, ""), 0, 0)


def load_sources(
    sources: Iterable[Source], vocabulary: Vocabulary, *, today: date | None = None, keep: Keep = made_anew
) -> Loaded:
    """Load rule files that are in memory."""
    texts = tuple(sources)
    parsed = keep("rules", texts, lambda: [(source, parse.read(source)) for source in texts])
    broken = [diagnostic for _, found in parsed for diagnostic in found.diagnostics]
    checked = check([File(source, found.statements) for source, found in parsed], vocabulary, today)
    # what a broken statement would have declared is missing everywhere: that is no error of the places that use it
    said = [d for d in checked.diagnostics if not (broken and d.code in _FOLLOWS)]
    diagnostics = in_order((*broken, *said))
    if any(d.severity == "error" for d in diagnostics):
        return Loaded(None, diagnostics)
    return Loaded(_compile(checked, texts, vocabulary), diagnostics)


_FOLLOWS = frozenset(
    {messages.UNDECLARED.code, messages.NO_DOMAIN.code, messages.NOT_ACCEPTED.code, messages.ROUTE_GAP.code}
)


def place(span: Span) -> str:
    """`file:line`, where a rule stands."""
    return f"{span.source.name}:{span.line}"


def digest(sources: Iterable[Source]) -> str:
    """What tells one rule set from another: a hash of names and texts, in hexadecimal."""
    whole = hashlib.sha256()
    for source in sorted(sources, key=lambda s: s.name):
        for part in (source.name, source.text):
            data = part.encode()
            whole.update(len(data).to_bytes(8, "big") + data)
    return whole.hexdigest()


def _compile(checked: Checked, sources: tuple[Source, ...], vocabulary: Vocabulary) -> RuleSet:
    domains = checked.domains.values()
    agreements = checked.registry.agreements
    granted = {p.id: granting(p, agreements, vocabulary) for domain in domains for p in domain.permits}
    forbids = {f.id: f for domain in domains for f in domain.forbids}
    return RuleSet(
        digest=digest(sources),
        registry=checked.registry,
        domains=checked.domains,
        served=checked.served,
        sources=sources,
        places={rule.id: place(rule.span) for domain in domains for rule in rules_of(domain)},
        ingesting={
            (domain.name, accept.data_type, message_type): _ingesting(domain, granted, accept.data_type, message_type)
            for domain in domains
            for accept in domain.accepts
            for message_type in accept.types
        },
        querying=_querying(granted.values(), forbids.values()),
        results=_checks_of("result", domains),
        submitted=_checks_of("Fhir", domains),
        granting=granted,
        forbids=forbids,
        layouts={
            name: vocabulary.layouts[name]
            for domain in domains
            for accept in domain.accepts
            if accept.data_type == "Csv"
            for name in accept.types
        },
    )


def _ingesting(domain: Domain, granted: Mapping[str, Granting], data_type: str, message_type: str) -> Ingesting:
    """Those of a domain's rules that apply to a type, as one function."""
    permits = [granted[p.id] for p in domain.permits if "ingest" in p.actions]
    forbids = [f for f in domain.forbids if "ingest" in f.actions and not submitted(f.on)]
    checks = [c for c in domain.checks if not submitted(c.on)]
    rules = Applying(
        tuple(p for p in permits if covers(p.permit.on, data_type, message_type)),
        tuple(f for f in forbids if covers(f.on, data_type, message_type)),
        tuple(c for c in checks if covers(c.on, data_type, message_type)),
        tuple(r for r in domain.routes if covers(r.on, data_type, message_type)),
    )
    of_resources = [f for f in domain.forbids if "ingest" in f.actions and submitted(f.on)]
    return Ingesting(
        program(settle(rules, message_type), f"{domain.name} {message_type}"),
        rules.permits,
        tuple(forbidding(f) for f in of_resources) if data_type == "Fhir" else (),
    )


def _querying(granted: Iterable[Granting], declared: Iterable[Forbid]) -> dict[tuple[str, str], Querying]:
    permits = tuple(granted)
    forbids = tuple(forbidding(f) for f in declared if "ingest" not in f.actions)
    found: dict[tuple[str, str], Querying] = {}
    types = {name for p in permits for name in p.permit.types}
    for action in ACTIONS:
        for name in types:
            own = tuple(f for f in forbids if action in f.forbid.actions and name in (f.forbid.types or (name,)))
            granting_it = tuple(p for p in permits if action in p.permit.actions and name in p.permit.types)
            found[action, name] = Querying(
                granting_it,
                frozenset(parameter for p in granting_it for parameter in p.names[name]),
                tuple(f for f in own if f.each is None),
                tuple(f for f in own if f.each is not None),
            )
    return found


def _checks_of(data_type: str, domains: Iterable[Domain]) -> dict[tuple[str, str], tuple[Checking, ...]]:
    """Checks on resource types by domain and type: those `on result`, or those `on Fhir`."""
    found: dict[tuple[str, str], tuple[Checking, ...]] = {}
    for domain in domains:
        for rule in domain.checks:
            if rule.on.data_types == (data_type,):
                compiled = checking(rule)
                for resource in rule.on.types:
                    found[domain.name, resource] = (*found.get((domain.name, resource), ()), compiled)
    return found
