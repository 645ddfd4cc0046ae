"""Ids that the same fact always gets, whoever tells it and however often.

Source: the gateway's design (conversion, identity); RFC 9562 for UUIDs; the NHS Data Dictionary for NHS numbers
(https://www.datadictionary.nhs.uk/attributes/nhs_number.html) and organisation codes.
"""

from __future__ import annotations

import functools
import hashlib
import re
import uuid
from collections.abc import Iterable

from nhs_number.validate import is_valid

NAMESPACE = uuid.UUID("e321a27b-5367-4901-9624-8b2d642427b2")
"""The gateway's own namespace of version 5 UUIDs. Never to be changed: every derived id hangs on it."""

_VARIANTS = "89ab"
"""The digit that says that a UUID is RFC 9562's, by its two bits that are free."""

_WRITTEN = re.compile(r"[0-9]{10}|[0-9]{3}([ -])[0-9]{3}\1[0-9]{4}")
# the check digit costs 20 microseconds, and one patient's messages come one after the other
_passes_check = functools.lru_cache(maxsize=1024)(is_valid)
_ODS_CODE = re.compile(r"[A-Z0-9]{3,12}")


def nhs_number_digits(text: str) -> str | None:
    """The ten digits of a valid NHS number, or None.

    Shape: ten digits, or three, three and four with one blank or hyphen between; ten equal digits pass the check sum
    and are refused all the same.
    """
    if _WRITTEN.fullmatch(text) is None:
        return None
    digits = text.replace(" ", "").replace("-", "")
    return digits if len(set(digits)) > 1 and _passes_check(digits) else None


def valid_nhs_number(text: str) -> bool:
    """Whether this is a valid NHS number."""
    return nhs_number_digits(text) is not None


def patient_id(nhs_numbers: Iterable[str]) -> str | None:
    """Id of a Patient with these NHS numbers: the one valid number, or None where there is none or several."""
    valid = {digits for text in nhs_numbers if (digits := nhs_number_digits(text)) is not None}
    return valid.pop() if len(valid) == 1 else None


def organization_id(ods_code: str) -> str | None:
    """Id of an Organization with this ODS code: the code in upper case, or None where it isn't one."""
    code = ods_code.strip().upper()
    return code if _ODS_CODE.fullmatch(code) is not None else None


def derived_id(resource_type: str, authority: str, value: str) -> str:
    """Id of a resource that has a business identifier.

    Shape: a version 5 UUID in lower case; `authority` is who assigned the identifier, else the sending organisation.
    """
    # the lengths keep ("a", "bc") and ("ab", "c") apart
    name = f"{resource_type}/{len(authority)}:{authority}/{len(value)}:{value}"
    # what uuid.uuid5 reckons, in a third of its time
    digest = hashlib.sha1(NAMESPACE.bytes + name.encode(), usedforsecurity=False).hexdigest()
    variant = _VARIANTS[int(digest[16], 16) & 3]
    return f"{digest[:8]}-{digest[8:12]}-5{digest[13:16]}-{variant}{digest[17:20]}-{digest[20:32]}"
