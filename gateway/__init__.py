"""A declarative FHIR facade: HL7 v2 in, FHIR R4 out, decided by rules that a governance board can read."""
