"""What we settled beside the standard: `systems.csv`, `identities.csv`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gateway.specs.elements import TypeDefinition
from gateway.specs.rows import Origin, SpecsError, by_name, shown_path, table


@dataclass(frozen=True, slots=True)
class Systems:
    """Addresses that the gateway itself writes and reads.

    Shape: `ods` is the system of ODS codes; `marks` the base of our own tags and extensions, without a slash at its
    end; `uris`, `uuids` and `hashes` (keyed ones) are systems of identifiers; `participants` and `purposes` are code
    systems, of what an agent of a Provenance did and of purposes of use; `balp` is the base of IHE BALP's profiles.
    """

    ods: str
    marks: str
    uris: str
    uuids: str
    hashes: str
    participants: str
    purposes: str
    balp: str


@dataclass(frozen=True, slots=True)
class Identity:
    """One way in which a submitted resource is known.

    Shape: `element` holds the identifiers; `form` is `nhs-number`, `ods-code` or `business`; `system` and `kind` (a
    code of v2-0203) are what an identifier must have, empty where any will do.
    """

    element: str
    form: str
    system: str
    kind: str
    origin: Origin


def read_identities(path: Path, types: Mapping[str, TypeDefinition]) -> dict[str, tuple[Identity, ...]]:
    """What each resource type is known by, its own ways before those of `*`.

    Errors: SpecsError.
    """
    own: dict[str, list[Identity]] = {}
    for row in table(path):
        cell = row.values
        if cell["form"] not in {"nhs-number", "ods-code", "business"}:
            raise SpecsError(row.origin, f"unknown form `{cell['form']}`: it is nhs-number, ods-code or business")
        one = Identity(cell["element"], cell["form"], cell["system"], cell["kind"], row.origin)
        own.setdefault(cell["type"], []).append(one)
    common = own.pop("*", [])
    resources = [name for name, definition in types.items() if definition.kind == "resource"]
    return {name: (*own.get(name, []), *common) for name in resources}


def read_systems(path: Path) -> Systems:
    """Addresses by the names that the gateway asks for.

    Errors: SpecsError, for a name too many or too few among others.
    """
    found = by_name(path, "name")
    wanted = [each.name for each in dataclasses.fields(Systems)]
    for name, row in found.items():
        if name not in wanted:
            raise SpecsError(row.origin, f"nothing asks for `{name}`: the names are {', '.join(wanted)}")
        if ":" not in row.values["address"] or row.values["address"].endswith("/"):
            raise SpecsError(row.origin, "an address is a URL or URN, without a slash at its end")
    missing = [name for name in wanted if name not in found]
    if missing:
        raise SpecsError(Origin(shown_path(path), 1), f"there is no {', '.join(missing)}: add a line for each")
    return Systems(**{name: row.values["address"] for name, row in found.items()})
