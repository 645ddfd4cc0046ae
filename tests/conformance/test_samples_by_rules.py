"""Samples for a domain of one's own: what its checks ask for is in them, and what can't be had is said."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path

import pytest

from gateway import hl7v2, loading, rules, samples, specs
from gateway.sampling import NotSampled, Sampler
from tests import rule_sets
from tests.running import NOW

RULES = """language 1

domain clinic "Clinics"
  owner "Clinics"
  contact "clinics@example.org"

accept Hl7v2 ADT^A04
  versions 2.4 to 2.5
accept Fhir Encounter
accept Csv ed-attendances

set classes = "O", "R"

permit CL-P1 "Clinics send"
  to ingest
  when caller sends as organisation{permit}
  because "A test"

route CL-R1 "To the record"
  on Hl7v2, Fhir, Csv
  to record
  on failure reject
"""
REGISTRY = """language 1

organisation r0d "A clinic"
target record "The record" takes Fhir
"""


@functools.cache
def shipped() -> loading.Decisions:
    """Maps take long to load, and are the same for every domain."""
    return rule_sets.decisions(specs.ROOT.parent / "rules", specs.ROOT)


def sampler(tmp_path: Path, kind: str, checks: str = "", permit: str = "", principal: str | None = None) -> Sampler:
    (tmp_path / "clinic.rules").write_text(RULES.format(permit=permit) + checks, "utf-8")
    (tmp_path / "registry.rules").write_text(REGISTRY, "utf-8")
    read = rules.load(tmp_path, loading.vocabulary(specs.ROOT))
    assert read.rules is not None, read.diagnostics
    loaded = replace(shipped(), rules=read.rules)
    return samples.sampler(loaded, specs.ROOT, "clinic", kind, principal=principal, clock=lambda: NOW)


ASKED = [
    ('require PV1-2 is present and PV1-2 is "R"', "PV1", 2, 1, {"R"}),
    ("require PV1-2 is present and PV1-2 in classes", "PV1", 2, 1, {"R"}),
    ('require PID-16 is present and PID-16 in "D", "W"', "PID", 16, 1, {"D", "W"}),
    ('require PV1-18 is present and PV1-18 is "AB1"', "PV1", 18, 1, {"AB1"}),
    ('require PV1-3.2 is present and PV1-3.2 is "RM7"', "PV1", 3, 2, {"RM7"}),
    ('for each line in PID-11\n  require line.6 is "IMN"', "PID", 11, 6, {"IMN"}),
    ("require PID-29 is present or PID-6 is present", "PID", 29, 1, None),
]  # fmt: skip


def test_what_checks_ask_for_is_in_the_sample_and_each_is_broken(tmp_path: Path) -> None:
    checks = "".join(
        f'\ncheck CL-C{number} "As asked"\n  on Hl7v2\n  {words}\n  otherwise error required "not as asked"\n'
        for number, (words, *_) in enumerate(ASKED)
    )
    made = sampler(tmp_path, "ADT^A04", checks)
    message = hl7v2.read(made.one(1).body)
    assert message.version == "2.5"
    for number, (words, segment, field, component, values) in enumerate(ASKED):
        found = message.text(segment, field, component)
        assert found, words
        assert values is None or found in values, words
        by = made.judge(made.faulty(made.check(f"CL-C{number}"), 1).body).by
        assert f"CL-C{number}" in by, words
        assert len(by) == 1 or number < 2, words  # both of the first are of one field


def test_elements_and_columns_are_filled_as_checks_ask(tmp_path: Path) -> None:
    checks = """
check CL-C1 "Planned visits"
  on Fhir Encounter
  require Encounter.status is present and Encounter.status is "planned" and Encounter.priority is present
  otherwise error value "not planned"

check CL-C2 "Own site"
  on Csv
  require row.SITE is present and row.SITE in "R0D77", "R0D78"
  otherwise error value "another site"
"""
    encounter = sampler(tmp_path, "Encounter", checks)
    assert encounter.judge(encounter.one(1).body).made[-2]["status"] == "planned"
    assert encounter.judge(encounter.faulty(encounter.check("CL-C1"), 1).body).by == ("CL-C1",)
    rows = sampler(tmp_path, "ed-attendances", checks)
    assert b"R0D77" in rows.one(1).body or b"R0D78" in rows.one(1).body
    assert rows.judge(rows.faulty(rows.check("CL-C2"), 1).body).by == ("CL-C2",)


def test_checks_that_contradict_each_other_are_named(tmp_path: Path) -> None:
    both = "".join(
        f'\ncheck CL-C{n} "One"\n  on Hl7v2\n  require PV1-2 is present and PV1-2 is "{code}"\n'
        '  otherwise error value "not so"\n'
        for n, code in ((1, "O"), (2, "R"))
    )
    with pytest.raises(NotSampled, match=r"the last of 20 was refused by CL-C1: not so"):
        sampler(tmp_path, "ADT^A04", both).one(1)


def test_what_nobody_may_send_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotSampled, match="is taken by clinic: the last of 20 was refused"):
        sampler(tmp_path, "ADT^A04", permit='\n   and environment is "moon"').one(1)


def test_an_invented_caller_sends_where_no_principal_is_registered(tmp_path: Path) -> None:
    assert b"|R0D|" in sampler(tmp_path, "ADT^A04").one(1).body
    with pytest.raises(NotSampled, match="no rule file declares a principal nobody"):
        sampler(tmp_path, "ADT^A04", principal="nobody")
