"""Request bodies: media type, size, compression, and draining on refusal."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request

from gateway.documents.offer import MEDIA_TYPES
from gateway.interactions.headers import listed, shown
from gateway.interactions.refused import Refused, error

DRAIN_LIMIT = 1024 * 1024


@dataclass(frozen=True, slots=True)
class MediaType:
    """A Content-Type header.

    Shape: `name` in lower case; `charset` in lower case, or None where it was not given.
    """

    name: str
    charset: str | None


def media_type(headers: Headers, data_type: str) -> MediaType:
    """Read Content-Type for a data type.

    Errors: Refused (415) where it is missing, twice, another's, or has a charset other than utf-8.
    Source: RFC 9110 section 8.3.
    """
    accepted = MEDIA_TYPES[data_type]
    values = headers.getlist("content-type")
    if len(values) != 1 or not values[0].strip():
        raise Refused("media-type", error(
            "not-supported",
            f"header Content-Type must be sent once; for data-type {data_type} it is one of {listed(accepted)}",
            "Content-Type", "HTTP-T01",
        ))  # fmt: skip
    name, *parameters = (part.strip() for part in values[0].split(";"))
    if name.lower() not in accepted:
        raise Refused("media-type", error(
            "not-supported",
            f"Content-Type {shown(name)} is not taken for data-type {data_type}; send one of {listed(accepted)}",
            "Content-Type", "HTTP-T02",
        ))  # fmt: skip
    charset = None
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip().lower() == "charset":
            charset = value.strip().strip('"').lower()
    if charset not in {None, "utf-8", "utf8"}:
        raise Refused("media-type", error(
            "not-supported",
            f"charset {shown(charset or '')} of Content-Type is not taken: send charset=utf-8 and encode the body so, "
            "or leave charset out and let MSH-18 name it",
            "Content-Type", "HTTP-T03",
        ))  # fmt: skip
    return MediaType(name.lower(), "utf-8" if charset else None)


async def read(request: Request, limit: int, *, empty: bool = False) -> bytes:
    """The whole body, inflated where it came as gzip.

    Units: `limit` in bytes, for what was sent and for what it inflates to.
    Errors: Refused: 413 past the limit, 415 for another Content-Encoding, 400 for a broken gzip stream, or for an empty
    body unless `empty` says that it may be.
    """
    encodings = request.headers.getlist("content-encoding")
    encoding = encodings[0].strip().lower() if len(encodings) == 1 else ("identity" if not encodings else "several")
    if encoding not in {"identity", "gzip", "x-gzip"}:
        raise Refused("media-type", error(
            "not-supported",
            f"Content-Encoding {shown(', '.join(encodings))} is not taken; send gzip, or leave the header out",
            "Content-Encoding", "HTTP-T04",
        ))  # fmt: skip
    inflate = zlib.decompressobj(wbits=31) if encoding != "identity" else None
    pieces: list[bytes] = []
    sent = size = 0
    async for chunk in _arriving(request):
        sent += len(chunk)
        piece = chunk if inflate is None else _inflated(inflate, chunk, limit + 1 - size)
        size += len(piece)
        if sent > limit or size > limit:
            raise Refused("too-large", error(
                "too-long", f"the body is larger than {limit} bytes; split the submission", None, "HTTP-B01"
            ))  # fmt: skip
        pieces.append(piece)
    if inflate is not None and (not inflate.eof or inflate.unused_data):
        raise Refused("unreadable", error(
            "structure", "the body ends before its gzip stream does, or goes on after it; compress it again", None,
            "HTTP-B02",
        ))  # fmt: skip
    if not size and not empty:
        raise Refused("unreadable", error(
            "required", "the body is empty; send the message as the body of the request "
            "(with curl: --data-binary @file)", None, "HTTP-B03",
        ))  # fmt: skip
    return b"".join(pieces)


async def _arriving(request: Request) -> AsyncIterator[bytes]:
    try:
        async for chunk in request.stream():
            yield chunk
    except ClientDisconnect as gone:
        raise Refused("unreadable", error(
            "incomplete", "the connection was closed before the whole body had come", None, "HTTP-B04"
        )) from gone  # fmt: skip


def _inflated(inflate: zlib._Decompress, chunk: bytes, room: int) -> bytes:
    try:
        piece = inflate.decompress(chunk, max(room, 1))
    except zlib.error as fault:
        raise Refused("unreadable", error(
            "structure", "the body is not the gzip stream that Content-Encoding announces", None, "HTTP-B02"
        )) from fault  # fmt: skip
    return piece


async def drain(request: Request) -> bool:
    """Read what is left of a refused request's body, up to 1 MiB.

    Shape: whether the connection may stay open; a client that writes on sees its answer instead of a broken pipe.
    """
    drained = 0
    try:
        async for chunk in request.stream():
            drained += len(chunk)
            if drained > DRAIN_LIMIT:
                return False
    except ClientDisconnect:
        return False
    except RuntimeError:
        return True  # Starlette's word for a stream that was consumed before
    return True
