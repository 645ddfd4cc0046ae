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
        if writer.whole is not None:
            writer.whole.unsure = True
    elif place.many:
        if _is_new(writer, place.boxes, (leaf,)):
            writer.line(f'{box}["{leaf}"] = [{value}]')
        else:
            items = writer.local()
            writer.line(f'{items} = {box}.get("{leaf}")')
            with writer.block(f"if {items} is None:"):
                writer.line(f'{box}["{leaf}"] = [{value}]')
            with writer.block("else:"):
                writer.line(f"{items}.append({value})")
        _then(writer, then)
    else:
        sure = known_free and not any(box.new for box in place.boxes)
        with writer.when(None if sure else _free(writer, place, box)):
            writer.line(f'{box}["{leaf}"] = {value}')
            _then(writer, then)
    if leaf is not None:
        _has(writer, place.boxes, leaf)


def free(writer: Writer, place: Place) -> str | None:
    """Whether a place can take a value, as an expression; None where it always can."""
    if place.leaf is None or place.many or any(box.new for box in place.boxes):
        return None
    if not place.boxes:
        return _free(writer, place, "out")
    return _without(writer, place, _free(writer, place, "{box}"))


def lacks(writer: Writer, place: Place) -> str:
    """Whether nothing was made of a place, as an expression."""
    if not place.boxes:
        return f'"{place.leaf}" not in out'
    return _without(writer, place, f'"{place.leaf}" not in {{box}}') or "True"


def _without(writer: Writer, place: Place, test: str | None) -> str | None:
    """Whether the last object on the way is not there, or is as a test says; None where it surely is so."""
    key = place.boxes[-1].key or ""
    if test is None:
        return None
    if writer.whole is None:
        box = writer.local()
        return f"(({box} := slots.get({writer.hold(key)})) is None or ({test.format(box=box)}))"
    if _is_new(writer, place.boxes[:-1], (place.boxes[-1].name,)):
        return None
    box = writer.whole.slot(key)
    return f"({box} is None or ({test.format(box=box)}))"


def _free(writer: Writer, place: Place, box: str) -> str | None:
    names = place.choice or ((place.leaf,) if place.leaf is not None else ())
    if _is_new(writer, place.boxes, names):
        return None
    return " and ".join(f'"{name}" not in {box}' for name in names)


def _is_new(writer: Writer, boxes: tuple[Box, ...], names: Sequence[str]) -> bool:
    """Whether an object surely has none of these members yet."""
    whole = writer.whole
    if whole is None or whole.loop or whole.unsure:
        return False
    key = boxes[-1].key if boxes else ""
    return key is not None and not any((key, name) in whole.put for name in names)


def _has(writer: Writer, boxes: tuple[Box, ...], name: str) -> None:
    """Remember that an object may have a member from now on."""
    key = boxes[-1].key if boxes else ""
    if writer.whole is not None and key is not None:
        writer.whole.put.add((key, name))


def _then(writer: Writer, lines: Sequence[str]) -> None:
    for line in lines:
        writer.line(line)


def opened(writer: Writer, boxes: tuple[Box, ...]) -> str:
    """The name of the last object on the way."""
    if not boxes:
        return "out"
    box = boxes[-1]
    if box.key is None:
        name = writer.local()
        _make(writer, boxes, name)
        return name
    if writer.whole is not None:
        name = writer.whole.slot(box.key)
        with writer.when(None if _is_new(writer, boxes[:-1], (box.name,)) else f"{name} is None"):
            _make(writer, boxes, name)
        return name
    name, key = writer.local(), writer.hold(box.key)
    writer.line(f"{name} = slots.get({key})")
    with writer.block(f"if {name} is None:"):
        _make(writer, boxes, name)
        writer.line(f"slots[{key}] = {name}")
    return name


def _make(writer: Writer, boxes: tuple[Box, ...], name: str) -> None:
    box = boxes[-1]
    above = opened(writer, boxes[:-1])
    fresh = "{}" if box.url is None else f'{{"url": {writer.hold(box.url)}}}'
    new = _is_new(writer, boxes[:-1], (box.name,))
    _has(writer, boxes[:-1], box.name)
    if not box.many:
        if new:
            writer.line(f'{above}["{box.name}"] = {name} = {fresh}')
        else:
            writer.line(f'{name} = {above}.setdefault("{box.name}", {fresh})')
        return
    writer.line(f"{name} = {fresh}")
    writer.line(f'{above}["{box.name}"] = [{name}]' if new else f'{above}.setdefault("{box.name}", []).append({name})')
