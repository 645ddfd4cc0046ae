"""Ids of resources, from the business identifiers that their maps name, written into functions.

Source: the gateway's design (conversion, identity).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from gateway.fhir import derived_id, nhs_number_digits, organization_id, patient_id
from gateway.language.nodes import Word
from gateway.mapping import values
from gateway.mapping.facts import FACTS
from gateway.mapping.nodes import Identity, Map, Value
from gateway.mapping.run import Fields, Json, Run, place_of
from gateway.mapping.values import Hand, SegmentInHand
from gateway.mapping.vocabulary import path_of
from gateway.mapping.writer import Writer

Identify = Callable[[Run, Fields, Json], "str | None"]
"""Id of the resource that a segment makes, from its fields and from what was made of them."""

_LONGEST_KEPT = 64

# wards, practitioners and organisations come again and again
_kept = functools.lru_cache(maxsize=8192)(derived_id)


def _derived(resource_type: str, authority: str, value: str) -> str:
    """Derived id, kept for the next time unless the sender's texts are so long that keeping them is a burden.

    Units: kept up to 64 characters each.
    """
    short = len(authority) <= _LONGEST_KEPT >= len(value)
    return _kept(resource_type, authority, value) if short else derived_id(resource_type, authority, value)


def identifier(made: Map) -> Identify:
    """The identities of a segment's map as a function."""
    writer = Writer()
    write(writer, made, SegmentInHand(made.of.text))
    writer.line("return id_")
    function: Callable[..., Any] = writer.function(f"identity of {made.title}", "run, f, out")
    return function


def write(writer: Writer, made: Map, hand: Hand) -> None:
    """Give `id_` the id of a resource, by the first identity that has one."""
    writer.line("id_ = None")
    for identity in made.identities:
        with writer.block("if id_ is None:"):
            _way(writer, identity, made.target.text, hand)


def _way(writer: Writer, identity: Identity, type_: str, hand: Hand) -> None:
    path = path_of(identity.value.text) if isinstance(identity.value, Word) else None
    if not isinstance(hand, SegmentInHand) or path is None or path.of != hand.name:
        _candidate(writer, identity, type_, hand, all_of_them=None)
        return
    own = SegmentInHand(hand.name, path.field)
    writer.line("found = []")
    writer.line(f"n = f[{path.field}].split(run.repetition) if {path.field} < len(f) else ()")
    with writer.block("for e in n:"):
        _candidate(writer, identity, type_, own, all_of_them="found")
    if _form(identity) == "nhs-number":
        writer.line(f"id_ = {writer.hold(_one_of)}(run, {path.field}, n, found)")


def _one_of(run: Run, field: int, repetitions: Sequence[str], found: Sequence[tuple[str, str]]) -> str | None:
    """Id by the one valid NHS number among those found; of several, `doubt` has the place of the second."""
    id_ = patient_id(value for value, _ in found)
    if id_ is None and run.doubt is None:
        valid = [(digits, sent) for value, sent in found if (digits := nhs_number_digits(value)) is not None]
        other = next((sent for digits, sent in valid if digits != valid[0][0]), None)
        if other is not None:
            run.doubt = f"{place_of(run.segment, field)}[{repetitions.index(other) + 1}]"
    return id_


def _candidate(writer: Writer, identity: Identity, type_: str, hand: Hand, *, all_of_them: str | None) -> None:
    """One value that may make the id; in a loop over repetitions, the first that does ends it."""
    form = _form(identity)
    with writer.when(values.condition(writer, identity.test, hand)):
        writer.line(f"value = ({values.value(writer, identity.value, hand)}).strip()")
        with writer.block("if value:"):
            if form == "nhs-number":
                writer.line(
                    f"{all_of_them}.append((value, e))" if all_of_them else f"id_ = {writer.hold(patient_id)}([value])"
                )
                return
            if form == "ods-code":
                writer.line(f"id_ = {writer.hold(organization_id)}(value)")
            else:
                authorities = [_authority(writer, each, hand) for each in identity.authorities]
                writer.line(f"authority = {' or '.join(authorities) or values.fact('context.organisation')}")
                with writer.block("if authority:"):
                    writer.line(f'id_ = {writer.hold(_derived)}("{type_}", authority, value)')
            if all_of_them is not None:
                with writer.block("if id_ is not None:"):
                    writer.line("break")


def _form(identity: Identity) -> str | None:
    return identity.form.text if identity.form is not None else None


def _authority(writer: Writer, value: Value, hand: Hand) -> str:
    if isinstance(value, Word) and value.text not in FACTS and path_of(value.text) is None:
        return f'out.get("{value.text}", {{}}).get("reference")'  # who the resource refers to, in an element of it
    return values.value(writer, value, hand)
