"""Invented people and what was done for them: resources in the mix that a hospital's messages make.

The same count gives the same resources. Every name, address and number is made up; NHS numbers are of the test range.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

NHS = "https://fhir.nhs.uk/Id/nhs-number"
LOINC = "http://loinc.org"
SNOMED = "http://snomed.info/sct"
UCUM = "http://unitsofmeasure.org"
_STAFF = 40
_START = datetime(2020, 1, 1, tzinfo=UTC)
_FIRST = ("Ada", "Bela", "Cato", "Dina", "Emil", "Fay", "Gus", "Hedda", "Ivo", "Juno", "Kai", "Lena", "Milo", "Nora")
_SYLLABLES = ("ber", "dal", "fen", "gor", "hal", "ker", "lin", "mor", "nor", "pel", "rad", "sten", "tor", "wick")
_LAB = (
    ("718-7", "Haemoglobin", "g/L", 130),
    ("2951-2", "Sodium", "mmol/L", 140),
    ("2160-0", "Creatinine", "umol/L", 80),
)
_DISORDERS = ("195967001", "44054006", "38341003", "22298006", "13645005", "233604007")

Resource = dict[str, Any]


def resources(count: int, seed: int = 1) -> Iterator[Resource]:
    """So many resources; each refers to such as came before it."""
    return islice(_all(random.Random(seed)), count)  # noqa: S311 - sample data


def _all(chance: random.Random) -> Iterator[Resource]:
    for number in range(_STAFF):
        yield from _staff(chance, number)
    number = 0
    while True:
        yield from _person(chance, number)
        number += 1


def _staff(chance: random.Random, number: int) -> Iterator[Resource]:
    organisation = {"reference": f"Organization/o{number}"}
    yield {
        "resourceType": "Organization", "id": f"o{number}", "active": True, "name": f"{_name(chance)} Hospital",
        "identifier": [{"system": "https://fhir.nhs.uk/Id/ods-organization-code", "value": f"Z{number:03}"}],
        "address": [{"city": _name(chance), "postalCode": f"ZZ{number} 1ZZ"}],
    }  # fmt: skip
    yield {
        "resourceType": "Practitioner", "id": f"d{number}", "active": True,
        "name": [{"family": _name(chance), "given": [chance.choice(_FIRST)], "prefix": ["Dr"]}],
        "identifier": [{"system": "https://fhir.hl7.org.uk/Id/gmc-number", "value": f"C{number:07}"}],
    }  # fmt: skip
    yield {
        "resourceType": "Location", "id": f"l{number}", "status": "active", "name": f"Ward {number}",
        "managingOrganization": organisation,
    }  # fmt: skip


def _person(chance: random.Random, number: int) -> Iterator[Resource]:
    person, when = f"p{number}", _START + timedelta(minutes=37 * number)
    subject = {"reference": f"Patient/{person}"}
    staff = chance.randrange(_STAFF)
    yield {
        "resourceType": "Patient", "id": person, "active": True, "gender": chance.choice(("male", "female")),
        "meta": {"tag": [{"system": "https://example.org/organisation", "code": f"Z{staff:03}"}]},
        "birthDate": f"{chance.randrange(1930, 2020)}-{chance.randrange(1, 13):02}-{chance.randrange(1, 29):02}",
        "identifier": [
            {"system": NHS, "value": f"999{number % 10_000_000:07}"},
            {"type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}]},
             "system": "https://example.org/mrn", "value": f"M{number:08}"},
        ],
        "name": [{"use": "official", "family": _name(chance), "given": [chance.choice(_FIRST), chance.choice(_FIRST)]}],
        "telecom": [{"system": "phone", "value": f"01632 96{number % 10000:04}"}],
        "address": [{"line": [f"{number % 300} Invented Road"], "city": _name(chance), "postalCode": "ZZ1 1ZZ"}],
        "generalPractitioner": [{"reference": f"Practitioner/d{staff}"}],
        "managingOrganization": {"reference": f"Organization/o{staff}"},
    }  # fmt: skip
    encounter = {"reference": f"Encounter/e{number}"}
    yield {
        "resourceType": "Encounter", "id": f"e{number}", "status": chance.choice(("finished", "in-progress")),
        "meta": {"source": f"urn:feed:{staff}"},
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": chance.choice(("EMER", "IMP"))},
        "identifier": [{"system": "https://example.org/visit", "value": f"V{number:08}"}], "subject": subject,
        "period": {"start": _instant(when), "end": _instant(when + timedelta(hours=chance.randrange(1, 90)))},
        "length": {"value": chance.randrange(1, 90), "system": UCUM, "code": "h"},
        "location": [{"location": {"reference": f"Location/l{staff}"}}],
        "participant": [{"individual": {"reference": f"Practitioner/d{staff}"}}],
        "serviceProvider": {"reference": f"Organization/o{staff}"},
    }  # fmt: skip
    about = {"subject": subject, "encounter": encounter}
    yield {
        "resourceType": "Condition", "id": f"c{number}", **about, "recordedDate": _instant(when),
        "code": {"coding": [{"system": SNOMED, "code": chance.choice(_DISORDERS)}], "text": _name(chance)},
        "clinicalStatus": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical",
                                       "code": "active"}]},
    }  # fmt: skip
    yield {
        "resourceType": "ServiceRequest", "id": f"r{number}", **about, "status": "completed", "intent": "order",
        "authoredOn": _instant(when), "requester": {"reference": f"Practitioner/d{staff}"},
        "code": {"coding": [{"system": SNOMED, "code": "26604007"}], "text": "Full blood count"},
    }  # fmt: skip
    yield {
        "resourceType": "Specimen", "id": f"s{number}", "subject": subject, "receivedTime": _instant(when),
        "type": {"coding": [{"system": SNOMED, "code": "119297000"}]},
        "accessionIdentifier": {"system": "https://example.org/specimen", "value": f"S{number:08}"},
    }  # fmt: skip
    for place, (code, text, unit, middle) in enumerate(_LAB):
        yield {
            "resourceType": "Observation", "id": f"b{number}-{place}", **about, "status": "final",
            "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category",
                                      "code": "laboratory"}]}],
            "code": {"coding": [{"system": LOINC, "code": code}], "text": text}, "effectiveDateTime": _instant(when),
            "valueQuantity": {"value": middle + chance.randrange(-300, 300) / 10, "unit": unit, "system": UCUM,
                              "code": unit},
            "specimen": {"reference": f"Specimen/s{number}"},
        }  # fmt: skip
    yield {
        "resourceType": "Observation", "id": f"b{number}-bp", **about, "status": "final",
        "code": {"coding": [{"system": LOINC, "code": "85354-9"}]}, "effectiveDateTime": _instant(when),
        "component": [
            {"code": {"coding": [{"system": LOINC, "code": code}]},
             "valueQuantity": {"value": chance.randrange(low, high), "unit": "mmHg", "system": UCUM, "code": "mm[Hg]"}}
            for code, low, high in (("8480-6", 90, 190), ("8462-4", 50, 110))
        ],
    }  # fmt: skip
    yield {
        "resourceType": "DiagnosticReport", "id": f"g{number}", **about, "status": "final", "issued": _instant(when),
        "code": {"coding": [{"system": SNOMED, "code": "26604007"}]}, "effectiveDateTime": _instant(when),
        "result": [{"reference": f"Observation/b{number}-{place}"} for place in range(len(_LAB))],
        "basedOn": [{"reference": f"ServiceRequest/r{number}"}], "specimen": [{"reference": f"Specimen/s{number}"}],
    }  # fmt: skip
    yield {
        "resourceType": "RiskAssessment", "id": f"k{number}", "status": "final", "subject": subject,
        "prediction": [{"probabilityDecimal": chance.randrange(1000) / 1000}],
    }  # fmt: skip


def _name(chance: random.Random) -> str:
    return "".join(chance.choice(_SYLLABLES) for _ in range(3)).capitalize()


def _instant(when: datetime) -> str:
    return when.isoformat(timespec="seconds").replace("+00:00", "Z")
