"""Places, written into functions: objects on the way are made when the first value needs them, so none stays empty."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.mapping.run import merge
from gateway.mapping.targets import Box, Place
from gateway.mapping.writer import Writer


def put(writer: Writer, place: Place, value: str, then: Sequence[str], *, known_free: bool = False) -> None:
    """Put a value into `out` and, if it could be, go on with `then`; an element that has a value keeps it.

    Shape: `known_free` where `free` was asked just before.
    """
    box = opened(writer, place.boxes)
    leaf = place.leaf
    if leaf is None:
        with writer.block(f"if {writer.hold(merge)}({box}, {value}):"):
            _then(writer, then)
    elif place.many:
        items = writer.local()
        writer.line(f'{items} = {box}.get("{leaf}")')
        with writer.block(f"if {items} is None:"):
            writer.line(f'{box}["{leaf}"] = [{value}]')
        with writer.block("else:"):
            writer.line(f"{items}.append({value})")
        _then(writer, then)
    else:
        with writer.when(None if known_free and not any(box.new for box in place.boxes) else _free(place, box)):
            writer.line(f'{box}["{leaf}"] = {value}')
            _then(writer, then)


def free(writer: Writer, place: Place) -> str | None:
    """Whether a place can take a value, as an expression; None where it always can."""
    if place.leaf is None or place.many or any(box.new for box in place.boxes):
        return None
    if not place.boxes:
        return _free(place, "out")
    box = writer.local()
    return f"(({box} := slots.get({writer.hold(place.boxes[-1].key)})) is None or ({_free(place, box)}))"


def lacks(writer: Writer, place: Place) -> str:
    """Whether nothing was made of a place, as an expression."""
    if not place.boxes:
        return f'"{place.leaf}" not in out'
    box = writer.local()
    return f'(({box} := slots.get({writer.hold(place.boxes[-1].key)})) is None or "{place.leaf}" not in {box})'


def _free(place: Place, box: str) -> str:
    return " and ".join(f'"{name}" not in {box}' for name in place.choice or (place.leaf,))


def _then(writer: Writer, lines: Sequence[str]) -> None:
    for line in lines:
        writer.line(line)


def opened(writer: Writer, boxes: tuple[Box, ...]) -> str:
    """The name of the last object on the way."""
    if not boxes:
        return "out"
    box, name = boxes[-1], writer.local()
    if box.key is None:
        _make(writer, boxes, name)
        return name
    key = writer.hold(box.key)
    writer.line(f"{name} = slots.get({key})")
    with writer.block(f"if {name} is None:"):
        _make(writer, boxes, name)
        writer.line(f"slots[{key}] = {name}")
    return name


def _make(writer: Writer, boxes: tuple[Box, ...], name: str) -> None:
    box = boxes[-1]
    above = opened(writer, boxes[:-1])
    fresh = "{}" if box.url is None else f'{{"url": {writer.hold(box.url)}}}'
    if not box.many:
        writer.line(f'{name} = {above}.setdefault("{box.name}", {fresh})')
        return
    writer.line(f"{name} = {fresh}")
    writer.line(f'{above}.setdefault("{box.name}", []).append({name})')
