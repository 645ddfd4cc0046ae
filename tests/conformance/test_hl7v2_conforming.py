"""Awkward messages, each with all that the validator says of it; conforming/README.md tells the notation.

Source: `conversion.md` of the design ("conformance collects every finding"); HL7 v2.1 to 2.8.2.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.hl7v2 import read
from gateway.hl7v2.conformance import KINDS, MOST, Conformance, Nonconformity, load, words
from gateway.hl7v2.conformance.beside import beside
from gateway.hl7v2.dictionary import Dictionaries

FOLDER = Path(__file__).parent / "conforming"
EXPECTED = re.compile(r"= (\S+) ([^:]+?)(?:: (.*))?")
ENGINES_SHOW_WRONGLY = set('"\\|^~&\r\n')


@dataclass(frozen=True, slots=True)
class Case:
    """A message with what it departs in: kind, place and the beginning of the words."""

    name: str
    raw: bytes
    suggested: bool
    expected: tuple[tuple[str, str, str], ...]


def cases() -> Iterator[Case]:
    for path in sorted(FOLDER.glob("*.cases")):
        for part in path.read_text("utf-8").removeprefix("--- ").split("\n--- "):
            title, *lines = part.strip().split("\n")
            suggested = lines[0] == "~"
            message = [line for line in lines[suggested:] if not line.startswith("= ")]
            found = [EXPECTED.fullmatch(line) for line in lines if line.startswith("= ")]
            expected = tuple((one[1], one[2], one[3] or "") for one in found if one is not None)
            assert len(expected) == len(found), title
            yield Case(f"{path.stem}: {title}", "\r".join(message).encode(), suggested, expected)


CASES = tuple(cases())
CASES_BY_NAME = {case.name: case for case in CASES}


def departures(case: Case) -> tuple[Nonconformity, ...]:
    message = read(case.raw)
    assert message.readable, message.findings
    return load().judge(message, suggested=case.suggested).found


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_message_departs_in_what_is_said_and_in_nothing_else(case: Case) -> None:
    found = [(one.kind, str(one.place), one.words) for one in departures(case)]
    assert [one[:2] for one in sorted(found)] == [one[:2] for one in sorted(case.expected)], found
    for (_, _, told), (_, _, expected) in zip(sorted(found), sorted(case.expected), strict=True):
        assert told.startswith(expected)


def test_every_kind_has_a_case() -> None:
    assert {kind for case in CASES for kind, _, _ in case.expected} == {*KINDS}


def test_every_message_has_a_case(monkeypatch: pytest.MonkeyPatch) -> None:
    said: set[str] = set()
    functions = {
        name: function
        for name, function in inspect.getmembers(words, inspect.isfunction)
        if inspect.signature(function).return_annotation == "Nonconformity"
    }
    for name, function in functions.items():

        def noted(*arguments: object, _name: str = name, _function: object = function) -> object:
            said.add(_name)
            assert callable(_function)
            return _function(*arguments)

        monkeypatch.setattr(words, name, noted)
    for case in CASES:
        departures(case)
    assert len(functions) > 15
    assert said == {*functions}


def test_words_hold_nothing_that_engines_show_wrongly() -> None:
    for case in CASES:
        for one in departures(case):
            assert not ENGINES_SHOW_WRONGLY & set(one.words), one


def test_departures_are_told_up_to_a_bound() -> None:
    head = r"MSH|^~\&|LAB|R0D|DEX|QVV|20260512101500||ORU^R01^ORU_R01|C1|P|2.5.1"
    many = "\r".join([head, "OBR|1|||FBC", *["OBX|1|NM|a||x||||||F"] * (MOST + 1)])
    judged = load().judge(read(many.encode()))
    assert len(judged.found) == MOST
    assert judged.more
    few = "\r".join([head, "OBR|1|||FBC", *["OBX|1|NM|a||x||||||F"] * MOST])
    assert not load().judge(read(few.encode())).more


def test_what_can_not_be_cut_into_segments_has_the_reader_s_findings_alone() -> None:
    message = read(b"no message at all")
    assert message.findings
    assert load().judge(message).found == ()


def test_what_senders_make_up_is_not_kept_without_end() -> None:
    validator = Conformance(Dictionaries(), beside())
    head, _, rest = CASES_BY_NAME["structure: a sound admission"].raw.partition(b"\r")
    for number in range(1100):
        validator.judge(read(head.replace(b"ADT^A01^ADT_A01", b"ACK^X%d" % number) + b"\rMSA|AA|1"))
    for separator in b"!$%*+,-./:;<=>?@_`{}":
        made = b"\r".join((head, rest)).replace(b"|", bytes([separator]))
        validator.judge(read(made))
    (version,) = validator._versions.values()
    assert len(version._types) == 1000
    assert len(version._segments) == 8
