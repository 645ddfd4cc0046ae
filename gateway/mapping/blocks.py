"""What a message's map does for one segment: its rows one after the other, written into one function.

The function is made when the first such segment comes: a map speaks of dozens of segments, and messages have a few.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock

from gateway.fhir import derived_id
from gateway.finding import Finding
from gateway.hl7v2 import Segment
from gateway.language.nodes import Word
from gateway.mapping import placing, tracing, values
from gateway.mapping.compile import Library, SegmentConverter, assignment, key_of
from gateway.mapping.message_run import DOUBT
from gateway.mapping.nodes import Assign, Every, Row, Target
from gateway.mapping.run import Fields, Making, Run
from gateway.mapping.segments import converter_of
from gateway.mapping.values import SegmentInHand
from gateway.mapping.writer import Writer

Do = Callable[[Run, Segment, Fields], None]


@dataclass(frozen=True, slots=True)
class Planned:
    """A row with what the rows before it have settled.

    Shape: `types` are the types of the names that they give; with `first` no row before it, in its group or around it,
    gives this row's name.
    """

    row: Row
    types: Mapping[str, str]
    first: bool


class Block:
    """Rows that are done together for each segment of a name. Shape: `do` is what is done for one."""

    __slots__ = ("_library", "_lock", "_name", "_rows", "do")

    def __init__(self, name: str, rows: Sequence[Planned], library: Library) -> None:
        """Write nothing yet."""
        self._name = name
        self._rows = rows
        self._library = library
        self._lock: Lock = library.lock
        self.do: Do = self._first

    def _first(self, run: Run, each: Segment, fields: Fields) -> None:
        with self._lock:
            if self.do == self._first:
                self.do = _written(self._name, self._rows, self._library)
        self.do(run, each, fields)


def _written(name: str, rows: Sequence[Planned], library: Library) -> Do:
    writer, read = Writer(), dict[str, str]()
    for planned in rows:
        row, hand = planned.row, SegmentInHand(planned.row.source.text, read=read)
        mark = tracing.begin(writer, traced=library.traced)
        with writer.when(values.condition(writer, row.test, hand)):
            _row(writer, planned, hand, library)
        tracing.message_end(writer, mark, row)
    writer.lines = ["    run.segment = each", "    names = run.names", *values.settled(writer.lines, read)]
    function: Do = writer.function(f"rows of {name}", "run, each, f")
    return function


def _row(writer: Writer, planned: Planned, hand: SegmentInHand, library: Library) -> None:
    row = planned.row
    if row.refers is not None:
        _refer(writer, planned, row.refers.text, library)
    elif row.target.steps[1:]:
        _part(writer, planned, hand, library)
    elif not _identified(row, library):
        _add(writer, planned, hand, library)
    elif planned.first:
        _make(writer, planned, hand, library)
    else:
        name = writer.hold(row.target.steps[0].name)
        writer.line(f"making = names.get({name})")
        with writer.block("if making is None:"):
            _make(writer, planned, hand, library)
        with writer.block("else:"):
            _more(writer, planned, hand, library)


def _identified(row: Row, library: Library) -> bool:
    """Whether the row's map can identify what it makes."""
    return row.using is not None and bool(library.maps[key_of(row.using)].identities)


def _add(writer: Writer, planned: Planned, hand: SegmentInHand, library: Library) -> None:
    """A row that adds to a resource, where there is one."""
    writer.line(f"making = names.get({writer.hold(planned.row.target.steps[0].name)})")
    with writer.block("if making is not None:"):
        _more(writer, planned, hand, library)


def _more(writer: Writer, planned: Planned, hand: SegmentInHand, library: Library) -> None:
    """What a segment adds to the resource in hand."""
    writer.line("making.seen.clear()")
    _filled(writer, planned, hand, library)
    _assigned(writer, planned.row.defaults, planned, hand, library)


def _make(writer: Writer, planned: Planned, hand: SegmentInHand, library: Library) -> None:
    """A row that makes a resource, known by the identities of its map."""
    row, type_ = planned.row, _type(writer, planned.row)
    name = writer.hold(row.target.steps[0].name)
    writer.line(f"names.pop({name}, None)")
    if row.apart is not None:
        writer.line("position = each.position")
        writer.line("used = run.used.get(position, 0)")
    writer.line(f"making = {writer.hold(Making)}({type_})")
    _filled(writer, planned, hand, library)
    writer.line("run.doubt = None")
    identify = writer.later(lambda: _converter(row, library).identify)
    writer.line(f"found = {identify}(run, f, making.resource)")
    if row.by_receipt:
        with writer.block("if found is None and run.doubt is None:"):
            writer.line(f"found = {writer.hold(_by_receipt)}(run, {type_})")
        if row.numbered:
            with writer.block("elif found is not None:"):
                writer.line(f"found = {writer.hold(_numbered)}(run, {type_}, found)")
    elif row.numbered:
        with writer.block("if found is not None:"):
            writer.line(f"found = {writer.hold(_numbered)}(run, {type_}, found)")
    word = "if"
    if row.apart is not None:
        writer.line(f"other = names.get({writer.hold(row.apart.text)})")
        with writer.block("if other is not None and other.id == found:"):
            writer.line("run.used[position] = used")
        word = "elif"
    with writer.block(f"{word} found is None:"):
        writer.line(f"{writer.hold(_unidentified)}(run, {name}, {type_})")
    with writer.block("else:"):
        writer.line("making.id = found")
        if row.only_new:
            writer.line("making.only_new = True")
        _assigned(writer, row.defaults, planned, hand, library)
        writer.line(f"names[{name}] = run.register(making)")


def _type(writer: Writer, row: Row) -> str:
    if row.using is None:
        raise TypeError(row)  # the checker refuses it
    return writer.hold(row.using.target.text)


def _part(writer: Writer, planned: Planned, hand: SegmentInHand, library: Library) -> None:
    """A row whose segment makes an element of a resource that is there already."""
    row = planned.row
    name = row.target.steps[0].name
    writer.line(f"whole = names.get({writer.hold(name)})")
    with writer.block("if whole is not None:"):
        writer.line("whole.seen.clear()")
        writer.line(f'making = {writer.hold(Making)}("")')
        with writer.block(f"if {_fill(writer, planned, hand, library)}:"):
            _assigned(writer, row.defaults, planned, hand, library)
            writer.line("out, slots, value = whole.resource, whole.slots, making.resource")
            _put(writer, planned, library)


def _refer(writer: Writer, planned: Planned, other: str, library: Library) -> None:
    """A row that refers to a resource in an element of another; a reference that stands already is not repeated."""
    row = planned.row
    writer.line(f"whole, found = names.get({writer.hold(row.target.steps[0].name)}), names.get({writer.hold(other)})")
    with writer.block("if whole is not None and found is not None:"):
        writer.line("value = found.reference()")
        writer.line("out, slots = whole.resource, whole.slots")
        writer.line(f"standing = out.get({writer.hold(row.target.steps[-1].name)})")
        with writer.block("if not (standing.__class__ is list and value in standing):"):
            _put(writer, planned, library)


def _put(writer: Writer, planned: Planned, library: Library) -> None:
    """Put `value` where a row with a path below its resource says."""
    target = planned.row.target
    below = Target(target.steps[1:], target.span)
    placing.put(writer, library.place(below, planned.types[target.steps[0].name]), "value", ())


def _filled(writer: Writer, planned: Planned, hand: SegmentInHand, library: Library) -> None:
    writer.line(_fill(writer, planned, hand, library))


def _fill(writer: Writer, planned: Planned, hand: SegmentInHand, library: Library) -> str:
    """Write what comes before the segment's own rows, and answer the call that does them."""
    got = _assigned(writer, planned.row.presets, planned, hand, library)
    fill = writer.later(lambda: _converter(planned.row, library).fill)
    return f"{fill}(f, run, making, {'got' if got else 'False'})"


def _converter(row: Row, library: Library) -> SegmentConverter:
    if row.using is None:
        raise TypeError(row)  # the checker refuses it
    return converter_of(key_of(row.using), library)


def _assigned(
    writer: Writer, assigns: Sequence[Assign], planned: Planned, hand: SegmentInHand, library: Library
) -> bool:
    """The assignments of a row, laid into `making`; a reference to a resource counts as told by the message.

    Shape: whether there are any; `got` then says whether the message told of one.
    """
    made = [assign for assign in assigns if not isinstance(assign.value, Every)]
    if not made or planned.row.using is None:
        return False
    base = planned.row.using.target.text
    writer.line("out, slots, got = making.resource, making.slots, False")
    for assign in made:
        if isinstance(assign.value, Word) and assign.value.text in planned.types:
            with writer.when(values.condition(writer, assign.test, hand)):
                writer.line(f"value = names.get({writer.hold(assign.value.text)})")
                with writer.block("if value is not None:"):
                    writer.line("value = value.reference()")
                    placing.put(writer, library.place(assign.target, base), "value", ("got = True",))
        else:
            assignment(writer, assign, base, hand, library)
    return True


def _unidentified(run: Run, name: str, type_: str) -> None:
    """Nothing that was made of a segment is kept, so none of its fields was mapped."""
    run.used.pop(run.segment.position, None)
    segment, place = run.segment.name, run.doubt
    run.doubts[name] = place
    words = f"{segment} carries nothing that identifies a resource of type {type_}, so none was made of it"
    if place is not None:
        words = f"{DOUBT}, so {segment} identifies no resource of type {type_}, and none was made of it"
    run.findings.append(Finding("warning", "required", words, place or segment, "MAP-IDENTITY"))


def _by_receipt(run: Run, type_: str) -> str:
    """Id of what nothing identifies: nobody else's, and the same when the submission is settled again."""
    segment = run.segment
    words = (
        f"{segment.name} carries nothing that identifies a resource of type {type_}, so the one made of it is known by "
        f"this submission alone: what is sent of it later makes another"
    )
    place = segment.name if segment.number == 1 else f"{segment.name}[{segment.number}]"
    run.findings.append(Finding("warning", "required", words, place, "MAP-IDENTITY"))
    return derived_id(type_, run.facts["context.receipt"], f"{segment.name}[{segment.number}]")


def _numbered(run: Run, type_: str, found: str) -> str:
    """Id of a segment's resource: the first of an identity has it, the others have their number with it."""
    count = run.counts[found] = run.counts.get(found, 0) + 1
    return found if count == 1 else derived_id(type_, found, str(count))
