"""What texts may be, by the rules of those who give them out: ODS codes, postcodes, SNOMED CT concepts."""

from __future__ import annotations

import re

_ODS = re.compile(r"[A-Za-z0-9]{3,12}", re.ASCII)


def ods_code(text: str) -> bool:
    """Whether a text has the form of an ODS code; letter case doesn't count.

    Source: NHS Data Dictionary, ORGANISATION CODE and ORGANISATION SITE CODE.
    """
    return _ODS.fullmatch(text) is not None


# area and district, then sector and unit; GIR 0AA is of none, and pseudo postcodes begin with ZZ99
_POSTCODE = re.compile(
    r"(?:GIR ?0AA|ZZ99 ?\d[A-Z]{2}"
    r"|[A-PR-UWYZ](?:\d{1,2}|\d[A-HJKPSTUW]|[A-HK-Y]\d{1,2}|[A-HK-Y]\d[ABEHMNPRVWXY]) ?\d[ABD-HJLNP-UW-Z]{2})",
    re.ASCII | re.IGNORECASE,
)


def uk_postcode(text: str) -> bool:
    """Whether a text has the form of a postcode of the United Kingdom, with one blank or none, or a pseudo postcode.

    Source: NHS Data Dictionary, POSTCODE and its pseudo postcodes; BS 7666.
    """
    return _POSTCODE.fullmatch(text) is not None


_SCTID = re.compile(r"[1-9][0-9]{5,17}", re.ASCII)
_CONCEPTS = ("00", "10")  # partition of concepts, of the core and of extensions


def snomed_concept(text: str) -> bool:
    """Whether a text has the form of a SNOMED CT concept identifier, its check digit right.

    Source: SNOMED CT Release File Specification, 6 (SCTID): partition identifier, Verhoeff's check digit.
    """
    return _SCTID.fullmatch(text) is not None and text[-3:-1] in _CONCEPTS and _verhoeff(text) == 0


_ROTATED = "1576283094"  # each digit's place after one turn of Verhoeff's permutation


def _product(a: int, b: int) -> int:
    """The product of two elements of the dihedral group of ten."""
    last = 5  # below it turns, from it on turns of the mirrored pentagon
    if a < last:
        return (a + b) % 5 if b < last else (a + b) % 5 + 5
    return (a - b) % 5 + 5 if b < last else (a - b) % 5


def _verhoeff(text: str) -> int:
    """The check sum of digits; 0 where the last one is right.

    Source: J. Verhoeff, Error Detecting Decimal Codes (1969).
    """
    total = 0
    for place, digit in enumerate(reversed(text)):
        turned = digit
        for _ in range(place % 8):
            turned = _ROTATED[int(turned)]
        total = _product(total, int(turned))
    return total
