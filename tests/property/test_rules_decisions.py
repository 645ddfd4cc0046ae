"""What holds of every rule set: order never matters, a permit more never denies, a forbid more never permits."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.fhir.identity import valid_nhs_number
from gateway.hl7v2 import Message
from gateway.language.functions import nhs_number
from gateway.rules import RuleSet, load_sources
from gateway.source import Source, render
from tests.bounded import examples
from tests.conformance.rules.support import DOMAIN, REGISTRY, message, question, ruled, submission, vocabulary

BOUNDED = settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])

CONDITIONS = st.recursive(
    st.sampled_from(
        [
            "caller connects as organisation",
            "caller has role gp-viewer",
            "message.type is ADT^A01",
            'environment is "test"',
            'PV1-2.1 is present and PV1-2.1 is "E"',
            'PV1-2.1 is absent or PV1-2.1 in "E", "I"',
            'PV1-2.1 is present and PV1-2.1 is not "E"',
            '"NH" in PID-3.5',
            "PID-1 is present and PID-1 > 5",
            "purpose is present and purpose is TREAT",
            "user is absent",
        ]
    ),
    lambda inner: st.one_of(
        st.builds("not ({})".format, inner),
        st.builds("({}) and ({})".format, inner, inner),
        st.builds("({})\n  or ({})".format, inner, inner),
    ),
    max_leaves=4,
)
PERMITS = st.lists(CONDITIONS, min_size=1, max_size=3)
MESSAGES = st.builds(
    lambda number, kind, visit: message(f"PID|{number}||9990000018^^^NHS^{kind}", f"PV1|1|{visit}"),
    st.sampled_from(["1", "7", "x", ""]),
    st.sampled_from(["NH", "MR"]),
    st.sampled_from(["E", "I", "", '""']),
)
ROUTE = '\nroute R "All"\n  on Hl7v2\n  to record\n  on failure reject\n'


def rules(permits: list[str], forbids: list[str], *, turned: bool = False) -> RuleSet:
    texts = [f'permit P{i} "x"\n  to ingest\n  on Hl7v2\n  when {c}\n' for i, c in enumerate(permits)]
    texts += [f'forbid F{i} "x"\n  to ingest\n  on Hl7v2\n  when {c}\n' for i, c in enumerate(forbids)]
    return ruled("\n".join(reversed(texts) if turned else texts) + ROUTE)


@BOUNDED
@given(PERMITS, st.lists(CONDITIONS, max_size=2), MESSAGES)
def test_order_never_matters(permits: list[str], forbids: list[str], sent: Message) -> None:
    one, other = rules(permits, forbids), rules(permits, forbids, turned=True)
    first, second = one.decide(submission(one, sent)), other.decide(submission(other, sent))
    assert first.effect == second.effect
    assert sorted(first.by) == sorted(second.by)
    assert sorted(first.erred) == sorted(second.erred)


@BOUNDED
@given(PERMITS, st.lists(CONDITIONS, max_size=2), CONDITIONS, MESSAGES)
def test_more_permits_never_deny_and_more_forbids_never_permit(
    permits: list[str], forbids: list[str], more: str, sent: Message
) -> None:
    base, wider, narrower = rules(permits, forbids), rules([*permits, more], forbids), rules(permits, [*forbids, more])
    effect = base.decide(submission(base, sent)).effect
    if effect == "permit":
        assert wider.decide(submission(wider, sent)).effect == "permit"
    else:
        assert narrower.decide(submission(narrower, sent)).effect != "permit"


@BOUNDED
@given(PERMITS, st.lists(CONDITIONS, max_size=2), MESSAGES)
def test_the_one_function_agrees_with_each_rule_asked_alone(
    permits: list[str], forbids: list[str], sent: Message
) -> None:
    whole = rules(permits, forbids)
    decision = whole.decide(submission(whole, sent))
    denying = []
    for condition in forbids:
        alone = rules([], [], turned=False) if not condition else ruled(_alone(condition) + ROUTE)
        denying.append(alone.decide(submission(alone, sent)))
    granting = []
    for condition in permits:
        alone = rules([condition], [])
        granting.append(alone.decide(submission(alone, sent)))
    denied = any(d.effect == "deny" for d in denying)
    granted = any(d.effect == "permit" for d in granting)
    assert (decision.effect == "permit") is (granted and not denied)


def _alone(condition: str) -> str:
    return f'permit P "x"\n  to ingest\nforbid F "x"\n  to ingest\n  on Hl7v2\n  when {condition}\n'


@BOUNDED
@given(st.text(max_size=200))
def test_any_text_is_read_or_diagnosed(text: str) -> None:
    for whole in (text, f"{DOMAIN}{text}", f'{DOMAIN}permit P "x"\n  to ingest\n  when {text}\n'):
        found = load_sources([Source("r", REGISTRY), Source("x", whole)], vocabulary())
        for diagnostic in found.diagnostics:
            assert render(diagnostic)
        assert (found.rules is None) is any(d.severity == "error" for d in found.diagnostics)


VOCABULARY = (
    'permit forbid check route to ingest search on Hl7v2 result when and or not is present absent in PID-3 id.1 "x" ( '
    ") , Patient Patient.name purpose TREAT for each require otherwise error required rows where all of: any hide "
    "asking because review by 2027-01-01 message.type ADT^A01 set = condition means"
)
WORDS = st.lists(st.sampled_from([*VOCABULARY.split(), "\n", "\n ", "\n  "]), max_size=25)


@BOUNDED
@given(WORDS)
def test_any_words_of_the_language_are_read_or_diagnosed(words: list[str]) -> None:
    found = load_sources([Source("r", REGISTRY), Source("x", DOMAIN + " ".join(words))], vocabulary())
    for diagnostic in found.diagnostics:
        assert render(diagnostic)


def _checked(number: int) -> str:
    """Nine digits with the check digit that modulus 11 gives them."""
    digits = f"{number:09d}"
    total = sum((10 - i) * int(d) for i, d in enumerate(digits))
    return f"{digits}{(11 - total % 11) % 11 % 10}"


@settings(max_examples=examples(200), deadline=None)
@given(
    st.one_of(
        st.from_regex(r"[0-9]{10}", fullmatch=True),
        st.text(max_size=12),
        st.integers(0, 999999999).map(_checked),
    )
)
def test_nhs_numbers_as_identity_has_them(text: str) -> None:
    assert nhs_number(text) is valid_nhs_number(text)


VIEWS = st.lists(
    st.tuples(
        st.sampled_from(["caller has role gp-viewer", "purpose is TREAT", "caller has role counter"]),
        st.sampled_from(["all rows", 'rows Encounter where Encounter.status is "finished"',
                         "rows Encounter where Encounter.serviceProvider in caller.organisations"]),
        st.sets(st.sampled_from(["Encounter.class", "Encounter.period", "Encounter.length"]), max_size=2),
    ),
    min_size=1,
    max_size=3,
)  # fmt: skip
ENCOUNTERS = st.fixed_dictionaries(
    {"resourceType": st.just("Encounter")},
    optional={
        "status": st.sampled_from(["finished", "planned", 3]),
        "serviceProvider": st.sampled_from([{"reference": "Organization/R0D"}, {"reference": "Organization/RXX"}, "x"]),
    },
)


def _views(views: list[tuple[str, str, set[str]]]) -> RuleSet:
    text = ""
    for i, (condition, rows, hide) in enumerate(views):
        hidden = f"  hide {', '.join(sorted(hide))}\n" if hide else ""
        text += f'permit V{i} "x"\n  to read Encounter\n  when {condition}\n  {rows}\n{hidden}'
    return ruled(text)


@BOUNDED
@given(VIEWS, VIEWS, ENCOUNTERS)
def test_adding_a_permit_never_hides(
    views: list[tuple[str, str, set[str]]], more: list[tuple[str, str, set[str]]], encounter: dict[str, object]
) -> None:
    before, after = _views(views), _views([*views, *more])
    facts = question(before, "Encounter", action="read")
    first = before.release(facts, before.decide(facts), encounter)
    second = after.release(facts, after.decide(facts), encounter)
    if first.released:
        assert second.released
        assert second.hide <= first.hide
    assert replace(facts, purpose=None).purpose is None
