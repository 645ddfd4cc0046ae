"""Documents and behaviour, held against each other: what a caller's document says works, and nothing else does.

Source: `http-interface.md` of the design, "Documents": with a token, only what its principal may send and see
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from httpx import Response

from gateway import specs
from gateway.config import CREDENTIALS
from gateway.identity import Credentials
from gateway.query.offer import WHOLE
from tests import rule_sets
from tests.bounded import sample
from tests.running import Running, enrol, message, running

Json = dict[str, Any]

TABLES = specs.fhir()
PRINCIPALS = ("demo-engine", "demo-partner", "demo-writer", "dorset-icb", "wessex-lims", "ods-loader")
VALUES = {
    "date": "2026-01-01", "number": "1", "quantity": "1", "reference": "Patient/9990000018", "uri": "urn:x",
    "string": "xx",
}  # fmt: skip
SHAPED = {"missing": "true", "of-type": "urn:s|MR|1"}
DENIED, REFUSED = 403, frozenset({400, 403, 404, 405})
TYPES = sorted(n for n, d in TABLES.types.items() if d.kind == "resource" and not d.abstract)
MODIFIERS = sorted((WHOLE.modifiers | {"in", "not-in"}) - {"[type]"})
METHODS = ("get", "post", "put")


@dataclass
class Told:
    """What one caller's documents tell it, and how it asks."""

    gateway: Running
    principal: str

    @cached_property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.gateway.token(self.principal)}"}

    @cached_property
    def document(self) -> Json:
        answer = self.gateway.http.get("/openapi.json", headers=self.headers)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    @cached_property
    def statement(self) -> Json:
        answer = self.gateway.http.get("/metadata", headers=self.headers)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    @property
    def paths(self) -> Json:
        return dict(self.document["paths"])

    @property
    def purposes(self) -> list[str]:
        parameter = self.document["components"]["parameters"].get("purpose-of-use")
        return list(parameter["schema"]["enum"]) if parameter else []

    def operation(self, path: str, method: str) -> Json | None:
        found: Json | None = self.paths.get(path, {}).get(method)
        return found

    def query(self, path: str) -> dict[str, Json]:
        """Query parameters of a search by name."""
        given = self.paths[path]["get"]["parameters"]
        every = [
            self.document["components"]["parameters"][p["$ref"].split("/")[-1]] if "$ref" in p else p for p in given
        ]
        return {p["name"]: p for p in every if p["in"] == "query"}

    def ask(self, method: str, path: str, asked: Mapping[str, str] | None = None, body: Any = None) -> Response:
        """Ask with the purpose that the document offers."""
        headers = {**self.headers, **({"purpose-of-use": self.purposes[0]} if self.purposes else {})}
        content = None if method == "get" else body
        if isinstance(content, bytes):
            headers["Content-Type"] = "application/json-patch+json" if method == "patch" else "application/fhir+json"
        form = content if isinstance(content, dict) else None
        raw = content if isinstance(content, bytes) else None
        answer: Response = self.gateway.http.request(
            method, path, params=asked, headers=headers, data=form, content=raw
        )
        return answer


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Iterator[Running]:
    loaded = rule_sets.decisions(repository / "rules", repository / "specs")
    with running(tmp_path_factory.mktemp("drift"), loaded) as one:
        credentials = Credentials(one.data / CREDENTIALS)
        for principal in PRINCIPALS:
            if credentials.find(principal) is None:
                enrol(credentials, principal, "a-secret-of-this-test-alone")
                reply = one.http.post(
                    "/$ingest/auth", data={"grant_type": "client_credentials"},
                    auth=(principal, "a-secret-of-this-test-alone"),
                )  # fmt: skip
                one.tokens[principal] = reply.json()["access_token"]
        assert one.send(message()).status_code == 200
        yield one


@pytest.fixture(scope="module", params=PRINCIPALS)
def told(request: pytest.FixtureRequest, gateway: Running) -> Told:
    return Told(gateway, request.param)


def value(code: str, kind: str) -> str:
    parameter = TABLES.search_parameters[kind, code]
    if parameter.type == "reference" and parameter.targets and "Patient" not in parameter.targets:
        return f"{parameter.targets[0]}/x"
    return VALUES.get(parameter.type, "x")


def searches(told: Told) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Types that may be searched, each with searches that the document says suffice."""
    for path, item in told.paths.items():
        if "get" in item and path[1:] in TABLES.types:
            kind, needed = path[1:], {}
            for name, parameter in told.query(path).items():
                if name == "_summary" and parameter.get("required"):
                    needed = {"_summary": "count"}
            groups = [group for asking in item["get"]["x-asking"] for group in asking["anyOf"]]
            yield kind, [{**needed, **{code: value(code, kind) for code in group}} for group in groups] or [needed]


# --- what the document says works ----------------------------------------------------------------------------------


def test_each_search_that_the_document_says_suffices_is_answered(told: Told) -> None:
    for kind, asked in searches(told):
        for one in asked:
            answer = told.ask("get", f"/{kind}", one)
            assert answer.status_code == 200, (kind, one, answer.text)
            posted = told.ask("post", f"/{kind}/_search", None, one)
            assert posted.status_code == 200, (kind, one, posted.text)


def test_each_parameter_and_modifier_is_taken_and_no_other_modifier_is(told: Told) -> None:
    tried: set[tuple[str, tuple[str, ...]]] = set()
    for kind, asked in searches(told):
        for name, parameter in told.query(f"/{kind}").items():
            if "x-fhir" not in parameter:
                continue
            base = next((one for one in asked if name in one), asked[0])
            given = {**base, name: value(name, kind)}
            answer = told.ask("get", f"/{kind}", given)
            assert answer.status_code == 200, (kind, given, answer.text)
            rest = {key: text for key, text in given.items() if key != name}
            modifiers = parameter["x-fhir"]["modifiers"]
            if (parameter["x-fhir"]["definition"], tuple(modifiers)) in tried:
                continue  # the same parameter of another type, of which the same is told
            tried.add((parameter["x-fhir"]["definition"], tuple(modifiers)))
            for modifier in (*MODIFIERS, *parameter["x-fhir"].get("targets", ())[:1]):
                listed = modifier in modifiers or ("[type]" in modifiers and modifier[:1].isupper())
                text = SHAPED.get(modifier) or ("1" if modifier[:1].isupper() else value(name, kind))
                found = told.ask("get", f"/{kind}", {**rest, f"{name}:{modifier}": text})
                expected = {200} if listed else {400, 403}
                assert found.status_code in expected, (kind, f"{name}:{modifier}", modifiers, found.text)


def test_each_read_and_write_that_is_told_is_permitted(told: Told) -> None:
    for path, item in told.paths.items():
        kind, _, below = path.removeprefix("/").partition("/")
        if kind not in TABLES.types:
            continue
        for method, operation in item.items():
            if below == "_search" or (method == "get" and not below):
                continue
            address = path.replace("{id}", "there-is-none").replace("{version}", "1")
            query = {"_id": "there-is-none"} if method in {"put", "patch", "delete"} and not below else None
            answer = told.ask(method, address, query, b"{}" if method not in {"get", "delete"} else None)
            # nothing stands there, or the body is none: neither is told to one who may not ask
            expected = {"get": 404, "delete": 404 if below else 204}.get(method, 400)
            assert answer.status_code == expected, (method, path, answer.text)
            assert str(answer.status_code) in operation["responses"]


def sent(told: Told, domain: str, data_type: str, kind: str, organisation: str) -> Response:
    """What is answered to something of a type; whether it is right doesn't matter here."""
    bodies = {
        "Hl7v2": message(kind=kind, control_id=f"{told.principal}-{domain}-{kind}-{organisation}"),
        "Fhir": f'{{"resourceType": "{kind}"}}'.encode(),
        "Csv": b"NOTHING\r\n1\r\n",
    }
    return told.gateway.send(
        bodies[data_type], query="?dry-run=true", Authorization=told.headers["Authorization"],
        source_domain=domain, organisation_code=organisation, data_type=data_type,
    )  # fmt: skip


def offered(told: Told) -> dict[str, set[tuple[str, str]]]:
    """Data types with types by domain, as the document tells them."""
    operation = told.operation("/$ingest", "post")
    rows = operation["x-domains"] if operation else []
    return {
        row["source-domain"]: {(a["data-type"], name) for a in row["accepts"] for name in a["types"]} for row in rows
    }


def enumerated(told: Told, name: str) -> list[str]:
    operation = told.operation("/$ingest", "post")
    found = [p for p in operation["parameters"] if p.get("name") == name] if operation else []
    return list(found[0]["schema"]["enum"]) if found else []


def test_what_the_document_says_may_be_sent_is_not_denied(told: Told) -> None:
    told_of = offered(told)
    assert enumerated(told, "source-domain") == sorted(told_of)
    for domain, types in told_of.items():
        for data_type, kind in sorted(types):
            for organisation in enumerated(told, "organisation-code"):
                answer = sent(told, domain, data_type, kind, organisation)
                assert answer.status_code != DENIED, (domain, kind, organisation, answer.text)
                assert "does not accept" not in answer.text


def granted(gateway: Running) -> set[str]:
    """Types that somebody may see."""
    return set(interactions(gateway.http.get("/openapi.json").json()))


# --- nothing else does -----------------------------------------------------------------------------------------------


ADDRESSES = (
    ("get", "", "/{type}"),
    ("post", "/_search", "/{type}/_search"),
    ("get", "/there-is-none", "/{type}/{id}"),
    ("get", "/there-is-none/_history", "/{type}/{id}/_history"),
    ("get", "/there-is-none/_history/1", "/{type}/{id}/_history/{version}"),
    ("post", "", "/{type}"),
    ("put", "/there-is-none", "/{type}/{id}"),
    ("put", "?_id=there-is-none", "/{type}"),
    ("patch", "/there-is-none", "/{type}/{id}"),
    ("patch", "?_id=there-is-none", "/{type}"),
    ("delete", "/there-is-none", "/{type}/{id}"),
    ("delete", "?_id=there-is-none", "/{type}"),
    ("post", "/$validate", "/{type}/$validate"),
    ("post", "/there-is-none/$validate", "/{type}/{id}/$validate"),
)


def test_no_type_and_interaction_is_permitted_that_the_document_does_not_tell(told: Told) -> None:
    tried = 0
    # types that no rule names are refused alike, whoever asks: one caller asks for all of them
    some = {*granted(told.gateway), "Basic", "Task"}
    types = TYPES if told.principal == "demo-partner" else sorted(some)
    for turn, kind in enumerate(types):
        for method, below, template in ADDRESSES if kind in some else sample(ADDRESSES, len(ADDRESSES), turn):
            if told.operation(template.replace("{type}", kind), method) is not None:
                continue
            tried += 1
            body: Any = b"{}" if method not in {"get", "delete"} else None
            body = {"_count": "1"} if below == "/_search" else body
            answer = told.ask(method, f"/{kind}{below}", None, body)
            assert answer.status_code in {403, 405}, (method, kind, below, answer.text)
    assert tried > len(types)


def test_no_method_or_address_is_there_that_no_document_tells(told: Told) -> None:
    for path in ("/Patient", "/Patient/x", "/Flag/x"):
        assert told.ask("trace", path).status_code == 405
    for path in (
        "/Patient/$everything",
        "/Encounter/x/$everything",
        "/Patient/_history",
        "/_history",
        "/Group/1/$export",
    ):
        assert told.ask("get", path).status_code in {404, 405}
    # no shipped rule grants them; tests/conformance/test_facade_operations.py has rules that do
    for path in ("/Patient/x/$everything", "/$export", "/Patient/$export"):
        assert path.replace("/x/", "/{id}/") not in told.paths
        assert told.ask("get", path).status_code == 403


def test_no_parameter_is_taken_that_the_document_does_not_tell(told: Told) -> None:
    for kind, asked in searches(told):
        known = told.query(f"/{kind}")
        others = sorted({code for base, code in TABLES.search_parameters if base == kind} - set(known))
        assert others
        for code in others:
            for one in asked[:1]:
                answer = told.ask("get", f"/{kind}", {**one, code: value(code, kind)})
                assert answer.status_code in {400, 403}, (kind, code, answer.text)
        has = told.paths[f"/{kind}"]["get"].get("x-has", ())
        for name in ("_include", "_revinclude", "_has:Observation:patient:code", "_filter", "_list", "_contained"):
            expected = {200} if name in has else {400, 403}
            assert told.ask("get", f"/{kind}", {**asked[0], name: "x"}).status_code in expected, (kind, name)


# --- what a search brings along and leads to -----------------------------------------------------------------------


def references(kind: str) -> list[str]:
    every = TABLES.search_parameters.items()
    return sorted(code for (base, code), p in every if base == kind and p.type == "reference" and p.fhirpath)


def test_each_include_that_is_told_is_taken_and_no_other_is(told: Told) -> None:
    for kind, asked in searches(told):
        if "_summary" in asked[0]:
            continue  # who may only count is shown nothing, so nothing comes along
        told_of = {
            name: parameter["schema"]["items"]["enum"]
            for name, parameter in told.query(f"/{kind}").items()
            if name in {"_include", "_revinclude"}
        }
        for include in (f"{kind}:{code}" for code in references(kind)):
            expected = 200 if include in told_of.get("_include", ()) else None
            answer = told.ask("get", f"/{kind}", {**asked[0], "_include": include})
            assert answer.status_code == (expected or answer.status_code), (include, answer.text)
            assert expected or answer.status_code in {400, 403}, (include, answer.text)
        sources = sorted({*(name for name, _ in searches(told)), "Provenance", "List"})
        every = [f"{source}:{code}" for source in sources for code in references(source)]
        known = set(told_of.get("_revinclude", ()))
        # types take turns with what none of them is told of
        others = sample([one for one in every if one not in known], 5, len(kind))
        for include in [*sorted(known.intersection(every)), *others]:
            answer = told.ask("get", f"/{kind}", {**asked[0], "_revinclude": include})
            expected_in = {200} if include in known else {400, 403}
            assert answer.status_code in expected_in, (include, answer.text)


def test_each_chain_that_is_told_is_taken(told: Told) -> None:
    for kind, asked in searches(told):
        chains = [c for p in told.query(f"/{kind}").values() for c in p.get("x-fhir", {}).get("chains", ())]
        for chain in [*chains, *told.paths[f"/{kind}"]["get"].get("x-has", ())]:
            target, code = chain.split(":")[1], re.split("[.:]", chain)[-1]
            of = target.split(".")[0]
            answer = told.ask("get", f"/{kind}", {**asked[0], chain: value(code, of)})
            assert answer.status_code == 200, (kind, chain, answer.text)


def test_no_has_is_taken_that_the_document_does_not_tell(told: Told) -> None:
    for kind, asked in searches(told):
        has = told.paths[f"/{kind}"]["get"].get("x-has", ())
        every = [f"_has:{other}:{code}:_tag" for other, _ in searches(told) for code in references(other)[:4]]
        for name in sample(every, 4, len(kind)):
            assert name not in has
            assert told.ask("get", f"/{kind}", {**asked[0], name: "x"}).status_code in {400, 403}, (kind, name)


def test_less_than_the_document_asks_for_is_refused(told: Told) -> None:
    for kind, asked in searches(told):
        for one in asked:
            for left in [name for name in one if name != "_summary"]:
                fewer = {name: text for name, text in one.items() if name != left}
                if not any(set(group) <= set(fewer) for group in asked):
                    assert told.ask("get", f"/{kind}", fewer).status_code == DENIED, (kind, fewer)
        if all("_summary" in one for one in asked):
            seen = told.ask("get", f"/{kind}", {k: v for k, v in asked[0].items() if k != "_summary"})
            assert seen.status_code == DENIED, "who may count alone is not shown what is counted"


def test_nothing_may_be_sent_that_the_document_does_not_tell(told: Told, gateway: Running) -> None:
    whole = Told(gateway, told.principal)
    whole.__dict__["document"] = gateway.http.get("/openapi.json").json()
    told_of, organisations = offered(told), enumerated(told, "organisation-code")
    others = [code for code in enumerated(whole, "organisation-code") if code not in organisations]
    for domain, types in offered(whole).items():
        mine = told_of.get(domain, set())
        for data_type, kind in sorted(types - mine):
            for organisation in (organisations or others)[:1]:
                answer = sent(told, domain, data_type, kind, organisation)
                if data_type == "Hl7v2":
                    assert answer.status_code == DENIED, (domain, kind, answer.text)
                else:
                    assert answer.status_code in {400, 403, 422}, (domain, kind, answer.text)
        for data_type, kind in sorted(mine):
            for organisation in others if data_type == "Hl7v2" else ():
                assert sent(told, domain, data_type, kind, organisation).status_code == DENIED, (domain, organisation)


def test_no_purpose_may_be_asserted_that_the_document_does_not_tell(told: Told) -> None:
    for purpose in ("TREAT", "HOPERAT"):
        if purpose not in told.purposes:
            answer = told.gateway.http.get("/Patient?_id=1", headers={**told.headers, "purpose-of-use": purpose})
            assert answer.status_code == DENIED


# --- the two documents say the same ----------------------------------------------------------------------------------


def interactions(document: Json) -> dict[str, set[str]]:
    codes = {
        ("get", ""): "search-type", ("get", "/{id}"): "read", ("get", "/{id}/_history"): "history-instance",
        ("get", "/{id}/_history/{version}"): "vread", ("post", ""): "create", ("put", "/{id}"): "update",
        ("patch", "/{id}"): "patch", ("delete", "/{id}"): "delete",
    }  # fmt: skip
    found: dict[str, set[str]] = {}
    for path, item in document["paths"].items():
        kind, slash, below = path.removeprefix("/").partition("/")
        if kind in TABLES.types:
            names = {codes[method, slash + below] for method in item if (method, slash + below) in codes}
            found.setdefault(kind, set()).update(names)
    return found


def test_the_capability_statement_says_what_the_openapi_document_says(told: Told) -> None:
    resources: Sequence[Json] = told.statement["rest"][0].get("resource", [])
    said = {one["type"]: {i["code"] for i in one["interaction"]} for one in resources}
    assert said == interactions(told.document)
    for one in resources:
        if "search-type" in said[one["type"]]:
            known = {name for name, p in told.query(f"/{one['type']}").items() if "x-fhir" in p}
            assert {p["name"] for p in one.get("searchParam", [])} == known
            enums = {
                name: parameter["schema"]["items"]["enum"]
                for name, parameter in told.query(f"/{one['type']}").items()
                if name in {"_include", "_revinclude"}
            }
            assert one.get("searchInclude", []) == enums.get("_include", [])
            assert one.get("searchRevInclude", []) == enums.get("_revinclude", [])


def test_a_caller_is_told_a_part_of_what_everybody_is_told(told: Told, gateway: Running) -> None:
    everybody = gateway.http.get("/openapi.json").json()
    whole, own = interactions(everybody), interactions(told.document)
    assert all(own[kind] <= whole[kind] for kind in own)
    assert set(told.paths) <= set(everybody["paths"])
    assert set(told.document["components"]["examples"]) <= set(everybody["components"]["examples"])


def test_each_principal_is_told_its_own(gateway: Running) -> None:
    views = {name: Told(gateway, name) for name in PRINCIPALS}
    assert set(interactions(views["demo-writer"].document)) == {"Flag"}
    assert interactions(views["demo-engine"].document) == {}
    assert interactions(views["dorset-icb"].document) == {"Condition": {"search-type"}}
    assert "/$ingest" not in views["demo-partner"].paths
    assert enumerated(views["wessex-lims"], "source-domain") == ["pathology"]
    assert offered(views["wessex-lims"]) == {"pathology": {("Hl7v2", "ORU^R01")}}
    assert enumerated(views["ods-loader"], "data-type") == ["Csv"]
    assert "/Flag" not in views["demo-partner"].paths
    assert views["demo-partner"].purposes == ["TREAT"]


def test_a_token_that_is_not_valid_gets_no_document(gateway: Running) -> None:
    for address in ("/openapi.json", "/metadata", "/swagger/v1/swagger.json"):
        assert gateway.http.get(address, headers={"Authorization": "Bearer nonsense"}).status_code == 401
        assert gateway.http.get(address).status_code == 200
        own = gateway.http.get(address, headers={"Authorization": f"Bearer {gateway.token('demo-writer')}"})
        assert "authorization" in own.headers["vary"].lower()


def test_what_is_hidden_is_in_no_schema(gateway: Running) -> None:
    schemas = Told(gateway, "demo-partner").document["components"]["schemas"]
    patient = schemas["Patient"]["properties"]
    assert {"name", "birthDate", "_birthDate", "address"} <= set(patient)
    assert not {"telecom", "contact"} & set(patient)
    assert "device" not in schemas["Observation"]["properties"]
    assert schemas["Patient"]["additionalProperties"] is False
