"""What of the standard's search is offered: less where rules judge each search, all of it where they don't.

Source: https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

from dataclasses import dataclass

MODIFIERS_OFFERED = frozenset({"missing", "exact", "contains", "text", "not", "[type]"})
"""Modifiers that rules judge; the others are refused by name."""

PARAMETERS_NOT_OFFERED = frozenset({"_filter", "_list", "_query", "_type", "_containedType", "_score"})
"""Standard parameters that are no entry of the search parameter table and that nothing here takes."""

NEEDING_MORE = {
    ("token", "above"): "it takes a terminology service",
    ("token", "below"): "it takes a terminology service",
    ("token", "in"): "it takes a terminology service",
    ("token", "not-in"): "it takes a terminology service",
    ("reference", "above"): "it takes a hierarchy of resources",
    ("reference", "below"): "it takes a hierarchy of resources",
}
"""By type and modifier, why what is standard is never offered."""

HOPS = 5
"""Most references that one parameter may follow."""
PATHS = 50
"""Most criteria that one chained parameter may mean: where no types are named, each hop multiplies them."""
CRITERIA = 100
"""Most search parameters of one search."""
VALUES = 1000
"""Most values of one search, those of all parameters together."""
LONGEST = 64 * 1024
"""Longest text of one parameter. Units: characters."""
INCLUDES = 50
"""Most includes of one search."""


@dataclass(frozen=True, slots=True)
class Offer:
    """Which parts of a search are taken.

    Shape: `modifiers` by name, `[type]` for a target type's; `links` are chains and `_has`; `beyond` says that what
    nothing here carries out is read all the same, so that it can be refused by what it asks for.
    """

    modifiers: frozenset[str]
    composites: bool
    links: bool
    includes: bool
    beyond: bool = False


JUDGED = Offer(MODIFIERS_OFFERED, composites=False, links=False, includes=False)
"""What one decision of the rules can judge: criteria on the resource itself."""
FACADE = Offer(
    MODIFIERS_OFFERED | {"of-type", "above", "below"}, composites=True, links=True, includes=True, beyond=True
)
"""All of the standard's search that partners' queries are read for, each node to be decided by itself.

The modifier `:identifier` is not of it: it searches what a reference tells of its target, whoever may read that. A
chain does the same as the caller: `subject:Patient.identifier`.
"""
WHOLE = Offer(
    MODIFIERS_OFFERED | {"of-type", "identifier", "above", "below"}, composites=True, links=True, includes=True
)
"""All that the embedded store can do."""
