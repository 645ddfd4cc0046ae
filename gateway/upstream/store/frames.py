"""What goes between a gateway and the process that writes for it: frames, each its length and a body.

To the process a body is one line of JSON, `[[number, [[type, id, etag, size], ...]], ...]`, and behind it the texts of
all these resources, which are stored as they are. Back come lists of answers in JSON.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import orjson

from gateway import fhir

_LENGTH = 8
"""Units: bytes of a frame's length, which comes before it."""
_AROUND = 16
"""What a frame has around its puts, at most. Units: bytes."""

Answer = dict[str, Any]
"""What became of a put: its `number`, and `status` with `findings` or `unwritable` where it was not written."""


class Text(NamedTuple):
    """A resource to be written. Shape: `etag` is the version id that must stand, None where none may stand."""

    type: str
    id: str
    etag: str | None
    text: bytes


class Put(NamedTuple):
    """Resources that are handed over under one number. Shape: `head` is what they have in the first line."""

    head: bytes
    texts: list[bytes]

    @property
    def size(self) -> int:
        """What it takes of a frame, at most. Units: bytes."""
        return len(self.head) + sum(map(len, self.texts)) + _AROUND


def put_of(number: int, resources: Sequence[tuple[dict[str, Any], str | None]]) -> Put:
    """Resources, each with the version id that must stand, under a number."""
    texts = [fhir.dump(resource) for resource, _ in resources]
    named = [
        (resource["resourceType"], resource["id"], etag, len(text))
        for (resource, etag), text in zip(resources, texts, strict=True)
    ]
    return Put(orjson.dumps((number, named)), texts)


def frame_of(puts: Sequence[Put]) -> bytes:
    """Puts as one frame."""
    line = b",".join([put.head for put in puts])
    body = b"".join([b"[", line, b"]\n", *[text for put in puts for text in put.texts]])
    return len(body).to_bytes(_LENGTH, "big") + body


def puts_of(body: bytes) -> Iterator[tuple[int, list[Text]]]:
    """The puts of a frame, each with its number."""
    position = body.index(b"\n") + 1
    for number, named in orjson.loads(body[:position]):
        texts = []
        for type_, id_, etag, size in named:
            texts.append(Text(type_, id_, etag, body[position : position + size]))
            position += size
        yield number, texts


def answers_framed(answers: Sequence[Answer]) -> bytes:
    """Answers as a frame."""
    body = orjson.dumps(answers)
    return len(body).to_bytes(_LENGTH, "big") + body


def answers_of(body: bytes) -> list[Answer]:
    """The answers of a frame."""
    found: list[Answer] = orjson.loads(body)
    return found


async def frame(reader: asyncio.StreamReader) -> bytes:
    """The body of a pipe's next frame.

    Errors: asyncio.IncompleteReadError at its end.
    """
    return await reader.readexactly(int.from_bytes(await reader.readexactly(_LENGTH), "big"))
