"""The store as an ASGI app: a FHIR R4 server on one SQLite file.

Source: https://hl7.org/fhir/R4/http.html
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import http
import logging
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway import fhir, specs
from gateway.fhir.json_patch import MEDIA_TYPE as PATCH
from gateway.finding import Finding
from gateway.query import Query
from gateway.specs import FhirTables
from gateway.upstream import wire
from gateway.upstream.store import answers, capability, splice
from gateway.upstream.store.bundles import Bundles
from gateway.upstream.store.engine import Change, Store
from gateway.upstream.store.frames import Text
from gateway.upstream.store.histories import asked_history
from gateway.upstream.store.patching import edit_of
from gateway.upstream.store.refusal import Refusal
from gateway.upstream.store.requests import ID, checked, criteria, known_type, query, there
from gateway.upstream.store.schema import StoreError
from gateway.upstream.store.versions import Draft, Version, Written
from gateway.upstream.store.writer import Unwritable

BODY_LIMIT = 64 * 1024 * 1024
"""Units: bytes."""
_JSON = frozenset({"application/fhir+json", "application/json", "application/json+fhir"})
_FORM = "application/x-www-form-urlencoded"
_ISSUES = {404: "not-found", 405: "not-supported"}
_LONGEST_NUMBER = 18
_INSIDE = "http://embedded"
_LOG = logging.getLogger(__name__)


def _now() -> datetime:
    return datetime.now(UTC)


def app(
    path: Path, *, clock: Callable[[], datetime] = _now, tables: FhirTables | None = None, trusted: bool = False
) -> StoreApp:
    """The ASGI app of a store on one database file, made where it is missing.

    Shape: `clock` gives aware moments; `tables` are those of `specs/` where none are given; `trusted` see `StoreApp`.
    """
    return StoreApp(path, clock, tables, trusted=trusted)


class StoreApp:
    """The app and the store behind it; the file is opened by the first request or by the server's lifespan.

    Shape: with `trusted` the bodies come from the gateway itself, which has read them strictly before: they are read
    faster here, and a member that stands twice in an object is not refused.
    """

    def __init__(self, path: Path, clock: Callable[[], datetime], tables: FhirTables | None, *, trusted: bool) -> None:
        """Open nothing yet."""
        self._path = path
        self.clock = clock
        self._tables = tables
        self._load: Callable[[bytes], dict[str, Any]] = wire.loads if trusted else fhir.load
        self._store: Store | None = None
        self._stated = ("", b"")  # the last base asked under, and what was stated: it takes long to make
        self.starlette = Starlette(
            routes=[
                Route("/", self.bundle, methods=["POST"]),
                Route("/metadata", self.metadata),
                Route("/_history", self.history),
                Route("/{type}", self.search),
                Route("/{type}", self.create, methods=["POST"]),
                Route("/{type}", self.update_where, methods=["PUT"]),
                Route("/{type}", self.patch, methods=["PATCH"]),
                Route("/{type}", self.delete, methods=["DELETE"]),
                Route("/{type}/_search", self.search, methods=["POST"]),
                Route("/{type}/_history", self.history),
                Route("/{type}/{id}", self.read),
                Route("/{type}/{id}", self.update, methods=["PUT"]),
                Route("/{type}/{id}", self.patch, methods=["PATCH"]),
                Route("/{type}/{id}", self.delete, methods=["DELETE"]),
                Route("/{type}/{id}/_history", self.history),
                Route("/{type}/{id}/_history/{version}", self.vread),
            ],
            exception_handlers={
                Refusal: self.refused,
                **dict.fromkeys((Unwritable, StoreError, sqlite3.Error), self.unusable),
                HTTPException: self.no_route,
                Exception: self.failed,
            },
            lifespan=self._lifespan,
        )

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one ASGI connection."""
        await self.starlette(scope, receive, send)

    @contextlib.asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        self.store()
        yield
        await self.aclose()

    def store(self) -> Store:
        """The store, opened where it isn't.

        Errors: StoreError.
        """
        if self._store is None:
            self._tables = self._tables or specs.fhir()
            self._store = Store(self._path, self._tables, self.clock)
        return self._store

    async def aclose(self) -> None:
        """Finish what is being written and close the file. A later request opens it again."""
        store, self._store = self._store, None
        if store is not None:
            await store.aclose()

    def standing(self, names: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Version]:
        """Standing versions by type and id, for a gateway in this process; those that there aren't are left out.

        Errors: StoreError, sqlite3.Error.
        """
        return self.store().standing_many(list(dict.fromkeys(names)))

    async def put(self, resources: Sequence[tuple[dict[str, Any], str | None]]) -> None:
        """Write resources under their own ids, all or none, for a gateway in this process.

        Shape: each with the version id that must stand, None where none may stand.
        Errors: Refusal, Unwritable, StoreError.
        """
        store, changes = self.store(), []
        for resource, etag in resources:
            type_, id_ = str(resource["resourceType"]), str(resource["id"])
            known_type(type_, store.tables)
            checked(resource, type_, id_)
            changes.append(_put(Draft(type_, resource, splice.content_of(resource)), id_, etag))
        await store.write(changes, _INSIDE)

    def hand_over(self, texts: Iterable[Text]) -> asyncio.Future[list[Written]]:
        """The same of resources in texts, which `fhir.dump` made; done once they are on the disk.

        Errors: Refusal, StoreError, sqlite3.Error; in the future also Unwritable.
        """
        store, changes = self.store(), []
        for type_, id_, etag, text in texts:
            known_type(type_, store.tables)
            resource = wire.roughly(text)
            checked(resource, type_, id_)
            draft = store.versions.draft(type_, resource, text, 0, len(text), rough=True)
            changes.append(_put(draft, id_, etag))
        return store.hand_over(changes, _INSIDE)

    async def found(self, type_: str, text: str, base: str) -> bytes:
        """A page of search results, for a gateway in this process. Shape: `text` is that of an address, behind `?`.

        Errors: Refusal, StoreError, sqlite3.Error.
        """
        tables = self.store().tables
        known_type(type_, tables)
        return await self._found(query(type_, tables, text), base)

    async def bundle(self, request: Request) -> Response:
        """Transaction and batch. Source: https://hl7.org/fhir/R4/http.html#transaction."""
        store, raw = self.store(), await _body(request, _JSON)
        bundle = self._read(raw)
        if bundle.get("resourceType") != "Bundle":
            raise Refusal(400, "invalid", "only a Bundle is sent to the base address", "resourceType")
        wanted = "return=representation" in request.headers.get("prefer", "")
        return answers.json_answer(await Bundles(store, self.clock).answer(bundle, raw, _base(request), body=wanted))

    async def metadata(self, request: Request) -> Response:
        """Capabilities. Source: https://hl7.org/fhir/R4/http.html#capabilities."""
        base = _base(request)
        if base != self._stated[0]:
            self._stated = (base, capability.statement(self.store().tables, base, self.clock()))
        return answers.json_answer(self._stated[1])

    async def search(self, request: Request) -> Response:
        """Search by address, form or both. Source: https://hl7.org/fhir/R4/http.html#search."""
        store, type_ = self.store(), self._type(request)
        texts = [request.url.query]
        if request.method == "POST":
            form = await _body(request, frozenset({_FORM}))
            try:
                texts.append(form.decode("ascii"))
            except UnicodeDecodeError as error:
                raise Refusal(400, "invalid", "a form is ASCII, other characters percent-encoded") from error
        return answers.json_answer(await self._found(query(type_, store.tables, *texts), _base(request)))

    async def _found(self, asked: Query, base: str) -> bytes:
        page = await self.store().search(asked, base)
        told = functools.partial(answers.searchset, asked, page, base, self.store().tables, self.clock())
        if asked.elements or asked.summary not in {None, "false", "count"}:
            # resources are parsed and cut: a large page of them would hold up the loop
            return await asyncio.to_thread(told)
        return told()

    async def read(self, request: Request) -> Response:
        """Read. Source: https://hl7.org/fhir/R4/http.html#read."""
        type_, id_ = self._type(request), request.path_params["id"]
        version = there(self.store().standing(type_, id_), f"{type_}/{id_}")
        return answers.unchanged(version, request.headers) or answers.resource(version, _base(request))

    async def vread(self, request: Request) -> Response:
        """Read one version. Source: https://hl7.org/fhir/R4/http.html#vread."""
        type_, id_, number = self._type(request), request.path_params["id"], request.path_params["version"]
        version = self.store().version(type_, id_, int(number)) if _is_number(number) else None
        return answers.resource(there(version, f"{type_}/{id_}/_history/{number}"), _base(request))

    async def history(self, request: Request) -> Response:
        """Versions of a resource, of a type or of all. Source: https://hl7.org/fhir/R4/http.html#history."""
        type_ = self._type(request) if "type" in request.path_params else None
        asked = asked_history(type_, request.path_params.get("id"), request.url.query)
        return answers.json_answer(answers.history(asked, await self.store().history(asked), _base(request)))

    async def create(self, request: Request) -> Response:
        """Create, maybe on condition. Source: https://hl7.org/fhir/R4/http.html#create."""
        return await self._write(request, None, request.headers.get("if-none-exist"))

    async def update(self, request: Request) -> Response:
        """Update, or create under a given id. Source: https://hl7.org/fhir/R4/http.html#update."""
        id_ = request.path_params["id"]
        if not ID.fullmatch(id_):
            raise Refusal(400, "value", "an id is 1 to 64 letters, digits, hyphens and points", "id")
        return await self._write(request, id_, None)

    async def update_where(self, request: Request) -> Response:
        """Conditional update. Source: https://hl7.org/fhir/R4/http.html#cond-update."""
        return await self._write(request, None, request.url.query)

    async def patch(self, request: Request) -> Response:
        """Patch by JSON Patch, maybe on condition. Source: https://hl7.org/fhir/R4/http.html#patch."""
        type_, raw = self._type(request), await _body(request, frozenset({PATCH}))
        change = replace(self._change(request, type_), edit=edit_of(raw, type_))
        return self._written(request, await self._done(request, change))

    async def delete(self, request: Request) -> Response:
        """Delete, maybe on condition. Source: https://hl7.org/fhir/R4/http.html#delete, #2.21.0.12.1."""
        done = await self._done(request, self._change(request, self._type(request)))
        headers = {} if done.version is None else {"ETag": done.version.etag}
        return Response(None, done.status, headers)

    def _change(self, request: Request, type_: str) -> Change:
        """A change of what stands, under its id or where one resource fits the address's search."""
        id_, match = request.path_params.get("id"), request.headers.get("if-match")
        found = criteria(type_, self.store().tables, request.url.query) if id_ is None else None
        return Change(request.method, Draft(type_, {}, b""), id_, found, match)

    async def _done(self, request: Request, change: Change) -> Written:
        (written,) = await self.store().write([change], _base(request))
        return written

    async def _write(self, request: Request, id_: str | None, condition: str | None) -> Response:
        store, type_ = self.store(), self._type(request)
        raw = await _body(request, _JSON)
        resource = self._read(raw)
        checked(resource, type_, id_)
        found = None if condition is None else criteria(type_, store.tables, condition)
        start = splice.first_object(raw)
        draft = store.versions.draft(type_, resource, raw, start, splice.end_of(raw, start))
        change = Change(request.method, draft, id_, found, request.headers.get("if-match"))
        return self._written(request, await self._done(request, change))

    def _written(self, request: Request, written: Written) -> Response:
        if written.version is None:
            raise TypeError(written)
        return answers.resource(
            written.version,
            _base(request),
            written.status,
            location=written.status == http.HTTPStatus.CREATED,
            body="return=minimal" not in request.headers.get("prefer", ""),
        )

    def _type(self, request: Request) -> str:
        type_: str = request.path_params["type"]
        known_type(type_, self.store().tables)
        return type_

    def _read(self, raw: bytes) -> dict[str, Any]:
        try:
            return self._load(raw)
        except ValueError as error:
            raise Refusal(400, "structure", f"the body can not be read: {error}") from error

    async def refused(self, _: Request, error: Exception) -> Response:
        """The answer to what the store does not do."""
        refusal = cast("Refusal", error)  # the only class that it is registered for
        return self._outcome(refusal.status, refusal.findings)

    async def unusable(self, _: Request, error: Exception) -> Response:
        """The answer while the disk is full, or the file locked or broken."""
        _LOG.error("the store's database can't be used: %s", error)
        told = self._outcome(503, (Finding("error", "transient", "the store can not be used now", None, "STORE-503"),))
        told.headers["Retry-After"] = "5"
        return told

    async def no_route(self, _: Request, error: Exception) -> Response:
        """The answer for a path or method that there isn't."""
        fault = cast("HTTPException", error)  # the only class that it is registered for
        code = _ISSUES.get(fault.status_code, "invalid")
        told = self._outcome(fault.status_code, (Finding("error", code, fault.detail, None, "STORE-HTTP"),))
        told.headers.update(fault.headers or {})
        return told

    async def failed(self, _: Request, __: Exception) -> Response:
        """The answer to a fault of the program; Starlette raises it again, for the server to log."""
        return self._outcome(500, (Finding("fatal", "exception", "the store failed", None, "STORE-500"),))

    def _outcome(self, status: int, findings: tuple[Finding, ...]) -> Response:
        return answers.json_answer(answers.outcome(findings, self.clock()), status)


def _put(draft: Draft, id_: str, etag: str | None) -> Change:
    """A write under an id. Shape: `etag` is the version id that must stand, None where none may stand."""
    return Change("PUT", draft, id_, None, None if etag is None else f'W/"{etag}"', None, etag is None)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER


def _base(request: Request) -> str:
    """The address of the store as the client named it, without a slash at the end."""
    return f"{request.scope['scheme']}://{request.headers.get('host', '')}{request.scope.get('root_path', '')}"


async def _body(request: Request, media_types: frozenset[str]) -> bytes:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in media_types:
        raise Refusal(415, "not-supported", f"the body must be {min(media_types)}", "Content-Type")
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > BODY_LIMIT:
            raise Refusal(413, "too-long", f"a body has at most {BODY_LIMIT} bytes")
        parts.append(part)
    return b"".join(parts)
