"""An access as a FHIR AuditEvent, after IHE's Basic Audit Log Patterns: who, through what, did what to whose record.

Codes, and which action is told how, stand in `specs/fhir/audit-*.csv`, addresses in `specs/fhir/systems.csv`.
Source: https://hl7.org/fhir/R4/auditevent.html; https://profiles.ihe.net/ITI/BALP/ (types of agents and entities, the
profile that each event fits).
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from gateway.fhir.jsonformat import Resource
from gateway.specs import AuditAction, Coding, FhirTables, Systems

_RESOURCES, _QUERY = "resources", "query"
"""What an event is about, as `audit-actions.csv` says it."""


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


def audit_event(access: Access, tables: FhirTables) -> Resource:
    """The event. Shape: it names a profile of BALP where it fits one: that takes a success, and one patient at most."""
    auditing = tables.auditing
    kind, outcome = auditing.action(access.action), auditing.outcome(access.outcome)
    profile = _profile(access, kind) if outcome == auditing.codes.success else ""
    return {
        "resourceType": "AuditEvent",
        "id": access.id,
        **({"meta": {"profile": [f"{tables.systems.balp}/{profile}"]}} if profile else {}),
        "type": _coding(kind.type),
        "subtype": [_coding(kind.subtype), *([] if access.reason is None else [_coding(auditing.codes.override)])],
        "action": kind.action,
        "recorded": access.recorded,
        "outcome": outcome.code,
        "outcomeDesc": access.outcome,
        **_purposes(access, tables),
        "agent": list(_agents(access, kind, tables)),
        "source": {"observer": _by_address(access.observer, tables.systems)},
        "entity": list(_entities(access, kind, tables)),
    }


@dataclass(frozen=True, slots=True)
class Sealed:
    """An anchor of the audit: how far its chain was. Shape: all texts as the anchor has them."""

    id: str
    at: str
    chain: str
    seq: int
    line: bytes


def anchor_event(sealed: Sealed, observer: str, tables: FhirTables) -> Resource:
    """The event by which somebody elsewhere keeps an anchor: its line of the log, whole."""
    codes, by_address = tables.auditing.codes, _by_address(observer, tables.systems)
    return {
        "resourceType": "AuditEvent",
        "id": sealed.id,
        "type": _coding(codes.audit_log),
        "action": codes.reading.code,
        "recorded": sealed.at,
        "outcome": codes.success.code,
        "agent": [{"type": _concept(codes.source), "who": by_address, "requestor": True}],
        "source": {"observer": by_address},
        "entity": [
            {
                "what": {"identifier": {"system": tables.systems.uuids, "value": f"urn:uuid:{sealed.chain}"}},
                "type": _coding(codes.system_object),
                "role": _coding(codes.security_resource),
                "name": f"row {sealed.seq} of the audit",
                "detail": [{"type": "anchor", "valueBase64Binary": base64.b64encode(sealed.line).decode()}],
            }
        ],
    }


def _profile(access: Access, kind: AuditAction) -> str:
    """The profile that a success fits; empty for none."""
    data = kind.about == _QUERY or len(access.seen) == 1
    if access.address is None or not data or len(access.patients) > 1:
        return ""
    return kind.patient_profile if access.patients else kind.profile


def _purposes(access: Access, tables: FhirTables) -> dict[str, Any]:
    found = [_coding(tables.auditing.codes.broken_glass)] if access.reason is not None else []
    found += _purpose(access, tables.systems)
    return {"purposeOfEvent": [{"coding": [one]} for one in found]} if found else {}


def _purpose(access: Access, systems: Systems) -> list[dict[str, str]]:
    """The purpose of use that the client told, if any."""
    return [] if access.purpose is None else [{"system": systems.purposes, "code": access.purpose}]


def _agents(access: Access, kind: AuditAction, tables: FhirTables) -> Iterator[Resource]:
    """The client, the gateway, and the user where one is told."""
    codes, systems = tables.auditing.codes, tables.systems
    network = {"network": {"address": access.address, "type": codes.network_ip.code}}
    who = {"identifier": {"value": access.principal}, "display": access.principal}
    yield {
        "type": _concept(kind.client), "who": who, "requestor": access.user is None,
        **({} if access.address is None else network),
    }  # fmt: skip
    yield {
        "type": _concept(kind.server),
        "who": _by_address(access.observer, systems),
        "requestor": False,
        "network": {"address": access.observer, "type": codes.network_uri.code},
    }
    if access.user is not None:
        purpose = _purpose(access, systems)
        yield {
            "type": _concept(codes.user),
            "who": {"identifier": {"value": access.user}},
            "name": access.user,
            "requestor": True,
            **({"purposeOfUse": [{"coding": purpose}]} if purpose else {}),
        }


def _entities(access: Access, kind: AuditAction, tables: FhirTables) -> Iterator[Resource]:
    """The patients, what was asked or touched, the request in the log, and the rules that decided."""
    codes, systems = tables.auditing.codes, tables.systems
    for one in access.patients:
        yield {"what": _reference(one, systems), "type": _coding(codes.person), "role": _coding(codes.patient)}
    touched = _coding(codes.system_object)
    if kind.about == _QUERY:
        raw = base64.b64encode(access.what.encode()).decode()
        yield {"type": touched, "role": _coding(codes.query), "description": access.what, "query": raw}
    elif kind.about == _RESOURCES:
        for one in access.seen:
            yield {"what": _reference(one, systems), "type": touched, "role": _coding(codes.domain_resource)}
    if access.request is not None:
        yield {"what": {"identifier": {"value": access.request}}, "type": _coding(codes.request)}
    yield {
        "type": _coding(codes.other), "role": _coding(codes.security_resource), "name": "decision",
        "detail": list(_details(access, kind)),
    }  # fmt: skip


def _details(access: Access, kind: AuditAction) -> Iterator[dict[str, str]]:
    told = [("action", access.action), ("what", access.what), ("outcome", access.outcome)]
    told += [("rule", rule) for rule in access.rules] + [("agreement", one) for one in access.agreements]
    told += [("rule set", access.digest), ("break-glass-reason", access.reason or "")]
    if kind.about == _QUERY:
        told += [("shown", one.name) for one in access.seen]
    return ({"type": name, "valueString": value} for name, value in told if value)


def _reference(one: Named, systems: Systems) -> dict[str, Any]:
    if one.hashed:
        type_ = {} if one.type is None else {"type": one.type}
        return {**type_, "identifier": {"system": systems.hashes, "value": one.name}}
    return {"reference": one.name}


def _by_address(address: str, systems: Systems) -> dict[str, Any]:
    return {"identifier": {"system": systems.uris, "value": address}, "display": address}


def _coding(told: Coding) -> dict[str, str]:
    display = {"display": told.display} if told.display else {}
    return {"system": told.system, "code": told.code, **display}


def _concept(told: Coding) -> dict[str, Any]:
    return {"coding": [_coding(told)]}
