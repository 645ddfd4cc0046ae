"""The form of a token request, read strictly.

Source: RFC 6749 sections 2.3, 3.2 and 4.4.2, and appendix B (form encoding).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, unquote_plus

MEDIA_TYPE: Final = "application/x-www-form-urlencoded"
SIZE_LIMIT: Final = 32 * 1024
FIELD_LIMIT: Final = 20


class BadForm(Exception):  # noqa: N818 - the form is at fault, not the program
    """A request that can't be a token request; its words are for the client and hold nothing of the request."""


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """What a client sent to the token endpoint.

    Shape: `fields` holds each form field once, without empty ones; `basic` is (client, secret) of a well-formed Basic
    header; `by_header` says that there was an Authorization header at all.
    """

    fields: Mapping[str, str]
    basic: tuple[str, str] | None
    by_header: bool


def read(
    body: bytes, *, content_type: Sequence[str], authorization: Sequence[str], query: str, needed: str = "grant_type"
) -> TokenRequest:
    """Read a token request.

    Shape: all values of the two headers as they came; `query` without its question mark; `needed` is the field that
    the request is nothing without.
    Errors: BadForm.
    """
    if query:
        raise BadForm("parameters belong in the body of the request, not in its address")
    if len(content_type) != 1 or content_type[0].partition(";")[0].strip().lower() != MEDIA_TYPE:
        raise BadForm(f"send the request as {MEDIA_TYPE}")
    if len(authorization) > 1:
        raise BadForm("the Authorization header was sent more than once")
    fields = _fields(body)
    if len(authorization) + ("client_assertion" in fields) + ("client_secret" in fields) > 1:
        raise BadForm("use one way of authentication: a client_assertion, or an Authorization header")
    if needed not in fields:
        raise BadForm(f"the field {needed} is missing")
    return TokenRequest(fields, _basic(authorization[0]) if authorization else None, bool(authorization))


def basic_client(authorization: Sequence[str]) -> str | None:
    """Name of the client that a well-formed Basic header tells, before anything is known to be true of it."""
    found = _basic(authorization[0]) if len(authorization) == 1 else None
    return None if found is None else found[0]


def _fields(body: bytes) -> dict[str, str]:
    if len(body) > SIZE_LIMIT:
        raise BadForm(f"the body is larger than {SIZE_LIMIT} bytes")
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(body),
            errors="strict",
            max_num_fields=FIELD_LIMIT,
        )
    except ValueError:  # UnicodeDecodeError is one
        raise BadForm("the body is not a form") from None
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        raise BadForm("a field was sent more than once")
    return {name: value for name, value in pairs if value}


def _basic(header: str) -> tuple[str, str] | None:
    scheme, _, encoded = header.strip().partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        client, colon, secret = base64.b64decode(encoded.strip(), validate=True).decode("utf-8").partition(":")
    except ValueError:
        return None
    return (unquote_plus(client), unquote_plus(secret)) if colon and client and secret else None
