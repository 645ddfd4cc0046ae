"""Whatever the bytes and however they come: cutting a batch doesn't raise, and the parts are the file."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.hl7v2 import batch, read
from tests.bounded import examples

_PIECES = st.sampled_from(
    [
        b"FHS", b"BHS", b"MSH", b"BTS", b"FTS", b"|", b"^~\\&", b"!", b"\r", b"\n", b"\r\n", b" ", b"\t", b"\x0b",
        b"\x1c", b"\xef\xbb\xbf", b"PID|1", b"x", b"1", b"MSH|^~\\&|", b"\rMSH|", b"\x00", b"\xef", b"\xe9",
    ]
)  # fmt: skip
_BODIES = st.one_of(st.binary(max_size=120), st.lists(_PIECES, max_size=60).map(b"".join))
_SIZES = st.lists(st.integers(min_value=0, max_value=40), min_size=1, max_size=12)


def _chunks(raw: bytes, sizes: list[int]) -> list[bytes]:
    chunks, at = [], 0
    for size in sizes:
        chunks.append(raw[at : at + size])
        at += size
    return [*chunks, raw[at:]]


@given(_BODIES, _SIZES)
@settings(max_examples=examples(400))
def test_the_parts_are_the_file_however_it_comes(raw: bytes, sizes: list[int]) -> None:
    parts = list(batch.parts(_chunks(raw, sizes)))
    assert b"".join(raw[part.start : part.end] for part in parts) == raw
    assert all(part.start < part.end for part in parts)
    assert parts == list(batch.parts([raw]))
    for part in parts:
        piece = raw[part.start : part.end]
        assert bytes(read(piece)) == piece
        assert batch.header(piece).control_id != ""
        assert isinstance(batch.count(piece), str)


@given(st.lists(_PIECES, max_size=30).map(b"".join), st.sampled_from([b"\r", b"\n", b"\r\n"]))
@settings(max_examples=examples(200))
def test_whatever_stands_before_it_a_message_on_a_line_of_its_own_is_a_part(before: bytes, end: bytes) -> None:
    raw = b"BHS|^~\\&" + end + before + end + b"MSH|^~\\&|the last" + end
    last = list(batch.parts([raw]))[-1]
    assert last.name == "MSH"
    assert raw[last.start : last.end].endswith(b"MSH|^~\\&|the last" + end)
