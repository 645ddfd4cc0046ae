"""Transactions and batches.

Source: https://hl7.org/fhir/R4/http.html#transaction
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from gateway.query import Query
from gateway.upstream.store import answers, splice
from gateway.upstream.store.engine import Change, Store
from gateway.upstream.store.histories import AskedHistory, asked_history
from gateway.upstream.store.patching import binary, edit_of
from gateway.upstream.store.refusal import Refusal
from gateway.upstream.store.requests import Address, address, checked, criteria, query, there
from gateway.upstream.store.versions import Draft

_WRITES = frozenset({"PUT", "POST", "PATCH", "DELETE"})
_Asked = Query | AskedHistory | Address
_Place = tuple[int, int] | None
_Sent = tuple[dict[str, Any], _Place]  # an entry, and where the text of its resource stands


@dataclass(frozen=True, slots=True)
class _Entry:
    """An entry that can be carried out: either a change, or what a GET asks for."""

    change: Change | None
    asked: _Asked | None = None


class Bundles:
    """Carries out Bundles on a store."""

    def __init__(self, store: Store, clock: Callable[[], datetime]) -> None:
        """Hold what every Bundle needs."""
        self._store = store
        self._clock = clock

    async def answer(self, bundle: dict[str, Any], raw: bytes, base: str, *, body: bool) -> bytes:
        """The response Bundle of a transaction or batch.

        Shape: `raw` is the text that `bundle` was read from; `body` whether what was written is sent back.
        Errors: Refusal, Unwritable: of a transaction nothing is done then.
        """
        sent = list(zip(_entries(bundle), splice.entry_resources(raw), strict=True))
        match bundle.get("type"):
            case "transaction":
                return await self._transaction(sent, raw, base, body=body)
            case "batch":
                return await self._batch(sent, raw, base, body=body)
        raise Refusal(400, "invalid", "the Bundle is neither a transaction nor a batch", "Bundle.type")

    async def _transaction(self, sent: list[_Sent], raw: bytes, base: str, *, body: bool) -> bytes:
        read = [self._read_entry(entry, place, raw) for entry, place in sent]
        changes = [entry.change for entry in read if entry.change is not None]
        written = iter(await self._store.write(changes, base) if changes else ())
        answered = []
        for entry in read:
            if entry.asked is None:
                answered.append(answers.written(next(written), body=body))
                continue
            try:
                answered.append(await self._get(entry.asked, base))
            except Refusal as refusal:  # what was written stands
                answered.append(self._refused(refusal))
        return answers.responses("transaction-response", answered)

    async def _batch(self, sent: list[_Sent], raw: bytes, base: str, *, body: bool) -> bytes:
        answered: list[bytes] = [b""] * len(sent)

        async def write(number: int, change: Change) -> None:
            try:
                (done,) = await self._store.write([change], base)
                answered[number] = answers.written(done, body=body)
            except Refusal as refusal:
                answered[number] = self._refused(refusal)

        writes = []
        for number, (entry, place) in enumerate(sent):
            try:
                one = self._read_entry(entry, place, raw)
                if one.asked is not None:
                    answered[number] = await self._get(one.asked, base)
                elif one.change is not None:
                    writes.append(write(number, one.change))
            except Refusal as refusal:
                answered[number] = self._refused(refusal)
        if writes:
            await asyncio.gather(*writes)
        return answers.responses("batch-response", answered)

    def _refused(self, refusal: Refusal) -> bytes:
        return answers.refused(refusal.status, answers.outcome(refusal.findings, self._clock()))

    def _read_entry(self, entry: dict[str, Any], place: _Place, raw: bytes) -> _Entry:
        request = entry.get("request")
        if not isinstance(request, dict):
            raise Refusal(400, "required", "an entry needs a request", "Bundle.entry.request")
        method, url = request.get("method"), request.get("url")
        if not isinstance(url, str):
            raise Refusal(400, "required", "a request needs a url", "Bundle.entry.request.url")
        if method == "GET":
            return _Entry(None, self._asked(url))
        if method not in _WRITES:
            raise Refusal(
                400, "not-supported", "an entry is GET, POST, PUT, PATCH or DELETE", "Bundle.entry.request.method"
            )
        where = address(url, self._store.tables)
        if method == "DELETE":
            return _Entry(self._change(Draft(where.type, {}, b""), where, request, None))
        resource = entry.get("resource")
        if not isinstance(resource, dict) or place is None:
            raise Refusal(400, "required", "an entry that writes needs a resource", "Bundle.entry.resource")
        if method == "PATCH":
            change = self._change(Draft(where.type, {}, b""), where, request, None)
            return _Entry(replace(change, edit=edit_of(binary(resource), where.type)))
        checked(resource, where.type, where.id)
        draft = self._store.versions.draft(where.type, resource, raw, *place)
        return _Entry(self._change(draft, where, request, _text(entry.get("fullUrl"))))

    def _change(self, draft: Draft, where: Address, request: dict[str, Any], full_url: str | None) -> Change:
        tables = self._store.tables
        if request["method"] == "POST":
            fits, condition = where.id is None and where.query is None, _text(request.get("ifNoneExist"))
        else:
            fits, condition = (where.id is None) != (where.query is None), where.query
        if where.history or not fits:
            raise Refusal(400, "invalid", "POST goes to Type, all other writes to Type/id or Type?search", where.type)
        found = None if condition is None else criteria(where.type, tables, condition)
        only_new = request["method"] == "PUT" and request.get("ifNoneMatch") == "*"
        return Change(request["method"], draft, where.id, found, _text(request.get("ifMatch")), full_url, only_new)

    def _asked(self, url: str) -> _Asked:
        where = address(url, self._store.tables)
        if where.history and where.version is None:
            return asked_history(where.type, where.id, where.query or "")
        return query(where.type, self._store.tables, where.query or "") if where.id is None else where

    async def _get(self, asked: _Asked, base: str) -> bytes:
        store = self._store
        match asked:
            case AskedHistory():
                return answers.found(answers.history(asked, await store.history(asked), base))
            case Query():
                page = await store.search(asked, base)
                return answers.found(answers.searchset(asked, page, base, store.tables, self._clock()))
            case Address(type=type_, id=id_, version=number):
                found = store.standing(type_, str(id_)) if number is None else store.version(type_, str(id_), number)
                return answers.read(there(found, f"{type_}/{id_}"))


def _entries(bundle: dict[str, Any]) -> list[dict[str, Any]]:
    entries = bundle.get("entry", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise Refusal(400, "structure", "entry is a list of objects", "Bundle.entry")
    return entries


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
