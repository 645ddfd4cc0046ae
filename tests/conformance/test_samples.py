"""`gateway sample`: for every type that a shipped domain accepts, samples that are taken, and faults that are named.

Design: issue 4, "`gateway sample TYPE --domain D` writes valid synthetic messages from rules and dictionary".
"""

from __future__ import annotations

import csv
import functools
import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway import fhir, hl7v2, samples, specs
from gateway.fhir.identity import valid_nhs_number
from gateway.hl7v2 import dictionary
from gateway.sampling import NotSampled, Sampler
from tests import rule_sets
from tests.running import NOW, Running, running

ROOT = Path(__file__).resolve().parents[2]
LOADED = rule_sets.decisions(ROOT / "rules", specs.ROOT)
ENGINE = "demo-engine"
TYPES = [
    (domain.name, accept.data_type, kind)
    for domain in LOADED.rules.domains.values() for accept in domain.accepts for kind in accept.types
]  # fmt: skip
SENT = [one for one in TYPES if one[2] in LOADED.rules.registry.principals[ENGINE].sends.get(one[0], ())]
MEDIA = {"Hl7v2": "text/plain", "Fhir": "application/fhir+json", "Csv": "text/csv"}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("samples") / "data", LOADED) as one:
        yield one


@functools.cache
def sampler(domain: str, kind: str, principal: str | None = None) -> Sampler:
    return fresh(domain, kind, principal)


def fresh(domain: str, kind: str, principal: str | None = None) -> Sampler:
    return samples.sampler(LOADED, specs.ROOT, domain, kind, principal=principal, clock=lambda: NOW)


def sent(gateway: Running, one: tuple[str, str, str], body: bytes) -> tuple[int, str]:
    domain, data_type, _ = one
    reply = gateway.send(body, source_domain=domain, data_type=data_type, Content_Type=MEDIA[data_type])
    return reply.status_code, reply.text


def test_the_demo_engine_may_send_most_of_them() -> None:
    assert len(SENT) >= len(TYPES) - 1


@pytest.mark.parametrize("one", SENT, ids="/".join)
def test_a_sample_of_each_type_is_taken(gateway: Running, one: tuple[str, str, str]) -> None:
    made = sampler(one[0], one[2], ENGINE)
    for seed in (1, 2):
        status, text = sent(gateway, one, made.one(seed).body)
        assert status == 200, text


@pytest.mark.parametrize("one", TYPES, ids="/".join)
def test_no_check_warns_of_a_sample(one: tuple[str, str, str]) -> None:
    made = sampler(one[0], one[2])
    own = {check.id for check in made.domain.checks}
    for seed in range(3):
        verdict = made.judge(made.one(seed).body)
        assert verdict.accepted
        assert not verdict.told & own


@pytest.mark.parametrize("one", TYPES, ids="/".join)
def test_what_a_sample_becomes_is_valid_r4(one: tuple[str, str, str]) -> None:
    made = sampler(one[0], one[2])
    verdict = made.judge(made.one(1).body)
    assert verdict.made
    for resource in verdict.made:
        wrong = [f for f in fhir.validate(resource, LOADED.elements) if f.severity == "error"]
        assert wrong == [], (resource["resourceType"], wrong)


@pytest.mark.parametrize("one", SENT, ids="/".join)
def test_each_fault_is_refused_by_the_check_that_it_breaks(gateway: Running, one: tuple[str, str, str]) -> None:
    made = sampler(one[0], one[2], ENGINE)
    broken = faults(made)
    assert broken or not made.breakable() or one[1] == "Csv"
    for check, body in broken:
        status, text = sent(gateway, one, body)
        assert (status, check in text) == (422, True), (check, text)


@functools.cache
def faults(made: Sampler) -> tuple[tuple[str, bytes], ...]:
    found = []
    for check in made.breakable():
        try:
            found.append((check.id, made.faulty(check, 3).body))
        except NotSampled:
            # what a result of another type holds, or a segment that this type has not: nothing of it can break it
            assert "result" in check.on.data_types or check.each is not None, check.id
    return tuple(found)


def sender(domain: str, kind: str) -> str | None:
    return ENGINE if any((domain, kind) == (one[0], one[2]) for one in SENT) else None


def test_every_check_that_refuses_is_broken_by_some_type() -> None:
    broken = {check for domain, _, kind in TYPES for check, _ in faults(sampler(domain, kind, sender(domain, kind)))}
    every = {c.id for d in LOADED.rules.domains.values() if d.accepts for c in d.checks if c.severity == "error"}
    assert every - broken == set()


@pytest.mark.parametrize("one", TYPES, ids="/".join)
def test_the_seed_decides_everything(one: tuple[str, str, str]) -> None:
    first, second = (fresh(one[0], one[2]) for _ in range(2))
    assert first.one(7, 3).body == second.one(7, 3).body
    assert first.one(7, 3).body != first.one(8, 3).body


@pytest.mark.parametrize("one", [one for one in TYPES if one[1] == "Hl7v2"], ids="/".join)
def test_messages_are_of_the_dictionary(one: tuple[str, str, str]) -> None:
    """HL7 v2.5.1 chapter 2.5 (fields required and of their length) and the structure of the type, by the dictionary."""
    message = hl7v2.read(sampler(one[0], one[2]).one(4).body)
    assert message.findings == ()
    known = LOADED_DICTIONARIES[message.version or ""]
    structure = known.structures[known.structure_of(one[2]) or ""]
    assert {segment.name for segment in message.segments} <= structure.segments()
    for segment in message.segments:
        for number, described in known.segments[segment.name].fields.items():
            assert segment.raw(number) or not described.min, f"{segment.name}-{number}"


LOADED_DICTIONARIES = dictionary.Dictionaries(specs.ROOT)


def test_people_are_invented_and_numbers_of_the_test_range() -> None:
    numbers = set()
    for index in range(50):
        body = sampler("patient-administration", "ADT^A28").one(5, index).body.decode()
        found = re.findall(r"\b\d{10}\b(?=\^\^\^NHS)", body)
        assert len(found) == 1
        assert valid_nhs_number(found[0])
        assert "9990000000" <= found[0] <= "9999999999"
        numbers.add(found[0])
    assert len(numbers) == 50


def test_several_messages_are_a_batch_that_the_gateway_takes(gateway: Running) -> None:
    made = sampler("emergency-care", "ADT^A01", ENGINE)
    reply = gateway.send(made.joined([made.one(6, index) for index in range(3)]))
    assert [answer.code for answer in hl7v2.read_acknowledgements(reply.content) if answer is not None] == ["AA"] * 3


def test_several_rows_are_a_file() -> None:
    made = sampler("emergency-care", "ed-attendances")
    text = made.joined([made.one(6, index) for index in range(3)]).decode()
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert len({row["NHS_NUMBER"] for row in rows}) == 3


def test_several_resources_are_a_line_each() -> None:
    made = sampler("emergency-care", "Bundle")
    lines = made.joined([made.one(6, index) for index in range(3)]).splitlines()
    assert [fhir.load(line)["resourceType"] for line in lines] == ["Bundle"] * 3


@pytest.mark.parametrize(
    ("domain", "kind", "words"),
    [
        ("emergency-car", "ADT^A01", "did you mean emergency-care"),
        ("emergency-care", "ADT^A40", "did you mean ADT^A04"),  # two digits swapped
        ("reference-data", "x", "it accepts ods-organisations"),
    ],
)
def test_what_can_not_be_made_is_said(domain: str, kind: str, words: str) -> None:
    with pytest.raises(NotSampled, match=re.escape(words)):
        sampler(domain, kind)


def test_a_check_that_does_not_apply_is_said() -> None:
    with pytest.raises(NotSampled, match="no check EC-C2 of emergency-care applies to ADT\\^A01"):
        sampler("emergency-care", "ADT^A01").check("EC-C2")
