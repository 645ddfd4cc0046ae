"""Which codes a place may hold: tables that HL7 defines, and those that sites fill themselves.

HL7 says which is which by the data type: an ID takes its code from a table that HL7 defines, an IS from one that sites
define; of a CNE nothing else may be sent than what its table has, of CE and CWE a site may add (`datatypes.csv`).
Source: HL7 v2.5.1, chapter 2.5.3.6.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.hl7v2.conformance.beside import BY_HL7, BY_SITE, Beside
from gateway.hl7v2.conformance.kinds import USER_TABLE
from gateway.hl7v2.definitions import Dictionary, FieldDefinition

_MORE = frozenset({"...", "\u2026"})
"""What stands among the codes of some tables to say that there are more."""


@dataclass(frozen=True, slots=True)
class Table:
    """The codes that a place may hold.

    Shape: `kind` is what a code beside them is: `table` or `user-table`; `listed` are the codes in order.
    """

    kind: str
    number: str
    name: str
    codes: frozenset[str]
    listed: tuple[str, ...]


class Tables:
    """The tables of one version.

    Where the version has no codes of a table, as 2.1 to 2.3 have of none, a code counts as known if any version knows
    it; whether HL7 defines a table is then asked of the first version that has tables.
    """

    __slots__ = ("_all", "_beside", "_defined", "_made", "_own")

    def __init__(self, own: Dictionary, every: Mapping[str, Dictionary], beside: Beside) -> None:
        """Look at which tables HL7 defines."""
        self._own = own
        self._all = every
        self._beside = beside
        first = own if len(own.tables) else next((one for one in every.values() if len(one.tables)), own)
        self._defined = _defined(first, beside.codes)
        self._made: dict[tuple[str, str], Table | None] = {}

    def of(self, definition: FieldDefinition) -> Table | None:
        """The table that a primitive place takes its codes from; None where any code may be sent."""
        return self._by(definition, self._beside.codes)

    def coded(self, definition: FieldDefinition) -> Table | None:
        """The table of the first component of a coded place, such as a CWE."""
        return self._by(definition, self._beside.coded)

    def _by(self, definition: FieldDefinition, defined_by: Mapping[str, str]) -> Table | None:
        if definition.table is None or definition.datatype not in defined_by:
            return None
        hl7 = defined_by[definition.datatype] == BY_HL7 and definition.table in self._defined
        return self._table(definition.table, "table" if hl7 else USER_TABLE)

    def _table(self, number: str, kind: str) -> Table | None:
        if (number, kind) not in self._made:
            self._made[number, kind] = None if number in self._beside.open_tables else self._make(number, kind)
        return self._made[number, kind]

    def _make(self, number: str, kind: str) -> Table | None:
        own = self._own.tables.get(number)
        codes = own.codes if own is not None else frozenset()
        if number in self._beside.typed_tables:
            codes |= frozenset(self._own.datatypes)
        name = own.name if own is not None else ""
        if not codes:
            others = [one.tables[number] for one in self._all.values() if number in one.tables]
            codes = frozenset(code for other in others for code in other.codes)
            name = name or next((other.name for other in others), "")
        own_codes = codes - _MORE
        return Table(kind, number, name, own_codes, tuple(sorted(own_codes))) if codes else None


def _defined(dictionary: Dictionary, codes: Mapping[str, str]) -> frozenset[str]:
    """Tables that data types of HL7's codes (ID) take them from, and none of sites' codes (IS)."""
    places = [place for segment in dictionary.segments.values() for place in segment.fields.values()]
    places += [part for datatype in dictionary.datatypes.values() for part in datatype.components.values()]
    used: dict[str, set[str]] = {BY_HL7: set(), BY_SITE: set()}
    for place in places:
        if place.table is not None and place.datatype in codes:
            used[codes[place.datatype]].add(place.table)
    return frozenset(used[BY_HL7] - used[BY_SITE])
