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
from gateway.fhir.ids import is_id
from gateway.upstream import wire
from gateway.upstream.addresses import OwnAddress
from gateway.upstream.answer import Answer, TargetDown
from gateway.upstream.breaker import Breaker
from gateway.upstream.exchange import ATTEMPTS, Exchange, Sender

MEDIA_TYPE = "application/fhir+json"
LONGEST_ADDRESS = 4000
"""A longer search goes as a form. Units: characters."""
_READ = {"accept": MEDIA_TYPE}
_BODY = {"accept": MEDIA_TYPE, "content-type": MEDIA_TYPE}
_FORM = {"accept": MEDIA_TYPE, "content-type": "application/x-www-form-urlencoded"}
_TYPE = re.compile(r"[A-Z][A-Za-z]+")
_CLIENT_ERROR, _GONE = 400, 410
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

    def __init__(
        self,
        name: str,
        sender: Sender,
        base: str,
        *,
        attempts: int = ATTEMPTS,
        public: str = "",
        breaker: Breaker | None = None,
    ) -> None:
        """Hold what sends, which this object closes.

        Shape: `base` is the server's address without query, `public` what stands for it in what is passed on;
        `breaker` leaves the server alone where it was not there lately.
        """
        self.name = name
        self._base = httpx.URL(base.rstrip("/") + "/")
        self._below = str(self._base)
        self._exchange = Exchange(name, sender, attempts, breaker, (self._at("metadata"), _READ))
        self._at_base = str(httpx.URL(base))
        self._address = OwnAddress(base)
        self._public = public

    async def read(self, type_: str, id_: str) -> Answer:
        """A resource; 404 and 410 are answers.

        Errors: TargetDown.
        """
        if not _TYPE.fullmatch(type_) or not is_id(id_):
            return _ABSENT  # such a resource can't be, and its name might be read as another path
        return await self._get(f"{type_}/{id_}")

    async def vread(self, type_: str, id_: str, version: str) -> Answer:
        """One version of a resource; 404 and 410 are answers.

        Errors: TargetDown.
        """
        if not _TYPE.fullmatch(type_) or not is_id(id_) or not is_id(version):
            return _ABSENT
        return await self._get(f"{type_}/{id_}/_history/{version}")

    async def history(self, type_: str, id_: str, *, count: int | None = None) -> Answer:
        """Versions of a resource, newest first, or the first page of them; 404 and 410 are answers.

        Shape: `count` is how many a page should hold.
        Errors: TargetDown.
        """
        if not _TYPE.fullmatch(type_) or not is_id(id_):
            return _ABSENT
        path = f"{type_}/{id_}/_history" + ("" if count is None else f"?_count={count}")
        return await self._get(path, heavy=True)

    async def search(self, type_: str, pairs: Sequence[tuple[str, str]], *, post: bool = False) -> Answer:
        """A page of search results. Shape: `pairs` are names and values before URL encoding.

        Errors: TargetDown.
        """
        if not _TYPE.fullmatch(type_):
            return _ABSENT
        text = urlencode(pairs)
        if post or len(text) > LONGEST_ADDRESS:
            url = self._at(f"{type_}/_search")
            return self._json(await self._exchange.ask("POST", url, _FORM, text.encode(), again=True, heavy=True))
        return await self._get(f"{type_}?{text}" if text else type_, heavy=True)

    async def page(self, address: str) -> Answer:
        """The page at an address that an earlier answer named; it must be one of this server.

        Errors: TargetDown, for an address of another server too.
        """
        if (own := self._own(address)) is None:
            raise TargetDown(self.name, "its next page is at another address than itself: configure its own address")
        return self._json(await self._exchange.ask("GET", own, _READ, again=True, heavy=True))

    async def transact(self, bundle: bytes) -> Answer:
        """The answer to a transaction, which is sent once only.

        Errors: TargetDown: it may have been carried out or not.
        """
        return self._json(await self._exchange.ask("POST", self._at_base, _BODY, bundle, again=False, heavy=True))

    async def write(self, resources: Sequence[tuple[dict[str, Any], str | None]]) -> Answer:
        """Write resources under their own ids, all or none.

        Shape: each with the version id that must stand, None where none may stand.
        Errors: TargetDown: they may have been written or not.
        """
        entries = [fhir.entry_put(resource, etag, only_new=etag is None) for resource, etag in resources]
        return await self.transact(fhir.dump(fhir.transaction(entries)))

    async def delete(self, type_: str, id_: str, if_match: str | None = None) -> Answer:
        """Delete a resource, sent once only; 404, 409, 410 and 412 are answers.

        Shape: `if_match` is the id of the version that must stand, as in `write`; None for whichever does. A success
        may have no body.
        Errors: TargetDown: it may have been deleted or not.
        """
        if not _TYPE.fullmatch(type_) or not is_id(id_):
            return _ABSENT
        headers = _READ if if_match is None else {**_READ, "if-match": f'W/"{if_match}"'}
        return await self._exchange.ask("DELETE", self._at(f"{type_}/{id_}"), headers, again=False)

    async def read_many(self, names: Iterable[Name], gone: set[Name] | None = None) -> dict[Name, Standing]:
        """Resources by type and id, read in one exchange; those that there aren't are left out.

        Shape: `gone` gathers those that were deleted.
        Errors: TargetDown, also where the server answers some entry with neither the resource nor 404 or 410.
        """
        # what can't be such a resource might be read as another address
        wanted = [name for name in dict.fromkeys(names) if _TYPE.fullmatch(name[0]) and is_id(name[1])]
        if not wanted:
            return {}
        batch = fhir.dump(fhir.batch([fhir.entry_get(f"{type_}/{id_}") for type_, id_ in wanted]))
        answer = self._json(await self._exchange.ask("POST", self._at_base, _BODY, batch, again=True))
        if answer.status >= _CLIENT_ERROR:
            raise TargetDown(self.name, f"it answered a batch of reads with {answer.status}")
        try:
            entries = wire.loads(answer.body)["entry"]
            if gone is not None:
                gone.update(name for name, entry in zip(wanted, entries, strict=True) if _status(entry) == _GONE)
            found = dict(zip(wanted, map(_standing, entries), strict=True))
            own = self.names_itself(answer.body)
            return {
                name: Standing(one.etag, self.taken_out(one.resource)) if own else one
                for name, one in found.items()
                if one is not None
            }
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise TargetDown(self.name, "its answer to a batch of reads is not one") from error

    @property
    def breaker_state(self) -> str:
        """State of its breaker: `closed`, `open` or `half open`."""
        return self._exchange.breaker_state

    def relative(self, address: str) -> str:
        """An address of this server without its own part; any other as it is."""
        return self._address.relative(address)

    def names_itself(self, body: bytes, beside: Iterable[str] = ()) -> bool:
        """Whether a body may hold this server's own address; one that doesn't may be passed on as it is.

        Shape: what `beside`, texts of the body that are known, names of it doesn't count.
        """
        return self._address.named_in(body, beside)

    def taken_out(self, resource: dict[str, Any]) -> dict[str, Any]:
        """A resource without this server's own address: see `OwnAddress.taken_out`; itself where it isn't there."""
        found: dict[str, Any] = self._address.taken_out(resource, self._public)
        return found

    async def metadata(self) -> Answer:
        """Its CapabilityStatement.

        Errors: TargetDown.
        """
        return await self._get("metadata")

    async def ready(self) -> None:
        """Whether it works; it is asked even where a breaker leaves it alone.

        Errors: TargetDown.
        """
        answer = self._json(await self._exchange.ask("GET", self._at("metadata"), _READ, again=True, always=True))
        if answer.status >= _CLIENT_ERROR:
            raise TargetDown(self.name, f"it answered {answer.status} when asked for its capabilities")

    async def aclose(self) -> None:
        """Close its connections; an embedded store too."""
        await self._exchange.aclose()

    async def _get(self, path: str, *, heavy: bool = False) -> Answer:
        return self._json(await self._exchange.ask("GET", self._at(path), _READ, again=True, heavy=heavy))

    def _at(self, path: str) -> str:
        """An address below the server's own; never joined as URLs are, where a path might name another host."""
        return self._below + path

    def _json(self, answer: Answer) -> Answer:
        if answer.status < _CLIENT_ERROR and "json" not in answer.headers.get("content-type", ""):
            raise TargetDown(self.name, "its answer is not JSON")
        return answer

    def _own(self, address: str) -> str | None:
        """An address rebuilt below this server's own, if it is there."""
        try:
            url = self._base.join(address)
        except (httpx.InvalidURL, ValueError):
            return None
        base = self._base
        same = (url.scheme, url.host, url.port) == (base.scheme, base.host, base.port)
        if not same or url.userinfo or not (url.path + "/").startswith(base.path):
            return None
        return str(base.copy_with(raw_path=url.raw_path))


def _status(entry: dict[str, Any]) -> int:
    """What an entry of a batch was answered with. Errors: ValueError, LookupError, TypeError, AttributeError."""
    return int(entry["response"]["status"].split()[0])


def _standing(entry: dict[str, Any]) -> Standing | None:
    """What an entry of a batch's answer says.

    Errors: ValueError, LookupError, TypeError, AttributeError for nonsense.
    """
    response, status = entry["response"], _status(entry)
    if status in {404, _GONE}:
        return None
    if status >= 300:  # noqa: PLR2004 - HTTP's first status that is no success
        raise ValueError(status)
    resource = entry["resource"]
    tag = response.get("etag")
    version = tag.removeprefix("W/").strip('"') if tag else resource.get("meta", {}).get("versionId")
    return Standing(version, resource)
