"""Whatever a message is: the validator does not raise, what it tells of is there, its quick way is never too lenient.

Messages are those of the samples and of the validator's own cases, changed a little.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.hl7v2 import Message, Segment, read
from gateway.hl7v2.conformance import MOST, load
from gateway.hl7v2.conformance.beside import beside
from gateway.hl7v2.conformance.examine import Examiner
from gateway.hl7v2.conformance.kinds import Nonconformity
from gateway.hl7v2.conformance.rules import FieldRule, VersionRules
from gateway.hl7v2.dictionary import Dictionaries
from gateway.hl7v2.place import Place, parse
from tests.bounded import examples

ROOT = Path(__file__).resolve().parents[2]
CASES = sorted((ROOT / "tests" / "conformance" / "conforming").glob("*.cases"))
SAMPLES = tuple(
    [path.read_bytes() for path in sorted((ROOT / "rules" / "samples").glob("*/*.hl7"))]
    + [
        "\r".join(line for line in part.split("\n")[1:] if line[:1] not in {"=", "~"}).encode()
        for path in CASES
        for part in path.read_text("utf-8").split("\n--- ")
    ]
)
PIECES = (
    b"", b"|", b"^", b"~", b"\\", b"&", b"\r", b"\n", b'""', b"\\T\\", b"\\X0D\\", b"x", b"0", b"-", b" ", b"20260229",
    b"\xe9", "é".encode(), b"2.3", b"2.8", b"OBX|", b"PID|1", b"Z", b"|||||||", b"^^^^", b"HL70001", b"NM", b"CWE",
)  # fmt: skip

LONGEST = 60
"""Characters of a place: nothing of a sender's but the name of a segment stands in it."""

DICTIONARIES = Dictionaries()
RULES: dict[str, VersionRules] = {}


@st.composite
def changed(draw: st.DrawFn) -> bytes:
    """A sample with some of its bytes in other places, gone, or others."""
    raw = draw(st.sampled_from(SAMPLES))
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(raw)))
        raw = raw[:at] + draw(st.sampled_from(PIECES)) + raw[at + draw(st.integers(0, 4)) :]
    lines = raw.replace(b"\n", b"\r").split(b"\r")
    if len(lines) > 1 and draw(st.booleans()):
        one = lines.pop(draw(st.integers(1, len(lines) - 1)))
        for _ in range(draw(st.integers(0, 2))):
            lines.insert(draw(st.integers(1, len(lines))), one)
    return b"\r".join(lines)


@given(changed(), st.booleans())
@settings(max_examples=examples(300), deadline=None)
def test_any_message_is_judged_and_what_is_told_of_is_there(raw: bytes, suggested: bool) -> None:  # noqa: FBT001 - drawn
    message = read(raw)
    judged = load().judge(message, suggested=suggested)
    assert len(judged.found) <= MOST
    for one in judged.found:
        assert parse(str(one.place)) == one.place or (one.kind == "unknown" and one.place.field is None)
        assert len(str(one.place)) < LONGEST
        assert one.words.isprintable()
        assert there(message, one), one


def there(message: Message, one: Nonconformity) -> bool:
    """Whether a place is in the message, as far as what is missing can be."""
    place = one.place
    segments = message.all(place.segment)
    if len(segments) < place.number:
        return False
    if place.field is None:
        return True
    repetitions = segments[place.number - 1].field(place.field)
    if one.kind in {"required", "structure"} and (place.component is None or not repetitions):
        return True
    repetition = repetitions[(place.repetition or 1) - 1] if len(repetitions) >= (place.repetition or 1) else None
    if repetition is None:
        return False
    if place.component is None or one.kind == "required":
        return True
    component = repetition.at(place.component)
    if component is None or place.subcomponent is None:
        return component is not None
    return component.at(place.subcomponent) is not None


@given(changed(), st.booleans())
@settings(max_examples=examples(300), deadline=None)
def test_what_patterns_let_pass_departs_in_nothing(raw: bytes, suggested: bool) -> None:  # noqa: FBT001 - drawn
    message = read(raw)
    version = message.version or ""
    if version not in DICTIONARIES:
        return
    told = [one for one in load().departures(message, suggested=suggested) if one.place.field is not None]
    looked = list(part_by_part(message, version, suggested=suggested))
    assert {one for one in looked if not structural(one)} == {one for one in told if not structural(one)}


def structural(one: Nonconformity) -> bool:
    return one.kind == "structure"


def part_by_part(message: Message, version: str, *, suggested: bool) -> Iterator[Nonconformity]:
    """What the segments depart in, without a pattern."""
    rules = RULES.setdefault(version, VersionRules(DICTIONARIES[version], DICTIONARIES, beside()))
    examiner = Examiner(version, message.delimiters, message.codec, suggested=suggested)
    for segment in message.segments:
        if segment.name not in rules.dictionary.segments:
            continue
        first = 3 if segment.name in {"MSH", "FHS", "BHS"} else 1
        fields = {field.number: field for field in rules.fields(segment.name) if field.number >= first}
        for number in range(first, max(segment.last, max(fields, default=0)) + 1):
            field = fields.get(number)
            if field is None:
                yield from examiner.unknown(segment, number, max(fields, default=0))
            else:
                yield from examiner.field(segment, field)
                yield from of_said_type(segment, field, rules, examiner)


def of_said_type(
    segment: Segment, field: FieldRule, rules: VersionRules, examiner: Examiner
) -> Iterator[Nonconformity]:
    said = rules.beside.said_by.get((segment.name, field.number))
    datatype = segment.raw(said) if said is not None else ""
    if datatype in rules.dictionary.datatypes and segment.raw(field.number):
        yield from examiner.values(segment, field, rules.values(datatype))


def test_a_place_of_what_is_told_reads_as_findings_write_it() -> None:
    assert parse("OBX[2]-5[1].2.3") == Place("OBX", 2, 5, 1, 2, 3)
