"""Submissions with anything in them: what is valid is taken apart and identified, and nothing raises."""

from __future__ import annotations

import copy
import functools
import json
from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import fhir, specs
from gateway.fhir import Elements, Marks
from gateway.finding import refuses
from gateway.interactions.fhir_conversion import converted
from gateway.interactions.refused import Refused
from gateway.mapping import Context
from tests.bounded import examples

P = "urn:uuid:0c4b3d0e-9a51-4a2f-8f57-0a4f8d3b7c01"
DIV = '<div xmlns="http://www.w3.org/1999/xhtml">'
VALID: dict[str, Any] = {
    "resourceType": "Bundle",
    "type": "transaction",
    "timestamp": "2026-11-22T10:00:00Z",
    "identifier": {"system": "urn:x", "value": "B-1"},
    "entry": [
        {
            "fullUrl": P,
            "resource": {
                "resourceType": "Patient",
                "id": "p1",
                "meta": {"tag": [{"code": "x"}], "profile": ["urn:x"]},
                "identifier": [{"system": "https://fhir.nhs.uk/Id/nhs-number", "value": "9990000018"}],
                "name": [{"family": "Marlow", "given": ["Edith"]}],
                "contained": [{"resourceType": "Organization", "id": "o", "name": "x"}],
                "managingOrganization": {"reference": "#o"},
            },
            "request": {"method": "POST", "url": "Patient", "ifNoneExist": "identifier=urn:x|1"},
        },
        {
            "resource": {
                "resourceType": "Encounter",
                "id": "e1",
                "identifier": [{"value": "V-1", "type": {"coding": [{"code": "VN"}]}, "assigner": {"display": "x"}}],
                "status": "planned",
                "class": {"code": "EMER"},
                "subject": {"reference": P},
                "text": {
                    "status": "generated",
                    "div": f'<div xmlns="http://www.w3.org/1999/xhtml"><a href="{P}"/></div>',
                },
            },
            "request": {"method": "PUT", "url": "Encounter/e1"},
        },
    ],
}
CONTEXT = Context("R0D", "here", datetime(2026, 11, 22, 12, tzinfo=UTC), "r-1", "d")

odd = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**20), 10**20), st.text(max_size=8),
    st.just([]), st.just({}), st.just([None]),
    st.sampled_from([
        P, "#o", "Patient/p1", "Patient?identifier=", "Patient?identifier=|", "Patient?identifier=a|b|c", "?",
        "Patient?",
        "http://x.example/Patient/p1/_history/1", "urn:",
        "POST", "PUT", "message", "collection", "Bundle", "e1", "|",
        "2016-12-31T23:59:60Z", "0001-01-01T00:00:00-14:00", "9999-12-31T23:59:59+14:00", "\udc00",
    ]),
)  # fmt: skip


@functools.cache
def elements() -> Elements:
    return Elements(specs.fhir())


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, child in inner for place in places(child, (*path, key)))]


@st.composite
def changed(draw: st.DrawFn) -> dict[str, Any]:
    """The valid Bundle with a few values replaced, left out or put elsewhere."""
    bundle = copy.deepcopy(VALID)
    for _ in range(draw(st.integers(1, 3))):
        *way, last = draw(st.sampled_from([place for place in places(bundle) if place]))
        parent: Any = bundle
        for key in way:
            parent = parent[key]
        what = draw(st.sampled_from(["replace", "drop", "double"]))
        if what == "drop":
            del parent[last]
        elif what == "double" and isinstance(parent, list):
            parent.append(copy.deepcopy(parent[last]))
        else:
            parent[last] = copy.deepcopy(draw(odd))  # the same list would be changed in each example
    return bundle


@settings(max_examples=examples(400), deadline=None)
@given(changed())
def test_what_is_valid_is_identified_or_refused_with_a_reason(bundle: dict[str, Any]) -> None:
    try:
        resource = fhir.load(json.dumps(bundle).encode("utf-8"))
    except fhir.JsonError:
        return
    findings = fhir.validate(resource, elements())
    assert all(f.diagnostics and f.expression for f in findings)
    if refuses(findings):
        return
    marks = Marks(elements().tables.systems.marks)
    try:
        made = converted(resource, "", "0" * 64, CONTEXT, elements(), marks)
    except Refused:
        return
    names = [(d.resource["resourceType"], d.resource["id"]) for d in made.drafts]
    assert len(set(names)) == len(names)
    assert set(made.names) <= set(names)
    for draft in made.drafts:
        assert fhir.validate(draft.resource, elements()) == ()
        fhir.Merging(elements()).merge(None, draft, told=made.told)
    again = converted(resource, "", "0" * 64, CONTEXT, elements(), marks)
    assert again == made


def test_the_unchanged_bundle_is_taken() -> None:
    made = converted(VALID, "", "0" * 64, CONTEXT, elements(), Marks(elements().tables.systems.marks))
    assert [name for name, _ in made.names] == ["Patient", "Encounter"]
