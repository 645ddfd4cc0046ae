"""Messages as no standard has them and real senders send them: what the reader makes of each, and that nothing raises.

`awkward/expected.csv` says of each file what it shows, how many segments it has, which findings it gets and what stands
at some places: `-` is nothing, `\\n` a line feed and `\\0` a zero byte.
"""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway import fhir, loading, mapping, specs
from gateway.finding import refuses
from gateway.hl7v2 import Message, read
from gateway.hl7v2.place import parse

HERE = Path(__file__).parent / "awkward"
CASES = tuple(csv.DictReader((HERE / "expected.csv").read_text(encoding="utf-8").split("\n")[:-1]))


def looked(message: Message, path: str) -> str:
    """What stands at a path."""
    place = parse(path.upper())
    assert place is not None
    found = [s for s in message.all(path[:3]) if s.number == place.number]
    text = (
        found[0].text(place.field or 0, place.component or 1, place.subcomponent or 1, place.repetition or 1)
        if found
        else None
    )
    return "-" if text is None else text


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["file"].removesuffix(".hl7"))
def test_an_awkward_message_is_read_without_loss_and_says_what_is_wrong(case: dict[str, str]) -> None:
    raw = (HERE / case["file"]).read_bytes()
    message = read(raw)
    assert bytes(message) == raw
    assert (len(message.segments), " ".join(f.rule or "" for f in message.findings)) == (
        int(case["segments"]),
        case["rules"],
    )
    for look in filter(None, case["looks"].split("; ")):
        path, _, wanted = look.partition("=")
        assert looked(message, path) == wanted.replace("\\n", "\n").replace("\\0", "\0"), path


def test_every_file_is_spoken_of() -> None:
    assert sorted(case["file"] for case in CASES) == sorted(path.name for path in HERE.glob("*.hl7"))


def test_awkward_messages_are_judged_and_converted_without_raising() -> None:
    names = loading.vocabulary(specs.ROOT)
    maps = mapping.load(specs.ROOT, names, laid=[("uk-core",)]).maps
    assert maps is not None
    assert names.conformance is not None
    now = datetime(2026, 5, 16, tzinfo=UTC)
    context = mapping.Context("R0D", "here", now, "receipt", "rules", overlays=("uk-core",))
    made = 0
    for case in CASES:
        message = read((HERE / case["file"]).read_bytes())
        departures = [one.finding("error") for one in names.conformance.departures(message)]
        assert all(one.diagnostics for one in departures)
        if refuses(message.findings):
            continue
        conversion = maps.convert(message, context)
        made += bool(conversion.drafts)
        assert conversion.drafts or refuses(conversion.findings), case["file"]
        fhir.dump(fhir.transaction([fhir.entry_put(draft.resource) for draft in conversion.drafts]))
    assert made >= len(CASES) // 2
