"""No field of a message makes what is invalid, whatever the sender left out of it or put into it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gateway import fhir, hl7v2
from tests.bounded import sample
from tests.property.test_mapping_properties import CONTEXT, SAMPLES, known, maps

pytestmark = pytest.mark.xdist_group("maps")  # loaded once, with the module beside

MESSAGES = {
    path.stem: path.read_text(encoding="utf-8").replace("\r\n", "\r").replace("\n", "\r")
    for path in sorted(SAMPLES.glob("*.hl7"))
}
HEADER = {1, 8, 11}
"""Of MSH, by their place in its line: how the message is read, what it is, and of which version."""
ONE_IN = 31
"""No multiple of the number of replacements, so that each of them is tried; `first` lets messages take turns."""


def replaced(field: str) -> list[str]:
    """What is put in a field's place: nothing, what is no value, and what it was, in another place or cut short."""
    return [each for each in ("", "x", "7", f"^{field}", field.partition("^")[0]) if each != field]


def odd(text: str) -> Iterator[tuple[str, str]]:
    """A message once for each of its populated fields and what is put there; what was done stands before it."""
    lines = text.split("\r")
    for number, line in enumerate(lines):
        name, *fields = line.split("|")
        for place, field in enumerate(fields, 1):
            if not field or (name == "MSH" and place in HEADER):
                continue
            for value in replaced(field):
                changed = "|".join([name, *fields[: place - 1], value, *fields[place:]])
                where = f"{name}-{place + (name == 'MSH')} = {value!r}"
                yield where, "\r".join([*lines[:number], changed, *lines[number + 1 :]])


def faults(text: str) -> list[str]:
    """What is wrong with what a message becomes."""
    conversion = maps().convert(hl7v2.read(text.encode()), CONTEXT)
    refused = [each for each in conversion.findings if each.severity == "error"]
    if bool(refused) == bool(conversion.drafts):
        return ["neither converted nor refused with a reason"]
    return [
        f"{each.expression}: {each.diagnostics}"
        for draft in conversion.drafts
        for each in fhir.validate(draft.resource, known())
        if each.severity == "error"
    ]


@pytest.mark.parametrize(("turn", "name"), list(enumerate(MESSAGES)), ids=MESSAGES)
def test_a_message_with_an_odd_field_is_converted_into_what_is_valid_or_refused(turn: int, name: str) -> None:
    tried = sample(odd(MESSAGES[name]), ONE_IN, turn)
    assert [(where, wrong) for where, text in tried if (wrong := faults(text))] == []
