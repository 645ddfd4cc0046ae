"""Lists and code lists: values that stand in files beside the rules, and are hashed with them.

One that is missing or stale has no values, and a rule that asks it can't be decided: it errs, it never passes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date

from gateway.fhir.identity import nhs_number_digits
from gateway.language.functions import PREDICATES, EvaluationError, day, number
from gateway.language.systems import may_be

_SPELLED: Mapping[str, Callable[[str], str]] = {
    "nhs-number": lambda text: nhs_number_digits(text) or text,
    "ods-code": str.upper,
    "uk-postcode": lambda text: text.replace(" ", "").upper(),
    "date": lambda text: day(text).isoformat(),
    "numeric": lambda text: str(number(text).normalize()),
}
"""How values of a form are spelled where they are compared; those of the others stay as they are."""


def spelled(form: str, value: object) -> str:
    """A value as lists of that form spell it.

    Errors: EvaluationError where it is not of that form: it may be meant.
    """
    if not isinstance(value, str) or not PREDICATES[form](value):
        raise EvaluationError(f"a value is no {form}")
    return _SPELLED.get(form, str)(value)


@dataclass(frozen=True, slots=True)
class NamedList:
    """A declared `list`.

    Shape: `form` is the predicate that its values satisfy (`nhs-number`, `ods-code` ...); `values` is None where the
    file can't be used; `last` is the last day on which it may be, None where it never grows stale; `first` the day that
    it is of: one of a day to come is a slip of the pen, and would be stale later than anybody meant.
    """

    name: str
    form: str
    values: frozenset[str] | None
    last: date | None = None
    first: date | None = None

    def holds(self, value: str, today: date) -> bool:
        """Whether a value stands in the list. Shape: `value` in the list's own spelling.

        Errors: EvaluationError where the list is missing or stale.
        """
        return value in self.usable(today)

    def usable(self, today: date) -> frozenset[str]:
        """The values. Errors: EvaluationError where the list is missing or stale."""
        if self.values is None:
            raise EvaluationError(f"list {self.name} is missing")
        if self.last is not None and today > self.last:
            raise EvaluationError(f"list {self.name} is stale")
        if self.first is not None and today < self.first:
            raise EvaluationError(f"list {self.name} is of a day to come")
        return self.values


@dataclass(frozen=True, slots=True)
class CodeList:
    """A declared `codes`. Shape: `codings` are pairs of system and code; None where the file can't be used."""

    name: str
    codings: frozenset[tuple[str, str]] | None

    def holds(self, system: str | None, code: str | None) -> bool:
        """Whether a coding stands in the list; one without a system never does.

        Errors: EvaluationError where the list is missing.
        """
        if self.codings is None:
            raise EvaluationError(f"code list {self.name} is missing")
        return (system, code) in self.codings

    def may_hold(self, system: str | None, code: str) -> bool:
        """Whether a coding that is not in the list may be meant as one that is: its system is told in another way."""
        codings = self.codings or frozenset()
        return any((own, code) in codings and may_be(system, own) for own in _systems(codings))


@functools.lru_cache(maxsize=64)
def _systems(codings: frozenset[tuple[str, str]]) -> tuple[str, ...]:
    """The systems of a code list: one or two, of however many codes."""
    return tuple(sorted({system for system, _ in codings}))
