"""FHIR R4: the element table, JSON, validation, identity, merge, OperationOutcome and Bundles.

The names that other parts use are here; `gateway.fhir.build` writes the tables, `gateway.fhir.fhirpath` has paths.
"""

from gateway.fhir.bundle import batch, entry_get, entry_put, searchset, transaction
from gateway.fhir.elements import Elements, Member
from gateway.fhir.identity import (
    derived_id,
    nhs_number_digits,
    organization_id,
    patient_id,
    valid_nhs_number,
)
from gateway.fhir.jsonformat import JsonError, Resource, canonical, dump, load
from gateway.fhir.marks import DEFAULT_BASE, Marks, contributed, contributors, told_at
from gateway.fhir.merge import SHARED, Draft, Merged, drafts_from_json, drafts_to_json, merge
from gateway.fhir.outcome import clean, operation_outcome
from gateway.fhir.redact import redact
from gateway.fhir.validate import validate

__all__ = [
    "DEFAULT_BASE",
    "SHARED",
    "Draft",
    "Elements",
    "JsonError",
    "Marks",
    "Member",
    "Merged",
    "Resource",
    "batch",
    "canonical",
    "clean",
    "contributed",
    "contributors",
    "derived_id",
    "drafts_from_json",
    "drafts_to_json",
    "dump",
    "entry_get",
    "entry_put",
    "load",
    "merge",
    "nhs_number_digits",
    "operation_outcome",
    "organization_id",
    "patient_id",
    "redact",
    "searchset",
    "told_at",
    "transaction",
    "valid_nhs_number",
    "validate",
]
