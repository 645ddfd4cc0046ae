"""A proxy that writes down what the gateway asks of its record, and what of that it must not ask.

`python -m tests.conformance.leaks.recording --port 9000 --to http://127.0.0.1:8080/fhir --log calls.jsonl` stands in
front of any FHIR server; the tests put `Recorder` before the embedded store.
"""

from __future__ import annotations

import argparse
import json
import tomllib
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import httpx
import uvicorn
from starlette.requests import Request
from starlette.responses import Response

from tests.conformance.leaks.canaries import Canaries
from tests.conformance.leaks.cases import FOLDER

App = Callable[[Any, Any, Any], Awaitable[None]]
RESULTS = frozenset({"_count", "_total", "_summary", "_page", "_format", "_getpages", "_getpagesoffset", "_bundletype"})
_HOP = frozenset({"content-length", "transfer-encoding", "connection"})


@dataclass(frozen=True, slots=True)
class Call:
    """One request to the record. Shape: `path` without leading slash, `query` as it was sent."""

    method: str
    path: str
    query: str
    body: str


@dataclass(slots=True)
class Recorder:
    """ASGI app that notes each request to another one."""

    app: App
    log: Path | None = None
    calls: list[Call] = field(default_factory=list)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Note a request and pass it on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        parts: list[bytes] = []

        async def noted() -> Any:
            message = await receive()
            if message["type"] == "http.request":
                parts.append(message.get("body", b""))
            return message

        async def sent(message: Any) -> None:
            if message["type"] == "http.response.start":
                query = scope["query_string"].decode("latin-1")
                body = b"".join(parts).decode("utf-8", "replace")
                self._note(Call(scope["method"], scope["path"].lstrip("/"), query, body))
            await send(message)

        await self.app(scope, noted, sent)

    def _note(self, call: Call) -> None:
        self.calls.append(call)
        if self.log is not None:
            with self.log.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(call)) + "\n")

    def taken(self) -> list[Call]:
        """What was noted since the last time."""
        calls, self.calls = self.calls, []
        return calls


@dataclass(slots=True)
class Logged:
    """The same from the file that a recorder elsewhere writes."""

    path: Path
    read: int = 0

    def taken(self) -> list[Call]:
        """What was noted since the last time."""
        if not self.path.exists():
            return []
        with self.path.open("rb") as file:
            file.seek(self.read)
            lines = file.read().splitlines()
            self.read = file.tell()
        return [Call(**json.loads(line)) for line in lines]


@dataclass(frozen=True, slots=True)
class Allowed:
    """What may be asked of the record for the partner: `upstream.toml`.

    Shape: `search` and `lookup` are parameters by type, the others types.
    """

    search: Mapping[str, frozenset[str]]
    lookup: Mapping[str, frozenset[str]]
    read: frozenset[str]
    history: frozenset[str]
    write: frozenset[str]


def allowed(folder: Path = FOLDER) -> Allowed:
    """The table of what may be asked."""
    read = tomllib.loads((folder / "upstream.toml").read_text("utf-8"))
    search, lookup = ({name: frozenset(row) for name, row in read[key].items()} for key in ("search", "lookup"))
    types = read["types"]
    return Allowed(search, lookup, *(frozenset(types[key]) for key in ("read", "history", "write")))


def forbidden(calls: Sequence[Call], table: Allowed, canaries: Canaries, asked: str, *, writes: bool) -> Iterator[str]:
    """Calls that must not be made for a request. Shape: `asked` is all that the request said."""
    for call in calls:
        for why in _wrong(call, table, canaries, asked, writes=writes):
            yield f"the record was asked `{call.method} {call.path}?{call.query} {call.body[:200]}`: {why}"


def _wrong(call: Call, table: Allowed, canaries: Canaries, asked: str, *, writes: bool) -> Iterator[str]:
    path = call.path.split("/")
    if call.method == "POST" and call.path == "":
        yield from _bundle(json.loads(call.body), table, canaries, asked, writes=writes)
    elif call.method == "POST" and path[1:] == ["_search"]:
        yield from _search(path[0], f"{call.query}&{call.body}", table, canaries, asked)
    elif call.method == "GET" and call.path == "" and "_getpages=" in call.query:
        return  # a further page of a search that was judged, as HAPI gives it
    elif call.method == "GET":
        yield from _got(path, call.query, table, canaries, asked)
    else:
        yield "this is neither a search, a read nor a transaction"


def _got(path: list[str], query: str, table: Allowed, canaries: Canaries, asked: str) -> Iterator[str]:
    match path:
        case ["metadata"]:
            return  # whether the record works at all
        case [kind]:
            yield from _search(kind, query, table, canaries, asked)
        case [kind, name] if name[:1].isalnum():
            if kind not in table.read:
                yield f"{kind} may not be read"
        case [kind, name, "_history", *_] if name[:1].isalnum():
            if kind not in table.history:
                yield f"versions of {kind} may not be read"
        case _:
            yield "this address is none that may be asked"


def _bundle(
    bundle: Mapping[str, Any], table: Allowed, canaries: Canaries, asked: str, *, writes: bool
) -> Iterator[str]:
    for entry in bundle.get("entry", ()):
        request = entry["request"]
        if request["method"] == "GET":
            where, _, query = request["url"].partition("?")
            yield from _got(where.split("/"), query, table, canaries, asked)
            continue
        kind = request["url"].partition("/")[0].partition("?")[0]
        if not writes or kind not in table.write:
            yield f"{request['method']} {request['url']} writes"
        if told := canaries.told([json.dumps(entry)], asked=asked):
            yield f"it writes {', '.join(told)}"


def _search(kind: str, query: str, table: Allowed, canaries: Canaries, asked: str) -> Iterator[str]:
    pairs = parse_qsl(query, keep_blank_values=True)
    names = {name for name, _ in pairs} - RESULTS - {"_sort"}
    sorts = {key.lstrip("-") for name, value in pairs if name == "_sort" for key in value.split(",")}
    looked = table.lookup.get(kind, frozenset())
    if names and names <= looked:
        return  # what links things, looked up for a rule; who is looked up is not the caller's to know
    plain = {name if "." in name else name.partition(":")[0] for name in names} | sorts
    if kind not in table.search:
        yield f"{kind} may not be searched"
    elif unknown := sorted(plain - table.search[kind]):
        yield f"{kind} may not be searched by {', '.join(unknown)}"
    if told := canaries.told([query], asked=asked):
        yield f"it names {', '.join(told)}"


def passing(target: str) -> App:
    """ASGI app that passes requests on to a FHIR server, which names its links by the `Host` that the client sent."""
    client = httpx.AsyncClient(trust_env=False, follow_redirects=False, timeout=60)

    async def passed(scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        kept = [(name, value) for name, value in request.headers.raw if name.decode() not in _HOP]
        url = f"{target.rstrip('/')}{scope['raw_path'].decode()}"
        query = scope["query_string"].decode("latin-1")
        got = await client.request(
            request.method, f"{url}?{query}" if query else url, headers=kept, content=await request.body()
        )
        headers = {name: value for name, value in got.headers.items() if name not in {*_HOP, "content-encoding"}}
        await Response(got.content, got.status_code, headers)(scope, receive, send)

    return passed


def main() -> None:
    """Serve a recorder in front of a FHIR server."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--to", required=True, help="address of the FHIR server")
    parser.add_argument("--log", type=Path, required=True, help="file to which each request is added as a line")
    chosen = parser.parse_args()
    app = Recorder(passing(chosen.to), chosen.log)
    uvicorn.run(app, host="127.0.0.1", port=chosen.port, log_config=None, lifespan="off")


if __name__ == "__main__":
    main()
