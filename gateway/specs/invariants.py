"""R4's invariants in FHIRPath, and those that are not judged: `invariants.csv`, `invariants-not-judged.csv`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gateway.specs.rows import Origin, SpecsError, by_name, table


@dataclass(frozen=True, slots=True)
class Invariant:
    """What holds of an element, beyond its own definition.

    Shape: `element` is the path that it is first stated of, `severity` `error` or `warning`, `fhirpath` the expression,
    whose `$this` is the element; `reason` says why it is not judged, and is empty where it is.
    Source: https://hl7.org/fhir/R4/conformance-rules.html#constraints
    """

    key: str
    element: str
    severity: str
    fhirpath: str
    reason: str
    origin: Origin


def read_invariants(folder: Path) -> Mapping[tuple[str, str], Invariant]:
    """Invariants by key and element; by key and empty text too, where the key is one's alone.

    Errors: SpecsError.
    """
    reasons = by_name(folder / "invariants-not-judged.csv", "key")
    found: dict[tuple[str, str], Invariant] = {}
    shared: set[str] = set()
    for row in table(folder / "invariants.csv"):
        cell = row.values
        key, element = cell["key"], cell["element"]
        if cell["severity"] not in {"error", "warning"}:
            raise SpecsError(row.origin, f"`{cell['severity']}` is no severity: write error or warning")
        reason = reasons[key].values["reason"] if key in reasons else ""
        one = Invariant(key, element, cell["severity"], cell["fhirpath"], reason, row.origin)
        if (key, "") in found:
            shared.add(key)
        found[key, element] = found[key, ""] = one
    for key, row in reasons.items():
        if (key, "") not in found:
            raise SpecsError(row.origin, f"`{key}` is no invariant of R4: invariants.csv lists them")
    return {at: one for at, one in found.items() if at[1] or at[0] not in shared}
