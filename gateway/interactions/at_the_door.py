"""Audit rows of what is decided before anything is asked of the rules: who got a token, and who was turned away.

Requests that are refused only because there are too many of them have one row a second for each that sends them, so
that nobody fills the journal.
Source: "Audit" in `trust.md` of the design: every decision, permitted or not.
"""

from __future__ import annotations

import structlog
from starlette.requests import Request

from gateway.interactions.gateway import Gateway, address_of, party_of
from gateway.interactions.refused import Refused
from gateway.journal import AuditRow, JournalUnavailable

UNKNOWN = "unknown"
"""The principal of a request whose sender could not be told."""
AUTHENTICATE = "authenticate"
REQUEST = "request"
TOO_MANY = "too-many"
log = structlog.get_logger()


def row_of(request: Request, gateway: Gateway, action: str, what: str, outcome: str, principal: str) -> AuditRow:
    """A row of a request that has not come to the rules."""
    return AuditRow(
        at=gateway.clock().isoformat(), principal=principal, user=None, purpose=None, action=action, what=what,
        rules=(), outcome=outcome, digest=gateway.rules.digest, request=request.state.log.get("request"),
        address=address_of(request) or None,
    )  # fmt: skip


async def turned_away(request: Request, gateway: Gateway, refusal: Refused, action: str = AUTHENTICATE) -> None:
    """Write the row of a request that is refused before it is known what it may, or that came to nothing.

    Where the journal can't be written it is refused all the same, and the log tells: nothing leaves by that.
    """
    principal = str(request.state.log.get("principal", UNKNOWN))
    if refusal.reason == TOO_MANY:
        second = int(gateway.clock().timestamp())
        if not gateway.told.first(f"{principal} {party_of(request)}", second):
            return
    route = getattr(request.scope.get("route"), "path", UNKNOWN)
    codes = " ".join(dict.fromkeys(finding.rule for finding in refusal.findings if finding.rule))
    what = f"{request.method} {route} {codes}".rstrip()
    try:
        await gateway.journal.audit(row_of(request, gateway, action, what, refusal.reason, principal))
    except JournalUnavailable as fault:
        log.error("journal unavailable", why=str(fault), what=what)
