"""A partner's search through the gateway, beside what a proxy costs that decides nothing: all in one run.

Run alone: `python -m tests.bench --only facade`. Every request goes to one server at a time while the others rest; the
servers take turns in each round, so that what slows the machine down slows all of them.

Source of the bars: "Bars" in `facade.md` of the design
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import uvloop

from tests.bench.connection import connected
from tests.bench.load import LEVELS, Figure, Job, load, median
from tests.traffic import DOMAIN, ENGINE, ORGANISATION, PARTNER, Server, admissions, free_port, start, start_gateway

PEOPLE = 200
_NGINX = ("nginx", "/usr/sbin/nginx")
_WARM = 100
EMBEDDED, OVER_HTTP = "gateway, embedded store", "gateway, store over HTTP"
UNDECIDED = "gateway, store over HTTP, nothing decided"
DIRECT, BARE, DEFAULT, NGINX = "store alone", "bare proxy (aiohttp)", "bare proxy (httpx)", "nginx"
_MOST_COST, _LEAST_SHARE = 1.0, 0.6

Figures = Mapping[str, Mapping[int, Figure]]
"""By server and requests in flight."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way to the same answers. Shape: `partner` has the token where one is wanted, None elsewhere."""

    name: str
    url: str
    partner: Server | None = None


def measure(folder: Path, count: int, rounds: int) -> list[str]:
    """The section: so many searches by each way at each level, in each round."""
    data = folder / "gateway"
    server = start_gateway(data)
    try:
        uvloop.run(_admitted(server))
    finally:
        server.stop()
    store_data = folder / "store"
    store_data.mkdir()
    shutil.copy(data / "store.db", store_data / "store.db")
    with ExitStack() as stack:
        ways = _started(stack, folder, data, store_data)
        return section(uvloop.run(_measured(ways, count, rounds)), count, rounds)


def _started(stack: ExitStack, folder: Path, data: Path, store_data: Path) -> list[Way]:
    """All servers, each stopped at the end."""

    def running(server: Server) -> Server:
        stack.callback(server.stop)
        return server

    port = free_port()
    arguments = ("gateway", "store", "serve", "--port", str(port), "--data", str(store_data))
    store = running(start(*arguments, port=port, data=store_data, ready="/metadata"))
    embedded = running(start_gateway(data))
    over_http = running(start_gateway(_beside(folder / "beside", store)))
    undecided = running(start_gateway(_beside(folder / "undecided", store), program="tests.bench.undecided"))
    ways = [
        Way(DIRECT, store.url),
        Way(EMBEDDED, embedded.url, embedded),
        Way(OVER_HTTP, over_http.url, over_http),
        Way(UNDECIDED, undecided.url, undecided),
    ]
    for name, transport in ((BARE, "aiohttp"), (DEFAULT, "httpx")):
        ways.append(Way(name, running(_bare(folder, transport, store)).url))
    nginx = next((found for name in _NGINX if (found := shutil.which(name))), None)
    if nginx is not None:
        ways.append(Way(NGINX, stack.enter_context(_nginx(nginx, folder / "nginx", store.url))))
    return ways


def _beside(data: Path, store: Server) -> Path:
    """A data folder of a demo gateway that keeps its record in a store over HTTP."""
    data.mkdir()
    targets = f'[targets]\nbed-board = "folder:bed-board"\nrecord = "{store.url}"\n'
    (data / "gateway.toml").write_text(f'environment = "demo"\nclient_secrets = true\n\n{targets}', "utf-8")
    return data


def _bare(folder: Path, transport: str, store: Server) -> Server:
    port = free_port()
    arguments = ("tests.bench.bare", "--upstream", store.url, "--port", str(port), "--transport", transport)
    return start(*arguments, port=port, data=folder / f"bare-{transport}", ready="/metadata")


@contextmanager
def _nginx(program: str, folder: Path, upstream: str) -> Iterator[str]:
    """Address of nginx before a server, with one worker and connections that are kept.

    Errors: RuntimeError where it doesn't start.
    """
    folder.mkdir()
    port = free_port()
    places = "\n".join(
        f"  {kind}_temp_path {folder / kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off;\nworker_processes 1;\npid {folder / 'pid'};\nerror_log {folder / 'log'};\n"
        "events { worker_connections 512; }\n"
        f"http {{\n  access_log off;\n{places}\n  keepalive_requests 1000000;\n"
        f"  upstream store {{ server {upstream.removeprefix('http://').replace('localhost', '127.0.0.1')};"
        " keepalive 64; keepalive_requests 1000000; }\n"
        f"  server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://store; proxy_http_version 1.1;"
        ' proxy_set_header Connection ""; proxy_set_header Host $host; } }\n}\n',
        "utf-8",
    )
    process = subprocess.Popen([program, "-p", str(folder), "-c", str(folder / "nginx.conf")])
    try:
        time.sleep(0.5)
        if process.poll() is not None:
            raise RuntimeError(f"nginx ended with {process.returncode}:\n{(folder / 'log').read_text()}")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=30)


async def _admitted(server: Server) -> None:
    """Admit the people who are searched for."""
    async with connected(server.url) as connections, server.client(ENGINE) as client:
        headers = {"source-domain": DOMAIN, "organisation-code": ORGANISATION, "data-type": "Hl7v2"}
        for _, _, _, body in admissions(PEOPLE):
            head = connections.head("POST", "/$ingest", {
                **headers, "authorization": f"Bearer {await client.token()}", "content-type": "text/plain"
            })  # fmt: skip
            if (reply := await connections.ask(head, body)).status != 200:
                raise RuntimeError(reply.body.decode())


async def _measured(ways: Sequence[Way], count: int, rounds: int) -> Figures:
    found: dict[tuple[str, int], list[Figure]] = {}
    numbers = [admission[1] for admission in admissions(PEOPLE)]
    for turn in range(rounds):
        for level in LEVELS:
            # who comes first is another one in each round
            for way in (*ways[turn % len(ways) :], *ways[: turn % len(ways)]):
                async with _asking(way) as ask:
                    jobs: list[Job] = [partial(ask, numbers[n % PEOPLE]) for n in range(count)]
                    await load(jobs[:_WARM], level)
                    found.setdefault((way.name, level), []).append(await load(jobs, level))
    return {way.name: {level: median(found[way.name, level]) for level in LEVELS} for way in ways}


@asynccontextmanager
async def _asking(way: Way) -> AsyncIterator[Callable[[str], Awaitable[object]]]:
    """A function that searches for a number and sees that it is found."""
    headers: dict[str, str] = {}
    if way.partner is not None:
        async with way.partner.client(PARTNER) as client:
            headers = {"authorization": f"Bearer {await client.token()}", "purpose-of-use": "TREAT"}
    async with connected(way.url) as connections:

        async def ask(number: str) -> None:
            reply = await connections.ask(connections.head("GET", f"/Patient?_id={number}", headers))
            if reply.status != 200 or number.encode() not in reply.body:
                raise RuntimeError(reply.body.decode())

        yield ask


def section(found: Figures, count: int, rounds: int) -> list[str]:
    """Lines of Markdown, with the bars."""
    cost = found[OVER_HTTP][1].p50 - found[DIRECT][1].p50
    shares = {level: found[OVER_HTTP][level].rate / found[UNDECIDED][level].rate for level in LEVELS}
    bare = {level: found[OVER_HTTP][level].rate / found[BARE][level].rate for level in LEVELS}
    least = min(shares.values())
    held = [
        ("proxy cost over a direct call, p50 ms", f"{cost:.2f}", f"<= {_MOST_COST}", cost <= _MOST_COST),
        (
            f"throughput of the same gateway with no decision at all ({', '.join(map(str, LEVELS))} in flight)",
            ", ".join(f"{share:.0%}" for share in shares.values()), f">= {_LEAST_SHARE:.0%}", least >= _LEAST_SHARE,
        ),
    ]  # fmt: skip
    beside = ", ".join(f"{share:.0%}" for share in bare.values())
    bars = [f"| {name} | {value} | {bar} | {'yes' if met else 'NO'} |" for name, value, bar, met in held]
    heads = " | ".join(f"{level} in flight: a second | p50 ms | p99 ms" for level in LEVELS)
    rows = [
        f"| {name} | " + " | ".join(f"{f.rate:,.0f} | {f.p50:.2f} | {f.p99:.1f}" for f in levels.values()) + " |"
        for name, levels in found.items()
    ]
    how = (
        f"`GET /Patient?_id=` of one of {PEOPLE} people, found each time: {count:,} requests a round, medians of "
        f"{rounds} rounds in which the servers take turns. The gateway authenticates, decides, narrows, decides again, "
        "hides and writes an audit row that is on the disk before it answers; where nothing is decided it does all the "
        "rest; the proxies pass on. All but the embedded store have the same store over HTTP behind them. Its "
        f"throughput is {beside} of a proxy's that neither authenticates nor audits (aiohttp)."
    )
    return [
        "", "## Facade, beside proxies that decide nothing", "", how, "",
        f"| | {heads} |", "|---" * (1 + 3 * len(LEVELS)) + "|", *rows, "",
        "| what | measured | bar | met |", "|---|---|---|---|", *bars,
    ]  # fmt: skip
