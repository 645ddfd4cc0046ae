"""FHIR search text to a typed tree and back; `tree` has the nodes, `values` reads values, `parse` whole queries."""

from gateway.query.parse import MODIFIERS_OFFERED, PARAMETERS_NOT_OFFERED, names, narrow, parse, render
from gateway.query.tree import (
    Clause,
    DateValue,
    MissingValue,
    NumberValue,
    QuantityValue,
    Query,
    ReferenceValue,
    Sort,
    StringValue,
    TokenValue,
    UriValue,
    Value,
)
from gateway.query.values import escape, unescape

__all__ = [
    "MODIFIERS_OFFERED",
    "PARAMETERS_NOT_OFFERED",
    "Clause",
    "DateValue",
    "MissingValue",
    "NumberValue",
    "QuantityValue",
    "Query",
    "ReferenceValue",
    "Sort",
    "StringValue",
    "TokenValue",
    "UriValue",
    "Value",
    "escape",
    "names",
    "narrow",
    "parse",
    "render",
    "unescape",
]
