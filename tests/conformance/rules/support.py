"""What tests of rules share: the vocabulary, rule sets from text, messages and facts."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from gateway import hl7v2, loading, query, specs
from gateway.fhir.elements import Elements
from gateway.fhir.standards import standards
from gateway.finding import Finding
from gateway.hl7v2 import conformance, dictionary
from gateway.mapping import codes, overlays
from gateway.rules import Facts, Loaded, RuleSet, Vocabulary, load, load_sources
from gateway.source import Source, render

ROOT = Path(__file__).resolve().parents[3]
NOW = datetime(2026, 5, 15, 12, tzinfo=UTC)
TODAY = NOW.date()

REGISTRY = """language 1
organisation qvv "NHS Dorset"
organisation r0d "University Hospitals Dorset" part of qvv
organisation rdz "Dorset HealthCare" part of qvv
role gp-viewer "General practice viewer"
role counter "Counts"
purpose TREAT "Treatment"
purpose HOPERAT "Operations"
target record "Shared record" takes Fhir
target board "Bed board" takes Hl7v2
agreement DSA-1 "Care" from 2026-04-01 until 2026-05-31
agreement DSA-2 "Care" from 2026-04-01 until 2026-05-31 for purpose TREAT
principal engine "Engine"
  connects as r0d
  sends as r0d
  sends category here ADT^A01, ADT^A03
principal partner "Partner"
  connects as qvv
  roles gp-viewer
  may assert purpose TREAT
principal nobody "Nobody"
"""

DOMAIN = """language 1
domain here "Here"
  serves record
accept Hl7v2 ADT^A01, ADT^A03
  versions 2.3 to 2.5.1
"""

INGEST = """
permit P "Anyone"
  to ingest
route R "All"
  on Hl7v2
  to record
  on failure reject
"""


@functools.cache
def vocabulary() -> Vocabulary:
    tables = specs.fhir()
    layouts = loading.layouts(specs.ROOT, codes.load(specs.ROOT / codes.FOLDER))
    versions = {v: dictionary.load(v) for v in dictionary.versions()}
    laid = frozenset(overlays(specs.ROOT))
    elements = Elements(tables)
    return Vocabulary(versions, elements, tables, layouts, laid, conformance.load(), standards(elements))


@functools.cache
def shipped() -> RuleSet:
    return loaded(load(ROOT / "rules", vocabulary()))


def read(rules: str, *more: str, registry: str = REGISTRY) -> Loaded:
    texts = (registry, DOMAIN + rules, *more)
    return load_sources([Source(f"{i}.rules", text) for i, text in enumerate(texts)], vocabulary())


def ruled(rules: str, *more: str, registry: str = REGISTRY) -> RuleSet:
    return loaded(read(rules, *more, registry=registry))


def loaded(found: Loaded) -> RuleSet:
    assert found.rules is not None, "\n".join(render(d) for d in found.diagnostics)
    return found.rules


def message(*segments: str, kind: str = "ADT^A01", version: str = "2.4", msh11: str = "P") -> hl7v2.Message:
    header = rf"MSH|^~\&|A|R0D|DEX|QVV|20260515120000||{kind}|1|{msh11}|{version}"
    return hl7v2.read("\r".join([header, *(segments or ("PID|1||9990000018^^^NHS^NH", "PV1|1|E"))]).encode())


def submission(rules: RuleSet, sent: hl7v2.Message | None = None, caller: str = "engine", **changed: Any) -> Facts:
    sent = sent or message()
    known = rules.caller(caller)
    assert known is not None
    facts: dict[str, Any] = {
        "action": "ingest",
        "caller": known,
        "environment": "test",
        "now": NOW,
        "today": NOW.date(),
        "domain": "here",
        "organisation": "R0D",
        "data_type": "Hl7v2",
        "message": sent,
        "type": sent.type,
        "received": NOW,
    }
    return Facts(**{**facts, **changed})


def question(
    rules: RuleSet,
    resource: str,
    *pairs: tuple[str, str],
    caller: str = "partner",
    action: str = "search",
    purpose: str | None = "TREAT",
    today: date = TODAY,
) -> Facts:
    known = rules.caller(caller)
    assert known is not None
    asked = parsed(resource, pairs) if action in {"search", "count"} else None
    return Facts(action, known, "test", NOW, today, purpose=purpose, type=resource, query=asked)


def parsed(resource: str, pairs: Sequence[tuple[str, str]]) -> query.Query:
    found = query.parse(resource, pairs, vocabulary().tables)
    assert isinstance(found, query.Query), found
    return found


def rules_of(findings: Sequence[Finding]) -> list[tuple[str | None, str | None]]:
    return [(f.rule, f.expression) for f in findings]
