"""Payloads sealed for the disk. Source: `trust.md` of the design, "Journal": encrypted at rest when a key is set."""

from __future__ import annotations

import base64

import pytest

from gateway.journal.sealed import Key, Unsealable, key_of, read_keys, seal, sealed_with, unseal

NEW, OLD, OTHER = (key_of(bytes([number]) * 32) for number in (1, 2, 3))
BODIES = [b"", b"MSH|^~\\&|", b"\xf8GJ1", b"\xf8GJ1\x00", b"\xf8GJ1\x01" + bytes(60), bytes(100_000)]


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("keys", [(), (NEW,), (NEW, OLD)])
def test_what_is_sealed_is_opened_again(body: bytes, keys: tuple[Key, ...]) -> None:
    stored = seal(keys, body, "r1", "body")
    assert unseal(keys, stored, "r1", "body") == body
    assert (stored != body) or not keys
    assert sealed_with(stored) == (keys[0].id if keys else None)


def test_nothing_of_a_sealed_body_is_to_be_read() -> None:
    stored = seal((NEW,), b"PID|1||9990000018" * 20, "r1", "body")
    assert b"9990000018" not in stored
    assert seal((NEW,), b"PID|1||9990000018" * 20, "r1", "body") != stored


def test_rows_that_were_not_sealed_stay_readable_once_there_is_a_key() -> None:
    for body in BODIES:
        assert unseal((NEW,), seal((), body, "r1", "body"), "r1", "body") == body


def test_an_older_key_still_opens_what_it_sealed() -> None:
    assert unseal((NEW, OLD), seal((OLD,), b"text", "r1", "body"), "r1", "body") == b"text"


@pytest.mark.parametrize("keys", [(), (OTHER,)])
def test_without_its_key_a_payload_is_told_with_the_key_that_is_missing(keys: tuple[Key, ...]) -> None:
    with pytest.raises(Unsealable, match=f"body of r1 is sealed with key {NEW.name}, which is not given"):
        unseal(keys, seal((NEW,), b"text", "r1", "body"), "r1", "body")


@pytest.mark.parametrize(("receipt", "column"), [("r2", "body"), ("r1", "answer")])
def test_a_payload_can_not_be_put_in_anothers_place(receipt: str, column: str) -> None:
    with pytest.raises(Unsealable, match="not as it was sealed"):
        unseal((NEW,), seal((NEW,), b"text", "r1", "body"), receipt, column)


def test_a_changed_payload_is_not_opened() -> None:
    stored = seal((NEW,), b"text", "r1", "body")
    for at in range(13, len(stored)):
        changed = stored[:at] + bytes([stored[at] ^ 1]) + stored[at + 1 :]
        with pytest.raises(Unsealable):
            unseal((NEW,), changed, "r1", "body")
    for cut in range(13, len(stored)):
        with pytest.raises(Unsealable):
            unseal((NEW,), stored[:cut], "r1", "body")


def test_keys_are_read_newest_first() -> None:
    text = "# new since May\n{}\n{} # the one before\n".format(
        *(base64.b64encode(k.secret).decode() for k in (NEW, OLD))
    )
    assert read_keys(text) == (NEW, OLD)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "there is no key"),
        ("# nothing", "there is no key"),
        ("not base64!", "key 1 is not in base64"),
        (base64.b64encode(bytes(32)).decode() + "\nAAAA", "key 2 has 3 bytes, and a key has 32"),
        (" ".join([base64.b64encode(bytes(32)).decode()] * 2), "stands there twice"),
    ],
)
def test_a_faulty_key_is_told_without_the_key(text: str, words: str) -> None:
    with pytest.raises(Unsealable, match=words) as raised:
        read_keys(text)
    assert text.split("\n", maxsplit=1)[0] not in str(raised.value) or not text
