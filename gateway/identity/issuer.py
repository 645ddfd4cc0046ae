"""The built-in issuer behind `POST /$ingest/auth`, and what tells of its tokens or takes them back.

authlib's server (`authorization_server.py`) runs in two threads that belong to the issuer: a flood of wrong secrets
must not take the threads of others. What needs the journal, claiming the assertion's `jti` and taking a token back, is
awaited after that core has answered and before anything leaves; so are keys that stand at an address, before it begins.
Source: RFC 6749 sections 4.4 and 5, RFC 7523, RFC 7009, RFC 7662.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Final

from authlib.oauth2.rfc6749 import OAuth2Request

from gateway.identity import assertion, form
from gateway.identity.assertion import Assertion
from gateway.identity.authorization_server import (
    NO_STORE,
    Asked,
    May,
    Server,
    TokenAnswer,
    error_body,
    refusal,
)
from gateway.identity.certificates import Certificate
from gateway.identity.credentials import Credentials, Enrolment
from gateway.identity.form import TokenRequest
from gateway.identity.keys import Signing
from gateway.identity.own_token import own_token
from gateway.identity.remote_keys import RemoteKeys
from gateway.identity.revocations import ClaimTokenId, Revocations

THREADS: Final = 2
REFUSED_AFTER: Final = 2.0
"""When a refused assertion is answered where some client's keys are at an address.

An address may be asked for a key that a client is not known to have, which takes longer than to look into a file: so
every refusal takes as long as that may, whoever it names. Units: seconds since its request came.
"""
_ASKING: Final = 0.75
"""The part of it in which an address has to answer; the rest is for what comes behind that."""


@dataclass(frozen=True, slots=True)
class Form:
    """A request to an endpoint of the issuer as it came.

    Shape: all values of the two headers, the query without its question mark, and the certificate of its client.
    """

    body: bytes
    content_type: Sequence[str]
    authorization: Sequence[str]
    query: str = ""
    certificate: Certificate | None = None


def _anything(_client: str, _scope: str) -> bool:
    return True


class Issuer:
    """The built-in issuer of access tokens.

    Shape: `public_url` is the issuer and the audience of its tokens, `token_address` the audience of assertions;
    `claim_token_id(issuer, jti, expires)` answers whether this is the first use, by one atomic insert, and keeps the
    pair at least until `expires` (whole seconds since 1970); `secret_basic` enables client_secret_basic; `remote` holds
    the keys of clients that are enrolled with an address. `revoked` are the tokens that were taken back.
    `refused_after` is when a refused assertion is answered, where some client's keys are at an address.
    Errors: authlib's InsecureTransportError for a token address that is neither https nor loopback.
    """

    def __init__(
        self,
        *,
        public_url: str,
        token_address: str,
        keys: Signing,
        credentials: Credentials,
        claim_token_id: ClaimTokenId,
        secret_basic: bool = False,
        remote: RemoteKeys | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Set the server up; no thread starts before the first request."""
        self.refused_after = REFUSED_AFTER
        self._keys = keys
        self._credentials = credentials
        self._claim_token_id = claim_token_id
        self._public_url = public_url
        self._token_address = token_address
        self._secret_basic = secret_basic
        self._remote = remote
        self.revoked = Revocations(claim_token_id, clock=clock)
        self._clock = clock
        self._server = Server(
            public_url=public_url, token_address=token_address, keys=keys, secret_basic=secret_basic, clock=clock
        )
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="token")
        OAuth2Request("POST", token_address)  # authlib's check of the address, now and not at the first client

    async def token(self, asked: Form, *, may: May = _anything) -> TokenAnswer:
        """Answer a token request.

        Shape: `may` says whether a client could use a scope at all; it is asked in a thread, once the client is known.
        Errors: none of its own; what `claim_token_id` raises passes through, and no token is given then.
        """
        began = asyncio.get_running_loop().time()
        try:
            request = await self._read(asked, "grant_type", may)
        except form.BadForm as bad:
            return _bad_form(bad)
        answer: TokenAnswer = await self._in_thread(self._server.create_token_response, request)
        # Claimed whatever became of the request: an assertion whose signature held is used up.
        if request.proof is not None and not await self._first_use(request.proof):
            answer = refusal(400, "invalid_client", "its jti was used before")
        if answer.body.get("error") == "invalid_client":
            await self._as_long_as_any(request, began)
        return self._challenged(answer, request.sent)

    async def introspect(self, asked: Form) -> TokenAnswer:
        """Tell a client what a token of its own says, and whether it is good for anything now.

        Shape: any other text, another client's token among them, is `{"active": false}`: nobody finds out by asking
        what others hold.
        Errors: as `token`.
        Source: RFC 7662 section 2.
        """
        found = await self._own(asked)
        if isinstance(found, TokenAnswer):
            return found
        client, claims = found
        body = {"active": False} if claims is None else {"active": True, "token_type": "Bearer", **claims}
        return TokenAnswer(200, body, NO_STORE, client=client)

    async def revoke(self, asked: Form) -> TokenAnswer:
        """Take a client's token back: it is refused from the moment of the answer on.

        Shape: 200 for any other text too, as the standard has it.
        Errors: as `token`; nothing is answered before the journal has it.
        Source: RFC 7009 section 2.
        """
        found = await self._own(asked)
        if isinstance(found, TokenAnswer):
            return found
        client, claims = found
        if claims is not None:
            await self.revoked.add(str(claims["jti"]), int(claims["exp"]))
        return TokenAnswer(
            200, {}, NO_STORE, client=client, reason="no token of this client" if claims is None else None
        )

    def jwks(self) -> dict[str, Any]:
        """The public keys, for `/.well-known/jwks.json`."""
        return self._keys.jwks()

    def not_let_in(self, words: str) -> TokenAnswer:
        """The refusal of a client whose certificate is not accepted, in words: they say nothing of who is enrolled."""
        headers = {**NO_STORE, "WWW-Authenticate": f'Bearer realm="{self._public_url}"'}
        return TokenAnswer(401, error_body("invalid_client", words), headers, reason=words)

    def close(self) -> None:
        """Let the threads go once their work is done."""
        self._threads.shutdown(wait=False)

    async def _own(self, asked: Form) -> TokenAnswer | tuple[str, Mapping[str, Any] | None]:
        """The client of a request, and what its field `token` says where it is a good token of this client."""
        began = asyncio.get_running_loop().time()
        try:
            request = await self._read(asked, "token", _anything)
        except form.BadForm as bad:
            return _bad_form(bad)
        client: str | None = await self._in_thread(self._server.client_of, request)
        if request.proof is not None and not await self._first_use(request.proof):
            client, request.reason = None, "its jti was used before"
        if client is None:
            await self._as_long_as_any(request, began)
            reason = request.reason or "no usable credentials were sent"
            return self._challenged(refusal(401, "invalid_client", reason), request.sent)
        claims = own_token(request.sent.fields["token"], self._keys, self._public_url, self._clock())
        enrolment = self._credentials.find(client)
        stands = (
            claims is not None
            and claims["client_id"] == client
            and claims["jti"] not in self.revoked
            and enrolment is not None
            and claims["iat"] >= enrolment.since
        )
        return client, claims if stands else None

    async def _read(self, asked: Form, needed: str, may: May) -> Asked:
        """A request as the server takes it, with the keys that its client's assertion names at an address.

        Errors: BadForm.
        """
        sent = form.read(
            asked.body, content_type=asked.content_type, authorization=asked.authorization, query=asked.query,
            needed=needed,
        )  # fmt: skip
        find = await self._finding(sent.fields.get("client_assertion"))
        return Asked(self._token_address, sent, find=find, may=may, certificate=asked.certificate)

    async def _finding(self, text: str | None) -> Callable[[str], Enrolment | None]:
        named = None if text is None or self._remote is None else assertion.names(text)
        enrolment = None if named is None else self._credentials.find(named.client)
        if named is None or enrolment is None or enrolment.key_address is None or self._remote is None:
            return self._credentials.find
        keys = await self._remote.client_keys(enrolment.key_address, named.key_id, within=_ASKING * self.refused_after)
        whole = replace(enrolment, keys=keys)
        return lambda name: whole if name == whole.principal else self._credentials.find(name)

    async def _as_long_as_any(self, request: Asked, began: float) -> None:
        """Wait until a refused assertion may be answered: see `REFUSED_AFTER`."""
        if "client_assertion" in request.sent.fields and self._remote is not None:
            left = began + self.refused_after - asyncio.get_running_loop().time()
            if left > 0 and self._credentials.any_at_an_address():
                await asyncio.sleep(left)

    async def _in_thread(self, function: Callable[[Asked], Any], request: Asked) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, request)

    async def _first_use(self, proof: Assertion) -> bool:
        return await self._claim_token_id(proof.client, proof.token_id, proof.expires)

    def _challenged(self, answer: TokenAnswer, sent: TokenRequest) -> TokenAnswer:
        """A 401 names a scheme: Basic where it is enabled or was tried (RFC 6749 section 5.2), else Bearer."""
        if answer.body.get("error") != "invalid_client":
            return answer
        scheme = "Basic" if self._secret_basic or sent.by_header else "Bearer"
        challenge = f'{scheme} realm="{self._public_url}"'
        return replace(answer, status=401, headers={**NO_STORE, "WWW-Authenticate": challenge})


def _bad_form(bad: form.BadForm) -> TokenAnswer:
    return TokenAnswer(400, error_body("invalid_request", str(bad)), NO_STORE, reason=str(bad))
