"""Search criteria: a parameter with its values, on the resource itself or on one that a reference leads to.

Source: https://hl7.org/fhir/R4/search.html#chaining, #has and #modifiers
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gateway.query.offer import HOPS, NEEDING_MORE, PARAMETERS_NOT_OFFERED, PATHS, VALUES, Offer
from gateway.query.tree import Chain, Clause, Criterion, Reverse, Value
from gateway.query.values import ValueRefused, alternatives, read
from gateway.source import nearest
from gateway.specs import FhirTables, SearchParameter

HAS = "_has"
_LONGEST_SHOWN = 60
_HAS_PARTS = 4


class Refused(Exception):  # noqa: N818  carries one finding to the loop that collects them
    """A parameter that is not taken, with the words that the client is told."""

    def __init__(self, code: str, rule: str, words: str) -> None:
        """Say why; `code` is FHIR's issue type."""
        super().__init__(words)
        self.code = code
        self.rule = rule


@dataclass(frozen=True, slots=True)
class Asked:
    """What one parameter is read by: its whole name, for the words of a refusal, and what is offered."""

    name: str
    tables: FhirTables
    offer: Offer
    also: tuple[str, ...] = ()
    """Names that are no search parameters and might have been meant."""


@dataclass(frozen=True, slots=True)
class Way:
    """How far a parameter has gone: references followed, and searches that it means where types are not named."""

    hops: int
    spread: int


START = Way(0, 1)


def shown(text: str) -> str:
    """Text of a client, short enough to be told."""
    return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "..."


def meant(word: str, known: Iterable[str]) -> str:
    """The name that comes near a word, as words to add."""
    near = nearest(word[:_LONGEST_SHOWN], known)
    return f" (did you mean {near}?)" if near is not None else ""


def is_offered(parameter: SearchParameter, offer: Offer) -> bool:
    """Whether a parameter can be searched by."""
    return (offer.composites or parameter.type != "composite") and parameter.type != "special" and bool(
        parameter.fhirpath
    )  # fmt: skip


def names(resource_type: str, tables: FhirTables, offer: Offer) -> tuple[str, ...]:
    """Names of the search parameters that a type has and that are offered, in alphabetical order."""
    found = (p for (base, _), p in tables.search_parameters.items() if base == resource_type)
    return tuple(sorted(p.code for p in found if is_offered(p, offer)))


def check_type(name: str, tables: FhirTables) -> None:
    """Whether a name is that of a resource type.

    Errors: Refused.
    """
    definition = tables.types.get(name)
    if definition is None or definition.kind != "resource" or definition.abstract:
        known = (n for n, d in tables.types.items() if d.kind == "resource" and not d.abstract)
        words = f"{shown(name) or 'an empty name'} is not a resource type of FHIR R4{meant(name, known)}"
        raise Refused("not-supported", "SEARCH-TYPE", words)


def criterion(asked: Asked, resource_type: str, name: str, raw: str, way: Way = START) -> Criterion:
    """One criterion on resources of a type.

    Shape: `name` is what is left of the parameter's name at the end of a way.
    Errors: Refused.
    """
    if name.startswith(f"{HAS}:") and asked.offer.links:
        return _reverse(asked, resource_type, name, raw, _followed(asked, way, 1))
    if "." in name and asked.offer.links:
        return _chain(asked, resource_type, name, raw, way)
    return _clause(asked, resource_type, name, raw)


def full_name(found: Criterion) -> str:
    """The name that a criterion was written with."""
    match found:
        case Chain():
            return f"{found.name}{'' if found.type is None else ':' + found.type}.{full_name(found.targets[0][1])}"
        case Reverse():
            return f"{HAS}:{found.type}:{found.name}:{full_name(found.criterion)}"
        case _:
            return found.name if found.modifier is None else f"{found.name}:{found.modifier}"


def raw_values(found: Criterion) -> str:
    """The values that a criterion was written with."""
    return ",".join(value.raw for value in leaf(found).values)


def leaf(found: Criterion) -> Clause:
    """The clause at the end of a criterion; the first where there are several."""
    while not isinstance(found, Clause):
        found = found.targets[0][1] if isinstance(found, Chain) else found.criterion
    return found


def _followed(asked: Asked, way: Way, types: int) -> Way:
    """A way with one more reference, which may lead to so many types."""
    further = Way(way.hops + 1, way.spread * types)
    if further.hops > HOPS:
        words = f"{shown(asked.name)} follows more than {HOPS} references: search for what is in between first"
        raise Refused("too-costly", "SEARCH-CHAIN", words)
    if further.spread > PATHS:
        words = f"{shown(asked.name)} means more than {PATHS} searches: name types, as in subject:Patient.name"
        raise Refused("too-costly", "SEARCH-CHAIN", words)
    return further


def _no_has(asked: Asked) -> Refused:
    words = f"{shown(asked.name)} is not _has:Type:reference:parameter, such as _has:Observation:patient:code"
    return Refused("invalid", "SEARCH-CHAIN", words)


def _reverse(asked: Asked, resource_type: str, name: str, raw: str, way: Way) -> Reverse:
    parts = name.split(":", _HAS_PARTS - 1)
    if len(parts) < _HAS_PARTS or not parts[-1]:
        raise _no_has(asked)
    _, type_, code, rest = parts
    check_type(type_, asked.tables)
    parameter = reference(asked.tables, type_, code)
    if parameter.targets and resource_type not in parameter.targets:
        words = f"{code} of {type_} refers to {', '.join(parameter.targets)}, not to {resource_type}"
        raise Refused("invalid", "SEARCH-CHAIN", words)
    return Reverse(type_, code, parameter, criterion(asked, type_, rest, raw, way))


def reference(tables: FhirTables, resource_type: str, code: str) -> SearchParameter:
    """The reference parameter of a type that has this name.

    Errors: Refused.
    """
    parameter = tables.search_parameters.get((resource_type, code))
    if parameter is None or parameter.type != "reference" or not parameter.fhirpath:
        found = (p for (base, _), p in tables.search_parameters.items() if base == resource_type)
        known = sorted(p.code for p in found if p.type == "reference" and p.fhirpath)
        words = (
            f"{resource_type} has no reference parameter {shown(code) or 'of that empty name'}{meant(code, known)}:"
            f" there are {', '.join(known) or 'none'}"
        )
        raise Refused("not-supported", "SEARCH-CHAIN", words)
    return parameter


def _chain(asked: Asked, resource_type: str, name: str, raw: str, way: Way) -> Chain:
    head, _, rest = name.partition(".")
    code, colon, type_ = head.partition(":")
    parameter = reference(asked.tables, resource_type, code)
    wanted = rest.partition(".")[0].partition(":")[0]
    if colon:
        check_type(type_, asked.tables)
        if parameter.targets and type_ not in parameter.targets:
            words = f"{code} of {resource_type} refers to {', '.join(parameter.targets)}, not to {type_}"
            raise Refused("invalid", "SEARCH-CHAIN", words)
        types: tuple[str, ...] = (type_,)
    else:
        has = asked.tables.search_parameters
        types = tuple(t for t in parameter.targets if wanted == HAS or (t, wanted) in has)
        if not types:
            held = ", ".join(parameter.targets) or "anything: name the type, as in subject:Patient.name"
            words = f"{code} of {resource_type} refers to {held}; nothing there has a parameter {shown(wanted)}"
            raise Refused("not-supported", "SEARCH-CHAIN", words)
    way = _followed(asked, way, len(types))
    targets = _continued(asked, types, rest, raw, way)
    found = Chain(code, parameter, type_ if colon else None, targets)
    if len({leaf(inner).parameter.type for _, inner in targets}) > 1:
        words = f"{shown(asked.name)} means different things by type: name one, as in {code}:{types[0]}.{shown(rest)}"
        raise Refused("invalid", "SEARCH-CHAIN", words)
    return found


def _continued(
    asked: Asked, types: tuple[str, ...], rest: str, raw: str, way: Way
) -> tuple[tuple[str, Criterion], ...]:
    """The rest of a chain for each type that it may lead to; where several may, those are left out that it can't."""
    found: list[tuple[str, Criterion]] = []
    refusal: Refused | None = None
    for name in types:
        try:
            found.append((name, criterion(asked, name, rest, raw, way)))
        except Refused as refused:
            if refused.code != "not-supported":
                raise
            refusal = refused
    if refusal is not None and not found:
        raise refusal
    return tuple(found)


def _clause(asked: Asked, resource_type: str, full: str, raw: str) -> Clause:
    name, colon, modifier = full.partition(":")
    parameter = _parameter(asked, resource_type, name, full)
    taken = _modifier(asked, parameter, modifier) if colon else None
    told = shown(asked.name)
    if not raw:
        raise Refused("required", "SEARCH-EMPTY", f"{told} has no value: leave it out or give one")
    values: list[Value] = []
    for part in alternatives(raw):
        if not part:
            raise Refused("required", "SEARCH-EMPTY", f"{told} has an empty value between commas")
        if len(values) == VALUES:
            raise Refused("too-costly", "SEARCH-MANY", f"{told} has more than {VALUES} values: search in portions")
        try:
            values.append(read(resource_type, parameter, taken, part, asked.tables))
        except ValueRefused as refused:
            raise Refused("value", "SEARCH-VALUE", f"{told} can not be {shown(part)}: {refused}") from refused
    return Clause(name, parameter, taken, tuple(values))


def _parameter(asked: Asked, resource_type: str, name: str, full: str) -> SearchParameter:
    parameter = asked.tables.search_parameters.get((resource_type, name))
    if parameter is not None and is_offered(parameter, asked.offer):
        return parameter
    if "." in full:
        raise Refused("not-supported", "SEARCH-CHAIN", f"chained search ({shown(full)}) is not offered yet")
    if name == HAS and asked.offer.links:
        raise _no_has(asked)
    if parameter is not None or name in PARAMETERS_NOT_OFFERED or name in _LINKING:
        if name in _LINKING and asked.offer.includes:
            words = f"{shown(asked.name)} is not understood: there are {name} and {name}:iterate"
            raise Refused("not-supported", "SEARCH-MODIFIER", words)
        raise Refused("not-supported", "SEARCH-PARAMETER", f"{name} is not offered yet")
    known = names(resource_type, asked.tables, asked.offer)
    words = (
        f"{resource_type} has no search parameter {shown(name)}{meant(name, (*known, *asked.also))}:"
        f" there are {', '.join(known)} and {', '.join(asked.also)}"
    )
    raise Refused("not-supported", "SEARCH-PARAMETER", words)


_LINKING = frozenset({HAS, "_include", "_revinclude"})


def _modifier(asked: Asked, parameter: SearchParameter, modifier: str) -> str:
    if "." in modifier:
        words = f"chained search ({shown(parameter.code + ':' + modifier)}) is not offered yet"
        raise Refused("not-supported", "SEARCH-CHAIN", words)
    offer = asked.offer
    general = "[type]" if modifier in parameter.targets else modifier
    beyond = NEEDING_MORE.get((parameter.type, general))
    if general not in parameter.modifiers:
        offered = [m for m in parameter.modifiers if m in offer.modifiers and (parameter.type, m) not in NEEDING_MORE]
        known = [*offered, *parameter.targets] if "[type]" in offered else offered
        listed = ", ".join(m if m != "[type]" else "the name of a target type" for m in offered) or "none"
        words = f"{parameter.code} has no modifier {shown(modifier)}{meant(modifier, known)}: there are {listed}"
        raise Refused("not-supported", "SEARCH-MODIFIER", words)
    if beyond is not None and general in offer.modifiers | {"in", "not-in"} and offer.links:
        words = f"the modifier {general} is not offered for {parameter.code}: {beyond}"
        raise Refused("not-supported", "SEARCH-MODIFIER", words)
    if general not in offer.modifiers:
        raise Refused("not-supported", "SEARCH-MODIFIER", f"the modifier {general} is not offered yet")
    if general == "of-type" and not of_identifiers(parameter, asked.tables):
        words = f"the modifier of-type is for identifiers, and {parameter.code} searches none"
        raise Refused("not-supported", "SEARCH-MODIFIER", words)
    return modifier


def of_identifiers(parameter: SearchParameter, tables: FhirTables) -> bool:
    """Whether a parameter searches identifiers, so that `:of-type` means something.

    Source: https://hl7.org/fhir/R4/search.html#token
    """
    paths = (part.strip().strip("()") for part in parameter.fhirpath.split("|"))
    found = (tables.elements.get(path) for path in paths)
    named = any(ref.code == "Identifier" for one in found if one is not None for ref in one.types)
    return named or " as Identifier" in parameter.fhirpath
