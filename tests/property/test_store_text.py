"""Whatever a resource holds, its text comes back with the same members and the same spelling of numbers."""

from __future__ import annotations

from typing import Any

import simplejson
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.upstream.store import splice
from tests.bounded import examples

NAMES = st.text(min_size=1, max_size=6) | st.sampled_from(["id", "meta", "resourceType", "versionId", "entry"])
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.decimals(-1000, 1000, allow_nan=False, places=3)
    | st.text(max_size=12)
)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=12
)
META = st.dictionaries(NAMES | st.just("lastUpdated"), VALUES, max_size=4)


@st.composite
def resources(draw: st.DrawFn) -> dict[str, Any]:
    body = draw(st.dictionaries(NAMES, VALUES, max_size=5)) | {"resourceType": "Basic"}
    if "meta" in body or draw(st.booleans()):
        body["meta"] = draw(META)
    names = draw(st.permutations(list(body)))
    return {name: body[name] for name in names}


@settings(max_examples=examples(200), deadline=None)
@given(resource=resources(), indent=st.sampled_from([None, 1]), ascii_only=st.booleans())
def test_a_resource_comes_back_whole(resource: dict[str, Any], indent: int | None, *, ascii_only: bool) -> None:
    raw = simplejson.dumps(resource, use_decimal=True, indent=indent, ensure_ascii=ascii_only).encode()
    own = sum(key in resource for key in ("resourceType", "id", "meta"))
    text = splice.head("Basic", "x", 2, "now") + splice.content(raw, 0, len(raw), own)
    meta = {key: value for key, value in resource.get("meta", {}).items() if key not in {"versionId", "lastUpdated"}}
    expected = {**resource, "id": "x", "meta": {"versionId": "2", "lastUpdated": "now", **meta}}
    again = simplejson.loads(text, use_decimal=True)
    assert again == expected
    assert simplejson.dumps(again, use_decimal=True, sort_keys=True) == simplejson.dumps(
        expected, use_decimal=True, sort_keys=True
    )


@settings(max_examples=examples(100), deadline=None)
@given(found=st.lists(resources() | st.none(), max_size=4), indent=st.sampled_from([None, 1]))
def test_every_entry_of_a_bundle_is_found(found: list[dict[str, Any] | None], indent: int | None) -> None:
    entries = [{"request": {"url": "]}"}, **({} if item is None else {"resource": item})} for item in found]
    raw = simplejson.dumps({"type": "batch", "entry": entries}, use_decimal=True, indent=indent).encode()
    places = splice.entry_resources(raw)
    assert [None if p is None else simplejson.loads(raw[slice(*p)], use_decimal=True) for p in places] == found
