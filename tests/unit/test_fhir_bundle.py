"""Bundles that the gateway writes."""

from __future__ import annotations

from gateway import fhir, specs

PATIENT = {"resourceType": "Patient", "id": "9990000018"}
ELEMENTS = fhir.Elements(specs.fhir())


def test_a_searchset_has_links_total_and_modes() -> None:
    bundle = fhir.searchset(
        [("http://localhost:8000/Patient/9990000018", PATIENT, "match")],
        links={"self": "http://localhost:8000/Patient?_id=9990000018"},
        total=1,
        id="b1",
        last_updated="2026-01-01T00:00:00Z",
    )
    assert bundle == {
        "resourceType": "Bundle",
        "id": "b1",
        "meta": {"lastUpdated": "2026-01-01T00:00:00Z"},
        "type": "searchset",
        "total": 1,
        "link": [{"relation": "self", "url": "http://localhost:8000/Patient?_id=9990000018"}],
        "entry": [
            {
                "fullUrl": "http://localhost:8000/Patient/9990000018",
                "resource": PATIENT,
                "search": {"mode": "match"},
            }
        ],
    }
    assert fhir.validate(bundle, ELEMENTS) == ()


def test_an_empty_searchset_has_no_empty_lists() -> None:
    assert fhir.searchset([], links={}) == {"resourceType": "Bundle", "type": "searchset"}


def test_a_transaction_writes_under_the_resources_own_ids() -> None:
    bundle = fhir.transaction([fhir.entry_put(PATIENT, if_match="3"), fhir.entry_put(PATIENT)])
    assert bundle["type"] == "transaction"
    assert [entry["request"] for entry in bundle["entry"]] == [
        {"method": "PUT", "url": "Patient/9990000018", "ifMatch": 'W/"3"'},
        {"method": "PUT", "url": "Patient/9990000018"},
    ]
    assert fhir.validate(bundle, ELEMENTS) == ()


def test_a_batch_reads() -> None:
    bundle = fhir.batch([fhir.entry_get("Patient/9990000018")])
    assert bundle == {
        "resourceType": "Bundle",
        "type": "batch",
        "entry": [{"request": {"method": "GET", "url": "Patient/9990000018"}}],
    }
    assert fhir.batch([]) == {"resourceType": "Bundle", "type": "batch"}
