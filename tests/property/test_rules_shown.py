"""What holds of every rule set about what is shown, whatever stands in it: monotony, order, errors.

Source: `rules-language.md` of the design, meaning 1, 2 and 10.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import fhir, specs
from gateway.rules import Facts, Release, RuleSet, load_sources
from gateway.rules.around import NOTHING, Around, Reading, Referring
from gateway.source import Source, render
from tests.bounded import examples
from tests.conformance.rules.support import DOMAIN, NOW, REGISTRY, TODAY, vocabulary

MARKS = fhir.Marks(specs.fhir().systems.marks)
LISTS = 'list out "x" of nhs-number from "out.csv" stale after 10 days\ncodes quiet "x" from "quiet.csv"\n'
FILES = {
    "out.csv": b"# as of 2026-05-10\nnhs-number\n9990000026\n",
    "quiet.csv": b"system,code\nhttp://snomed.info/sct,76272004\n",
}
CARED_FOR = "Encounter.serviceProvider in caller.organisations"
PERMITS = (
    "to read Patient, Condition\n  when caller has role gp-viewer\n  all rows\n  hide Patient.telecom",
    f"to read Condition\n  rows Condition linked by Condition.encounter where {CARED_FOR}",
    "to read Patient\n  when purpose is TREAT and patient has age 16 years or over\n  all rows\n  hide Patient.address",
    f"to read Patient\n  rows Patient linked by Encounter.subject where {CARED_FOR}",
    "to read Patient, Condition\n  when r0d in source.organisations\n  all rows\n  hide Patient.address.city",
    "to read Condition\n  when patient listed in out\n  all rows",
)
FORBIDS = (
    'to read any\n  when resource.meta.security has code "R" in "urn:s" and not caller breaks glass',
    "to read Condition\n  when Condition.code has code quiet and patient has age under 16 years",
    "to read any\n  when (purpose is absent or purpose is not TREAT) and patient listed in out",
    "to read Patient\n  when rdz in source.organisations and caller.organisations lacks rdz",
)
MASKS = (
    "to read Patient\n  when rdz in source.organisations\n  hide Patient.address",
    "to read Patient\n  when patient listed in out\n  hide Patient.telecom, Patient.name.family",
    "to read Condition\n  when patient has age under 16 years\n  hide Condition.code.text",
    "to read Condition\n  when purpose is absent\n  hide Condition.code",
)
Chosen = tuple[tuple[str, int], ...]
POOLS = {"permit": PERMITS, "forbid": FORBIDS, "mask": MASKS}


@functools.cache
def ruled(chosen: Chosen, *, files: bool = True) -> RuleSet:
    statements = [f'{kind} X-{kind}-{i} "x"\n  {POOLS[kind][i]}\n' for kind, i in chosen]
    # so that both types are served whatever is chosen
    statements.append('permit X-0 "x"\n  to search Patient, Condition\n  all rows\n')
    sources = [Source("0.rules", REGISTRY + LISTS), Source("1.rules", DOMAIN + "\n" + "\n".join(statements))]
    beside: Mapping[str, bytes] = FILES if files else {}
    found = load_sources(sources, vocabulary(), read=beside.get)
    assert found.rules is not None, "\n".join(render(d) for d in found.diagnostics)
    return found.rules


def some(kind: str, least: int = 0) -> st.SearchStrategy[list[tuple[str, int]]]:
    every = [(kind, i) for i in range(len(POOLS[kind]))]
    return st.lists(st.sampled_from(every), min_size=least, unique=True)


def patient(id_: str, born: str, number: str) -> dict[str, Any]:
    return {
        "resourceType": "Patient", "id": id_, "birthDate": born, "name": [{"family": "Marlow"}],
        "identifier": [{"system": "https://fhir.nhs.uk/Id/nhs-number", "value": number}],
        "address": [{"city": "Poole", "postalCode": "BH15 1AA"}], "telecom": [{"value": "01202 960001"}],
    }  # fmt: skip


ADULT, CHILD = patient("1", "1980-01-01", "9990000018"), patient("2", "2015-01-01", "9990000026")
VISIT = {
    "resourceType": "Encounter",
    "id": "e",
    "serviceProvider": {"reference": "Organization/R0D"},
    "status": "finished",
}
CONDITION = {
    "resourceType": "Condition", "id": "c", "encounter": {"reference": "Encounter/e"},
    "code": {"coding": [{"system": "http://snomed.info/sct", "code": "76272004"}], "text": "x"},
}  # fmt: skip
AROUND: Around = {
    Reading("Patient", "1"): (ADULT,),
    Reading("Patient", "2"): (CHILD,),
    Reading("Encounter", "e"): (VISIT,),
    Referring("Encounter", "subject", "Patient/1"): (VISIT,),
    Referring("Encounter", "subject", "Patient/2"): (),
}
BARE: tuple[dict[str, Any], ...] = (
    ADULT,
    CHILD,
    *({**CONDITION, "subject": {"reference": f"Patient/{name}"}} for name in ("1", "2", "3")),
    {**CONDITION, "subject": {"reference": "Patient/1"}, "asserter": {"reference": "Patient/2"}},
)


@st.composite
def resources(draw: st.DrawFn) -> dict[str, Any]:
    one: dict[str, Any] = draw(st.sampled_from(BARE))
    for organisation in draw(st.sets(st.sampled_from(["R0D", "RDZ"]))):
        one = fhir.contributed(one, organisation=organisation, domain="here", marks=MARKS)
    if draw(st.booleans()):
        one = {**one, "meta": {**one.get("meta", {}), "security": [{"system": "urn:s", "code": "R"}]}}
    return one


@st.composite
def asked(draw: st.DrawFn) -> Facts:
    caller = ruled(()).caller("partner")
    assert caller is not None
    purpose = draw(st.sampled_from(["TREAT", "HOPERAT", None]))
    return Facts("read", caller, "test", NOW, TODAY, purpose=purpose, type="Patient", glass=draw(st.booleans()))


def seen(
    chosen: Chosen, facts: Facts, resource: Mapping[str, Any], around: Around = AROUND, *, files: bool = True
) -> Release:
    rules = ruled(chosen, files=files)
    own = Facts(**{name: getattr(facts, name) for name in facts.__slots__} | {"type": resource["resourceType"]})
    return rules.release(own, rules.decide(own), resource, around)


def no_more(less: Release, more: Release, resource: Mapping[str, Any]) -> None:
    """Whatever of the resource goes out by the one goes out by the other."""
    if not less.released:
        return
    assert more.released
    whole, part = (fhir.redact(dict(resource), one.hide) for one in (more, less))
    assert all(path in set(_paths(whole)) for path in _paths(part))


def _paths(node: Any, at: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    if isinstance(node, dict):
        return [path for name, value in node.items() if name != "meta" for path in _paths(value, (*at, name))]
    if isinstance(node, list):
        return [path for value in node for path in _paths(value, at)]
    return [(*at, str(node))]


RULES = st.tuples(some("permit"), some("forbid"), some("mask")).map(lambda parts: tuple(x for p in parts for x in p))


@settings(max_examples=examples(80), deadline=None)
@given(RULES, some("forbid", 1), asked(), resources())
def test_adding_a_forbid_never_shows_more(
    chosen: Chosen, more: list[tuple[str, int]], facts: Facts, resource: dict[str, Any]
) -> None:
    no_more(seen(_with(chosen, more), facts, resource), seen(chosen, facts, resource), resource)


@settings(max_examples=examples(80), deadline=None)
@given(RULES, some("mask", 1), asked(), resources())
def test_adding_a_mask_never_shows_more(
    chosen: Chosen, more: list[tuple[str, int]], facts: Facts, resource: dict[str, Any]
) -> None:
    no_more(seen(_with(chosen, more), facts, resource), seen(chosen, facts, resource), resource)


@settings(max_examples=examples(80), deadline=None)
@given(RULES, some("permit", 1), asked(), resources())
def test_adding_a_permit_never_hides(
    chosen: Chosen, more: list[tuple[str, int]], facts: Facts, resource: dict[str, Any]
) -> None:
    no_more(seen(chosen, facts, resource), seen(_with(chosen, more), facts, resource), resource)


@settings(max_examples=examples(60), deadline=None)
@given(RULES.flatmap(lambda rules: st.tuples(st.just(rules), st.permutations(rules))), asked(), resources())
def test_order_never_matters(
    both: tuple[Chosen, list[tuple[str, int]]], facts: Facts, resource: dict[str, Any]
) -> None:
    one, other = (seen(tuple(chosen), facts, resource) for chosen in both)
    assert (one.released, one.hide, set(one.by)) == (other.released, other.hide, set(other.by))


@settings(max_examples=examples(80), deadline=None)
@given(RULES, asked(), resources(), st.sets(st.sampled_from(sorted(AROUND))), st.booleans())
def test_what_can_not_be_found_never_shows_more(
    chosen: Chosen,
    facts: Facts,
    resource: dict[str, Any],
    lost: set[Any],
    files: bool,  # noqa: FBT001 - drawn
) -> None:
    less: Around = {want: found for want, found in AROUND.items() if want not in lost}
    whole = seen(chosen, facts, resource)
    no_more(seen(chosen, facts, resource, less, files=files), whole, resource)
    no_more(seen(chosen, facts, resource, NOTHING, files=files), whole, resource)


@settings(max_examples=examples(60), deadline=None)
@given(RULES, asked(), resources())
def test_a_forbid_that_errs_releases_nothing(chosen: Chosen, facts: Facts, resource: dict[str, Any]) -> None:
    one = seen(chosen, facts, resource, NOTHING, files=False)
    assert not (one.released and any(rule.startswith("X-forbid") for rule in one.erred))
    assert all(rule in one.by for rule in one.erred if rule.startswith("X-mask") and one.released)


def _with(chosen: Chosen, more: list[tuple[str, int]]) -> Chosen:
    return tuple(dict.fromkeys((*chosen, *more)))
