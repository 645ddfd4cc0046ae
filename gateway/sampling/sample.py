"""Samples: made by the rules and the dictionary, judged by the real rules and conversion, made again if refused.

The judge is passed in: it stands above this layer. The same seed gives the same samples.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from gateway.fhir import Elements, Resource
from gateway.finding import Finding
from gateway.hl7v2 import STANDARD, Dictionary
from gateway.rules import Accept, Check, Domain
from gateway.sampling import csv_sample, fhir_sample, hl7v2_sample
from gateway.sampling.draw import Draw, Form
from gateway.sampling.hl7v2_sample import Line, Plan
from gateway.sampling.lists import Lists
from gateway.sampling.wishes import RESULT, applying, spoilings
from gateway.source import nearest
from gateway.tabular import Layout

ATTEMPTS = 20
MOST_WAYS = 1000
SENDER = "SAMPLER"


class NotSampled(Exception):  # noqa: N818 - says what could not be done
    """No sample could be made; the text says why, and which check stands in the way."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gateway makes of a body.

    Shape: `by` are the rules that refuse it, or the codes of what does; `told` are those of every finding; `unmapped`
    the paths that the maps make nothing of, `made` the resources that it becomes.
    """

    accepted: bool
    by: tuple[str, ...]
    findings: tuple[Finding, ...]
    unmapped: tuple[str, ...] = ()
    made: tuple[Resource, ...] = ()

    @property
    def told(self) -> frozenset[str]:
        """The rules that found anything."""
        return frozenset(finding.rule for finding in self.findings if finding.rule is not None)


Judge = Callable[[bytes], Verdict]


@dataclass(frozen=True, slots=True)
class Standards:
    """What samples are made by. Shape: `dictionaries` and `layouts` by version and name, versions oldest first."""

    lists: Lists
    dictionaries: Mapping[str, Dictionary]
    versions: tuple[str, ...]
    elements: Elements
    layouts: Mapping[str, Layout]


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample.

    Shape: `control_id` is MSH-10 of a message; `patient` the NHS number that it is about; `breaks` the check that it
    breaks, None for none.
    """

    domain: str
    data_type: str
    type: str
    body: bytes
    control_id: str
    patient: str
    breaks: str | None = None


class Maker(Protocol):
    """How samples of one data type are made, broken and written. What is made is its own affair."""

    @property
    def form(self) -> Form:
        """How values are written."""

    def make(self, draw: Draw) -> Any:
        """One submission."""

    def ways(self, made: Any, check: Check, draw: Draw) -> Iterator[Any]:
        """The submission made wrong, the likeliest ways to break the check first."""

    def body(self, made: Any) -> bytes:
        """A submission as it is sent."""

    def joined(self, bodies: Sequence[bytes]) -> bytes:
        """Several in one."""


@dataclass(frozen=True, slots=True)
class Hl7v2Maker:
    """Messages of one type."""

    plan: Plan

    @property
    def form(self) -> Form:
        """HL7's."""
        return hl7v2_sample.FORM

    def make(self, draw: Draw) -> list[Line]:
        """A message."""
        return hl7v2_sample.made(self.plan, draw)

    def ways(self, made: list[Line], check: Check, draw: Draw) -> Iterator[list[Line]]:
        """The fields that the check reads made wrong, then any other."""
        for doing in spoilings(check):
            yield hl7v2_sample.broken(made, doing, self.plan, draw, check)
        yield from hl7v2_sample.added(made, check, draw)
        yield from hl7v2_sample.otherwise(made, self.plan)

    def body(self, made: list[Line]) -> bytes:
        """A message."""
        return hl7v2_sample.body(made)

    def joined(self, bodies: Sequence[bytes]) -> bytes:
        """A batch, headed as its first message is. Source: HL7 v2.5.1, chapter 2.10.3 (batch protocol)."""
        mark = STANDARD.field.encode()
        head = mark.join(bodies[0].split(b"\r", 1)[0].split(mark)[1:7])
        return b"BHS|" + head + b"\r" + b"".join(bodies) + f"BTS|{len(bodies)}\r".encode()


@dataclass(frozen=True, slots=True)
class FhirMaker:
    """Resources of one type."""

    kind: str
    checks: tuple[Check, ...]
    elements: Elements

    @property
    def form(self) -> Form:
        """FHIR's."""
        return fhir_sample.FORM

    def make(self, draw: Draw) -> fhir_sample.Json:
        """A resource."""
        return fhir_sample.made(self.kind, self.checks, draw, self.elements)

    def ways(self, made: fhir_sample.Json, check: Check, draw: Draw) -> Iterator[fhir_sample.Json]:
        """The elements that the check reads made wrong, then any other."""
        for doing in spoilings(check):
            yield from fhir_sample.broken(made, doing, draw, self.elements)
        yield from fhir_sample.otherwise(made, self.elements)

    def body(self, made: fhir_sample.Json) -> bytes:
        """A resource."""
        return fhir_sample.body(made) + b"\n"

    def joined(self, bodies: Sequence[bytes]) -> bytes:
        """A line each (NDJSON), for files and pipes: a submission is one of them."""
        return b"".join(bodies)


@dataclass(frozen=True, slots=True)
class CsvMaker:
    """Rows of one layout."""

    layout: Layout
    checks: tuple[Check, ...]

    @property
    def form(self) -> Form:
        """That of the first column; each has its own."""
        return csv_sample.form_of(next(iter(self.layout.columns.values())))

    def make(self, draw: Draw) -> csv_sample.Row:
        """A row."""
        return csv_sample.made(self.layout, self.checks, draw)

    def ways(self, made: csv_sample.Row, check: Check, draw: Draw) -> Iterator[csv_sample.Row]:
        """The cells that the check reads made wrong, then any other."""
        met = csv_sample.met(self.layout, made, check, draw)
        for doing in spoilings(check):
            yield csv_sample.broken(self.layout, met, doing, draw)
        yield from csv_sample.otherwise(self.layout, made)

    def body(self, made: csv_sample.Row) -> bytes:
        """A file of one row."""
        return csv_sample.body(self.layout, [made])

    def joined(self, bodies: Sequence[bytes]) -> bytes:
        """A file of all rows."""
        return csv_sample.joined(self.layout, bodies)


@dataclass(frozen=True, slots=True, eq=False)
class Sampler:
    """Samples of one type for one domain."""

    domain: Domain
    data_type: str
    type: str
    checks: tuple[Check, ...]
    maker: Maker
    lists: Lists
    organisation: str
    judge: Judge

    def one(self, seed: int, index: int = 0) -> Sample:
        """A valid sample. Errors: NotSampled."""
        draw, made, _ = self._valid(seed, index)
        return self._sample(made, draw)

    def joined(self, samples: Sequence[Sample]) -> bytes:
        """Several in one body: a batch of messages, a file of rows; resources are a line each."""
        return samples[0].body if len(samples) == 1 else self.maker.joined([sample.body for sample in samples])

    def faulty(self, check: Check, seed: int, index: int = 0) -> Sample:
        """A sample with one fault, by which this check and, where that can be had, no other refuses it.

        Shape: a check that warns is broken too: the sample is taken, and the answer names the check.
        Errors: NotSampled where none of the ways that there are breaks it.
        """
        draw, made, verdict = self._valid(seed, index)
        if (
            RESULT in check.on.data_types
            and check.on.types
            and not {one["resourceType"] for one in verdict.made} & {*check.on.types}
        ):
            raise NotSampled(f"{self.type} makes no {' or '.join(check.on.types)}, of which {check.id} is")
        second: Any = None
        for wrong in itertools.islice(self.maker.ways(made, check, draw), MOST_WAYS):
            verdict = self.judge(self.maker.body(wrong))
            if _breaks(verdict, check):
                if check.severity != "error" or verdict.by == (check.id,):
                    return self._sample(wrong, draw, check.id)
                second = wrong if second is None else second
        if second is None:
            raise NotSampled(f"nothing that was tried in {self.type} breaks {check.id}: {check.title}")
        return self._sample(second, draw, check.id)

    def breakable(self) -> tuple[Check, ...]:
        """The checks that refuse, as far as they can be met by this type."""
        return tuple(check for check in self.checks if check.severity == "error")

    def check(self, name: str) -> Check:
        """A check of the domain by its id. Errors: NotSampled."""
        found = next((check for check in self.checks if check.id == name), None)
        if found is None:
            names = [check.id for check in self.checks]
            near = nearest(name, names)
            more = f"did you mean {near}?" if near else f"these do: {', '.join(names)}"
            raise NotSampled(f"no check {name} of {self.domain.name} applies to {self.type}; {more}")
        return found

    def _draw(self, seed: int, index: int, attempt: int) -> Draw:
        facts = {"organisation": self.organisation, "type": self.type, "event": self.type.partition("^")[2]}
        return Draw(self.lists, self.maker.form, seed, index, attempt, facts)

    def _valid(self, seed: int, index: int) -> tuple[Draw, Any, Verdict]:
        """What is taken without a word, or at least taken."""
        second: tuple[Draw, Any, Verdict] | None = None
        verdict = Verdict(accepted=False, by=(), findings=())
        own = {check.id for check in self.domain.checks}
        for attempt in range(ATTEMPTS):
            draw = self._draw(seed, index, attempt)
            made = self.maker.make(draw)
            verdict = self.judge(self.maker.body(made))
            if verdict.accepted and not verdict.told & own:
                return draw, made, verdict
            if verdict.accepted and second is None:
                second = draw, made, verdict
        if second is None:
            raise NotSampled(_why(self.type, self.domain.name, verdict))
        return second

    def _sample(self, made: Any, draw: Draw, breaks: str | None = None) -> Sample:
        body = self.maker.body(made)
        draw.form = self.maker.form
        names = draw.text("{control-id}"), draw.text("{nhs-number}")
        return Sample(self.domain.name, self.data_type, self.type, body, *names, breaks)


def _breaks(verdict: Verdict, check: Check) -> bool:
    return check.id in verdict.by if check.severity == "error" else verdict.accepted and check.id in verdict.told


def _why(kind: str, domain: str, verdict: Verdict) -> str:
    by = f" by {', '.join(verdict.by)}" if verdict.by else ""
    words = "; ".join(f.diagnostics for f in verdict.findings if f.severity == "error")
    return f"no sample of {kind} is taken by {domain}: the last of {ATTEMPTS} was refused{by}: {words}"


def sampler(domain: Domain, kind: str, standards: Standards, organisation: str, judge: Judge) -> Sampler:
    """What makes samples of a type that a domain accepts.

    Errors: NotSampled for another type, and for one that no version that the domain accepts has a structure for.
    """
    accept = next((a for a in domain.accepts if kind in a.types), None)
    if accept is None:
        names = [name for a in domain.accepts for name in a.types]
        near = nearest(kind, names)
        more = f"did you mean {near}?" if near else f"it accepts {', '.join(names)}"
        raise NotSampled(f"domain {domain.name} does not accept {kind}; {more}")
    checks = applying(domain, accept.data_type, kind)
    maker = _maker(accept, kind, checks, standards)
    made = Sampler(domain, accept.data_type, kind, checks, maker, standards.lists, organisation.upper(), judge)
    if not isinstance(maker, Hl7v2Maker):
        return made
    # what the maps make nothing of is left out; the first draw tells, so that a seed has no say in it
    draw = made._draw(0, 0, 0)  # noqa: SLF001 - its own module's
    verdict = judge(maker.body(maker.make(draw)))
    left = (*verdict.unmapped, *(f.expression or "" for f in verdict.findings if f.severity != "error"))
    maker = Hl7v2Maker(maker.plan.without(left))
    return Sampler(domain, accept.data_type, kind, checks, maker, standards.lists, made.organisation, judge)


def _maker(accept: Accept, kind: str, checks: tuple[Check, ...], standards: Standards) -> Maker:
    match accept.data_type:
        case "Fhir":
            return FhirMaker(kind, checks, standards.elements)
        case "Csv":
            return CsvMaker(standards.layouts[kind], checks)
        case _:
            for version in reversed(_versions(accept, standards.versions)):
                plan = hl7v2_sample.planned(standards.dictionaries[version], kind, checks)
                if plan is not None:
                    return Hl7v2Maker(plan)
            raise NotSampled(f"no accepted version of HL7 v2 has a structure for {kind}")


def _versions(accept: Accept, known: tuple[str, ...]) -> tuple[str, ...]:
    if accept.versions is None:
        return known
    low, high = (known.index(version) for version in accept.versions)
    return known[low : high + 1]
