"""Who can send or see what, from the rules alone: the table, as cells, as CSV, as a page."""

from __future__ import annotations

import csv
import io

import pytest

from gateway.rules import RuleSet
from gateway.rules.account import page, show, words
from gateway.rules.account.reach import ANY, Ability, reach
from gateway.rules.account.show import Row
from tests.conformance.rules.support import REGISTRY, message, question, ruled, shipped, submission

REGISTERED = (
    "when caller connects as organisation and caller sends as organisation and caller sends category message.type"
)


def rows(rules: RuleSet, principal: str) -> list[Row]:
    return [row for row in show.table(rules) if row.principal == principal]


def one(text: str, principal: str = "partner") -> Row:
    (row,) = rows(ruled(text), principal)
    return row


def test_the_shipped_rules_say_who_can_send_what_and_until_when() -> None:
    (row,) = rows(shipped(), "wessex-lims")
    assert (row.may, row.domain, row.types, row.organisations) == (("ingest",), "pathology", ("ORU^R01",), "8PA01")
    assert (row.when, row.agreement, row.first, row.last) == ("", "DSA-2026-041", "2026-04-01", "2036-03-31")
    assert row.unless.startswith("PA-F1: MSH-11.1 is given and MSH-11.1 is T or D")


def test_the_shipped_rules_say_who_can_see_what_of_it() -> None:
    seen = {row.types: row for row in rows(shipped(), "dorset-gp")}
    patient = seen["Patient",]
    assert patient.may == ("search", "read")
    assert (patient.when, patient.rows) == ("the purpose is TREAT (Treatment)", "all")
    assert patient.hidden == "Patient.telecom, Patient.contact"
    assert patient.asking == "_id, identifier or family with birthdate"
    assert seen["Encounter",].rows == "Encounter.serviceProvider is among the caller's organisations"


def test_every_ability_that_depends_on_nothing_is_one_and_nobody_else_has_any() -> None:
    rules = shipped()
    able = {(a.principal, a.domain, a.type): a for a in reach(rules) if a.action == "ingest"}
    for principal in rules.registry.principals:
        for domain in rules.domains.values():
            for accept in domain.accepts:
                for kind in accept.types if accept.data_type == "Hl7v2" else ():
                    facts = submission(
                        rules, message(kind=kind), principal, domain=domain.name, type=kind,
                        organisation=_first(able.get((principal, domain.name, kind))),
                    )  # fmt: skip
                    granted = rules.decide(facts).effect != "deny"
                    assert granted is ((principal, domain.name, kind) in able), (principal, domain.name, kind)


def _first(ability: Ability | None) -> str:
    return "R0D" if ability is None else ability.organisations[0]


@pytest.mark.parametrize("caller", ["partner", "engine", "nobody"])
def test_what_can_be_seen_is_what_is_granted(caller: str) -> None:
    text = 'permit P "x"\n  to read Encounter\n  when caller has role gp-viewer\n  all rows\n'
    text += 'permit Q "x"\n  to read Patient\n  when not (caller has role gp-viewer)\n  all rows\n'
    text += 'forbid F "x"\n  to read Patient\n  when caller.name is nobody\n'
    rules = ruled(text)
    able = {a.type for a in reach(rules) if a.principal == caller}
    for kind in ("Encounter", "Patient"):
        facts = question(rules, kind, caller=caller, action="read", purpose=None)
        assert (rules.decide(facts).effect == "permit") is (kind in able)


@pytest.mark.parametrize(
    ("when", "organisations"),
    [
        ("", "any"),
        ("  when organisation is rdz\n", "RDZ"),
        ("  when not (organisation is rdz)\n", "any but RDZ"),
        (f"  {REGISTERED}\n", "R0D"),
    ],
)
def test_the_organisations_that_one_sends_as_are_found_out(when: str, organisations: str) -> None:
    assert one(f'permit P "x"\n  to ingest\n{when}', "engine").organisations == organisations
    assert ANY == ""


def test_what_depends_on_the_message_or_the_request_is_said() -> None:
    row = one(
        'permit P "x"\n  to ingest\n  on Hl7v2\n'
        '  when caller sends category message.type and (PV1-2 is present and PV1-2 is "E")\n',
        "engine",
    )
    assert row.when == 'PV1-2 is given and PV1-2 is "E"'


def test_break_glass_is_said_of_those_alone_who_may() -> None:
    text = 'permit P "x"\n  to read Encounter\n  all rows\nforbid F "x"\n  to read any\n'
    text += "  when purpose is absent and not caller breaks glass\n"
    registry = REGISTRY.replace("  roles gp-viewer\n", "  roles gp-viewer\n  may break glass\n")
    rules = ruled(text, registry=registry)
    (may,), (may_not,) = rows(rules, "partner"), rows(rules, "nobody")
    assert (may.unless, may.glass) == ("F: the purpose is not given and the caller does not break the glass", "yes")
    assert (may_not.unless, may_not.glass) == ("F: the purpose is not given", "")


def test_masks_limits_and_links_are_said() -> None:
    text = 'permit P "x"\n  to read Patient\n'
    text += '  rows Patient linked by Encounter.subject where Encounter.status is "planned"\n'
    text += 'mask M "x"\n  to read Patient\n  when rdz in source.organisations\n  hide Patient.address\n'
    registry = REGISTRY.replace(
        "  roles gp-viewer\n", "  roles gp-viewer\n  limit 5 per second\n  limit 500 Patient per day\n"
    )
    (row,) = rows(ruled(text, registry=registry), "partner")
    assert row.rows == 'those linked by Encounter.subject where Encounter.status is "planned"'
    assert row.masked == "M: Patient.address when RDZ (Dorset HealthCare) is among the organisations that it came from"
    assert row.limits == "5 requests a second and 500 Patient a day"


def test_the_table_as_csv_is_read_back_and_holds_no_formula() -> None:
    table = show.table(shipped())
    read = list(csv.reader(io.StringIO(show.as_csv(table))))
    assert tuple(read[0]) == show.HEADINGS
    assert [tuple(row) for row in read[1:]] == [show.cells(row) for row in table]
    registry = REGISTRY.replace('"Partner"', '"=1+1"')
    found = show.as_csv(rows(ruled('permit P "x"\n  to read Encounter\n  all rows\n', registry=registry), "partner"))
    assert ",'=1+1," in found


def test_the_page_holds_every_cell_and_links_to_the_rules() -> None:
    table = show.table(shipped())
    found = page.table(table)
    assert found.count("<tr>") == len(table) + 1
    assert '<a href="/rules#SR-P1">SR-P1</a>' in found


def test_words_of_a_list() -> None:
    assert [words.listed(["a", "b", "c"][:n]) for n in range(4)] == ["", "a", "a and b", "a, b and c"]
