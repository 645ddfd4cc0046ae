"""JSON Patch on resources. Source: RFC 6902, its appendix A by number, and RFC 6901."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from gateway import fhir
from gateway.fhir import json_patch

Json = dict[str, Any]
RESOURCE: Json = {
    "resourceType": "Patient", "id": "1", "active": True, "name": [{"family": "Marlow"}, {"family": "Hale"}],
    "extension": [{"url": "urn:a/b", "valueDecimal": Decimal("72.50")}], "_birthDate": {"id": "b"},
}  # fmt: skip

APPLIED: dict[str, tuple[list[Json], Json]] = {
    "A.1 adding a member": ([{"op": "add", "path": "/gender", "value": "female"}], {"gender": "female"}),
    "A.2 adding to an array": (
        [{"op": "add", "path": "/name/1", "value": {"family": "New"}}],
        {"name": [{"family": "Marlow"}, {"family": "New"}, {"family": "Hale"}]},
    ),
    "A.2 at its end": (
        [{"op": "add", "path": "/name/-", "value": {"family": "New"}}],
        {"name": [{"family": "Marlow"}, {"family": "Hale"}, {"family": "New"}]},
    ),
    "A.3 removing a member": ([{"op": "remove", "path": "/active"}], {"active": None}),
    "A.4 removing from an array": ([{"op": "remove", "path": "/name/0"}], {"name": [{"family": "Hale"}]}),
    "A.5 replacing": ([{"op": "replace", "path": "/active", "value": False}], {"active": False}),
    "A.6 moving a value": (
        [{"op": "move", "from": "/name/0/family", "path": "/name/1/text"}],
        {"name": [{}, {"family": "Hale", "text": "Marlow"}]},
    ),
    "A.7 moving in an array": (
        [{"op": "move", "from": "/name/1", "path": "/name/0"}], {"name": [{"family": "Hale"}, {"family": "Marlow"}]}
    ),
    "A.8 a test that holds": ([{"op": "test", "path": "/name/1/family", "value": "Hale"}], {}),
    "A.11 members that are not known": ([{"op": "remove", "path": "/active", "xyz": 1}], {"active": None}),
    "A.14 an escaped name": ([{"op": "add", "path": "/a~1b~0c", "value": 1}], {"a/b~c": 1}),
    "numbers are equal by their value": ([{"op": "test", "path": "/extension/0/valueDecimal", "value": 72.5}], {}),
    "a copy is its own": (
        [{"op": "copy", "from": "/name/0", "path": "/name/-"},
         {"op": "replace", "path": "/name/0/family", "value": "X"}],
        {"name": [{"family": "X"}, {"family": "Hale"}, {"family": "Marlow"}]},
    ),
    "the whole": ([{"op": "replace", "path": "", "value": {}}], {"*": None}),
    "nothing": ([], {}),
}  # fmt: skip


@pytest.mark.parametrize("name", APPLIED)
def test_a_patch_is_applied(name: str) -> None:
    operations, changed = APPLIED[name]
    before = json.dumps(RESOURCE, default=str)
    made = fhir.patched(RESOURCE, fhir.read_patch(json.dumps(operations).encode()))
    expected = {} if "*" in changed else {**RESOURCE, **changed}
    assert made == {name: value for name, value in expected.items() if value is not None}
    assert json.dumps(RESOURCE, default=str) == before, "what stands is left as it is"


def test_what_a_patch_does_not_name_keeps_its_form() -> None:
    made = fhir.patched(RESOURCE, fhir.read_patch(b'[{"op":"add","path":"/multipleBirthInteger","value":1}]'))
    assert b'"valueDecimal":72.50' in fhir.dump(made)
    made = fhir.patched(RESOURCE, fhir.read_patch(b'[{"op":"add","path":"/x","value":1.00}]'))
    assert b'"x":1.00' in fhir.dump(made)


MISFITS: dict[str, Json] = {
    "A.9 a test that does not hold": {"op": "test", "path": "/name/0/family", "value": "Hale"},
    "true is no number": {"op": "test", "path": "/active", "value": 1},
    "a test of nothing": {"op": "test", "path": "/nowhere", "value": None},
    "A.12 no parent": {"op": "add", "path": "/contact/gender", "value": "female"},
    "beyond the end": {"op": "add", "path": "/name/3", "value": {}},
    "a name in an array": {"op": "add", "path": "/name/first", "value": {}},
    "a leading zero": {"op": "remove", "path": "/name/01"},
    "a negative index": {"op": "remove", "path": "/name/-1"},
    "removing past the end": {"op": "remove", "path": "/name/-"},
    "replacing what is not there": {"op": "replace", "path": "/gender", "value": "female"},
    "replacing past the end": {"op": "replace", "path": "/name/-", "value": {}},
    "below a primitive": {"op": "add", "path": "/id/0", "value": "x"},
    "moving what is not there": {"op": "move", "from": "/gender", "path": "/id"},
    "moving into itself": {"op": "move", "from": "/name", "path": "/name/0"},
    "copying what is not there": {"op": "copy", "from": "/name/2", "path": "/name/-"},
    "removing the whole": {"op": "remove", "path": ""},
}


@pytest.mark.parametrize("name", MISFITS)
def test_a_patch_that_does_not_fit_is_told_apart_and_tells_nothing_of_what_stands(name: str) -> None:
    operations = fhir.read_patch(json.dumps([{"op": "remove", "path": "/_birthDate"}, MISFITS[name]]).encode())
    with pytest.raises(fhir.PatchError) as raised:
        fhir.patched(RESOURCE, operations)
    assert (raised.value.is_conflict, raised.value.place) == (True, "operation 2")
    assert not any(word in str(raised.value) for word in ("Marlow", "Hale", "True", "dict"))


UNREADABLE = (
    b"", b"{}", b"null", b'"x"', b"[1]", b"[[]]", b"[{}]", b'[{"op":"add"}]', b'[{"op":"ADD","path":"/a","value":1}]',
    b'[{"op":"add","path":"/a"}]', b'[{"op":"replace","path":"/a"}]', b'[{"op":"test","path":"/a"}]',
    b'[{"op":"move","path":"/a"}]', b'[{"op":"copy","path":"/a"}]', b'[{"op":"remove"}]', b'[{"op":"remove","path":1}]',
    b'[{"op":"remove","path":null}]', b'[{"op":"remove","path":"a"}]', b'[{"op":"remove","path":"/~2"}]',
    b'[{"op":"remove","path":"/~"}]', b'[{"op":"copy","from":"a","path":"/a"}]',
    b'[{"op":["add"],"path":"/a","value":1}]',
    b'[{"op":"add","path":"/a","value":NaN}]', b'[{"op":"add","path":"/a","path":"/b","value":1}]', b"\xff",
    b"[" * 200 + b"]" * 200,
    json.dumps([{"op": "remove", "path": "/a"}] * (json_patch.MOST_OPERATIONS + 1)).encode(),
)  # fmt: skip


@pytest.mark.parametrize("raw", UNREADABLE)
def test_what_is_no_patch_is_refused_before_anything_is_looked_at(raw: bytes) -> None:
    with pytest.raises(fhir.PatchError) as raised:
        fhir.read_patch(raw)
    assert not raised.value.is_conflict


@pytest.mark.parametrize("to", ["/name/-", "/name/0/extension"])
def test_copies_of_copies_stay_within_bounds(to: str) -> None:
    operations = [{"op": "add", "path": "/name/0/extension", "value": []}]
    operations += [{"op": "copy", "from": "/name", "path": to}] * 200
    with pytest.raises(fhir.PatchError, match="too large, or too deep"):
        fhir.patched(RESOURCE, fhir.read_patch(json.dumps(operations).encode()))


def test_many_operations_on_a_large_resource_are_no_burden() -> None:
    """Each looks at what it brings or carries, not at the whole: 1,000 looks at the whole would take minutes."""
    large = {**RESOURCE, "extension": [{"url": f"urn:x:{number}", "valueInteger": number} for number in range(40_000)]}
    operations = [{"op": "add", "path": "/active", "value": True}] * json_patch.MOST_OPERATIONS
    assert fhir.patched(large, fhir.read_patch(json.dumps(operations).encode())) == large
    moves = [{"op": "move", "from": "/extension", "path": "/extension"}] * json_patch.MOST_OPERATIONS
    with pytest.raises(fhir.PatchError, match="too large"):
        fhir.patched(large, fhir.read_patch(json.dumps(moves).encode()))


def test_values_put_into_each_other_do_not_become_too_deep() -> None:
    """What is read is nested a hundred deep at most; so is what comes of it, which others read again."""
    operations = [{"op": "add", "path": "/x" * number, "value": {}} for number in range(1, 200)]
    with pytest.raises(fhir.PatchError, match="too deep"):
        fhir.patched(RESOURCE, fhir.read_patch(json.dumps(operations).encode()))


def test_a_patch_that_leaves_no_object_leaves_no_resource() -> None:
    for value in ("[]", "null", '"x"'):
        with pytest.raises(fhir.PatchError, match="no resource"):
            fhir.patched(RESOURCE, fhir.read_patch(f'[{{"op":"replace","path":"","value":{value}}}]'.encode()))
