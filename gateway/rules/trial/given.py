"""What a test gives, as facts: samples read from files, days and callers as the test says them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time
from typing import Any

from gateway import fhir, hl7v2, tabular
from gateway.fhir import Elements, Marks, Resource
from gateway.finding import Finding, refuses
from gateway.language.nodes import Text
from gateway.rules.accepting import between
from gateway.rules.decide import RuleSet
from gateway.rules.facts import Facts
from gateway.rules.ground import Vocabulary
from gateway.rules.trial.declared import SUBMITTED, Trial
from gateway.tabular import Known, Row

NOON = time(12, tzinfo=UTC)
"""The time of day in tests."""

Sample = Callable[[Text], bytes]
"""The content of a file that a test names. Errors: OSError."""


class Unusable(Exception):  # noqa: N818 - says what is wrong with a sample
    """A sample that no rule can be asked about: the words say why."""


@dataclass(frozen=True, slots=True)
class Converted:
    """What conversion made. Shape: `resources` are empty where a finding refuses."""

    resources: tuple[Resource, ...]
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class Conversion:
    """What tests need of the maps, which stand beside the rules: passed in from above.

    Shape: `whole` converts a message or a resource, `row` a row of a file; `codes` are the code maps of a layout.
    """

    whole: Callable[[Facts, bytes], Converted]
    row: Callable[[Facts, Row], Converted]
    codes: Callable[[str], Mapping[str, Known]]


@dataclass(frozen=True, slots=True)
class World:
    """What all tests of a rule set share."""

    rules: RuleSet
    vocabulary: Vocabulary
    conversion: Conversion
    sample: Sample

    @property
    def elements(self) -> Elements:
        """The element table."""
        return self.vocabulary.elements

    @property
    def marks(self) -> Marks:
        """What stored resources are marked with."""
        return Marks(self.vocabulary.tables.systems.marks)


@dataclass(frozen=True, slots=True)
class Sent:
    """One thing that is judged by itself: a message, a resource, or a row of a file.

    Shape: `name` is how it is called; `wrong` what makes it unreadable; `convert` makes resources of it.
    """

    name: str
    facts: Facts
    convert: Callable[[], Converted]
    wrong: tuple[Finding, ...] = ()


def facts(world: World, trial: Trial, action: str, **more: Any) -> Facts:
    """The facts of a test; `more` are those of what it gives."""
    caller = world.rules.caller(trial.principal)
    if caller is None:
        raise LookupError(trial.principal)  # the checker has looked it up
    now = datetime.combine(trial.day, NOON)
    return Facts(action, caller, trial.environment, now, trial.day, purpose=trial.purpose, **more)


def sent(world: World, trial: Trial) -> Sequence[Sent]:
    """What a test sends, each as it is judged.

    Errors: Unusable, OSError.
    """
    data_type = SUBMITTED[trial.kind]
    now = datetime.combine(trial.day, NOON)
    common = facts(
        world, trial, "ingest",
        domain=trial.domain, organisation=trial.organisation, data_type=data_type, received=now,
    )  # fmt: skip
    return apart(world, trial.kind, common, world.sample(trial.given))


def apart(world: World, kind: str, common: Facts, raw: bytes) -> Sequence[Sent]:
    """What a body holds, each as it is judged. Shape: `kind` as tests name it, `common` are the facts of all of it.

    Errors: Unusable.
    """
    return tuple(_READ[kind](world, common, raw))


def _message(world: World, common: Facts, raw: bytes) -> Iterator[Sent]:
    if hl7v2.is_batch(raw):
        raise Unusable("the file is a batch: give one message")
    message = hl7v2.read(raw)
    known = replace(common, message=message, type=message.type)
    accepts = [a for a in world.rules.domains[common.domain or ""].accepts if a.data_type == "Hl7v2"]
    fitting = [accept for accept in accepts if message.type in accept.types]
    wrong = message.findings if refuses(message.findings) else ()
    if not wrong and not fitting:
        wrong = (_strange(f"the domain accepts no message type {message.type}", "MSH-9"),)
    if not wrong and not any(message.version in between(a.versions, world.vocabulary) for a in fitting):
        wrong = (_strange(f"the domain accepts no {message.type} of version {message.version}", "MSH-12"),)
    yield Sent("the message", known, lambda: world.conversion.whole(known, raw), wrong)


def _resource(world: World, common: Facts, raw: bytes) -> Iterator[Sent]:
    resource = read(raw)
    name = str(resource["resourceType"])
    findings = fhir.validate(resource, world.elements)
    known = replace(common, type=name, resources={} if refuses(findings) else fhir.placed(resource))
    wrong = findings if refuses(findings) else ()
    accepts = [a for a in world.rules.domains[common.domain or ""].accepts if a.data_type == "Fhir"]
    if not wrong and not any(name in accept.types for accept in accepts):
        wrong = (_strange(f"the domain accepts no {name}", "resourceType"),)
    yield Sent(f"the {name}", known, lambda: world.conversion.whole(known, raw), wrong)


def _file(world: World, common: Facts, raw: bytes) -> Iterator[Sent]:
    accepts = [a for a in world.rules.domains[common.domain or ""].accepts if a.data_type == "Csv"]
    layouts = [world.rules.layouts[name] for accept in accepts for name in accept.types]
    if not layouts:
        raise Unusable("the domain accepts no files")
    begun = tabular.begin(raw, layouts)
    if isinstance(begun, Finding):
        raise Unusable(begun.diagnostics)
    reading = tabular.Reading(begun, world.conversion.codes(begun.layout.name))
    for row in reading.rows((raw,)):
        known = replace(common, type=begun.layout.name, row=row.values)
        yield Sent(tabular.place(row.line), known, _of(world, known, row), row.findings)


def _of(world: World, known: Facts, row: Row) -> Callable[[], Converted]:
    return lambda: world.conversion.row(known, row)


def _strange(words: str, place: str) -> Finding:
    return Finding("error", "not-supported", words, place)


_READ: Mapping[str, Callable[[World, Facts, bytes], Iterator[Sent]]] = {
    "message": _message,
    "resource": _resource,
    "file": _file,
}


# --- stored resources ----------------------------------------------------------------------------------------------


def read(raw: bytes) -> Resource:
    """A resource. Errors: Unusable."""
    try:
        return fhir.load(raw)
    except fhir.JsonError as fault:
        raise Unusable(f"the file is no FHIR resource: {fault.words}") from fault


def stored(world: World, trial: Trial, texts: Sequence[Text]) -> Iterator[Resource]:
    """Resources that the record is said to hold; of a Bundle each entry; with the tags of who contributed them.

    Errors: Unusable, OSError.
    """
    for text in texts:
        resource = read(world.sample(text))
        findings = fhir.validate(resource, world.elements)
        if refuses(findings):
            first = next(f for f in findings if f.severity in {"error", "fatal"})
            raise Unusable(f"{text.value} is not valid FHIR R4: {first.diagnostics} ({first.expression})")
        held = [entry["resource"] for entry in resource.get("entry", ()) if "resource" in entry]
        for one in held if resource["resourceType"] == "Bundle" else [resource]:
            yield tagged(one, trial.sources, trial.contributed_to or "", world.marks)


def tagged(resource: Resource, sources: Sequence[str], domain: str, marks: Marks) -> Resource:
    """A resource as these organisations contributed it."""
    for organisation in sources:
        resource = fhir.contributed(resource, organisation=organisation, domain=domain, marks=marks)
    return resource
