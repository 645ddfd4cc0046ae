"""A gateway for tests: the real application in this process, on a data folder of its own, with enrolled principals."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

from httpx import Response
from starlette.testclient import TestClient

from gateway import assemble, loading
from gateway.app import application
from gateway.client import Secret
from gateway.config import CREDENTIALS, Settings
from gateway.hl7v2.acknowledgement import Acknowledged, read_acknowledgement
from gateway.identity import Credentials
from gateway.identity import secret as secrets
from tests.records import RECORDS

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
CHEAP = 2  # scrypt's least cost
RENEWED = 200
"""When another token is got: a slow record makes a module's tests outlast one. Units: seconds."""
NHS_NUMBER = "9990000018"
SECRETS = {
    "demo-engine": "an-engines-secret-for-tests",
    "demo-partner": "a-partners-secret-for-tests",
    "demo-writer": "a-writers-secret-for-tests",
    "other-writer": "another-writers-secret-for-tests",  # declared by tests that need one
    "other-engine": "another-engines-secret-for-tests",  # so is this
}


def message(
    *, kind: str = "ADT^A01", control_id: str = "C-1", nhs_number: str = NHS_NUMBER, version: str = "2.4",
    name: str = "MARLOW^EDITH", visit: str = "V-1", sent: str = "20261122101500", extra: str = "",
) -> bytes:  # fmt: skip
    """An admission of an invented patient, or what `kind` says; a discharge carries its time."""
    discharge = f"|{sent}" if kind == "ADT^A03" else ""
    segments = [
        f"MSH|^~\\&|PAS|R0D|DEX|QVV|{sent}||{kind}|{control_id}|P|{version}",
        f"EVN|{kind[-3:]}|{sent}",
        f"PID|1||{nhs_number}^^^NHS^NH~L-{nhs_number}^^^R0D^MR||{name}||19800214|F|||1 Quay Lane^^Poole^^BH15 1AA",
        f"PV1|1|E|ED^^^R0D||||^Okafor^Ada{'|' * 12}{visit}^^^R0D^VN{'|' * 25}{sent}{discharge}",
    ]
    return "\r".join([*segments, *([extra] if extra else [])]).encode() + b"\r"


@dataclass
class Running:
    """A running gateway and how to ask it."""

    http: TestClient
    data: Path
    settings: Settings
    tokens: dict[str, str] = field(default_factory=dict)
    got: dict[str, float] = field(default_factory=dict)

    def token(self, principal: str) -> str:
        """An access token of a principal, got from the real issuer once while it lasts."""
        if principal not in self.tokens or time.monotonic() - self.got.get(principal, math.inf) > RENEWED:
            reply = self.http.post(
                "/$ingest/auth", data={"grant_type": "client_credentials"}, auth=(principal, SECRETS[principal])
            )
            assert reply.status_code == 200, reply.text
            self.tokens[principal] = reply.json()["access_token"]
            self.got[principal] = time.monotonic()
        return self.tokens[principal]

    def headers(self, **changed: str | None) -> dict[str, str]:
        """Headers of a submission; `changed` by name with underscores, None leaves one out."""
        usual: dict[str, str | None] = {
            "Authorization": f"Bearer {self.token('demo-engine')}",
            "source-domain": "emergency-care",
            "organisation-code": "r0d",
            "data-type": "Hl7v2",
            "Content-Type": "text/plain",
        }
        named = {name.replace("_", "-"): value for name, value in changed.items()}
        drop = {name.lower() for name in named}
        kept = {name: value for name, value in usual.items() if name.lower() not in drop}
        return {name: value for name, value in {**kept, **named}.items() if value is not None}

    def send(self, body: bytes, *, query: str = "", **changed: str | None) -> Response:
        """Submit a body."""
        reply: Response = self.http.post(f"/$ingest{query}", content=body, headers=self.headers(**changed))
        return reply

    def search(self, address: str, *, purpose: str | None = "TREAT", principal: str = "demo-partner") -> Response:
        """Ask as a partner."""
        headers = {"Authorization": f"Bearer {self.token(principal)}"}
        if purpose is not None:
            headers["purpose-of-use"] = purpose
        answer: Response = self.http.get(address, headers=headers)
        return answer


def acknowledged(reply: Response) -> Acknowledged:
    """The acknowledgement of an answer."""
    read = read_acknowledgement(reply.content)
    assert read is not None, reply.text
    return read


def issues(reply: Response) -> list[dict[str, Any]]:
    """Issues of the OperationOutcome in an acknowledgement or an answer."""
    if reply.headers["content-type"].startswith("text/plain"):
        outcome = json.loads(acknowledged(reply).text or "")
    else:
        outcome = reply.json()
    assert outcome["resourceType"] == "OperationOutcome"
    return list(outcome["issue"])


@contextmanager
def cheap_secrets() -> Iterator[None]:
    """Have secrets hashed at the least cost, and those of clients that nobody knows compared with one of that cost."""
    nobody = replace(secrets._NOBODY, cost=CHEAP)
    with patch.object(secrets, "COST", CHEAP), patch.object(secrets, "_NOBODY", nobody):
        yield


def enrol(credentials: Credentials, principal: str, secret: str, keys: Mapping[str, Any] | None = None) -> None:
    """Enrol a principal with a secret that is hashed cheaply: at the product's cost, hashing is most of a test run.

    The cost stands beside each hash, so what is kept is compared as any other.
    """
    with patch.object(secrets, "COST", CHEAP):
        credentials.enrol(principal, secret=secret, keys=keys)


@contextmanager
def running(
    data: Path, loaded: loading.Decisions, *, clock: Callable[[], datetime] = lambda: NOW, **settings: Any
) -> Iterator[Running]:
    """Run a gateway on a data folder."""
    data.mkdir(parents=True, exist_ok=True)
    none: AbstractContextManager[dict[str, str]] = nullcontext({})
    with none if "targets" in settings else RECORDS.of(data) as record:
        chosen = Settings(**{
            "data": data, "client_secrets": True, "environment": "test", "rules_watched": 0,
            "failures_a_minute": 0,
            "targets": {"bed-board": "folder:bed-board", **record}, **settings,
        })  # fmt: skip
        credentials = Credentials(data / CREDENTIALS)
        for principal in SECRETS.keys() & loaded.rules.registry.principals.keys():
            secret = SECRETS[principal]
            if credentials.find(principal) is None:
                enrol(credentials, principal, secret)
        web = application(lambda: assemble.opened(chosen, loaded, clock=clock))
        with TestClient(web, base_url="http://localhost:8000", raise_server_exceptions=False) as http:
            yield Running(http, data, chosen)


__all__ = ["NOW", "Running", "Secret", "acknowledged", "cheap_secrets", "enrol", "issues", "message", "running"]
