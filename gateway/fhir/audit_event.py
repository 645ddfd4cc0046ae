"""An access as a FHIR AuditEvent, after IHE's Basic Audit Log Patterns: who, through what, did what to whose record.

Source: https://hl7.org/fhir/R4/auditevent.html; https://profiles.ihe.net/ITI/BALP/ (types of agents and entities, the
profile that each event fits); DICOM PS3.16, CID 400 and 403 (codes of the system DCM).
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.fhir.jsonformat import Resource

BALP = "https://profiles.ihe.net/ITI/BALP"
HASHED = "urn:ietf:rfc:2104"
"""The system of identifiers that are keyed hashes of what they name: RFC 2104 is HMAC."""

_HL7 = "http://terminology.hl7.org/CodeSystem"
_DCM = "http://dicom.nema.org/resources/ontology/DCM"
_INTERACTION = "http://hl7.org/fhir/restful-interaction"
_SOURCE = (_DCM, "110153", "Source Role ID")
_DESTINATION = (_DCM, "110152", "Destination Role ID")
_APPLICATION = (_DCM, "110150", "Application")
_CUSTODIAN = (f"{_HL7}/provenance-participant-type", "custodian", "Custodian")
_USER = (f"{_HL7}/v3-ParticipationType", "IRCP", "information recipient")
_REST = (f"{_HL7}/audit-event-type", "rest", "RESTful Operation")
_OVERRIDE = (_DCM, "110127", "Emergency Override Started")
_LOGIN = ((_DCM, "110114", "User Authentication"), (_DCM, "110122", "Login"))
_BROKEN = (f"{_HL7}/v3-ActReason", "BTG", "break the glass")
_OPERATION = "operation"
_QUERIES = frozenset({"search", "count"})
_SIGNING_IN = frozenset({"token", "authenticate"})

_SUCCESS, _MINOR, _SERIOUS = "0", "4", "8"
_OUTCOMES: Mapping[str, str] = {
    **dict.fromkeys(("permit", "stored", "queued", "issued", "batch", "dry-run", "repeat"), _SUCCESS),
    **dict.fromkeys(("down", "fault", "unknown"), _SERIOUS),
}
"""Source: https://hl7.org/fhir/R4/valueset-audit-event-outcome.html; whatever is refused is a minor failure."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """How one action is told. Shape: `profile` is BALP's, None where it has none; the agents are client and server."""

    code: str
    action: str
    profile: str | None
    client: tuple[str, str, str]
    server: tuple[str, str, str]


_KINDS: Mapping[str, _Kind] = {
    "read": _Kind("read", "R", "Read", _DESTINATION, _SOURCE),
    "history": _Kind("history-instance", "R", None, _DESTINATION, _SOURCE),
    "search": _Kind("search", "E", "Query", _SOURCE, _DESTINATION),
    "count": _Kind("search", "E", "Query", _SOURCE, _DESTINATION),
    "create": _Kind("create", "C", "Create", _SOURCE, _DESTINATION),
    "update": _Kind("update", "U", "Update", _SOURCE, _DESTINATION),
    "patch": _Kind("patch", "U", None, _SOURCE, _DESTINATION),
    "delete": _Kind("delete", "D", "Delete", _APPLICATION, _CUSTODIAN),
    "ingest": _Kind(_OPERATION, "C", None, _SOURCE, _DESTINATION),
}
_OTHER = _Kind(_OPERATION, "E", None, _SOURCE, _DESTINATION)


@dataclass(frozen=True, slots=True)
class Named:
    """A resource that an event is about.

    Shape: `name` is `Patient/1`, or the keyed hash of it, as `hashed` says; `type` is None where it is not known.
    """

    name: str
    type: str | None = None
    hashed: bool = False


@dataclass(frozen=True, slots=True)
class Access:
    """One access, or attempt at one.

    Shape: `what` tells of the request without its values; `observer` is the gateway's public address, `address` the
    client's, None where it isn't known; `reason` is why glass was broken, None where it wasn't.
    Units: `recorded` is an ISO 8601 instant with its offset.
    """

    id: str
    recorded: str
    action: str
    what: str
    outcome: str
    principal: str
    observer: str
    user: str | None = None
    purpose: str | None = None
    address: str | None = None
    request: str | None = None
    rules: tuple[str, ...] = ()
    agreements: tuple[str, ...] = ()
    digest: str = ""
    patients: tuple[Named, ...] = ()
    seen: tuple[Named, ...] = ()
    reason: str | None = None


def audit_event(access: Access) -> Resource:
    """The event. Shape: it names a profile of BALP where it fits one: that takes a success, and one patient at most."""
    kind = _KINDS.get(access.action, _OTHER)
    type_, subtype = _LOGIN if access.action in _SIGNING_IN else (_REST, (_INTERACTION, kind.code, kind.code))
    outcome = _OUTCOMES.get(access.outcome, _MINOR)
    profile = _profile(access, kind, outcome)
    return {
        "resourceType": "AuditEvent",
        "id": access.id,
        **({} if profile is None else {"meta": {"profile": [profile]}}),
        "type": _coding(type_),
        "subtype": [_coding(subtype), *([] if access.reason is None else [_coding(_OVERRIDE)])],
        "action": kind.action,
        "recorded": access.recorded,
        "outcome": outcome,
        "outcomeDesc": access.outcome,
        **_purposes(access),
        "agent": list(_agents(access, kind)),
        "source": {"observer": _by_address(access.observer)},
        "entity": list(_entities(access)),
    }


@dataclass(frozen=True, slots=True)
class Sealed:
    """An anchor of the audit: how far its chain was. Shape: all texts as the anchor has them."""

    id: str
    at: str
    chain: str
    seq: int
    line: bytes


def anchor_event(sealed: Sealed, observer: str) -> Resource:
    """The event by which somebody elsewhere keeps an anchor: its line of the log, whole.

    Source: DICOM PS3.16, CID 400: 110101 is the use of an audit log.
    """
    used = _coding((_DCM, "110101", "Audit Log Used"))
    role = _role("13", "Security Resource")
    return {
        "resourceType": "AuditEvent",
        "id": sealed.id,
        "type": used,
        "action": "R",
        "recorded": sealed.at,
        "outcome": _SUCCESS,
        "agent": [{"type": _concept(_SOURCE), "who": _by_address(observer), "requestor": True}],
        "source": {"observer": _by_address(observer)},
        "entity": [
            {
                "what": {"identifier": {"system": "urn:ietf:rfc:4122", "value": f"urn:uuid:{sealed.chain}"}},
                "type": _entity_type("2", "System Object"),
                "role": role,
                "name": f"row {sealed.seq} of the audit",
                "detail": [{"type": "anchor", "valueBase64Binary": base64.b64encode(sealed.line).decode()}],
            }
        ],
    }


def _profile(access: Access, kind: _Kind, outcome: str) -> str | None:
    whole = kind.profile is not None and outcome == _SUCCESS and access.address is not None
    data = access.action in _QUERIES or len(access.seen) == 1
    if not whole or not data or len(access.patients) > 1:
        return None
    return f"{BALP}/StructureDefinition/IHE.BasicAudit.{'Patient' if access.patients else ''}{kind.profile}"


def _purposes(access: Access) -> dict[str, Any]:
    found = [_coding(_BROKEN)] if access.reason is not None else []
    if access.purpose is not None:
        found.append({"system": f"{_HL7}/v3-ActReason", "code": access.purpose})
    return {"purposeOfEvent": [{"coding": [one]} for one in found]} if found else {}


def _agents(access: Access, kind: _Kind) -> Iterator[Resource]:
    """The client, the gateway, and the user where one is told."""
    network = {} if access.address is None else {"network": {"address": access.address, "type": "2"}}
    who = {"identifier": {"value": access.principal}, "display": access.principal}
    yield {"type": _concept(kind.client), "who": who, "requestor": access.user is None, **network}
    yield {
        "type": _concept(kind.server),
        "who": _by_address(access.observer),
        "requestor": False,
        "network": {"address": access.observer, "type": "5"},
    }
    if access.user is not None:
        purpose = [] if access.purpose is None else [{"system": f"{_HL7}/v3-ActReason", "code": access.purpose}]
        yield {
            "type": _concept(_USER),
            "who": {"identifier": {"value": access.user}},
            "name": access.user,
            "requestor": True,
            **({"purposeOfUse": [{"coding": purpose}]} if purpose else {}),
        }


def _entities(access: Access) -> Iterator[Resource]:
    """The patients, what was asked or touched, the request in the log, and the rules that decided."""
    for one in access.patients:
        yield {"what": _reference(one), "type": _entity_type("1", "Person"), "role": _role("1", "Patient")}
    if access.action in _QUERIES:
        raw = base64.b64encode(access.what.encode()).decode()
        yield {
            "type": _entity_type("2", "System Object"), "role": _role("24", "Query"), "description": access.what,
            "query": raw,
        }  # fmt: skip
    elif access.action not in _SIGNING_IN:
        for one in access.seen:
            role = _role("4", "Domain Resource")
            yield {"what": _reference(one), "type": _entity_type("2", "System Object"), "role": role}
    if access.request is not None:
        kind = {"system": f"{BALP}/CodeSystem/BasicAuditEntityType", "code": "XrequestId"}
        yield {"what": {"identifier": {"value": access.request}}, "type": kind}
    details = list(_details(access))
    yield {
        "type": _entity_type("4", "Other"), "role": _role("13", "Security Resource"), "name": "decision",
        "detail": details,
    }  # fmt: skip


def _details(access: Access) -> Iterator[dict[str, str]]:
    told = [("action", access.action), ("what", access.what), ("outcome", access.outcome)]
    told += [("rule", rule) for rule in access.rules] + [("agreement", one) for one in access.agreements]
    told += [("rule set", access.digest), ("break-glass-reason", access.reason or "")]
    if access.action in _QUERIES:
        told += [("shown", one.name) for one in access.seen]
    return ({"type": name, "valueString": value} for name, value in told if value)


def _reference(one: Named) -> dict[str, Any]:
    if one.hashed:
        return {**({} if one.type is None else {"type": one.type}), "identifier": {"system": HASHED, "value": one.name}}
    return {"reference": one.name}


def _by_address(address: str) -> dict[str, Any]:
    return {"identifier": {"system": "urn:ietf:rfc:3986", "value": address}, "display": address}


def _coding(told: tuple[str, str, str]) -> dict[str, str]:
    system, code, display = told
    return {"system": system, "code": code, "display": display}


def _concept(told: tuple[str, str, str]) -> dict[str, Any]:
    return {"coding": [_coding(told)]}


def _entity_type(code: str, display: str) -> dict[str, str]:
    return _coding((f"{_HL7}/audit-entity-type", code, display))


def _role(code: str, display: str) -> dict[str, str]:
    return _coding((f"{_HL7}/object-role", code, display))
