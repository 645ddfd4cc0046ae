"""Compact JWS, read strictly before any key is looked for.

Client assertions and access tokens both come through here, so what no signed text may carry is refused in one place:
a second member of one name, a key or the address of one, extensions, detached or unencoded payloads. The signature
itself is joserfc's affair.
Source: RFC 7515 sections 4, 5.2 and 7.1; RFC 8725 (best current practice) sections 3.1, 3.2, 3.9 and 3.10.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from joserfc import jws, util
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, RSAKey

TEXT_LIMIT: Final = 16 * 1024
HEADER_LIMIT: Final = 4 * 1024
KEY_ID_LIMIT: Final = 256
CLOCK_SKEW: Final = 30
PARTS: Final = 3

# A header that brings its own key, or says where to fetch one, would let the sender choose who is believed.
# `b64` and `crit` change what is signed, or ask for extensions, of which this gateway has none.
FORBIDDEN_HEADERS: Final = {
    "jwk": "brings a key of its own",
    "jku": "names an address to fetch keys from",
    "x5u": "names an address to fetch a certificate from",
    "x5c": "brings a certificate of its own",
    "crit": "asks for an extension",
    "b64": "changes how the payload is signed",
    "zip": "asks for compression",
    "enc": "asks for decryption",
}


class BadJws(Exception):  # noqa: N818 - the name says what it is about: the text, not the program
    """A text that is not an acceptable compact JWS; its words hold nothing of the text."""


@dataclass(frozen=True, slots=True)
class Jws:
    """A compact JWS whose shape is sound and whose signature is not yet checked.

    Shape: `header` and `claims` are JSON objects without doubled members; `text` is the whole token.
    """

    text: str
    header: Mapping[str, Any]
    claims: Mapping[str, Any]
    algorithm: str
    key_id: str


class _Registry(jws.JWSRegistry):
    # joserfc stops at 512 bytes of header, which certificate thumbprints of ordinary senders can pass.
    max_header_length = HEADER_LIMIT
    max_payload_length = TEXT_LIMIT


def read(text: str, *, algorithms: Collection[str], types: Collection[str | None]) -> Jws:
    """Read a compact JWS.

    Shape: `types` are the accepted values of `typ` in lower case; None among them lets it be absent.
    Errors: BadJws with words for people, which never quote the token.
    Source: RFC 7515 section 5.2, RFC 8725 section 3.11 (explicit typing).
    """
    parts = text.split(".")
    if len(text) > TEXT_LIMIT or not text.isascii() or len(parts) != PARTS or not all(parts):
        raise BadJws("it is not a signed token of three parts")
    if len(parts[0]) > HEADER_LIMIT:
        raise BadJws("its header is too large")
    header, claims = _json_object(parts[0], "header"), _json_object(parts[1], "payload")
    for name, why in FORBIDDEN_HEADERS.items():
        if name in header:
            raise BadJws(f"its header member {name} {why}, which is not accepted")
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in algorithms:
        raise BadJws(f"its algorithm is not one of {', '.join(sorted(algorithms))}")
    judge_type(header, types)
    key_id = header.get("kid")
    if not isinstance(key_id, str) or not 0 < len(key_id) <= KEY_ID_LIMIT:
        raise BadJws("its header does not name a key (kid)")
    return Jws(text, header, claims, algorithm, key_id)


def judge_type(header: Mapping[str, Any], types: Collection[str | None]) -> None:
    """Whether the type of a text is one of these.

    Shape: `types` as `read` takes them.
    Errors: BadJws.
    """
    kind = header.get("typ")
    fits = kind.lower() in types if isinstance(kind, str) else "typ" not in header and None in types
    if not fits:
        raise BadJws("its type (typ) is another")


def holds(signed: Jws, key: Key) -> bool:
    """Whether the signature holds under a key.

    Shape: a key of another type, curve or declared use never holds.
    Source: RFC 7515 section 5.2.
    """
    registry = _Registry(algorithms=[signed.algorithm], strict_check_header=False)
    try:
        jws.deserialize_compact(signed.text, key, registry=registry)
    except (JoseError, ValueError):
        return False
    return True


def sign(key: ECKey | RSAKey, header: Mapping[str, Any], claims: Mapping[str, Any]) -> str:
    """Sign claims with the algorithm that the header names.

    Errors: joserfc's JoseError for a key that doesn't fit the algorithm.
    Source: RFC 7515 section 5.1.
    """
    payload = json.dumps(claims, separators=(",", ":")).encode()
    registry = _Registry(algorithms=[header["alg"]])
    return jws.serialize_compact(dict(header), payload, key, registry=registry)


def instant(claims: Mapping[str, Any], name: str) -> float | None:
    """A NumericDate claim.

    Units: seconds since 1970 UTC; None where the claim is absent.
    Errors: BadJws for what is not a finite number, or far outside of any calendar.
    Source: RFC 7519 section 2.
    """
    value = claims.get(name)
    if value is None and name not in claims:
        return None
    # Bounded so that arithmetic with it can't overflow; 10**11 s is past the year 5000.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 10**11:
        raise BadJws(f"its claim {name} is not a time")
    return value


def text_claim(claims: Mapping[str, Any], name: str, limit: int) -> str | None:
    """A text claim.

    Units: `limit` in characters; None where the claim is absent.
    Errors: BadJws for what is not text, is empty, too long, or has control characters.
    """
    if name not in claims:
        return None
    value = claims[name]
    if not isinstance(value, str) or not 0 < len(value) <= limit or not value.isprintable():
        raise BadJws(f"its claim {name} is not a short text")
    return value


def json_object(raw: bytes) -> dict[str, Any]:
    """Strict JSON: an object, each member once, numbers finite, text that can be written as UTF-8.

    Errors: ValueError, whose words hold nothing of the text.
    Source: RFC 8259; RFC 7515 section 4 (duplicate header members) and RFC 7519 section 4 (duplicate claims).
    """
    try:
        value = json.loads(
            raw.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_constant, parse_float=_finite
        )
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # a lone surrogate can't be stored later
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except UnicodeError:
        raise ValueError("it is not UTF-8") from None
    except json.JSONDecodeError:
        raise ValueError("it is not JSON") from None
    if not isinstance(value, dict):
        raise ValueError("it is not a JSON object")  # noqa: TRY004 - the content is at fault, not a type in this program
    return value


def _json_object(part: str, which: str) -> dict[str, Any]:
    try:
        return json_object(util.urlsafe_b64decode(part.encode("ascii")))
    except ValueError:
        raise BadJws(f"its {which} is not base64url of a plain JSON object") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member stands twice")
    return members


def _no_constant(_: str) -> Any:
    raise ValueError("a number is not finite")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is not finite")
    return number
