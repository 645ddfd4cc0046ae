"""What a client asks to be left out never brings back what a rule hides: `rules-language.md` meaning 10."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway import fhir, specs

ELEMENTS = fhir.Elements(specs.fhir())
MEMBERS = {name: name for name in ELEMENTS.members("Patient") if name not in {"id", "meta"}}
NAMES = sorted(MEMBERS)
SECRET = "what-is-hidden"
values = st.recursive(
    st.just(SECRET), lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["use", "x"]), inner)
)


@given(
    members=st.dictionaries(st.sampled_from(NAMES), values, max_size=8),
    hidden=st.sets(st.sampled_from(NAMES), min_size=1),
    kept=st.sets(st.sampled_from(NAMES)),
    kind=st.sampled_from(["true", "text", "data"]),
)
def test_a_part_of_what_may_be_seen_holds_nothing_hidden(
    members: dict[str, Any], hidden: set[str], kept: set[str], kind: Any
) -> None:
    resource = {"resourceType": "Patient", "id": "1", **{n: v for n, v in members.items() if n in hidden}}
    paths = [f"Patient.{name}" for name in hidden]
    seen = fhir.redact(resource, paths)
    parts = [fhir.summary(seen, kind, ELEMENTS), fhir.elements_of(seen, kept, ELEMENTS)]
    for part in parts:
        assert SECRET not in json.dumps(part)
        assert fhir.held(part, paths) == ()
        assert part.keys() <= seen.keys()
        assert fhir.SUBSETTED in part["meta"]["tag"]
