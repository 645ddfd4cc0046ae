"""Where a write goes that names a search in place of an id: what fits, as far as the caller may see it.

Source: https://hl7.org/fhir/R4/http.html#ccreate, #cond-update; `facade.md` of the design, "Query parsing"
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from gateway.interactions.call import Call
from gateway.interactions.judge_write import Authority
from gateway.interactions.refused import Refused, error
from gateway.interactions.search import matches, pairs_of
from gateway.interactions.sent import Sent
from gateway.interactions.shaping import parsed

RESULTS = frozenset({"_count", "_sort", "_total", "_summary", "_elements", "_page"})


def overlapping(sends: Sequence[Sent]) -> Sent | None:
    """The first write whose condition another has before it: neither would see what the other makes.

    Source: https://hl7.org/fhir/R4/http.html#trules, resolved identities must not overlap.
    """
    before: set[tuple[str, object]] = set()
    for sent in sends:
        if sent.condition is None:
            continue
        condition = sent.type, _same(criteria_of(sent))
        if condition in before:
            return sent
        before.add(condition)
    return None


def _same(criteria: str) -> object:
    """What two spellings of one condition have in common; one that can't be read is refused later."""
    try:
        return tuple(sorted(pairs_of(criteria)))
    except ValueError:
        return criteria


def criteria_of(sent: Sent) -> str:
    """The condition of a write as a query alone: a client may send it with the type before it."""
    return (sent.condition or "").removeprefix(sent.type).removeprefix("?")


async def place(call: Call, authority: Authority) -> tuple[str | None, str]:
    """The id that fits the condition of a write, if any, and the one that it goes to.

    Errors: Refused: 412 where several fit or nothing was asked, 400 and 403 for a search that may not be made.
    """
    sent = authority.sent
    if sent.condition is None:
        return None, sent.id or str(uuid.uuid4())
    try:
        pairs = pairs_of(criteria_of(sent))
    except ValueError as fault:
        raise Refused("unreadable", error("invalid", "the condition can not be read", None, "HTTP-W21")) from fault
    criteria = [(name, value) for name, value in pairs if name not in {"_format", "_pretty"}]
    if not criteria or RESULTS & {name for name, _ in criteria}:
        words = "a condition has search parameters, at least one, and none that only shapes an answer"
        raise Refused("unreadable", error("required", words, None, "HTTP-W22"), status=412)
    asked = parsed(call, sent.type, criteria)
    fitting = await matches(call, asked, authority.server)
    if len(fitting) > 1:
        words = f"more than one {sent.type} fits the condition; make it narrower"
        raise Refused("unreadable", error("multiple-matches", words, None, "HTTP-W23"), status=412)
    own = sent.resource.get("id") if sent.action == "update" else None
    if not fitting:
        return None, own or str(uuid.uuid4())
    match = str(fitting[0]["id"])
    if own is not None and own != match:
        words = f"the {sent.type} that fits the condition has another id than the one that was sent"
        raise Refused("unreadable", error("invalid", words, f"{sent.type}.id", "HTTP-W24"))
    return match, match
