"""A FHIR R4 server as a target: reads, searches, transactions.

Source: https://hl7.org/fhir/R4/http.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import httpx

from gateway import fhir
from gateway.upstream import wire
from gateway.upstream.answer import Answer, TargetDown
from gateway.upstream.exchange import ATTEMPTS, Exchange

MEDIA_TYPE = "application/fhir+json"
LONGEST_ADDRESS = 4000
"""A longer search goes as a form. Units: characters."""
_READ = {"accept": MEDIA_TYPE}
_BODY = {"accept": MEDIA_TYPE, "content-type": MEDIA_TYPE}
_FORM = {"accept": MEDIA_TYPE, "content-type": "application/x-www-form-urlencoded"}
_TYPE = re.compile(r"[A-Z][A-Za-z]+")
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_CLIENT_ERROR = 400
_ABSENT = Answer(404, {}, b"")

Name = tuple[str, str]
"""Type and id of a resource."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A resource as it stands on a server, read from its bytes only when it is looked at.

    Shape: `etag` is the tag without `W/` and quotes, which is the version's id, as `fhir.entry_put` takes it.
    """

    etag: str | None
    content: bytes | dict[str, Any]

    @property
    def resource(self) -> dict[str, Any]:
        """The resource. Errors: ValueError for bytes that are none."""
        return self.content if isinstance(self.content, dict) else wire.loads(self.content)


class FhirServer:
    """One FHIR server. Every answer is 2xx with JSON, or 4xx; anything else is `TargetDown`."""

    def __init__(self, name: str, client: httpx.AsyncClient, base: str, *, attempts: int = ATTEMPTS) -> None:
        """Hold the client, which this object closes. Shape: `base` is the server's address without query."""
        self.name = name
        self._exchange = Exchange(name, client, attempts)
        self._base = httpx.URL(base.rstrip("/") + "/")
        self._at_base = httpx.URL(base)

    async def read(self, type_: str, id_: str) -> Answer:
        """A resource; 404 and 410 are answers.

        Errors: TargetDown.
        """
        if not _TYPE.fullmatch(type_) or not _named(id_):
            return _ABSENT  # such a resource can't be, and its name might be read as another path
        return await self._get(f"{type_}/{id_}")

    async def vread(self, type_: str, id_: str, version: str) -> Answer:
        """One version of a resource; 404 and 410 are answers.

        Errors: TargetDown.
        """
        if not _TYPE.fullmatch(type_) or not _named(id_) or not _named(version):
            return _ABSENT
        return await self._get(f"{type_}/{id_}/_history/{version}")

    async def history(self, type_: str, id_: str) -> Answer:
        """Versions of a resource, newest first, or the first page of them; 404 and 410 are answers.

        Errors: TargetDown.
        """
        if not _TYPE.fullmatch(type_) or not _named(id_):
            return _ABSENT
        return await self._get(f"{type_}/{id_}/_history")

    async def search(self, type_: str, pairs: Sequence[tuple[str, str]], *, post: bool = False) -> Answer:
        """A page of search results. Shape: `pairs` are names and values before URL encoding.

        Errors: TargetDown.
        """
        if not _TYPE.fullmatch(type_):
            return _ABSENT
        text = urlencode(pairs)
        if post or len(text) > LONGEST_ADDRESS:
            url = self._at(f"{type_}/_search")
            return self._json(await self._exchange.ask("POST", url, _FORM, text.encode(), again=True))
        return await self._get(f"{type_}?{text}" if text else type_)

    async def page(self, address: str) -> Answer:
        """The page at an address that an earlier answer named; it must be one of this server.

        Errors: TargetDown, for an address of another server too.
        """
        if (own := self._own(address)) is None:
            raise TargetDown(self.name, "its next page is at another address than itself: configure its own address")
        return self._json(await self._exchange.ask("GET", own, _READ, again=True))

    async def transact(self, bundle: bytes) -> Answer:
        """The answer to a transaction, which is sent once only.

        Errors: TargetDown: it may have been carried out or not.
        """
        return self._json(await self._exchange.ask("POST", self._at_base, _BODY, bundle, again=False))

    async def write(self, resources: Sequence[tuple[dict[str, Any], str | None]]) -> Answer:
        """Write resources under their own ids, all or none.

        Shape: each with the version id that must stand, None where none may stand.
        Errors: TargetDown: they may have been written or not.
        """
        entries = [fhir.entry_put(resource, etag, only_new=etag is None) for resource, etag in resources]
        return await self.transact(fhir.dump(fhir.transaction(entries)))

    async def read_many(self, names: Iterable[Name]) -> dict[Name, Standing]:
        """Resources by type and id, read in one exchange; those that there aren't are left out.

        Errors: TargetDown, also where the server answers some entry with neither the resource nor 404 or 410.
        """
        wanted = list(dict.fromkeys(names))
        if not wanted:
            return {}
        batch = fhir.dump(fhir.batch([fhir.entry_get(f"{type_}/{id_}") for type_, id_ in wanted]))
        answer = self._json(await self._exchange.ask("POST", self._at_base, _BODY, batch, again=True))
        if answer.status >= _CLIENT_ERROR:
            raise TargetDown(self.name, f"it answered a batch of reads with {answer.status}")
        try:
            entries = wire.loads(answer.body)["entry"]
            found = zip(wanted, map(_standing, entries), strict=True)
            return {name: standing for name, standing in found if standing is not None}
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise TargetDown(self.name, "its answer to a batch of reads is not one") from error

    async def metadata(self) -> Answer:
        """Its CapabilityStatement.

        Errors: TargetDown.
        """
        return await self._get("metadata")

    async def ready(self) -> None:
        """Whether it works.

        Errors: TargetDown.
        """
        answer = await self.metadata()
        if answer.status >= _CLIENT_ERROR:
            raise TargetDown(self.name, f"it answered {answer.status} when asked for its capabilities")

    async def aclose(self) -> None:
        """Close its connections; an embedded store too."""
        await self._exchange.aclose()

    async def _get(self, path: str) -> Answer:
        return self._json(await self._exchange.ask("GET", self._at(path), _READ, again=True))

    def _at(self, path: str) -> httpx.URL:
        """An address below the server's own; never joined as URLs are, where a path might name another host."""
        return self._base.copy_with(raw_path=self._base.raw_path + path.encode("ascii"))

    def _json(self, answer: Answer) -> Answer:
        if answer.status < _CLIENT_ERROR and "json" not in answer.headers.get("content-type", ""):
            raise TargetDown(self.name, "its answer is not JSON")
        return answer

    def _own(self, address: str) -> httpx.URL | None:
        """An address rebuilt below this server's own, if it is there."""
        try:
            url = self._base.join(address)
        except (httpx.InvalidURL, ValueError):
            return None
        base = self._base
        same = (url.scheme, url.host, url.port) == (base.scheme, base.host, base.port)
        if not same or url.userinfo or not (url.path + "/").startswith(base.path):
            return None
        return self._at_base.copy_with(raw_path=url.raw_path)


def _named(id_: str) -> bool:
    return _ID.fullmatch(id_) is not None and id_ not in {".", ".."}


def _standing(entry: dict[str, Any]) -> Standing | None:
    """What an entry of a batch's answer says.

    Errors: ValueError, LookupError, TypeError, AttributeError for nonsense.
    """
    response = entry["response"]
    status = int(response["status"].split()[0])
    if status in {404, 410}:
        return None
    if status >= 300:  # noqa: PLR2004 - HTTP's first status that is no success
        raise ValueError(status)
    resource = entry["resource"]
    tag = response.get("etag")
    version = tag.removeprefix("W/").strip('"') if tag else resource.get("meta", {}).get("versionId")
    return Standing(version, resource)
