"""The schema of a resource type as callers see it: R4's elements without those that the rules hide.

Source: JSON Schema 2020-12; https://hl7.org/fhir/R4/json.html
"""

from __future__ import annotations

from typing import Any

from gateway.documents.offer import ServedType
from gateway.fhir import Elements
from gateway.fhir.elements import Member, means

Json = dict[str, Any]

FHIR_R4 = "https://hl7.org/fhir/R4"
JSON_TYPES = {
    "boolean": "boolean",
    "integer": "integer",
    "positiveInt": "integer",
    "unsignedInt": "integer",
    "decimal": "number",
}
"""JSON types of primitives that are no strings. Source: https://hl7.org/fhir/R4/datatypes.html#primitive"""


def resource(served: ServedType, elements: Elements) -> Json:
    """Schema of a type: the elements right below it; what is hidden further below is told beside its element."""
    hidden = [path.split(".")[1:] for path in served.hidden]
    whole = [steps[0] for steps in hidden if len(steps) == 1]
    members = {
        name: member
        for name, member in elements.members(served.name).items()
        if not any(means(element, name) for element in whole)
    }
    extended = sorted(name for name, member in members.items() if elements.is_primitive(member.type.code))
    return {
        "type": "object",
        "description": f"{served.name} of FHIR R4 (4.0.1)" + _without(served.hidden),
        "required": ["resourceType"],
        "properties": {
            "resourceType": {"const": served.name},
            **{name: _element(name, member, hidden, elements) for name, member in members.items()},
            **{f"_{name}": _plain(members[name], "object", elements) for name in extended},
        },
        "additionalProperties": False,
        "externalDocs": {"url": f"{FHIR_R4}/{served.name.lower()}.html"},
    }


def _without(paths: tuple[str, ...]) -> str:
    return f", without {', '.join(f'`{path}`' for path in paths)}, which the rules hide." if paths else "."


def _element(name: str, member: Member, hidden: list[list[str]], elements: Elements) -> Json:
    code = member.type.code
    kind = JSON_TYPES.get(code, "string") if elements.is_primitive(code) else "object"
    below = sorted(".".join(steps[1:]) for steps in hidden if len(steps) > 1 and means(steps[0], name))
    told = f"{code}, without {', '.join(f'`{path}`' for path in below)}" if below else code
    return _plain(member, kind, elements) | {"description": told}


def _plain(member: Member, kind: str, elements: Elements) -> Json:
    if kind == "string" and member.type.code == "id":
        one: Json = {"type": kind, "pattern": f"^{elements.tables.formats['id']}$"}
    else:
        one = {"type": kind}
    if member.definition.max == 1:
        return one
    # a primitive and what extends it stand in two arrays, each with null where the other alone has something
    return {"type": "array", "minItems": 1, "items": one | {"type": [kind, "null"]}}
