"""Rows to drafts: a layout's resources as functions of a row.

An object that has columns in it is made only where one of them has a value: what is always the same, such as the system
of an identifier, makes nothing by itself.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from gateway.fhir import Draft, Marks, contributed, derived_id, organization_id, patient_id
from gateway.finding import Finding
from gateway.language.compile import Code, compile_test, constant, context
from gateway.language.functions import ERRORS
from gateway.language.nodes import Column, Leaf, Test
from gateway.mapping.codes import CodeMap
from gateway.mapping.rows.nodes import Filled, Filler, Hole, Identity, RowResource
from gateway.mapping.run import Context
from gateway.mapping.targets import Box
from gateway.tabular import Known, Layout, Row, Value, place

Json = dict[str, Any]
Values = Mapping[str, Value | None]
NOTHING, NO_ID, FAILED = "CSV-M01", "CSV-M02", "CSV-M03"


@dataclass(frozen=True, slots=True)
class _Making:
    """One row while it is converted. Shape: `references` of the resources that it makes, by their name."""

    values: Values
    facts: Mapping[str, str]
    references: dict[str, str] = field(default_factory=dict)

    def text(self, name: str) -> str:
        """A column, a fact or a reference as a text, empty where there is none."""
        if name in self.references:
            return self.references[name]
        value = self.facts.get(name) if name.startswith("context.") else self.values.get(name)
        return "" if value is None else _text(value)


Make = Callable[[_Making], Any]
"""Makes a JSON value, None for nothing."""


@dataclass(frozen=True, slots=True)
class Converted:
    """What a row became. Shape: `drafts` are empty where a finding refuses the row."""

    drafts: tuple[Draft, ...]
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, eq=False)
class RowMap:
    """A layout's resources, ready to convert.

    Shape: `digest` names the layout in SHA-256; `known` are the codes that its columns may hold, by code map.
    """

    layout: Layout
    digest: str
    known: Mapping[str, Known]
    resources: tuple[_Resource, ...]
    marks: Marks

    def convert(self, row: Row, told: Told) -> Converted:
        """The drafts of a row. Errors: never raised; a row that can't be converted is an error finding."""
        making = _Making(row.values, told.facts)
        try:
            return self._converted(row, making, told)
        except ERRORS as fault:
            # a condition met a value that is not of its type; the text of an EvaluationError names none
            words = str(fault) if type(fault).__name__ == "EvaluationError" else "a value is not of its type"
            found = Finding("error", "processing", f"the row can't be converted: {words}", place(row.line), FAILED)
            return Converted((), (found,))

    def _converted(self, row: Row, making: _Making, told: Told) -> Converted:
        made: dict[str, tuple[_Resource, str]] = {}
        findings: list[Finding] = []
        for resource in self.resources:
            if resource.test is not None and not resource.test(row.values):
                continue
            id_ = resource.id(making)
            if id_ is not None:
                reference = f"{resource.type}/{id_}"
                making.references[resource.name] = reference
                made.setdefault(reference, (resource, id_))
            elif resource.required:
                words = f"the row makes no {resource.type}: nothing identifies it; give {resource.identified}"
                findings.append(Finding("error", "required", words, place(row.line), NO_ID))
        if not made and not findings:
            words = "the row makes no resource: nothing in it identifies one"
            findings.append(Finding("error", "required", words, place(row.line), NOTHING))
        if findings:
            return Converted((), tuple(findings))
        drafts = [
            Draft(
                {"resourceType": one.type, "id": id_, "meta": told.meta, **(one.content(making)[0] or {})},
                only_new=one.only_new,
            )
            for one, id_ in made.values()
        ]
        return Converted(tuple(drafts), ())


@dataclass(frozen=True, slots=True)
class Told:
    """What is the same for all rows of a file: the facts that their resources may hold, and who sent it."""

    facts: Mapping[str, str]
    meta: Json


def told(context_: Context, marks: Marks) -> Told:
    """What is the same for all rows of a file."""
    facts = {
        "context.organisation": context_.organisation,
        "context.domain": context_.domain,
        "context.received": context_.received.astimezone(UTC).isoformat(timespec="milliseconds"),
        "context.receipt": context_.receipt,
    }
    meta = contributed(
        {}, organisation=context_.organisation, domain=context_.domain, marks=marks,
        source=f"urn:uuid:{context_.receipt}",
    )["meta"]  # fmt: skip
    return Told(facts, meta)


# --- compile -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Resource:
    """One resource as functions. Shape: `identified` are the columns that its id may come from, for people."""

    name: str
    type: str
    id: Make
    identified: str
    content: MakeObject
    test: Callable[[Values], bool] | None
    required: bool
    only_new: bool


def compiled(
    layout: Layout, digest: str, resources: Sequence[RowResource], codes: Mapping[str, CodeMap], marks: Marks
) -> RowMap:
    """Checked resources of a layout as functions."""
    made = []
    for resource in resources:
        content = _Object()
        for filled in resource.filled:
            _place(content, filled, layout, codes)
        columns = " or ".join(dict.fromkeys(identity.value for identity in resource.identities))
        made.append(
            _Resource(
                resource.name,
                resource.type,
                _identify(resource.type, resource.identities),
                columns,
                _making(content),
                _test(resource.test),
                resource.required,
                resource.only_new,
            )
        )
    return RowMap(layout, digest, known(codes), tuple(made), marks)


def known(codes: Mapping[str, CodeMap]) -> Mapping[str, Known]:
    """Code maps as the reader of rows asks them."""
    return {name: Known(code_map.find, code_map.codes) for name, code_map in codes.items()}


class _Columns:
    """Reads columns from the values of a row."""

    def value(self, leaf: Leaf, code: Code) -> ast.expr:  # noqa: ARG002 - the readers' common form
        """Expression for the value of a column."""
        if not isinstance(leaf, Column):
            raise TypeError(leaf)  # the checker lets columns alone pass
        return ast.Subscript(context(), constant(leaf.name), ast.Load())

    def present(self, leaf: Leaf, code: Code) -> None:
        """The value tells it."""


def _test(test: Test | None) -> Callable[[Values], bool] | None:
    return None if test is None else compile_test(test, _Columns(), name="when")


def _identify(type_: str, identities: Sequence[Identity]) -> Make:
    def identify(making: _Making) -> str | None:
        for identity in identities:
            value = making.text(identity.value)
            if not value:
                continue
            id_ = _id(type_, identity, value, making)
            if id_ is not None:
                return id_
        return None

    return identify


def _id(type_: str, identity: Identity, value: str, making: _Making) -> str | None:
    if identity.form == "nhs-number":
        return patient_id([value])
    if identity.form == "ods-code":
        return organization_id(value)
    authorities = identity.authorities or ("context.organisation",)
    authority = next((found for name in authorities if (found := making.text(name))), "")
    return _kept(type_, authority, value) if authority else None


# sites and organisations come again and again; a sender's texts are as long as its columns let them be
_kept = functools.lru_cache(maxsize=8192)(derived_id)


@dataclass(slots=True)
class _Object:
    """An object while its layout is read: what always stands in it, what fills it, and the objects below it."""

    fixed: Json = field(default_factory=dict)
    leaves: list[tuple[str, bool, list[Make], bool]] = field(default_factory=list)  # name, many, makers, read
    below: dict[tuple[str, str], tuple[bool, _Object]] = field(default_factory=dict)  # name and item: many, object
    whole: list[Make] = field(default_factory=list)

    @property
    def reads(self) -> bool:
        """Whether anything in it comes from the row."""
        return bool(self.whole) or any(leaf[3] for leaf in self.leaves) or any(o.reads for _, o in self.below.values())


MakeObject = Callable[[_Making], "tuple[Json | None, bool]"]
"""Makes an object, None where nothing that it reads has a value; and tells whether anything in it came from the row."""


def _making(content: _Object) -> MakeObject:
    """An object as a function."""
    leaves = [(name, _leaf(makers, many=many), read) for name, many, makers, read in content.leaves]
    below = [(name, many, _making(inner)) for (name, _), (many, inner) in content.below.items()]
    fixed, whole, reads = content.fixed, content.whole, content.reads

    def make(making: _Making) -> tuple[Json | None, bool]:
        for each in whole:
            value = each(making)
            if value is not None:
                return {**fixed, **value}, True
        out, read = fixed.copy(), False
        for name, leaf, from_row in leaves:
            value = leaf(making)
            if value is not None:
                out[name] = value
                read = read or from_row
        for name, many, inner in below:
            value, inner_read = inner(making)
            if value is not None:
                read = read or inner_read
                out[name] = [*out.get(name, ()), value] if many else value
        return (None, False) if (reads and not read) or not out else (out, read)

    return make


def _leaf(makers: Sequence[Make], *, many: bool) -> Make:
    """An element: the first value that there is; of a list, every one."""
    if many:
        return lambda making: [value for make in makers if (value := make(making)) is not None] or None
    if len(makers) == 1:
        return makers[0]
    return lambda making: next((value for make in makers if (value := make(making)) is not None), None)


def _place(content: _Object, filled: Filled, layout: Layout, codes: Mapping[str, CodeMap]) -> None:
    """Put an element's makers where it stands."""
    at = content
    place_ = filled.place
    for box in place_.boxes:
        at = _opened(at, box)
    makers = [_maker(filler, place_.type, layout, codes) for filler in filled.fillers]
    if place_.leaf is None:
        at.whole.extend(makers)
    else:
        reads = any(filler.holes for filler in filled.fillers)
        at.leaves.append((place_.leaf, place_.many, makers, reads))


def _opened(at: _Object, box: Box) -> _Object:
    fixed = {} if box.url is None else {"url": box.url}
    return at.below.setdefault((box.name, box.item or "1"), (box.many, _Object(fixed)))[1]


def _maker(filler: Filler, type_: str, layout: Layout, codes: Mapping[str, CodeMap]) -> Make:
    make = _value(filler, type_, layout, codes)
    test = _test(filler.test)
    return make if test is None else lambda making: make(making) if test(making.values) else None


def _value(filler: Filler, type_: str, layout: Layout, codes: Mapping[str, CodeMap]) -> Make:
    if filler.refers is not None:
        name = filler.refers
        return lambda making: {"reference": making.references[name]} if name in making.references else None
    if not filler.parts:
        return lambda _: filler.constant
    if len(filler.parts) == 1 and (name := filler.holes[0]) in layout.columns:
        code_map = codes.get(layout.columns[name].codes or "")
        convert = _coded(code_map, type_) if code_map is not None else _CONVERT.get(type_, _text)
        return lambda making: None if (value := making.values.get(name)) is None else convert(value)
    return lambda making: _filled(filler, making)


def _filled(filler: Filler, making: _Making) -> str | None:
    """A text with its holes filled, None where none of them is."""
    texts = [making.text(part.name) if isinstance(part, Hole) else part for part in filler.parts]
    holes = [text for part, text in zip(filler.parts, texts, strict=True) if isinstance(part, Hole)]
    return " ".join("".join(texts).split()) if any(holes) else None


def _coded(codes: CodeMap, type_: str) -> Callable[[Value], Any]:
    """A code led on by its code map, as far as the element holds what it leads to."""

    def coded(value: Value) -> Any:
        row = codes.find(str(value))
        if row is None:
            return None
        if type_ not in {"Coding", "CodeableConcept"}:
            return row.display or row.to_code if type_ in {"string", "markdown"} else row.to_code
        coding = {"system": row.to_system, "code": row.to_code, "display": row.display}
        held = {name: text for name, text in coding.items() if text}
        return held if type_ == "Coding" else {"coding": [held]}

    return coded


def _text(value: Value) -> str:
    """A value as a text."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case date():
            return value.isoformat()
        case _:
            return str(value)


def _day(value: Value) -> str:
    return value.date().isoformat() if isinstance(value, datetime) else _text(value)


def _same(value: Value) -> Value | int:
    return value if isinstance(value, bool | int | Decimal) else _text(value)


_CONVERT: Mapping[str, Callable[[Value], Any]] = {
    "date": _day,
    **dict.fromkeys(("boolean", "integer", "positiveInt", "unsignedInt", "decimal"), _same),
}
