"""A proxy before a FHIR server that fails as it is told."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp import web

FAULTS = ("500", "503", "slow", "reset before", "answer lost", "answer cut short", "no JSON")
SLOW = 2.0
_PASSED_ON = ("content-type", "accept", "if-match", "prefer")


class FaultyProxy:
    """Passes requests on, but for one in two while `fault` names what goes wrong.

    Shape: `told` counts what it did. "answer lost" and "answer cut short" happen once the server has done its work.
    """

    def __init__(self, server: str, port: int, chance: random.Random) -> None:
        """Serve nothing yet."""
        self.fault = ""
        self.told: Counter[str] = Counter()
        self._server = server
        self._port = port
        self._chance = chance

    async def __aenter__(self) -> Self:
        """Serve."""
        self._client = aiohttp.ClientSession(auto_decompress=False)
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""
        await self._runner.cleanup()
        await self._client.close()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        fault = self.fault if self._chance.random() < 0.5 else ""
        self.told[fault or "passed on"] += 1
        if fault in {"500", "503"}:
            return web.json_response({"resourceType": "OperationOutcome", "issue": []}, status=int(fault))
        if fault == "slow":
            await asyncio.sleep(SLOW)
        if fault == "reset before":
            return self._cut(request)
        headers = {name: request.headers[name] for name in _PASSED_ON if name in request.headers}
        body = await request.read()
        async with self._client.request(
            request.method, self._server + request.raw_path, headers=headers, data=body or None
        ) as reply:
            answer, status = await reply.read(), reply.status
            kept = {name: reply.headers[name] for name in ("content-type", "etag", "location") if name in reply.headers}
        if fault == "answer lost":
            return self._cut(request)
        if fault == "answer cut short":
            short = web.StreamResponse(status=status, headers={**kept, "content-length": str(len(answer))})
            await short.prepare(request)
            await short.write(answer[: len(answer) // 2])
            return self._cut(request, short)
        if fault == "no JSON":
            return web.Response(body=b"<html>gateway time-out</html>", status=200, content_type="text/html")
        return web.Response(body=answer, status=status, headers=kept)

    def _cut(self, request: web.Request, answer: web.StreamResponse | None = None) -> web.StreamResponse:
        """Break the connection off."""
        if request.transport is not None:
            request.transport.abort()
        return answer or web.Response()
