"""FHIR R4: the element table, JSON, validation, identity, merge, OperationOutcome and Bundles.

The names that other parts use are here; `gateway.fhir.build` writes the tables, `gateway.fhir.fhirpath` has paths.
"""

from gateway.fhir.bundle import batch, entry_delete, entry_get, entry_put, searchset, transaction
from gateway.fhir.carried import carried, emptied, with_carried
from gateway.fhir.cleaning import clean
from gateway.fhir.displays import Telling, telling, untelling
from gateway.fhir.elements import Elements, Member
from gateway.fhir.entries import REQUESTED, Entry, Taken, placed, taken
from gateway.fhir.identified import Identified, identified
from gateway.fhir.identifying import Naming
from gateway.fhir.identity import (
    derived_id,
    nhs_number_digits,
    organization_id,
    patient_id,
    valid_nhs_number,
)
from gateway.fhir.json_patch import PatchError, patched, read_patch
from gateway.fhir.jsonformat import JsonError, Resource, canonical, dump, load, load_value, pretty
from gateway.fhir.marks import Marks, contributed, contributors, told_at
from gateway.fhir.merge import Draft, Merged, Merging, drafts_from_json, drafts_to_json
from gateway.fhir.outcome import operation_outcome
from gateway.fhir.profiles import departures
from gateway.fhir.redact import SUBSETTED, held, redact, subsetted
from gateway.fhir.standards import Standard, standard_names, standards
from gateway.fhir.subset import elements_of, summary
from gateway.fhir.validate import MOST_FINDINGS, validate
from gateway.fhir.written import is_subset, marked, with_references

__all__ = [
    "MOST_FINDINGS",
    "REQUESTED",
    "SUBSETTED",
    "Draft",
    "Elements",
    "Entry",
    "Identified",
    "JsonError",
    "Marks",
    "Member",
    "Merged",
    "Merging",
    "Naming",
    "PatchError",
    "Resource",
    "Standard",
    "Taken",
    "Telling",
    "batch",
    "canonical",
    "carried",
    "clean",
    "contributed",
    "contributors",
    "departures",
    "derived_id",
    "drafts_from_json",
    "drafts_to_json",
    "dump",
    "elements_of",
    "emptied",
    "entry_delete",
    "entry_get",
    "entry_put",
    "held",
    "identified",
    "is_subset",
    "load",
    "load_value",
    "marked",
    "nhs_number_digits",
    "operation_outcome",
    "organization_id",
    "patched",
    "patient_id",
    "placed",
    "pretty",
    "read_patch",
    "redact",
    "searchset",
    "standard_names",
    "standards",
    "subsetted",
    "summary",
    "taken",
    "telling",
    "told_at",
    "transaction",
    "untelling",
    "valid_nhs_number",
    "validate",
    "with_carried",
    "with_references",
]
