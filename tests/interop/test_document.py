"""The OpenAPI document against the running gateway, by schemathesis: no server error, and no answer that is not told.

Two ways: requests that are known to be right, each of which must be answered as such, so that every operation is really
exercised; and requests that schemathesis makes of the document, right and wrong ones, the same ones in each run.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ignored_auth,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from gateway.client import GatewayClient, load_credential
from gateway.config import CLIENTS
from tests.traffic import ENGINE, ORGANISATION, PARTNER, ROOT, Server

pytestmark = [pytest.mark.interop, pytest.mark.xdist_group("process"), pytest.mark.timeout(600)]

Json = dict[str, Any]
WRITER = "demo-writer"
PURPOSE = "TREAT"
REFUSED = 0
EXAMPLES = 25
CONFIG = SchemathesisConfig.from_dict({
    "seed": 4,
    "suppress-health-check": ["all"],
    "generation": {"deterministic": True, "max-examples": EXAMPLES, "database": "none"},
})  # fmt: skip
SCHEMA = schemathesis.openapi.from_path(ROOT / "openapi" / "openapi.json", config=CONFIG)
DOCUMENT: Json = json.loads((ROOT / "openapi" / "openapi.json").read_text("utf-8"))
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
SAMPLES = ROOT / "rules" / "samples"
DATA_TYPES = {".hl7": ("Hl7v2", "text/plain"), ".json": ("Fhir", "application/fhir+json"), ".csv": ("Csv", "text/csv")}
FLAG: Json = {
    "resourceType": "Flag",
    "identifier": [{"system": "urn:example:flags", "value": "F-1"}],
    "status": "active",
    "code": {"text": "Needs a hearing loop"},
    "subject": {"reference": "Patient/9990000018"},
    "period": {"start": "2026-01-01"},
    "author": {"reference": "Organization/RDZ"},
}


TO_DELETE = ("to-delete-1", "to-delete-2")


def bodies(*suffixes: str) -> st.SearchStrategy[bytes]:
    """Samples as they are, samples with a part cut out or put in, and anything at all."""
    whole = [path.read_bytes() for suffix in suffixes for path in sorted(SAMPLES.glob(f"*/*{suffix}"))]
    part = st.integers(0, max(map(len, whole)))
    changed = st.builds(
        lambda body, start, length, put: body[:start] + put + body[start + length :],
        st.sampled_from(whole), part, st.integers(0, 40), st.binary(max_size=8),
    )  # fmt: skip
    return st.one_of(st.sampled_from(whole), changed, st.binary(max_size=200))


schemathesis.openapi.media_type("text/plain", bodies(".hl7", ".csv"))
schemathesis.openapi.media_type("text/csv", bodies(".csv"))
schemathesis.openapi.media_type("application/hl7-v2", bodies(".hl7"), aliases=["x-application/hl7-v2+er7"])


@dataclass
class World:
    """A gateway that holds something of every type that it serves."""

    server: Server
    receipt: str = ""
    patients: frozenset[str] = frozenset()
    secrets: dict[str, str] = field(default_factory=dict)
    clients: dict[str, GatewayClient] = field(default_factory=dict)

    def client(self, principal: str) -> GatewayClient:
        """The client of a demo principal, which keeps its token fresh."""
        if principal not in self.clients:
            credential = load_credential(self.server.data / CLIENTS / f"{principal}.json")
            self.clients[principal] = GatewayClient(self.server.url, principal, credential)
        return self.clients[principal]

    def headers(self, operation: str) -> dict[str, str]:
        """What the principal that this operation is for says of itself."""
        principal = principal_of(operation)
        if principal is None:
            return {}
        token = {"Authorization": f"Bearer {self.client(principal).token()}"}
        return token if principal == ENGINE else {**token, "purpose-of-use": PURPOSE}

    @cached_property
    def found(self) -> dict[str, tuple[str, str]]:
        """A patient by type that something of it is found for, and the id of that."""
        found: dict[str, tuple[str, str]] = {}
        for kind in sorted(operation[len("search") :] for operation in operations() if is_search(operation)):
            for patient in sorted(self.patients):
                query = {"_id" if kind == "Patient" else "patient": patient}
                answer = requests.get(
                    f"{self.server.url}/{kind}", params=query, headers=self.headers(f"search{kind}"), timeout=30
                )
                if answer.ok and (entries := answer.json().get("entry")):
                    found[kind] = (patient, entries[0]["resource"]["id"])
                    break
        return found


def operations() -> set[str]:
    """Every operation of the document."""
    return {operation["operationId"] for item in DOCUMENT["paths"].values() for operation in item.values()}


def is_search(operation: str) -> bool:
    """Whether this searches one type by GET."""
    return operation.startswith("search") and not operation.endswith("ByPost")


def principal_of(operation: str) -> str | None:
    """Who may do this; None where nobody is asked."""
    item = next(
        each for item in DOCUMENT["paths"].values() for each in item.values() if each["operationId"] == operation
    )
    security = item.get("security")
    if security is not None and (not security or {} in security):
        return None
    if operation in {"ingest", "receipt"}:
        return ENGINE
    return WRITER if operation.endswith(("Flag", "FlagWhere", "FlagByPost")) or operation == "bundle" else PARTNER


@pytest.fixture(scope="module")
def world(demo: Server) -> Iterator[World]:
    one = World(demo)
    texts = []
    for path in sorted(SAMPLES.glob("*/accepted-*")):
        data_type, _ = DATA_TYPES[path.suffix]
        texts.append(path.read_text("utf-8"))
        sent = one.client(ENGINE).send(
            path.read_bytes(), domain=path.parent.name, organisation=ORGANISATION, data_type=data_type
        )
        one.receipt = (sent.receipt or "").rpartition("/")[2] or one.receipt
    one.patients = frozenset(re.findall(r"\b999\d{7}\b", " ".join(texts)))
    made = requests.post(
        f"{demo.url}/Flag", json=FLAG, timeout=30,
        headers={**one.headers("createFlag"), "Content-Type": "application/fhir+json"},
    )  # fmt: skip
    assert made.status_code == 201, made.text
    last = {"reference": f"Patient/{max(one.patients)}"}  # somebody whose flags no other operation is tried on
    for id_ in TO_DELETE:
        put = requests.put(
            f"{demo.url}/Flag/{id_}", json={**FLAG, "id": id_, "subject": last}, timeout=30,
            headers={**one.headers("updateFlag"), "Content-Type": "application/fhir+json"},
        )  # fmt: skip
        assert put.status_code == 201, put.text
    yield one
    for client in one.clients.values():
        client.close()


Requests = Iterator[tuple[int, Json]]
JSON: Mapping[str, str] = {"media_type": "application/fhir+json"}
PATCH: Mapping[str, str] = {"media_type": "application/json-patch+json"}
CHANGE = [{"op": "replace", "path": "/status", "value": "inactive"}]
NO_START = [{"op": "replace", "path": "/period", "value": {"end": "2026-02-01"}}]
FORM: Mapping[str, str] = {"media_type": "application/x-www-form-urlencoded"}


def of_search(asked: Json, _: str) -> Requests:
    yield 200, {"query": asked}
    yield 200, {"query": {**asked, "_count": 1, "_total": "accurate", "_elements": "id"}}


def of_search_by_post(asked: Json, _: str) -> Requests:
    yield 200, {"body": asked, **FORM}


def of_read(_: Json, id_: str) -> Requests:
    yield 200, {"path_parameters": {"id": id_}}
    yield 404, {"path_parameters": {"id": "there-is-none"}}


def of_history(_: Json, id_: str) -> Requests:
    yield 200, {"path_parameters": {"id": id_}}


def of_vread(_: Json, id_: str) -> Requests:
    yield 200, {"path_parameters": {"id": id_, "version": "1"}}


def of_create(_: Json, id_: str) -> Requests:
    yield 201, {"body": FLAG, **JSON}
    yield 200, {"body": FLAG, **JSON, "headers": {"If-None-Exist": f"_id={id_}"}}
    yield 422, {"body": {**FLAG, "period": {"end": "2026-02-01"}}, **JSON}


def of_update(_: Json, id_: str) -> Requests:
    yield 200, {"path_parameters": {"id": id_}, "body": {**FLAG, "id": id_, "status": "inactive"}, **JSON}
    yield 201, {"path_parameters": {"id": "chosen"}, "body": {**FLAG, "id": "chosen"}, **JSON}


def of_update_where(_: Json, id_: str) -> Requests:
    yield 200, {"query": {"_id": id_}, "body": {**FLAG, "status": "inactive"}, **JSON}


def of_patch(_: Json, id_: str) -> Requests:
    yield 200, {"path_parameters": {"id": id_}, "body": CHANGE, **PATCH}
    yield 422, {"path_parameters": {"id": id_}, "body": NO_START, **PATCH}


def of_patch_where(_: Json, id_: str) -> Requests:
    yield 200, {"query": {"_id": id_}, "body": CHANGE, **PATCH}


def of_delete(_: Json, __: str) -> Requests:
    yield 204, {"path_parameters": {"id": TO_DELETE[0]}}
    yield 404, {"path_parameters": {"id": "there-is-none"}}


def of_delete_where(_: Json, __: str) -> Requests:
    yield 204, {"query": {"_id": TO_DELETE[1]}}


ON_TYPES: Mapping[str, Callable[[Json, str], Requests]] = {
    "search": of_search,
    "searchByPost": of_search_by_post,
    "read": of_read,
    "history": of_history,
    "vread": of_vread,
    "create": of_create,
    "update": of_update,
    "updateWhere": of_update_where,
    "patch": of_patch,
    "patchWhere": of_patch_where,
    "delete": of_delete,
    "deleteWhere": of_delete_where,
}


def of_bundle(_: World) -> Requests:
    entry = {"resource": FLAG, "request": {"method": "POST", "url": "Flag"}}
    for kind in ("batch", "transaction"):
        yield 200, {"body": {"resourceType": "Bundle", "type": kind, "entry": [entry]}, **JSON}


def of_receipt(world: World) -> Requests:
    yield 200, {"path_parameters": {"id": world.receipt}}


def by_client(world: World, body: Json) -> Requests:
    for status, kept in ((200, secret(world, ENGINE)), (401, "nobodys")):
        basic = b64encode(f"{ENGINE}:{kept}".encode()).decode()
        yield status, {"body": body, "headers": {"Authorization": f"Basic {basic}"}, **FORM}


def of_token(world: World) -> Requests:
    return by_client(world, {"grant_type": "client_credentials"})


def of_introspect(world: World) -> Requests:
    return by_client(world, {"token": world.client(ENGINE).token()})


def of_revoke(world: World) -> Requests:
    return by_client(world, {"token": "a-token-of-nobody"})


def of_ingest(_: World) -> Requests:
    """Each sample that the demo's engine may send; what is refused may be by several statuses."""
    for path in sorted(SAMPLES.glob("*/*-*")):
        data_type, media_type = DATA_TYPES[path.suffix]
        body: Any = json.loads(path.read_text("utf-8")) if data_type == "Fhir" else path.read_bytes().decode()
        headers = {"source-domain": path.parent.name, "organisation-code": ORGANISATION, "data-type": data_type}
        if path.parent.name != "reference-data":
            status = 200 if path.name.startswith("accepted") else REFUSED
            yield status, {"body": body, "headers": headers, "media_type": media_type}


def of_what_takes_nothing(_: World) -> Requests:
    yield 200, {}


OTHERS: Mapping[str, Callable[[World], Requests]] = {
    "bundle": of_bundle,
    "receipt": of_receipt,
    "token": of_token,
    "introspect": of_introspect,
    "revoke": of_revoke,
    "ingest": of_ingest,
}


def right(world: World, operation: str) -> Requests:
    """Requests of an operation that are right, each with the status that it must get."""
    parts = re.fullmatch(r"([a-z]+)([A-Z][A-Za-z]+?)(ByPost|Where)?", operation)
    if parts is None or parts[2] not in world.found:
        return OTHERS.get(operation, of_what_takes_nothing)(world)
    patient, id_ = world.found[parts[2]]
    asked = {"_id" if parts[2] == "Patient" else "patient": patient}
    return ON_TYPES[parts[1] + (parts[3] or "")](asked, id_)


def secret(world: World, principal: str) -> str:
    """The secret of a demo principal."""
    kept = json.loads((world.server.data / CLIENTS / f"{principal}.json").read_text("utf-8"))
    return str(kept["client_secret"])


@pytest.mark.parametrize("operation_id", sorted(operations()))
def test_what_is_right_is_answered_as_the_document_says(world: World, operation_id: str) -> None:
    assert world.found.keys() == {name[len("search") :] for name in operations() if is_search(name)}
    operation = SCHEMA.find_operation_by_id(operation_id)
    for status, request in right(world, operation_id):
        case = operation.Case(**request)
        checks = [*CHECKS, ignored_auth] if principal_of(operation_id) else CHECKS
        answer = case.call_and_validate(base_url=world.server.url, headers=world.headers(operation_id), checks=checks)
        found = REFUSED if status == REFUSED and 400 <= answer.status_code < 500 else answer.status_code
        assert found == status, (request, answer.text)


@SCHEMA.parametrize()
def test_nothing_is_answered_that_the_document_does_not_tell(case: schemathesis.Case[Any], world: World) -> None:
    operation = str(case.operation.definition.raw["operationId"])
    case.call_and_validate(base_url=world.server.url, headers=world.headers(operation), checks=CHECKS)
