"""HL7 v2 messages by the standard: structure, fields, data types, lengths, tables, compiled from the dictionaries.

A sound message costs a pattern a segment and a look-up a segment; only what does not fit is looked at part by part.
"""

from gateway.hl7v2.conformance.judge import MOST, Conformance, Judged, load
from gateway.hl7v2.conformance.kinds import KINDS, USER_TABLE, Kind, Nonconformity, severity_of
from gateway.hl7v2.conformance.words import more

__all__ = [
    "KINDS",
    "MOST",
    "USER_TABLE",
    "Conformance",
    "Judged",
    "Kind",
    "Nonconformity",
    "load",
    "more",
    "severity_of",
]
