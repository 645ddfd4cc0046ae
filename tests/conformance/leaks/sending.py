"""Sending a case in each way that it can be sent, as it stands: no client tidies its address or its headers.

Source: https://hl7.org/fhir/R4/http.html#search, #transaction
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx

from tests.conformance.leaks.cases import EXPORT, READ, SEARCH, Case

FORM = "application/x-www-form-urlencoded"
FHIR_JSON = "application/fhir+json"
PURPOSE = "TREAT"
TIMEOUT = 60.0
ACCEPTED = 202
MOST_LOOKS, BETWEEN = 600, 0.1
"""How often to look whether an export is done, and how long to wait between. Units: seconds."""
_PLAIN = "/?&=:,.$;@!'()*+~-_%|#[]{}\\^`\"<> "


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. Shape: `way` says how the case is sent; `target` is what stands in the request line."""

    way: str
    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, whole, and what it says to the one request that was made.

    Shape: `status` and `resource` are those of the entry where the request was one of a batch.
    """

    line: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    status: int
    resource: dict[str, Any] | None


class Sender:
    """Sends requests to one gateway with the tokens of its callers."""

    def __init__(self, base: str, tokens: dict[str, str]) -> None:
        """Open nothing yet. Shape: `tokens` by caller, `partner` and `owner`."""
        self.base = base.rstrip("/")
        self.tokens = tokens
        self._client = httpx.Client(trust_env=False, follow_redirects=False, timeout=TIMEOUT)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def headers(self, caller: str, own: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
        """Headers of a request: the caller's usual ones, but for those of its own. One without value is left out."""
        usual = {"Authorization": f"Bearer {self.tokens[caller]}", "purpose-of-use": PURPOSE}
        names = {name.lower() for name, _ in own}
        kept = [(name, value) for name, value in usual.items() if name.lower() not in names]
        return (*kept, *((name, value) for name, value in own if value))

    def answer(self, request: Request) -> Answer:
        """The answer to a request; to an export, its files one behind the other. Errors: httpx.HTTPError."""
        answer = self.send(request)
        return self._exported(request, answer) if request.way == EXPORT and answer.status == ACCEPTED else answer

    def _exported(self, request: Request, begun: Answer) -> Answer:
        """Wait for an export, and take its files. Errors: TimeoutError."""
        where = dict(begun.headers)["content-location"].removeprefix(self.base)
        for _ in range(MOST_LOOKS):
            told = self.send(Request("export", "GET", where, request.headers))
            if told.status != ACCEPTED:
                break
            time.sleep(BETWEEN)
        else:
            raise TimeoutError(f"{where} was not done in time")
        parts = [begun, told]
        for one in (told.resource or {}).get("output", ()):
            target = str(one["url"]).removeprefix(self.base)
            parts.append(self.send(Request("export", "GET", target, request.headers)))
        headers = tuple(header for part in parts for header in part.headers)
        lines = [line for part in parts[2:] for line in part.body.splitlines()]
        entries = [{"resource": json.loads(line)} for line in lines]
        body = b"\n".join(part.body for part in parts)
        return Answer(told.line, headers, body, told.status, {"resourceType": "Bundle", "entry": entries})

    def send(self, request: Request) -> Answer:
        """The answer to one request. Errors: httpx.HTTPError."""
        made = httpx.Request(
            request.method,
            f"{self.base}/",
            headers=[(name.encode("latin-1", "replace"), value.encode()) for name, value in request.headers],
            content=request.body,
            extensions={"target": quote(request.target, safe=_PLAIN).replace(" ", "%20").encode()},
        )
        got = self._client.send(made)
        line = f"{got.status_code} {got.extensions.get('reason_phrase', b'').decode('latin-1')}"
        headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in got.headers.raw)
        status, resource = _told(request, got.status_code, got.content)
        return Answer(line, headers, got.content, status, resource)


def ways(sender: Sender, case: Case, *, every: bool = True) -> Iterator[Request]:
    """Each way in which a case is sent; without `every`, of the ways to search two and one of the others in turn."""
    headers = sender.headers("partner", case.headers)
    if case.method == EXPORT:
        begin = (*headers, ("Prefer", "respond-async"))
        if case.body is None:
            yield Request(EXPORT, "GET", f"/{case.address}", begin)
        else:
            begin = (*begin, ("Content-Type", FHIR_JSON))
            yield Request(EXPORT, "POST", f"/{case.address}", begin, case.body.encode())
        return
    if case.method not in {SEARCH, READ}:
        typed = case.body is not None and not any(name.lower() == "content-type" for name, _ in headers)
        headers = (*headers, ("Content-Type", FHIR_JSON)) if typed else headers
        body = None if case.body is None else case.body.encode()
        yield Request(case.method, case.method, case.address, headers, body)
        return
    yield Request("GET", "GET", f"/{case.address}", headers)
    if "alone" in case.marks:
        return
    more = [_entry(headers, "GET", case.address)]
    if case.method == SEARCH:
        first, *rest = _posted(case, headers)
        kind, question, text = case.address.partition("?")
        yield first
        more += [*rest, _entry(headers, "POST", f"{kind}/_search{question}{text}")]
    yield from more if every else [more[_turn(case.name) % len(more)]]


def _turn(name: str) -> int:
    """A number that stays a case's own. Shape: `name` begins with its place, `ids.cases:12`."""
    return int(re.split(r"[: ]", name)[1])


def _entry(headers: tuple[tuple[str, str], ...], method: str, url: str) -> Request:
    """A case as the entry of a batch."""
    bundle = {"resourceType": "Bundle", "type": "batch", "entry": [{"request": {"method": method, "url": url}}]}
    way = "batch" if method == "GET" else "batch, POST _search"
    return Request(way, "POST", "/", (*headers, ("Content-Type", FHIR_JSON)), json.dumps(bundle).encode())


def _posted(case: Case, headers: tuple[tuple[str, str], ...]) -> Iterator[Request]:
    kind, _, text = case.address.partition("?")
    form = (*headers, ("Content-Type", FORM))
    yield Request("POST _search", "POST", f"/{kind}/_search", form, _escaped(text).encode())
    first, ampersand, rest = text.partition("&")
    if ampersand:
        yield Request(
            "POST _search, a part in the address", "POST", f"/{kind}/_search?{first}", form, _escaped(rest).encode()
        )


def _escaped(text: str) -> str:
    return quote(text, safe=_PLAIN).replace(" ", "%20")


def _told(request: Request, status: int, body: bytes) -> tuple[int, dict[str, Any] | None]:
    try:
        read = json.loads(body)
    except ValueError:
        return status, None
    found = read if isinstance(read, dict) else None
    if not request.way.startswith("batch") or found is None or found.get("type") != "batch-response":
        return status, found
    entry = found["entry"][0]
    told = entry["response"]
    return int(re.split(r"\s", told["status"])[0]), entry.get("resource", told.get("outcome"))
