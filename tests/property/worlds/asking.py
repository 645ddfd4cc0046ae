"""What a caller asks of both worlds: for what it may see, for what it may not, and by what is hidden."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tests.property.worlds.chance import (
    ELSEWHERE,
    KINDS,
    OTHERS,
    OWN,
    SNOMED,
    Asked,
    Chance,
    Json,
    ref,
)

ASKING = {
    "Patient": ("_id", "_id", "identifier", "family", "phone"),
    "Encounter": ("_id", "identifier", "patient", "patient", "patient", "chain"),
    "Condition": ("_id", "identifier", "patient", "patient", "patient", "chain"),
    "Observation": ("_id", "identifier", "patient", "patient", "patient", "subject"),
    "DiagnosticReport": ("_id", "identifier", "patient", "subject", "patient"),
    "Flag": ("_id", "identifier", "patient", "subject", "patient"),
    "Provenance": ("_id", "target"),
}
ALLOWED = {
    "Patient": ("gender", "_lastUpdated"),
    "Encounter": ("status", "date", "class", "_lastUpdated"),
    "Condition": ("code", "recorded-date", "_lastUpdated"),
    "Observation": ("code", "date", "status", "encounter", "value-quantity", "_lastUpdated"),
    "DiagnosticReport": ("status", "encounter", "result", "_lastUpdated"),
    "Flag": ("date", "_lastUpdated"),
    "Provenance": ("recorded",),
}
HIDDEN = {
    "Patient": ("phone", "telecom", "email", "address", "address-city", "name", "_security", "general-practitioner"),
    "Encounter": ("reason-code", "service-provider", "participant", "type", "_security", "_text", "location"),
    "Condition": ("encounter", "onset-date", "severity", "_content", "_security"),
    "Observation": ("device", "component-code", "performer", "combo-code", "value-string", "_source"),
    "DiagnosticReport": ("conclusion", "performer", "issued", "_tag"),
    "Flag": ("author", "_security", "_profile"),
    "Provenance": ("agent", "signature-type", "_list", "_filter"),
}
INCLUDES = {
    "Patient": (
        "_revinclude=Encounter:patient",
        "_revinclude=Condition:patient",
        "_revinclude=Observation:patient",
        "_revinclude=Flag:patient",
        "_revinclude=DiagnosticReport:patient",
        "_revinclude=*",
        "_include=Patient:organization",
        "_revinclude=MedicationRequest:patient",
        "_revinclude=List:item",
        "_revinclude=Group:member",
        "_revinclude=Observation:patient&_revinclude:iterate=Provenance:target",
    ),
    "Encounter": (
        "_include=Encounter:patient",
        "_include=Encounter:participant",
        "_include=*",
        "_revinclude=Condition:encounter",
        "_revinclude=Observation:encounter",
        "_include=Encounter:service-provider",
        "_revinclude=*",
        "_include=Encounter:patient&_revinclude:iterate=Flag:patient",
    ),
    "Condition": (
        "_include=Condition:encounter",
        "_include=Condition:patient",
        "_include=Condition:encounter&_include:iterate=Encounter:patient",
    ),
    "Observation": (
        "_include=Observation:encounter",
        "_include=Observation:performer",
        "_include=Observation:device",
        "_revinclude=Provenance:target",
        "_revinclude=DiagnosticReport:result",
        "_include=*",
        "_include=Observation:subject:Patient",
    ),
    "DiagnosticReport": (
        "_include=DiagnosticReport:result",
        "_include=DiagnosticReport:encounter",
        "_include=DiagnosticReport:result&_include:iterate=Observation:encounter",
        "_include=DiagnosticReport:*",
    ),
    "Flag": (
        "_include=Flag:patient",
        "_include=Flag:author",
        "_include=Flag:patient&_revinclude:iterate=Encounter:patient",
    ),
    "Provenance": (
        "_include=Provenance:target",
        "_include=Provenance:target&_include:iterate=Observation:patient",
    ),
}
SORTS = {
    "Patient": ("_id", "-_id", "family", "birthdate", "-_lastUpdated", "_lastUpdated", "phone", "address"),
    "Encounter": ("date", "-date", "_id", "-_id", "status", "-_lastUpdated", "-status,date", "service-provider"),
    "Condition": ("code", "-recorded-date", "_id", "-_id", "-_lastUpdated", "encounter"),
    "Observation": ("date", "-date", "code", "value-quantity", "-value-quantity", "-_lastUpdated", "component-code"),
    "DiagnosticReport": ("_id", "-_id", "-_lastUpdated", "status", "conclusion"),
    "Flag": ("date", "-date", "_id", "-_id", "author"),
    "Provenance": ("recorded", "-recorded", "_id", "agent"),
}
ELEMENTS = {
    "Patient": ("telecom", "text", "address", "contact", "name"),
    "Encounter": ("reasonCode", "text", "status", "participant", "serviceProvider"),
    "Condition": ("note", "text", "code", "encounter"),
    "Observation": ("device", "note", "component", "contained", "performer", "status"),
    "DiagnosticReport": ("conclusion", "result", "text", "subject"),
    "Flag": ("author", "subject", "contained", "code"),
    "Provenance": ("agent", "reason", "target", "text"),
}
STATUSES = {
    "Encounter": ("finished", "in-progress", "cancelled", "finished,in-progress"),
    "Observation": ("final", "preliminary", "amended,corrected", "final,registered"),
    "DiagnosticReport": ("final", "final", "partial"),
}
HOPS = {
    "Encounter": ("subject:Patient", "Patient"),
    "Condition": ("encounter", "Encounter"),
    "Observation": ("encounter", "Encounter"),
    "DiagnosticReport": ("result", "Observation"),
    "Flag": ("patient", "Patient"),
    "Provenance": ("target:Observation", "Observation"),
}
FIXED = {
    "_lastUpdated": ("ge2020", "lt2020", "gt2026-11-22T11:59:59Z"),
    "class": ("EMER", "AMB"),
    "gender": ("male", "female", "other"),
    **dict.fromkeys(("service-provider", "author", "agent"), tuple(f"Organization/{one}" for one in OWN + ELSEWHERE)),
}
NAMED = {"encounter": "Encounter/{}", "result": "Observation/{}", "target": "Observation/{}"}
TOKENS = frozenset({"status", "code", "class", "gender"})


def asks(chance: Chance) -> Iterable[Asked]:
    """What a caller asks that may see some of it."""
    shared = chance.shared
    for _ in range(shared.randint(3, 6)):
        way = shared.random()
        if way < 0.62:
            yield _search(chance)
        elif way < 0.9:
            yield _read(chance)
        else:
            entries = [one for one in (_search(chance), _read(chance), _search(chance)) if one.method == "GET"]
            made = [{"request": {"method": "GET", "url": one.target.lstrip("/")}} for one in entries]
            yield Asked("POST", "/", _JSON, {"resourceType": "Bundle", "type": "batch", "entry": made})
    if shared.random() < 0.3:
        yield _write(chance)


_JSON = (("content-type", "application/fhir+json"),)
_FORM = (("content-type", "application/x-www-form-urlencoded"),)


def counts(chance: Chance) -> Iterable[Asked]:
    """What a caller asks that only counts."""
    shared = chance.shared
    for _ in range(shared.randint(3, 6)):
        kind = shared.choice(("Condition", "Procedure"))
        code = shared.choice(chance.values.get(f"{kind}.code", ["none"]))
        extra = shared.choice(
            (
                "",
                "",
                f"&code={SNOMED}|{code}",
                "&_total=accurate",
                "&recorded-date=ge2026-03",
                "&patient=x",
                "&_sort=code",
            )
        )
        number = shared.choice(("_summary=count", "_count=0", "_summary=count&_total=none", ""))
        yield Asked("GET", f"/{kind}?code={code}{extra}&{number}")
    yield _read(chance)


def _id_of(chance: Chance, kind: str) -> str:
    return chance.shared.choice(chance.ids.get(kind, [f"none{chance.number}"]))


def _value(chance: Chance, parameter: str, kind: str) -> str:
    """A value to search by, which may be a hidden one of either world."""
    shared = chance.shared
    known = chance.values.get(f"{kind}.{parameter}", [])
    if parameter in FIXED:
        return shared.choice(FIXED[parameter])
    if parameter in NAMED:
        return NAMED[parameter].format(_id_of(chance, NAMED[parameter].partition("/")[0]))
    match parameter:
        case "_id":
            return ",".join(_id_of(chance, kind) for _ in range(shared.choice((1, 2, 3, 3, 5))))
        case "patient" | "subject":
            form = shared.choice(("{}", "Patient/{}"))
            return ",".join(form.format(_id_of(chance, "Patient")) for _ in range(shared.randint(1, 2)))
        case "status":
            return shared.choice(STATUSES.get(kind, ("active",)))
        case "date" | "recorded-date" | "recorded":
            return shared.choice(("", "ge", "ge", "lt", "lt", "ne", "sa")) + shared.choice(known or ["2026-01-05"])
        case "value-quantity":
            return shared.choice(("", "gt", "le")) + shared.choice(known or ["5"])
        case _:
            return re.sub('[&<"]', "", shared.choice(known or ["x"]))


def _search(chance: Chance) -> Asked:
    shared = chance.shared
    there = [
        kind for kind in (*KINDS, "Patient", "Encounter", "Observation", "Observation", "Flag") if kind in chance.ids
    ]
    kind = shared.choice(there)
    parts = [_criterion(chance, kind, shared.choice(ASKING[kind]))]
    for _ in range(shared.choice((0, 0, 0, 0, 1, 1, 2))):
        name = shared.choice(ALLOWED[kind])
        modifier = shared.choice(("", "", "", "", ":missing", ":not" if name in TOKENS else ""))
        value = shared.choice(("true", "false")) if modifier == ":missing" else _value(chance, name, kind)
        parts.append(f"{name}{modifier}={value}")
    if shared.random() < 0.06:
        name = shared.choice(HIDDEN[kind])
        parts.append(f"{name}{shared.choice(('', '', ':missing', ':not'))}={_value(chance, name, kind)}")
    if shared.random() < 0.2:
        parts.append(_link(chance, kind))
    if shared.random() < 0.25:
        parts.append(shared.choice(INCLUDES[kind]))
    parts += _shape(chance, kind)
    text = "&".join(parts)
    if shared.random() < 0.2:
        return Asked("POST", f"/{kind}/_search", _FORM, text)
    return Asked("GET", f"/{kind}?{text}")


def _criterion(chance: Chance, kind: str, name: str) -> str:
    shared = chance.shared
    if name == "family":
        family, born = (shared.choice(chance.values[f"Patient.{key}"]) for key in ("family", "birthdate"))
        return f"family={family.split(',')[0].split('&')[0][:12]}&birthdate={born}"
    if name == "chain":
        by = shared.choice(("_id", "identifier"))
        return f"patient.{by}={_value(chance, by, 'Patient')}"
    return f"{name}={_value(chance, name, kind)}"


def _link(chance: Chance, kind: str) -> str:
    shared = chance.shared
    if kind == "Patient":
        source = shared.choice(("Encounter", "Condition", "Observation", "Flag", "MedicationRequest"))
        name = shared.choice(
            ("_id", "identifier", *ALLOWED.get(source, ("status",)), *HIDDEN.get(source, ("status",))[:2])
        )
        return f"_has:{source}:patient:{name}={_value(chance, name, source)}"
    if kind == "Observation" and shared.random() < 0.5:
        source = shared.choice(("Provenance:target", "DiagnosticReport:result"))
        name = shared.choice(("_id", "agent", "status"))
        return f"_has:{source}:{name}={_value(chance, name, source.partition(':')[0])}"
    hop, aim = HOPS[kind]
    name = shared.choice(("_id", "_id", "identifier", *ALLOWED[aim], *HIDDEN[aim][:2]))
    return f"{hop}.{name}={_value(chance, name, aim)}"


def _shape(chance: Chance, kind: str) -> list[str]:
    shared, made = chance.shared, []
    if shared.random() < 0.5:
        made.append(f"_count={shared.choice((0, 1, 1, 2, 3, 50))}")
    if shared.random() < 0.35:
        made.append(f"_sort={shared.choice(SORTS[kind])}")
    if shared.random() < 0.3:
        made.append(f"_total={shared.choice(('accurate', 'accurate', 'estimate', 'none'))}")
    if shared.random() < 0.15:
        made.append(f"_summary={shared.choice(('true', 'text', 'data', 'count', 'false'))}")
    elif shared.random() < 0.15:
        made.append(f"_elements={','.join(shared.sample(ELEMENTS[kind], shared.randint(1, 2)))}")
    return made


def _read(chance: Chance) -> Asked:
    shared = chance.shared
    every = [kind for kind in (*KINDS, *KINDS, "Practitioner") if chance.ids.get(kind)]
    kind = shared.choice(every if shared.random() < 0.93 else OTHERS)
    target = f"/{kind}/{_id_of(chance, kind)}"
    if kind not in {"Provenance", "Practitioner"}:
        target += shared.choice(("", "", "", "/_history", "/_history", "/_history/1", "/_history/2", "/_history/3"))
    shape = f"?_elements={','.join(ELEMENTS[kind])}" if kind in ELEMENTS else ""
    target += shared.choice(("", "", "", "", shape, "?_summary=true", "?_summary=text", "?_summary=data"))
    conditions: tuple[tuple[str, str], ...] = ()
    if shared.random() < 0.2:
        conditions = (shared.choice((
            ("if-none-match", 'W/"1"'), ("if-none-match", 'W/"2"'), ("if-none-match", "*"),
            ("if-modified-since", "Sun, 01 Jan 2040 00:00:00 GMT"), ("if-match", 'W/"1"'),
        )),)  # fmt: skip
    return Asked("GET", target, conditions)


def _write(chance: Chance) -> Asked:
    """A write by a condition that may fit what is hidden; an id that stands and is hidden is the known exception."""
    shared = chance.shared
    flag: Json = {
        "resourceType": "Flag", "status": "active", "code": {"text": "w"}, "period": {"start": "2026-05"},
        "subject": ref(f"Patient/{_id_of(chance, 'Patient')}"),
        "author": ref(f"Organization/{shared.choice(OWN + ELSEWHERE)}"),
    }  # fmt: skip
    name = shared.choice(("identifier", "patient", "_id", "author", "patient.phone", "_has:List:item:_id"))
    condition = f"{name}={_value(chance, name.rpartition('.')[2], 'Flag')}"
    existing = _id_of(chance, "Flag")
    match shared.randint(0, 4):
        case 0:
            return Asked("POST", "/Flag", (*_JSON, ("if-none-exist", condition.replace("\u00e9", ""))), flag)
        case 1:
            return Asked("PUT", f"/Flag?{condition}", _JSON, flag)
        case 2:
            return Asked("PUT", f"/Flag/{existing}", (*_JSON, ("if-match", 'W/"1"')), {**flag, "id": existing})
        case 3:
            return Asked("DELETE", f"/Flag?{condition}")
        case _:
            entry = {"request": {"method": "POST", "url": "Flag", "ifNoneExist": condition}, "resource": flag}
            return Asked("POST", "/", _JSON, {"resourceType": "Bundle", "type": "transaction", "entry": [entry]})
