"""The public keys that a client offers at enrolment, judged before they are kept.

Source: RFC 7517 (JWK), RFC 7518 section 6; SMART Backend Services, "Registering a SMART Backend Service" (RS384,
ES384; every key has a `kid`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from joserfc import util
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey, thumbprint

from gateway.identity import jose
from gateway.stated import Stated

RSA_BITS: Final = 2048
RSA_BITS_LIMIT: Final = 8192
RSA_EXPONENT: Final = 65537
CURVE: Final = "P-384"
KEY_LIMIT: Final = 20
TYPES: Final = {"RSA": frozenset({"RS384", "RS512"}), "EC": frozenset({"ES384"})}
ALGORITHMS: Final = frozenset({"RS384", "RS512", "ES384"})
PUBLIC: Final = {"RSA": ("kty", "n", "e"), "EC": ("kty", "crv", "x", "y")}
PRIVATE: Final = ("d", "p", "q", "dp", "dq", "qi", "oth", "k")


class BadKeys(Stated):
    """A key set that can't be enrolled; its words name the key and what to do."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """One enrolled key.

    Shape: `algorithms` are those that it may be used with; `jwk` is its public part alone, as it is stored.
    """

    kid: str
    algorithms: frozenset[str]
    key: ECKey | RSAKey
    jwk: Mapping[str, str]


def read_keys(raw: bytes) -> tuple[PublicKey, ...]:
    """Keys of a JWKS file.

    Errors: BadKeys with words for the person who enrols.
    """
    if b"-----BEGIN" in raw:
        raise BadKeys("this is a PEM file; give the public keys as a JWKS (JSON with a list `keys`), or it as --key-of")
    try:
        offered = jose.json_object(raw)
    except ValueError as error:
        raise BadKeys(f"the key set can't be read: {error}; give a JWKS (JSON with a list `keys`)") from None
    return public_keys(offered)


def key_set_of(raw: bytes) -> dict[str, Any]:
    """A JWKS of the key in a PEM file: a certificate's, or a public key; its kid is its thumbprint.

    Errors: BadKeys; what is too weak is refused by `public_keys`.
    Source: RFC 7638.
    """
    try:
        begun = raw[raw.index(b"-----BEGIN ") :]
        found = (
            x509.load_pem_x509_certificate(begun).public_key()
            if begun.startswith(b"-----BEGIN CERTIFICATE-----")
            else load_pem_public_key(begun)
        )
    except (ValueError, UnsupportedAlgorithm):
        raise BadKeys("this is neither a certificate nor a public key in PEM; never give a private key") from None
    if isinstance(found, RSAPublicKey):
        kind, jwk = "RSA", RSAKey.import_key(found).as_dict(private=False)
    elif isinstance(found, EllipticCurvePublicKey):
        kind, jwk = "EC", ECKey.import_key(found).as_dict(private=False)
    else:
        raise BadKeys("this key can't be used; RSA (RS384, RS512) and EC P-384 (ES384) can")
    public = {name: jwk[name] for name in PUBLIC[kind]}
    return {"keys": [{**public, "kid": thumbprint(public)}]}


def public_keys(offered: Mapping[str, Any]) -> tuple[PublicKey, ...]:
    """Keys of a JWKS, each judged.

    Errors: BadKeys for private parts, weak RSA, another curve, a missing or doubled kid, or more than 20 keys.
    """
    keys = offered.get("keys")
    if "kty" in offered and keys is None:
        raise BadKeys("this is a single key; put it into a set: an object with `keys`, a list of keys")
    if not isinstance(keys, list) or not keys:
        raise BadKeys("the key set has no list `keys` with at least one key")
    if len(keys) > KEY_LIMIT:
        raise BadKeys(f"the key set has {len(keys)} keys; at most {KEY_LIMIT} are taken")
    read = tuple(_key(position, jwk) for position, jwk in enumerate(keys, start=1))
    names = [key.kid for key in read]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise BadKeys(f"kid `{doubled[0]}` stands twice; every key needs a kid of its own")
    return read


def _key(position: int, jwk: object) -> PublicKey:
    if not isinstance(jwk, dict):
        raise BadKeys(f"key {position} is not a JSON object")
    kid = jwk.get("kid")
    if not isinstance(kid, str) or not 0 < len(kid) <= jose.KEY_ID_LIMIT or not kid.isprintable():
        raise BadKeys(f"key {position} has no kid; give it one, and name it in the header of every assertion")
    place = f"key {position} (kid `{kid}`)"
    if any(name in jwk for name in PRIVATE):
        raise BadKeys(
            f"{place} holds a private or symmetric key: enrol its public part alone, and make a new key pair, "
            "since this one has left its owner"
        )
    kind = jwk.get("kty")
    if not isinstance(kind, str) or kind not in TYPES:
        raise BadKeys(f"{place} has a kty that can't be used; RSA (RS384, RS512) and EC {CURVE} (ES384) can")
    _judge_use(place, kind, jwk)
    _judge_strength(place, kind, jwk)
    public = {name: jwk[name] for name in PUBLIC[kind]}
    try:
        key = RSAKey.import_key(dict(public)) if kind == "RSA" else ECKey.import_key(dict(public))
    except (JoseError, ValueError):
        raise BadKeys(f"{place} is not a valid {kind} key") from None
    algorithm = jwk.get("alg")
    stored = {**public, "kid": kid} | ({"alg": algorithm} if algorithm else {})
    return PublicKey(kid, frozenset({algorithm}) if algorithm else TYPES[kind], key, stored)


def _judge_use(place: str, kind: str, jwk: Mapping[str, Any]) -> None:
    algorithm = jwk.get("alg")
    if algorithm is not None and algorithm not in sorted(TYPES[kind]):
        raise BadKeys(f"{place} has an alg that is not taken for {kind}; {' or '.join(sorted(TYPES[kind]))} is")
    if jwk.get("use", "sig") != "sig":
        raise BadKeys(f"{place} is not for signatures: its use must be sig, or absent")
    operations = jwk.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        raise BadKeys(f"{place} is not for verifying signatures: its key_ops must hold verify, or be absent")


def _judge_strength(place: str, kind: str, jwk: Mapping[str, Any]) -> None:
    for name in PUBLIC[kind]:
        if not isinstance(jwk.get(name), str):
            raise BadKeys(f"{place} lacks {name}")
    if kind == "EC":
        if jwk["crv"] != CURVE:
            raise BadKeys(f"{place} is on another curve; ES384 needs {CURVE}")
        return
    judge_modulus(place, jwk)


def judge_modulus(place: str, jwk: Mapping[str, Any]) -> None:
    """Whether an RSA key is strong enough, and not too dear to use.

    Errors: BadKeys, which calls the key by `place`.
    """
    try:
        modulus, exponent = util.base64_to_int(jwk["n"]), util.base64_to_int(jwk["e"])
    except ValueError:
        raise BadKeys(f"{place} has an n or e that is not base64url") from None
    if not RSA_BITS <= modulus.bit_length() <= RSA_BITS_LIMIT:
        raise BadKeys(f"{place} has {modulus.bit_length()} bits; RSA keys need {RSA_BITS} to {RSA_BITS_LIMIT}")
    # A larger exponent than the usual one makes every check of a signature dear for the gateway.
    if exponent != RSA_EXPONENT:
        raise BadKeys(f"{place} has an unusual exponent; {RSA_EXPONENT} (AQAB) is taken")
    if modulus % 2 == 0:
        raise BadKeys(f"{place} is not a valid RSA key")
