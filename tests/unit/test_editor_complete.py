"""What editors offer while a statement is being written: the cursor is at the end of what is typed, or at `@@`."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gateway import loading
from gateway.config import REPOSITORY, load
from gateway.editor.book import book
from gateway.editor.complete import Item, complete
from gateway.editor.uses import words
from gateway.rules import Vocabulary
from gateway.rules.load import read_sources
from gateway.rules.parse import KINDS
from gateway.source import Source

HERE = "@@"

REGISTRY = """language 1

organisation r0d "University Hospitals Dorset"
role viewer "Sees"
role writer "Writes"
purpose TREAT "Treatment"
target record "The record" takes Fhir
agreement DSA-1 "Feed" from 2026-01-01 until 2030-01-01
list out "Opted out" of nhs-number from "out.csv"
codes heart "Heart" from "heart.csv"
principal engine "Engine"
"""

CARE = """language 1

domain care "Care"
  serves record

accept Hl7v2 ADT^A01, ADT^A03
  versions 2.3 to 2.5.1
accept Fhir Encounter
accept Csv ed-attendances

set training = "T", "D"

condition discharged on Hl7v2
  means message.type is ADT^A03

"""

AFTER = """

check C-C9 "Behind"
  on Hl7v2 when discharged
  require PID-3 is present
  otherwise error required
"""

Offered = Callable[[str], dict[str, Item]]


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return loading.vocabulary(load().specs)


@pytest.fixture
def offered(vocabulary: Vocabulary) -> Offered:
    """What is offered in a statement between others, by its text."""

    def offer(typed: str) -> dict[str, Item]:
        marked = typed if HERE in typed else typed + HERE
        text = CARE + marked.replace(HERE, "") + AFTER
        sources = (Source("registry.rules", REGISTRY), Source("care.rules", text))
        found = complete(book(sources, vocabulary), "care.rules", len(CARE) + marked.index(HERE))
        assert len({item.text for item in found}) == len(found), "something is offered twice"
        return {item.text: item for item in found}

    return offer


PERMIT = 'permit P "x"\n  to search Encounter\n'
FORBID = 'forbid F "x"\n  to ingest\n  on Hl7v2\n'
CHECK = 'check C "x"\n  on Hl7v2\n'


@pytest.mark.parametrize(
    ("typed", "some", "none"),
    [
        # keywords, by clause
        ("", set(KINDS), {"when", "record"}),
        ("per", {"permit", "principal"}, {"because"}),
        ('permit P "x"\n  ', {"to", "on", "when", "because", "rows", "hide"}, {"require", "owner", "permit"}),
        (CHECK + "  ", {"require", "otherwise", "for", "when"}, {"asking", "rows"}),
        (PERMIT + "  when caller ", {"has", "connects", "sends", "is", "in", "breaks"}, {"require", "viewer"}),
        (PERMIT + "  when caller has ", {"role", "code", "age"}, {"viewer", "is"}),
        ('route R "x"\n  on Csv\n  to record\n  ', {"and to", "in order of", "on"}, {"require"}),
        ('domain other "x"\n  ', {"owner", "serves", "acknowledge"}, {"to", "when"}),
        # names, by kind
        (PERMIT + "  when caller has role ", {"viewer", "writer"}, {"TREAT", "record", "r0d"}),
        (PERMIT + "  when caller has role vi@@", {"viewer"}, {"TREAT"}),
        (PERMIT + "  when purpose is ", {"TREAT"}, {"viewer", "r0d"}),
        (PERMIT + "  when Encounter.serviceProvider is ", {"r0d"}, {"viewer", "TREAT"}),
        (PERMIT + "  when (purpose is ", {"TREAT"}, {"viewer"}),
        (PERMIT + "  because ", {"DSA-1"}, {"viewer"}),
        (PERMIT + "  because @@\n  all rows", {"DSA-1"}, {"viewer"}),
        (PERMIT + "  when patient listed in ", {"out"}, {"heart", "training"}),
        (PERMIT + "  when Encounter.type has code ", {"heart"}, {"out"}),
        ('route R "x"\n  on Csv\n  to ', {"record"}, {"care", "r0d"}),
        ('route R "x"\n  on Csv\n  to record\n  on failure ', {"reject", "queue"}, {"record"}),
        ('route R "x"\n  on ', {"break-glass", "failure", "Csv"}, {"record"}),
        ('route R "x"\n  on break-glass ', {"Patient", "Condition", "to"}, {"ADT^A01"}),
        ('test "x"\n  expect ', {"accept", "notice", "no"}, {"record"}),
        ('test "x"\n  given read "Patient/1"\n  from engine\n  expect notice to ', {"record"}, {"engine"}),
        (FORBID + "  when MSH-11.1 in ", {"training"}, {"discharged"}),
        (FORBID + "  when ", {"discharged", "purpose", "message.type", "not"}, {"training"}),
        ('principal p "x"\n  sends category ', {"care"}, {"record"}),
        ('principal p "x"\n  sends category care ', {"ADT^A01", "ADT^A03", "Encounter", "ed-attendances"}, {"ADT^A02"}),
        ('principal p "x"\n  roles viewer, ', {"writer"}, {"TREAT"}),
        ('test "x"\n  given message "a.hl7"\n  from ', {"engine"}, {"viewer"}),
        ('test "x"\n  given message "a.hl7"\n  expect refuse by ', {"C-C9"}, {"viewer"}),
        ('test "x"\n  given ', {"message", "file", "search"}, {"ingest"}),
        # types, actions, parameters, codes of the language
        ('permit P "x"\n  to ', {"ingest", "search", "operation"}, {"Encounter"}),
        ('permit P "x"\n  to search ', {"Encounter", "Patient"}, {"ADT^A01"}),
        (PERMIT + "  asking ", {"_id", "patient", "date"}, {"birthdate"}),
        ("accept ", {"Hl7v2", "Fhir", "Csv"}, {"ADT^A01"}),
        ("accept Hl7v2 ", {"ADT^A01", "SIU^S12"}, {"Patient"}),
        ("accept Fhir ", {"Patient", "Encounter"}, {"ADT^A01"}),
        ("accept Csv ", {"ed-attendances"}, {"Patient"}),
        ("accept Hl7v2 ADT^A01\n  versions ", {"2.3", "2.8.2"}, {"Hl7v2"}),
        ("accept Hl7v2 ADT^A01\n  convert with ", {"uk-core"}, {"2.3", "ADT^A01"}),
        ('check C "x"\n  on ', {"Hl7v2", "result"}, {"ADT^A01"}),
        ('check C "x"\n  on Hl7v2 ', {"ADT^A01", "ADT^A03", "training", "when"}, {"ADT^A02", "Patient"}),
        (CHECK + "  require PID-3 is present\n  otherwise ", {"error", "warning"}, {"required"}),
        (CHECK + "  require PID-3 is present\n  otherwise error ", {"required", "code-invalid"}, {"error"}),
        (CHECK + "  require message conforms\n  except ", {"length", "user-table"}, {"code-invalid", "PID-3"}),
        ('check C "x"\n  on result Patient\n  require resource conforms to ', {"model", "uk-core"}, {"length"}),
        ('target t "x" takes ', {"Fhir", "Hl7v2"}, {"record"}),
        # paths
        (CHECK + "  require PI", {"PID-", "PV1-"}, {"ABS-"}),
        (CHECK + "  require PID-", {"PID-3", "PID-30"}, {"PID-39"}),
        (CHECK + "  require PID-3.", {"PID-3.1", "PID-3.4"}, {"PID-3.40", "PID-3"}),
        (CHECK + "  for each id in PID-", {"PID-3"}, {"purpose"}),
        (CHECK + "  for each id in PID-3 where ", {"id"}, {"Encounter."}),
        (CHECK + "  for each id in PID-3\n  require id.", {"id.1", "id.5"}, {"id.50"}),
        (PERMIT + "  rows Encounter where Encounter.", {"Encounter.status"}, {"Encounter.name"}),
        (PERMIT + "  rows Encounter where Encounter.period.st", {"Encounter.period.start"}, {"Encounter.status"}),
        (PERMIT + "  rows Encounter where patient.", {"patient.birthDate"}, {"patient.status"}),
        (PERMIT + "  hide Encounter.", {"Encounter.location"}, {"Encounter.name"}),
        ('check C "x"\n  on Csv\n  require row.', {"row.NHS_NUMBER"}, {"PID-"}),
        # texts
        (PERMIT + '  rows Encounter where Encounter.status is "', {"finished", "in-progress"}, {"viewer"}),
        (PERMIT + '  rows Encounter where Encounter.status in "x", "ca@@"\n  hide Encounter.type', {"planned"}, {"is"}),
        (CHECK + '  require PV1-2 is "', {"E", "I"}, {"finished"}),
        (CHECK + '  for each id in PID-3 where id.5 is "@@', {"MR"}, {"finished"}),
        (CHECK + '  require PV1-45 "', {"Discharge Date Time"}, {"E"}),
    ],
)  # fmt: skip
def test_what_fits_is_offered_and_nothing_else(offered: Offered, typed: str, some: set[str], none: set[str]) -> None:
    found = offered(typed)
    assert some - found.keys() == set()
    assert none & found.keys() == set()


@pytest.mark.parametrize(
    "typed", ["# when ", PERMIT + "  # purpose is ", 'role x "Vie', PERMIT + "  whenn caller has "]
)
def test_nothing_is_offered_in_comments_and_titles_and_behind_errors(offered: Offered, typed: str) -> None:
    assert offered(typed) == {}


def test_what_is_chosen_stands_in_for_the_whole_word(offered: Offered) -> None:
    item = offered(PERMIT + "  when caller has role vi@@ew")["viewer"]
    assert item.span.text == "view"
    assert item.detail == "Sees"
    item = offered(PERMIT + '  rows Encounter where Encounter.status is "fin@@ished"')["finished"]
    assert item.span.text == "finished"
    item = offered(PERMIT + "  rows Encounter where Encounter.st@@")["Encounter.status"]
    assert item.span.text == "Encounter.st"
    assert item.detail == "code [1..1]"


def test_a_statement_begins_at_the_margin_of_an_empty_file(vocabulary: Vocabulary) -> None:
    found = complete(book([Source("a.rules", "")], vocabulary), "a.rules", 0)
    assert {item.text for item in found} == set(KINDS)


def test_what_the_shipped_rules_say_is_offered_where_they_say_it(vocabulary: Vocabulary) -> None:
    """The first of each kind of place: with each statement, what it may name, and how deep the path is."""
    shipped = book(read_sources(REPOSITORY / "rules")[0], vocabulary)
    tried: set[tuple[object, ...]] = set()
    missed = []
    for file, page in shipped.pages.items():
        for statement in page.statements:
            for use in words(statement):
                place = (statement.kind, use.kinds, use.word.text.count("."))
                if use.declares or not use.kinds or use.word.text[0].isdigit() or place in tried:
                    continue
                tried.add(place)
                offered = {item.text for item in complete(shipped, file, use.word.span.end)}
                if use.word.text not in offered:
                    missed.append(f"{use.word.span} {use.word.text}")
    assert missed == []
    assert len(tried) > 60
