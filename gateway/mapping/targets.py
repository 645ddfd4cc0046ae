"""Where a row puts its value: an element path, walked through the R4 element table and turned into JSON members."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.fhir.elements import Elements, Member
from gateway.mapping import messages
from gateway.mapping.nodes import Step, Target
from gateway.source import Diagnostic, Span, nearest


@dataclass(frozen=True, slots=True)
class Box:
    """An object on the way to a leaf.

    Shape: `name` is its JSON member; of a list, `item` says which, and `url` is that of an extension; `key` is the path
    up to here where it always means the same object, None below an item that is new for each value.
    """

    name: str
    many: bool
    item: str | None
    url: str | None
    new: bool
    key: str | None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value goes.

    Shape: `leaf` is the JSON member, or None where the value's own members go into the last box (or into the thing
    itself); `type` is the FHIR type of what goes there, `allowed` the targets of a Reference, `below` the path whose
    children an object there has; `value_set` that of a required binding; `element` the element's
    own name (`deceased[x]`); `choice` are the JSON members of an element of
    several types, of which one may be there.
    """

    boxes: tuple[Box, ...]
    leaf: str | None
    type: str
    below: str
    path: str
    many: bool = False
    allowed: tuple[str, ...] = ()
    value_set: str | None = None
    element: str = ""
    choice: tuple[str, ...] = ()


def place(target: Target, base: str, elements: Elements) -> Place | Diagnostic:
    """The place of a target below a type, a resource or a backbone element.

    Errors: a Diagnostic for an element that isn't there, or an item of what is no list.
    """
    only = target.steps[0].name if len(target.steps) == 1 else None
    if only == "this" or (only == "value" and elements.is_primitive(base)):
        return Place(boxes=(), leaf=None if only == "this" else only, type=base, below=base, path=only)
    boxes: list[Box] = []
    below, path, key = base, "", ""
    for i, step in enumerate(target.steps):
        member = elements.members(below).get(step.name)
        span = target.span
        if member is None:
            near = nearest(step.name, elements.members(below))
            hint = f"did you mean `{near}`?" if near else None
            return messages.UNKNOWN_ELEMENT.at(span, hint, type=below, word=step.name)
        many = member.definition.max is None or member.definition.max > 1
        wrong = _no_item(step, many, span)
        if wrong is not None:
            return wrong
        path = f"{path}.{step.name}" if path else step.name
        last = i == len(target.steps) - 1
        if last and step.item is None and not step.new:
            return _leaf(tuple(boxes), member, elements.members(below), path)
        primitive = elements.is_primitive(member.type.code)
        url = step.item if step.name == "extension" and step.item and not step.item.isdigit() else None
        key = "" if step.new else f"{key}.{step.name}[{step.item or 1}]" if key or not boxes else ""
        name = "_" + step.name if primitive else step.name
        boxes.append(Box(name, many, step.item, url, step.new, key or None))
        below = member.below
    return Place(boxes=tuple(boxes), leaf=None, type=below, below=below, path=path)


def _leaf(boxes: tuple[Box, ...], member: Member, siblings: Mapping[str, Member], path: str) -> Place:
    definition = member.definition
    return Place(
        boxes=boxes,
        leaf=member.name,
        type=member.type.code,
        below=member.below,
        path=path,
        many=definition.max is None or definition.max > 1,
        allowed=member.type.targets,
        value_set=definition.value_set if definition.binding == "required" else None,
        element=definition.path.rpartition(".")[2],
        choice=_choice(member, siblings),
    )


def _choice(member: Member, members: Mapping[str, Member]) -> tuple[str, ...]:
    whole = member.definition.path
    if whole == "Extension.value[x]":  # an extension has its URL, so two rows don't fill one
        return ()
    return tuple(m.name for m in members.values() if m.definition.path == whole) if whole.endswith("[x]") else ()


def _no_item(step: Step, many: bool, span: Span) -> Diagnostic | None:  # noqa: FBT001 - a fact of the element
    if many or (step.item is None and not step.new):
        return None
    shown = f"[{'+' if step.new else ''}{step.item or ''}]"
    return messages.NO_LIST.at(span, word=step.name, item=shown)


def plain(code: str) -> str:
    """Name of a primitive type; ids and URLs of elements carry FHIRPath's in place of their own."""
    return code.rpartition(".")[2].lower() if code.startswith("http") else code
