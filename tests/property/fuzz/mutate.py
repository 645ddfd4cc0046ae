"""Messages made from others by a seed: bytes, fields, segments and headers changed as none would, and as some do."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

LONGEST = 64 * 1024
"""Units: bytes of a mutated message; one of this size has to be read in the time that every one has."""

_PIECES = (
    b"|", b"^", b"~", b"\\", b"&", b"\r", b"\n", b'""', b"\\F\\", b"\\X0D\\", b"\\.br\\", b"\xff", b"\x00",
    b"\xe2\x82", b"|||||", b"^^^^", b"~~~~", b"&&&", b"MSH|^~\\&|", b"99999999999999999999", b"-1", b"20260230",
    b"00000000", b"\x0b", b"\x1c\r", "\u2028".encode(), b"1e999", b"NaN", b"'", b'"', b"<", b"PID|", b"OBX|1|",
    b"OBX|1|ED|a||^^^Base64^%%%|", b"9990000018", b"20260329013000", b"\\Zx\\", b" ", b"{0}", b"urn:oid:", b"(((((((",
)  # fmt: skip
_VERSIONS = (
    b"2.1", b"2.2", b"2.3", b"2.3.1", b"2.4", b"2.5", b"2.5.1", b"2.6", b"2.7", b"2.7.1", b"2.8", b"2.8.1", b"2.8.2",
    b"3", b"",
)  # fmt: skip
_ROUNDS = (1, 1, 1, 2, 3, 5, 10, 30)

Change = Callable[[random.Random, bytearray, "Corpus"], bytearray]


class Corpus:
    """What messages are made from. Shape: `types` are message types (`ADT^A01`)."""

    def __init__(self, messages: Sequence[bytes], types: Sequence[str]) -> None:
        """Cut each message once."""
        self.messages = messages
        self.types = [kind.encode() for kind in types]
        self.segments = [segment for message in messages for segment in _segments(message)]

    def message(self, seed: int) -> bytes:
        """The message of a seed: always the same of one corpus."""
        chance = random.Random(seed)  # noqa: S311 - repeatable, and no secret
        made = bytearray(chance.choice(self.messages))
        for _ in range(chance.choice(_ROUNDS)):
            made = chance.choice(_CHANGES)(chance, made, self) or bytearray(b"MSH|^~\\&|")
            del made[LONGEST:]
        return bytes(made)


def _segments(message: bytes | bytearray) -> list[bytes]:
    return bytes(message).replace(b"\n", b"\r").split(b"\r")


def _joined(segments: Sequence[bytes]) -> bytearray:
    return bytearray(b"\r".join(segments))


# --- bytes -----------------------------------------------------------------------------------------------------------


def _other_byte(chance: random.Random, made: bytearray, _corpus: Corpus) -> bytearray:
    made[chance.randrange(len(made))] = chance.randrange(256)
    return made


def _inserted(chance: random.Random, made: bytearray, _corpus: Corpus) -> bytearray:
    at = chance.randrange(len(made))
    made[at:at] = chance.choice(_PIECES)
    return made


def _deleted(chance: random.Random, made: bytearray, _corpus: Corpus) -> bytearray:
    at = chance.randrange(len(made))
    del made[at : at + chance.choice((1, 1, 2, 5, 20, 200))]
    return made


def _doubled(chance: random.Random, made: bytearray, _corpus: Corpus) -> bytearray:
    at = chance.randrange(len(made))
    made[at:at] = made[at : at + chance.choice((1, 5, 50, 500))]
    return made


def _cut_off(chance: random.Random, made: bytearray, _corpus: Corpus) -> bytearray:
    del made[chance.randrange(len(made)) :]
    return made


# --- segments --------------------------------------------------------------------------------------------------------


def _segment_doubled(chance: random.Random, made: bytearray, _corpus: Corpus) -> bytearray:
    segments = _segments(made)
    segments[chance.randrange(len(segments) + 1) : 0] = [chance.choice(segments)] * chance.choice((1, 1, 2, 20))
    return _joined(segments)


def _segment_left_out(chance: random.Random, made: bytearray, _corpus: Corpus) -> bytearray:
    segments = _segments(made)
    segments.pop(chance.randrange(len(segments)))
    return _joined(segments)


def _segment_of_another(chance: random.Random, made: bytearray, corpus: Corpus) -> bytearray:
    segments = _segments(made)
    segments.insert(chance.randrange(len(segments) + 1), chance.choice(corpus.segments))
    return _joined(segments)


def _segments_shuffled(chance: random.Random, made: bytearray, _corpus: Corpus) -> bytearray:
    first, *others = _segments(made)
    chance.shuffle(others)
    return _joined([first, *others])


# --- fields ----------------------------------------------------------------------------------------------------------


def _in_field(change: Callable[[random.Random, list[bytes], int, Corpus], None]) -> Change:
    def changed(chance: random.Random, made: bytearray, corpus: Corpus) -> bytearray:
        segments = _segments(made)
        at = chance.randrange(len(segments))
        fields = segments[at].split(b"|")
        change(chance, fields, chance.randrange(len(fields)), corpus)
        segments[at] = b"|".join(fields)
        return _joined(segments)

    return changed


def _replaced(chance: random.Random, fields: list[bytes], at: int, _corpus: Corpus) -> None:
    fields[at] = chance.choice(_PIECES)


def _of_another(chance: random.Random, fields: list[bytes], at: int, corpus: Corpus) -> None:
    fields[at] = chance.choice(chance.choice(corpus.segments).split(b"|"))


def _repeated(chance: random.Random, fields: list[bytes], at: int, _corpus: Corpus) -> None:
    fields[at] = b"~".join([fields[at]] * chance.choice((2, 3, 50)))


def _nested(chance: random.Random, fields: list[bytes], at: int, _corpus: Corpus) -> None:
    fields[at] = chance.choice((b"^", b"&")).join([fields[at]] * chance.choice((2, 3, 50)))


def _swapped(chance: random.Random, fields: list[bytes], at: int, _corpus: Corpus) -> None:
    other = chance.randrange(len(fields))
    fields[at], fields[other] = fields[other], fields[at]


# --- the header ------------------------------------------------------------------------------------------------------


def _other_header(chance: random.Random, made: bytearray, corpus: Corpus) -> bytearray:
    fields = bytes(made).split(b"|", 12)
    if len(fields) <= 12:
        return made
    if chance.random() < 0.5:
        fields[8] = chance.choice(corpus.types)
    else:
        fields[11] = chance.choice(_VERSIONS)
    return bytearray(b"|".join(fields))


def _other_delimiters(chance: random.Random, made: bytearray, _corpus: Corpus) -> bytearray:
    ours = bytes(chance.sample(b"|^~\\&!$%*+,-.:;<=>?@_`{}#", 5))
    return made.translate(bytes.maketrans(b"|^~\\&", ours)) if chance.random() < 0.2 else made


_CHANGES: tuple[Change, ...] = (
    _other_byte, _inserted, _deleted, _doubled, _cut_off, _segment_doubled, _segment_left_out, _segment_of_another,
    _segments_shuffled, _in_field(_replaced), _in_field(_replaced), _in_field(_of_another), _in_field(_of_another),
    _in_field(_repeated), _in_field(_nested), _in_field(_swapped), _other_header, _other_header, _other_delimiters,
)  # fmt: skip
