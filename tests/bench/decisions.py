"""Our decision beside other rule engines, on the same rules and the same requests; loading; explaining.

Run alone: `python -m tests.bench --only decisions`. Everybody in it is invented.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from gateway import specs
from gateway.fhir.elements import Elements
from gateway.hl7v2 import dictionary
from gateway.kept import Kept
from gateway.rules import Loaded, RuleSet, Vocabulary, load_sources, parse
from gateway.rules.account.explain import Explainer
from gateway.source import Keep, Source, made_anew
from tests.bench.peers import PEERS, asked
from tests.bench.rule_set import PRINCIPALS, RULES_OF_A_DOMAIN, Request, RuleTexts, requests, rule_texts

SIZES = (30, 1_020, 10_020)
_LOADED = 1_000
_ROUNDS = 5
_LEAST = 0.2  # seconds that a round of a peer takes at least, in passes over all requests


@dataclass(frozen=True, slots=True)
class Measured:
    """What one size gave.

    Shape: `permitted` of how many `requests`; `peers` by name.
    Units: microseconds a decision; `hot` on ten requests that come again and again; `explain` in milliseconds.
    """

    rules: int
    requests: int
    permitted: int
    ours: float
    hot: float
    peers: dict[str, float]
    explain: float


@dataclass(frozen=True, slots=True)
class Loading:
    """Seconds to load rules from their texts: anew, and with what was parsed kept."""

    rules: int
    cold: float
    warm: float


def resources(vocabulary: Vocabulary) -> list[str]:
    """Resource types that may be granted."""
    return sorted(
        {name for name, _ in vocabulary.tables.search_parameters if name not in {"Resource", "DomainResource"}}
    )


def texts_of(count: int, vocabulary: Vocabulary) -> RuleTexts:
    """A rule set of so many permits and forbids."""
    return rule_texts(count // RULES_OF_A_DOMAIN, resources(vocabulary))


def sources(texts: RuleTexts) -> list[Source]:
    """The rule files."""
    return [Source(name, text) for name, text in texts.files.items()]


def loaded(texts: RuleTexts, vocabulary: Vocabulary, keep: Keep = made_anew) -> Loaded:
    """The rules, loaded."""
    found = load_sources(sources(texts), vocabulary, keep=keep)
    if found.rules is None:
        raise RuntimeError(found.diagnostics[0])
    return found


def turns(rules: RuleSet, texts: RuleTexts) -> Sequence[Request]:
    """The requests."""
    callers = {name: caller for name in PRINCIPALS if (caller := rules.caller(name)) is not None}
    return requests(texts, callers)


def median(once: Callable[[], object], count: int, least: float = _LEAST) -> float:
    """Microseconds of one of the `count` things that `once` does: the median of the rounds."""
    began = time.perf_counter()
    once()
    passes = max(1, round(least / (time.perf_counter() - began)))
    found: list[float] = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        for _ in range(passes):
            once()
        found.append((time.perf_counter() - began) / passes / count * 1e6)
    return statistics.median(found)


def measured(count: int, vocabulary: Vocabulary) -> Measured:
    """All engines on one size; every answer the same, or RuntimeError."""
    texts = texts_of(count, vocabulary)
    rules = loaded(texts, vocabulary).rules
    if rules is None:
        raise RuntimeError(count)
    sent = turns(rules, texts)
    facts = [one.facts for one in sent]
    expected = [rules.decide(one).effect == "permit" for one in facts]
    gc.collect()
    gc.freeze()  # rules live as long as the program: `serve` does the same
    decide = rules.decide

    def ours(chosen: Sequence[object]) -> None:
        for one in chosen:
            decide(one)  # type: ignore[arg-type]  # facts, and nothing else is asked for here

    own = median(partial(ours, facts), len(facts))
    hot = median(partial(ours, facts[:10] * 100), len(facts))
    found: dict[str, float] = {}
    for peer in PEERS:
        pairs = asked(peer, texts.rules, sent)
        if [answer(request) for answer, request in pairs] != expected:
            raise RuntimeError(f"{peer.name} decides otherwise")

        def theirs(pairs: Sequence[tuple[Callable[[object], bool], object]] = tuple(pairs)) -> None:
            for answer, request in pairs:
                answer(request)

        found[peer.name] = median(theirs, len(pairs))
    explain = Explainer(rules).explain
    told = median(lambda: [explain(one) for one in facts[:100]], 100) / 1_000
    gc.unfreeze()
    return Measured(len(texts.rules), len(sent), sum(expected), own, hot, found, told)


def loading(folder: Path, vocabulary: Vocabulary) -> Loading:
    """A thousand rules: medians of three loads anew and of three that find what was parsed kept."""
    texts = texts_of(_LOADED, vocabulary)
    parse.grammar()  # the parser is made, or read, once a process
    loaded(texts, vocabulary, Kept(folder / "kept"))

    def took(keep: Keep) -> float:
        gc.collect()
        began = time.perf_counter()
        loaded(texts, vocabulary, keep)
        return time.perf_counter() - began

    gc.disable()  # as the program does until it serves
    cold = statistics.median(took(made_anew) for _ in range(3))
    warm = statistics.median(took(Kept(folder / "kept")) for _ in range(3))
    gc.enable()
    return Loading(_LOADED, cold, warm)


def measure(folder: Path) -> list[str]:
    """The section: all sizes, and loading."""
    tables = specs.fhir()
    vocabulary = Vocabulary(
        {version: dictionary.load(version) for version in dictionary.versions()}, Elements(tables), tables, {}
    )
    return section([measured(count, vocabulary) for count in SIZES], loading(folder, vocabulary))


def section(found: Sequence[Measured], load: Loading) -> list[str]:
    """Lines of Markdown, with the bars."""
    first, last = found[0], found[-1]
    times = min(min(one.peers.values()) / one.ours for one in found)
    held = [
        (f"decision at {first.rules:,} rules, us", first.ours, "<= 2", first.ours <= 2),
        (f"the same at {last.rules:,} rules, times", last.ours / first.ours, "<= 3", last.ours / first.ours <= 3),
        (f"load {load.rules:,} rules cold, s", load.cold, "< 1.5", load.cold < 1.5),
        (f"load {load.rules:,} rules warm, s", load.warm, "< 0.3", load.warm < 0.3),
        ("explain, ms", max(one.explain for one in found), "< 1", max(one.explain for one in found) < 1),
        ("faster than the fastest peer, times (goal)", times, ">= 5", times >= 5),
    ]  # fmt: skip
    bars = [f"| {name} | {value:,.2f} | {bar} | {'yes' if met else 'NO'} |" for name, value, bar, met in held]
    sizes = " | ".join(f"{one.rules:,}" for one in found)
    rows = [
        f"| **ours** | {' | '.join(f'**{one.ours:,.2f}**' for one in found)} |",
        f"| ours, ten requests again and again | {' | '.join(f'{one.hot:,.2f}' for one in found)} |",
        *(f"| {name} | {' | '.join(f'{one.peers[name]:,.2f}' for one in found)} |" for name in first.peers),
    ]
    permitted = ", ".join(f"{one.permitted} of {one.requests}" for one in found)
    how = (
        f"Microseconds a decision: medians of {_ROUNDS} rounds over the same {first.requests:,} random requests over "
        "all domains (messages sent; resources read, searched, written), every answer the same. Rules are permits "
        f"and forbids, ten to a domain; permitted: {permitted}. Our decision finds its rules by itself and names those "
        "that decided; each other engine is handed the rules of the request's key alone, compiled before, and answers "
        "yes or no."
    )
    return [
        "", "## Decision beside other rule engines", "", how, "",
        f"| rules | {sizes} |", "|---" * (len(found) + 1) + "|", *rows, "",
        "| what | measured | bar | met |", "|---|---|---|---|", *bars,
    ]  # fmt: skip
