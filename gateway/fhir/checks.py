"""The element table compiled to closures: one for each type and backbone element, made when it is first met.

A closure takes a value and answers its faults, with places below it; what is right costs a look-up and a call a member.
Source: https://hl7.org/fhir/R4/json.html, https://hl7.org/fhir/R4/validation.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from gateway.fhir import invariants
from gateway.fhir.constraints import Constraint, constraints_of
from gateway.fhir.elements import Elements, Member
from gateway.fhir.faults import Fault, Faults, below, fault, shown
from gateway.fhir.primitives import check_of, format_of
from gateway.source import nearest

Json = dict[str, Any]
_NONE: Faults = ()
_TARGET = re.compile(r"(?:^|/)([A-Z][A-Za-z]+)/[A-Za-z0-9.\-]{1,64}(?:/_history/[A-Za-z0-9.\-]{1,64})?$")


class Run:
    """One validation; knows the Bundle entries and contained resources that references may point to."""

    __slots__ = ("advice", "known", "most")

    def __init__(self, most: int, advice: bool, whole: Any) -> None:  # noqa: FBT001 - a field, not a switch
        """Shape: `most` faults are looked for; `advice`: those too that the standard has as warnings."""
        self.most = most
        self.advice = advice
        self.known: Mapping[str, str] = dict(_addresses(whole))


Check = Callable[[Any, Run], Faults]
"""Of a value."""
MemberCheck = Callable[[Any, Run, Json], Faults]
"""Of a member's value, which may be a list, with the object that it stands in."""


class Checks:
    """The closures of one element table."""

    def __init__(self, elements: Elements) -> None:
        """Nothing is compiled until it is asked for."""
        self.elements = elements
        self._objects: dict[str, Check] = {}
        tables = elements.tables
        self._is_id = format_of("id", tables.formats.get("id"))

    def resource(self, value: Any, run: Run) -> Faults:
        """Faults of a resource of whatever type."""
        if type(value) is not dict:
            return fault("structure", "FHIR-JSON", "a resource is a JSON object")
        name = value.get("resourceType")
        if not isinstance(name, str) or not self.elements.is_resource(name):
            words = f"`{shown(name)}` is not a resource type" if name is not None else "resourceType is missing"
            return fault("structure", "FHIR-TYPE", words)
        outer, contained = run.known, value.get("contained")
        if type(contained) is list:
            own = {f"#{c.get('id')}": str(c.get("resourceType")) for c in contained if type(c) is dict}
            run.known = {**outer, **own}
        found = self.object(name)(value, run)
        if type(contained) is list:
            found = [*found, *_invariant_faults(invariants.of_resource(value))]
        run.known = outer
        # the definitions say string here, the datatype's page says id: https://hl7.org/fhir/R4/resource.html#id
        id_ = value.get("id")
        if id_ is not None and isinstance(id_, str) and not self._is_id(id_):
            found = [*found, *fault("value", "FHIR-FORMAT", f"`{shown(id_)}` is not an id", ".id")]
        return found

    def object(self, name: str) -> Check:
        """The closure of a type, or of the backbone element at a path."""
        found = self._objects.get(name)
        if found is None:
            # elements hold each other (Extension.extension): what is asked for meanwhile looks it up when it runs
            self._objects[name] = self._later(name)
            found = self._objects[name] = self._made(name)
        return found

    def _later(self, name: str) -> Check:
        def later(value: Any, run: Run) -> Faults:
            return self._objects[name](value, run)

        return later

    def _made(self, name: str) -> Check:
        members = self.elements.members(name)
        further = [*_needing(members), *_choosing(members)]
        by_hand, constraints = invariants.of(name), constraints_of(self.elements.tables, name, name)
        if by_hand:
            further.append(lambda value, _: _invariant_faults(pair for test in by_hand for pair in test(value)))
        if constraints:
            further.append(lambda value, run: _broken(constraints, value, run))
        table = {json: check for member in members.values() for json, check in self._named(member)}
        if self.elements.is_resource(name):
            table["resourceType"] = lambda *_: _NONE
        return _object(name, table, [*members], further)

    def _named(self, member: Member) -> Iterator[tuple[str, MemberCheck]]:
        """JSON names of a member with their checks: a primitive's extensions stand beside it."""
        repeats = member.definition.max is None or member.definition.max > 1
        primitive = self.elements.is_primitive(member.type.code)
        value = self._value(member)
        if not repeats:
            yield member.name, _single(value)
        elif primitive:
            yield member.name, _list_of_primitives(value, f"_{member.name}")
        else:
            yield member.name, _list(value)
        if primitive:
            beside = self.object(member.type.code)
            yield f"_{member.name}", _list_of_primitives(beside, member.name) if repeats else _single(beside)

    def _value(self, member: Member) -> Check:
        """The check of one value of a member."""
        code, definition = member.type.code, member.definition
        tables = self.elements.tables
        value_set = definition.value_set
        # a backbone element's own are its object's: here are those of datatypes, and of what shares another's children
        own_children = member.below == definition.path
        constraints = () if own_children else constraints_of(tables, definition.path, member.below)
        if code == "Resource":
            return self.resource
        if self.elements.is_primitive(code):
            primitive = check_of(code, tables.formats.get(code), tables.codes.get(value_set or ""), value_set)
            return _constrained(primitive, constraints)
        own = self.object(member.below)
        allowed = tables.codings.get(value_set or "")
        further: list[Check] = []
        if allowed is not None and code in {"Coding", "CodeableConcept"}:
            further.append(_bound(code, allowed, value_set or ""))
        if code == "Reference":
            further.append(self._reference(member.type.targets))
        return _constrained(_one_after_another(own, further) if further else own, constraints)

    def _reference(self, targets: tuple[str, ...]) -> Check:
        judged = bool(targets) and "Resource" not in targets
        allowed = frozenset(targets)

        def check(value: Any, run: Run) -> Faults:
            reference = value.get("reference")
            address = reference if isinstance(reference, str) else ""
            lost: Faults = _NONE
            if address.startswith("#") and len(address) > 1 and address not in run.known:
                words = f"`{shown(address)}` is no contained resource: contain it, or write its address without #"
                lost = fault("invariant", "ref-1", words)
            if not judged:
                return lost
            match = _TARGET.search(address)
            target = run.known.get(address) or (match.group(1) if match is not None else value.get("type"))
            if not isinstance(target, str) or target in allowed or not self.elements.is_resource(target):
                return lost
            words = f"the target is a {target}: allowed are {', '.join(targets)}"
            return (*lost, *fault("value", "FHIR-TARGET", words))

        return check


def _object(name: str, table: Mapping[str, MemberCheck], near: Sequence[str], further: Sequence[Check]) -> Check:
    """The closure of an object: each member by its own, then what is asked of the whole."""
    kind = name.rpartition(".")[2]

    def check(value: Any, run: Run) -> Faults:
        if type(value) is not dict:
            return fault("structure", "FHIR-JSON", f"{kind} is a JSON object")
        if not value:
            return fault("structure", "FHIR-EMPTY", "an object has at least one member: leave it out")
        found: list[Fault] | None = None
        for json, child in value.items():
            member = table.get(json)
            faults = _unknown(name, json, near) if member is None else member(child, run, value)
            if faults:
                found = _grown(found, below(f".{shown(json)}", faults))
                if len(found) >= run.most:
                    return found
        for one in further:
            faults = one(value, run)
            if faults:
                found = _grown(found, list(faults))
        return found or _NONE

    return check


def _grown(found: list[Fault] | None, more: list[Fault]) -> list[Fault]:
    """What was found and more of it, in place: a hostile resource has faults by the hundred thousand."""
    if found is None:
        return more
    found += more
    return found


def _needing(members: Mapping[str, Member]) -> Iterator[Check]:
    """What finds that an element is missing; nothing where none is needed."""
    by_path: dict[str, list[str]] = {}
    for member in members.values():
        if member.definition.min > 0:
            by_path.setdefault(member.definition.path, []).extend((member.name, f"_{member.name}"))
    needed = [(path.rpartition(".")[2], tuple(names)) for path, names in by_path.items()]

    def check(value: Any, _: Run) -> Faults:
        found: Faults = _NONE
        for what, names in needed:
            for name in names:
                if name in value:
                    break
            else:
                found = [*found, *fault("required", "FHIR-MIN", f"`{what}` is missing")]
        return found

    if needed:
        yield check


def _choosing(members: Mapping[str, Member]) -> Iterator[Check]:
    """What finds that a choice has several values; nothing where there is no choice."""
    choice_of = {
        json: member.definition.path
        for member in members.values()
        if member.definition.path.endswith("[x]")
        for json in (member.name, f"_{member.name}")
    }

    def check(value: Any, _: Run) -> Faults:
        present: dict[str, list[str]] = {}
        for json in value:
            choice = choice_of.get(json)
            if choice is not None:
                present.setdefault(choice, []).append(json.removeprefix("_"))
        found: Faults = _NONE
        for names in present.values():
            different = [*dict.fromkeys(names)]
            if len(different) > 1:
                words = f"only one of {' and '.join(different)} may stand"
                found = [*found, *fault("structure", "FHIR-MAX", words)]
        return found

    if choice_of:
        yield check


def _unknown(name: str, json: str, members: Sequence[str]) -> Faults:
    near = nearest(json, members)
    words = f"{name} has no `{shown(json)}`" + (f": did you mean `{near}`?" if near else "")
    return fault("structure", "FHIR-UNKNOWN", words)


# --- one value or a list ---------------------------------------------------------------------------------------------


def _single(check: Check) -> MemberCheck:
    def single(value: Any, run: Run, _: Json) -> Faults:
        if type(value) is list:
            return fault("structure", "FHIR-JSON", "this element does not repeat: write no list")
        return check(value, run)

    return single


def _list(check: Check) -> MemberCheck:
    def listed(value: Any, run: Run, _: Json) -> Faults:
        if type(value) is not list or not value:
            return _no_list(value)
        found: list[Fault] | None = None
        for i, entry in enumerate(value):
            faults = check(entry, run)
            if faults:
                found = _grown(found, below(f"[{i}]", faults))
                if len(found) >= run.most:
                    break
        return found or _NONE

    return listed


def _list_of_primitives(check: Check, beside: str) -> MemberCheck:
    """A list in which null keeps the place of a value beside its extensions, or the other way round."""

    def listed(value: Any, run: Run, parent: Json) -> Faults:
        if type(value) is not list or not value:
            return _no_list(value)
        found: list[Fault] | None = None
        for i, entry in enumerate(value):
            if entry is None:
                other = parent.get(beside)
                if type(other) is list and i < len(other) and other[i] is not None:
                    continue
                faults: Faults = fault("structure", "FHIR-EMPTY", "null stands beside nothing")
            else:
                faults = check(entry, run)
            if faults:
                found = _grown(found, below(f"[{i}]", faults))
                if len(found) >= run.most:
                    break
        return found or _NONE

    return listed


def _no_list(value: Any) -> Faults:
    if type(value) is list:
        return fault("structure", "FHIR-EMPTY", "a list has at least one entry: leave it out")
    return fault("structure", "FHIR-JSON", "this element repeats: write a list")


# --- what is asked beyond the type -----------------------------------------------------------------------------------


def _one_after_another(own: Check, further: Sequence[Check]) -> Check:
    def check(value: Any, run: Run) -> Faults:
        found = own(value, run)
        if type(value) is dict:
            for one in further:
                faults = one(value, run)
                if faults:
                    found = [*found, *faults]
        return found

    return check


def _bound(code: str, allowed: frozenset[tuple[str, str]], value_set: str) -> Check:
    """Required binding of a Coding or CodeableConcept: one of its codings is in the value set."""

    def check(value: Any, _: Run) -> Faults:
        codings = value.get("coding") if code == "CodeableConcept" else [value]
        for coding in codings if type(codings) is list else ():
            if type(coding) is dict and (coding.get("system"), coding.get("code")) in allowed:
                return _NONE
        return fault("code-invalid", "FHIR-CODE", f"no coding is in {value_set}, which is required")

    return check


def _constrained(check: Check, constraints: Sequence[Constraint]) -> Check:
    if not constraints:
        return check

    def constrained(value: Any, run: Run) -> Faults:
        found = check(value, run)
        faults = _broken(constraints, value, run)
        return [*found, *faults] if faults else found

    return constrained


def _broken(constraints: Sequence[Constraint], value: Any, run: Run) -> Faults:
    found: list[Fault] = []
    for one in constraints:
        if (run.advice or one.severity == "error") and not one.holds(value):
            words = f"what {one.key} asks does not hold: {one.fhirpath}"
            found += fault("invariant", one.key, words, severity=one.severity)
    return found


def _invariant_faults(broken: Iterator[invariants.Broken]) -> Faults:
    return [(f".{place}" if place else "", "error", "invariant", key, words) for key, place, words in broken]


def _addresses(value: Any) -> Iterator[tuple[str, str]]:
    """Full URLs of a Bundle's entries with the types of their resources."""
    entries = value.get("entry") if isinstance(value, dict) else None
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and isinstance(entry.get("resource"), dict):
            yield str(entry.get("fullUrl")), str(entry["resource"].get("resourceType"))
