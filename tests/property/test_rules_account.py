"""What is explained is what is decided: the walker agrees with the compiled rules, condition by condition and whole."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, get_args

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.hl7v2 import Message
from gateway.language import nodes
from gateway.language.compile import Absent, compile_test
from gateway.language.functions import ERRORS
from gateway.rules import Facts, RuleSet
from gateway.rules.account import sameness, sight, walk, words
from gateway.rules.account.explain import Account, Explainer
from gateway.rules.account.release import release
from gateway.rules.account.sight import Sight
from gateway.rules.around import Around, Reading, Referring
from gateway.rules.reading import PATIENT, READER, RESOURCE
from tests.bounded import examples
from tests.conformance.rules.support import message, question, ruled, submission
from tests.property.test_rules_decisions import CONDITIONS

BOUNDED = settings(max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.too_slow])
ABSENT: tuple[Absent, ...] = ("false", "passes", "fails")


def joined(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.builds("not ({})".format, inner),
        st.builds("({}) and ({})".format, inner, inner),
        st.builds("({})\n  or ({})".format, inner, inner),
    )


SENT = st.recursive(
    st.sampled_from(
        [
            "caller connects as organisation",
            "caller sends category message.type",
            "caller has role gp-viewer",
            "caller breaks glass",
            "caller.organisations lacks rdz",
            "message.type in ADT^A01, ADT^A03",
            "message.received within 2 days",
            'environment is "test"',
            "purpose is TREAT",
            "purpose is not TREAT",
            "user is absent",
            'PV1-2.1 is "E"',
            'PV1-2.1 is not "E"',
            'PV1-2.1 in "E", "I"',
            'PV1-2.1 starts with "E"',
            'PV1-2.1 matches "[EI]+"',
            '"NH" in PID-3.5',
            "PID-3 is present",
            "PV1-2.1 is numeric",
            "PID-1 > 5",
            "PID-1 <= 5",
            "PID-7 < today - 16 years",
            "PID-7 within 10 years",
            "PID-7 has age under 16 years",
            "PID-7 has age 16 years or over",
            "PID-7 is date",
            'any id in PID-3 where id.5 is "NH" satisfies id.1 is nhs-number',
            'every id in PID-3 satisfies (id.4 is "NHS" or id.5 is present)',
        ]
    ),
    joined,
    max_leaves=5,
)
MESSAGES = st.builds(
    lambda number, ids, born, visit: message(f"PID|{number}||{'~'.join(ids)}||||{born}", f"PV1|1|{visit}"),
    st.sampled_from(["1", "7", "x", "", '""']),
    st.lists(st.sampled_from(["9990000018^^^NHS^NH", "9990000019^^^NHS^NH", "A&b^^^R0D", "", "^^^NHS"]), max_size=3),
    st.sampled_from(["20200101", "2010", "19500230", "", "x", "201005151200"]),
    st.sampled_from(["E", "I", "", '""', r"\E\E"]),
)
STORED = st.recursive(
    st.sampled_from(
        [
            'Encounter.status is "finished"',
            'Encounter.status is not "finished"',
            'Encounter.status in "finished", "planned"',
            "Encounter.serviceProvider in caller.organisations",
            "Encounter.serviceProvider is r0d",
            "Encounter.serviceProvider is present",
            "Encounter.period.start within 12 months",
            "Encounter.period.start >= now - 72 hours",
            'Encounter.length is 5 "min"',
            'Encounter.length > 5 "min"',
            'Encounter.class has code "IMP" in "http://terminology.hl7.org/CodeSystem/v3-ActCode"',
            'resource.meta.security has code "R" in "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"',
            "rdz in source.organisations",
            "source.domains lacks here",
            "patient has age under 16 years",
            'patient.gender is "female"',
            "patient.birthDate < today - 16 years",
            'any c in Encounter.type satisfies c has code "1" in "http://x.example"',
            "every p in Encounter.participant satisfies p.period.start is present",
            "any o in caller.organisations satisfies o is rdz",
            "caller breaks glass",
            "purpose is TREAT",
        ]
    ),
    joined,
    max_leaves=5,
)
CODING = st.fixed_dictionaries(
    {"code": st.sampled_from(["IMP", "R", "1", 3])},
    optional={"system": st.sampled_from(["http://terminology.hl7.org/CodeSystem/v3-ActCode", "http://x.example"])},
)
TAGS = st.lists(
    st.sampled_from(
        [
            {"system": "https://dex.example/CodeSystem/contributing-organisation", "code": "RDZ"},
            {"system": "https://dex.example/CodeSystem/contributing-domain", "code": "here"},
            "x",
        ]
    ),
    max_size=2,
)
DAY = st.sampled_from(["2026-05-14T10:00:00Z", "2026-05", "2020-01-01", "x", 3])
ENCOUNTERS = st.fixed_dictionaries(
    {"resourceType": st.just("Encounter"), "id": st.just("1")},
    optional={
        "status": st.sampled_from(["finished", "planned", 3]),
        "serviceProvider": st.sampled_from([{"reference": "Organization/R0D"}, {"reference": "Organization/RXX"}, "x"]),
        "period": st.fixed_dictionaries({}, optional={"start": DAY}),
        "length": st.sampled_from(
            [
                {"value": 5, "system": "http://unitsofmeasure.org", "code": "min"},
                {"value": 6, "system": "http://unitsofmeasure.org", "code": "h"},
                {"value": "x"},
            ]
        ),
        "class": CODING,
        "type": st.lists(st.fixed_dictionaries({"coding": st.lists(CODING, max_size=2)}), max_size=2),
        "participant": st.lists(st.fixed_dictionaries({}, optional={"period": st.just({"start": "2020"})}), max_size=2),
        "meta": st.fixed_dictionaries({}, optional={"tag": TAGS, "security": st.lists(CODING, max_size=1)}),
    },
)
PATIENTS = st.one_of(
    st.none(),
    st.fixed_dictionaries(
        {"resourceType": st.just("Patient")},
        optional={"birthDate": DAY, "gender": st.sampled_from(["female", "male", 3])},
    ),
)


@functools.lru_cache(maxsize=512)
def sent_condition(text: str) -> nodes.Test:
    rules = ruled(f'check C "x"\n  on Hl7v2\n  when {text}\n  require PID-3 is present\n  otherwise error value "x"\n')
    found = rules.domains["here"].checks[0].when
    assert found is not None
    return found


@functools.lru_cache(maxsize=512)
def stored_condition(text: str) -> nodes.Test:
    rules = ruled(f'permit P "x"\n  to read Encounter\n  rows Encounter where {text}\n')
    return rules.domains["here"].permits[0].rows["Encounter"].where


@functools.cache
def ground() -> RuleSet:
    return ruled('permit P "x"\n  to read Encounter\n  all rows\n')


def compiled(test: nodes.Test, absent: Absent, *arguments: Any) -> bool | None:
    variables = (RESOURCE, PATIENT) if len(arguments) > 1 else ()
    try:
        return bool(compile_test(test, READER, absent=absent, variables=variables)(*arguments))
    except ERRORS:
        return None


def facts_of(sent: Message, *, glass: bool, purpose: str | None) -> Facts:
    return submission(ground(), sent, glass=glass, purpose=purpose)


ASKED = [
    "  when caller has role gp-viewer\n  asking _id\n",
    "  when purpose is TREAT\n  allowing status\n",
    "  when purpose is TREAT\n  asking _id or (date and status)\n  because DSA-2\n",
    "  when user is present\n",
    "  because DSA-1\n  allowing status, date\n",
]
AGAINST = [
    'forbid {0} "x"\n  to search Encounter\n  when purpose is present and purpose is HOPERAT\n',
    'forbid {0} "x"\n  to read any\n  when caller has role counter\n',
    'forbid {0} "x"\n  to read Encounter\n  when Encounter.status is present and Encounter.status is "planned"\n',
    'mask {0} "x"\n  to search, read Encounter\n  when purpose is absent\n  hide Encounter.status\n',
]

PURPOSES = st.sampled_from(["TREAT", "HOPERAT", None])


@BOUNDED
@given(text=SENT, sent=MESSAGES, glass=st.booleans(), purpose=PURPOSES, absent=st.sampled_from(ABSENT))
def test_a_condition_on_a_message_is_walked_as_it_is_compiled(
    *, text: str, sent: Message, glass: bool, purpose: str | None, absent: Absent
) -> None:
    test, facts = sent_condition(text), facts_of(sent, glass=glass, purpose=purpose)
    assert walk.walk(test, Sight(facts), absent).outcome is compiled(test, absent, facts)


@BOUNDED
@given(
    text=STORED,
    encounter=ENCOUNTERS,
    patient=PATIENTS,
    glass=st.booleans(),
    purpose=PURPOSES,
    absent=st.sampled_from(ABSENT),
)
def test_a_condition_on_a_resource_is_walked_as_it_is_compiled(
    *,
    text: str,
    encounter: Mapping[str, Any],
    patient: Mapping[str, Any] | None,
    glass: bool,
    purpose: str | None,
    absent: Absent,
) -> None:
    test = stored_condition(text)
    facts = replace(question(ground(), "Encounter", action="read", purpose=purpose), glass=glass)
    assert walk.walk(test, Sight(facts, encounter, patient), absent).outcome is compiled(
        test, absent, facts, encounter, patient
    )


def test_every_kind_of_node_is_walked_and_said() -> None:
    for table in (walk.STEPS, words.SAID):
        assert set(table) == set(nodes.TESTS)
    assert set(sight.VALUES) == set(nodes.LEAVES)
    assert set(words.OPERANDS) == set(get_args(nodes.Operand))


# --- whole decisions -----------------------------------------------------------------------------------------------


def agree(account: Account) -> None:
    """The account says what the gateway decides."""
    decision = account.decision
    assert (account.effect, account.by, account.erred) == (decision.effect, decision.by, decision.erred)
    assert account.findings == decision.findings
    assert account.routes == decision.routes
    assert account.views == tuple(view.permit for view in decision.views)


CHECKS = st.lists(
    st.tuples(
        st.sampled_from(["", "  when {0}\n"]), SENT, SENT, st.sampled_from(["error", "warning", "information"]),
        st.sampled_from(
            [
                "  for each id in PID-3\n  require id.1 is nhs-number\n",
                '  for each id in PID-3 where id.5 is "NH"\n  require id.1 is present and id.4 is "NHS"\n',
                "  require {1}\n",
            ]
        ),
    ),
    max_size=3,
)  # fmt: skip


@BOUNDED
@given(
    st.one_of(st.lists(CONDITIONS, min_size=1, max_size=2), st.just(['environment is "test"'])),
    st.one_of(st.just([]), st.lists(CONDITIONS, max_size=2)),
    CHECKS,
    st.one_of(st.lists(SENT, max_size=2), st.just(['environment is "test"'])),
    MESSAGES,
    PURPOSES,
)
def test_a_submission_is_explained_as_it_is_decided(
    permits: list[str],
    forbids: list[str],
    checks: list[tuple[str, str, str, str, str]],
    routes: list[str],
    sent: Message,
    purpose: str | None,
) -> None:
    texts = [f'permit P{i} "x"\n  to ingest\n  on Hl7v2\n  when {c}\n' for i, c in enumerate(permits)]
    texts += [f'forbid F{i} "x"\n  to ingest\n  on Hl7v2\n  when {c}\n' for i, c in enumerate(forbids)]
    for i, (when, first, second, severity, demand) in enumerate(checks):
        said = f"{when}{demand}".format(first, second)
        texts.append(f'check C{i} "x"\n  on Hl7v2\n{said}  otherwise {severity} value "`{{MSH-10}}` is wrong"\n')
    texts += [
        f'route R{i} "x"\n  on Hl7v2\n  when {c}\n  to record\n  in order of PID-3.1\n  on failure reject\n'
        for i, c in enumerate(routes)
    ]
    rules = ruled("\n".join(texts))
    agree(Explainer(rules).explain(submission(rules, sent, purpose=purpose)))


@BOUNDED
@given(
    st.lists(st.sampled_from(ASKED), min_size=1, max_size=3),
    st.lists(st.sampled_from(AGAINST), max_size=2),
    st.sampled_from([(), (("_id", "1"),), (("status", "finished"),), (("date", "2026"), ("_id", "1"))]),
    PURPOSES,
    st.sampled_from(["search", "read"]),
)
def test_a_query_is_explained_as_it_is_decided(
    permits: list[str], forbids: list[str], pairs: tuple[tuple[str, str], ...], purpose: str | None, action: str
) -> None:
    texts = [f'permit P{i} "x"\n  to search, read Encounter\n  all rows\n{c}' for i, c in enumerate(permits)]
    texts += [f"{c.format(f'F{i}')}" for i, c in enumerate(forbids)]
    rules = ruled("\n".join(texts))
    facts = question(rules, "Encounter", *pairs, action=action, purpose=purpose)
    agree(Explainer(rules).explain(facts))


SHOWN = st.lists(
    st.tuples(
        st.sampled_from(["", "  when caller has role gp-viewer\n", "  when user is absent\n"]),
        st.one_of(
            st.just("  all rows\n"),
            st.builds("  rows Encounter where {}\n".format, STORED),
            st.just(
                '  rows Encounter linked by Observation.encounter where Observation.status is "final"\n'
                "  hide Encounter.class\n"
            ),
            st.just('  rows Encounter linked by Observation.subject where Observation.status is "final"\n'),
        ),
    ),
    min_size=1,
    max_size=2,
)
KEEPING = st.lists(
    st.sampled_from(
        [
            'forbid {0} "x"\n  to read any\n  when patient has age under 16 years and not caller breaks glass\n',
            'forbid {0} "x"\n  to read Encounter\n  when Encounter.length is present and caller has role gp-viewer\n',
            'mask {0} "x"\n  to read Encounter\n  when rdz in source.organisations\n  hide Encounter.type\n',
        ]
    ),
    max_size=2,
)
SUBJECT = {"subject": {"reference": "Patient/1"}}
LINK = Referring("Observation", "encounter", "Encounter/1")
OF_PATIENT = Referring("Observation", "patient", "Patient/1")
LINKED = st.sampled_from([None, (), ({"resourceType": "Observation", "status": "final"},), ({"status": 3},)])


@BOUNDED
@given(shown=SHOWN, keeping=KEEPING, encounter=ENCOUNTERS, patient=PATIENTS, linked=LINKED, glass=st.booleans())
def test_a_release_is_explained_as_it_is_decided(
    *,
    shown: list[tuple[str, str]],
    keeping: list[str],
    encounter: Mapping[str, Any],
    patient: Mapping[str, Any] | None,
    linked: tuple[Mapping[str, Any], ...] | None,
    glass: bool,
) -> None:
    texts = [f'permit P{i} "x"\n  to read Encounter\n{when}{rows}' for i, (when, rows) in enumerate(shown)]
    rules = ruled("\n".join((*texts, *(text.format(f"F{i}") for i, text in enumerate(keeping)))))
    facts = replace(question(rules, "Encounter", action="read"), glass=glass)
    around: Around = {
        Reading("Patient", "1"): None if patient is None else (patient,),
        LINK: linked,
        OF_PATIENT: linked,
    }
    found = release(rules, facts, rules.decide(facts), {**encounter, **SUBJECT}, around)
    assert found.agrees(), (found, found.decided)


# --- what means the same -------------------------------------------------------------------------------------------

SMALL = st.recursive(
    st.sampled_from(
        ['PV1-2.1 is "E"', 'PV1-2.1 in "E", "I"', "PV1-2.1 is present", "user is absent", 'PV1-2.1 is not "E"']
    ),
    joined,
    max_leaves=4,
)


@BOUNDED
@given(SMALL, SMALL, MESSAGES)
def test_a_condition_that_is_called_wider_holds_of_all_that_the_other_does(one: str, other: str, sent: Message) -> None:
    first, second = sent_condition(one), sent_condition(other)
    facts = facts_of(sent, glass=False, purpose=None)
    before, after = (walk.walk(test, Sight(facts)).outcome for test in (first, second))
    implied = {"same": before == after, "wider": bool(after) or not before, "narrower": bool(before) or not after}
    assert implied.get(sameness.relation(first, second), True)
    assert sameness.relation(first, first) == "same"
