"""No message makes the conversion raise, and what it makes is valid, whatever is in the fields."""

from __future__ import annotations

import functools
import re
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import fhir, hl7v2, mapping, specs
from gateway.hl7v2 import dictionary
from tests.bounded import examples

pytestmark = pytest.mark.xdist_group("maps")  # loaded once, with the module beside

SAMPLES = Path(__file__).parent.parent / "conformance" / "maps" / "messages"
CONTEXT = mapping.Context("R0D", "emergency-care", datetime(2026, 5, 1, 12, tzinfo=UTC), "receipt-1", "ab" * 32)


@functools.cache
def known() -> fhir.Elements:
    return fhir.Elements(specs.fhir())


@functools.cache
def merging() -> fhir.Merging:
    return fhir.Merging(known())


@functools.cache
def maps() -> mapping.Maps:
    vocabulary = SimpleNamespace(
        dictionaries={"2.5.1": dictionary.load("2.5.1")}, elements=known(), tables=known().tables
    )
    loaded = mapping.load(specs.ROOT, vocabulary).maps
    assert loaded is not None
    return loaded


TEXTS = tuple(path.read_text(encoding="utf-8") for path in sorted(SAMPLES.glob("*.hl7")))

# what senders put where it doesn't belong
leaves = st.one_of(
    st.sampled_from(
        ["", '""', " ", "X1", "9990000018", "NHS", "NH", "MR", "ISO", "UUID", "Internet", "20260501", "2026050110",
         "20261399", "Y", "Q", "\\T\\", "\\X0D\\", "\\", "\u2028", "\x00", "é" * 70]
    ),
    st.text(st.characters(exclude_characters="|^~&\r\n\\", exclude_categories=["Cs"]), max_size=8),
)  # fmt: skip
# few parts in wide places: a draw costs more than a conversion
components = st.lists(leaves, max_size=2).map("&".join)


def spread(parts: dict[int, str], cut: str) -> str:
    return cut.join(parts.get(number, "") for number in range(max(parts, default=0) + 1))


repetitions = st.dictionaries(st.integers(0, 14), components, max_size=4).map(lambda parts: spread(parts, "^"))
fields = st.lists(repetitions, max_size=2).map("~".join)
segments = st.builds(
    lambda name, found: f"{name}|{spread(found, '|')}",
    st.sampled_from(["EVN", "PID", "PD1", "NK1", "PV1", "PV2", "AL1", "DG1", "ZZZ", "OBX"]),
    st.dictionaries(st.integers(0, 53), fields, max_size=6),
)
headers = st.sampled_from(["A01", "A03", "A04", "A08"]).map(
    lambda event: f"MSH|^~\\&|PAS|R0D|DEX|QVV|20260501103000||ADT^{event}|C1|P|2.5.1"
)
made_up = st.builds(
    lambda header, identified, found: "\r".join([header, *(["PID|1||X1^^^R0D^MR"] if identified else []), *found]),
    headers,
    st.booleans(),
    st.lists(segments, max_size=4),
)


def mutated(text: str, position: int, insert: str, length: int) -> str:
    position %= len(text)
    return text[:position] + insert + text[position + length :]


mutants = st.builds(
    mutated,
    st.sampled_from(TEXTS),
    st.integers(60, 2000),
    st.text('|^~&\\\r\n"0199AXé', max_size=6),
    st.integers(0, 12),
)


@settings(max_examples=examples(120), deadline=None)
@given(st.one_of(made_up, mutants))
def test_any_message_is_converted_or_refused_with_reason(text: str) -> None:
    conversion = maps().convert(hl7v2.read(text.encode("utf-8", "replace")), CONTEXT)
    refused = [f for f in conversion.findings if f.severity == "error"]
    assert bool(refused) != bool(conversion.drafts)
    for draft in conversion.drafts:
        assert [f for f in fhir.validate(draft.resource, known()) if f.severity == "error"] == []
        merging().merge(None, draft, told=conversion.told)
        merging().merge(draft.resource, draft, told=conversion.told)


@settings(max_examples=examples(80), deadline=None)
@given(st.one_of(made_up, mutants))
def test_every_populated_field_is_accounted_for_once(text: str) -> None:
    message = hl7v2.read(text.encode("utf-8", "replace"))
    loss = maps().convert(message, CONTEXT).loss
    populated = sum(
        len([f for f in segment.line.split(message.delimiters.field)[1:] if f]) + (segment.name == "MSH")
        for segment in message.segments
    )
    whole = [path for path in loss.unmapped if re.search(r"-\d+\Z", path)]
    assert loss.mapped + loss.ignored <= populated
    assert loss.mapped + loss.ignored + len(whole) >= populated


@settings(max_examples=examples(40), deadline=None)
@given(st.one_of(made_up, mutants))
def test_the_same_message_becomes_the_same(text: str) -> None:
    message = hl7v2.read(text.encode("utf-8", "replace"))
    first, second = maps().convert(message, CONTEXT), maps().convert(message, CONTEXT)
    assert first == second
