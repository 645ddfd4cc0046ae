"""The CapabilityStatement of the store.

Source: https://hl7.org/fhir/R4/capabilitystatement.html
"""

from __future__ import annotations

from datetime import datetime
from importlib.metadata import version
from typing import Any

from gateway import fhir
from gateway.specs import FhirTables
from gateway.upstream.store.extraction import is_searchable

_INTERACTIONS = ("read", "vread", "update", "create", "search-type", "history-instance")
_SYSTEM = ("transaction", "batch")


def statement(tables: FhirTables, base: str, now: datetime) -> bytes:
    """What the store can do, from the same table that its searches work by."""
    names = sorted(n for n, found in tables.types.items() if found.kind == "resource" and not found.abstract)
    parameters: dict[str, list[dict[str, str]]] = {name: [] for name in names}
    for (type_, code), parameter in sorted(tables.search_parameters.items()):
        if type_ in parameters and is_searchable(parameter):
            parameters[type_].append({"name": code, "definition": parameter.url, "type": parameter.type})
    resources = [_resource(name, parameters[name]) for name in names]
    return fhir.dump(
        {
            "resourceType": "CapabilityStatement",
            "status": "active",
            "date": now.isoformat(timespec="seconds"),
            "kind": "instance",
            "software": {
                "name": "Healthcare Exchange Gateway, embedded store",
                "version": version("healthcare-exchange-gateway"),
            },
            "implementation": {"description": "Embedded FHIR R4 store", "url": base},
            "fhirVersion": "4.0.1",
            "format": ["application/fhir+json"],
            "rest": [
                {
                    "mode": "server",
                    "resource": resources,
                    "interaction": [{"code": code} for code in _SYSTEM],
                }
            ],
        }
    )


def _resource(name: str, parameters: list[dict[str, str]]) -> dict[str, Any]:
    return {
        "type": name,
        "interaction": [{"code": code} for code in _INTERACTIONS],
        "versioning": "versioned-update",
        "readHistory": True,
        "updateCreate": True,
        "conditionalCreate": True,
        "conditionalUpdate": True,
        "searchParam": parameters,
    }
