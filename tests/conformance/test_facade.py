"""What a partner may ask, through the application with the real store behind it.

Source: `http-interface.md` "The facade", `rules-language.md` meaning 9 to 11; https://hl7.org/fhir/R4/http.html
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway import loading
from tests import rule_sets
from tests.running import NHS_NUMBER, Running, issues, message, running
from tests.traffic import admissions

pytestmark = pytest.mark.any_record

DIAGNOSIS = "DG1|1||29857009^Chest pain^SCT||20261122101000|A"


@pytest.fixture
def filled(gateway: Running) -> Running:
    assert gateway.send(message(extra=DIAGNOSIS)).status_code == 200
    return gateway


def test_what_a_rule_hides_is_left_out_and_said_so(filled: Running) -> None:
    body = message(control_id="C-2", sent="20261122111500").replace(
        b"||||1 Quay Lane", b"||||1 Quay Lane"
    ).replace(b"BH15 1AA", b"BH15 1AA||01202 960001")  # fmt: skip
    assert filled.send(body).status_code == 200
    patient = filled.search(f"/Patient?_id={NHS_NUMBER}").json()["entry"][0]["resource"]
    assert "telecom" not in patient
    assert "01202" not in json.dumps(patient)
    assert any(tag["code"] == "SUBSETTED" for tag in patient["meta"]["tag"])
    read = filled.search(f"/Patient/{NHS_NUMBER}").json()
    assert "telecom" not in read


@pytest.mark.parametrize(
    "address",
    [
        f"/Patient?_id={NHS_NUMBER}",
        f"/Patient?identifier=https://fhir.nhs.uk/Id/nhs-number|{NHS_NUMBER}",
        "/Patient?family=Marlow&birthdate=1980-02-14",
        f"/Patient?_id={NHS_NUMBER}&gender=female&_lastUpdated=ge2020-01-01",
        f"/Encounter?patient={NHS_NUMBER}",
        f"/Encounter?patient=Patient/{NHS_NUMBER}&_count=1",
        f"/Condition?patient={NHS_NUMBER}",
    ],
)
def test_a_search_that_a_view_allows_finds(filled: Running, address: str) -> None:
    found = filled.search(address)
    assert found.status_code == 200, found.text
    assert found.json()["total"] == 1
    assert found.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("address", "status", "word"),
    [
        ("/Patient", 403, "_id"),
        ("/Patient?family=Marlow", 403, "birthdate"),
        ("/Patient?family=Marlow&birthdate=", 400, "birthdate"),
        (f"/Patient?_id={NHS_NUMBER}&telecom=01202", 400, "telecom"),
        (f"/Patient?_id={NHS_NUMBER}&_sort=telecom", 400, "telecom"),
        (f"/Patient?_id={NHS_NUMBER}&nonsense=1", 400, "nonsense"),
        (f"/Patient?_id:not={NHS_NUMBER}", 403, "_id"),
        ("/Patient?_id:missing=false", 403, "_id"),
        ("/Patient?identifier:text=a", 403, "identifier"),
        (f"/Patient?_id={NHS_NUMBER}&_include=Patient:organization", 400, "_include"),
        (f"/Patient?_id={NHS_NUMBER}&_has:Observation:patient:value-string=1", 400, "_has"),
        (f"/Encounter?subject.name=Marlow&patient={NHS_NUMBER}", 400, "subject"),
        (f"/Encounter?patient.name=Marlow&patient={NHS_NUMBER}", 400, "patient.name"),
        ("/Patient?family=Marlow&birthdate=ge1900-01-01", 403, "birthdate"),
        ("/Patient?family=M&birthdate=1980-02-14", 403, "family"),
        (f"/Patient?_id={NHS_NUMBER}&_filter=name eq x", 400, "_filter"),
        ("/Patient?_id=" + ",".join(str(n) for n in range(11)), 403, "_id"),
        ("/Procedure?patient=1", 403, "Procedure"),
        ("/Nonsense?_id=1", 404, "Nonsense"),
    ],
)
def test_a_search_that_no_view_allows_is_refused_with_words(
    filled: Running, address: str, status: int, word: str
) -> None:
    refused = filled.search(address)
    assert refused.status_code == status, refused.text
    assert any(word in issue["diagnostics"] for issue in issues(refused)), refused.text


@pytest.mark.parametrize("purpose", [None, "HOPERAT"])
def test_without_the_purpose_nothing_is_shown_and_it_is_named(filled: Running, purpose: str | None) -> None:
    refused = filled.search(f"/Patient?_id={NHS_NUMBER}", purpose=purpose)
    assert refused.status_code == 403
    assert "purpose" in refused.text.lower()


def test_an_engine_is_no_viewer(filled: Running) -> None:
    refused = filled.search(f"/Patient?_id={NHS_NUMBER}", purpose=None, principal="demo-engine")
    assert refused.status_code == 403
    assert "gp-viewer" in refused.text


def test_a_search_by_post_reads_address_and_form_together(filled: Running) -> None:
    headers = {"Authorization": f"Bearer {filled.token('demo-partner')}", "purpose-of-use": "TREAT"}
    found = filled.http.post("/Patient/_search?gender=female", data={"_id": NHS_NUMBER}, headers=headers)
    assert found.status_code == 200, found.text
    assert found.json()["total"] == 1
    other = filled.http.post("/Patient/_search?gender=male", data={"_id": NHS_NUMBER}, headers=headers)
    assert other.json()["total"] == 0
    wrong = filled.http.post("/Patient/_search", content=b"{}", headers={**headers, "Content-Type": "application/json"})
    assert wrong.status_code == 415


def test_rows_of_another_organisation_are_not_shown(tmp_path: Path, repository: Path) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    for file in (repository / "rules").glob("*.rules"):
        text = file.read_text("utf-8")
        (rules / file.name).write_text(
            text + 'organisation zz1 "Elsewhere"\n' if file.name == "registry.rules" else text
        )
    registry = (rules / "registry.rules").read_text()
    (rules / "registry.rules").write_text(registry.replace(
        'principal demo-partner "Demonstration partner"\n  connects as qvv',
        'principal demo-partner "Demonstration partner"\n  connects as zz1',
    ))  # fmt: skip
    with running(tmp_path / "data", rule_sets.decisions(rules, repository / "specs")) as one:
        assert one.send(message()).status_code == 200
        assert one.search(f"/Patient?_id={NHS_NUMBER}").json()["total"] == 1
        hidden = one.search(f"/Encounter?patient={NHS_NUMBER}")
        absent = one.search("/Encounter?patient=9990000026")
        assert hidden.json()["total"] == absent.json()["total"] == 0
        assert "entry" not in hidden.json()


def test_a_read_of_what_is_absent_and_of_what_is_not_shown_look_alike(filled: Running) -> None:
    absent = filled.search("/Patient/9990000026")
    assert absent.status_code == 404
    assert "9990000026" not in absent.text
    found = filled.search(f"/Patient/{NHS_NUMBER}")
    assert found.status_code == 200
    assert found.headers["etag"] == 'W/"1"'


def test_pages_are_the_callers_own_and_never_show_the_upstream(gateway: Running) -> None:
    for _, _, _, body in admissions(7):
        assert gateway.send(body).status_code == 200
    first = gateway.search("/Patient?family=Tallis&birthdate=1958-03-14&_count=3&_sort=_id")
    seen, page = [], first.json()
    for _ in range(5):
        seen += [entry["resource"]["id"] for entry in page["entry"]]
        links = {link["relation"]: link["url"] for link in page["link"]}
        if "next" not in links:
            break
        assert links["next"].startswith("http://localhost:8000/Patient?")
        following = gateway.search(links["next"].removeprefix("http://localhost:8000"))
        assert following.status_code == 200, following.text
        page = following.json()
    assert len(seen) == len(set(seen)) == 7
    link = next(link["url"] for link in first.json()["link"] if link["relation"] == "next")
    own = link.removeprefix("http://localhost:8000")
    assert "Tallis" not in own, "a page's address tells nothing of the search"
    for stolen in (own + "&gender=female", own.replace("/Patient?", "/Condition?"), "/Patient?_page=x"):
        refused = gateway.search(stolen)
        assert (refused.status_code, issues(refused)[0]["expression"]) == (400, ["_page"]), stolen
    assert gateway.search(own, principal="demo-engine", purpose=None).status_code == 400


def test_a_search_by_form_keeps_its_values_out_of_addresses(gateway: Running) -> None:
    for _, _, _, body in admissions(3):
        gateway.send(body)
    headers = {"Authorization": f"Bearer {gateway.token('demo-partner')}", "purpose-of-use": "TREAT"}
    form = {"family": "Tallis", "birthdate": "1958-03-14", "_count": "2"}
    page = gateway.http.post("/Patient/_search", data=form, headers=headers).json()
    assert "Tallis" not in str(page["link"])
    following = next(link["url"] for link in page["link"] if link["relation"] == "next")
    assert len(gateway.search(following.removeprefix("http://localhost:8000")).json()["entry"]) == 1


def test_a_reference_to_the_gateways_own_address_finds(filled: Running) -> None:
    found = filled.search(f"/Encounter?patient=http://localhost:8000/Patient/{NHS_NUMBER}")
    assert found.json()["total"] == 1


def test_xml_is_not_offered(filled: Running) -> None:
    headers = {"Authorization": f"Bearer {filled.token('demo-partner')}", "purpose-of-use": "TREAT"}
    xml = filled.http.get(f"/Patient?_id={NHS_NUMBER}", headers={**headers, "Accept": "application/fhir+xml"})
    assert xml.status_code == 406
    assert filled.search(f"/Patient?_id={NHS_NUMBER}&_format=xml").status_code in {400, 406}


def test_an_agreement_that_has_ended_grants_nothing(tmp_path: Path, decisions: loading.Decisions) -> None:
    late = datetime(2036, 4, 1, 12, tzinfo=UTC)
    with running(tmp_path, decisions, clock=lambda: late) as one:
        refused = one.search(f"/Patient?_id={NHS_NUMBER}")
        assert refused.status_code == 403
    with running(tmp_path, decisions, clock=lambda: late - timedelta(days=1)) as one:
        assert one.search(f"/Patient?_id={NHS_NUMBER}").status_code == 200


@pytest.mark.parametrize("address", ["/Patient/%2e%2e", "/Patient%2f1", "/..%2f$ingest", "/Patient/.."])
def test_encoded_paths_are_refused(filled: Running, address: str) -> None:
    assert filled.search(address).status_code in {400, 404, 405}  # a client may take the dots for the root


def test_unknown_addresses_and_methods_answer_in_one_shape(gateway: Running) -> None:
    for method, address, status in (("GET", "/nowhere", 404), ("POST", "/Patient/1", 405), ("GET", "/$ingest", 405)):
        answer = gateway.http.request(method, address)
        assert answer.status_code == status
        assert issues(answer)


def test_metadata_documents_and_health_need_no_token(gateway: Running) -> None:
    assert gateway.http.get("/metadata").json()["resourceType"] == "CapabilityStatement"
    assert gateway.http.get("/openapi.json").json() == gateway.http.get("/swagger/v1/swagger.json").json()
    assert gateway.http.get("/swagger/index.html").status_code == 200
    assert gateway.http.get("/swagger/nothing.js").status_code == 404
    assert gateway.http.get("/_health/live").json() == {"status": "live"}
    ready = gateway.http.get("/_health/ready")
    assert ready.status_code == 200, ready.text
    assert ready.json()["parts"]["target record"] == "ready"
