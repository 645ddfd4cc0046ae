"""The meaning of the language, point by point, over rule sets that are put together by chance.

Source: `rules-language.md` of the design, "Meaning", points 1 to 14; what holds of releases with patients and sources
is in `test_rules_shown.py`, what holds of explaining in `test_rules_account.py`.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.hl7v2 import Message
from gateway.rules import Decision, RuleSet
from tests.conformance.rules import support
from tests.conformance.rules.support import message, question, read, submission
from tests.property.test_rules_decisions import CONDITIONS, ENCOUNTERS, MESSAGES

BOUNDED = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
ERRS = "PID-1 is present and PID-1 > 5"
"""Can't be decided where PID-1 is no number."""
NO_NUMBER = message("PID|x||9990000018^^^NHS^NH", "PV1|1|E")

ASKED = st.sampled_from(
    ["purpose is TREAT", "caller has role gp-viewer", "caller has role counter", "user is absent",
     "r0d in caller.organisations", 'environment is "test"', "not caller has role counter"]
)  # fmt: skip
AGAINST = st.sampled_from(
    ["purpose is absent", "caller has role counter", "user is present", "(purpose is absent or purpose is not TREAT)",
     "caller.organisations lacks rdz", 'environment is "production"']
)  # fmt: skip
MASKED = AGAINST | st.sampled_from(["user is absent", "caller has role gp-viewer", 'environment is "test"'])
ROWS = st.sampled_from(
    ["all rows", 'rows Encounter where Encounter.status is "finished"',
     'rows Encounter where Encounter.status in "planned", "finished"',
     "rows Encounter where Encounter.serviceProvider in caller.organisations"]
)  # fmt: skip
HIDDEN = st.sets(st.sampled_from(["Encounter.class", "Encounter.period", "Encounter.length"]), max_size=2)
VIEWS = st.lists(st.tuples(ASKED, ROWS, HIDDEN), min_size=1, max_size=3)
PURPOSES = st.sampled_from(["TREAT", "HOPERAT", None])
ACTIONS = st.sampled_from(["search", "read"])


@functools.lru_cache(maxsize=256)
def ruled(rules: str, *more: str, registry: str = support.REGISTRY) -> RuleSet:
    return support.ruled(rules, *more, registry=registry)


def view(name: str, asked: str, rows: str = "all rows", hide: Sequence[str] = (), more: str = "") -> str:
    hidden = f"  hide {', '.join(sorted(hide))}\n" if hide else ""
    return f'permit {name} "x"\n  to search, count, read Encounter\n  when {asked}\n  {rows}\n{hidden}{more}'


def views(found: Sequence[tuple[str, str, set[str]]]) -> list[str]:
    return [view(f"V{i}", asked, rows, sorted(hide)) for i, (asked, rows, hide) in enumerate(found)]


def forbid(name: str, when: str) -> str:
    return f'forbid {name} "x"\n  to search, count, read Encounter\n  when {when}\n'


def sending(kind: str, name: str, when: str) -> str:
    return f'{kind} {name} "x"\n  to ingest\n  on Hl7v2\n  when {when}\n'


def joined(*statements: str) -> str:
    return "\n".join(("", *statements))


ROUTE = 'route R "x"\n  on Hl7v2\n  to record\n  on failure reject\n'
ANYONE = 'permit P "x"\n  to ingest\n'


def sent(rules: RuleSet, of: Message = NO_NUMBER) -> Decision:
    return rules.decide(submission(rules, of))


def asked(rules: RuleSet, action: str = "read", purpose: str | None = "TREAT", caller: str = "partner") -> Decision:
    return rules.decide(question(rules, "Encounter", action=action, purpose=purpose, caller=caller))


# --- 1. default deny, forbid overrides, order never matters --------------------------------------------------------


@BOUNDED
@given(st.lists(AGAINST, max_size=2), ACTIONS, PURPOSES)
def test_1_without_a_permit_nothing_is_permitted(forbids: list[str], action: str, purpose: str | None) -> None:
    rules = ruled(joined(ROUTE, *(forbid(f"F{i}", when) for i, when in enumerate(forbids))))
    assert asked(rules, action, purpose).effect == "deny"
    assert sent(rules).effect == "deny"


@BOUNDED
@given(VIEWS, AGAINST, ACTIONS, PURPOSES, ENCOUNTERS)
def test_1_a_forbid_more_never_widens(
    found: list[tuple[str, str, set[str]]], more: str, action: str, purpose: str | None, encounter: dict[str, object]
) -> None:
    base, narrower = ruled(joined(*views(found))), ruled(joined(*views(found), forbid("F", more)))
    first, second = (asked(one, action, purpose) for one in (base, narrower))
    assert {v.permit for v in second.views} <= {v.permit for v in first.views}
    facts = question(base, "Encounter", action=action, purpose=purpose)
    before, after = base.release(facts, first, encounter), narrower.release(facts, second, encounter)
    assert not after.released or (before.released and before.hide <= after.hide)


@BOUNDED
@given(VIEWS.flatmap(lambda v: st.permutations(views(v))), st.lists(AGAINST, max_size=2), ACTIONS, PURPOSES)
def test_1_and_9_neither_order_nor_the_domain_of_a_rule_matters_to_queries(
    statements: list[str], forbids: list[str], action: str, purpose: str | None
) -> None:
    rules = [*statements, *(forbid(f"F{i}", when) for i, when in enumerate(forbids))]
    one = ruled(joined(*rules))
    half = len(rules) // 2
    other = 'language 1\ndomain there "There"\n  serves record\n' + joined(*reversed(rules[:half]))
    two = ruled(joined(*reversed(rules[half:])), other)
    first, second = asked(one, action, purpose), asked(two, action, purpose)
    assert (first.effect, set(first.by), set(first.erred)) == (second.effect, set(second.by), set(second.erred))


# --- 2. three values -----------------------------------------------------------------------------------------------


@BOUNDED
@given(st.lists(CONDITIONS, max_size=2))
def test_2_a_permit_that_errs_grants_nothing(conditions: list[str]) -> None:
    permits = [sending("permit", f"P{i}", when) for i, when in enumerate(conditions)]
    base, more = ruled(joined(ROUTE, *permits)), ruled(joined(ROUTE, *permits, sending("permit", "E", ERRS)))
    first, second = sent(base), sent(more)
    assert first.effect == second.effect
    assert first.by == second.by
    assert "E" in second.erred


@BOUNDED
@given(st.lists(CONDITIONS, min_size=1, max_size=2))
def test_2_a_forbid_that_errs_denies(conditions: list[str]) -> None:
    permits = [sending("permit", f"P{i}", when) for i, when in enumerate(conditions)]
    decision = sent(ruled(joined(ROUTE, ANYONE, *permits, sending("forbid", "E", ERRS))))
    assert decision.effect == "deny"
    assert decision.erred == ("E",)


@BOUNDED
@given(st.sampled_from(["error", "warning", "information"]))
def test_2_an_error_level_check_that_errs_refuses_and_no_other_does(severity: str) -> None:
    check = f'check C "x"\n  on Hl7v2\n  require PID-1 is present and PID-1 > 5\n  otherwise {severity} value "x"\n'
    decision = sent(ruled(joined(ROUTE, ANYONE, check)))
    assert decision.effect == ("refuse" if severity == "error" else "permit")
    assert decision.erred == ("C",)


# --- 3. typed before it loads --------------------------------------------------------------------------------------


@BOUNDED
@given(VIEWS, st.sampled_from(["gp-viewwer", "TREET", "r0e"]), st.integers(0, 3))
def test_3_a_rule_set_with_any_error_does_not_load(found: list[tuple[str, str, set[str]]], wrong: str, at: int) -> None:
    when = {"gp-viewwer": f"caller has role {wrong}", "TREET": f"purpose is {wrong}"}.get(
        wrong, f"{wrong} in caller.organisations"
    )
    statements = views(found)
    statements.insert(at, view("W", when))
    assert read(joined(*statements)).rules is None


@BOUNDED
@given(st.sampled_from(["r0d", "R0D", "R0d", "rdz", "RDZ"]), PURPOSES)
def test_3_the_letter_case_of_an_organisation_is_meaningless(code: str, purpose: str | None) -> None:
    one, other = (ruled(joined(view("V", f"{c} in caller.organisations"))) for c in (code, code.swapcase()))
    first, second = asked(one, purpose=purpose), asked(other, purpose=purpose)
    assert (first.effect, first.by) == (second.effect, second.by)


# --- 4. absence is spelled out -------------------------------------------------------------------------------------


@BOUNDED
@given(ACTIONS, ASKED, st.sampled_from(["TREAT", "HOPERAT"]))
def test_4_an_absent_purpose_never_matches_a_permit_that_names_it(action: str, more: str, purpose: str) -> None:
    for when in (f"purpose is {purpose} and {more}", f"purpose is not {purpose} and {more}"):
        assert asked(ruled(joined(view("V", when))), action, None).effect == "deny"


@BOUNDED
@given(ENCOUNTERS.filter(lambda e: "status" not in e), st.sampled_from(["is", "is not"]))
def test_4_a_row_without_the_value_is_not_shown(encounter: dict[str, object], word: str) -> None:
    rules = ruled(joined(view("V", "user is absent", f'rows Encounter where Encounter.status {word} "finished"')))
    facts = question(rules, "Encounter", action="read")
    assert not rules.release(facts, rules.decide(facts), encounter).released


# --- 5. one meaning of `and` and `or` ------------------------------------------------------------------------------


@BOUNDED
@given(st.lists(CONDITIONS, min_size=3, max_size=3), st.sampled_from(["and", "or"]), MESSAGES)
def test_5_parentheses_and_blocks_say_the_same(parts: list[str], word: str, of: Message) -> None:
    one, two, three = (f"({part})" for part in parts)
    lines = "".join(f"\n    ({part})" for part in parts)
    forms = (
        f"{one} {word} {two} {word} {three}", f"({one} {word} {two}) {word} {three}",
        f"{one} {word} ({two} {word} {three})",
        f"{'all' if word == 'and' else 'any'} of:{lines}",
    )  # fmt: skip
    found = [sent(ruled(joined(ROUTE, sending("permit", "P", form))), of) for form in forms]
    assert len({(one.effect, one.by, one.erred) for one in found}) == 1


@BOUNDED
@given(CONDITIONS, CONDITIONS, MESSAGES)
def test_5_what_is_not_either_is_neither(one: str, other: str, of: Message) -> None:
    whole = sent(ruled(joined(ROUTE, sending("permit", "P", f"not (({one}) or ({other}))"))), of)
    parts = sent(ruled(joined(ROUTE, sending("permit", "P", f"not ({one}) and not ({other})"))), of)
    assert (whole.effect, whole.erred) == (parts.effect, parts.erred)


@BOUNDED
@given(CONDITIONS, MESSAGES, st.from_regex(r"[a-z]{4,8}-[a-z]{4,8}", fullmatch=True))
def test_5_a_name_for_a_condition_is_meaningless(when: str, of: Message, name: str) -> None:
    spelled = sent(ruled(joined(ROUTE, sending("permit", "P", when))), of)
    named = sent(ruled(joined(f"condition {name} on Hl7v2\n  means {when}\n", ROUTE, sending("permit", "P", name))), of)
    assert (spelled.effect, spelled.by, spelled.erred) == (named.effect, named.by, named.erred)


# --- 7 and 8. checks all run, routes all apply ---------------------------------------------------------------------


@BOUNDED
@given(st.lists(st.tuples(CONDITIONS, st.sampled_from(["error", "warning"])), min_size=1, max_size=3), MESSAGES)
def test_7_checks_all_run_and_none_hides_another(checks: list[tuple[str, str]], of: Message) -> None:
    texts = [
        f'check C{i} "x"\n  on Hl7v2\n  require {when}\n  otherwise {severity} value "x"\n'
        for i, (when, severity) in enumerate(checks)
    ]
    whole = sent(ruled(joined(ROUTE, ANYONE, *texts)), of)
    alone = [sent(ruled(joined(ROUTE, ANYONE, text)), of) for text in texts]
    assert set(whole.findings) == {finding for one in alone for finding in one.findings}
    assert (whole.effect == "refuse") is any(one.effect == "refuse" for one in alone)


@BOUNDED
@given(st.lists(CONDITIONS, min_size=1, max_size=3), MESSAGES)
def test_8_routes_all_apply_and_a_gap_refuses(routes: list[str], of: Message) -> None:
    texts = [
        f'route R{i} "x"\n  on Hl7v2\n  when {when}\n  to record\n  on failure reject\n'
        for i, when in enumerate(routes)
    ]
    whole = sent(ruled(joined(ANYONE, *texts)), of)
    alone = [sent(ruled(joined(ANYONE, text)), of) for text in texts]
    assert set(whole.routes) == {route for one in alone for route in one.routes}
    assert (whole.effect == "permit") is bool(whole.routes)


# --- 9. scope ------------------------------------------------------------------------------------------------------


@BOUNDED
@given(VIEWS, st.lists(AGAINST, max_size=1), PURPOSES, ENCOUNTERS)
def test_9_a_count_counts_only_what_would_be_released(
    found: list[tuple[str, str, set[str]]], forbids: list[str], purpose: str | None, encounter: dict[str, object]
) -> None:
    rules = ruled(joined(*views(found), *(forbid(f"F{i}", when) for i, when in enumerate(forbids))))
    searched = question(rules, "Encounter", purpose=purpose)
    counted = replace(searched, action="count")
    count, search = (rules.release(one, rules.decide(one), encounter) for one in (counted, searched))
    assert not count.released or search.released


@BOUNDED
@given(VIEWS, ACTIONS, PURPOSES)
def test_9_a_principal_that_nothing_is_declared_of_gets_nothing_that_asks_for_something(
    found: list[tuple[str, str, set[str]]], action: str, purpose: str | None
) -> None:
    named = [(when, rows, hide) for when, rows, hide in found if "caller" in when and not when.startswith("not")]
    rules = ruled(joined(*views(named), view("Z", "caller has role gp-viewer")))
    assert asked(rules, action, purpose, caller="nobody").effect == "deny"
    assert rules.caller("somebody-else") is None


# --- 10. each matching permit is a view ----------------------------------------------------------------------------


@BOUNDED
@given(VIEWS, ENCOUNTERS, PURPOSES)
def test_10_what_is_released_is_what_some_view_shows_and_hides_what_all_of_those_hide(
    found: list[tuple[str, str, set[str]]], encounter: dict[str, object], purpose: str | None
) -> None:
    whole = ruled(joined(*views(found)))
    facts = question(whole, "Encounter", action="read", purpose=purpose)
    release = whole.release(facts, whole.decide(facts), encounter)
    showing = []
    for text, (_, _, hide) in zip(views(found), found, strict=True):
        rules = ruled(joined(text))
        if rules.release(facts, rules.decide(facts), encounter).released:
            showing.append(hide)
    assert release.released is bool(showing)
    assert release.hide == (frozenset.intersection(*map(frozenset, showing)) if showing else frozenset())


@BOUNDED
@given(VIEWS, ENCOUNTERS, st.sampled_from(["Encounter.class", "Encounter.period"]), MASKED, PURPOSES)
def test_10_a_mask_hides_on_every_view(
    found: list[tuple[str, str, set[str]]], encounter: dict[str, object], path: str, when: str, purpose: str | None
) -> None:
    mask = f'mask M "x"\n  to read Encounter\n  when {when}\n  hide {path}\n'
    base, masked = ruled(joined(*views(found))), ruled(joined(*views(found), mask))
    facts = question(base, "Encounter", action="read", purpose=purpose)
    before, after = (one.release(facts, one.decide(facts), encounter) for one in (base, masked))
    applies = ruled(joined(view("V", when))).decide(facts).effect == "permit"
    assert after.released is before.released
    assert after.hide == (before.hide | ({path} if applies and after.released else set()))


@BOUNDED
@given(st.permutations(["status", "date", "class"]), st.integers(1, 2))
def test_10_a_query_is_wholly_allowed_by_one_view(names: list[str], split: int) -> None:
    values = {"status": "finished", "date": "2026-05-01", "class": "AMB"}
    two = [view(f"V{i}", "user is absent", more=f"  allowing {', '.join(own)}\n")
           for i, own in enumerate((names[:split], names[split:]))]  # fmt: skip
    rules = ruled(joined(*two))
    for own in (names[:split], names[split:]):
        facts = question(rules, "Encounter", *((name, values[name]) for name in own))
        assert rules.decide(facts).effect == "permit"
    assert rules.decide(question(rules, "Encounter", *values.items())).effect == "deny"


# --- 11. rows ------------------------------------------------------------------------------------------------------


@BOUNDED
@given(VIEWS, ENCOUNTERS)
def test_11_what_is_narrowed_upstream_never_leaves_out_what_rows_show(
    found: list[tuple[str, str, set[str]]], encounter: dict[str, object]
) -> None:
    rules = ruled(joined(*views(found)))
    facts = question(rules, "Encounter")
    decision = rules.decide(facts)
    for one in decision.views:
        alone = decision._replace(views=(one,))
        if rules.release(facts, alone, encounter).released:
            for name, values in one.narrow:
                provider = encounter.get("serviceProvider")
                own = provider.get("reference") if isinstance(provider, dict) else provider
                assert (encounter.get("status") if name == "status" else own) in values


@BOUNDED
@given(VIEWS, ENCOUNTERS)
def test_11_rows_are_asked_of_every_resource_again(
    found: list[tuple[str, str, set[str]]], encounter: dict[str, object]
) -> None:
    rules = ruled(joined(*views(found)))
    facts = question(rules, "Encounter")
    decision = rules.decide(facts)
    unnarrowed = decision._replace(views=tuple(replace(one, narrow=()) for one in decision.views))
    assert rules.release(facts, decision, encounter) == rules.release(facts, unnarrowed, encounter)


# --- 12 and 13. agreements, break-glass ----------------------------------------------------------------------------

FIRST, LAST = date(2026, 4, 1), date(2026, 5, 31)
ABOUT = timedelta(days=3)
DAYS = st.one_of(st.dates(FIRST - ABOUT, FIRST + ABOUT), st.dates(LAST - ABOUT, LAST + ABOUT))


@BOUNDED
@given(DAYS, st.sampled_from(["DSA-1", "DSA-2"]), PURPOSES, ACTIONS)
def test_12_an_agreement_holds_from_its_first_to_its_last_day_and_for_its_purposes(
    day: date, agreement: str, purpose: str | None, action: str
) -> None:
    rules = ruled(joined(view("V", "user is absent", more=f"  because {agreement}\n")))
    decision = rules.decide(question(rules, "Encounter", action=action, purpose=purpose, today=day))
    fits = agreement == "DSA-1" or purpose == "TREAT"
    assert (decision.effect == "permit") is (FIRST <= day <= LAST and fits)


@BOUNDED
@given(st.lists(CONDITIONS, min_size=1, max_size=2), MESSAGES)
def test_13_broken_glass_changes_nothing_of_what_is_sent(conditions: list[str], of: Message) -> None:
    texts = [sending("permit", f"P{i}", when) for i, when in enumerate(conditions)]
    rules = ruled(joined(ROUTE, *texts))
    facts = submission(rules, of)
    assert rules.decide(facts)[:7] == rules.decide(replace(facts, glass=True))[:7]


# --- 14. every decision names its rules ----------------------------------------------------------------------------


@BOUNDED
@given(VIEWS, st.lists(AGAINST, max_size=2), ACTIONS, PURPOSES)
def test_14_every_decision_names_rules_that_stand_somewhere_and_the_rule_set(
    found: list[tuple[str, str, set[str]]], forbids: list[str], action: str, purpose: str | None
) -> None:
    rules = ruled(joined(*views(found), *(forbid(f"F{i}", when) for i, when in enumerate(forbids))))
    decision = asked(rules, action, purpose)
    assert decision.digest == rules.digest
    assert decision.by or decision.wanting
    assert all(rules.places[name] for name in (*decision.by, *decision.erred))
    assert rules.digest != ruled(joined(*views(found), forbid("OTHER", "user is present"))).digest
