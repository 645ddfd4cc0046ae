"""The embedded store as a target: what every submission asks of it goes past HTTP.

Reads, histories and further pages take the ASGI way, as with any server. Reading what stands and writing what was
merged is half of an ingest's cost there, in Bundles that both sides of one process would write and read again; here it
is two calls. So is a search one, of which HTTP on both sides would take a fifth.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import urlencode

from gateway.upstream.answer import Answer, TargetDown
from gateway.upstream.exchange import WHOLE, Sender
from gateway.upstream.observed import observed
from gateway.upstream.server import FhirServer, Name, Standing
from gateway.upstream.store.answers import MEDIA_TYPE, outcome
from gateway.upstream.store.asgi import StoreApp
from gateway.upstream.store.own_process import WriterProcess
from gateway.upstream.store.refusal import Refusal
from gateway.upstream.store.schema import StoreError
from gateway.upstream.store.writer import Unwritable

_WRITTEN = Answer(200, {}, b"")
_JSON = {"content-type": MEDIA_TYPE}
_GONE = 410


class EmbeddedServer(FhirServer):
    """A FHIR server in this process."""

    def __init__(
        self,
        name: str,
        sender: Sender,
        base: str,
        app: StoreApp,
        writer: WriterProcess | None = None,
        *,
        borrowed: bool = False,
    ) -> None:
        """Hold what sends, which closes the app, the app, and the process that writes in its place once it is there.

        Shape: what is `borrowed` is another target's, which closes it.
        """
        super().__init__(name, sender, base, attempts=1)
        self._sender = sender
        self._borrowed = borrowed
        self._own_address = base
        self._app = app
        self._writer = writer

    def names_itself(self, body: bytes, beside: Iterable[str] = ()) -> bool:  # noqa: ARG002 - as of any server
        """Never: what is kept here was written by the gateway, which made such references relative."""
        return False

    async def read_many(self, names: Iterable[Name], gone: set[Name] | None = None) -> dict[Name, Standing]:
        """Resources by type and id; those that there aren't are left out. Shape: `gone` gathers those deleted.

        Errors: TargetDown.
        """
        with observed(self.name):
            wanted = list(names)
            try:
                found = self._app.standing(wanted)
            except (StoreError, sqlite3.Error) as error:
                raise TargetDown(self.name, "its database can't be read") from error
            if gone is not None:
                for name in set(wanted) - found.keys():
                    if (await self.read(*name)).status == _GONE:
                        gone.add(name)
            return {name: Standing(str(version.version), version.body) for name, version in found.items()}

    async def search(self, type_: str, pairs: Sequence[tuple[str, str]], *, post: bool = False) -> Answer:  # noqa: ARG002 - as of any server
        """A page of search results; see `FhirServer.search`.

        Errors: TargetDown.
        """
        with observed(self.name) as asked:
            try:
                async with asyncio.timeout(WHOLE):
                    return Answer(200, _JSON, await self._app.found(type_, urlencode(pairs), self._own_address))
            except Refusal as refusal:
                asked.outcome = "refused"
                return Answer(refusal.status, _JSON, outcome(refusal.findings, self._app.clock()))
            except TimeoutError as error:
                raise TargetDown(self.name, "it did not answer in time") from error
            except (StoreError, sqlite3.Error) as error:
                raise TargetDown(self.name, "its database can't be read") from error

    async def write(self, resources: Sequence[tuple[dict[str, Any], str | None]]) -> Answer:
        """Write resources under their own ids, all or none; see `FhirServer.write`.

        Errors: TargetDown: nothing was written then.
        """
        with observed(self.name) as asked:
            try:
                if self._writer is not None and self._writer.ready:
                    await self._writer.put(resources)
                else:
                    await self._app.put(resources)
            except Refusal as refusal:
                asked.outcome = "refused"
                return Answer(refusal.status, {}, outcome(refusal.findings, self._app.clock()))
            except (StoreError, Unwritable, sqlite3.Error) as error:
                raise TargetDown(self.name, "its database can't be written") from error
            return _WRITTEN

    def under(self, name: str) -> EmbeddedServer:
        """The same store as another target: one process has its file open once."""
        return EmbeddedServer(name, self._sender, self._own_address, self._app, self._writer, borrowed=True)

    async def aclose(self) -> None:
        """Finish what is being written."""
        if self._borrowed:
            return
        if self._writer is not None:
            await self._writer.aclose()
        await super().aclose()
