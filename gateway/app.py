"""The gateway as an ASGI application: the route table, its life from start to end, and what faults look like."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import structlog
from starlette.applications import Starlette
from starlette.convertors import Convertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.fhir.ids import ID
from gateway.finding import Finding
from gateway.interactions import body, respond
from gateway.interactions.access_log import AccessLog
from gateway.interactions.at_the_door import REQUEST, turned_away
from gateway.interactions.bundle import bundle
from gateway.interactions.discovery import oauth, smart
from gateway.interactions.documents import openapi, page, rules
from gateway.interactions.everything import everything
from gateway.interactions.export import cancel, export, file, status
from gateway.interactions.faults import trace
from gateway.interactions.gateway import Gateway, of
from gateway.interactions.health import live, ready
from gateway.interactions.history import history
from gateway.interactions.ingest import ingest
from gateway.interactions.metadata import metadata
from gateway.interactions.metrics import Apart, metrics
from gateway.interactions.operation import unknown
from gateway.interactions.queue import work_off
from gateway.interactions.read import read
from gateway.interactions.receipt import receipt
from gateway.interactions.refused import Refused, error
from gateway.interactions.reload import Reload
from gateway.interactions.resume import resume, take_up_for_good
from gateway.interactions.retention import purge_for_good
from gateway.interactions.search import search
from gateway.interactions.sent import PATCHES
from gateway.interactions.token import introspect, jwks, revoke, token
from gateway.interactions.validate import validate
from gateway.interactions.watched import METRICS, Watched
from gateway.interactions.write import create, delete, delete_where, patch, patch_where, update, update_where
from gateway.journal import JournalUnavailable
from gateway.observing import COUNTS
from gateway.upstream import TargetDown

log = structlog.get_logger()


class ResourceType(Convertor[str]):
    """Path part that may be a resource type: so `$ingest` and `_health` never are."""

    regex = "[A-Z][A-Za-z]+"

    def convert(self, value: str) -> str:
        """Part as the handler sees it."""
        return value

    def to_string(self, value: str) -> str:
        """Part as an address has it."""
        return value


class ResourceId(Convertor[str]):
    """Path part that may be a resource's id. Source: https://hl7.org/fhir/R4/datatypes.html#id."""

    regex = r"(?!\.{1,2}(?:/|$))" + ID

    def convert(self, value: str) -> str:
        """Part as the handler sees it."""
        return value

    def to_string(self, value: str) -> str:
        """Part as an address has it."""
        return value


register_url_convertor("resource_type", ResourceType())
register_url_convertor("resource_id", ResourceId())

ROUTES = [
    # asked for most, so looked at first: no other address is like them
    Route("/{type:resource_type}", search, methods=["GET"]),
    Route("/{type:resource_type}/{id:resource_id}", read, methods=["GET"]),
    Route("/", bundle, methods=["POST"]),
    Route("/$ingest", ingest, methods=["POST"]),
    Route("/$ingest/auth", token, methods=["POST"]),
    Route("/$ingest/auth/introspect", introspect, methods=["POST"]),
    Route("/$ingest/auth/revoke", revoke, methods=["POST"]),
    Route("/$export", export, methods=["GET", "POST"]),
    Route("/$export/{job:resource_id}", cancel, methods=["DELETE"]),
    Route("/$export/{job:resource_id}", status, methods=["GET"]),
    Route("/$export/{job:resource_id}/{name}", file, methods=["GET"]),
    Route("/$ingest/receipts/{id:resource_id}", receipt, methods=["GET"]),
    Route("/.well-known/jwks.json", jwks, methods=["GET"]),
    Route("/.well-known/oauth-authorization-server", oauth, methods=["GET"]),
    Route("/.well-known/smart-configuration", smart, methods=["GET"]),
    Route("/_health/live", live, methods=["GET"]),
    Route("/_health/ready", ready, methods=["GET"]),
    Route(METRICS, metrics, methods=["GET"]),
    Route("/metadata", metadata, methods=["GET"]),
    Route("/openapi.json", openapi, methods=["GET"]),
    Route("/rules", rules, methods=["GET"]),
    Route("/swagger/v1/swagger.json", openapi, methods=["GET"]),
    Route("/swagger/{name}", page, methods=["GET"]),
    Route("/{type:resource_type}", create, methods=["POST"]),
    Route("/{type:resource_type}", update_where, methods=["PUT"]),
    Route("/{type:resource_type}", patch_where, methods=["PATCH"]),
    Route("/{type:resource_type}", delete_where, methods=["DELETE"]),
    Route("/{type:resource_type}/$export", export, methods=["GET", "POST"]),
    Route("/{type:resource_type}/$validate", validate, methods=["POST"]),
    Route("/{type:resource_type}/_search", search, methods=["POST"]),
    Route("/{type:resource_type}/{id:resource_id}", update, methods=["PUT"]),
    Route("/{type:resource_type}/{id:resource_id}", patch, methods=["PATCH"]),
    Route("/{type:resource_type}/{id:resource_id}", delete, methods=["DELETE"]),
    Route("/{type:resource_type}/{id:resource_id}/$everything", everything, methods=["GET", "POST"]),
    Route("/{type:resource_type}/{id:resource_id}/$validate", validate, methods=["POST"]),
    Route("/{type:resource_type}/{id:resource_id}/_history", history, methods=["GET"]),
    Route("/{type:resource_type}/{id:resource_id}/_history/{version:resource_id}", read, methods=["GET"]),
]

Opened = Callable[[], AbstractAsyncContextManager[Gateway]]


def application(opened: Opened) -> Starlette:
    """Build the application.

    Shape: `opened` opens the parts of a gateway and closes them again; it is entered when the server starts.
    """

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with opened() as gateway:
            COUNTS.set(gateway.watch.counts)  # for the tasks that begin here
            reload = app.state.reload = Reload(app.state, gateway)
            if gateway.anchoring is not None:
                await gateway.anchoring.begin()  # before the first row
            await resume(gateway)
            worker = asyncio.create_task(work_off(lambda: reload.gateway), name="queue")
            worker.add_done_callback(_worker_ended)
            app.state.worker = worker
            keeper = asyncio.create_task(purge_for_good(lambda: reload.gateway), name="retention")
            keeper.add_done_callback(_worker_ended)
            follower = asyncio.create_task(reload.follow(), name="rules")
            follower.add_done_callback(_worker_ended)
            anchors = asyncio.create_task(_anchored(gateway), name="anchors")
            anchors.add_done_callback(_worker_ended)
            heir = asyncio.create_task(take_up_for_good(lambda: reload.gateway), name="resume")
            heir.add_done_callback(_worker_ended)
            yield
            for task in (worker, follower, keeper, anchors, heir):
                task.cancel()
            await asyncio.gather(worker, follower, keeper, anchors, heir, return_exceptions=True)
            if gateway.anchoring is not None:
                await gateway.anchoring.end()  # of all that was answered

    handlers = {
        Refused: _refused,
        TargetDown: _down,
        JournalUnavailable: _journal,
        HTTPException: _http,
        Exception: _fault,
    }
    web = Starlette(
        routes=ROUTES,
        lifespan=lifespan,
        middleware=[Middleware(Watched), Middleware(AccessLog), Middleware(Apart), Middleware(PlainPaths)],
        exception_handlers=handlers,  # type: ignore[arg-type]  # Starlette's type takes handlers of Exception alone
    )
    web.router.redirect_slashes = False  # it would send the path, a patient's id in it, to whatever Host said
    return web


_ENCODED = (b"%2e", b"%2f", b"%5c", b"%00")


class PlainPaths:
    """ASGI middleware that refuses encoded dots, slashes and NULs in paths: what is routed is what was asked for."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or pass on."""
        raw = bytes(scope.get("raw_path", b""))
        if b"%" in raw and scope["type"] == "http" and any(code in raw.lower() for code in _ENCODED):
            request = Request(scope, receive)
            refusal = error("invalid", "encoded dots, slashes and NULs in a path are not taken; write them plain")
            answer = respond.outcome((refusal,), 400, of(request).clock())
            await answer(scope, receive, send)
            return
        await self._app(scope, receive, send)


async def _refused(request: Request, refusal: Refused) -> Response:
    return await _told(request, refusal.findings, refusal.status, refusal.headers)


async def _down(request: Request, fault: TargetDown) -> Response:
    log.warning("target down", target=fault.target, why=fault.why)
    words = error("transient", f"target {fault.target} is down; ask again later", rule="TGT-01")
    await turned_away(request, of(request), Refused("down", words), REQUEST)  # permitted, and it came to nothing
    return await _told(request, (words,), 503, {"Retry-After": "10"})


async def _journal(request: Request, fault: JournalUnavailable) -> Response:
    log.error("journal unavailable", why=str(fault))
    words = "the audit can't be written, so nothing is shown or stored; ask again later"
    return await _told(request, (error("transient", words, rule="JRN-01"),), 503, {"Retry-After": "10"})


async def _http(request: Request, fault: HTTPException) -> Response:
    if fault.status_code == 405 and request.method == "OPTIONS":  # noqa: PLR2004 - HTTP's Method Not Allowed
        return _options(request)
    path = request.scope["path"]
    nowhere = f"{unknown(path)}; see /swagger/index.html" if "/$" in path else ""
    words = {
        404: nowhere or "there is no such address here; see /swagger/index.html",
        405: f"{request.method} is not taken here; see /swagger/index.html",
    }.get(fault.status_code, fault.detail)
    code = "not-found" if fault.status_code == 404 else "not-supported"  # noqa: PLR2004 - HTTP's Not Found
    headers = dict(fault.headers or {})
    if "Allow" in headers:
        headers["Allow"] = _allowed(request)
    return await _told(request, (error(code, words),), fault.status_code, headers)


def _options(request: Request) -> Response:
    """What an address takes, whoever asks. Source: RFC 9110 section 9.3.7; RFC 5789 section 3.1."""
    allowed = _allowed(request)
    patches = PATCHES if "PATCH" in allowed else {}
    return Response(None, 204, {**respond.NO_STORE, "Allow": f"{allowed}, OPTIONS", **patches})


def _allowed(request: Request) -> str:
    """Methods that an address takes, over all of its routes. Source: RFC 9110 section 10.2.1."""
    here = [route for route in ROUTES if route.matches(request.scope)[0] is not Match.NONE]
    return ", ".join(sorted({method for route in here for method in route.methods or ()}))


async def _fault(request: Request, fault: Exception) -> Response:
    log.error("fault", request=request.state.log.get("request"), **trace(fault))
    words = error("exception", f"the gateway failed; name request {request.state.log.get('request')} to its operator")
    return respond.outcome((words,), 500, of(request).clock())


async def _told(request: Request, findings: tuple[Finding, ...], status: int, headers: dict[str, str]) -> Response:
    """OperationOutcome, once the client could finish sending its body."""
    request.state.log.setdefault("outcome", "refused")
    may_stay = await body.drain(request)
    extra = {} if may_stay else {"Connection": "close"}
    return respond.outcome(findings, status, of(request).clock(), {**headers, **extra})


async def _anchored(gateway: Gateway) -> None:
    """Put down the end of the audit's chain every so often, where it has one."""
    if gateway.anchoring is not None:
        await gateway.anchoring.keep()


def _worker_ended(worker: asyncio.Task[None]) -> None:
    if not worker.cancelled() and (fault := worker.exception()) is not None:
        log.error("worker ended", worker=worker.get_name(), **trace(fault))
