"""The schemas of the OpenAPI document: what is sent and answered, resources (`resource_schema.py`) among them.

Source: JSON Schema 2020-12; FHIR R4; RFC 6749.
"""

from __future__ import annotations

from typing import Any

from gateway.documents.components import ref
from gateway.documents.offer import Offer
from gateway.documents.resource_schema import FHIR_R4, resource
from gateway.fhir import Elements
from gateway.specs import VALUE_SETS, FhirTables

Json = dict[str, Any]


def schemas(offer: Offer, tables: FhirTables) -> Json:
    """Schemas by name; one for each resource type that some rule grants."""
    fixed: Json = {
        "Acknowledgement": _acknowledgement(),
        "Bundle": _bundle("searchset", "A Bundle of type searchset. `total` is what the caller may see, or absent."),
        "CapabilityStatement": _resource("CapabilityStatement"),
        **_kinds_of_bundle(offer),
        "Health": _health(),
        "OAuthError": _oauth_error(),
        "OperationOutcome": _operation_outcome(tables),
        "Receipt": _receipt(),
        "Resource": _any_resource(tables),
        "Token": _token(),
    }
    elements = Elements(tables)
    granted = {served.name: resource(served, elements) for served in offer.types if served.name not in fixed}
    return dict(sorted((fixed | granted).items()))


def _acknowledgement() -> Json:
    return {
        "type": "string",
        "pattern": r"^(MSH|FHS|BHS)\|",
        "description": (
            "HL7 v2 acknowledgement with exactly one MSA, segments ended by CR. MSA-1 is AA, AE or AR, or CA, CE or CR "
            "where enhanced mode asks for it; MSA-2 the sender's control id, empty where the message was not read; "
            "MSA-3, unless the domain switches it off, an OperationOutcome in JSON with HL7 escapes. From version 2.5 "
            "on an ERR segment for each issue. A batch is answered by a batch of acknowledgements, within BHS and BTS."
        ),
        "externalDocs": {"description": "HL7 v2, chapter 2", "url": "https://www.hl7.org/implement/standards/"},
    }


def _resource(name: str) -> Json:
    return {
        "allOf": [ref("schemas", "Resource")],
        "type": "object",
        "properties": {"resourceType": {"const": name}},
        "externalDocs": {"url": f"{FHIR_R4}/{name.lower()}.html"},
    }


def _any_resource(tables: FhirTables) -> Json:
    return {
        "type": "object",
        "description": "A FHIR R4 (4.0.1) resource.",
        "required": ["resourceType"],
        "properties": {
            "resourceType": {"type": "string"},
            "id": {"type": "string", "pattern": f"^{tables.formats['id']}$"},
            "meta": {
                "type": "object",
                "properties": {
                    "versionId": {"type": "string"},
                    "lastUpdated": {"type": "string", "format": "date-time"},
                    "source": {"type": "string"},
                    "tag": {"type": "array", "minItems": 1, "items": {"type": "object"}},
                },
            },
        },
        "externalDocs": {"url": f"{FHIR_R4}/resource.html"},
    }


def _kinds_of_bundle(offer: Offer) -> Json:
    """Bundles that only some rules make: of versions, and of requests and their answers."""
    actions = {action for served in offer.types for action in served.actions}
    words = "Versions of a resource, newest first, each as the caller may see it."
    found: Json = {"HistoryBundle": _bundle("history", words)} if "history" in actions else {}
    found |= {"RequestBundle": _requests()} if offer.types else {}
    return found | ({"ResponseBundle": _responses()} if offer.types or "Fhir" in offer.data_types else {})


_ASKED = ("`Type`", "`Type/id`", "`Type?search`", "`POST Type/_search?search`", "`Type/id/_history`")


def _requests() -> Json:
    text = {"type": "string"}
    request = {
        "type": "object",
        "required": ["method", "url"],
        "properties": {
            "method": {"enum": ["GET", "POST", "PUT", "PATCH", "DELETE"]},
            "url": text | {"description": f"{', '.join(_ASKED)} or `Type/id/_history/version`."},
            **dict.fromkeys(("ifMatch", "ifNoneMatch", "ifModifiedSince", "ifNoneExist"), text),
        },
    }
    entry = {
        "type": "object",
        "required": ["request"],
        "properties": {"fullUrl": text, "resource": ref("schemas", "Resource"), "request": request},
    }
    return {
        "type": "object",
        "description": "Several requests in one. References to another entry's fullUrl are kept. A PATCH has a Binary "
        "of contentType application/json-patch+json.",
        "required": ["resourceType", "type"],
        "properties": {
            "resourceType": {"const": "Bundle"},
            "type": {"enum": ["batch", "transaction"]},
            "entry": {"type": "array", "maxItems": 500, "items": entry},
        },
        "externalDocs": {"url": f"{FHIR_R4}/http.html#transaction"},
    }


def _responses() -> Json:
    text = {"type": "string"}
    response = {
        "type": "object",
        "required": ["status"],
        "properties": {
            **dict.fromkeys(("status", "location", "etag", "lastModified"), text),
            "outcome": ref("schemas", "OperationOutcome"),
        },
    }
    entry = {
        "type": "object",
        "required": ["response"],
        "properties": {"resource": ref("schemas", "Resource"), "response": response},
    }
    return {
        "type": "object",
        "description": "An answer for each request, in the same order.",
        "required": ["resourceType", "type"],
        "properties": {
            "resourceType": {"const": "Bundle"},
            "type": {"enum": ["batch-response", "transaction-response"]},
            "entry": {"type": "array", "minItems": 1, "items": entry},
        },
        "externalDocs": {"url": f"{FHIR_R4}/http.html#transaction-response"},
    }


def _bundle(kind: str, words: str) -> Json:
    return {
        "type": "object",
        "description": words,
        "required": ["resourceType", "type"],
        "properties": {
            "resourceType": {"const": "Bundle"},
            "type": {"const": kind},
            "total": {"type": "integer", "minimum": 0},
            "link": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["relation", "url"],
                    "properties": {"relation": {"type": "string"}, "url": {"type": "string", "format": "uri"}},
                },
            },
            "entry": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "fullUrl": {"type": "string", "format": "uri"},
                        "resource": ref("schemas", "Resource"),
                        "search": {"type": "object", "properties": {"mode": {"enum": ["match", "include", "outcome"]}}},
                    },
                },
            },
        },
        "externalDocs": {"url": f"{FHIR_R4}/bundle.html"},
    }


def _operation_outcome(tables: FhirTables) -> Json:
    return {
        "type": "object",
        "description": "What is wrong, or worth telling; `details.coding` names the rule that found it.",
        "required": ["resourceType", "issue"],
        "properties": {
            "resourceType": {"const": "OperationOutcome"},
            "id": {"type": "string"},
            "meta": {"type": "object", "properties": {"lastUpdated": {"type": "string", "format": "date-time"}}},
            "issue": {
                "type": "array",
                "minItems": 1,
                "items": {
                    "type": "object",
                    "required": ["severity", "code"],
                    "properties": {
                        "severity": {"enum": sorted(tables.codes[VALUE_SETS + "issue-severity"])},
                        "code": {"enum": sorted(tables.codes[VALUE_SETS + "issue-type"])},
                        "details": {
                            "type": "object",
                            "properties": {
                                "coding": {
                                    "type": "array",
                                    "items": {"type": "object", "properties": {"code": {"type": "string"}}},
                                }
                            },
                        },
                        "expression": {"type": "array", "items": {"type": "string"}},
                        "diagnostics": {"type": "string"},
                    },
                },
            },
        },
        "externalDocs": {"url": f"{FHIR_R4}/operationoutcome.html"},
    }


def _receipt() -> Json:
    text = {"type": "string"}
    return {
        "type": "object",
        "description": "The state of a submission, target by target.",
        "required": ["receipt", "state"],
        "properties": {
            "receipt": text,
            "received": text | {"format": "date-time"},
            "state": {"type": "string"},
            "domain": text,
            "organisation": text,
            "dataType": text,
            "type": text,
            "controlId": text,
            "answer": {
                "type": ["object", "null"],
                "description": "What was answered; null while the submission is in hand.",
                "properties": {"status": {"type": "integer"}, "mediaType": text, "body": text},
            },
            "phase": {"enum": ["judging", "delivering", "done"], "description": "Of a CSV file: what is done with it."},
            "rows": {
                "type": "object",
                "description": "Of a CSV file: rows read, stored and refused so far.",
                "properties": {name: {"type": "integer", "minimum": 0} for name in ("read", "stored", "refused")},
            },
            "issues": {
                "type": "array",
                "description": "Of a CSV file: what is wrong with its rows, by line and column.",
                "items": {
                    "type": "object",
                    "properties": {
                        "severity": text,
                        "code": text,
                        "place": {"type": ["string", "null"]},
                        "rule": {"type": ["string", "null"]},
                        "diagnostics": text,
                    },
                },
            },
            "moreIssues": {"type": "integer", "minimum": 0, "description": "Issues that are counted alone."},
            "targets": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["target", "state"],
                    "properties": {
                        "target": text,
                        "state": text,
                        "attempts": {"type": "integer", "minimum": 0},
                        "why": {"type": ["string", "null"]},
                        "nextAt": {
                            "type": ["string", "null"],
                            "format": "date-time",
                            "description": "When it is tried again; null where it waits behind an earlier one.",
                        },
                        "until": {
                            "type": ["string", "null"],
                            "format": "date-time",
                            "description": "Until when it is tried.",
                        },
                    },
                },
            },
        },
    }


def _token() -> Json:
    return {
        "type": "object",
        "required": ["access_token", "token_type", "expires_in"],
        "properties": {
            "access_token": {"type": "string"},
            "token_type": {"const": "Bearer"},
            "expires_in": {"type": "integer", "description": "Seconds."},
            "scope": {"type": "string"},
        },
        "externalDocs": {"description": "RFC 6749", "url": "https://www.rfc-editor.org/rfc/rfc6749#section-5.1"},
    }


def _oauth_error() -> Json:
    return {
        "type": "object",
        "required": ["error"],
        "properties": {"error": {"type": "string"}, "error_description": {"type": "string"}},
        "externalDocs": {"description": "RFC 6749", "url": "https://www.rfc-editor.org/rfc/rfc6749#section-5.2"},
    }


def _health() -> Json:
    return {
        "type": "object",
        "description": "Whether the gateway runs, or is ready, and the state of each of its parts.",
        "properties": {"status": {"type": "string"}},
    }
