"""HL7 v2: bytes to `Message` and back, the standard's dictionaries, acknowledgements."""

from gateway.hl7v2.acknowledgement import Acknowledged, acknowledge, read_acknowledgement, read_acknowledgements
from gateway.hl7v2.batch import is_batch
from gateway.hl7v2.delimiters import NULL, STANDARD, Delimiters, escape, unescape
from gateway.hl7v2.dictionary import Dictionary, FieldDefinition, label_fits
from gateway.hl7v2.message import Element, Message, Segment
from gateway.hl7v2.reader import read
from gateway.hl7v2.structure import Group, SegmentUse
from gateway.hl7v2.wrapped import looks_like_message

__all__ = [
    "NULL",
    "STANDARD",
    "Acknowledged",
    "Delimiters",
    "Dictionary",
    "Element",
    "FieldDefinition",
    "Group",
    "Message",
    "Segment",
    "SegmentUse",
    "acknowledge",
    "escape",
    "is_batch",
    "label_fits",
    "looks_like_message",
    "read",
    "read_acknowledgement",
    "read_acknowledgements",
    "unescape",
]
