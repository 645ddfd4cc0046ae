"""What another rule set changes, in words: from what the two mean, never from how they are written."""

from __future__ import annotations

import functools
import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from gateway.rules import RuleSet, load
from gateway.rules.account.difference import Difference, difference
from gateway.rules.layout import lay
from gateway.source import Source
from tests.conformance.rules.support import DOMAIN, REGISTRY, ROOT, loaded, read, ruled, shipped, vocabulary

PERMIT = """permit P "Partners see"
  to search, read Encounter, Patient
  when caller has role gp-viewer and purpose is TREAT
  asking _id or (date and status)
  allowing class
  rows Encounter where Encounter.status in "finished", "planned"
  all rows Patient
  hide Encounter.length
  because DSA-1
"""
SENDING = """permit S "Engines send"
  to ingest
  when caller connects as organisation and caller sends category message.type
forbid F "Never training"
  to ingest
  on Hl7v2
  when MSH-11.1 is present and MSH-11.1 in "T", "D"
check C "A visit has a class"
  on Hl7v2 ADT^A01
  require PV1-2 is present
  otherwise error required "PV1-2 is missing"
route R "All"
  on Hl7v2
  to record
  and to board on failure queue for 72 hours
  on failure reject
"""
BASE = PERMIT + SENDING
HERE = Path(__file__).parent


@functools.cache
def base() -> RuleSet:
    return ruled(BASE)


def sentences(found: Difference) -> list[str]:
    return [f"{change.kind} {change.sentence}" for change in found.changes]


# --- no difference -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["formatted", "blank", "turned", "one-file-each"])
def test_two_layouts_of_the_shipped_rules_are_no_difference(way: str, tmp_path: Path) -> None:
    for path in (ROOT / "rules").glob("*.rules"):
        text = path.read_text("utf-8")
        if path.name.endswith(".test.rules"):
            continue
        if way == "formatted":
            text = lay(Source(path.name, text.replace("\n  ", "\n      "))).text or ""
        elif way == "blank":
            text = re.sub(r"\n(?=\S)", "\n# a comment\n\n", text)
        elif way == "turned":
            head, *statements = re.split(r"\n(?=(?:permit|forbid|mask|check|route|principal|agreement) )", text)
            text = "\n".join((head.rstrip(), *reversed([s.rstrip() for s in statements]), ""))
        (tmp_path / f"{'x-' if way == 'one-file-each' else ''}{path.name}").write_text(text, "utf-8")
    for folder in ("lists", "codes"):
        if (ROOT / "rules" / folder).is_dir():
            (tmp_path / folder).symlink_to(ROOT / "rules" / folder)
    other = loaded(load(tmp_path, vocabulary()))
    found = difference(shipped(), other)
    assert sentences(found) == []
    assert not found


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("caller has role gp-viewer and purpose is TREAT", "purpose is TREAT and caller has role gp-viewer"),
        (
            "caller has role gp-viewer and purpose is TREAT",
            "not (not (caller has role gp-viewer)) and purpose is TREAT",
        ),
        ('in "finished", "planned"', 'in "planned", "finished"'),
        ('in "T", "D"', "in training"),
        ("MSH-11.1 is present and MSH-11.1", "(MSH-11.1 is present) and MSH-11.1"),
        ("asking _id or (date and status)", "asking (status and date) or _id"),
        ("on Hl7v2\n  to record", "on Hl7v2 ADT^A03, ADT^A01\n  to record"),
        ("on Hl7v2 ADT^A01", "on Hl7v2 when message.type is ADT^A01"),
        ("  hide Encounter.length", "  hide Encounter.length, Encounter.length"),
        ("  all rows Patient", "  rows Patient where caller has role gp-viewer"),
    ],
)
def test_what_means_the_same_is_no_difference_to_anyone(old: str, new: str) -> None:
    text = BASE.replace(old, new)
    assert text != BASE
    found = difference(base(), ruled('set training = "D", "T"\n' + text))
    assert [s for s in sentences(found) if not s.startswith("change here: check C now says")] == []


def test_a_permit_may_stand_in_another_domain() -> None:
    there = 'language 1\ndomain there "There"\n  serves record\n' + PERMIT
    assert sentences(difference(base(), ruled(SENDING, there))) == ["change there: this domain is new"]


# --- who gains and loses -------------------------------------------------------------------------------------------


# --- who gains and loses -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Case:
    """One change of the base or of its registry, with what is said of it."""

    old: str
    new: str
    said: list[str]


def cases() -> list[Case]:
    found: list[Case] = []
    for block in (HERE / "changes.txt").read_text("utf-8").split("\n\n"):
        lines = [line for line in block.splitlines() if not line.startswith("#")]
        parts = {mark: [line[2:] for line in lines if line[0] == mark] for mark in "-+>"}
        if parts["-"]:
            found.append(Case("\n".join(parts["-"]), "\n".join(parts["+"]), parts[">"]))
    return found


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.old.strip())
def test_a_change_is_said_in_words(case: Case) -> None:
    gone = f"{case.old}\n" if not case.new else case.old  # without anything in its place, the line goes
    assert (gone in BASE) is not (gone in REGISTRY)
    other = ruled(BASE.replace(gone, case.new), registry=REGISTRY.replace(gone, case.new))
    assert sentences(difference(base(), other)) == case.said


def test_a_new_forbid_takes_and_a_new_mask_takes() -> None:
    more = 'forbid N "x"\n  to read Encounter\n  when Encounter.status is present and Encounter.status is "planned"\n'
    more += 'mask M "x"\n  to read Encounter\n  when purpose is present and purpose is TREAT\n  hide Encounter.class\n'
    found = difference(base(), ruled(BASE + more))
    masked, forbidden = sentences(found)[:2]
    assert masked.startswith(
        "lose partner can read Encounter now without Encounter.class when the purpose is given and"
    )
    assert forbidden.startswith("lose partner can no longer read Encounter where Encounter.status is given and")
    assert (masked[-4:], forbidden[-4:]) == (" (M)", " (N)")
    assert [c.sentence for c in found.changes if c.area == "rules"] == [
        "N: this forbid is new: x",
        "M: this mask is new: x",
    ]


def test_a_forbid_that_holds_of_all_takes_it_away() -> None:
    found = difference(base(), ruled(BASE + 'forbid N "x"\n  to read any\n'))
    assert sentences(found)[0] == "lose partner can no longer read Encounter and Patient"


def test_a_rule_of_which_a_condition_changed_is_shown_with_both_sources() -> None:
    found = difference(base(), ruled(BASE.replace("purpose is TREAT", "purpose is HOPERAT")))
    (rewritten,) = found.rewritten
    assert rewritten.id == "P"
    assert "purpose is TREAT" in rewritten.old
    assert "purpose is HOPERAT" in rewritten.new
    assert (rewritten.old_place, rewritten.new_place) == ("1.rules:6", "1.rules:6")


def test_what_domains_accept_is_said() -> None:
    text = DOMAIN.replace("ADT^A01, ADT^A03", "ADT^A01, ADT^A08").replace("2.5.1", "2.5\n  convert with uk-core")
    other = read("", text.replace("domain here", "domain there"))
    assert other.rules is not None
    nothing: dict[str, Any] = dict.fromkeys(("permits", "forbids", "checks", "routes"), ())
    renamed = replace(other.rules.domains["there"], name="here")
    new = replace(base(), domains={"here": replace(renamed, **nothing)})
    old = replace(
        base(), domains={"here": replace(base().domains["here"], permits=(), forbids=(), checks=(), routes=())}
    )
    assert sentences(difference(old, new)) == [
        "change here: now accepts Hl7v2 ADT^A08",
        "change here: no longer accepts Hl7v2 ADT^A03",
        "change here: accepts Hl7v2 ADT^A01 of the versions 2.3 to 2.5 (before: 2.3 to 2.5.1)",
        "change here: accepts Hl7v2 ADT^A01 converted with uk-core (before: no overlay)",
    ]


def test_of_a_list_it_is_said_how_many_values_are_otherwise_and_never_which(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "rules", tmp_path / "rules", ignore=shutil.ignore_patterns("samples", "*.test.rules"))
    file = tmp_path / "rules" / "lists" / "ndoo.csv"
    file.write_text(f"{file.read_text('utf-8').rstrip()}\n9990000255\n", "utf-8")
    found = sentences(difference(shipped(), loaded(load(tmp_path / "rules", vocabulary()))))
    assert found == ["change ndoo: has 1 value more"]


def test_a_list_that_grows_stale_is_said_to(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "rules", tmp_path / "rules", ignore=shutil.ignore_patterns("samples", "*.test.rules"))
    file = tmp_path / "rules" / "lists" / "ndoo.csv"
    file.write_text("# as of 2026-05-10\n" + re.sub("# as of.*\n", "", file.read_text("utf-8")), "utf-8")
    registry = tmp_path / "rules" / "registry.rules"
    declared = '"lists/ndoo.csv"'
    text = registry.read_text("utf-8")
    registry.write_text(text.replace(declared, f"{declared} stale after 10 days"), "utf-8")
    found = sentences(difference(shipped(), loaded(load(tmp_path / "rules", vocabulary()))))
    assert found == ["change ndoo: can be used until 20 May 2026 (before: without an end)"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("hide Encounter.class", "hide Encounter.class, Encounter.length"),
        (
            "to read Encounter\n  when caller has role counter\n  hide",
            "to read, search Encounter\n  when caller has role counter\n  hide",
        ),
        ("to read Patient", "to read Patient, Encounter"),
        ("to count Encounter", "to count Encounter, Patient"),
        ("allowing date", "allowing date, status"),
        ("asking _id\n", "asking _id or identifier\n"),
        ("because DSA-1\n  review", "because DSA-2\n  review"),
        ("2027-03-31", "2027-04-30"),
    ],
)
def test_a_rule_that_concerns_nobody_of_today_is_shown_too(old: str, new: str) -> None:
    text = BASE + (
        'mask M "Of counters"\n  to read Encounter\n  when caller has role counter\n  hide Encounter.class\n'
        'forbid N "Of counters"\n  to read Patient\n  when caller has role counter\n'
        'permit Q "Counters"\n  to count Encounter\n  when caller has role counter\n  asking _id\n  allowing date\n'
        "  all rows\n  because DSA-1\n  review by 2027-03-31\n"
    )
    assert old in text
    found = difference(ruled(text), ruled(text.replace(old, new)))
    assert found.changes == ()
    assert len(found.rewritten) == 1
