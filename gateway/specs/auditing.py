"""How the audit is told as AuditEvents: `audit-codes.csv`, `audit-actions.csv`, `audit-outcomes.csv`.

Source: https://hl7.org/fhir/R4/auditevent.html; https://profiles.ihe.net/ITI/BALP/
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.specs.addresses import VALUE_SETS
from gateway.specs.rows import Origin, Row, SpecsError, by_name, shown_path

ANY: Final = "*"
"""The line for every name that has none of its own."""
_CODED: Final = ("type", "subtype", "client", "server")
_ABOUT: Final = ("resources", "query", "nothing")
_ACTIONS: Final = VALUE_SETS + "audit-event-action"
_OUTCOMES: Final = VALUE_SETS + "audit-event-outcome"


@dataclass(frozen=True, slots=True)
class Coding:
    """A code of a code system. Shape: `display` is empty where none is told."""

    system: str
    code: str
    display: str


@dataclass(frozen=True, slots=True)
class AuditCodes:
    """Codings by the names that the gateway asks for; in the table, `-` stands for `_`."""

    audit_log: Coding
    override: Coding
    broken_glass: Coding
    reading: Coding
    success: Coding
    source: Coding
    user: Coding
    network_ip: Coding
    network_uri: Coding
    person: Coding
    system_object: Coding
    other: Coding
    request: Coding
    patient: Coding
    domain_resource: Coding
    security_resource: Coding
    query: Coding


@dataclass(frozen=True, slots=True)
class AuditAction:
    """How one action is told.

    Shape: `action` is AuditEvent.action; `client` and `server` are types of agents; `about` is `resources`, `query` or
    `nothing`; the profiles are names of BALP's, without and with a patient, empty where it has none.
    """

    type: Coding
    subtype: Coding
    action: str
    client: Coding
    server: Coding
    about: str
    profile: str
    patient_profile: str


@dataclass(frozen=True, slots=True)
class Auditing:
    """How the audit is told. Shape: actions and outcomes by the audit's words, that of `ANY` for every other."""

    codes: AuditCodes
    actions: Mapping[str, AuditAction]
    outcomes: Mapping[str, Coding]

    def action(self, name: str) -> AuditAction:
        """How an action is told."""
        return self.actions.get(name) or self.actions[ANY]

    def outcome(self, name: str) -> Coding:
        """How an outcome is told."""
        return self.outcomes.get(name) or self.outcomes[ANY]


def read_auditing(folder: Path, codes: Mapping[str, frozenset[str]]) -> Auditing:
    """The three tables of a folder.

    Shape: `codes` are those of value sets by URL, which actions and outcomes keep to; as elsewhere, a code of a value
    set that has no list there is not judged.

    Errors: SpecsError, for a name too many or too few among others.
    """
    rows = by_name(folder / "audit-codes.csv", "name")
    known = {name: _coding(row) for name, row in rows.items()}
    actions = _whole(folder / "audit-actions.csv")
    outcomes = _whole(folder / "audit-outcomes.csv")
    asked = {each.name.replace("_", "-"): each.name for each in dataclasses.fields(AuditCodes)}
    missing = [name for name in asked if name not in known]
    if missing:
        words = f"there is no {', '.join(missing)}: add a line for each"
        raise SpecsError(Origin(shown_path(folder / "audit-codes.csv"), 1), words)
    found = Auditing(
        AuditCodes(**{field: known[name] for name, field in asked.items()}),
        {name: _action(row, known, codes.get(_ACTIONS)) for name, row in actions.items()},
        {name: _outcome(row, known, codes.get(_OUTCOMES)) for name, row in outcomes.items()},
    )
    used = {*asked, *_used(actions, *_CODED), *_used(outcomes, "outcome")}
    for name, row in rows.items():
        if name not in used:
            raise SpecsError(row.origin, f"nothing asks for `{name}`: leave it out, or name it in an action or outcome")
    return found


def _whole(path: Path) -> dict[str, Row]:
    """A table by name that has a line for what it doesn't name."""
    found = by_name(path, "name")
    if ANY not in found:
        raise SpecsError(Origin(shown_path(path), 1), f"there is no `{ANY}`: add the line for all that have none")
    return found


def _used(rows: Mapping[str, Row], *columns: str) -> Iterator[str]:
    return (row.values[column] for row in rows.values() for column in columns)


def _coding(row: Row) -> Coding:
    cell = row.values
    if ":" not in cell["system"]:
        raise SpecsError(row.origin, f"`{cell['system']}` is no code system: it is a URL or URN")
    if not cell["code"]:
        raise SpecsError(row.origin, f"`{cell['name']}` has no code: add it")
    return Coding(cell["system"], cell["code"], cell["display"])


def _named(row: Row, column: str, known: Mapping[str, Coding]) -> Coding:
    name = row.values[column]
    if name not in known:
        raise SpecsError(row.origin, f"unknown {column} `{name}`: audit-codes.csv has {', '.join(known)}")
    return known[name]


def _action(row: Row, known: Mapping[str, Coding], letters: AbstractSet[str] | None) -> AuditAction:
    cell = row.values
    if letters is not None and cell["action"] not in letters:
        raise SpecsError(row.origin, f"unknown action `{cell['action']}`: it is one of {', '.join(sorted(letters))}")
    if cell["about"] not in _ABOUT:
        raise SpecsError(row.origin, f"unknown about `{cell['about']}`: it is one of {', '.join(_ABOUT)}")
    if bool(cell["profile"]) != bool(cell["patient_profile"]):
        raise SpecsError(row.origin, "one profile alone: name BALP's without and with a patient, or neither")
    type_, subtype, client, server = (_named(row, column, known) for column in _CODED)
    profiles = cell["profile"], cell["patient_profile"]
    return AuditAction(type_, subtype, cell["action"], client, server, cell["about"], *profiles)


def _outcome(row: Row, known: Mapping[str, Coding], outcomes: AbstractSet[str] | None) -> Coding:
    found = _named(row, "outcome", known)
    if outcomes is not None and found.code not in outcomes:
        words = f"`{row.values['outcome']}` is no outcome: its code is one of {', '.join(sorted(outcomes, key=int))}"
        raise SpecsError(row.origin, words)
    return found
