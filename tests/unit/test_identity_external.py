"""Tokens of issuers elsewhere, in the shapes that Entra ID and Keycloak give theirs, with keys made here.

Source: RFC 9068, RFC 8725; Microsoft's and Keycloak's documentation of access tokens, told again in our own claims.
"""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

from gateway.config import ExternalIssuer
from gateway.identity import (
    Credentials,
    KeyFile,
    Principal,
    RemoteKeys,
    Unauthorised,
    Verifier,
    built_in,
    described,
    external,
    new_client_key,
    public_set,
)
from gateway.identity.remote_keys import AGAIN, FRESH
from tests.certificates import Authority, der

NOW = 1_800_000_000
URL = "https://exchange.example.org"
TENANT = "https://login.example.org/11111111-2222-4333-8444-555555555555/v2.0"
REALM = "https://keycloak.example.org/realms/exchange"
APP = "99999999-8888-4777-8666-555555555555"
ENTRA_KEY, NEXT_KEY, KEYCLOAK_KEY = (RSAKey.generate_key(2048) for _ in range(3))
CURVE = ECKey.generate_key("P-256")

ENTRA = ExternalIssuer(
    issuer=TENANT, jwks=f"{TENANT}/keys", audience="api://exchange", types=frozenset({"JWT"}), client_claim="azp",
    clients={APP: "dorset-gp"}, roles={"Exchange.View": "gp-viewer", "Exchange.Flag": "flag-keeper"},
)  # fmt: skip
KEYCLOAK = ExternalIssuer(
    issuer=REALM, jwks=f"{REALM}/certs", audience="exchange", algorithms=frozenset({"RS256", "ES256"}),
    clients={"gp-viewer-app": "demo-partner"}, roles_claim=("resource_access", "exchange", "roles"),
    roles={"viewer": "gp-viewer"}, user_claim="preferred_username",
)  # fmt: skip


@dataclass
class Places:
    """The addresses of key sets, which can change, and how often each is asked; `now` is their clock."""

    sets: dict[str, dict[str, Any]]
    asked: list[str] = field(default_factory=list)
    now: float = 0.0

    async def fetch(self, address: str) -> bytes:
        self.asked.append(address)
        return json.dumps(self.sets[address]).encode()


def public(key: RSAKey | ECKey, kid: str, **more: Any) -> dict[str, Any]:
    return {**key.as_dict(private=False), "kid": kid, "use": "sig", **more}


@dataclass(frozen=True)
class Bench:
    verifier: Verifier
    credentials: Credentials
    places: Places
    own: KeyFile

    def let_in(self, token: str, **how: Any) -> Principal:
        return asyncio.run(self.verifier.authenticate([f"Bearer {token}"], how.get("certificate")))

    def refusal(self, token: str, **how: Any) -> str:
        with pytest.raises(Unauthorised) as caught:
            self.let_in(token, **how)
        return caught.value.words


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    places = Places({
        ENTRA.jwks: {"keys": [public(ENTRA_KEY, "entra-1", x5c=["MIIB"], x5t="abc")]},
        KEYCLOAK.jwks: {"keys": [
            {**KEYCLOAK_KEY.as_dict(private=False), "kid": "enc", "use": "enc", "alg": "RSA-OAEP"},
            public(KEYCLOAK_KEY, "keycloak-1", alg="RS256"), public(CURVE, "keycloak-2", alg="ES256"),
        ]},
    })  # fmt: skip
    own, credentials = KeyFile(tmp_path / "keys"), Credentials(tmp_path / "credentials", clock=lambda: NOW - 3600)
    remote = RemoteKeys(places.fetch, clock=lambda: places.now)
    verifier = Verifier(
        [built_in(own, URL), external(ENTRA, remote), external(KEYCLOAK, remote)], credentials, realm=URL,
        token_address=f"{URL}/$ingest/auth", clock=lambda: NOW,
    )  # fmt: skip
    return Bench(verifier, credentials, places, own)


def signed(key: RSAKey | ECKey, header: dict[str, Any], claims: dict[str, Any]) -> str:
    registry = jws.JWSRegistry(algorithms=[header["alg"]], strict_check_header=False)
    return jws.serialize_compact(header, json.dumps(claims).encode(), key, registry=registry)


def merged(claims: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in (claims | changes).items() if value is not None}


def entra(*, key: RSAKey = ENTRA_KEY, header: dict[str, Any] | None = None, **changes: Any) -> str:
    """An application's access token as Entra ID gives it, version 2."""
    claims = {
        "aud": "api://exchange", "iss": TENANT, "iat": NOW - 5, "nbf": NOW - 5, "exp": NOW + 3600, "aio": "k2Rg",
        "azp": APP, "azpacr": "2", "oid": "aaaaaaaa-0000-4000-8000-000000000001", "rh": "0.A",
        "roles": ["Exchange.View"], "sub": "aaaaaaaa-0000-4000-8000-000000000001",
        "tid": "11111111-2222-4333-8444-555555555555", "uti": "abc", "ver": "2.0",
    }  # fmt: skip
    top = {"typ": "JWT", "alg": "RS256", "kid": "entra-1"} | (header or {})
    return signed(key, {name: value for name, value in top.items() if value is not None}, merged(claims, changes))


def keycloak(*, key: RSAKey | ECKey = KEYCLOAK_KEY, header: dict[str, Any] | None = None, **changes: Any) -> str:
    """A service account's access token as Keycloak gives it."""
    claims = {
        "exp": NOW + 300, "iat": NOW - 1, "jti": "trrtcc:0b5d", "iss": REALM, "aud": ["exchange", "account"],
        "sub": "bbbbbbbb-0000-4000-8000-000000000002", "typ": "Bearer", "azp": "gp-viewer-app", "acr": "1",
        "realm_access": {"roles": ["offline_access"]}, "resource_access": {"exchange": {"roles": ["viewer", "other"]}},
        "scope": "profile email", "clientHost": "192.0.2.7", "preferred_username": "service-account-gp-viewer-app",
    }  # fmt: skip
    return signed(key, {"alg": "RS256", "typ": "JWT", "kid": "keycloak-1"} | (header or {}), merged(claims, changes))


def test_an_application_of_entra_is_the_principal_that_configuration_names(bench: Bench) -> None:
    assert bench.let_in(entra()) == Principal("dorset-gp", roles=frozenset({"gp-viewer"}))
    assert bench.credentials.list() == (), "nothing is enrolled here for it"


def test_a_service_account_of_keycloak_with_several_audiences(bench: Bench) -> None:
    assert bench.let_in(keycloak()) == Principal(
        "demo-partner", user="service-account-gp-viewer-app", roles=frozenset({"gp-viewer"})
    )
    assert bench.let_in(keycloak(key=CURVE, header={"alg": "ES256", "kid": "keycloak-2"})).name == "demo-partner"


def test_version_1_of_entra_names_the_client_in_appid(tmp_path: Path, bench: Bench) -> None:
    first = ENTRA.model_copy(update={"client_claim": "appid"})
    verifier = Verifier(
        [external(first, RemoteKeys(bench.places.fetch))], Credentials(tmp_path), realm=URL, token_address=URL,
        clock=lambda: NOW,
    )  # fmt: skip
    token = entra(azp=None, appid=APP, ver="1.0")
    assert asyncio.run(verifier.authenticate([f"Bearer {token}"])).name == "dorset-gp"


ROLES: dict[str, tuple[Any, frozenset[str]]] = {
    "none": (None, frozenset()),
    "an empty list": ([], frozenset()),
    "one that is mapped to none": (["Exchange.Admin", "gp-viewer", "data-provider"], frozenset()),
    "two": (["Exchange.View", "Exchange.Flag"], frozenset({"gp-viewer", "flag-keeper"})),
}


@pytest.mark.parametrize("case", ROLES)
def test_roles_count_where_configuration_maps_them_alone(bench: Bench, case: str) -> None:
    roles, expected = ROLES[case]
    assert bench.let_in(entra(roles=roles)).roles == expected


SCOPES = {
    "profile email": (),
    "openid system/Patient.rs": ("system/Patient.rs",),
    "ingest": ("ingest",),
    "system/Patient.xyz": ("system/Patient.xyz",),
}


@pytest.mark.parametrize("scope", SCOPES)
def test_scopes_of_openid_say_nothing_and_those_of_fhir_narrow(bench: Bench, scope: str) -> None:
    assert bench.let_in(keycloak(scope=scope)).scopes == SCOPES[scope]
    assert bench.let_in(entra(scp=scope)).scopes == SCOPES[scope]


BAD_ENTRA: dict[str, dict[str, Any]] = {
    "another audience": {"aud": "api://other"},
    "no audience": {"aud": None},
    "an audience among numbers": {"aud": ["api://exchange", 5]},
    "another tenant": {"iss": TENANT.replace("1111", "9999", 1)},
    "an application that is not named": {"azp": "00000000-0000-4000-8000-000000000000"},
    "an application with a principal's name": {"azp": "dorset-gp"},
    "an application in capitals": {"azp": APP.replace("9", "A")},
    "no application": {"azp": None},
    "an application as a list": {"azp": [APP]},
    "an id token: for the application itself": {"aud": APP, "nonce": "n"},
    "expired": {"exp": NOW},
    "no exp": {"exp": None},
    "no iat": {"iat": None},
    "not valid yet": {"nbf": NOW + 600},
    "roles as a text": {"roles": "Exchange.View"},
    "roles of numbers": {"roles": [1]},
    "roles without end": {"roles": ["Exchange.View"] * 501},
    "bound to a key (RFC 9449)": {"cnf": {"jkt": "AA"}},
    "bound to a certificate that it came without": {"cnf": {"x5t#S256": "A" * 43}},
    "a scope that is a list": {"scope": ["system/Patient.rs"]},
    "a purpose that is a list": {"purpose_of_use": ["TREAT"]},
}


@pytest.mark.parametrize("case", BAD_ENTRA)
def test_rfc9068_bad_claims_are_refused(bench: Bench, case: str) -> None:
    assert bench.refusal(entra(**BAD_ENTRA[case]))


BAD_HEADERS: dict[str, dict[str, Any]] = {
    "alg none": {"alg": "none"},
    "an algorithm that the issuer does not have": {"alg": "RS384"},
    "an algorithm of another issuer": {"alg": "ES256"},
    "no typ, which this issuer always has": {"typ": None},
    "a typ of ours": {"typ": "at+jwt"},
    "an unknown kid": {"kid": "entra-9"},
    "another issuer's kid": {"kid": "keycloak-1"},
    "no kid": {"kid": None},
    "an address of keys": {"jku": "https://attacker.example/keys"},
}


@pytest.mark.parametrize("case", BAD_HEADERS)
def test_rfc8725_bad_headers_are_refused(bench: Bench, case: str) -> None:
    header, payload, signature = entra().split(".")
    top = json.loads(base64.urlsafe_b64decode(header + "==")) | BAD_HEADERS[case]
    plain = json.dumps({name: value for name, value in top.items() if value is not None}).encode()
    assert bench.refusal(f"{base64.urlsafe_b64encode(plain).rstrip(b'=').decode()}.{payload}.{signature}")
    if BAD_HEADERS[case].get("alg", "RS384") == "RS384":  # signed as it says, so that nothing else is wrong with it
        assert bench.refusal(entra(header=BAD_HEADERS[case]))


def test_one_issuers_key_signs_nothing_of_anothers(bench: Bench) -> None:
    assert "signature" in bench.refusal(entra(key=KEYCLOAK_KEY))
    assert "signature" in bench.refusal(entra(key=KEYCLOAK_KEY, header={"kid": "keycloak-1"}))
    claims = {
        "iss": URL, "sub": APP, "client_id": APP, "azp": APP, "aud": URL, "iat": NOW, "exp": NOW + 9, "jti": "x",
    }  # fmt: skip
    assert bench.refusal(signed(ENTRA_KEY, {"alg": "RS256", "typ": "at+jwt", "kid": "entra-1"}, claims))
    assert bench.refusal(bench.own.sign({**claims, "iss": TENANT, "aud": "api://exchange"}, kind="JWT"))
    assert "type" in bench.refusal(bench.own.sign(claims, kind="JWT")), "what others call theirs is no type of ours"


def test_keys_are_rolled_over_without_a_restart(bench: Bench) -> None:
    token = entra()
    bench.let_in(token)
    bench.let_in(entra(uti="another"))
    assert bench.places.asked == [ENTRA.jwks]
    bench.places.sets[ENTRA.jwks] = {"keys": [public(NEXT_KEY, "entra-2"), public(ENTRA_KEY, "entra-1")]}
    renewed = entra(key=NEXT_KEY, header={"kid": "entra-2"})
    assert "signature" in bench.refusal(renewed), "asked a moment ago"
    bench.places.now += AGAIN + 1
    assert bench.let_in(renewed).name == "dorset-gp"
    bench.places.sets[ENTRA.jwks] = {"keys": [public(NEXT_KEY, "entra-2")]}
    bench.places.now += FRESH + 1
    assert bench.let_in(entra(key=NEXT_KEY, header={"kid": "entra-2"}, uti="later")).name == "dorset-gp"
    assert "signature" in bench.refusal(token), "it was remembered, and its key is none any more"


def test_who_was_revoked_here_does_not_come_back_by_another_issuer(bench: Bench) -> None:
    bench.credentials.enrol("dorset-gp", keys=public_set(new_client_key()))
    token = entra()
    assert bench.let_in(token).name == "dorset-gp"
    bench.credentials.revoke("dorset-gp")
    assert "was revoked" in bench.refusal(token)
    (bench.credentials.folder / "dorset-gp.json").write_text("half a fi")
    assert "was revoked" in bench.refusal(token), "a file that can't be read bars it too"


def test_a_principal_that_is_enrolled_with_a_certificate_needs_it_here_too(bench: Bench, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "authority")
    own, other = authority.client("own"), authority.client("other")
    bench.credentials.enrol("dorset-gp", certificates=[der(own)])
    assert "enrolled with a client certificate" in bench.refusal(entra())
    assert "came with another" in bench.refusal(entra(), certificate=described(other))
    assert bench.let_in(entra(), certificate=described(own)).name == "dorset-gp"
    bound = entra(cnf={"x5t#S256": described(own).thumbprint})
    assert bench.let_in(bound, certificate=described(own)).name == "dorset-gp"


def test_an_id_that_was_revoked_here_bars_no_token_of_another_issuer(bench: Bench) -> None:
    bench.verifier._revoked = {"trrtcc:0b5d"}
    assert bench.let_in(keycloak()).name == "demo-partner"
