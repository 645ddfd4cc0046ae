"""FHIR search text to a typed tree and back.

`tree` has the nodes, `offer` says what is taken, `values` reads values, `criteria` parameters, `results` what is wanted
of the answer, `beyond` what is more than parameters of one type, `parse` whole queries.
"""

from gateway.query.criteria import full_name, of_identifiers
from gateway.query.offer import FACADE, JUDGED, MODIFIERS_OFFERED, NEEDING_MORE, PARAMETERS_NOT_OFFERED, WHOLE, Offer
from gateway.query.parse import names, narrow, parse, render
from gateway.query.results import including
from gateway.query.tree import (
    Chain,
    Clause,
    Compared,
    CompositeValue,
    Criterion,
    DateValue,
    Filter,
    Include,
    Joined,
    MissingValue,
    Named,
    Negated,
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
    "FACADE",
    "JUDGED",
    "MODIFIERS_OFFERED",
    "NEEDING_MORE",
    "PARAMETERS_NOT_OFFERED",
    "WHOLE",
    "Chain",
    "Clause",
    "Compared",
    "CompositeValue",
    "Criterion",
    "DateValue",
    "Filter",
    "Include",
    "Joined",
    "MissingValue",
    "Named",
    "Negated",
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
    "including",
    "names",
    "narrow",
    "of_identifiers",
    "parse",
    "render",
    "unescape",
]
