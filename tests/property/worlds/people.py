"""Patients with their visits, and what is of types that the caller may not use at all."""

from __future__ import annotations

import random
from collections.abc import Iterable
from functools import partial

from tests.property.worlds.chance import (
    ELSEWHERE,
    MASKED,
    NHS_NUMBER,
    OPTED_OUT,
    OWN,
    RESTRICTED,
    SNOMED,
    Chance,
    Json,
    delete,
    either,
    narrative,
    ref,
    some,
    text,
    two,
    unreadable,
)
from tests.property.worlds.findings import condition, flag, origin, report, result


def person(chance: Chance, *, counting: bool) -> None:
    """A patient with all that there is of it; `counting` where the caller only counts, for which other rules hold."""
    shared = chance.shared
    name = chance.name("Patient")
    linked = shared.random() < 0.85
    restricted, masked = linked and shared.random() < 0.12, shared.random() < 0.3
    ward = linked and shared.random() < 0.5
    seen = linked and not restricted
    born = f"19{shared.randint(30, 99)}-0{shared.randint(1, 9)}-1{shared.randint(0, 9)}"
    number = (
        OPTED_OUT
        if counting and shared.random() < 0.5
        else chance.note("Patient.identifier", f"n{chance.number}-{name}")
    )
    base: Json = {
        "resourceType": "Patient", "id": name,
        "identifier": [{"system": NHS_NUMBER, "value": number}],
        "name": [{"family": chance.note("Patient.family", f"F{chance.number}{text(shared)[:20]}")}],
        "gender": shared.choice(("male", "female")),
        "birthDate": chance.note("Patient.birthdate", born),
    }  # fmt: skip
    labels = [*([RESTRICTED] if restricted else []), *([MASKED] if masked else [])]
    if labels:
        base["meta"] = {"security": labels}
    if ward:
        base["telecom"] = [
            {"system": "phone", "value": chance.note("Patient.phone", f"w{chance.number}-{shared.randint(0, 99)}")}
        ]

    def hidden(own: random.Random) -> Json:
        phone = [{"system": "phone", "value": chance.note("Patient.phone", f"h{chance.number}-{own.randint(0, 99)}")}]
        return some(
            own, text=lambda: narrative(own), contact=lambda: [{"name": {"family": text(own)}}],
            **({} if ward else {"telecom": lambda: phone}),
            **({"address": lambda: [{"city": chance.note("Patient.address", text(own))}]} if masked else {}),
        )  # fmt: skip

    def stranger(own: random.Random) -> Json:
        return {**base, **hidden(own), "name": [{"family": chance.note("Patient.family", text(own, "S"))}]}

    if shared.random() < 0.3:
        chance.store(0, *two(chance, {**base, "language": "en"}, hidden))
    chance.store(1, *(two(chance, base, hidden) if seen or counting else either(chance, stranger)))
    orgs = [OWN[1]] if ward else [OWN[0]]
    visits = (
        [visit(chance, name, shared.choice(orgs), seen=seen) for _ in range(shared.randint(1, 3))] if linked else []
    )
    hidden_visits = [hidden_visit(chance, name, orgs, linked=linked) for _ in range(shared.randint(0, 3))]
    for _ in range(shared.randint(0, 3)):
        condition(chance, name, visits, hidden_visits, counting=counting)
    results = [result(chance, name, visits, seen=seen) for _ in range(shared.randint(0, 5))]
    for _ in range(shared.randint(0, 2)):
        report(chance, name, visits, hidden_visits, results)
    for _ in range(shared.randint(0, 3)):
        flag(chance, name, seen=seen)
    for _ in range(shared.randint(0, 2) if results else 0):
        origin(chance, shared.choice(results))


def visit(chance: Chance, patient: str, organisation: str, *, seen: bool) -> str:
    """A visit that is shown; its earlier version may be hidden."""
    shared, name = chance.shared, chance.name("Encounter")
    start = chance.note("Encounter.date", f"2026-0{shared.randint(1, 9)}-1{shared.randint(0, 9)}")
    base: Json = {
        "resourceType": "Encounter", "id": name,
        "identifier": [{"system": "urn:v", "value": chance.note("Encounter.identifier", name)}],
        "status": shared.choice(("finished", "in-progress", "cancelled")),
        "class": {"code": shared.choice(("EMER", "AMB"))},
        "period": {"start": start},
    }  # fmt: skip

    def hidden(own: random.Random) -> Json:
        subject = f"Patient/{patient}"
        return {
            "subject": ref(subject) if seen else unreadable(own, subject),
            "serviceProvider": unreadable(own, f"Organization/{organisation}"),
            "participant": [{"individual": unreadable(own, f"Practitioner/doc{chance.number}")}],
            **some(own, reasonCode=lambda: [{"text": text(own)}], text=lambda: narrative(own)),
        }

    def elsewhere(own: random.Random) -> Json:
        other = {"serviceProvider": ref(f"Organization/{ELSEWHERE[0]}"), "type": [{"text": text(own)}]}
        return {**base, **hidden(own), **other, "period": {"start": f"2025-0{own.randint(1, 9)}"}}

    before = shared.random()
    if before < 0.25:
        chance.store(0, *(elsewhere(own) for own in chance.hidden))
    elif before < 0.5:
        chance.store(0, *two(chance, {**base, "language": "en"}, hidden))
    chance.store(1, *two(chance, base, hidden))
    return name


def hidden_visit(chance: Chance, patient: str, organisations: Iterable[str], *, linked: bool) -> str:
    """A visit elsewhere, or a restricted one; it may be deleted again."""
    shared, name = chance.shared, chance.name("Encounter")
    restricted = linked and shared.random() < 0.4
    gone = not restricted and shared.random() < 0.2
    places = list(organisations) if restricted else list(ELSEWHERE)

    def made(own: random.Random) -> Json:
        return {
            "resourceType": "Encounter", "id": name,
            "identifier": [{"system": "urn:v", "value": chance.note("Encounter.identifier", name)}],
            **({"meta": {"security": [RESTRICTED]}} if restricted else {}),
            "status": own.choice(("finished", "in-progress", "cancelled")),
            "class": {"code": own.choice(("EMER", "AMB"))},
            "subject": ref(f"Patient/{patient}"),
            "period": {"start": chance.note("Encounter.date", f"2026-0{own.randint(1, 9)}-2{own.randint(0, 9)}")},
            "serviceProvider": ref(f"Organization/{own.choice(places)}"),
            "type": [{"text": text(own)}],
        }  # fmt: skip

    here, there = either(chance, made)
    chance.store(1, here, there)
    if gone:
        delete(chance, name, "Encounter", here, there)
    return name


def strangers(chance: Chance, *, counting: bool) -> None:
    """Resources of types that the caller may not use at all, and the clinician, of whom a part is hidden."""
    shared = chance.shared
    patients = chance.ids["Patient"]
    clinician: Json = {
        "resourceType": "Practitioner", "id": f"doc{chance.number}", "name": [{"family": text(shared, "D")}],
    }  # fmt: skip
    restricted = {"meta": {"security": [RESTRICTED]}} if shared.random() < 0.3 else {}

    def hidden(own: random.Random) -> Json:
        return some(
            own, text=lambda: narrative(own), telecom=lambda: [{"system": "phone", "value": text(own, "t")}],
            birthDate=lambda: "1969-11-23", identifier=lambda: [{"value": text(own, "i")}],
        )  # fmt: skip

    if restricted:
        chance.store(1, *either(chance, lambda own: {**clinician, **restricted, "name": [{"family": text(own, "R")}]}))
    else:
        chance.store(1, *two(chance, clinician, hidden))
    chance.ids["Practitioner"] = [f"doc{chance.number}"]
    for kind in ("MedicationRequest", "List", "Group", "RelatedPerson"):
        if shared.random() < 0.5:
            name, patient = chance.name(kind), ref(f"Patient/{shared.choice(patients)}")
            entry = ref(f"Encounter/{shared.choice(chance.ids.get('Encounter', ['none']))}")
            chance.store(1, *either(chance, lambda own: _other(kind, name, patient, entry, own)))  # noqa: B023 - called at once
    if counting:
        _procedures(chance)


def _other(kind: str, name: str, patient: Json, entry: Json, own: random.Random) -> Json:
    made: dict[str, Json] = {
        "MedicationRequest": {
            "status": "active", "intent": "order", "medicationCodeableConcept": {"text": text(own)}, "subject": patient,
        },
        "List": {
            "status": "current", "mode": "working", "title": text(own, "l"),
            "entry": [{"item": entry}, {"item": patient}],
        },
        "Group": {"type": "person", "actual": True, "name": text(own, "g"), "member": [{"entity": patient}]},
        "RelatedPerson": {"patient": patient, "name": [{"family": text(own, "r")}]},
    }  # fmt: skip
    return {"resourceType": kind, "id": name, **made[kind]}


def _procedures(chance: Chance) -> None:
    shared = chance.shared
    for _ in range(shared.randint(1, 4)):
        name, patient = chance.name("Procedure"), ref(f"Patient/{shared.choice(chance.ids['Patient'])}")
        code = {"coding": [{"system": SNOMED, "code": chance.note("Procedure.code", f"p{chance.number}")}]}
        base: Json = {"resourceType": "Procedure", "id": name, "status": "completed", "subject": patient, "code": code}
        if shared.random() < 0.5:
            chance.store(1, *two(chance, base, partial(_noted, {})))
        else:
            restricted = {**base, "meta": {"security": [RESTRICTED]}}
            chance.store(1, *either(chance, partial(_noted, restricted)))


def _noted(base: Json, own: random.Random) -> Json:
    return {**base, "note": [{"text": text(own, "n")}]}
