"""The embedded store as a target: what every submission asks of it goes past HTTP.

Searches and reads take the ASGI way, as with any server. Reading what stands and writing what was merged is half of an
ingest's cost there, in Bundles that both sides of one process would write and read again; here it is two calls.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

import httpx

from gateway.upstream.answer import Answer, TargetDown
from gateway.upstream.server import FhirServer, Name, Standing
from gateway.upstream.store.answers import outcome
from gateway.upstream.store.asgi import StoreApp
from gateway.upstream.store.own_process import WriterProcess
from gateway.upstream.store.refusal import Refusal
from gateway.upstream.store.schema import StoreError
from gateway.upstream.store.writer import Unwritable

_WRITTEN = Answer(200, {}, b"")


class EmbeddedServer(FhirServer):
    """A FHIR server in this process."""

    def __init__(
        self, name: str, client: httpx.AsyncClient, base: str, app: StoreApp, writer: WriterProcess | None = None
    ) -> None:
        """Hold the client, which closes the app, the app, and the process that writes in its place once it is there."""
        super().__init__(name, client, base, attempts=1)
        self._app = app
        self._writer = writer

    async def read_many(self, names: Iterable[Name]) -> dict[Name, Standing]:
        """Resources by type and id; those that there aren't are left out.

        Errors: TargetDown.
        """
        try:
            found = self._app.standing(names)
        except (StoreError, sqlite3.Error) as error:
            raise TargetDown(self.name, "its database can't be read") from error
        return {name: Standing(str(version.version), version.body) for name, version in found.items()}

    async def write(self, resources: Sequence[tuple[dict[str, Any], str | None]]) -> Answer:
        """Write resources under their own ids, all or none; see `FhirServer.write`.

        Errors: TargetDown: nothing was written then.
        """
        try:
            if self._writer is not None and self._writer.ready:
                await self._writer.put(resources)
            else:
                await self._app.put(resources)
        except Refusal as refusal:
            return Answer(refusal.status, {}, outcome(refusal.findings, self._app.clock()))
        except (StoreError, Unwritable, sqlite3.Error) as error:
            raise TargetDown(self.name, "its database can't be written") from error
        return _WRITTEN

    async def aclose(self) -> None:
        """Finish what is being written."""
        if self._writer is not None:
            await self._writer.aclose()
        await super().aclose()
