"""What a token's scopes leave of what the rules allow; they never widen it.

Source: SMART App Launch 2.2, "Scopes for requesting FHIR resources", "Finer-grained resource constraints using search
parameters"; `trust.md` of the design
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from httpx import Response

from gateway.config import KEYS
from gateway.identity import signing_keys
from gateway.interactions.scopes import Held, bounds, covers
from tests import rule_sets
from tests.conformance.test_facade_bundles import bundle, entry
from tests.conformance.test_facade_patch import put_directly
from tests.conformance.test_facade_writes import flag
from tests.running import NHS_NUMBER, SECRETS, Running, running

pytestmark = pytest.mark.any_record

Json = dict[str, Any]
OTHER = "9990000026"
EVERY = ("search", "count", "read", "history", "create", "update", "patch", "delete")
ASKING = ("search", "count", "read", "history")

# scope, and the actions on Flag that it covers; with a user and a patient in context where the third says so
TABLE: list[tuple[str, tuple[str, ...], str]] = [
    ("system/Flag.c", ("create",), ""),
    ("system/Flag.r", ("read", "history"), ""),
    ("system/Flag.u", ("update", "patch"), ""),
    ("system/Flag.d", ("delete",), ""),
    ("system/Flag.s", ("search", "count"), ""),
    ("system/Flag.rs", ASKING, ""),
    ("system/Flag.cr", ("read", "history", "create"), ""),
    ("system/Flag.cu", ("create", "update", "patch"), ""),
    ("system/Flag.cud", ("create", "update", "patch", "delete"), ""),
    ("system/Flag.crus", ("search", "count", "read", "history", "create", "update", "patch"), ""),
    ("system/Flag.crud", ("read", "history", "create", "update", "patch", "delete"), ""),
    ("system/Flag.ds", ("search", "count", "delete"), ""),
    ("system/Flag.cruds", EVERY, ""),
    ("system/Flag.read", ASKING, ""),
    ("system/Flag.write", ("create", "update", "patch", "delete"), ""),
    ("system/Flag.*", EVERY, ""),
    ("system/*.rs", ASKING, ""),
    ("system/*.read", ASKING, ""),
    ("system/*.*", EVERY, ""),
    ("system/*.cruds", EVERY, ""),
    ("user/Flag.rs", (), ""),
    ("user/Flag.rs", ASKING, "user"),
    ("user/*.*", EVERY, "user"),
    ("user/*.*", (), "patient"),
    ("patient/Flag.rs", (), ""),
    ("patient/Flag.rs", (), "user"),
    ("patient/Flag.rs", ASKING, "patient"),
    ("patient/*.cruds", EVERY, "user patient"),
    ("system/Patient.rs", (), ""),
    ("system/Flags.rs", (), ""),
    ("system/Fla.rs", (), ""),
    ("system/flag.rs", (), ""),
    ("System/Flag.rs", (), ""),
    ("system/Flag.sr", (), ""),
    ("system/Flag.rr", (), ""),
    ("system/Flag.rsx", (), ""),
    ("system/Flag.xrs", (), ""),
    ("system/Flag.", (), ""),
    ("system/Flag", (), ""),
    ("system/.rs", (), ""),
    ("system/Flag.RS", (), ""),
    ("system/Flag.readwrite", (), ""),
    ("system/Flag.r*", (), ""),
    ("system/Flag.**", (), ""),
    ("system/Flag*.rs", (), ""),
    ("system/*Flag.rs", (), ""),
    ("system//Flag.rs", (), ""),
    ("system/Flag/1.rs", (), ""),
    (" system/Flag.rs", (), ""),
    ("system/Flag.rs\n", (), ""),
    ("systems/Flag.rs", (), ""),
    ("Flag.rs", (), ""),
    ("*", (), ""),
    ("*.*", (), ""),
    ("ingest", (), ""),
    ("openid", (), "user"),
    ("fhirUser", (), "user"),
    ("launch/patient", (), "patient"),
    ("offline_access", (), ""),
    ("system/Flag.rs?patient=1", ("search", "count", "read"), ""),
    ("system/Flag.r?patient=1", ("read",), ""),
    ("system/Flag.s?patient=1", ("search", "count"), ""),
    ("system/Flag.cruds?patient=1", ("search", "count", "read"), ""),
    ("system/Flag.cud?patient=1", (), ""),
    ("system/Flag.rs?", (), ""),
    ("system/Flag.read?patient=1", (), ""),
    ("system/Flag.*?patient=1", (), ""),
    ("system/*.rs?patient=1", (), ""),
    ("system/*.*?", (), ""),
    ("system/Flag.?patient=1", (), ""),
    ("user/Flag.rs?patient=1", (), ""),
    ("user/Flag.rs?patient=1", ("search", "count", "read"), "user"),
    ("system/Flag.c system/Flag.d", ("create", "delete"), ""),
    ("system/Patient.cruds system/Flag.s", ("search", "count"), ""),
    ("ingest system/Flag.r", ("read", "history"), ""),
    ("openid nonsense system/Flag.r", ("read", "history"), ""),
]


def held(scope: str, known: str) -> Held:
    names = tuple(name for name in scope.split(" ") if name) if not scope.startswith(" ") else (scope,)
    return Held(names, user="user" in known, patient=NHS_NUMBER if "patient" in known else None)


@pytest.mark.parametrize(("scope", "actions", "known"), TABLE)
def test_a_scope_covers_what_it_says_and_nothing_else(scope: str, actions: tuple[str, ...], known: str) -> None:
    one = held(scope, known)
    assert tuple(action for action in EVERY if covers(one, action, "Flag")) == actions
    assert not covers(one, "operation nonsense", "Flag")


def test_a_token_without_scopes_is_narrowed_by_the_rules_alone() -> None:
    assert all(covers(Held(), action, "Flag") and bounds(Held(), action, "Flag") is None for action in EVERY)
    assert not covers(Held(("",)), "read", "Flag")


def test_one_scope_without_a_bound_is_enough_and_several_bounds_are_each_enough() -> None:
    bounded = Held(("system/Flag.rs?patient=1", "system/Flag.r?code=x"))
    found = bounds(bounded, "read", "Flag")
    assert found is not None
    assert [one.query for one in found] == ["patient=1", "code=x"]
    assert bounds(Held((*bounded.names, "system/*.r")), "read", "Flag") is None
    assert bounds(Held((*bounded.names, "system/Patient.r")), "read", "Flag") is not None
    assert bounds(Held(("patient/Flag.r",), patient="1"), "read", "Flag") is not None
    assert bounds(Held(("patient/Flag.r",)), "read", "Flag") == ()


# --- through the gateway ---------------------------------------------------------------------------------------------


RULES = """
permit T-S1 "Keepers see observations and tasks"
  to search, read, history, create, update, patch, delete Observation
  when caller has role flag-keeper
  asking _id or patient or subject
  allowing category, code, _lastUpdated
  all rows
permit T-S2 "and patients, but not where they live"
  to search, read Patient
  when caller has role flag-keeper
  asking _id or identifier
  allowing gender
  all rows
  hide Patient.address
permit T-S3 "and organisations"
  to search, read Organization
  when caller has role flag-keeper
  allowing _id, name
  all rows
mask T-S5 "What some are is theirs to tell"
  to search, read Patient
  when resource.meta.security has code "V" in "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
  hide Patient.gender
permit T-S4 "and all of a patient at once"
  to operation everything Patient, Observation
  when caller has role flag-keeper
  all rows
"""
LABORATORY = {
    "coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "laboratory"}]
}
SURVEY = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "survey"}]}


def observation(id_: str, category: Json, patient: str, **more: Any) -> Json:
    return {
        "resourceType": "Observation", "id": id_, "status": "final", "category": [category], "code": {"text": "x"},
        "subject": {"reference": f"Patient/{patient}"}, **more,
    }  # fmt: skip


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("scoped") / "rules"
    shutil.copytree(repository / "rules", folder, ignore=shutil.ignore_patterns("*.test.rules", "samples", "examples"))
    with (folder / "care-flags.rules").open("a", encoding="utf-8") as file:
        file.write(RULES)
    with running(tmp_path_factory.mktemp("data"), rule_sets.decisions(folder, repository / "specs")) as gateway:
        for patient in (NHS_NUMBER, OTHER):
            number = patient[-2:]
            put_directly(gateway, {"resourceType": "Patient", "id": patient, "gender": "female",
                                   "address": [{"city": "Poole"}]})  # fmt: skip
            put_directly(gateway, observation(f"lab-{number}", LABORATORY, patient))
            put_directly(gateway, observation(f"survey-{number}", SURVEY, patient))
            put_directly(gateway, flag(id=f"flag-{number}", subject={"reference": f"Patient/{patient}"}))
        put_directly(gateway, observation("of-both", LABORATORY, NHS_NUMBER, performer=[
            {"reference": f"Patient/{OTHER}"}
        ]))  # fmt: skip
        put_directly(gateway, observation("within", SURVEY, NHS_NUMBER, contained=[
            {"resourceType": "Organization", "id": "o", "name": "x"}
        ]))  # fmt: skip
        put_directly(gateway, {"resourceType": "Organization", "id": "org", "name": "x"})
        security = [{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "V"}]
        put_directly(
            gateway, {"resourceType": "Patient", "id": "masked", "gender": "female", "meta": {"security": security}}
        )
        yield gateway


class As:
    """Requests with a token of these scopes, as the gateway's own issuer signs them, and claims beside."""

    def __init__(self, one: Running, scope: str | None, *, user: str | None = None, **claims: Any) -> None:
        keys = signing_keys(one.data / KEYS)
        now = int(time.time())
        made = {
            "iss": one.settings.public_url, "aud": one.settings.public_url, "sub": "demo-writer",
            "client_id": "demo-writer", "iat": now, "exp": now + 300, "jti": f"t-{time.monotonic_ns()}",
            **({} if scope is None else {"scope": scope}), **claims,
        }  # fmt: skip
        self.one = one
        self.headers = {"Authorization": f"Bearer {keys.sign(made, kind='at+jwt')}", "purpose-of-use": "TREAT"}
        if user is not None:
            self.headers["on-behalf-of"] = user

    def __call__(self, method: str, address: str, body: Any = None, **headers: str) -> Response:
        sent = {**self.headers, **({"Content-Type": "application/fhir+json"} if body is not None else {}), **headers}
        content = None if body is None else json.dumps(body).encode()
        answer: Response = self.one.http.request(method, address, headers=sent, content=content)
        return answer

    def ids(self, address: str) -> list[str]:
        answer = self("GET", address)
        assert answer.status_code == 200, answer.text
        return sorted(e["resource"]["id"] for e in answer.json().get("entry", ()))


def test_a_scope_with_a_query_shows_what_the_query_finds(one: Running) -> None:
    asked = As(one, "system/Observation.rs?category=laboratory")
    assert asked.ids(f"/Observation?patient={NHS_NUMBER}") == ["lab-18", "of-both"]
    assert asked.ids("/Observation?_id=lab-18,survey-18,lab-26") == ["lab-18", "lab-26"]
    assert asked("GET", "/Observation/lab-18").status_code == 200
    hidden, none = asked("GET", "/Observation/survey-18"), asked("GET", "/Observation/there-is-none")
    assert (hidden.status_code, hidden.json()["issue"]) == (404, none.json()["issue"])
    assert asked("GET", f"/Observation?patient={NHS_NUMBER}&_summary=count").json()["total"] == 2
    assert asked("GET", f"/Observation?patient={NHS_NUMBER}&_count=0").json()["total"] == 2
    assert asked("GET", f"/Patient/{NHS_NUMBER}").status_code == 403


def test_pages_and_totals_tell_nothing_of_what_the_query_leaves_out(one: Running) -> None:
    asked = As(one, "system/Observation.rs?category=laboratory")
    first = asked("GET", f"/Observation?patient={NHS_NUMBER}&_count=1").json()
    assert [e["resource"]["id"] for e in first["entry"]] == ["lab-18"]
    url = next(link["url"] for link in first["link"] if link["relation"] == "next")
    second = asked("GET", url.removeprefix("http://localhost:8000")).json()
    assert [e["resource"]["id"] for e in second["entry"]] == ["of-both"]
    assert not [link for link in second["link"] if link["relation"] == "next"]
    survey = As(one, "system/Observation.rs?category=survey&code:text=x")
    assert survey.ids("/Observation?_id=lab-26,survey-26") == ["survey-26"]


def test_of_several_scopes_each_shows_its_own(one: Running) -> None:
    both = As(one, "system/Observation.rs?category=laboratory system/Observation.rs?category=survey")
    assert both.ids(f"/Observation?patient={OTHER}") == ["lab-26", "survey-26"]
    whole = As(one, "system/Observation.rs?category=laboratory system/Observation.rs")
    assert whole.ids(f"/Observation?patient={OTHER}") == ["lab-26", "survey-26"]
    reading = As(one, "system/Observation.r?category=laboratory system/Observation.s")
    assert reading.ids(f"/Observation?patient={OTHER}") == ["lab-26", "survey-26"]
    assert reading("GET", "/Observation/survey-26").status_code == 404


def test_a_scope_with_a_query_shows_no_history_and_writes_nothing(one: Running) -> None:
    asked = As(one, "system/Observation.cruds?category=laboratory")
    assert asked("GET", "/Observation/lab-18/_history").status_code == 403
    assert asked("GET", "/Observation/lab-18/_history/1").status_code == 403
    for method, address in (
        ("PUT", "/Observation/lab-18"),
        ("POST", "/Observation"),
        ("DELETE", "/Observation/lab-18"),
    ):
        body = observation("lab-18", LABORATORY, NHS_NUMBER) if method != "DELETE" else None
        assert asked(method, address, body).status_code == 403


UNUSABLE = {
    "what the rules do not let it search by": "system/Observation.rs?status=final",
    "what is hidden from it": "system/Patient.rs?address-city=Poole",
    "what only a view asks for, without _id": "system/Flag.rs?encounter=1",
    "a chain": "system/Observation.rs?subject:Patient.gender=female",
    "_has": "system/Patient.rs?_has:Observation:patient:code=x",
    "an include": "system/Observation.rs?_include=Observation:subject",
    "what shapes an answer": "system/Observation.rs?_count=1",
    "an unknown parameter": "system/Observation.rs?nonsense=1",
    "no value": "system/Observation.rs?category",
    "what is no UTF-8": "system/Observation.rs?category=%ff",
    "a filter": "system/Observation.rs?_filter=x",
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_a_query_that_the_caller_could_not_search_by_gives_nothing_and_says_so(one: Running, name: str) -> None:
    """A scope is asked for by the client itself: it would be a way to ask what is hidden."""
    scope = UNUSABLE[name]
    kind = scope.partition("/")[2].partition(".")[0]
    for address in (f"/{kind}/lab-18", f"/{kind}?_id=lab-18", f"/{kind}?_id=lab-18&_summary=count"):
        refused = As(one, scope)("GET", address)
        assert refused.status_code == 403, refused.text
        assert "query" in refused.text


def test_a_query_does_not_find_by_what_a_mask_hides(one: Running) -> None:
    read = As(one, "system/Patient.rs")("GET", "/Patient/masked")
    assert (read.status_code, "gender" in read.text) == (200, False)
    for gender in ("female", "male"):
        asked = As(one, f"system/Patient.rs?gender={gender}")
        assert asked("GET", "/Patient/masked").status_code == 404
        assert asked.ids("/Patient?_id=masked") == []
    assert As(one, "system/Patient.rs?gender=female").ids(f"/Patient?_id={OTHER}") == [OTHER]


def test_what_comes_with_a_match_is_in_the_scope_too(one: Running) -> None:
    asked = As(one, "system/Patient.rs system/Observation.rs?category=laboratory")
    answer = asked("GET", f"/Patient?_id={OTHER}&_revinclude=Observation:patient")
    assert answer.status_code == 200, answer.text
    assert sorted(e["resource"]["id"] for e in answer.json()["entry"]) == [OTHER, "lab-26"]
    has = "/Patient?_id=9990000026&_has:Observation:patient:category"
    assert As(one, "system/*.rs").ids(f"{has}=survey") == [OTHER]
    assert (asked.ids(f"{has}=survey"), asked.ids(f"{has}=laboratory")) == ([], [OTHER])
    for gender, found in (("male", []), ("female", ["lab-26"])):
        narrow = As(one, f"system/Observation.rs system/Patient.rs?gender={gender}")
        answer = narrow("GET", "/Observation?_id=lab-26&_include=Observation:patient")
        assert [e["resource"]["id"] for e in answer.json()["entry"]] == ["lab-26", *([OTHER] if found else [])]
        assert narrow.ids(f"/Observation?_id=lab-26&subject:Patient._id={OTHER}") == found


def test_operations_are_held_to_the_scopes(one: Running) -> None:
    everything = f"/Patient/{OTHER}/$everything"
    assert As(one, "system/*.rs").ids(everything) == [OTHER, "lab-26", "survey-26"]
    asked = As(one, "system/Patient.rs system/Observation.rs?category=laboratory")
    assert asked.ids(everything) == [OTHER, "lab-26"]
    assert asked.ids(f"{everything}?_count=1") == [OTHER]
    assert As(one, "patient/*.rs", patient=NHS_NUMBER)("GET", everything).status_code == 404
    assert As(one, "patient/*.rs", patient=OTHER).ids(everything) == [OTHER, "lab-26", "survey-26"]
    assert As(one, "system/Patient.rs?gender=male system/Observation.rs")("GET", everything).status_code == 404


def test_what_is_contained_is_shown_with_a_scope_for_all_of_its_type_alone(one: Running) -> None:
    assert "contained" in As(one, "system/*.rs")("GET", "/Observation/within").json()
    assert "contained" not in As(one, "system/Observation.rs")("GET", "/Observation/within").json()
    bounded = As(one, "system/Observation.rs system/Organization.rs?name=x")
    assert bounded("GET", "/Organization/org").status_code == 200
    assert "contained" not in bounded("GET", "/Observation/within").json()


def test_each_entry_of_a_batch_is_held_to_the_scopes(one: Running) -> None:
    asked = As(one, "system/Observation.rs?category=laboratory")
    body = bundle(
        "batch", entry("GET", "Observation/lab-18"), entry("GET", "Observation/survey-18"),
        entry("GET", f"Patient/{OTHER}"), entry("DELETE", "Observation/lab-18"),
    )  # fmt: skip
    told = asked("POST", "/", body).json()
    assert [e["response"]["status"][:3] for e in told["entry"]] == ["200", "404", "403", "403"]


def test_patient_scopes_show_the_patient_in_context_alone(one: Running) -> None:
    asked = As(one, "patient/*.rs", patient=NHS_NUMBER)
    assert asked.ids(f"/Observation?patient={NHS_NUMBER}") == ["lab-18", "survey-18", "within"]
    assert asked.ids(f"/Observation?patient={OTHER}") == []
    assert asked.ids(f"/Patient?_id={NHS_NUMBER},{OTHER}") == [NHS_NUMBER]
    assert asked("GET", "/Observation/lab-26").status_code == 404
    assert asked("GET", "/Observation/of-both").status_code == 404, "it is about somebody else too"
    assert asked("GET", "/Organization/org").status_code == 404, "it is nobody's"
    assert asked.ids("/Flag?_id=flag-18,flag-26") == ["flag-18"]
    assert asked("GET", "/Flag/flag-26/_history").status_code == 404
    for without in (As(one, "patient/*.cruds"), As(one, "patient/*.cruds", user="dr-who")):
        assert without("GET", "/Observation/lab-18").status_code == 403
        assert without("GET", f"/Observation?patient={NHS_NUMBER}").status_code == 403


def test_patient_scopes_write_for_the_patient_in_context_alone(one: Running) -> None:
    asked = As(one, "patient/Flag.cruds", patient=NHS_NUMBER)
    made = asked("POST", "/Flag", flag())
    assert made.status_code == 201, made.text
    assert asked("POST", "/Flag", flag(subject={"reference": f"Patient/{OTHER}"})).status_code == 403
    moved = flag(id=made.headers["location"].split("/")[-3], subject={"reference": f"Patient/{OTHER}"})
    assert asked("PUT", f"/Flag/{moved['id']}", moved).status_code == 403
    assert asked("PUT", "/Flag/flag-26", flag(id="flag-26")).status_code == 404
    assert asked("DELETE", "/Flag/flag-26").status_code == 404
    patch = {"Content-Type": "application/json-patch+json"}
    assert (
        asked("PATCH", "/Flag/flag-26", [{"op": "test", "path": "/status", "value": "active"}], **patch).status_code
        == 404
    )
    assert asked("DELETE", f"/Flag/{moved['id']}").status_code == 204


def test_user_scopes_need_a_user(one: Running) -> None:
    assert As(one, "user/Observation.rs")("GET", "/Observation/lab-18").status_code == 403
    assert As(one, "user/Observation.rs", user="dr-who")("GET", "/Observation/lab-18").status_code == 200
    assert As(one, "user/Observation.rs", on_behalf_of="dr-who")("GET", "/Observation/lab-18").status_code == 200


def test_a_patch_needs_the_right_to_read_too(one: Running) -> None:
    patch = {"Content-Type": "application/json-patch+json"}
    body = [{"op": "test", "path": "/status", "value": "final"}]
    assert As(one, "system/Observation.u")("PATCH", "/Observation/lab-18", body, **patch).status_code == 403
    assert As(one, "system/Observation.ru")("PATCH", "/Observation/lab-18", body, **patch).status_code == 200
    narrow = As(one, "system/Observation.u system/Observation.r?category=laboratory")
    assert narrow("PATCH", "/Observation/lab-26", body, **patch).status_code == 200
    assert narrow("PATCH", "/Observation/survey-26", body, **patch).status_code == 404


@pytest.mark.parametrize("scope", [" ", "  "])
def test_a_scope_claim_that_names_nothing_is_no_token_without_scopes(one: Running, scope: str) -> None:
    assert As(one, scope)("GET", "/Observation/lab-18").status_code == 401


def test_scopes_never_widen_what_the_rules_allow(one: Running) -> None:
    asked = As(one, "system/*.cruds user/*.cruds patient/*.cruds", user="dr-who", patient=NHS_NUMBER)
    assert asked("GET", f"/Encounter?patient={NHS_NUMBER}").status_code == 403
    assert asked("POST", "/Patient", {"resourceType": "Patient"}).status_code == 403
    assert "address" not in asked("GET", f"/Patient/{NHS_NUMBER}").json()


ISSUED: dict[str, tuple[str, str | None]] = {
    "what it may": ("system/Observation.rs", "system/Observation.rs"),
    "what it may not goes": ("system/Observation.rs system/Encounter.rs ingest", "system/Observation.rs"),
    "nothing of it": ("system/Encounter.rs", None),
    "a right that it has not": ("system/Patient.cud", None),
    "a right of several": ("system/Patient.cruds", "system/Patient.cruds"),
    "any type": ("system/*.d", "system/*.d"),
    "a query": ("system/Observation.rs?category=laboratory", "system/Observation.rs?category=laboratory"),
    "a query that means nothing": ("system/Observation.rs?nonsense=1", None),
    "a query on writing": ("system/Observation.cruds?category=laboratory", None),
    "a patient": ("patient/Observation.rs", None),
    "a user": ("user/Observation.rs", "user/Observation.rs"),
    "submitting": ("ingest", None),
    "unknown beside known": ("system/Observation.rs openid", None),
}


@pytest.mark.parametrize("name", ISSUED)
def test_a_token_is_given_for_what_the_client_could_use(one: Running, name: str) -> None:
    scope, granted = ISSUED[name]
    form = {"grant_type": "client_credentials", "scope": scope}
    answer = one.http.post("/$ingest/auth", data=form, auth=("demo-writer", SECRETS["demo-writer"]))
    if granted is None:
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_scope")
    else:
        assert (answer.status_code, answer.json()["scope"]) == (200, granted)
