"""`/_health/live` and `/_health/ready`: is the process up, and can it do its work."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gateway.interactions.gateway import Gateway, Target, of
from gateway.interactions.respond import NO_STORE
from gateway.upstream import TargetDown

WITHIN = 5.0


async def live(request: Request) -> Response:
    """Answer that the process serves requests."""
    return JSONResponse({"status": "live", **_which(of(request))}, headers=NO_STORE)


async def ready(request: Request) -> Response:
    """Answer with the state of rules, queue, journal and every declared target; 503 unless all are well.

    Rules that can't be loaded are told of, and are no fault: the last good ones are served.
    """
    gateway = of(request)
    names = sorted(gateway.rules.registry.targets)
    states = await asyncio.gather(*(_target(gateway.targets.get(name)) for name in names))
    parts = {
        "rules": "ready",
        "queue": "ready" if not request.app.state.worker.done() else "ended",
        "journal": "ready" if await gateway.journal.writable() else "can't be written",
        **{f"target {name}": state for name, state in zip(names, states, strict=True)},
    }
    well = all(state == "ready" for state in parts.values())
    body: dict[str, object] = {
        "status": "ready" if well else "not ready",
        "rulesDigest": gateway.rules.digest,
        "parts": parts,
        **_which(gateway),
    }
    kept = request.app.state.reload.kept
    if kept is not None:
        body["rulesNotLoaded"] = {"since": kept.since.isoformat(), "errors": kept.errors, "first": kept.first}
    return JSONResponse(body, 200 if well else 503, NO_STORE)


def _which(gateway: Gateway) -> dict[str, object]:
    """Which of several processes answers."""
    return {} if gateway.worker is None else {"worker": gateway.worker}


async def _target(target: Target | None) -> str:
    if target is None:
        return "no address is configured for it"
    try:
        async with asyncio.timeout(WITHIN):
            await target.ready()
    except TargetDown as fault:
        return f"down: {fault.why}"
    except TimeoutError:
        return "down: it did not answer in time"
    return "ready"
