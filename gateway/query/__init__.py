"""FHIR search text to a typed tree and back.

`tree` has the nodes, `offer` says what is taken, `values` reads values, `criteria` parameters, `results` what is wanted
of the answer, `parse` whole queries.
"""

from gateway.query.criteria import full_name
from gateway.query.offer import JUDGED, MODIFIERS_OFFERED, NEEDING_MORE, PARAMETERS_NOT_OFFERED, WHOLE, Offer
from gateway.query.parse import names, narrow, parse, render
from gateway.query.tree import (
    Chain,
    Clause,
    CompositeValue,
    Criterion,
    DateValue,
    Include,
    MissingValue,
    NumberValue,
    OfTypeValue,
    QuantityValue,
    Query,
    ReferenceValue,
    Reverse,
    Sort,
    StringValue,
    TokenValue,
    UriValue,
    Value,
)
from gateway.query.values import escape, unescape

__all__ = [
    "JUDGED",
    "MODIFIERS_OFFERED",
    "NEEDING_MORE",
    "PARAMETERS_NOT_OFFERED",
    "WHOLE",
    "Chain",
    "Clause",
    "CompositeValue",
    "Criterion",
    "DateValue",
    "Include",
    "MissingValue",
    "NumberValue",
    "OfTypeValue",
    "Offer",
    "QuantityValue",
    "Query",
    "ReferenceValue",
    "Reverse",
    "Sort",
    "StringValue",
    "TokenValue",
    "UriValue",
    "Value",
    "escape",
    "full_name",
    "names",
    "narrow",
    "parse",
    "render",
    "unescape",
]
