"""Addresses of code systems that may mean the same system, though they differ in writing.

A rule names a system as FHIR R4 does; a sender may have written it as another standard, another release, or carelessly.
What may be meant is told here, so that a rule errs where it can't know, and a forbid then denies.
Source: https://hl7.org/fhir/R4/terminologies-systems.html; http://hl7.org/fhir/STU3/terminologies-systems.html
"""

from __future__ import annotations

import functools

_OID = "urn:oid:"
_STU3 = {
    "http://hl7.org/fhir/v3/": "http://terminology.hl7.org/codesystem/v3-",
    "http://hl7.org/fhir/v2/": "http://terminology.hl7.org/codesystem/v2-",
}


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
    old = next((prefix for prefix in _STU3 if plain.startswith(prefix)), None)
    return plain if old is None else _STU3[old] + plain.removeprefix(old)
