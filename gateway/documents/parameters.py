"""The parameters of the facade in the OpenAPI document: of searches, of reads and histories, and the headers of all.

Source: OpenAPI 3.1.0; https://hl7.org/fhir/R4/search.html; https://hl7.org/fhir/R4/http.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.documents.components import ref
from gateway.documents.offer import Offer, ServedType, Use
from gateway.specs import FhirTables, SearchParameter

Json = dict[str, Any]

RESULT_PARAMETERS: Mapping[str, tuple[Json, str]] = {
    "_count": ({"type": "integer", "minimum": 0}, "How many matches a page holds; 0 asks for their number alone."),
    "_sort": ({"type": "string"}, "Parameters to sort by, separated by commas; `-` before one turns it round."),
    "_total": ({"type": "string", "enum": ["none", "estimate", "accurate"]}, "Whether a total is wanted."),
    "_summary": (
        {"type": "string", "enum": ["true", "text", "data", "count", "false"]},
        "Which part of each resource is wanted; `count` asks for the number alone.",
    ),
    "_elements": (
        {"type": "string"},
        "Elements right below the resource, separated by commas; what must be there comes too.",
    ),
    "_format": ({"type": "string"}, "`json` or `application/fhir+json`."),
    "_pretty": ({"type": "boolean"}, "Whether the answer is to be indented."),
    "_page": ({"type": "string"}, "Token of a page, as a `next` link gives it; it expires."),
}
"""Parameters that shape an answer and need no permit, by name.

Source: https://hl7.org/fhir/R4/search.html#return
"""

COUNTING: Json = {"type": "string", "enum": ["count"], "description": "`count`: the number is all that may be asked."}
"""`_summary` where nobody may see what is counted."""

_FORMS = {
    "date": "`YYYY-MM-DDThh:mm:ss+hh:mm`, as exact as is known; sent twice it bounds a range",
    "number": "a number",
    "quantity": "`number|system|code`",
    "reference": "`Type/id` or the id alone",
    "string": "the start of the text, letter case and accents aside",
    "token": "`code` or `system|code`",
    "uri": "the whole URI",
}


def shared_parameters(offer: Offer) -> Json:
    """Parameter components: the optional headers of every address, and the result parameters."""
    components: Json = {
        "Idempotency-Key": {
            "name": "Idempotency-Key",
            "in": "header",
            "description": "Key of a `Fhir` or `Csv` submission; without it a hash of the body is its key.",
            "schema": {"type": "string"},
        },
        "If-None-Match": {
            "name": "If-None-Match",
            "in": "header",
            "description": "The ETag of the version that the client has (RFC 9110 section 13.1.2).",
            "schema": {"type": "string"},
        },
        "If-Modified-Since": {
            "name": "If-Modified-Since",
            "in": "header",
            "description": "When the version that the client has was written (RFC 9110 section 13.1.3); If-None-Match "
            "goes before it.",
            "schema": {"type": "string"},
        },
        "on-behalf-of": {
            "name": "on-behalf-of",
            "in": "header",
            "description": "The user that the request is made for, where the token doesn't name one; kept in the "
            "audit.",
            "schema": {"type": "string", "maxLength": 256},
        },
    }
    if offer.glass:
        components["break-glass-reason"] = {
            "name": "break-glass-reason",
            "in": "header",
            "description": "Why the glass is broken, by a principal who may: rules that say so then let pass what they "
            "forbid otherwise. Each use is told in the audit with its reason.",
            "schema": {"type": "string", "minLength": 10, "maxLength": 256},
        }
    if offer.purposes:
        rows = [f"- `{code}` {title}" for code, title in offer.purposes]
        components["purpose-of-use"] = {
            "name": "purpose-of-use",
            "in": "header",
            "description": "\n".join(["Why, where the token doesn't say and the principal may assert it.", "", *rows]),
            "schema": {"type": "string", "enum": [code for code, _ in offer.purposes]},
        }
    for name, (schema, words) in RESULT_PARAMETERS.items():
        components[name] = {"name": name, "in": "query", "description": words, "schema": schema}
    return dict(sorted(components.items()))


def headers_of(offer: Offer) -> list[Json]:
    """Header parameters of every address of the facade."""
    names = [
        *(("purpose-of-use",) if offer.purposes else ()),
        "on-behalf-of",
        *(("break-glass-reason",) if offer.glass else ()),
    ]
    return [ref("parameters", name) for name in names]


def in_path(name: str, words: str, tables: FhirTables) -> Json:
    """Path parameter that is an id."""
    schema = {"type": "string", "pattern": f"^{tables.formats['id']}$"}
    return {"name": name, "in": "path", "required": True, "description": words, "schema": schema}


def search_parameters(served: ServedType, *, condition: bool = False) -> list[Json]:
    """Query parameters that some view of a type asks for or allows.

    Shape: `condition` says that they are those of a write, where `required` would speak of the write.
    """
    return [_parameter(served, use, required=use.required and not condition) for use in served.uses]


INCLUDING = {
    "_include": "What comes along: what the matches refer to there, as far as the caller may read it. "
    "`:iterate` behind the name goes on from what came.",
    "_revinclude": "What comes along: what refers to the matches there, as far as the caller may see it. "
    "`:iterate` behind the name goes on from what came.",
}


def linking_parameters(served: ServedType) -> list[Json]:
    """Query parameters that bring along resources of other types."""
    return [
        {
            "name": name,
            "in": "query",
            "description": INCLUDING[name],
            "style": "form",
            "explode": True,
            "schema": {"type": "array", "items": {"type": "string", "enum": list(values)}},
        }
        for name, values in (("_include", served.includes), ("_revinclude", served.revincludes))
        if values
    ]


def result_parameters(served: ServedType) -> list[Json]:
    """Query parameters that shape the answer to a search; where none may be seen, only their number may be asked."""
    found = [ref("parameters", name) for name in RESULT_PARAMETERS]
    if "search" in served.actions:
        return found
    schema = {name: value for name, value in COUNTING.items() if name != "description"}
    counting = {"name": "_summary", "in": "query", "required": True, "description": COUNTING["description"]}
    return [
        counting | {"schema": schema},
        *(ref("parameters", name) for name in RESULT_PARAMETERS if name != "_summary"),
    ]


def search_form(served: ServedType) -> Json:
    """Schema of a search whose parameters stand in the body."""
    fields: Json = {
        use.parameter.code: _schema(use.parameter) | {"description": _words(served, use), "x-fhir": _fhir(use)}
        for use in served.uses
    }
    fields |= {
        each["name"]: each["schema"] | {"description": each["description"]} for each in linking_parameters(served)
    }
    required = [use.parameter.code for use in served.uses if use.required]
    fields |= {name: schema | {"description": words} for name, (schema, words) in RESULT_PARAMETERS.items()}
    if "search" not in served.actions:
        fields["_summary"] = COUNTING
        required.append("_summary")
    return {"type": "object", "properties": fields} | ({"required": required} if required else {})


ON_READ = ("_format", "_pretty", "_elements")
"""Result parameters that a read takes as a search does; its `_summary` has no `count`."""


def read_parameters() -> list[Json]:
    """Query parameters that shape the answer to a read or a history."""
    schema = {"type": "string", "enum": ["true", "text", "data", "false"]}
    summary = {"name": "_summary", "in": "query", "description": "Which part is wanted.", "schema": schema}
    return [*(ref("parameters", name) for name in ON_READ), summary]


ON_HISTORY: dict[str, tuple[str, Json]] = {
    "_count": ("How many versions a page holds.", {"type": "integer", "minimum": 1}),
    "_since": ("Only versions that were written at or after this instant.", {"type": "string", "format": "date-time"}),
    "_at": ("Only versions that stood at some time of this date or moment.", {"type": "string"}),
    "_page": ("Token of a page, as a `next` link gives it; it expires.", {"type": "string"}),
}


def history_parameters() -> list[Json]:
    """Query parameters that say which versions are wanted."""
    return [
        {"name": name, "in": "query", "description": words, "schema": schema}
        for name, (words, schema) in ON_HISTORY.items()
    ]


def _parameter(served: ServedType, use: Use, *, required: bool) -> Json:
    schema = _schema(use.parameter)
    return {
        "name": use.parameter.code,
        "in": "query",
        **({"required": True} if required else {}),
        "description": _words(served, use),
        **({"style": "form", "explode": True} if schema["type"] == "array" else {}),
        "schema": schema,
        "x-rules": sorted({*use.asked, *use.allowed}),
        "x-fhir": _fhir(use),
    }


def _fhir(use: Use) -> Json:
    """What OpenAPI has no words for: FHIR's type, modifiers, prefixes and chains that are taken."""
    parameter = use.parameter
    return {
        "type": parameter.type,
        "definition": parameter.url,
        "modifiers": list(use.modifiers),
        "prefixes": list(parameter.comparators),
        "chains": list(use.chains),
        **({"targets": list(parameter.targets)} if parameter.targets else {}),
    }


def _schema(parameter: SearchParameter) -> Json:
    """A date may be sent twice, to bound a range; other parameters are given once and their alternatives by comma."""
    if parameter.type == "date":
        return {"type": "array", "items": {"type": "string"}}
    return {"type": "string"}


def _words(served: ServedType, use: Use) -> str:
    """Search parameter for people: its type, form and path, who asks for it, and the page that defines it."""
    parameter = use.parameter
    words = [f"{parameter.type}: {_FORMS.get(parameter.type, 'see its definition')}."]
    if parameter.comparators:
        words.append(f"Prefixes: {', '.join(parameter.comparators)}.")
    path = _path(served, parameter)
    if path:
        words.append(f"Searches `{path}`.")
    if use.modifiers:
        shown = ", ".join("the name of a target type" if m == "[type]" else f"`:{m}`" for m in use.modifiers)
        words.append(f"Modifiers: {shown}.")
    for verb, rules in (("Asked for", use.asked), ("Allowed", use.allowed)):
        if rules:
            words.append(f"{verb} by {', '.join(f'`{rule}`' for rule in rules)}.")
    return " ".join([*words, f"[Definition]({parameter.url})."])


def _path(served: ServedType, parameter: SearchParameter) -> str:
    """The part of a parameter's expression that speaks of this type; `Patient.birthDate | Person.birthDate` has two."""
    parts = [part.strip() for part in parameter.fhirpath.split("|")]
    own = [part for part in parts if part.lstrip("(").startswith(f"{served.name}.")]
    return " | ".join(own or parts)
