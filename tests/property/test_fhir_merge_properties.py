"""Properties of the merge: what a reader may rely on whatever the senders send."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import fhir, specs
from tests.bounded import examples

ELEMENTS = fhir.Elements(specs.fhir())
MERGING = fhir.Merging(ELEMENTS)
MOMENTS = [f"2026-01-01T1{hour}:00:00+00:00" for hour in range(6)]

few = st.sampled_from(("1", "2", "3"))
kinds = st.sampled_from(({"coding": [{"code": "MR"}]}, {"coding": [{"code": "VN"}]}))


def parts(required: dict[str, st.SearchStrategy[Any]], optional: dict[str, st.SearchStrategy[Any]]) -> Any:
    return st.lists(st.fixed_dictionaries(required, optional=optional), min_size=1, max_size=3)


LISTS: dict[str, Any] = {
    "identifier": parts(
        {"value": few}, {"system": st.sampled_from(("urn:a", "urn:b")), "type": kinds, "use": st.just("old")}
    ),
    "name": parts(
        {"family": few}, {"use": st.sampled_from(("official", "old", "nickname")), "given": st.lists(few, min_size=1)}
    ),
    "telecom": parts(
        {"value": few}, {"system": st.sampled_from(("phone", "email")), "use": st.sampled_from(("home", "work"))}
    ),
    "address": parts({"city": few}, {"use": st.sampled_from(("home", "old"))}),
    "extension": parts({"url": st.sampled_from(("u:a", "u:b")), "valueCode": few}, {}),
}
SCALARS: dict[str, Any] = {
    "gender": st.sampled_from(("male", "female")),
    "birthDate": st.sampled_from(("1990", "1991-01-01")),
    "active": st.booleans(),
    "maritalStatus": st.fixed_dictionaries({"text": few}),
    "contact": parts({"gender": st.sampled_from(("male", "female"))}, {}),
}
CHOICE = st.one_of(
    st.just({}), st.builds(lambda b: {"deceasedBoolean": b}, st.booleans()), st.just({"deceasedDateTime": "2026"})
)
contents = st.builds(lambda a, b: a | b, st.fixed_dictionaries({}, optional=LISTS | SCALARS), CHOICE)
senders = st.sampled_from((("r0d", "emergency-care"), ("rdz", "emergency-care"), ("qvv", "wards")))
clears = st.lists(
    st.sampled_from(
        (
            "Patient.birthDate",
            "Patient.telecom",
            "Patient.deceased[x]",
            "Patient.telecom[use=home]",
            "Patient.name.given",
        )
    ),
    max_size=2,
    unique=True,
).map(tuple)


def draft(content: dict[str, Any], sender: tuple[str, str], gone: tuple[str, ...] = ()) -> fhir.Draft:
    resource = {"resourceType": "Patient", "id": "9990000018", **content}
    return fhir.Draft(fhir.contributed(resource, organisation=sender[0], domain=sender[1], marks=MERGING.marks), gone)


def applied(standing: fhir.Resource | None, new: fhir.Draft, told: str) -> fhir.Resource | None:
    found = MERGING.merge(standing, new, told=told)
    return standing if found.resource is None else found.resource


drafts = st.builds(draft, contents, senders, clears)
KEEPS_INVARIANTS = {
    "telecom": parts(
        {"value": few, "system": st.sampled_from(("phone", "email"))}, {"use": st.sampled_from(("home", "work"))}
    ),
    "contact": parts(
        {"name": st.fixed_dictionaries({"text": few})}, {"gender": st.sampled_from(("male", "female"))}
    ),
}  # fmt: skip
valid_contents = st.builds(
    lambda a, b: a | b, st.fixed_dictionaries({}, optional=LISTS | SCALARS | KEEPS_INVARIANTS), CHOICE
)
valid_drafts = st.builds(draft, valid_contents, senders, clears)
BOUNDED = settings(max_examples=examples(60), deadline=None)


@BOUNDED
@given(st.lists(drafts, max_size=3), drafts)
def test_the_same_message_twice_changes_nothing_the_second_time(before: list[fhir.Draft], new: fhir.Draft) -> None:
    standing: fhir.Resource | None = None
    for i, each in enumerate(before):
        standing = applied(standing, each, MOMENTS[i])
    once = applied(standing, new, MOMENTS[4])
    assert MERGING.merge(once, new, told=MOMENTS[4]) == fhir.Merged(None)
    assert MERGING.merge(once, new, told=MOMENTS[5]) == fhir.Merged(None)


@BOUNDED
@given(drafts, drafts)
def test_an_older_message_never_changes_anything(first: fhir.Draft, second: fhir.Draft) -> None:
    standing = applied(None, first, MOMENTS[1])
    assert MERGING.merge(standing, second, told=MOMENTS[0]).resource is None


@BOUNDED
@given(drafts, drafts)
def test_nothing_that_a_message_does_not_speak_of_changes(first: fhir.Draft, second: fhir.Draft) -> None:
    before = applied(None, first, MOMENTS[0])
    after = applied(before, second, MOMENTS[1])
    assert before is not None
    assert after is not None
    cleared = {path.split(".")[1].partition("[")[0] for path in second.clears}
    spoken = {name.removeprefix("_") for name in second.resource}
    for name, value in before.items():
        choice = name.startswith("deceased") and (
            any(n.startswith("deceased") for n in spoken) or "deceased" in cleared
        )
        if name not in spoken and name not in cleared and not choice and name != "meta":
            assert after[name] == value


@BOUNDED
@given(drafts, drafts)
def test_all_that_a_message_tells_stands_afterwards(first: fhir.Draft, second: fhir.Draft) -> None:
    after = applied(applied(None, first, MOMENTS[0]), second, MOMENTS[1])
    assert after is not None
    for name, value in second.resource.items():
        if name in LISTS:
            for entry in value:
                assert any(entry.items() <= other.items() for other in after[name])
        elif name != "meta":
            assert after[name] == value


@BOUNDED
@given(drafts, contents)
def test_what_is_cleared_and_not_told_is_gone(first: fhir.Draft, content: dict[str, Any]) -> None:
    gone = ("Patient.birthDate", "Patient.telecom", "Patient.deceased[x]")
    told = {n: v for n, v in content.items() if n not in {"birthDate", "telecom"} and not n.startswith("deceased")}
    after = applied(applied(None, first, MOMENTS[0]), draft(told, ("r0d", "wards"), gone), MOMENTS[1])
    assert after is not None
    assert not {"birthDate", "telecom", "deceasedBoolean", "deceasedDateTime"} & set(after)


@BOUNDED
@given(st.lists(st.tuples(drafts, senders), min_size=1, max_size=5))
def test_every_contributor_of_a_written_version_is_kept(told: list[tuple[fhir.Draft, tuple[str, str]]]) -> None:
    standing: fhir.Resource | None = None
    for i, (new, _) in enumerate(told):
        standing = applied(standing, new, MOMENTS[i])
    assert standing is not None
    organisations = {o for new, _ in told for o in fhir.contributors(new.resource, MERGING.marks)[0]}
    assert fhir.contributors(standing, MERGING.marks)[0] == organisations


@BOUNDED
@given(contents, contents, senders, senders)
def test_messages_of_one_moment_about_different_elements_commute(
    one: dict[str, Any], two: dict[str, Any], first: tuple[str, str], second: tuple[str, str]
) -> None:
    other = {n: v for n, v in two.items() if n not in one and not n.startswith("deceased")}
    a, b = draft(one, first), draft(other, second)
    forwards = applied(applied(None, a, MOMENTS[0]), b, MOMENTS[0])
    backwards = applied(applied(None, b, MOMENTS[0]), a, MOMENTS[0])
    assert forwards is not None
    assert backwards is not None
    assert {n: v for n, v in forwards.items() if n != "meta"} == {n: v for n, v in backwards.items() if n != "meta"}
    assert fhir.contributors(forwards, MERGING.marks) == fhir.contributors(backwards, MERGING.marks)


@BOUNDED
@given(st.lists(valid_drafts, min_size=1, max_size=3))
def test_a_merged_patient_is_valid(told: list[fhir.Draft]) -> None:
    standing: fhir.Resource | None = None
    for i, new in enumerate(told):
        standing = applied(standing, new, MOMENTS[i])
    assert standing is not None
    assert fhir.validate(standing, ELEMENTS) == ()
