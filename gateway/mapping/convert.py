"""A message to drafts: which segments make which resources, the ids and marks they get, and what was not mapped."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from gateway.fhir import Draft, Marks, contributed
from gateway.finding import Finding, refuses
from gateway.hl7v2 import Message, Segment
from gateway.language.functions import ERRORS
from gateway.mapping.groups import Instance
from gateway.mapping.message_run import MessageConverter
from gateway.mapping.primitives import timed
from gateway.mapping.run import Context, Run, place_of
from gateway.mapping.tracing import Step

_PART = re.compile(r"(?:\[\d+\]|\.[\d.]+)$")

AHEAD = timedelta(days=1)
"""So far ahead of its receipt a message may tell of: clocks differ, and some have no offset."""


@dataclass(frozen=True, slots=True)
class LossReport:
    """What became of the populated fields of a message.

    Shape: counts of the fields that reached a resource and of those that a map leaves out by name; the paths of the
    others, and of parts of mapped fields that nothing could be made of (`PID-10`, `NK1[2]-5`, `PID-15.3`).
    """

    mapped: int
    ignored: int
    unmapped: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Conversion:
    """What a message was converted to.

    Shape: `drafts` are empty where any finding is an error, which then says why the message could not be converted;
    they share parts with drafts of other messages, so they are not to be changed in place; `told` is the instant that
    the message tells of: EVN-2, else MSH-7, else when it was received. A time more than a day after that is a clock's
    or a clerk's mistake, and nothing that came later could be told: when it was received stands for it. `steps` are the
    rows that ran, of maps that are traced alone.
    """

    drafts: tuple[Draft, ...]
    findings: tuple[Finding, ...]
    told: str
    loss: LossReport
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Maps:
    """Every map, ready to convert.

    Shape: `digest` names the maps, the code maps among them, in SHA-256; `messages` are the converters by message type
    (`ADT^A01`); `marks` are what drafts are marked with; `zone` is that of times without an offset, where the maps
    name one; `overlaid` are the same maps with overlays over them, by the overlays' names.
    """

    digest: str
    messages: Mapping[str, MessageConverter]
    marks: Marks
    zone: str | None = None
    overlaid: Mapping[tuple[str, ...], Maps] = field(default_factory=dict)

    def over(self, names: tuple[str, ...]) -> Maps:
        """These maps with overlays over them. Errors: KeyError for overlays that were not loaded."""
        return self.overlaid[names] if names else self

    def convert(self, message: Message, context: Context) -> Conversion:
        """The drafts of a message. Errors: never raised; a message that can't be converted is an error finding."""
        return _converted(self.over(context.overlays), message, context)


def _converted(maps: Maps, message: Message, context: Context) -> Conversion:
    """The drafts of a message by these maps, whatever overlays the context names."""
    zone = ZoneInfo(maps.zone or context.zone)
    header = message.first("MSH")
    received = context.received.astimezone(UTC).isoformat(timespec="milliseconds")
    told, early = _told(message, zone, context.received, received)
    converter = maps.messages.get(message.type or "")
    if header is None or converter is None:
        return _not_converted(message, told, f"there is no map for {message.type or 'a message without a type'}")
    facts = {
        "context.organisation": context.organisation,
        "context.domain": context.domain,
        "context.received": received,
        "context.receipt": context.receipt,
        "context.rules": context.rules_digest,
        "context.maps": maps.digest,
        "context.map": converter.structure,
        "context.messaging": "yes" if context.messaging else "no",
    }
    run = Run(message, facts, zone, header)
    run.findings.extend(early)
    try:
        converter.run(run, Instance.of(converter.groups, message.segments))
    except ERRORS as fault:
        # a condition met a value that is not of its type; the text of an EvaluationError names none
        return _not_converted(message, told, f"the map {converter.structure} failed at {run.here()}: {type_of(fault)}")
    loss = report(message, run, converter)
    if refuses(tuple(run.findings)):
        return Conversion((), tuple(run.findings), told, loss, tuple(run.steps))
    return Conversion(_drafts(run, context, maps.marks), tuple(run.findings), told, loss, tuple(run.steps))


def type_of(fault: Exception) -> str:
    """What went wrong, without a value of the message."""
    return str(fault) if type(fault).__name__ == "EvaluationError" else "a value is not of its type"


def report(message: Message, run: Run, converter: MessageConverter) -> LossReport:
    """What became of each populated field."""
    mapped = ignored = 0
    unmapped: list[str] = []
    for each in message.segments:
        fields = run.fields(each)
        used = run.used.get(each.position, 0) | 1  # the name is no field
        others = [number for number, text in enumerate(fields) if text and not used >> number & 1]
        mapped += len(fields) - fields.count("") - (fields[0] != "") - len(others)
        if others:
            left_out = converter.ignored.get(each.name, ())
            left = [place_of(each, number) for number in others if number not in left_out]
            ignored += len(others) - len(left)
            unmapped += left
    if not run.lost:
        return LossReport(mapped, ignored, tuple(unmapped))
    # a part of a field that is told of as a whole adds nothing
    whole = {*unmapped, *run.lost}
    parts = [path for path in run.lost if (field := _PART.sub("", path)) == path or field not in whole]
    return LossReport(mapped, ignored, tuple(dict.fromkeys((*unmapped, *parts))))


def _populated(each: Segment, delimiter: str) -> list[int]:
    """Numbers of the fields that something was sent in."""
    fields = each.line.split(delimiter)
    first = 1 if each.name == "MSH" else 0  # the header's first field is the delimiter itself
    found = [number + first for number, text in enumerate(fields) if number and text]
    return [1, *found] if first else found


def _told(message: Message, zone: tzinfo, received: datetime, instead: str) -> tuple[str, tuple[Finding, ...]]:
    """The instant that a message tells of, with what is to be said of it; `instead` is that of its receipt."""
    for name, number in (("EVN", 2), ("MSH", 7)):
        text = message.text(name, number)
        found = timed(text, zone) if text is not None else None
        if found is not None:
            if datetime.fromisoformat(found) - received <= AHEAD:
                return found, ()
            place = f"{name}-{number}"
            words = f"the time at {place} is more than a day ahead, so the message counts from when it was received"
            return instead, (Finding("warning", "value", words, place, "MAP-AHEAD"),)
    return instead, ()


def _drafts(run: Run, context: Context, marks: Marks) -> tuple[Draft, ...]:
    """What was made, with the marks of who sent it."""
    meta = contributed(
        {}, organisation=context.organisation, domain=context.domain, marks=marks, source=f"urn:uuid:{context.receipt}"
    )["meta"]
    return tuple(
        Draft(
            {"resourceType": making.type, "id": making.id, "meta": meta, **making.resource},
            tuple(dict.fromkeys(making.clears)) if making.clears else (),
            only_new=making.only_new,
        )
        for making in run.made.values()
    )


def _not_converted(message: Message, told: str, words: str) -> Conversion:
    places = [place_of(s, n) for s in message.segments for n in _populated(s, message.delimiters.field)]
    finding = Finding("error", "not-supported", words, "MSH-9", "MAP-FAILED")
    return Conversion((), (finding,), told, LossReport(0, 0, tuple(places)))
