"""The CapabilityStatement, generated from the same offer as the OpenAPI document.

Source: https://hl7.org/fhir/R4/capabilitystatement.html; http://hl7.org/fhir/R4/valueset-restful-security-service.html
"""

from __future__ import annotations

from typing import Any

from gateway.documents.components import FHIR_JSON, TOKEN_PATH
from gateway.documents.offer import SEARCHING, VALIDATE, Offer, Published, ServedType
from gateway.documents.offering import offered
from gateway.documents.operation_paths import DEFINITIONS, SYSTEM_EXPORT, exported
from gateway.documents.write_paths import JSON_PATCH
from gateway.rules import RuleSet
from gateway.specs import FhirTables, SearchParameter

Json = dict[str, Any]

FHIR_VERSION = "4.0.1"
SECURITY_SERVICES = "http://terminology.hl7.org/CodeSystem/restful-security-service"
OAUTH_URIS = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris"

INTERACTIONS = {
    "read": "read",
    "vread": "history",
    "update": "update",
    "patch": "patch",
    "delete": "delete",
    "history-instance": "history",
    "create": "create",
    "search-type": "search",
}
"""FHIR's interaction codes, in FHIR's order, with the actions of rules that they are judged by.

Source: http://hl7.org/fhir/R4/valueset-type-restful-interaction.html
"""


def capability_statement(rules: RuleSet, published: Published, tables: FhirTables, *, date: str) -> Json:
    """CapabilityStatement of a rule set.

    Shape: `date` is a FHIR dateTime: when these rules were loaded.
    """
    return statement(offered(rules, tables), published, date=date)


def statement(offer: Offer, published: Published, *, date: str) -> Json:
    """CapabilityStatement of an offer; what `capability_statement` does once the rules are read."""
    rest: Json = {
        "mode": "server",
        "documentation": "Every request is decided by rules; what no rule permits is refused. Submissions go to "
        f"{published.public_url}/$ingest, which the OpenAPI document at {published.public_url}/openapi.json "
        "describes.",
        "security": _security(published),
    }
    if offer.types:
        rest["resource"] = [_resource(served, published) for served in offer.types]
        rest["interaction"] = [{"code": code} for code in ("transaction", "batch")]
    if exported(offer):
        rest["operation"] = [dict(zip(("name", "definition"), SYSTEM_EXPORT, strict=True))]
    return {
        "resourceType": "CapabilityStatement",
        "url": f"{published.public_url}/metadata",
        "version": published.version,
        "name": "HealthcareExchangeGateway",
        "title": "Healthcare exchange gateway",
        "status": "active",
        "date": date,
        "kind": "instance",
        "software": {"name": "healthcare-exchange-gateway", "version": published.version},
        "implementation": {"description": "Healthcare exchange gateway", "url": published.public_url},
        "fhirVersion": FHIR_VERSION,
        "format": [FHIR_JSON, "json"],
        **_patching(offer),
        "rest": [rest],
    }


def _patching(offer: Offer) -> Json:
    """Forms of a patch, where some type may be patched."""
    return {"patchFormat": [JSON_PATCH]} if any("patch" in served.actions for served in offer.types) else {}


def _security(published: Published) -> Json:
    """How to get in: client credentials at the token endpoint, named as SMART names it."""
    token = {"url": "token", "valueUri": published.public_url + TOKEN_PATH}
    return {
        "extension": [{"url": OAUTH_URIS, "extension": [token]}],
        "cors": False,
        "service": [{"coding": [{"system": SECURITY_SERVICES, "code": "OAuth"}], "text": "OAuth 2.0"}],
        "description": "OAuth 2.0 client credentials with private_key_jwt (RFC 7523)"
        + (" or client_secret_basic." if published.client_secrets else "."),
    }


def _resource(served: ServedType, published: Published) -> Json:
    # who may only count does so by a search
    actions = served.actions | ({"search"} if SEARCHING & served.actions else set())
    entry: Json = {
        "type": served.name,
        "documentation": "\n".join(f"- {view.id} {view.title}" for view in served.views),
        "interaction": [{"code": code} for code, action in INTERACTIONS.items() if action in actions],
        **_writing(served, published),
    }
    if SEARCHING & actions and served.parameters:
        entry["searchParam"] = [_search_parameter(parameter) for parameter in served.parameters]
    for name, values in (("searchInclude", served.includes), ("searchRevInclude", served.revincludes)):
        if values:
            entry[name] = list(values)
    operations = [
        {"name": name, "definition": definition}
        for action, (name, definition) in DEFINITIONS.items()
        if action in actions and (served.name == "Patient" or action == VALIDATE)
    ]
    return {**entry, **({"operation": operations} if operations else {})}


def _writing(served: ServedType, published: Published) -> Json:
    """What is said of versions and conditions, where something of it can be asked for."""
    searched = bool(SEARCHING & served.actions)
    told: Json = {"versioning": "versioned-update" if published.versioned_updates else "versioned"}
    if "read" in served.actions:
        told["conditionalRead"] = "full-support"
    if "update" in served.actions:
        told |= {"updateCreate": "create" in served.actions, "conditionalUpdate": searched}
    if "create" in served.actions:
        told["conditionalCreate"] = searched
    if "delete" in served.actions:
        told["conditionalDelete"] = "single" if searched else "not-supported"
    return told


def _search_parameter(parameter: SearchParameter) -> Json:
    return {"name": parameter.code, "definition": parameter.url, "type": parameter.type}
