"""Access tokens to principals.

Source: RFC 6750 (bearer tokens), RFC 9068 section 4 (JWT access tokens), RFC 8725.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from joserfc.jwk import Key

from gateway.config import ExternalIssuer
from gateway.identity import jose
from gateway.identity.certificates import Certificate
from gateway.identity.credentials import Credentials, Enrolment
from gateway.identity.external import Outside, principal_of, roles_of, scopes_of
from gateway.identity.jose import CLOCK_SKEW, BadJws, Jws
from gateway.identity.keys import ALGORITHM, Signing
from gateway.identity.remote_keys import RemoteKeys

CACHE: Final = 4096
PURPOSE_LIMIT: Final = 64
USER_LIMIT: Final = 256
SCOPE_LIMIT: Final = 4096
PATIENT_LIMIT: Final = 64
TYPES: Final = frozenset({"at+jwt", "application/at+jwt"})

# What senders put where the token should be, and what it tells about their settings.
_PLACEHOLDER: Final = re.compile(r"\$\{.*|\$[A-Za-z_].*|\{\{.*|<.*>|%.*%", re.DOTALL)
_NOTHING: Final = frozenset({"null", "undefined", "none", "nil"})
_COMPACT: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")


class Unauthorised(Exception):  # noqa: N818 - an answer to a client, not an error of the program
    """A request whose sender is not known.

    Shape: `words` are for people and hold nothing of what was sent, no quote, line break or HL7 delimiter;
    `challenge` is the value of WWW-Authenticate.
    Source: RFC 6750 section 3.
    """

    def __init__(self, words: str, challenge: str) -> None:
        """Keep what the 401 needs."""
        super().__init__(words)
        self.words = words
        self.challenge = challenge


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is asking, as its token says; what it may do is for the rules.

    Shape: `purpose` and `user` are the claims `purpose_of_use` and `on_behalf_of`, `patient` the patient in context;
    `scopes` is empty where the token has none, which means the rules alone; `roles` are those of the rules that an
    external issuer's token brings, beside the declared ones.
    """

    name: str
    purpose: str | None = None
    user: str | None = None
    scopes: tuple[str, ...] = ()
    patient: str | None = None
    roles: frozenset[str] = frozenset()


def _always(_kid: str) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class TrustedIssuer:
    """Whose tokens are believed, and how they look.

    Shape: `client_claim` names the claim with the client's name, which is the principal's but for an issuer elsewhere,
    whose tokens are read as `outside` says; `key` finds a verification key by its kid, `fetch` one that has to be asked
    for; `stands` is asked at each request whether the key of a token that was verified before is still a key.
    """

    issuer: str
    audience: str
    algorithms: frozenset[str]
    types: frozenset[str | None]
    client_claim: str
    key: Callable[[str], Key | None]
    fetch: Callable[[str], Awaitable[Key | None]] | None = None
    stands: Callable[[str], bool] = _always
    outside: Outside | None = None


@dataclass(frozen=True, slots=True)
class _Verified:
    """What a token says; `bound` is the thumbprint of the certificate that it is good with alone."""

    principal: Principal
    issued: float
    expires: float
    issuer: TrustedIssuer
    key_id: str
    token_id: str
    bound: str | None


class Verifier:
    """Knows principals by their access tokens.

    Shape: `issuers` are all that are believed; `token_address` is where a sender gets a token, for the words of a
    refusal. Verified tokens are remembered by their hash, at most `capacity` of them, until they expire; whether the
    principal is still enrolled is looked up each time, so that a revocation holds at once. For one event loop.
    """

    def __init__(
        self,
        issuers: Sequence[TrustedIssuer],
        credentials: Credentials,
        *,
        realm: str,
        token_address: str,
        revoked: Container[str] = frozenset(),
        clock: Callable[[], float] = time.time,
        capacity: int = CACHE,
    ) -> None:
        """Remember whom to believe. Shape: `revoked` holds the ids of tokens of our own that were taken back."""
        self._issuers: Mapping[str, TrustedIssuer] = {issuer.issuer: issuer for issuer in issuers}
        self._algorithms = frozenset().union(*(issuer.algorithms for issuer in issuers))
        self._types: frozenset[str | None] = frozenset().union(*(issuer.types for issuer in issuers))
        self._credentials = credentials
        self._realm = realm
        self._token_address = token_address
        self._revoked = revoked
        self._clock = clock
        self._capacity = capacity
        self._verified: OrderedDict[bytes, _Verified] = OrderedDict()

    async def authenticate(self, authorization: Sequence[str], certificate: Certificate | None = None) -> Principal:
        """The principal of a request.

        Shape: `authorization` holds every value of that header; `certificate` is what its client showed.
        Errors: Unauthorised for anything but one good token of an enrolled principal.
        """
        token = self._token(authorization)
        digest = hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
        now = self._clock()
        verified = self._verified.get(digest)
        if verified is None or not verified.issuer.stands(verified.key_id):
            verified = await self._verify(token, now)
            self._remember(digest, verified)
        if verified.expires <= now:
            self._verified.pop(digest, None)
            raise self._bad_token("the access token has expired; ask for a new one before it does")
        if verified.token_id in self._revoked:
            raise self._bad_token("the access token was revoked; ask for a new one")
        enrolment = self._enrolment(verified)
        if enrolment is not None and (enrolment.revoked is not None or verified.issued < enrolment.since):
            self._verified.pop(digest, None)
            raise self._bad_token("the principal of this access token is not enrolled, or was revoked")
        self._judge_binding(verified, enrolment, certificate)
        return verified.principal

    def _enrolment(self, verified: _Verified) -> Enrolment | None:
        """What is enrolled here; whom an issuer elsewhere knows needs nothing, unless it was revoked here."""
        name = verified.principal.name
        if verified.issuer.outside is not None:
            return self._credentials.known(name)
        return self._credentials.find(name) or Enrolment(name, 0, "", revoked="never enrolled")

    def _judge_binding(self, verified: _Verified, enrolment: Enrolment | None, certificate: Certificate | None) -> None:
        """Whether the sender of a token is the one whom it was given to. Source: RFC 8705 section 3."""
        shown = "came without one" if certificate is None else "came with another"
        if verified.bound is not None and (certificate is None or certificate.thumbprint != verified.bound):
            raise self._bad_token(f"the access token is bound to a client certificate, and the request {shown}")
        if enrolment is not None and not enrolment.has(certificate):
            raise self._bad_token(f"its principal is enrolled with a client certificate, and the request {shown}")

    def _remember(self, digest: bytes, verified: _Verified) -> None:
        self._verified[digest] = verified
        if len(self._verified) > self._capacity:
            self._verified.popitem(last=False)

    def _token(self, authorization: Sequence[str]) -> str:
        """What stands behind `Bearer`, or a hint why nothing does."""
        get = f"send Authorization: Bearer and an access token from {self._token_address}"
        if not authorization:
            # RFC 6750 section 3.1: a request without any credentials gets no error code.
            raise Unauthorised(f"the Authorization header is missing; {get}", f'Bearer realm="{self._realm}"')
        if len(authorization) > 1:
            raise self._bad_request("the Authorization header was sent more than once; send it exactly once")
        scheme, _, token = authorization[0].strip().partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer":
            bare = _COMPACT.fullmatch(scheme) is not None and not token
            hint = "the word Bearer and a space are missing before the token" if bare else get
            raise self._bad_request(f"the Authorization header is not of the scheme Bearer; {hint}")
        if not token or token.lower() in _NOTHING:
            raise self._bad_request("there is no token after Bearer: the variable that your sender puts there is empty")
        if _PLACEHOLDER.fullmatch(token):
            raise self._bad_request(
                "there is a variable's name after Bearer in place of a token: the variable is empty, "
                "or your sender does not replace it there"
            )
        if token[0] in "'\"":
            raise self._bad_request("the token after Bearer stands in quotes; send it without")
        return token

    async def _verify(self, token: str, now: float) -> _Verified:
        try:
            signed = jose.read(token, algorithms=self._algorithms, types=self._types)
            issuer = _trusted(signed.claims.get("iss"), self._issuers)
            jose.judge_type(signed.header, issuer.types)
            key = issuer.key(signed.key_id) if issuer.fetch is None else await issuer.fetch(signed.key_id)
            _judge_signature(signed, issuer, key)
            return _judge_claims(signed, issuer, now)
        except BadJws as bad:
            raise self._bad_token(f"the access token is not accepted: {bad}") from None

    def _bad_token(self, words: str) -> Unauthorised:
        return Unauthorised(words, f'Bearer realm="{self._realm}", error="invalid_token", error_description="{words}"')

    def _bad_request(self, words: str) -> Unauthorised:
        return Unauthorised(
            words, f'Bearer realm="{self._realm}", error="invalid_request", error_description="{words}"'
        )


def built_in(keys: Signing, public_url: str) -> TrustedIssuer:
    """The gateway's own issuer, as one to believe."""
    return TrustedIssuer(
        public_url, public_url, frozenset({ALGORITHM}), TYPES, "client_id", keys.find,
        stands=lambda kid: keys.find(kid) is not None,
    )  # fmt: skip


def external(settings: ExternalIssuer, remote: RemoteKeys) -> TrustedIssuer:
    """An issuer elsewhere, as one to believe."""
    address = settings.jwks
    return TrustedIssuer(
        settings.issuer, settings.audience, frozenset(settings.algorithms),
        frozenset(kind.lower() or None for kind in settings.types), settings.client_claim, key=lambda _kid: None,
        fetch=lambda kid: remote.issuer_key(address, kid), stands=lambda kid: remote.holds(address, kid),
        outside=Outside(settings.clients, settings.roles_claim, settings.roles, settings.user_claim),
    )  # fmt: skip


def _trusted(name: object, issuers: Mapping[str, TrustedIssuer]) -> TrustedIssuer:
    issuer = issuers.get(name) if isinstance(name, str) else None
    if issuer is None:
        raise BadJws("it is from another issuer (iss)")
    return issuer


def _judge_signature(signed: Jws, issuer: TrustedIssuer, key: Key | None) -> None:
    if key is None or signed.algorithm not in issuer.algorithms or not jose.holds(signed, key):
        raise BadJws("its signature does not hold under a key of its issuer")


def _judge_claims(signed: Jws, issuer: TrustedIssuer, now: float) -> _Verified:
    claims, outside = signed.claims, issuer.outside
    _judge_audience(claims.get("aud"), issuer)
    expires, issued, begins = (jose.instant(claims, name) for name in ("exp", "iat", "nbf"))
    token_id = jose.text_claim(claims, "jti", USER_LIMIT)
    if expires is None or issued is None or (token_id is None and outside is None):
        raise BadJws("it lacks exp, iat or jti")
    if issued > now + CLOCK_SKEW or (begins or 0) > now + CLOCK_SKEW:
        raise BadJws("it is not valid yet (iat, nbf)")
    user = "on_behalf_of" if outside is None or outside.user_claim is None else outside.user_claim
    principal = Principal(
        name=_own_client(claims, issuer) if outside is None else principal_of(claims, issuer.client_claim, outside),
        purpose=jose.text_claim(claims, "purpose_of_use", PURPOSE_LIMIT),
        user=jose.text_claim(claims, user, USER_LIMIT),
        scopes=_scopes(claims) if outside is None else scopes_of(claims),
        patient=jose.text_claim(claims, "patient", PATIENT_LIMIT),
        roles=frozenset() if outside is None else roles_of(claims, outside),
    )
    # Ids of others' tokens are not ours to compare: one could be chosen to be like an id that was revoked here.
    own_id = token_id if outside is None and token_id is not None else ""
    return _Verified(principal, issued, expires, issuer, signed.key_id, own_id, _bound(claims))


def _judge_audience(told: object, issuer: TrustedIssuer) -> None:
    """Whether a token is for this gateway; Keycloak names others beside it."""
    several = issuer.outside is not None and isinstance(told, list) and all(isinstance(one, str) for one in told)
    if told != issuer.audience and not (several and isinstance(told, list) and issuer.audience in told):
        raise BadJws("it is for another audience (aud)")


def _own_client(claims: Mapping[str, Any], issuer: TrustedIssuer) -> str:
    name = jose.text_claim(claims, issuer.client_claim, USER_LIMIT)
    if name is None or claims.get("sub") != name:
        raise BadJws("it does not name its client")
    return name


def _bound(claims: Mapping[str, Any]) -> str | None:
    """Thumbprint of the certificate that a token is bound to.

    Errors: BadJws for a binding of another kind: a token that is bound to a key is no bearer token.
    Source: RFC 8705 section 3.1; RFC 7800.
    """
    if "cnf" not in claims:
        return None
    told = claims["cnf"]
    if not isinstance(told, dict) or set(told) != {"x5t#S256"} or not isinstance(told["x5t#S256"], str):
        raise BadJws("it is bound to a key of its sender (cnf) in a way that is not known here")
    return str(told["x5t#S256"])


def _scopes(claims: Mapping[str, Any]) -> tuple[str, ...]:
    """Names in the claim `scope`; none where there is no such claim.

    Errors: BadJws for a claim that names nothing: it would be taken for a token that the rules alone narrow.
    """
    text = jose.text_claim(claims, "scope", SCOPE_LIMIT)
    if text is None:
        return ()
    names = tuple(text.split())
    if not names:
        raise BadJws("its scope names nothing")
    return names
