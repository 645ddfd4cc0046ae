"""Request bodies: media type, size, compression, and draining on refusal."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import IO

import structlog
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request

from gateway.documents.offer import MEDIA_TYPES
from gateway.interactions.headers import listed, shown
from gateway.interactions.refused import Refused, error

DRAIN_LIMIT = 1024 * 1024
SPOOL_IN_MEMORY = 1024 * 1024
BEGINNING = 64
INFLATED_PIECE = 64 * 1024
MIRTH_TYPES: Mapping[str, str] = {
    "application/x-www-form-urlencoded": "the message is sent as it is and not as a form; in Mirth set Content Type of "
    "the HTTP Sender to text/plain, which also keeps Query Parameters out of the body",
    "multipart/form-data": "the message is sent alone and not as a part; in Mirth set Multipart of the HTTP Sender to "
    "No, and Content Type to text/plain",
}
"""What to change in an engine that sends a form, by media type."""
MIRTH_TYPE = "in Mirth set Content Type of the HTTP Sender to text/plain"
log = structlog.get_logger()


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
            f"header Content-Type must be sent once; for data-type {data_type} it is one of {listed(accepted)}; "
            f"{MIRTH_TYPE}",
            "Content-Type", "HTTP-T01",
        ))  # fmt: skip
    name, *parameters = (part.strip() for part in values[0].split(";"))
    if name.lower() not in accepted:
        raise Refused("media-type", error(
            "not-supported",
            f"Content-Type {shown(name)} is not taken for data-type {data_type}; send one of {listed(accepted)}; "
            f"{MIRTH_TYPES.get(name.lower(), MIRTH_TYPE)}",
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
            f"charset {shown(charset or '')} of Content-Type is not taken: send charset=utf-8 and encode the body so"
            f"{', or leave charset out and let MSH-18 name it' if data_type == 'Hl7v2' else ''}; "
            "in Mirth set Charset Encoding of the HTTP Sender to UTF-8",
            "Content-Type", "HTTP-T03",
        ))  # fmt: skip
    return MediaType(name.lower(), "utf-8" if charset else None)


async def read(request: Request, limit: int, *, empty: bool = False) -> bytes:
    """The whole body, inflated where it came as gzip.

    Units: `limit` in bytes, for what was sent and for what it inflates to.
    Errors: Refused: 413 past the limit, 415 for another Content-Encoding, 400 for a broken gzip stream, or for an empty
    body unless `empty` says that it may be.
    """
    return b"".join([chunk async for chunk in arriving(request, limit, empty=empty)])


async def read_or_spool(
    request: Request, limit: int, larger: int, is_spooled: Callable[[bytes], bool], folder: Path
) -> bytes | IO[bytes]:
    """The whole body in memory, or in a file where its beginning says so, which may then be larger.

    Shape: the file has no name, belongs to this process alone and is the caller's to close; its beginning is in memory.
    Units: `limit` and `larger` in bytes.
    Errors: Refused as `read`; 503 where the file can't be written.
    """
    chunks = arriving(request, larger)
    beginning = b""
    async for chunk in chunks:
        beginning += chunk
        if len(beginning) >= BEGINNING:
            break
    if is_spooled(beginning):
        return await _spooled(beginning, chunks, folder)
    pieces, size = [beginning], len(beginning)
    _within(size, limit)
    async for chunk in chunks:
        size += len(chunk)
        _within(size, limit)
        pieces.append(chunk)
    return b"".join(pieces)


async def _spooled(beginning: bytes, rest: AsyncIterator[bytes], folder: Path) -> IO[bytes]:
    spool: IO[bytes] = SpooledTemporaryFile(SPOOL_IN_MEMORY, "w+b", dir=str(folder))  # noqa: SIM115 - the caller closes it
    try:
        spool.write(beginning)
        async for chunk in rest:
            spool.write(chunk)
    except OSError as fault:
        spool.close()
        log.error("spool", why=str(fault))
        raise Refused("down", error(
            "transient", "the body can't be kept while it is read, so nothing was taken; send it again later", None,
            "HTTP-B05",
        )) from fault  # fmt: skip
    except BaseException:
        spool.close()
        raise
    return spool


async def arriving(request: Request, limit: int, *, empty: bool = False) -> AsyncIterator[bytes]:
    """The body in pieces as they come, inflated where it came as gzip; constant memory.

    Units: `limit` in bytes, for what was sent and for what it inflates to.
    Errors: Refused as `read`.
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
    sent = size = 0
    async for chunk in _sent(request):
        sent += len(chunk)
        _within(sent, limit)
        for piece in (chunk,) if inflate is None else _inflated(inflate, chunk):
            size += len(piece)
            _within(size, limit)
            yield piece
    if inflate is not None and not inflate.eof:
        raise _broken("the body ends before its gzip stream does; compress it again")
    if not size and not empty:
        raise Refused("unreadable", error(
            "required", "the body is empty; send the message as the body of the request (with curl: --data-binary "
            "@file; in Mirth: Content of the HTTP Sender is ${message.encodedData})", None, "HTTP-B03",
        ))  # fmt: skip


def _within(size: int, limit: int) -> None:
    if size > limit:
        raise Refused("too-large", error(
            "too-long", f"the body is larger than {limit} bytes; split the submission", None, "HTTP-B01"
        ))  # fmt: skip


async def _sent(request: Request) -> AsyncIterator[bytes]:
    try:
        async for chunk in request.stream():
            yield chunk
    except ClientDisconnect as gone:
        raise Refused("unreadable", error(
            "incomplete", "the connection was closed before the whole body had come", None, "HTTP-B04"
        )) from gone  # fmt: skip


def _inflated(inflate: zlib._Decompress, chunk: bytes) -> Iterator[bytes]:
    """What a chunk inflates to, a bounded piece at a time: a few bytes may become many."""
    piece = b""
    while chunk or len(piece) == INFLATED_PIECE:
        try:
            piece = inflate.decompress(chunk, INFLATED_PIECE)
        except zlib.error as fault:
            raise _broken("the body is not the gzip stream that Content-Encoding announces") from fault
        if inflate.unused_data:
            raise _broken("the body goes on after the end of its gzip stream; compress it again")
        yield piece
        chunk = inflate.unconsumed_tail


def _broken(words: str) -> Refused:
    return Refused("unreadable", error("structure", words, None, "HTTP-B02"))


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
