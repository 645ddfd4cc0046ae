"""What is found, reported and noted of a patient, and where it came from: shown, hidden, or shown in some versions."""

from __future__ import annotations

import random
from collections.abc import Callable

from tests.property.worlds.chance import (
    ELSEWHERE,
    GONE,
    LOINC,
    OWN,
    RESTRICTED,
    SENSITIVE,
    SNOMED,
    Chance,
    Json,
    Step,
    delete,
    either,
    narrative,
    ref,
    some,
    telling,
    text,
    two,
    unreadable,
)


def condition(chance: Chance, patient: str, visits: list[str], others: list[str], *, counting: bool) -> None:
    """A condition of a visit that is shown, or one that is hidden."""
    shared, name = chance.shared, chance.name("Condition")
    code = chance.note("Condition.code", f"c{chance.number}-{shared.randint(0, 2)}")
    shown = visits and shared.random() < 0.5
    restricted = shared.random() < 0.5
    base: Json = {
        "resourceType": "Condition", "id": name,
        "identifier": [{"system": "urn:c", "value": chance.note("Condition.identifier", name)}],
        "subject": ref(f"Patient/{patient}"),
        "recordedDate": chance.note("Condition.recorded-date", f"2026-0{shared.randint(1, 9)}"),
    }  # fmt: skip

    def hidden(own: random.Random) -> Json:
        return some(own, note=lambda: [{"text": text(own)}], text=lambda: narrative(own))

    def made(own: random.Random) -> Json:
        coding = [{"system": SNOMED, "code": code}]
        mark: Json = {}
        encounter = own.choice(visits) if visits else None
        if others and not counting and own.random() < 0.4:
            encounter, mark = own.choice(others), {}
            restricted_too = own.random() < 0.5 or encounter not in others
            mark = {"meta": {"security": [RESTRICTED]}} if restricted_too else {}
            coding.append({"system": SNOMED, "code": SENSITIVE})  # a visit that is hidden by its label still links
        elif restricted:
            mark = {"meta": {"security": [RESTRICTED]}}
        else:
            coding.append({"system": SNOMED, "code": SENSITIVE})
        more = {} if encounter is None else {"encounter": ref(f"Encounter/{encounter}")}
        return {**base, **mark, **more, "code": {"coding": coding, "text": text(own)}}

    if shown or (counting and shared.random() < 0.5):
        code_shown = {"code": {"coding": [{"system": SNOMED, "code": code}]}}
        link = {"encounter": ref(f"Encounter/{shared.choice(visits)}")} if visits else {}
        chance.store(1, *two(chance, {**base, **code_shown, **link}, hidden))
    else:
        chance.store(1, *either(chance, made))


def result(chance: Chance, patient: str, visits: list[str], *, seen: bool) -> str:
    """A result, of which a version may be hidden, or all of it."""
    shared, name = chance.shared, chance.name("Observation")
    base: Json = {
        "resourceType": "Observation", "id": name,
        "identifier": [{"system": "urn:o", "value": chance.note("Observation.identifier", name)}],
        "effectiveDateTime": chance.note("Observation.date", f"2026-0{shared.randint(1, 9)}-0{shared.randint(1, 9)}"),
    }  # fmt: skip
    code = {"coding": [{"system": LOINC, "code": chance.note("Observation.code", f"o{shared.randint(0, 3)}")}]}
    value = {"value": shared.randint(0, 200), "code": "g/L", "system": "http://unitsofmeasure.org"}
    chance.note("Observation.value-quantity", str(value["value"]))
    link = {"encounter": ref(f"Encounter/{shared.choice(visits)}")} if visits and shared.random() < 0.6 else {}
    status = shared.choice(("final", "amended", "corrected"))

    def hidden(own: random.Random) -> Json:
        subject = ref(f"Patient/{patient}") if seen else unreadable(own, f"Patient/{patient}")
        return {"subject": subject, **_of_result(chance.number, own)}

    def shown(language: str | None = None) -> tuple[Json, Json]:
        more = {} if language is None else {"language": language}
        return two(chance, {**base, "status": status, "code": code, "valueQuantity": value, **link, **more}, hidden)

    def unseen(own: random.Random) -> Json:
        kind = own.randint(0, 2)
        hiding: tuple[Json, ...] = (
            {"status": own.choice(("preliminary", "registered", "cancelled")), "code": code},
            {"status": "final", "code": code, "meta": {"security": [RESTRICTED]}},
            {"status": "final", "code": {"coding": [*code["coding"], {"system": SNOMED, "code": SENSITIVE}]}},
        )
        other = {**value, "value": own.randint(0, 200)}
        return {**base, **hidden(own), **hiding[kind], "valueQuantity": other, **link}

    def preliminary(own: random.Random) -> Json:
        return {**base, **hidden(own), "status": "preliminary", "code": code, "valueString": text(own, "p")}

    way = shared.randint(0, 6)
    if way in {0, 1}:
        chance.store(1, *either(chance, unseen))
        return name
    if way == 2:
        chance.store(0, *(preliminary(own) for own in chance.hidden))
    elif way == 4:
        chance.store(0, *shown("en"))
    if way == 3:
        _withdrawn(chance, name, shown(), preliminary)
        return name
    chance.store(1, *shown())
    if way == 4 and shared.random() < 0.3:
        chance.rounds[2].append(Step(f"Observation/{name}", GONE, GONE))
    return name


def _withdrawn(chance: Chance, name: str, shown: tuple[Json, Json], hidden: Callable[[random.Random], Json]) -> None:
    """What was shown once and is hidden now, or deleted since."""
    chance.store(0, *shown)
    here, there = (hidden(own) for own in chance.hidden)
    chance.store(1, here, there)
    if chance.shared.random() < 0.4:
        delete(chance, name, "Observation", here, there)


def _of_result(number: int, own: random.Random) -> Json:
    """What a result that is shown hides."""
    contained = {"resourceType": "Practitioner", "id": "c", "name": [{"family": text(own)}], "birthDate": "1970-01-01"}
    return {
        "performer": [unreadable(own, f"Practitioner/doc{number}"), unreadable(own, f"RelatedPerson/rel{number}")],
        **some(
            own, note=lambda: [{"text": text(own)}], text=lambda: narrative(own),
            device=lambda: ref(f"Device/{own.randint(0, 9)}", display=text(own)),
            component=lambda: [{"code": {"text": text(own)}, "valueString": text(own, "v")}],
            contained=lambda: [contained],
        ),
    }  # fmt: skip


def report(chance: Chance, patient: str, visits: list[str], others: list[str], results: list[str]) -> None:
    """A report that names results."""
    shared, name = chance.shared, chance.name("DiagnosticReport")
    named = shared.sample(results, min(len(results), shared.randint(0, 3)))
    base: Json = {
        "resourceType": "DiagnosticReport", "id": name, "status": "final", "code": {"text": "report"},
        "identifier": [{"system": "urn:r", "value": chance.note("DiagnosticReport.identifier", name)}],
        "subject": ref(f"Patient/{patient}"),
        **({"result": [ref(f"Observation/{one}") for one in named]} if named else {}),
    }  # fmt: skip

    def hidden(own: random.Random) -> Json:
        return some(own, conclusion=lambda: text(own, "c"), text=lambda: narrative(own))

    def made(own: random.Random) -> Json:
        link = own.choice(others) if others else None
        restricted = {"meta": {"security": [RESTRICTED]}}
        return {
            **base,
            **hidden(own),
            **({} if link is None else {"encounter": ref(f"Encounter/{link}")}),
            **restricted,
        }

    if visits and shared.random() < 0.6:
        chance.store(1, *two(chance, {**base, "encounter": ref(f"Encounter/{shared.choice(visits)}")}, hidden))
    else:
        chance.store(1, *either(chance, made))


def flag(chance: Chance, patient: str, *, seen: bool) -> None:
    """Of a flag nothing is hidden where it is shown but what its references say and what it contains."""
    shared, name = chance.shared, chance.name("Flag")
    base: Json = {
        "resourceType": "Flag", "id": name, "status": "active", "code": {"text": text(shared, "f")},
        "identifier": [{"system": "urn:f", "value": chance.note("Flag.identifier", name)}],
        "period": {"start": chance.note("Flag.date", f"2026-0{shared.randint(1, 9)}")},
    }  # fmt: skip
    author, displayed, holding = shared.choice(OWN), shared.random() < 0.5, shared.random() < 0.2

    def hidden(own: random.Random) -> Json:
        contained = {
            "resourceType": "Practitioner",
            "id": "c",
            "name": [{"family": text(own)}],
            "birthDate": "1970-01-01",
        }
        refers = {"extension": [{"url": "https://example.org/by", "valueReference": {"reference": "#c"}}]}
        return {
            "subject": telling(own, f"Patient/{patient}") if displayed and not seen else ref(f"Patient/{patient}"),
            "author": telling(own, f"Organization/{author}") if displayed else ref(f"Organization/{author}"),
            **({"contained": [contained], **refers} if holding else {}),
        }  # fmt: skip

    def elsewhere(own: random.Random) -> Json:
        return {
            **base,
            **hidden(own),
            "author": ref(f"Organization/{own.choice(ELSEWHERE)}"),
            "code": {"text": text(own)},
        }

    def restricted(own: random.Random) -> Json:
        return {**base, **hidden(own), "meta": {"security": [RESTRICTED]}, "code": {"text": text(own)}}

    way = shared.randint(0, 5)
    if way == 0:
        chance.store(1, *either(chance, elsewhere))
    elif way == 1:
        chance.store(1, *either(chance, restricted))
    elif way == 2:
        chance.store(0, *(elsewhere(own) for own in chance.hidden))
        chance.store(1, *two(chance, base, hidden))
    elif way == 3:
        here, there = either(chance, elsewhere)
        chance.store(1, here, there)
        delete(chance, name, "Flag", here, there)
    else:
        chance.store(1, *two(chance, base, hidden))


def origin(chance: Chance, result: str) -> None:
    """Where a result came from."""
    shared, name = chance.shared, chance.name("Provenance")
    base: Json = {
        "resourceType": "Provenance", "id": name, "target": [ref(f"Observation/{result}")],
        "recorded": f"2026-01-0{shared.randint(1, 9)}T10:00:00Z",
    }  # fmt: skip

    def activity(code: str) -> Json:
        return {"activity": {"coding": [{"system": "urn:a", "code": code}]}}

    def hidden(own: random.Random) -> Json:
        return {
            "agent": [{"who": unreadable(own, f"Organization/{OWN[0]}")}],
            **some(own, reason=lambda: [{"text": text(own)}], text=lambda: narrative(own)),
        }

    def internal(own: random.Random) -> Json:
        return {**base, **hidden(own), **activity("internal"), "agent": [{"who": {"display": text(own)}}]}

    if shared.random() < 0.5:
        chance.store(1, *two(chance, {**base, **activity("shared")}, hidden))
    else:
        chance.store(1, *either(chance, internal))
