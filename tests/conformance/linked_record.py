"""A small record of linked resources, of which a viewer sees a part: what tests of chains and includes ask for.

`visible` is what the viewer sees; `hidden` stands beside it in a second world, and may change no answer.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gateway import loading
from tests import rule_sets
from tests.conformance.test_facade_writes import ask
from tests.running import Running

Json = dict[str, Any]
RESTRICTED = {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}]}
REGISTRY = """language 1
organisation r0d "University Hospitals Dorset"
organisation rdz "Dorset HealthCare"
role viewer "Viewer"
role counter "Researcher"
role keeper "Keeper"
purpose TREAT "Treatment"
target record "Shared FHIR record" takes Fhir
target bed-board "Bed board" takes Hl7v2
principal demo-partner "A viewer"
  connects as r0d
  roles viewer
  may assert purpose TREAT
  limit 500 Patient per day
principal other-writer "A researcher"
  connects as r0d
  roles counter
  may assert purpose TREAT
principal demo-writer "Who keeps it"
  connects as r0d
  roles keeper
  may assert purpose TREAT
"""
RULES = """language 1
domain shared "The shared record"
  serves record

permit K-P1 "Keepers keep it"
  to search, read, create, update
    Patient, Encounter, Observation, Practitioner, Provenance, Organization, Condition, RelatedPerson
  when caller has role keeper
  allowing code, patient, subject, name, identifier
  all rows

permit V-P1 "Viewers see the patients of their organisations"
  to search, read Patient
  when caller has role viewer
  asking _id or identifier or (family and birthdate)
  allowing gender
  rows Patient where Patient.managingOrganization in caller.organisations
  hide Patient.telecom

permit V-P2 "Viewers see the visits to their organisations"
  to search, read, history Encounter
  when caller has role viewer
  asking _id or patient
  allowing subject, date, status, part-of, participant, diagnosis
  rows Encounter where Encounter.serviceProvider in caller.organisations

permit V-P3 "Viewers see results"
  to search, read Observation
  when caller has role viewer
  asking _id or patient
  allowing code, encounter, subject, has-member, date
  all rows
  hide Observation.device, Observation.performer

permit V-P4 "Viewers see where it came from"
  to search, read Provenance
  when caller has role viewer
  asking target
  allowing agent
  all rows

permit V-P5 "Viewers see who treats"
  to search, read Practitioner
  when caller has role viewer
  allowing family, _id
  all rows
  hide Practitioner.telecom

permit C-P1 "Researchers see whom they know by number"
  to search, read Patient
  when caller has role counter
  asking _id
  all rows

permit C-P2 "Researchers see all results"
  to search Observation
  when caller has role counter
  allowing code, patient, has-member
  all rows

forbid F-F1 "Restricted records are not shown"
  to search, count, read, history any
  when resource.meta.security has code "R" in "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
   and not caller has role keeper

mask F-M1 "Whom restricted results are about"
  to search, read Observation
  when Observation.status is present and Observation.status is "preliminary" and not caller has role keeper
  hide Observation.subject
"""


def patient(name: str, family: str, born: str, at: str = "R0D", **more: Any) -> Json:
    return {
        "resourceType": "Patient", "id": name, "identifier": [{"system": "urn:example:numbers", "value": name}],
        "name": [{"family": family, "given": ["Edith"]}], "birthDate": born, "gender": "female",
        "telecom": [{"system": "phone", "value": "01202 960001"}],
        "managingOrganization": {"reference": f"Organization/{at}"}, **more,
    }  # fmt: skip


def encounter(name: str, of: str, at: str = "R0D", **more: Any) -> Json:
    return {
        "resourceType": "Encounter", "id": name, "status": "finished", "class": {"code": "EMER"},
        "subject": {"reference": f"Patient/{of}"}, "serviceProvider": {"reference": f"Organization/{at}"},
        "period": {"start": "2026-03-01"}, **more,
    }  # fmt: skip


def observation(name: str, of: str, code: str, **more: Any) -> Json:
    return {
        "resourceType": "Observation", "id": name, "status": "final", "subject": {"reference": f"Patient/{of}"},
        "code": {"coding": [{"system": "urn:example:codes", "code": code}]}, "effectiveDateTime": "2026-03-01", **more,
    }  # fmt: skip


def provenance(name: str, *targets: str, **more: Any) -> Json:
    return {
        "resourceType": "Provenance", "id": name, "target": [{"reference": target} for target in targets],
        "recorded": "2026-03-01T10:00:00Z",
        "agent": [{"who": {"reference": "Practitioner/d1", "display": "Dr Okafor"}}], **more,
    }  # fmt: skip


def doctor(who: str, words: str) -> Json:
    return {"participant": [{"individual": {"reference": f"Practitioner/{who}", "display": words}}]}


VISIBLE: list[Json] = [
    *({"resourceType": "Organization", "id": name, "name": name} for name in ("R0D", "RDZ")),
    {"resourceType": "Practitioner", "id": "d1", "name": [{"family": "Okafor"}]},
    patient("p1", "Marlow", "1980-02-14"),
    patient("p2", "Marlow", "1980-02-15"),
    patient("p3", "Tallis", "1958-03-14"),
    encounter("e1", "p1", **doctor("d1", "Dr Okafor")),
    encounter("e2", "p2"),
    encounter("e3", "p1", partOf={"reference": "Encounter/e1"}),
    observation("o1", "p1", "sodium", encounter={"reference": "Encounter/e1"}),
    observation("o2", "p2", "potassium", encounter={"reference": "Encounter/e2"}),
    observation("o3", "p1", "panel", hasMember=[{"reference": "Observation/o1"}], device={"reference": "Device/x"}),
    provenance("v1", "Encounter/e1"),
]  # fmt: skip
HIDDEN: list[Json] = [
    {"resourceType": "Practitioner", "id": "d9", "name": [{"family": "Hidden"}], "meta": RESTRICTED},
    patient("h1", "Marlow", "1980-02-14", "RDZ"),
    patient("h2", "Marlow", "1980-02-14", meta=RESTRICTED),
    encounter("x1", "p1", "RDZ", partOf={"reference": "Encounter/e1"}),
    encounter("x2", "h1"),  # a visit that may be seen of a patient who may not
    encounter("x3", "h2", meta=RESTRICTED),
    encounter("x4", "p3", "RDZ"),
    observation("y1", "p2", "sodium", meta=RESTRICTED),
    observation("y2", "p3", "sodium", status="preliminary"),  # whose subject is hidden
    observation("y3", "h1", "sodium", meta=RESTRICTED),
    provenance("z1", "Encounter/e2", meta=RESTRICTED),
    provenance("z2", "Encounter/e1", meta=RESTRICTED),
]
BESIDE = frozenset({"x2", "y2"})
"""Of what is hidden, what may be seen all the same by who asks for it."""


def rules(folder: Path, repository: Path, more: str = "") -> loading.Decisions:
    folder.mkdir()
    (folder / "registry.rules").write_text(REGISTRY, "utf-8")
    (folder / "shared.rules").write_text(RULES + more, "utf-8")
    return rule_sets.decisions(folder, repository / "specs")


def fill(one: Running, *resources: Json) -> Running:
    for resource in resources:
        made = ask(one, "PUT", f"/{resource['resourceType']}/{resource['id']}", resource)
        # a HAPI server holds the organisations before
        assert made.status_code == 201 or resource["resourceType"] == "Organization", made.text
    return one


def found(one: Running, address: str, principal: str = "demo-partner") -> list[str]:
    """Ids of what a search answers on all pages, in order; those included behind a plus sign."""
    names: list[str] = []
    while address:
        answer = ask(one, "GET", address, principal=principal)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        names += [
            ("+" if entry["search"]["mode"] == "include" else "") + entry["resource"]["id"]
            for entry in body.get("entry", ())
        ]
        links = {link["relation"]: link["url"] for link in body["link"]}
        address = links.get("next", "").removeprefix("http://localhost:8000")
    return names


def told(answer: Any) -> str:
    """The words of a refusal."""
    return " ".join(issue["diagnostics"] for issue in json.loads(answer.text)["issue"])


def shown(one: Running, resource: Json) -> Json:
    """A stored resource as the viewer reads it, which a search shows alike."""
    fill(one, resource)
    name = f"{resource['resourceType']}/{resource['id']}"
    read = ask(one, "GET", f"/{name}", principal="demo-partner")
    assert read.status_code == 200, read.text
    found = ask(one, "GET", f"/{resource['resourceType']}?_id={resource['id']}", principal="demo-partner").json()
    assert found["entry"][0]["resource"] == read.json()
    return dict(read.json())


def subsetted(resource: Json) -> bool:
    """Whether a resource says that something of it was left out."""
    return any(tag["code"] == "SUBSETTED" for tag in resource["meta"].get("tag", ()))
