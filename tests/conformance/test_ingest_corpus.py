"""Every file of the corpus is answered, messages by one acknowledgement with one MSA."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import pytest

from gateway import loading
from tests.bounded import sample
from tests.conformance import corpus
from tests.running import Running, message, running

REFUSED = frozenset({400, 403, 409, 422})
ONE_IN = 3
"""Files of which `make test` sends one; `make interop` sends all."""


@pytest.mark.parametrize("folder", [*corpus.MESSAGES, *corpus.RESOURCES])
def test_every_file_of_the_corpus_is_answered_without_a_server_error(
    folder: str, shared: Path, tmp_path: Path, decisions: loading.Decisions
) -> None:
    """Issue 4: in a domain that accepts every type with a map; `make corpus` writes what became of them."""
    loaded = corpus.rules(tmp_path / "rules", shared, decisions.maps.messages)
    with running(tmp_path / "data", loaded, rules=tmp_path / "rules", targets={}) as one:
        found = list(corpus.answered(one, shared, [folder], partial(sample, one_in=ONE_IN)))
    files = {"microsoft": 139, "reportstream": 144, "r4-examples": 72, "uk-core": 108}[folder]
    assert len(found) == len(sample(range(files), ONE_IN))
    assert [(each.file, each.status) for each in found if each.status not in REFUSED | {200}] == []
    mapped = [each for each in found if each.type in loaded.maps.messages]
    assert all("not-supported" not in each.why for each in mapped)
    assert folder in corpus.RESOURCES or sum(each.taken for each in mapped) > len(mapped) // 2


def test_each_message_of_the_corpus_gets_one_acknowledgement(gateway: Running, shared: Path) -> None:
    for file in corpus.files(shared, "microsoft")[::4]:
        reply = gateway.send(file.read_bytes())
        assert reply.status_code in {200, *REFUSED}, (file.name, reply.text)
        segments = reply.content.split(b"\r")
        assert [segment[:4] for segment in segments].count(b"MSA|") == 1, file.name
        assert segments[0].startswith(b"MSH|"), file.name


def test_a_sender_can_not_write_segments_into_its_acknowledgement(gateway: Running) -> None:
    for place in (b"X\rMSA|AA|1", b"X\nMSA|AA|1", b"X\\X0D\\MSA|AA|1", b"\\.br\\MSA|AA|", b"^~\\&|MSA"):
        reply = gateway.send(message(nhs_number="9990000019").replace(b"C-1", place))
        assert [part[:4] for part in reply.content.split(b"\r")].count(b"MSA|") == 1, place
        assert b"\n" not in reply.content


def test_any_bytes_are_answered(gateway: Running) -> None:
    for raw in (
        b"\x00",
        b"MSH",
        b"MSH|",
        b"MSH|^~\\&",
        os.urandom(64),
        b"\xff\xfeM\x00S\x00H\x00",
        b"MSH|^~\\&|" + b"|" * 999,
    ):
        reply = gateway.send(raw)
        assert reply.status_code == 400, raw
        assert reply.content.count(b"\rMSA|AR") == 1


def test_a_large_message_is_taken_like_any_other(gateway: Running) -> None:
    many = "".join(f"\rAL1|{number}|DA|{number}^Substance {number}^L" for number in range(1, 1500))
    reply = gateway.send(message(extra=many.removeprefix("\r")))
    assert reply.status_code == 200, reply.text
    refused = gateway.send(message(control_id="C-2", nhs_number="9990000019", extra=many.removeprefix("\r")))
    assert refused.status_code == 422
