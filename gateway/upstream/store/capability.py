"""The CapabilityStatement of the store.

Source: https://hl7.org/fhir/R4/capabilitystatement.html
"""

from __future__ import annotations

from datetime import datetime
from importlib.metadata import version
from typing import Any

from gateway import fhir
from gateway.fhir.json_patch import MEDIA_TYPE as PATCH
from gateway.query import NEEDING_MORE, WHOLE
from gateway.specs import FhirTables, SearchParameter
from gateway.upstream.store.extraction import BUILT_IN, has_modified, is_searchable, texts

_INTERACTIONS = (
    "read",
    "vread",
    "update",
    "patch",
    "delete",
    "history-instance",
    "history-type",
    "create",
    "search-type",
)
_SYSTEM = ("transaction", "batch", "history-system")
_SEARCHES = (
    "Searches may chain (subject:Patient.name) and reverse (_has), include and revinclude, also with :iterate, and"
    " take _sort, _count, _total, _summary, _elements. All pages of a search show the moment of the first. A page is"
    " followed by at most 1000 included resources. Not offered: _text, _content, _filter, _list, _query, near, and"
    " modifiers that take a terminology service (:in, :not-in, :above and :below of a token)."
)


def statement(tables: FhirTables, base: str, now: datetime) -> bytes:
    """What the store can do, from the same table that its searches work by."""
    references: dict[str, list[str]] = {}
    names = sorted(n for n, found in tables.types.items() if found.kind == "resource" and not found.abstract)
    parameters: dict[str, list[dict[str, str]]] = {name: [] for name in names}
    for (type_, code), parameter in sorted(tables.search_parameters.items()):
        if type_ in parameters and is_searchable(parameter):
            told = {"name": code, "definition": parameter.url, "type": parameter.type}
            if modifiers := _modifiers(type_, parameter, tables):
                told["documentation"] = f"Modifiers: {', '.join(modifiers)}"
            parameters[type_].append(told)
            if parameter.type == "reference":
                for target in parameter.targets or names:
                    references.setdefault(target, []).append(f"{type_}:{code}")
    resources = [_resource(name, parameters[name], references.get(name, [])) for name in names]
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
            "patchFormat": [PATCH],
            "rest": [
                {
                    "mode": "server",
                    "resource": resources,
                    "documentation": _SEARCHES,
                    "interaction": [{"code": code} for code in _SYSTEM],
                }
            ],
        }
    )


def _modifiers(type_: str, parameter: SearchParameter, tables: FhirTables) -> list[str]:
    """Modifiers that the store takes for a parameter, as they are written."""
    if parameter.code in BUILT_IN:
        return [":missing", ":not"] if parameter.type == "token" else [":missing"]
    found = []
    for name in parameter.modifiers:
        if name == "[type]":
            found += [f":{target}" for target in parameter.targets]
        elif name in WHOLE.modifiers and (parameter.type, name) not in NEEDING_MORE:
            if name == "text":
                fits = texts(type_, parameter.code, tables) is not None
            else:
                fits = name not in {"of-type", "identifier"} or has_modified(type_, parameter, name, tables)
            found += [f":{name}"] if fits else []
    return found


def _resource(name: str, parameters: list[dict[str, str]], referring: list[str]) -> dict[str, Any]:
    includes = [f"{name}:{each['name']}" for each in parameters if each["type"] == "reference"]
    listed = {"searchInclude": ["*", f"{name}:*", *includes] if includes else [], "searchRevInclude": referring}
    return {
        "type": name,
        "interaction": [{"code": code} for code in _INTERACTIONS],
        "versioning": "versioned-update",
        "readHistory": True,
        "updateCreate": True,
        "conditionalCreate": True,
        "conditionalRead": "full-support",
        "conditionalUpdate": True,
        "conditionalDelete": "single",
        **{member: values for member, values in listed.items() if values},
        "searchParam": parameters,
    }
