"""The OpenAPI 3.1 document, generated from the rules; equal rules give equal text.

Source: https://spec.openapis.org/oas/v3.1.0
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from gateway.documents import (
    components,
    facade_paths,
    ingest_paths,
    operation_paths,
    parameters,
    public_paths,
    schemas,
    token_paths,
    write_paths,
)
from gateway.documents.examples import Example, examples
from gateway.documents.offer import Offer, Published
from gateway.documents.offering import offered
from gateway.documents.resource_schema import FHIR_R4
from gateway.documents.samples import Sample
from gateway.fhir import Elements
from gateway.rules import RuleSet
from gateway.specs import FhirTables

Json = dict[str, Any]

TITLE = "Healthcare exchange gateway"


def openapi(rules: RuleSet, published: Published, tables: FhirTables, samples: Iterable[Sample] = ()) -> Json:
    """OpenAPI document of a rule set.

    Shape: `samples` are those beside the rules (`samples.read`), shown as examples of bodies and acknowledgements.
    """
    offer = offered(rules, tables)
    return document(offer, published, tables, examples(rules, published, samples, Elements(tables)))


def openapi_text(rules: RuleSet, published: Published, tables: FhirTables, samples: Iterable[Sample] = ()) -> str:
    """OpenAPI document as the text of `openapi/openapi.json`: indented, UTF-8, with a last line end."""
    return written(openapi(rules, published, tables, samples)).decode()


def written(made: Json) -> bytes:
    """A document as text, in UTF-8."""
    return orjson.dumps(made, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def document(offer: Offer, published: Published, tables: FhirTables, shown: Iterable[Example]) -> Json:
    """OpenAPI document of an offer; what `openapi` does once the rules are read."""
    shown = tuple(shown)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": TITLE,
            "version": published.version,
            "summary": "HL7 v2 in, FHIR R4 out, decided by rules",
            "description": "Generated from the rule files that decide every request. Rules are named by their ids; "
            "an answer that refuses names the rule that did.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": published.public_url}],
        "security": [{"oauth2": []}, {"bearer": []}],
        "tags": _tags(offer),
        "paths": ingest_paths.paths(offer, published, shown)
        | _merged(facade_paths.paths(offer, tables), write_paths.paths(offer, tables))
        | operation_paths.paths(offer, tables)
        | token_paths.paths(published)
        | public_paths.paths(),
        "components": {
            "schemas": schemas.schemas(offer, tables),
            "responses": components.fault_responses(),
            "parameters": parameters.shared_parameters(offer),
            "examples": {example.key: example.component() for example in shown},
            "headers": components.headers(),
            "securitySchemes": components.security_schemes(published),
        },
    }


def _merged(reading: Json, writing: Json) -> Json:
    """Path items of both, those of one address together."""
    return {path: reading.get(path, {}) | writing.get(path, {}) for path in (*reading, *writing)}


def _tags(offer: Offer) -> list[Json]:
    served = [
        {"name": kind.name, "externalDocs": {"url": f"{FHIR_R4}/{kind.name.lower()}.html"}} for kind in offer.types
    ]
    return [
        {"name": "Ingest", "description": "Send submissions and follow them."},
        {"name": "Authorisation", "description": "Get an access token."},
        *served,
        *([{"name": "Bundles", "description": "Several requests in one."}] if served else []),
        *([{"name": "Export", "description": "Much at once, as files."}] if operation_paths.exported(offer) else []),
        {"name": "Documents", "description": "What the gateway offers."},
        {"name": "Operations", "description": "Whether the gateway is well."},
    ]
