"""What a client sends, made ready to be stored: https://hl7.org/fhir/R4/http.html#update."""

from __future__ import annotations

from typing import Any

from gateway import fhir

Json = dict[str, Any]
MARKS = fhir.Marks("https://exchange.example.org/fhir")
BY = {"organisation": "rdz", "domain": "care-flags", "source": "urn:uuid:1"}
TOLD = "2026-11-22T12:00:00.000+00:00"
OWN = [{"system": MARKS.organisation, "code": "RDZ"}, {"system": MARKS.domain, "code": "care-flags"}]


def marked(meta: Json, standing: Json | None = None) -> Json:
    sent = {"resourceType": "Flag", "id": "1", "meta": meta, "status": "active"}
    stands = None if standing is None else {"resourceType": "Flag", "meta": standing}
    made = fhir.marked(sent, stands, BY, told=TOLD, marks=MARKS)
    assert list(made) == ["resourceType", "id", "meta", "status"]
    return dict(made["meta"])


def test_a_new_resource_names_who_wrote_it_and_when() -> None:
    meta = marked({})
    assert (meta["tag"], meta["source"]) == (OWN, "urn:uuid:1")
    assert fhir.told_at({"meta": meta}, MARKS) == TOLD


def test_what_is_the_servers_is_not_the_clients() -> None:
    forged = [{"system": MARKS.organisation, "code": "R0D"}, {"system": "urn:x", "code": "kept"}]
    told = [{"url": MARKS.told, "valueInstant": "2099-01-01T00:00:00Z"}]
    meta = marked({"versionId": "7", "lastUpdated": "2020-01-01", "source": "urn:y", "tag": forged, "extension": told})
    assert meta["tag"] == [{"system": "urn:x", "code": "kept"}, *OWN]
    assert "versionId" not in meta
    assert "lastUpdated" not in meta
    assert meta["extension"] == [{"url": MARKS.told, "valueInstant": TOLD}]


def test_marks_and_labels_that_stand_stay() -> None:
    label = {"system": "urn:label", "code": "R"}
    other = {"system": MARKS.organisation, "code": "R0D"}
    meta = marked({}, {"tag": [other], "security": [label], "source": "urn:uuid:0", "versionId": "3"})
    assert (meta["tag"], meta["security"], meta["source"]) == ([other, *OWN], [label], "urn:uuid:1")


def test_references_are_changed_where_they_are_references_alone() -> None:
    resource = {
        "resourceType": "Flag", "subject": {"reference": "urn:uuid:1", "display": "urn:uuid:1"},
        "extension": [{"url": "urn:uuid:1", "valueReference": {"reference": "urn:uuid:1"}}],
    }  # fmt: skip
    found = fhir.with_references(resource, lambda reference: {"urn:uuid:1": "Patient/1"}.get(reference, reference))
    assert found["subject"] == {"reference": "Patient/1", "display": "urn:uuid:1"}
    assert found["extension"][0] == {"url": "urn:uuid:1", "valueReference": {"reference": "Patient/1"}}


def test_a_resource_says_that_it_is_a_part() -> None:
    assert fhir.is_subset({"resourceType": "Flag", "meta": {"tag": [{"code": "x"}, fhir.SUBSETTED]}})
    assert not fhir.is_subset({"resourceType": "Flag"})
