"""Lists are merged by keys, so that long ones take no longer than they are; the rule says what must come out."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import fhir, specs
from tests.bounded import examples

ELEMENTS = fhir.Elements(specs.fhir())
MERGING = fhir.Merging(ELEMENTS)
TOLD = "2026-01-01T10:00:00+00:00"
Entry = dict[str, Any]
Meet = Callable[[Entry, Entry], bool]

few = st.sampled_from(("1", "2"))
codes = st.lists(st.fixed_dictionaries({"code": st.sampled_from(("MR", "VN"))}), max_size=2)
identifiers = st.fixed_dictionaries(
    {},
    optional={
        "value": few,
        "system": st.sampled_from(("urn:a", "urn:b")),
        "type": st.fixed_dictionaries({"coding": codes}),
        "use": st.sampled_from(("old", "usual")),
        "period": st.fixed_dictionaries({"start": few}),
    },
)
phones = st.fixed_dictionaries({"value": st.just("1")}, optional={"use": few, "rank": st.integers(1, 2), "system": few})
names = st.fixed_dictionaries({"family": few}, optional={"use": st.sampled_from(("old", "official"))})


def types(entry: Entry) -> set[str]:
    return {coding["code"] for coding in entry.get("type", {}).get("coding", ())}


def one_identifier(standing: Entry, told: Entry) -> bool:
    return all(standing.get(name) == told.get(name) for name in ("system", "value"))


def replaced_identifier(standing: Entry, told: Entry) -> bool:
    return (
        standing.get("system") is not None
        and standing.get("system") == told.get("system")
        and standing.get("value") != told.get("value")
        and "old" not in {standing.get("use"), told.get("use")}
        and (not types(standing) or not types(told) or bool(types(standing) & types(told)))
    )


RULES: dict[str, tuple[Any, Meet, Meet]] = {
    "identifier": (identifiers, one_identifier, replaced_identifier),
    "telecom": (phones, one_identifier, lambda _standing, _told: False),
    "name": (names, lambda s, t: s == t, lambda s, t: s.get("use") == t.get("use") != "old"),
}


def said(standing: list[Entry], told: list[Entry], same: Meet, replaced: Meet) -> list[Entry]:
    """The rule, said entry by entry."""
    told = [entry for i, entry in enumerate(told) if entry not in told[:i]]
    pairs: dict[int, Entry] = {}
    waiting = []
    for entry in told:
        alike = {
            i: sum(s.get(name) == value for name, value in entry.items())
            for i, s in enumerate(standing)
            if i not in pairs and same(s, entry)
        }
        if alike:
            pairs[max(alike, key=lambda i: (alike[i], -i))] = entry
        else:
            waiting.append(entry)
    result = []
    for i, entry in enumerate(standing):
        if i in pairs:
            result.append({**entry, **pairs[i]})
        elif any(replaced(entry, new) for new in told):
            result += [new for new in waiting if replaced(entry, new)]
            waiting = [new for new in waiting if not replaced(entry, new)]
        else:
            result.append(entry)
    return result + waiting


def merged(name: str, standing: list[Entry], told: list[Entry], *clears: str) -> list[Entry]:
    head = {"resourceType": "Patient", "id": "1"}
    before = {**head, "active": True, name: standing}
    draft = fhir.Draft({**head, "active": False, name: told}, clears)
    found = MERGING.merge(before, draft, told=TOLD).resource
    assert found is not None
    entries: list[Entry] = found[name]
    return entries


@pytest.mark.parametrize("name", RULES)
@settings(max_examples=examples(150), deadline=None)
@given(data=st.data())
def test_lists_are_merged_as_the_rule_says(name: str, data: st.DataObject) -> None:
    entries, same, replaced = RULES[name]
    standing = data.draw(st.lists(entries, max_size=24).map(lambda found: [e for e in found if e]))
    told = data.draw(
        st.one_of(
            st.lists(entries, min_size=1, max_size=12).map(lambda found: [e for e in found if e] or [{"id": "x"}]),
            st.just([*standing] or [{"id": "x"}]),  # told again as it stands, which most messages do
        )
    )
    assert merged(name, standing, told) == said(standing, told, same, replaced)


MANY = 8_000


def numbered(**more: Any) -> list[Entry]:
    return [{"system": "urn:a", "value": str(i), **more} for i in range(MANY)]


def ranked(**more: Any) -> list[Entry]:
    return [{"value": "1", "rank": -i, **more} for i in range(MANY)]


@pytest.mark.parametrize(
    ("name", "standing", "told", "clears"),
    [
        ("identifier", numbered(), numbered(use="usual"), ()),
        ("identifier", numbered(), [{"system": "urn:a", "value": f"n{i}"} for i in range(MANY)], ()),
        ("identifier", numbered(type={"coding": [{"code": "MR"}]}), numbered(type={"coding": [{"code": "VN"}]}), ()),
        ("telecom", [{"value": "1", "rank": i} for i in range(MANY)], ranked(use="home", period={"start": "2"}), ()),
        ("telecom", numbered(use="home"), numbered(use="work"), ("Patient.telecom[use=home]",)),
        ("name", [{"family": str(i)} for i in range(MANY)], [{"family": f"n{i}"} for i in range(MANY)], ()),
        ("extension", [{"url": f"u{i}"} for i in range(MANY)], [{"url": f"u{i}", "id": "a"} for i in range(MANY)], ()),
    ],
)  # fmt: skip
def test_long_lists_are_merged_in_a_time_in_proportion(
    name: str, standing: list[Entry], told: list[Entry], clears: tuple[str, ...]
) -> None:
    began = time.process_time()
    found = merged(name, standing, told, *clears)
    assert time.process_time() - began < 5  # entry by entry it is minutes
    assert len(found) in {MANY, 2 * MANY}
