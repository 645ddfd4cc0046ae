"""`gateway journal replay --dry-run`: what was sent, judged by other rules, and which answers would change.

Nothing is delivered or kept: it is judged by a gateway on a data folder that is gone afterwards.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import structlog
from pydantic import SecretStr

from gateway import assemble, loading
from gateway.config import FILES, SQLITE, Settings
from gateway.interactions.files import Files
from gateway.interactions.gateway import Gateway
from gateway.interactions.rehearse import Verdict, rehearse
from gateway.journal.browsing import Entry
from gateway.journal.opening import keys_of

NOT_SENT = "AuditEvent"
"""What the gateway itself put there: nothing judged it."""
KEPT_BY_KEY = ("-K01", "-K02")
"""Ends of the codes by which a key refuses, whatever rules say."""


@dataclass(frozen=True, slots=True)
class Changed:
    """A submission whose answer would be another."""

    entry: Entry
    was: Verdict
    now: Verdict

    @property
    def sentence(self) -> tuple[str, str]:
        """What it was and what it is now, each in words."""
        return told(self.was), told(self.now)


@dataclass(slots=True)
class Rejudged:
    """What became of those that were judged again, changed as they go by.

    Shape: `skipped` counts by why they could not be judged; `by_rule` counts by what they were and are now.
    """

    judged: int = 0
    changed: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    by_rule: Counter[tuple[str, str]] = field(default_factory=Counter)

    def count(self, found: Changed | str | None) -> None:
        """Count one: what changed, why it was not judged, or neither."""
        if isinstance(found, str):
            self.skipped[found] += 1
            return
        self.judged += 1
        if found is not None:
            self.changed += 1
            self.by_rule[found.sentence] += 1


@contextmanager
def _unlogged() -> Iterator[None]:
    """The gateway that judges says nothing: its log lines would stand among the answers."""
    before = structlog.get_config()
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    try:
        yield
    finally:
        structlog.configure(**before)


@asynccontextmanager
async def bench(settings: Settings, loaded: loading.Decisions) -> AsyncIterator[Gateway]:
    """A gateway that judges by these rules, on a data folder of its own, with the files of the settings' own.

    Errors: as `assemble.opened`.
    """
    with _unlogged(), TemporaryDirectory(prefix="gateway-") as folder:
        alone = settings.model_copy(update={
            "data": Path(folder), "shared": None, "journal": SQLITE, "journal_password_file": None,
            "journal_key_file": None, "journal_keys": SecretStr(""), "targets": {}, "credentials": {}, "mtls": None,
            "issuers": {},
        })  # fmt: skip
        async with assemble.opened(alone, loaded) as gateway:
            yield replace(gateway, files=Files(settings.data / FILES, keys_of(settings)))


async def rejudged(gateway: Gateway, entries: Iterable[Entry]) -> AsyncIterator[Changed | str | None]:
    """What became of each: what changed, why it could not be judged, or neither."""
    for entry in entries:
        why = _unjudged(entry)
        if why is not None:
            yield why
            continue
        try:
            now = await rehearse(gateway, entry.submission)
        except OSError:
            yield "its file is not in this data folder"
            continue
        was = _was(entry)
        yield Changed(entry, was, now) if _differs(entry, was, now) else None


def told(verdict: Verdict) -> str:
    """A verdict in words."""
    by = f" by {', '.join(verdict.rules)}" if verdict.rules else ""
    to = f", to {', '.join(sorted(verdict.targets))}" if verdict.targets else ""
    return f"{verdict.state}{by}{to}"


def as_data(found: Changed) -> dict[str, object]:
    """A change, for programs."""
    sent = found.entry.submission
    return {
        "receipt": sent.receipt, "received": sent.received, "domain": sent.domain, "type": sent.type,
        "controlId": sent.control_id, "was": _data(found.was), "now": _data(found.now),
    }  # fmt: skip


def _data(verdict: Verdict) -> dict[str, object]:
    targets = None if verdict.targets is None else sorted(verdict.targets)
    return {"state": verdict.state, "rules": list(verdict.rules), "targets": targets, "words": list(verdict.words)}


def _unjudged(entry: Entry) -> str | None:
    """Why a submission can't be judged again, if so."""
    if entry.submission.data_type == NOT_SENT:
        return "it was not sent to the gateway"
    if entry.purged is not None:
        return "its body was taken out by retention"
    if entry.state == "received":
        return "it is in hand"
    if any(rule.endswith(KEPT_BY_KEY) for rule in entry.rules):
        return "its key was taken, whatever rules say"
    return None


def _was(entry: Entry) -> Verdict:
    targets = frozenset(target.target for target in entry.targets) if entry.state == "accepted" else None
    return Verdict(entry.state, entry.rules, targets)  # type: ignore[arg-type]  # `received` is not judged


def _differs(entry: Entry, was: Verdict, now: Verdict) -> bool:
    """Whether an answer is another; one that a target gave, or that there was nobody, was no rule's."""
    if was.state == "failed" or any(target.state == "rejected" for target in entry.targets):
        return now.state != "accepted"
    if was.state != now.state:
        return True
    goes_elsewhere = None not in {was.targets, now.targets} and was.targets != now.targets
    return goes_elsewhere or (bool(was.rules) and set(was.rules) != set(now.rules))


def as_json(found: Iterable[Changed], counts: Rejudged) -> str:
    """All of it, for programs."""
    return json.dumps({
        "judged": counts.judged, "changed": counts.changed, "skipped": dict(counts.skipped),
        "byRule": [{"was": was, "now": now, "count": n} for (was, now), n in counts.by_rule.most_common()],
        "changes": [as_data(one) for one in found],
    }, indent=2, ensure_ascii=False) + "\n"  # fmt: skip
