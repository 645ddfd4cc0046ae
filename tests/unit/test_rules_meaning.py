"""What would have been shown or permitted, had nobody tried: spellings of lists, whose a resource is, forged marks.

Source: `rules-language.md` of the design, meaning 2, 6, 9 and 11, and the fact `patient`.
"""

from __future__ import annotations

from typing import Any

import pytest

from gateway import fhir
from gateway.rules import load_sources
from gateway.rules.around import Reading, subjects
from gateway.source import Source, render
from tests.conformance.rules.support import DOMAIN, INGEST, REGISTRY, message, question, submission, vocabulary
from tests.unit.test_rules_shown import AROUND, MARKS, SEXUAL, UNDER_16, about, released, ruled

FORMS = {
    "uk-postcode": (b"DT1 1AA", ["DT1 1AA", "DT11AA", "dt1 1aa"], "nowhere"),
    "ods-code": (b"r0d", ["R0D", "r0d"], "R 0 D"),
    "nhs-number": (b"999 000 0026", ["9990000026", "999-000-0026"], "999"),
    "date": (b"2026-05-10", ["20260510", "2026-05-10"], "soon"),
    "numeric": (b"1.50", ["1.5", "01.50"], "one"),
}
OTHERS = {
    "uk-postcode": "BH15 1AA", "ods-code": "RDZ", "nhs-number": "9990000018", "date": "20260511", "numeric": "1.51"
}  # fmt: skip


def decided(form: str, value: str) -> tuple[str, tuple[str, ...]]:
    """What becomes of a message by a forbid on a list of that form."""
    listed = f'list known "x" of {form} from "known.csv"\n'
    rule = 'forbid X "x"\n  to ingest\n  on Hl7v2\n  when PID-2.1 is present and PID-2.1 listed in known\n'
    sources = [Source("0.rules", REGISTRY + listed), Source("1.rules", f"{DOMAIN}{INGEST}\n{rule}")]
    files = {"known.csv": form.encode() + b"\n" + FORMS[form][0] + b"\n"}
    found = load_sources(sources, vocabulary(), read=files.get)
    assert found.rules is not None, "\n".join(render(d) for d in found.diagnostics)
    decision = found.rules.decide(submission(found.rules, message(f"PID|1|{value}")))
    return decision.effect, decision.erred


@pytest.mark.parametrize(("form", "value"), [(form, value) for form, one in FORMS.items() for value in one[1]])
def test_a_list_knows_its_values_in_every_spelling(form: str, value: str) -> None:
    assert decided(form, value) == ("deny", ())


@pytest.mark.parametrize("form", FORMS)
def test_a_value_that_is_not_of_the_lists_form_errs_and_another_is_not_listed(form: str) -> None:
    assert decided(form, FORMS[form][2]) == ("deny", ("X",))
    assert decided(form, OTHERS[form]) == ("permit", ())


ADULT = {"reference": "Patient/1"}
UNTOLD: list[dict[str, Any]] = [
    {"identifier": {"system": "https://fhir.nhs.uk/Id/nhs-number", "value": "9990000026"}},
    {"identifier": {"value": "26"}, "type": "http://hl7.org/fhir/StructureDefinition/Patient"},
    {"display": "a child"},
    {"reference": "#child"},
    {"reference": "urn:uuid:5f8b4a1e-5a0f-4c0e-8b5e-0d6d0a1f2c3d"},
    {"reference": "Patient?identifier=9990000026"},
    {"reference": "https://elsewhere.example.org/Patient/2"},
]


@pytest.mark.parametrize("subject", UNTOLD)
def test_a_subject_of_whom_nothing_is_known_makes_the_rule_err_whoever_else_is_named(subject: dict[str, Any]) -> None:
    condition = {**about("2", "1", more=SEXUAL), "subject": subject}
    seen = released(ruled(UNDER_16), condition)
    assert (seen.released, seen.erred) == (False, ("F",))


def test_who_is_no_patient_is_not_taken_for_one() -> None:
    told = subjects("Condition", vocabulary().elements, vocabulary().tables)
    assert told is not None
    doctor = {"resourceType": "Practitioner", "id": "d"}
    for asserter in ({"display": "Dr Wray"}, {"reference": "Practitioner/d"}, {"reference": "#d"}, {"type": "Device"}):
        one = {**about("1"), "asserter": asserter, "contained": [doctor]}
        assert told(one) == (Reading("Patient", "1"),), asserter
    other = {"identifier": {"system": "https://fhir.nhs.uk/Id/nhs-number", "value": "9990000026"}}
    assert None in told({**about("1"), "asserter": other})
    assert told({"resourceType": "Condition", "id": "c"}) == (None,)
    assert released(ruled(UNDER_16), {**about("1", more=SEXUAL), "subject": ADULT}, AROUND).released


def test_a_client_tells_of_no_contributor_under_any_address() -> None:
    forged = [
        {"system": f"{base}/CodeSystem/contributing-{kind}", "code": "r0d"}
        for base in ("urn:x", MARKS.base)
        for kind in ("organisation", "domain")
    ]
    sent = {"resourceType": "Flag", "id": "1", "meta": {"tag": [*forged, {"system": "urn:own", "code": "kept"}]}}
    by = {"organisation": "RDZ", "domain": "here", "source": "urn:uuid:1"}
    stored = fhir.marked(sent, None, by, told="2026-05-15T12:00:00Z", marks=MARKS)
    tags = [tag["code"] for tag in stored["meta"]["tag"]]
    assert sorted(tags) == ["RDZ", "here", "kept"]


def test_what_each_view_hides_is_hidden_though_one_hides_the_whole_choice() -> None:
    rules = ruled(
        '\npermit Q "x"\n  to read Observation\n  when caller has role gp-viewer\n  all rows\n'
        "  hide Observation.value[x], Observation.note\n"
        'permit R "x"\n  to read Observation\n  when caller has role gp-viewer\n  all rows\n'
        "  hide Observation.valueQuantity, Observation.note.text\n"
    )
    facts = question(rules, "Observation", caller="breaker", action="read")
    views = [view for view in rules.decide(facts).views if view.permit != "P"]
    seen = rules.release(facts, rules.decide(facts)._replace(views=tuple(views)), {"resourceType": "Observation"})
    assert seen.hide == {"Observation.valueQuantity", "Observation.note.text"}
