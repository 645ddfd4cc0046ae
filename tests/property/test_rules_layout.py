"""`gateway rules fmt`: a layout says what the file said, is its own layout, and keeps every comment."""

from __future__ import annotations

import functools
import random
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.rules import parse
from gateway.rules.layout import lay, meaning
from gateway.rules.lines import WIDTH
from gateway.source import Source
from tests.bounded import examples, sample
from tests.conformance.rules.test_cases import CASES

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = sorted((ROOT / "rules").rglob("*.rules"))
TEXTS = [*(path.read_text("utf-8") for path in SHIPPED), *(case.source.text for case in sample(CASES, 3))]
READ = [text for text in TEXTS if not parse.read(Source("x.rules", text)).diagnostics]
SHORT = 2_500
FORM = """language 1
# what it is about

domain here "Here"
  owner "Somebody"  # behind a clause
accept Hl7v2 ADT^A01, ADT^A03
  # what its senders write
  convert with uk-core  # laid over the maps
  versions 2.3 to 2.5.1
accept Csv visits
set admissions = ADT^A01, ADT^A04

permit H-P1 "Engines send"
  to ingest
  when caller connects as organisation
   and caller sends as organisation  # both of them
   # a remark on what follows
   and caller sends category message.type
  because DSA-1

check H-C0 "What is made keeps to UK Core"
  on result Patient
  require resource conforms  to   uk-core  # its lists of codes too
  except minimum as information
  otherwise warning value

check H-C1 "A discharge carries its time"
  on Hl7v2 when discharged
  require PV1-45 "Discharge Date/Time" is present
       or (PV1-44 is present and PV1-44 is not "20260101") or PV1-43 is present or PV1-42 is present
  otherwise error required "PV1-45 is missing"

check H-C2 "Identifiers are whole"
  on Hl7v2
  require any id in PID-3 where (id.5 is "NH" or id.4 is "NHS") satisfies (id.1 is present and id.1 is nhs-number)
  otherwise warning business-rule

mask H-M1 "Old addresses"
  to search, read, history Patient, Encounter
  when patient has age under 16 years or Encounter.period.start within 12 months or patient listed in ndoo
  hide Patient.address

permit H-P2 "Partners read"
  to search Patient
  when any of:
    caller has role gp-viewer
    (purpose is TREAT and user is present)
    not (caller has role commissioner)
  asking _id or (family and birthdate)
  rows Patient linked by Encounter.subject where Encounter.serviceProvider in caller.organisations and
 Encounter.status is "finished"
  # at its end

route H-R1 "All"
  on Hl7v2
  when message.type in admissions
    or message.type is ADT^A03
  to record
  and to board on failure queue for 72 hours
  on failure reject
# about the principal
principal engine "Engine"
  sends category patient-administration ADT^A01, ADT^A02, ADT^A03, ADT^A04, ADT^A05, ADT^A06,
    ADT^A07, ADT^A08  # the last
"""


LAID = """check H-C1 "A discharge carries its time"
  on Hl7v2 when discharged
  require PV1-45 "Discharge Date/Time" is present
       or (PV1-44 is present and PV1-44 is not "20260101")
       or PV1-43 is present
       or PV1-42 is present
  otherwise error required "PV1-45 is missing"

check H-C2 "Identifiers are whole"
  on Hl7v2
  require any id in PID-3
            where (id.5 is "NH" or id.4 is "NHS")
            satisfies (id.1 is present and id.1 is nhs-number)
  otherwise warning business-rule

mask H-M1 "Old addresses"
  to search, read, history Patient, Encounter
  when patient has age under 16 years
    or Encounter.period.start within 12 months
    or patient listed in ndoo
  hide Patient.address

permit H-P2 "Partners read"
  to search Patient
  when any of:
    caller has role gp-viewer
    (purpose is TREAT and user is present)
    not (caller has role commissioner)
  asking _id or (family and birthdate)
  rows Patient linked by Encounter.subject
    where Encounter.serviceProvider in caller.organisations and Encounter.status is "finished"
  # at its end

route H-R1 "All"
  on Hl7v2
  when message.type in admissions
    or message.type is ADT^A03
  to record
  and to board on failure queue for 72 hours
  on failure reject

# about the principal
principal engine"""


@functools.cache
def laid(text: str) -> str:
    found = lay(Source("x.rules", text))
    assert found.text is not None, found.diagnostics
    return found.text


@pytest.mark.parametrize("text", READ)
def test_a_layout_says_the_same_and_is_its_own(text: str) -> None:
    once = laid(text)
    assert meaning(Source("x.rules", once)) == meaning(Source("x.rules", text))
    assert laid(once) == once
    assert re.findall(r"#.*", once) == [found.rstrip() for found in re.findall(r"#.*", text)]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_rules_are_in_their_layout(path: Path) -> None:
    text = path.read_text("utf-8")
    assert laid(text) == text


def test_the_layout_is_this() -> None:
    assert LAID in laid(FORM)


def test_a_file_with_errors_has_no_layout() -> None:
    found = lay(Source("x.rules", 'language 1\nrole   a\nrole b   "B"\n'))
    assert found.text is None
    assert [d.code for d in found.diagnostics] == ["R002"]


def loosened(text: str, chance: random.Random, *, comments: bool) -> str:
    """The same tokens with other blanks, line breaks and comments between them; what has a meaning stays."""
    lines: list[str] = []
    for line in text.split("\n"):
        parts = re.findall(r'"(?:[^"\\]|\\.)*"|#.*|[^\s"#]+|\s+', line)
        block = bool(lines) and lines[-1].rstrip().endswith("of:")
        keep = re.match(r"\s*(to|and to) .* on failure", line) is not None
        new = ""
        for i, part in enumerate(parts):
            if not part.isspace():
                new += part
            elif i == 0:
                new += " " * chance.randint(1, 9)
            elif parts[i + 1].startswith("#") or keep or block:
                new += " " * chance.randint(1, 3)
            else:
                new += chance.choice([" ", "  ", "\t", "\n ", "\r\n\t", " # said\n   " if comments else "\n  "])
        if comments and chance.random() < 0.2 and "#" not in new:
            new += chance.choice(["  # behind", "\n  # below", "\n# at the margin"])
        lines.append(new + " " * chance.randint(0, 2))
        if chance.random() < 0.2:
            lines += [""] * chance.randint(1, 3)
    return "\n".join(lines)


@given(
    st.sampled_from([FORM, *(text for text in READ if len(text) < SHORT)]),
    st.integers(0, 2**32),
    st.booleans(),
)
@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_blanks_and_comments_never_change_what_is_said(text: str, seed: int, comments: bool) -> None:  # noqa: FBT001 - hypothesis fills it
    loose = loosened(text, random.Random(seed), comments=comments)  # noqa: S311 - no secret is made of it
    if parse.read(Source("x.rules", loose)).diagnostics:
        return  # a condition of a block, or an `or` after `in`, that lost its line
    once = laid(loose)
    assert laid(once) == once
    assert meaning(Source("x.rules", once)) == meaning(Source("x.rules", loose))
    if not comments:
        # one layout: how it was written before leaves no trace but blank lines that an author may choose
        assert once.split() == laid(text).split()
        assert [line for line in once.split("\n") if line] == [line for line in laid(text).split("\n") if line]


@pytest.mark.parametrize("text", [FORM, *(path.read_text("utf-8") for path in SHIPPED)])
def test_lines_are_as_wide_as_they_may_be(text: str) -> None:
    for line in laid(text).split("\n"):
        words = re.sub(r"\s*#.*", "", line)
        assert len(words) <= WIDTH or '"' in words
