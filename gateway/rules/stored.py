"""Conditions on stored resources: compiled, and asked of a resource with its patients and what it is linked with.

Source: `rules-language.md` of the design, the fact `patient` and meaning 9 to 11.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from gateway.language.compile import Absent, compile_test
from gateway.language.functions import EvaluationError, elements
from gateway.language.nodes import Chain, Test
from gateway.rules.around import PATIENT, Around, Reading, Referring, Resource, Seeking, Subjects, Want, reading
from gateway.rules.declared import Link, Rows
from gateway.rules.facts import Facts
from gateway.rules.reading import PATIENT as PATIENT_VARIABLE
from gateway.rules.reading import READER, RESOURCE, reads

Asked = Callable[[Facts], bool]
Values = Callable[[Facts], tuple[str, ...]]
_OWN = frozenset({RESOURCE, PATIENT_VARIABLE})


@dataclass(slots=True)
class Row:
    """A resource that is judged, with what was found around it.

    Shape: `subjects` tells the patients of the resource's type, None outside of the Patient compartment.
    """

    resource: Resource
    around: Around
    subjects: Subjects | None
    _patients: tuple[Resource | None, ...] | None = None

    def patients(self) -> tuple[Resource | None, ...]:
        """The patients that it is about; None for one that was not found."""
        if self._patients is None:
            self._patients = tuple(map(self._patient, self.names()))
        return self._patients

    def names(self) -> tuple[Reading | None, ...]:
        """The names of the patients that it is about; None for one that can't be told."""
        return (None,) if self.subjects is None else self.subjects(self.resource)

    def _patient(self, name: Reading | None) -> Resource | None:
        if self.resource.get("resourceType") == PATIENT:
            return self.resource
        found = None if name is None else self.around.get(name)
        return found[0] if found else None

    def wants_patients(self) -> Iterator[Want]:
        """The patients to be fetched."""
        if self.resource.get("resourceType") != PATIENT:
            yield from (name for name in self.names() if name is not None)


@dataclass(frozen=True, slots=True)
class Each:
    """A condition on a resource. Shape: `patient` says that it reads the patient; then it is asked of each of them."""

    test: Callable[[Facts, Resource, Resource | None], bool]
    patient: bool

    def of_any(self, facts: Facts, row: Row) -> bool:
        """Whether it holds of any of the patients, as a forbid asks. Errors: one of `ERRORS`."""
        if not self.patient:
            return self.test(facts, row.resource, None)
        # a patient that was not found is no mapping, so whatever reads it errs
        return any(self.test(facts, row.resource, one) for one in row.patients())

    def of_all(self, facts: Facts, row: Row, linked: Resource | None = None) -> bool:
        """Whether it holds of all of the patients, as a permit asks; of what the row is linked with, in its place.

        Errors: one of `ERRORS`.
        """
        resource = row.resource if linked is None else linked
        if not self.patient:
            return self.test(facts, resource, None)
        return all(self.test(facts, resource, one) for one in row.patients())


@dataclass(frozen=True, slots=True)
class Narrow:
    """A search parameter that carries a part of a `rows` condition upstream, with what gives its values.

    Shape: `element` are the steps to the references that it searches, empty where it searches codes. A search finds a
    reference as it is written and no other way: so what names the same organisation otherwise, by an identifier or in
    small letters, is no row, or it would be read and never found.
    """

    name: str
    values: Values
    element: tuple[str, ...] = ()

    def finds(self, facts: Facts, resource: Resource) -> bool:
        """Whether the search finds a resource by that element. Errors: EvaluationError."""
        if not self.element:
            return True
        values = self.values(facts)
        found = elements(resource, self.element)
        return any(isinstance(one, dict) and one.get("reference") in values for one in found)


@dataclass(frozen=True, slots=True)
class Shown:
    """A `rows` condition, compiled.

    Shape: with `link`, `each` is asked of what the row is linked with; `narrow` carries a part of it upstream.
    """

    each: Each
    link: Link | None
    narrow: tuple[Narrow, ...] = ()

    def of(self, facts: Facts, row: Row) -> bool:
        """Whether it shows a resource. Errors: one of `ERRORS`."""
        if self.link is None:
            return self._holds(facts, row)
        return all(any(self._holds(facts, row, one) for one in group) for group in linked(self.link, row))

    def _holds(self, facts: Facts, row: Row, linked: Resource | None = None) -> bool:
        resource = row.resource if linked is None else linked
        return self.each.of_all(facts, row, linked) and all(one.finds(facts, resource) for one in self.narrow)

    def wants(self, row: Row) -> Iterator[Want]:
        """What it reads beside the row and its patients."""
        return iter(()) if self.link is None else _links(self.link, row)

    def seeks(self, rule: str, facts: Facts, row: Row) -> Iterator[Seeking]:
        """What it looks for among what refers to a row, or to its patients."""
        if self.link is None or self.link.parameter is None:
            return
        own = f"{row.resource.get('resourceType')}/{row.resource.get('id')}" if self.each.patient else ""
        narrow = tuple((one.name, one.values(facts)) for one in self.narrow)
        for want in _links(self.link, row):
            if isinstance(want, Referring):
                name = f"{rule} {facts.action} {self.link.path} {own}"
                yield Seeking(want, name, narrow, lambda one: self._holds(facts, row, one))


def _links(link: Link, row: Row) -> Iterator[Want]:
    if link.parameter is not None and link.patient:
        yield from (Referring(link.type, link.parameter, f"{PATIENT}/{name.id}") for name in row.names() if name)
        return
    if link.parameter is not None:
        yield Referring(link.type, link.parameter, f"{row.resource.get('resourceType')}/{row.resource.get('id')}")
        return
    for value in elements(row.resource, link.steps):
        name = reading(value.get("reference") if isinstance(value, dict) else None, (link.type,))
        if name is not None:
            yield name


def linked(link: Link, row: Row) -> Iterator[Iterator[Resource]]:
    """The resources that a row is linked with, in groups: of each group one has to be as the rule says.

    Shape: one group, or one for each of the row's patients where it is linked through them.
    Errors: EvaluationError for a resource, or a patient, that was not found.
    """
    wants = tuple(_links(link, row))
    if not link.patient:
        yield _found(row, wants)
        return
    if None in row.names():
        raise EvaluationError("whose a row is can't be told")
    yield from (_found(row, (want,)) for want in wants)


def _found(row: Row, wants: Iterable[Want]) -> Iterator[Resource]:
    for want in wants:
        found = row.around.get(want)
        if found is None:
            raise EvaluationError("what a row is linked with was not found")
        yield from found


class Later:
    """A condition that is compiled when it is first asked: of many rules few are asked in one run."""

    __slots__ = ("_made", "_make")

    def __init__(self, make: Callable[[], Callable[..., bool]]) -> None:
        """Compile nothing yet."""
        self._make = make
        self._made: Callable[..., bool] | None = None

    def __call__(self, *arguments: Any) -> bool:
        """Whether it holds. Errors: one of `ERRORS`."""
        if self._made is None:
            self._made = self._make()
        return self._made(*arguments)


def reads_row(test: Test) -> bool:
    """Whether a condition reads a resource or its patient."""
    return not _OWN.isdisjoint(reads(test))


def reads_patient(test: Test | None) -> bool:
    """Whether a condition reads a patient."""
    return test is not None and PATIENT_VARIABLE in reads(test)


def each_of(test: Test, name: str, absent: Absent) -> Each:
    """A condition on a resource as a function."""
    of = (RESOURCE, PATIENT_VARIABLE)
    compiled = Later(lambda: compile_test(test, READER, absent=absent, variables=of, name=name))
    return Each(compiled, reads_patient(test))


def shown(rows: Rows, name: str, narrow: Iterable[Narrow] = ()) -> Shown:
    """A `rows` condition as a function. Shape: `narrow` is of the row, or of what it is linked with."""
    return Shown(each_of(rows.where, name, "fails"), rows.link, tuple(narrow))


def split(test: Test | None) -> tuple[Test | None, Test | None]:
    """The parts of a condition that read the request alone, and those that read a resource.

    Both together say what the whole does; the first alone settles most requests, before anything is looked up.
    """
    if test is None or not reads_row(test):
        return test, None
    if not isinstance(test, Chain) or test.word == "or":
        return None, test
    request = tuple(part for part in test.parts if not reads_row(part))
    resource = tuple(part for part in test.parts if reads_row(part))
    return _joined(test, request), _joined(test, resource)


def _joined(test: Chain, parts: tuple[Test, ...]) -> Test | None:
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else replace(test, parts=parts)
