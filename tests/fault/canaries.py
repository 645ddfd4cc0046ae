"""Canaries for patients' data: invented names, numbers and ids through every interaction, good, bad and broken.

None may be found in a log, a metric or a trace, and none in an answer that refuses, but for what the same request sent.
Half go to a gateway with its own store, half to one whose FHIR server fails in every way and repeats what it was sent.
"""

from __future__ import annotations

import json
import random
import re
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import httpx

from gateway.client import GatewayClient, load_credential
from gateway.config import CLIENTS
from tests.fault.scenario import Counts, Scenario
from tests.traffic import DOMAIN, ENGINE, ORGANISATION, PARTNER, SAMPLE, Server, free_port, nhs_numbers, start_gateway

THREADS = 4
FOUND = re.compile(
    rb"(?i)kanarie[a-z]+|KAN-?[0-9]+X"
    rb"|(?<![0-9A-Fa-f.\-])(?!9990000018)999[0-9]{7}(?![0-9A-Fa-f])|(?!999 000 0018)999 [0-9]{3} [0-9]{4}"
)
"""Whatever a canary looks like; 9990000018 is none, for the gateway's own words have it in examples."""


@dataclass(frozen=True, slots=True)
class Canary:
    """One invented patient. Shape: `name` is a word that is nowhere else, `id` stands in control ids and visits."""

    name: str
    nhs_number: str
    id: str


@dataclass(frozen=True, slots=True)
class Sent:
    """One request. Shape: `shows` says that its answer, if it is good, may show patients."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes = b""
    shows: bool = False


def canaries(count: int, chance: random.Random) -> Iterator[Canary]:
    """So many, all different."""
    for number, nhs_number in enumerate(islice(nhs_numbers(), 100, 100 + count)):
        yield Canary("Kanarie" + "".join(chance.choices(ascii_lowercase, k=8)), nhs_number, f"KAN{number}X")


def _message(canary: Canary, **changed: str) -> bytes:
    text = SAMPLE.read_text("utf-8").replace("\n", "\r").replace("9990000018", canary.nhs_number)
    text = (
        text.replace("EC-A01-0001", canary.id)
        .replace("V260512001", f"V{canary.id}")
        .replace("H400118", f"H{canary.id}")
    )
    for old, new in changed.items():
        text = text.replace(old, new)
    segments = text.split("\r")
    place = next(number for number, segment in enumerate(segments) if segment.startswith("PID|"))
    fields = segments[place].split("|")
    fields[5] = f"{canary.name}^{canary.name}"
    segments[place] = "|".join(fields)
    return "\r".join(segments).encode()


def _patient(canary: Canary, **more: Any) -> dict[str, Any]:
    identifier = {"system": "https://fhir.nhs.uk/Id/nhs-number", "value": canary.nhs_number}
    return {
        "resourceType": "Patient", "id": canary.nhs_number, "identifier": [identifier],
        "name": [{"family": canary.name}], "address": [{"line": [f"1 {canary.name} Lane"]}], **more,
    }  # fmt: skip


def _ingest(body: bytes, data_type: str = "Hl7v2", **more: str) -> Sent:
    headers = {"source-domain": DOMAIN, "organisation-code": ORGANISATION, "data-type": data_type,
               "content-type": "text/plain", "as": ENGINE, **more}  # fmt: skip
    return Sent("POST", "/$ingest", headers, body)


def _ask(path: str, *, method: str = "GET", body: bytes = b"", more: Mapping[str, str] | None = None) -> Sent:
    kind = {"content-type": "application/fhir+json"} if body else {}
    headers = {"as": PARTNER, "purpose-of-use": "TREAT", **kind, **(more or {})}
    return Sent(method, path, headers, body, shows=method == "GET")


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


def _batch(canary: Canary) -> bytes:
    return b"BHS|^~\\&|" + canary.name.encode() + b"\r" + _message(canary) + b"\rBTS|1|" + canary.name.encode() + b"\r"


INTERACTIONS: tuple[Callable[[Canary], Sent], ...] = (
    lambda c: _ingest(_message(c)),
    lambda c: _ingest(_message(c, **{"ADT^A01": f"ADT^{c.name}"})),
    lambda c: _ingest(_message(c, **{"|2.4": f"|{c.name}"})),
    lambda c: _ingest(_message(c).replace(c.nhs_number.encode(), c.nhs_number[:9].encode() + b"X")),
    lambda c: _ingest(_message(c).replace(b"PV1|", b"PV1 " + c.name.encode())),
    lambda c: _ingest(c.name.encode() + b" " + c.nhs_number.encode()),
    lambda c: _ingest(b"\x0b" + _message(c) + b"\x1c\r"),
    lambda c: _ingest(_message(c)[:40]),
    lambda c: _ingest(_message(c), **{"organisation-code": c.name}),
    lambda c: _ingest(_message(c), **{"source-domain": c.name}),
    lambda c: _ingest(_message(c), data_type_=c.name),
    lambda c: _ingest(_message(c), **{"content-type": f"text/{c.name}"}),
    lambda c: _ingest(_message(c), **{"content-encoding": c.name}),
    lambda c: _ingest(_message(c), authorization=f"Bearer {c.name}"),
    lambda c: _ingest(_message(c), **{"idempotency-key": c.name, "on-behalf-of": c.name}),
    lambda c: _ingest(_batch(c)),
    lambda c: _ingest(_json(_patient(c)), "Fhir"),
    lambda c: _ingest(_json(_patient(c, gender=c.name, birthDate=c.name)), "Fhir"),
    lambda c: _ingest(_json({"resourceType": "Bundle", "type": "transaction", "entry": [
        {"resource": _patient(c), "request": {"method": "POST", "url": f"Patient?name={c.name}"}}]}), "Fhir"),
    lambda c: _ingest(_json(_patient(c))[:-7], "Fhir"),
    lambda c: _ingest(f"NHS_NUMBER,SURNAME\n{c.nhs_number},{c.name}\n".encode(), "Csv"),
    lambda c: _ingest(f'{c.name}\n{c.nhs_number}\n"{c.name}'.encode(), "Csv"),
    lambda c: _ask(f"/Patient?_id={c.nhs_number}"),
    lambda c: _ask(f"/Patient?identifier=https://fhir.nhs.uk/Id/nhs-number|{c.nhs_number}"),
    lambda c: _ask(f"/Patient?family={c.name}&address={c.name}"),
    lambda c: _ask(f"/Patient?{c.name}={c.nhs_number}"),
    lambda c: _ask(f"/Patient?_id={c.nhs_number}&_include={c.name}&_sort={c.name}&_count={c.name}"),
    lambda c: _ask(f"/Patient?_page={c.name}"),
    lambda c: _ask("/Patient/_search", method="POST", body=f"_id={c.nhs_number}&family={c.name}".encode(),
                   more={"content-type": "application/x-www-form-urlencoded"}),
    lambda c: _ask(f"/Patient/{c.nhs_number}"),
    lambda c: _ask(f"/Patient/{c.name}/_history/{c.nhs_number}"),
    lambda c: _ask(f"/Encounter?patient={c.nhs_number}", more={"purpose-of-use": c.name}),
    lambda c: _ask(f"/{c.name}/{c.nhs_number}"),
    lambda c: _ask(f"/Patient/{c.nhs_number}/$everything?start={c.name}"),
    lambda c: _ask(f"/Patient/{c.nhs_number}/${c.name}"),
    lambda c: _ask("/Patient", method="POST", body=_json(_patient(c))),
    lambda c: _ask(f"/Patient/{c.nhs_number}", method="PUT", body=_json(_patient(c)),
                   more={"if-match": f'W/"{c.name}"'}),
    lambda c: _ask(f"/Patient?identifier={c.nhs_number}", method="PUT", body=_json(_patient(c))),
    lambda c: _ask(f"/Patient/{c.nhs_number}", method="PATCH", body=_json([{"op": "test", "path": f"/{c.name}"}]),
                   more={"content-type": "application/json-patch+json"}),
    lambda c: _ask(f"/Patient/{c.nhs_number}", method="DELETE"),
    lambda c: _ask("/Patient/$validate", method="POST", body=_json(_patient(c, gender=c.name))),
    lambda c: _ask("/", method="POST", body=_json({"resourceType": "Bundle", "type": "batch", "entry": [
        {"request": {"method": "GET", "url": f"Patient/{c.nhs_number}"}},
        {"request": {"method": "GET", "url": f"{c.name}?x={c.name}"}}]})),
    lambda c: _ask(f"/$ingest/receipts/{c.id}"),
    lambda c: _ask(f"/$export?_type={c.name}"),
    lambda c: _ask(f"/{c.name}/%2e%2e/{c.nhs_number}"),
    lambda c: _ask(f"/swagger/{c.name}"),
    lambda c: _ask(f"/metadata?x={c.name}", more={"accept": f"application/{c.name}"}),
    lambda c: _ask(f"/Patient/{c.nhs_number}", more={"on-behalf-of": c.name, "break-glass-reason": c.name,
                                                  "traceparent": c.name, "x-forwarded-for": c.name}),
    lambda c: Sent("POST", "/$ingest/auth", {"content-type": "application/x-www-form-urlencoded"},
                   f"grant_type=client_credentials&client_id={c.name}&client_secret={c.nhs_number}".encode()),
    lambda c: Sent("POST", "/$ingest/auth", {"content-type": "application/x-www-form-urlencoded"},
                   f"grant_type={c.name}&scope={c.name}".encode()),
)  # fmt: skip


def raw(canary: Canary) -> tuple[bytes, ...]:
    """Requests that no client library would send."""
    name, number = canary.name.encode(), canary.nhs_number.encode()
    return (
        b"GET /Patient/" + number + b" HTTP/1.1\r\nHost: " + name + b"/x\r\n\r\n",
        b"GET /" + name + b"\x00 HTTP/1.1\r\nHost: localhost\r\n" + name + b"\r\n\r\n",
        name + b" /Patient/" + number + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST /$ingest HTTP/1.1\r\nHost: localhost\r\n"
        + name
        + b": "
        + number
        + b"\r\nTransfer-Encoding: chunked\r\n\r\n"
        + name
        + b"\r\n",
    )


class _Failing(BaseHTTPRequestHandler):
    """A FHIR server that fails in every way, and repeats what it was sent."""

    protocol_version = "HTTP/1.1"

    def _fail(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        sent = (self.path.encode() + b" " + body).decode("utf-8", "replace")
        way = hash(sent) % 6
        outcome = {"resourceType": "OperationOutcome", "issue": [
            {"severity": "error", "code": "processing", "diagnostics": sent[:300]}]}  # fmt: skip
        if way == 0:
            self.close_connection = True
        elif way == 1:
            self._answer(500, json.dumps(outcome).encode())
        elif way == 2:
            self._answer(200, b"{" + sent.encode())
        elif way == 3:
            self._answer(422, json.dumps(outcome).encode())
        elif way == 4:
            self._answer(302, b"", location=f"http://127.0.0.1:9/{sent[:80]}".replace("\n", "").replace("\r", ""))
        else:
            self._answer(200, sent.encode(), **{"content-type": "text/html"})

    def do_GET(self) -> None:
        self._fail()

    def do_POST(self) -> None:
        self._fail()

    def do_PUT(self) -> None:
        self._fail()

    def do_DELETE(self) -> None:
        self._fail()

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"content-type": "application/fhir+json", **headers}.items():
            self.send_header(name, value.encode("latin-1", "replace").decode("latin-1"))
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: Any) -> None:
        """Say nothing."""


class _Collector(BaseHTTPRequestHandler):
    """A collector of traces that keeps them as they came."""

    kept: list[bytes]

    def do_POST(self) -> None:
        self.kept.append(self.rfile.read(int(self.headers["content-length"])))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_arguments: Any) -> None:
        """Say nothing."""


@contextmanager
def _serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


class _Sender:
    """Sends requests of canaries to one gateway, and looks at what comes back."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._clients = {
            name: GatewayClient(server.url, name, load_credential(server.data / CLIENTS / f"{name}.json"))
            for name in (ENGINE, PARTNER)
        }
        self._lock = threading.Lock()
        self._http = httpx.Client(base_url=server.url, timeout=60, trust_env=False)
        self.told: Counter[str] = Counter()
        self.examples: list[str] = []

    def close(self) -> None:
        """Close its connections."""
        self._http.close()
        for client in self._clients.values():
            client.close()

    def send(self, number: int, canary: Canary) -> None:
        """Send the next of all interactions."""
        place = number % (len(INTERACTIONS) + 1)
        if place == len(INTERACTIONS):
            for request in raw(canary):
                self._look(request, self._raw(request), f"raw {number}")
            return
        sent = INTERACTIONS[place](canary)
        headers = {name.removesuffix("_"): value for name, value in sent.headers.items() if name != "as"}
        if "data_type_" in sent.headers:
            headers["data-type"] = headers.pop("data_type")
        if "as" in sent.headers and "authorization" not in headers:
            with self._lock:
                headers["authorization"] = f"Bearer {self._clients[sent.headers['as']].token()}"
        reply = self._http.request(sent.method, sent.path, headers=headers, content=sent.body)
        with self._lock:
            self.told[f"answered {reply.status_code // 100}xx"] += 1
        if sent.shows and reply.is_success:
            return
        own = " ".join((sent.path, *headers.values())).encode() + sent.body
        shown = repr(list(reply.headers.items())).encode() + reply.content
        self._look(own, shown, f"{sent.method} {place}")

    def _raw(self, request: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", int(self._server.url.rpartition(":")[2])), timeout=60) as client:
            client.sendall(request)
            found = b""
            try:
                while data := client.recv(65536):
                    found += data
            except ConnectionResetError:
                pass
        return found

    def _look(self, sent: bytes, answer: bytes, what: str) -> None:
        own = {found.lower() for found in FOUND.findall(sent)}
        strange = [found for found in FOUND.findall(answer) if found.lower() not in own]
        with self._lock:
            self.told["answers"] += 1
            self.told["in errors"] += bool(strange)
            if strange:
                self.examples.append(f"{what}: {strange[:3]}")


def found_in(text: bytes) -> list[bytes]:
    """Canaries in a text."""
    return FOUND.findall(text)


def run(folder: Path, times: int, seed: int, *, gateways: int = 2) -> Counts:
    """Send so many canaries, and count where they are found. Shape: of one gateway, the FHIR server fails."""
    chance = random.Random(seed)  # noqa: S311 - names
    kept: list[bytes] = []
    collector = type("Collector", (_Collector,), {"kept": kept})
    told: Counter[str] = Counter()
    with ExitStack() as stack:
        failing, traces = stack.enter_context(_serving(_Failing)), stack.enter_context(_serving(collector))
        targets = [{"targets": json.dumps({"record": failing, "bed-board": f"hl7v2+{failing}"})}, {}][:gateways]
        ports = [free_port() for _ in targets]
        servers = []
        for number, (port, more) in enumerate(zip(ports, targets, strict=True)):
            settings = {
                "metrics_port": str(port),
                "trace_endpoint": f"{traces}/v1/traces",
                "failures_a_minute": "0",
                **more,
            }
            servers.append(start_gateway(folder / f"gateway-{number}", settings=settings))
            stack.callback(servers[-1].kill)
        senders = [_Sender(server) for server in servers]
        with ThreadPoolExecutor(THREADS) as pool:
            work = [
                pool.submit(senders[number % gateways].send, number // gateways, canary)
                for number, canary in enumerate(canaries(times, chance))
            ]
        for one in work:
            one.result()
        for sender in senders:
            sender.close()
        metrics = b"".join(httpx.get(f"http://127.0.0.1:{port}/_metrics", trust_env=False).content for port in ports)
        for server in servers:
            server.stop()
    logs = b"".join(server.data.with_suffix(".log").read_bytes() for server in servers)
    for sender in senders:
        told.update(sender.told)
    examples = [one for sender in senders for one in sender.examples]
    examples += [line.decode("utf-8", "replace") for line in logs.splitlines() if found_in(line)]
    for example in examples[:20]:
        print(example)  # noqa: T201 - whoever runs it has to see which
    return {
        "canaries": times, **dict(sorted(told.items())),
        "log lines": logs.count(b"\n"), "metrics": metrics.count(b"\n"), "traces": sum(map(len, kept)),
        "in logs": len(found_in(logs)), "in metrics": len(found_in(metrics)),
        "in traces": len(found_in(b"\n".join(kept))),
        "in errors": told["in errors"],
    }  # fmt: skip


SCENARIO = Scenario(
    "Canaries for patients' data", run, 10_000, 10_000, ("in logs", "in metrics", "in traces", "in errors"),
    ("canaries", "answered 2xx", "answered 4xx", "answered 5xx", "log lines", "metrics", "traces"),
)  # fmt: skip
