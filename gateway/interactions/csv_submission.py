"""A CSV file becomes a case: its layout, its key, the facts that rules read; and each of its rows is judged.

Source: `http-interface.md` of the design, "Keys" and the words on `Csv`.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from gateway import tabular
from gateway.fhir import Draft
from gateway.finding import Finding, refuses
from gateway.interactions.acknowledge import Sender
from gateway.interactions.files import Kept
from gateway.interactions.gateway import Gateway, decided, places, within_work
from gateway.interactions.identify import Asking
from gateway.interactions.options import Options
from gateway.interactions.refused import Refused
from gateway.interactions.submission import Envelope, entered
from gateway.journal import Submission
from gateway.language.nodes import Column, leaves
from gateway.mapping import Context
from gateway.mapping.rows import RowMap, Told, told
from gateway.rules import Facts, Routing
from gateway.rules.declared import Domain, Forbid, Permit
from gateway.tabular import Begun, Reading, Row

KEY = "idempotency-key"


@dataclass(frozen=True, slots=True)
class File:
    """A file that was read as far as its layout, with what is needed to judge its rows.

    Units: `deadline` on the event loop's clock.
    """

    submission: Submission
    sender: Sender
    facts: Facts
    domain: Domain
    options: Options
    rows: RowMap
    begun: Begun
    told: Told
    deadline: float

    @property
    def whole(self) -> bool:
        """Whether a faulty row refuses the file as a whole."""
        return self.begun.layout.whole


@dataclass(frozen=True, slots=True)
class Judged:
    """A row that was judged. Shape: `drafts` are empty where a finding refuses it. Units: `line` from 1."""

    line: int
    drafts: tuple[Draft, ...]
    findings: tuple[Finding, ...]
    routes: tuple[Routing, ...]
    denied: bool = False


def submitted(gateway: Gateway, asking: Asking, envelope: Envelope, kept: Kept, receipt: str) -> Submission:
    """What the journal keeps of a file, before its layout is known; its content stays on the disk."""
    name, place = envelope.idempotency_key, json.dumps({"file": kept.path.name, "bytes": kept.size}).encode()
    return entered(
        gateway, asking, envelope, receipt,
        control_id=name, key=("Csv", name or kept.sha256), digest=kept.sha256, body=place,
    )  # fmt: skip


def opened(gateway: Gateway, asking: Asking, submission: Submission, options: Options, deadline: float) -> File:
    """A file of a layout that its domain accepts.

    Errors: Refused (unreadable) where it is of none.
    """
    domain = gateway.rules.domains[submission.domain]
    layouts = [gateway.row_maps[name].layout for a in domain.accepts if a.data_type == "Csv" for name in a.types]
    begun = tabular.begin(gateway.files.beginning(submission.receipt), layouts, submission.charset)
    if isinstance(begun, Finding):
        raise Refused("unreadable", begun)
    row_map = gateway.row_maps[begun.layout.name]
    received = datetime.fromisoformat(submission.received)
    context = Context(
        organisation=submission.organisation.upper(),
        domain=domain.name,
        received=received,
        receipt=submission.receipt,
        rules_digest=gateway.rules.digest,
    )
    submission = replace(submission, type=begun.layout.name)
    facts = asking.facts(
        gateway,
        "ingest",
        domain=domain.name,
        organisation=context.organisation,
        data_type="Csv",
        type=begun.layout.name,
        received=received,
        row=dict.fromkeys(begun.layout.columns),
    )
    sender = Sender("Csv", submission.domain, submission.organisation)
    return File(
        submission, sender, facts, domain, options, row_map, begun, told(context, row_map.marks), deadline
    )  # fmt: skip


def reopened(gateway: Gateway, submission: Submission, deadline: float) -> File | None:
    """A file again from what the journal kept of it.

    Shape: None where the rules no longer declare its principal or its domain.
    Errors: Refused, OSError.
    """
    caller = gateway.rules.caller(submission.principal)
    if caller is None or submission.domain not in gateway.rules.domains:
        return None
    asking = Asking(caller, submission.purpose, submission.user)
    return opened(gateway, asking, submission, Options(), deadline)


def judged(gateway: Gateway, file: File, after: int = 0) -> Iterator[Judged]:
    """Every row behind a line, judged and converted; never raises but for a file that can't be read.

    Errors: OSError.
    """
    for row in Reading(file.begun, file.rows.known).rows(gateway.files.chunks(file.submission.receipt)):
        if row.line > after:
            yield _judged(gateway, file, row)


def some(rows: Iterator[Judged], most: int) -> list[Judged]:
    """The next few rows, for a thread to make; none at the end."""
    return list(itertools.islice(rows, most))


def _judged(gateway: Gateway, file: File, row: Row) -> Judged:
    if row.findings:
        return Judged(row.line, (), row.findings, ())
    facts = replace(file.facts, row=row.values)
    decision = decided(gateway, facts)
    findings = tuple(_placed(finding, row.line) for finding in decision.findings)
    if decision.effect != "permit":
        wanting = tuple(_placed(finding, row.line) for finding in decision.wanting)
        return Judged(row.line, (), (*findings, *wanting), (), denied=decision.effect == "deny")
    converted = file.rows.convert(row, file.told)
    if refuses(converted.findings):
        return Judged(row.line, (), (*findings, *converted.findings), ())
    with within_work(facts):
        checked = gateway.rules.check_result(facts, [draft.resource for draft in converted.drafts])
    findings = (*findings, *(_placed(finding, row.line) for finding in checked))
    return Judged(row.line, () if refuses(findings) else converted.drafts, findings, places(gateway, decision.routes))


def _placed(finding: Finding, line: int) -> Finding:
    """A finding of the rules with the line that it is about."""
    where = tabular.place(line)
    return replace(finding, expression=f"{where}, {finding.expression}" if finding.expression else where)


def permitted(gateway: Gateway, file: File) -> bool:
    """Whether the file may be sent, as far as that doesn't depend on its rows.

    Shape: whether that is settled, or each row is to be permitted by itself.
    Errors: Refused (denied).
    """
    rules: tuple[Permit | Forbid, ...] = (*file.domain.permits, *file.domain.forbids)
    tests = [rule.when for rule in rules if "ingest" in rule.actions and rule.when is not None]
    if any(isinstance(leaf, Column) for test in tests for leaf in leaves(test)):
        return False
    decision = decided(gateway, file.facts)
    if decision.effect == "deny":
        findings = decision.findings or decision.wanting
        named = tuple(dict.fromkeys(finding.rule for finding in findings if finding.rule))
        raise Refused("denied", *findings, rules=decision.by or named)
    return True
