"""The issuer's addresses over HTTP: metadata, introspection, revocation; and issuers elsewhere, served on loopback.

Source: RFC 8414, SMART App Launch 2.2, RFC 7662, RFC 7009; `trust.md` of the design, "Identity".
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from httpx import Response
from joserfc import jws
from joserfc.jwk import RSAKey

from gateway.config import ConfigError
from gateway.loading import Decisions
from tests.running import SECRETS, Running, acknowledged, issues, message, running

APP = "99999999-8888-4777-8666-555555555555"
KEY = RSAKey.generate_key(2048)
TENANT = "https://login.example.org/tenant/v2.0"


def test_rfc8414_the_metadata_says_where_everything_is(gateway: Running) -> None:
    told = gateway.http.get("/.well-known/oauth-authorization-server").json()
    assert told["issuer"] == "http://localhost:8000"
    assert told["grant_types_supported"] == ["client_credentials"]
    assert told["response_types_supported"] == []
    assert told["token_endpoint_auth_methods_supported"] == ["private_key_jwt", "client_secret_basic"]
    assert told["token_endpoint_auth_signing_alg_values_supported"] == ["RS384", "RS512", "ES384"]
    assert "mtls_endpoint_aliases" not in told
    for name in ("token", "introspection", "revocation"):
        address = told[f"{name}_endpoint"].removeprefix("http://localhost:8000")
        assert gateway.http.post(address, data={}).status_code == 400, "it is there, and takes no empty form"
    assert gateway.http.get(told["jwks_uri"].removeprefix("http://localhost:8000")).json()["keys"]


def test_smart_2_2_the_configuration_has_what_backend_services_need(gateway: Running) -> None:
    told = gateway.http.get("/.well-known/smart-configuration").json()
    assert told["token_endpoint"] == "http://localhost:8000/$ingest/auth"
    assert {"client-confidential-asymmetric", "permission-v2"} <= set(told["capabilities"])
    assert "private_key_jwt" in told["token_endpoint_auth_methods_supported"]
    assert {"RS384", "ES384"} <= set(told["token_endpoint_auth_signing_alg_values_supported"])
    assert told["grant_types_supported"] == ["client_credentials"]
    assert told["code_challenge_methods_supported"] == ["S256"]


def about(gateway: Running, address: str, token: str, principal: str = "demo-engine") -> Response:
    reply: Response = gateway.http.post(address, data={"token": token}, auth=(principal, SECRETS[principal]))
    return reply


def test_rfc7662_a_client_asks_about_its_own_token(gateway: Running) -> None:
    token = gateway.token("demo-engine")
    told = about(gateway, "/$ingest/auth/introspect", token)
    assert told.headers["cache-control"] == "no-store"
    assert (told.json()["active"], told.json()["client_id"]) == (True, "demo-engine")
    assert about(gateway, "/$ingest/auth/introspect", token, "demo-partner").json() == {"active": False}
    assert gateway.http.post("/$ingest/auth/introspect", data={"token": token}).status_code == 401


def test_rfc7009_a_revoked_token_is_refused_at_once_and_after_a_restart(tmp_path: Path, decisions: Decisions) -> None:
    with running(tmp_path, decisions) as gateway:
        token, partner = gateway.token("demo-engine"), gateway.token("demo-partner")
        assert acknowledged(gateway.send(message())).code == "AA"
        assert about(gateway, "/$ingest/auth/revoke", token, "demo-partner").status_code == 200
        assert acknowledged(gateway.send(message(control_id="C-2"))).code == "AA", "it was another's"
        assert about(gateway, "/$ingest/auth/revoke", token).status_code == 200
        refused = gateway.send(message(control_id="C-3"))
        assert refused.status_code == 401
        assert "was revoked" in issues(refused)[0]["diagnostics"]
    with running(tmp_path, decisions) as again:
        reply = again.send(message(control_id="C-4"), Authorization=f"Bearer {token}")
        assert reply.status_code == 401
        assert "was revoked" in issues(reply)[0]["diagnostics"]
        held = again.http.get("/metadata", headers={"Authorization": f"Bearer {partner}"})
        assert held.status_code == 200


class Keys(BaseHTTPRequestHandler):
    """An issuer's key set."""

    def do_GET(self) -> None:
        body = json.dumps({"keys": [{**KEY.as_dict(private=False), "kid": "k-1", "use": "sig"}]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Keys) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/keys"
        server.shutdown()


def trusted(address: str, **changes: Any) -> dict[str, Any]:
    one = {
        "issuer": TENANT, "jwks": address, "audience": "api://exchange", "clients": {APP: "dorset-icb"},
        "roles": {"Exchange.View": "gp-viewer"},
    }  # fmt: skip
    return {"entra": one | changes}


def signed(**changes: Any) -> str:
    now = int(time.time())
    claims = {
        "iss": TENANT, "aud": "api://exchange", "azp": APP, "sub": "s", "iat": now, "exp": now + 600, "uti": "u",
        "purpose_of_use": "TREAT", "roles": ["Exchange.View"],
    } | changes  # fmt: skip
    header = {"alg": "RS256", "typ": "JWT", "kid": "k-1"}
    return jws.serialize_compact(
        header, json.dumps(claims).encode(), KEY, registry=jws.JWSRegistry(algorithms=["RS256"])
    )


def test_a_client_of_another_issuer_searches_by_the_role_that_it_brings(
    tmp_path: Path, decisions: Decisions, address: str
) -> None:
    with running(tmp_path, decisions, issuers=trusted(address)) as gateway:
        assert acknowledged(gateway.send(message())).code == "AA"

        def ask(token: str) -> Response:
            reply: Response = gateway.http.get("/Patient?_id=9990000018", headers={"Authorization": f"Bearer {token}"})
            return reply

        seen = ask(signed())
        assert (seen.status_code, seen.json()["total"]) == (200, 1)
        assert ask(signed(roles=["Exchange.Other"])).status_code == 403
        assert ask(signed(scope="profile system/Observation.rs")).status_code == 403, "a scope narrows here too"
        assert ask(signed(aud="api://other")).status_code == 401
        assert ask(signed(azp="unknown")).status_code == 401


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"clients": {APP: "nobody"}}, "issuers.entra.clients` names nobody"),
        ({"roles": {"x": "emperor"}}, "issuers.entra.roles` names emperor"),
        ({"issuer": "http://localhost:8000"}, "the name of another issuer already"),
    ],
)
def test_an_issuer_that_does_not_fit_the_rules_stops_the_start(
    tmp_path: Path, decisions: Decisions, address: str, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError, match=words), running(tmp_path, decisions, issuers=trusted(address, **changes)):
        pass
