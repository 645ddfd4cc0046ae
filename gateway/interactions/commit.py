"""Changes that were judged, made by one transaction of the upstream, and what became of each of them.

Source: https://hl7.org/fhir/R4/http.html#transaction, #transaction-response; `facade.md` of the design
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from gateway import fhir
from gateway.interactions.access import loaded, record
from gateway.interactions.call import Call
from gateway.interactions.conditions import version_of
from gateway.interactions.judge_write import Change
from gateway.interactions.refused import Refused, error
from gateway.interactions.replied import CREATED, NO_CONTENT, OK, Done
from gateway.upstream import Answer, FhirServer, NotAsked, TargetDown

LOST_RACE = frozenset({409, 412})
"""Statuses that say that something else stands by now than what was judged against."""

CLIENT_ERROR = 400


async def committed(call: Call, server: FhirServer, changes: Sequence[Change], deadline: float) -> Answer:
    """The upstream's answer to all changes; one that is never asked for twice.

    Errors: Refused (504) where it isn't known whether they were made.
    """
    if not changes:
        return Answer(OK, {}, b"")
    entries = [
        fhir.entry_delete(one.name, one.etag)
        if one.delete
        else fhir.entry_put(one.resource, one.etag, only_new=one.etag is None)
        for one in changes
    ]
    try:
        async with asyncio.timeout_at(deadline):
            return await server.transact(fhir.dump(fhir.transaction(entries)))
    except NotAsked:
        raise  # nothing was sent: 503, as where the target is down before anything is written
    except (TargetDown, TimeoutError) as fault:
        why = fault.why if isinstance(fault, TargetDown) else "it did not answer in time"
        for change in changes:
            await record_change(call, change, "unknown")
        words = f"target {server.name}: {why}; whether this was stored is not known: look before you send it again"
        raise Refused("down", error("timeout", words, None, "TGT-02"), status=504) from fault


async def done_of(call: Call, server: FhirServer, changes: Sequence[Change], answer: Answer) -> tuple[Done, ...]:
    """What became of each change.

    Errors: Refused (422) where the upstream refused them. Its own words may tell of what the caller may not see.
    """
    if answer.status >= CLIENT_ERROR:
        for change in changes:
            await record_change(call, change, "refused")
        words = f"the FHIR server did not take this: it answered {answer.status}"
        raise Refused("failed", error("processing", words, None, "TGT-03"))
    entries = iter(loaded(server, answer).get("entry", ()) if answer.body else ())
    done = [_done(change, next(entries, {}) if change.write else None) for change in changes]
    rules = tuple(sorted({rule for change in changes for rule in change.rules}))
    call.seen.update(rules=rules, outcome="permit", resources=len(done))
    return tuple(done)


def _done(change: Change, entry: Mapping[str, Any] | None) -> Done:
    if entry is None and change.delete:
        return Done(change, NO_CONTENT, None, None)
    if entry is None:
        meta = change.resource.get("meta", {})
        return Done(change, OK, meta.get("versionId"), meta.get("lastUpdated"))
    response, meta = entry.get("response", {}), entry.get("resource", {}).get("meta", {})
    tag = response.get("etag")
    version = version_of(str(tag)) if tag else meta.get("versionId")  # a server may tell it by the resource alone
    status = NO_CONTENT if change.delete else CREATED if change.etag is None else OK
    return Done(change, status, version, response.get("lastModified", meta.get("lastUpdated")))


async def record_change(call: Call, change: Change, outcome: str) -> None:
    """Write the audit row of one change.

    Errors: JournalUnavailable.
    """
    sent = change.authority.sent
    about = (change.resource,)
    await record(call, sent.action, sent.type, rules=change.rules, outcome=outcome, seen=(change.name,), about=about)
