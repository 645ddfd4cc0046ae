"""Who asks, for whom and for what: the token, then purpose and user beside it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from starlette.requests import Request

from gateway.identity import BadCertificate, Unauthorised
from gateway.interactions.at_the_door import turned_away
from gateway.interactions.gateway import LONDON, Gateway, address_of
from gateway.interactions.headers import listed, once, optional_faults, shown
from gateway.interactions.peer import certificate_of
from gateway.interactions.refused import Refused, error
from gateway.interactions.scopes import NONE, Held
from gateway.observing import step
from gateway.rules import Caller, Facts

USER_LENGTH = 256
BREAK_GLASS = "break-glass-reason"
REASON_LENGTH = 10


@dataclass(frozen=True, slots=True)
class Asking:
    """The caller of one request, with the purpose and the user that it acts for, where they are known.

    Shape: `reason` is why it breaks glass, None where it doesn't; `address` is where the request came from.
    """

    caller: Caller
    purpose: str | None
    user: str | None
    scopes: Held = NONE
    reason: str | None = None
    address: str | None = None

    def facts(self, gateway: Gateway, action: str, **more: Any) -> Facts:
        """Facts of a decision about this caller; `more` are those of the request."""
        now = gateway.clock()
        return Facts(
            action=action,
            caller=self.caller,
            environment=gateway.settings.environment,
            now=now,
            today=now.astimezone(LONDON).date(),
            purpose=self.purpose,
            user=self.user,
            glass=self.reason is not None,
            **more,
        )


async def identify(request: Request, gateway: Gateway) -> Asking:
    """Authenticate a request.

    Errors: Refused: 401 for the token, 403 for a principal that no rule file declares or a purpose that it may not
    assert, 429 for more requests a second than it may make or, in place of the 401, an address that kept failing, 400
    for a duplicate header or an unknown purpose. A good token passes whatever else its address sends.
    Source: `rules-language.md` of the design, facts `purpose` and `user`.
    """
    try:
        return await _identified(request, gateway)
    except Refused as refusal:
        await turned_away(request, gateway, refusal)
        raise


async def _identified(request: Request, gateway: Gateway) -> Asking:
    address, most = address_of(request), gateway.settings.failures_a_minute
    try:
        certificate = certificate_of(request, gateway)
        with step("authenticate"):
            principal = await gateway.verifier.authenticate(request.headers.getlist("authorization"), certificate)
    except BadCertificate as fault:
        gateway.failures.check(address, most)
        gateway.failures.count(address, most)
        raise Refused(
            "unauthorised",
            error("login", str(fault), None, "HTTP-A07"),
            headers={"WWW-Authenticate": f'Bearer realm="{gateway.settings.public_url}", error="invalid_token"'},
        ) from fault
    except Unauthorised as fault:
        gateway.failures.check(address, most)
        gateway.failures.count(address, most)
        raise Refused(
            "unauthorised",
            error("login", fault.words, "Authorization", "HTTP-A01"),
            headers={"WWW-Authenticate": fault.challenge},
        ) from fault
    request.scope["state"]["log"]["principal"] = principal.name
    caller = gateway.rules.caller(principal.name)
    if caller is not None and principal.roles:
        caller = replace(caller, roles=caller.roles | principal.roles)
    if caller is None:
        raise Refused("denied", error(
            "forbidden", f"principal {principal.name} is enrolled, but no rule file declares it", None, "HTTP-A02"
        ))  # fmt: skip
    gateway.rates.check(caller.name, gateway.rules.registry.principals[caller.name].per_second, gateway.clock())
    faults = optional_faults(request.headers)
    if faults:
        raise Refused("unreadable", *faults)
    user = principal.user or once(request.headers, "on-behalf-of")[0]
    purpose = principal.purpose or _asserted(request, gateway, caller)
    held = Held(principal.scopes, bool(user), principal.patient)
    return Asking(caller, purpose or None, (user or "")[:USER_LENGTH] or None, held, address=address or None)


def reason_of(request: Request, caller: Caller) -> str | None:
    """Why a caller breaks glass; None for one that doesn't, or may not.

    Errors: Refused (400) for a reason that says too little.
    """
    sent = once(request.headers, BREAK_GLASS)[0]
    if not sent or not caller.may_break_glass:
        return None
    if len(sent) < REASON_LENGTH:
        words = f"header {BREAK_GLASS} needs {REASON_LENGTH} characters or more: say why"
        raise Refused("unreadable", error("value", words, BREAK_GLASS, "HTTP-A06"))
    return sent[:USER_LENGTH]


def _asserted(request: Request, gateway: Gateway, caller: Caller) -> str | None:
    purpose = once(request.headers, "purpose-of-use")[0]
    if not purpose:
        return None
    declared = tuple(sorted(gateway.rules.registry.purposes))
    if purpose not in declared:
        raise Refused("unreadable", error(
            "value", f"header purpose-of-use has the value {shown(purpose)}; accepted: {listed(declared)}",
            "purpose-of-use", "HTTP-A03",
        ))  # fmt: skip
    if purpose not in caller.may_assert:
        raise Refused("denied", error(
            "forbidden",
            f"principal {caller.name} may not assert purpose {purpose} by header; the registry would say "
            f"may assert purpose {purpose}, or the token carries the claim purpose_of_use",
            "purpose-of-use", "HTTP-A04",
        ))  # fmt: skip
    return purpose
