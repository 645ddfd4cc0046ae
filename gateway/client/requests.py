"""What is asked of a gateway, and how its answers are read: pure functions, whichever client sends.

Source: FHIR R4 RESTful API.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, TypedDict, Unpack
from urllib.parse import quote, urlencode

import httpx

from gateway import hl7v2
from gateway.hl7v2 import Acknowledged

INGEST_PATH: Final = "/$ingest"
ACCEPTED: Final = frozenset({"AA", "CA"})

Pairs = Iterable[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Sent:
    """How a submission was answered.

    Shape: `code`, `control_id` and `outcome` are MSA-1, MSA-2 and MSA-3 of the acknowledgement, None where the answer
    has none, or is a batch of them; `acknowledgements` has each in order, None in the place of what is none; `text` is
    the whole answer; `receipt` is the address in `Location`.
    Units: `retry_after` in seconds.
    """

    status: int
    body: bytes
    code: str | None
    control_id: str | None
    outcome: str | None
    receipt: str | None
    retry_after: int | None
    accepted: bool
    acknowledgements: tuple[Acknowledged | None, ...] = ()

    @property
    def refused(self) -> int:
        """How many submissions of those that were sent at once were refused, or not acknowledged."""
        taken = sum(one is not None and one.code in ACCEPTED for one in self.acknowledgements)
        return len(self.acknowledgements) - taken if self.acknowledgements else int(not self.accepted)

    @property
    def text(self) -> str:
        """The answer for people: an acknowledgement's segments one a line."""
        return self.body.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")


@dataclass(frozen=True, slots=True)
class Answer:
    """How a search or read was answered.

    Shape: `headers` by lower-case name; `body` byte for byte as it came.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def resource(self) -> Any:
        """The body as JSON with its decimals kept.

        Errors: ValueError where it isn't JSON.
        """
        return json.loads(self.body, parse_float=Decimal)


class OnAccountOf(TypedDict, total=False):
    """On whose account something is asked: the headers `purpose-of-use`, `on-behalf-of`, `break-glass-reason`."""

    purpose: str | None
    user: str | None
    break_glass: str | None


class Submitting(OnAccountOf, total=False):
    """What a submission may carry beside its three required headers."""

    content_type: str
    key: str | None
    dry_run: bool


@dataclass(frozen=True, slots=True)
class Asked:
    """A request to the gateway, without the gateway's address.

    Shape: `target` is path and query.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    content: bytes | Iterable[bytes] | None = None


def submission(
    body: bytes | Iterable[bytes],
    *,
    domain: str,
    organisation: str,
    data_type: str = "Hl7v2",
    content_type: str = "text/plain",
    key: str | None = None,
    dry_run: bool = False,
    **account: Unpack[OnAccountOf],
) -> Asked:
    """What sending is.

    Shape: `key` becomes `Idempotency-Key`.
    Source: `POST /$ingest` of the gateway's own interface.
    """
    headers = {
        "source-domain": domain,
        "organisation-code": organisation,
        "data-type": data_type,
        "Content-Type": content_type,
        **({"Idempotency-Key": key} if key else {}),
        **_account(account),
    }
    return Asked("POST", INGEST_PATH + ("?dry-run=true" if dry_run else ""), headers, body)


def sent(answer: httpx.Response, data_type: str) -> Sent:
    """Read the answer to a submission.

    Shape: an HL7 message counts as accepted by its acknowledgement alone, whatever the status, and a batch where each
    of its messages does; others by the status.
    """
    hl7 = data_type == "Hl7v2"
    is_batch = hl7 and hl7v2.is_batch(answer.content)
    told = hl7v2.read_acknowledgements(answer.content) if hl7 else ()
    acknowledged = told[0] if told and not is_batch else None
    codes = [one.code if one is not None else None for one in told]
    wait = answer.headers.get("retry-after", "")
    return Sent(
        status=answer.status_code,
        body=answer.content,
        code=acknowledged.code if acknowledged else None,
        control_id=acknowledged.control_id if acknowledged else None,
        outcome=acknowledged.text if acknowledged else None,
        receipt=answer.headers.get("location"),
        retry_after=int(wait) if wait.isdecimal() else None,
        accepted=(is_batch or bool(codes)) and ACCEPTED.issuperset(codes) if hl7 else answer.is_success,
        acknowledgements=told,
    )


def searching(kind: str, parameters: Pairs, *, post: bool = False, **account: Unpack[OnAccountOf]) -> Asked:
    """What a search is.

    Shape: `post` sends the parameters in the body, so that they stand in no log on the way.
    Source: FHIR R4, RESTful API, section 3.1.0.9 (search).
    """
    encoded, path = urlencode(list(parameters)), f"/{quote(kind, safe='')}"
    if not post:
        return Asked("GET", path + (f"?{encoded}" if encoded else ""), _account(account))
    headers = {"Content-Type": "application/x-www-form-urlencoded", **_account(account)}
    return Asked("POST", f"{path}/_search", headers, encoded.encode())


def reading(kind: str, identifier: str, **account: Unpack[OnAccountOf]) -> Asked:
    """What a read is.

    Source: FHIR R4, RESTful API, section 3.1.0.1 (read).
    """
    return Asked("GET", f"/{quote(kind, safe='')}/{quote(identifier, safe='')}", _account(account))


def _account(account: OnAccountOf) -> dict[str, str]:
    named = {
        "purpose-of-use": account.get("purpose"),
        "on-behalf-of": account.get("user"),
        "break-glass-reason": account.get("break_glass"),
    }
    return {name: value for name, value in named.items() if value is not None}


def answered(answer: httpx.Response) -> Answer:
    """Read the answer to a search or read."""
    return Answer(answer.status_code, dict(answer.headers), answer.content)
