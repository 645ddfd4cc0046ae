"""JSON Patch: operations one after the other on a copy of a resource, all or none.

Source: RFC 6902, RFC 6901 (JSON Pointer), https://hl7.org/fhir/R4/http.html#patch
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jsonpatch import InvalidJsonPatch, JsonPatch, JsonPatchException, JsonPatchTestFailed
from jsonpointer import JsonPointer, JsonPointerException

from gateway.fhir.jsonfault import DEEPEST
from gateway.fhir.jsonformat import JsonError, Resource, load_value

MEDIA_TYPE = "application/json-patch+json"
MOST_OPERATIONS = 1000
MOST_CARRIED = 200_000
"""Members and items that all `copy` and `move` may carry together: each copy may double what is there."""
MEMBERS: Mapping[str, tuple[str, ...]] = {
    "add": ("value",),
    "remove": (),
    "replace": ("value",),
    "move": ("from",),
    "copy": ("from",),
    "test": ("value",),
}
"""What each operation has beside its path. Source: RFC 6902 section 4."""


class PatchError(ValueError):
    """A patch that can't be read or applied.

    Shape: `place` is the operation (`operation 2`), `words` what is wrong, nothing of the resource in them;
    `is_conflict` says that the patch is well formed and does not fit this resource.
    """

    def __init__(self, place: str, words: str, *, is_conflict: bool = False) -> None:
        """Say where and what."""
        super().__init__(f"{place}: {words}")
        self.place = place
        self.words = words
        self.is_conflict = is_conflict


def read_patch(raw: bytes) -> list[Any]:
    """The operations of a patch document, each well formed.

    Errors: PatchError for what is no JSON array of operations, read as strictly as a resource.
    """
    try:
        operations = load_value(raw.removeprefix(b"\xef\xbb\xbf"))
    except JsonError as error:
        raise PatchError("the patch", str(error)) from error
    if not isinstance(operations, list):
        raise PatchError("the patch", "this is no JSON array of operations")
    if len(operations) > MOST_OPERATIONS:
        raise PatchError("the patch", f"a patch has at most {MOST_OPERATIONS} operations")
    return [_read(f"operation {number}", operation) for number, operation in enumerate(operations, 1)]


def patched(resource: Mapping[str, Any], operations: Sequence[Any]) -> Resource:
    """A new resource, the one that was given after all operations, as `read_patch` answers them.

    Errors: PatchError.
    """
    made: Any = copy.deepcopy(dict(resource))
    room = MOST_CARRIED
    for number, operation in enumerate(operations, 1):
        place = f"operation {number}"
        room -= _carried(place, made, operation, room)
        try:
            made = JsonPatch([operation]).apply(made, in_place=True)
        except InvalidJsonPatch as error:
            raise PatchError(place, "nothing can be put at this place", is_conflict=True) from error
        except JsonPatchTestFailed as error:
            words = "test: another value stands at this place, or none"
            raise PatchError(place, words, is_conflict=True) from error
        except (JsonPatchException, JsonPointerException) as error:
            words = f"{operation['op']}: there is no such place in what stands"
            raise PatchError(place, words, is_conflict=True) from error
    if not isinstance(made, dict):
        raise PatchError("the patch", "it leaves no resource")
    return made


def _read(place: str, operation: Any) -> dict[str, Any]:
    """An operation with the members that it needs, and no others."""
    if not isinstance(operation, dict):
        raise PatchError(place, "this is no JSON object")
    name = operation.get("op")
    if not isinstance(name, str) or name not in MEMBERS:
        raise PatchError(place, "its `op` is add, remove, replace, move, copy or test")
    for member in ("path", *MEMBERS[name]):
        if member not in operation:
            raise PatchError(place, f"`{name}` needs a `{member}`")
        if member != "value" and not _is_pointer(operation[member]):
            raise PatchError(place, f"its `{member}` is a JSON Pointer, such as /name/0/family")
    return {member: operation[member] for member in ("op", "path", *MEMBERS[name])}


def _is_pointer(text: Any) -> bool:
    if not isinstance(text, str):
        return False
    try:
        JsonPointer(text)
    except JsonPointerException:
        return False
    return True


def _carried(place: str, made: Any, operation: Mapping[str, Any], room: int) -> int:
    """How many values an operation carries within the resource.

    Errors: PatchError for more than there is room for, and for what would stand too deep.
    """
    if operation["op"] in {"remove", "test"}:
        return 0
    carries = "from" in operation
    try:
        value = JsonPointer(operation["from"]).resolve(made) if carries else operation["value"]
    except JsonPointerException:
        return 0  # it does not fit, which is said when it is applied
    above, count = operation["path"].count("/"), 0
    for depth in _depths(value):
        count += 1
        if above + depth > DEEPEST or (carries and count > room):
            raise PatchError(place, "the resource would become too large, or too deep", is_conflict=True)
    return count if carries else 0


def _depths(value: Any) -> Iterator[int]:
    """The depth of each value in another, itself among them, without recursion: it may be deep."""
    left = [(value, 1)]
    while left:
        one, depth = left.pop()
        yield depth
        within = one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
        left += [(item, depth + 1) for item in within]
