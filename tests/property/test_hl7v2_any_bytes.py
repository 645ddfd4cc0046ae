"""Whatever the bytes are: `read` doesn't raise, and nothing is lost."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.hl7v2 import STANDARD, Delimiters, Message, escape, read, unescape
from tests.bounded import examples

_PIECES = st.sampled_from(
    [
        b"MSH", b"|", b"^", b"~", b"\\", b"&", b"#", b"\r", b"\n", b"\r\n", b"PID", b"OBX", b"ZZ1", b"FHS",
        b"\xef\xbb\xbf", b'""', b"\\F\\", b"\\X0D\\", b"\\.br\\", b"\\.sp9\\", b"8859/1", b"UNICODE UTF-8",
        b"ISO IR87", b"\xe9", b"\x1b$B", "é".encode(), b"2.5.1", b"ADT", b"A01", b" ", b"\x00", b"MSH|^~\\&|", b"x",
    ]
)  # fmt: skip
_BODIES = st.one_of(
    st.binary(max_size=200),
    st.lists(_PIECES, max_size=40).map(b"".join),
    st.lists(_PIECES, max_size=40).map(lambda pieces: b"MSH|^~\\&|" + b"".join(pieces)),
    st.lists(_PIECES, max_size=30).map(lambda pieces: b"MSH|^~\\&|||||||||||||||8859/15|" + b"".join(pieces)),
)
_CHARSETS = st.sampled_from([None, "utf-8", "UTF-8", "utf-16", ""])
_PUNCTUATION = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
_DELIMITERS = st.lists(st.sampled_from(_PUNCTUATION), min_size=5, max_size=6, unique=True).map(
    lambda found: Delimiters(*found)
)
_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


def _ask_everything(message: Message) -> None:
    assert isinstance(message.readable, bool)
    for answer in (message.type, message.structure, message.version, message.control_id, repr(message)):
        assert answer != ""
    for segment in message.segments:
        assert message.first(segment.name) is not None
        for number in range(segment.last + 2):
            assert segment.text(number, 2, 2, 2) != ""
            assert segment.whole(number) != ""
            for repetition in segment.field(number):
                assert repetition.text != ""
                third = repetition.at(3)
                assert third is None or third.present
                for component in repetition.parts:
                    for part in component.parts:
                        assert part.text != ""


@given(_BODIES, _CHARSETS)
@settings(max_examples=examples(200))
def test_any_bytes_come_back_and_nothing_raises(raw: bytes, charset: str | None) -> None:
    message = read(raw, charset)
    assert bytes(message) == raw
    _ask_everything(message)
    assert message.segments or not message.readable


@given(_BODIES)
@settings(max_examples=examples(200))
def test_every_character_of_a_readable_message_stands_in_some_segment(raw: bytes) -> None:
    message = read(raw)
    if not message.readable:
        return
    text = raw.removeprefix(b"\xef\xbb\xbf").decode(message.codec)
    kept = "".join(segment.line for segment in message.segments)
    blanks = {*" \t\r\n\ufeff\x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0"}
    assert [c for c in kept if c not in blanks] == [c for c in text if c not in blanks]


@given(_TEXTS, _DELIMITERS)
@settings(max_examples=examples(200))
def test_escaped_text_is_one_leaf_and_comes_back(text: str, delimiters: Delimiters) -> None:
    written = escape(text, delimiters)
    assert unescape(written, delimiters) == text
    marks = {delimiters.field, delimiters.component, delimiters.repetition, delimiters.subcomponent}
    assert not marks & {*written}
    assert len(written.splitlines()) <= 1


@given(_TEXTS)
@settings(max_examples=examples(200))
def test_a_text_that_was_escaped_is_read_as_it_was(text: str) -> None:
    message = read(f"MSH|^~\\&|\rNTE|1|{escape(text, STANDARD)}|end\r".encode())
    assert message.readable
    assert (message.text("NTE", 2) or "") == text
    assert message.text("NTE", 3) == "end"


@given(_DELIMITERS, st.lists(_TEXTS, min_size=1, max_size=4))
@settings(max_examples=examples(200))
def test_any_punctuation_can_delimit(delimiters: Delimiters, texts: list[str]) -> None:
    field = delimiters.component.join(escape(text, delimiters) for text in texts)
    separator = delimiters.field
    raw = f"MSH{separator}{delimiters.encoding_characters}{separator}x\rNTE{separator}{field}\r".encode()
    message = read(raw)
    assert message.delimiters == delimiters
    assert [message.text("NTE", 1, number) or "" for number in range(1, len(texts) + 1)] == texts
