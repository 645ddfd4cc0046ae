"""Addresses of code systems that may mean the same system, though they differ in writing.

A rule names a system as FHIR R4 does; a sender may have written it as another standard, another release, or carelessly.
What may be meant is told here, so that a rule errs where it can't know, and a forbid then denies.
Source: https://hl7.org/fhir/R4/terminologies-systems.html; http://hl7.org/fhir/STU3/terminologies-systems.html
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

from gateway import specs

MOVED = "systems-moved.csv"
"""File of `specs/fhir/`."""
_OID = "urn:oid:"


def may_be(found: str | None, system: str) -> bool:
    """Whether a coding's system may be meant as another.

    Shape: it is left out; one of the two is an OID, which names any system; or both are alike but for letter case,
    scheme, a slash at the end, a version behind a bar, and where HL7 kept its own in STU3.
    """
    if found is None or found.startswith(_OID) is not system.startswith(_OID):
        return True
    return same(found, system)


def same(one: str, other: str) -> bool:
    """Whether two addresses are alike but for what `may_be` leaves out of account."""
    return _plain(one) == _plain(other)


@functools.lru_cache(maxsize=512)
def _plain(system: str) -> str:
    plain = system.partition("|")[0].strip().rstrip("/").casefold()
    if plain.startswith("https://"):
        plain = f"http://{plain.removeprefix('https://')}"
    before = next((one for one in _moved() if plain.startswith(one)), None)
    return plain if before is None else _moved()[before] + plain.removeprefix(before)


@functools.cache
def _moved() -> Mapping[str, str]:
    """How addresses began before, and begin now, both in small letters."""
    rows = specs.table(specs.ROOT / "fhir" / MOVED)
    return {row.values["before"].casefold(): row.values["now"].casefold() for row in rows}
