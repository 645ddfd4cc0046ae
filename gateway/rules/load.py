"""Rule files to a rule set: read, check, compile; nothing with an error is loaded."""

from __future__ import annotations

import contextlib
import functools
import gc
import hashlib
import io
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from types import MappingProxyType

from gateway.language import limits, messages
from gateway.rules import lists, parse
from gateway.rules.around import Subjects, subjects
from gateway.rules.check import Checked, File, check, rules_of
from gateway.rules.compile import Checking, Forbidding, Granting, Masking, checking, forbidding, granting, masking
from gateway.rules.decide import Ingesting, RuleSet
from gateway.rules.decision import View
from gateway.rules.declared import Domain, Forbid
from gateway.rules.facts import ACTIONS, Facts
from gateway.rules.flow import covers
from gateway.rules.ground import Vocabulary, submitted
from gateway.rules.nodes import GLASS, Statement
from gateway.rules.noticing import noticing
from gateway.rules.program import Applying, Judged, Program, program, settle
from gateway.rules.release import Querying, rows_of
from gateway.rules.stored import Each, split
from gateway.rules.trial import messages as trial
from gateway.rules.trial.declared import Trial
from gateway.source import Diagnostic, Keep, Source, Span, in_order, made_anew, nearest

SUFFIX = ".rules"

EXAMPLES = "examples"
"""The folder beside rule files whose folders are rule sets of their own, never loaded with these."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A rule set, or why there is none.

    Shape: `rules` is None where any diagnostic is an error; warnings may stand beside a rule set. `trials` are the
    tests that stand beside the rules.
    """

    rules: RuleSet | None
    diagnostics: tuple[Diagnostic, ...]
    trials: tuple[Trial, ...] = ()


def load(directory: Path, vocabulary: Vocabulary, *, today: date | None = None, keep: Keep = made_anew) -> Loaded:
    """Load all rule files below a directory, but for those of its examples.

    Shape: with `today` (Europe/London) what ends soon is warned of; `keep` holds what the files were parsed to.
    Errors: diagnostics; files that can't be read are among them.
    """
    sources, broken = read_sources(directory)
    found = load_sources(sources, vocabulary, today=today, keep=keep, read=beside(directory))
    diagnostics = in_order((*broken, *found.diagnostics))
    return Loaded(None if broken else found.rules, diagnostics, found.trials)


def read_sources(
    directory: Path, unsaved: Mapping[Path, str] = MappingProxyType({})
) -> tuple[tuple[Source, ...], tuple[Diagnostic, ...]]:
    """The rule files below a directory, but for those of its examples; and what is wrong with those that can't be read.

    Shape: `unsaved` texts stand in for their files, by path; editors have them.
    """
    sources: list[Source] = []
    broken: list[Diagnostic] = []
    for path in sorted({*_files(directory), *(path for path in unsaved if _belongs(path, directory))}):
        name = path.relative_to(directory.parent).as_posix()
        if path in unsaved:
            sources.append(Source(name, _lines(unsaved[path])))
            continue
        found_bytes, whole = limits.head(path)
        if not whole:
            broken.append(limits.too_many_bytes(name, found_bytes))
            continue
        try:
            sources.append(Source(name, decoded(found_bytes)))
        except UnicodeDecodeError:
            broken.append(messages.UNREADABLE_FILE.at(_nowhere(name)))
    if not sources and not broken:
        broken.append(messages.NO_FILES.at(_nowhere(directory.name), word=directory.name))
    return tuple(sources), tuple(broken)


def beside(directory: Path) -> lists.Read:
    """How the files of lists beside the rules are read, by their names as rule files are named."""

    def read(file: str) -> bytes | None:
        path = directory.parent / file
        return path.read_bytes() if path.is_file() else None

    return read


def decoded(found: bytes) -> str:
    """The text of a rule file. Errors: UnicodeDecodeError where it is not UTF-8."""
    # some editors begin a file with a mark, which is no part of the text
    return _lines(found.decode("utf-8-sig"))


def _lines(text: str) -> str:
    """A text with every end of a line as one character."""
    return io.StringIO(text, newline=None).read()


def _belongs(path: Path, directory: Path) -> bool:
    """Whether a file is one of the rule set of a directory."""
    return path.suffix == SUFFIX and path.is_relative_to(directory) and path.relative_to(directory).parts[0] != EXAMPLES


def _files(directory: Path) -> list[Path]:
    """The rule files of one rule set, in the order of their paths."""
    return sorted(path for path in directory.rglob(f"*{SUFFIX}") if _belongs(path, directory))


def _nowhere(name: str) -> Span:
    return Span(Source(name, ""), 0, 0)


def _no_file(_file: str) -> bytes | None:
    return None


def load_sources(
    sources: Iterable[Source],
    vocabulary: Vocabulary,
    *,
    today: date | None = None,
    keep: Keep = made_anew,
    read: lists.Read = _no_file,
) -> Loaded:
    """Load rule files that are in memory. Shape: `read` gives the files of lists."""
    with uncollected():
        return _loaded(tuple(sources), vocabulary, today, keep, read)


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Look for no garbage: what loading makes stays, and to look through it takes as long as all else."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _loaded(
    texts: tuple[Source, ...], vocabulary: Vocabulary, today: date | None, keep: Keep, read: lists.Read
) -> Loaded:
    read = functools.cache(read)  # a list that is replaced meanwhile is hashed as it was read
    parsed = keep("rules", texts, lambda: [(source, parse.read(source)) for source in texts])
    broken = [diagnostic for _, found in parsed for diagnostic in found.diagnostics]
    checked = check([File(source, found.statements) for source, found in parsed], vocabulary, today, read)
    missing = [one for source, found in parsed for one in _unread(source, found)]
    faulty = _faulty(checked.diagnostics, [one for _, found in parsed for one in found.statements])
    missing += [span.text for span in faulty]
    said = [d for d in checked.diagnostics if _within(d, faulty) or not _follows(d, missing)]
    diagnostics = in_order((*broken, *said))
    if any(d.severity == "error" for d in diagnostics):
        return Loaded(None, diagnostics)
    listed = lists.files(statement for _, found in parsed for statement in found.statements)
    files = {name: read(name) for name in listed}
    return Loaded(_compile(checked, texts, vocabulary, files), diagnostics, checked.trials)


DECLARING = frozenset({"agreement", "list", "codes", "target", "accept"})
"""Statements without which others that name what they declare look wrong."""

_FOLLOWS: Mapping[str, frozenset[str]] = {
    messages.NO_DOMAIN.code: frozenset({"domain"}),
    messages.NOT_ACCEPTED.code: frozenset({"accept", "permit"}),
    messages.ROUTE_GAP.code: frozenset({"route"}),
    messages.NOT_SERVED.code: frozenset({"target"}),
    trial.STRANGE_PLACE.code: frozenset({"accept"}),
}
"""What is said where nothing of a kind is declared, by the first words of what would declare it.

A domain accepts what it permits to be written, too.
"""


def _unread(source: Source, found: parse.Parsed) -> list[str]:
    """The texts of the statements that could not be read; where nothing of a file was, all of it."""
    if found.diagnostics and not found.statements:
        return [span.text for span in parse.cut(source)] or [source.text]
    cuts = list(parse.cut(source)) if found.diagnostics else []
    return [span.text for d in found.diagnostics for span in cuts if span.start <= d.span.start <= span.end]


def _faulty(diagnostics: Iterable[Diagnostic], statements: Iterable[Statement]) -> list[Span]:
    """The statements that declare something, and were read but can't be taken as they are."""
    wrong = [one for one in diagnostics if one.severity == "error"]
    declaring = [one.span for one in statements if one.kind in DECLARING] if wrong else []
    return [span for span in declaring if any(_within(one, (span,)) for one in wrong)]


def _within(diagnostic: Diagnostic, spans: Iterable[Span]) -> bool:
    """Whether what is said stands in one of these places."""
    own = diagnostic.span
    return any(own.source.name == span.source.name and span.start <= own.start <= span.end for span in spans)


def _follows(diagnostic: Diagnostic, missing: Sequence[str]) -> bool:
    """Whether what is said may be said only because a statement could not be read.

    What a broken statement would have declared is missing everywhere: that is no error of the places that use it.
    """
    kinds = {_kind(text) for text in missing}
    named = (text.split(maxsplit=2) for text in missing)
    if diagnostic.span.text in {words[1] for words in named if len(words) > 1 and words[0] != "accept"}:
        return True
    follows = frozenset[str]() if diagnostic.code == messages.UNDECLARED.code else _FOLLOWS.get(diagnostic.code)
    return follows is not None and not kinds.isdisjoint({*follows, "domain"})


def _kind(text: str) -> str:
    """The first word of a statement as it was probably meant."""
    first = next(iter(text.split(maxsplit=1)), "")
    return first if first in parse.KINDS else nearest(first, parse.KINDS) or "domain"


def place(span: Span) -> str:
    """`file:line`, where a rule stands."""
    return f"{span.source.name}:{span.line}"


def digest(sources: Iterable[Source], files: Mapping[str, bytes | None] = MappingProxyType({})) -> str:
    """What tells one rule set from another: a hash of names and texts, lists included, in hexadecimal."""
    whole = hashlib.sha256()
    for source in sorted(sources, key=lambda s: s.name):
        for part in (source.name, source.text):
            data = part.encode()
            whole.update(len(data).to_bytes(8, "big") + data)
    for name in sorted(files):
        for data in (name.encode(), files[name] or b""):
            whole.update(len(data).to_bytes(8, "big") + data)
    return whole.hexdigest()


def _compile(
    checked: Checked, sources: tuple[Source, ...], vocabulary: Vocabulary, files: Mapping[str, bytes | None]
) -> RuleSet:
    domains = checked.domains.values()
    agreements = checked.registry.agreements
    granted = {p.id: granting(p, agreements, vocabulary) for domain in domains for p in domain.permits}
    forbids = {f.id: f for domain in domains for f in domain.forbids}
    masks = [masking(m, vocabulary) for domain in domains for m in domain.masks]
    types = {name for p in granted.values() for name in p.permit.types}
    about = {name: subjects(name, vocabulary.elements, vocabulary.tables) for name in types}
    return RuleSet(
        digest=digest(sources, files),
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
        querying=_querying(tuple(granted.values()), tuple(forbids.values()), masks, about),
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
        subjects=about,
        noticing=tuple(noticing(r) for domain in domains for r in domain.routes if r.on.data_types == (GLASS,)),
        cited={
            rule.id: rule.because.agreement
            for domain in domains
            for rule in rules_of(domain)
            if rule.because is not None and rule.because.agreement is not None
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
        Program(lambda: program(settle(rules, message_type), f"{domain.name} {message_type}")),
        rules.permits,
        tuple(forbidding(f) for f in of_resources) if data_type == "Fhir" else (),
    )


def _querying(
    permits: Sequence[Granting],
    declared: Iterable[Forbid],
    masks: Sequence[Masking],
    about: Mapping[str, Subjects | None],
) -> dict[tuple[str, str], Querying]:
    """The rules of all domains by action and type, those that can't match there left out."""
    forbids = tuple(forbidding(f) for f in declared if "ingest" not in f.actions)
    actions = dict.fromkeys((*ACTIONS, *(action for p in permits for action in p.permit.actions)))
    granted: dict[tuple[str, str], list[Granting]] = {}
    for p in permits:
        for key in itertools.product(p.permit.actions, p.permit.types):
            granted.setdefault(key, []).append(p)
    against: dict[tuple[str, str], list[Forbidding]] = {}
    for f in forbids:
        for key in itertools.product(f.forbid.actions, f.forbid.types or about):
            against.setdefault(key, []).append(f)
    found: dict[tuple[str, str], Querying] = {}
    for action in actions:
        for name, whose in about.items():
            own = [f for f in against.get((action, name), ()) if _may_match(f.each, whose)]
            granting_it = [p for p in granted.get((action, name), ()) if _may_match(p.each, whose)]
            # what is hidden from a search is not counted by either
            shown = {action, "search"} if action == "count" else {action}
            hiding = [m for m in masks if name in m.mask.types and not shown.isdisjoint(m.mask.actions)]
            of_request = tuple(f for f in own if f.each is None)
            found[action, name] = Querying(
                tuple(granting_it),
                frozenset(parameter for p in granting_it for parameter in p.names[name]),
                of_request,
                tuple(f for f in own if f.each is not None),
                Program(functools.partial(_asked, granting_it, of_request, f"{action} {name}")),
                {
                    p.permit.id: View(p.permit.id, p.permit.types, p.hide, (), rows_of(p))
                    for p in granting_it
                    if not p.narrow.get(name)
                },
                tuple(m for m in hiding if _may_match(m.each, whose)),
            )
    return found


def _asked(permits: Iterable[Granting], forbids: Iterable[Forbidding], name: str) -> Callable[[Facts], Judged]:
    """What the rules say of a request before any resource is seen, as one function."""
    of_request = [replace(p, permit=replace(p.permit, when=split(p.permit.when)[0])) for p in permits]
    return program(Applying(tuple(of_request), tuple(f.forbid for f in forbids), (), ()), name)


def _may_match(each: Each | None, about: Subjects | None) -> bool:
    """Whether a rule may match on a type: one that reads the patient never does outside of the compartment."""
    return each is None or not each.patient or about is not None


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
