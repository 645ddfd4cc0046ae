"""What a profile asks of elements, compiled to closures.

Source: https://hl7.org/fhir/R4/profiling.html, https://hl7.org/fhir/R4/elementdefinition.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from gateway import specs
from gateway.fhir import fhirpath
from gateway.fhir.checks import Run
from gateway.fhir.codings import Codings, advised, required
from gateway.fhir.elements import Elements, means
from gateway.fhir.faults import Fault, Faults, below, fault, shown
from gateway.finding import Severity
from gateway.specs import Profile, ProfileSet

Asked = Callable[[Any, Run], Faults]
"""What is wrong with an element, by what a profile asks of it and of all below it."""

_TARGET = re.compile(r"(?:^|/)([A-Z][A-Za-z]+)/[A-Za-z0-9.\-]{1,64}(?:/_history/[A-Za-z0-9.\-]{1,64})?$")
_NONE: Faults = ()


class _Held(NamedTuple):
    """One value of an element: place, JSON name, value (None where it has extensions alone), what stands beside."""

    place: str
    name: str
    value: Any
    beside: Any


@dataclass(slots=True)
class _Node:
    """An element of a profile, or a slice of one, with those below it."""

    asked: list[specs.Asked] = field(default_factory=list)
    children: dict[str, _Node] = field(default_factory=dict)
    slices: dict[str, _Node] = field(default_factory=dict)
    invariants: list[specs.Asks] = field(default_factory=list)

    def last(self, name: str) -> Any:
        """What the last that says it says: a profile restates what it narrows of its base."""
        return next(
            (value for one in reversed(self.asked) if (value := getattr(one, name)) not in {None, "", ()}), None
        )


def compiled(profile: Profile, elements: Elements, known: ProfileSet) -> Asked:
    """The closure of a whole profile, for a resource of its type."""
    root = _Node()
    for asked in profile.asked:
        _node(root, asked.path).asked.append(asked)
    for invariant in profile.invariants:
        _node(root, invariant.path).invariants.append(invariant)
    return _Compiler(profile.name, elements, known).inner(root, profile.type)


def _node(root: _Node, path: str) -> _Node:
    found = root
    for segment in path.split(".") if path else ():
        name, _, slice_ = segment.partition(":")
        found = found.children.setdefault(name, _Node())
        if slice_:
            found = found.slices.setdefault(slice_, _Node())
    return found


class _Compiler:
    """Compiles one profile; holds what every node needs."""

    def __init__(self, profile: str, elements: Elements, known: ProfileSet) -> None:
        self.profile = profile
        self.elements = elements
        self.known = known

    def inner(self, node: _Node, path: str) -> Asked:
        """What is asked below an object, and by invariants of it."""
        members = [self.member(name, child, f"{path}.{name}") for name, child in node.children.items()]
        invariants = [self.invariant(one, path) for one in node.invariants]

        def check(value: Any, run: Run) -> Faults:
            found: Sequence[Fault] = _NONE
            for one in (*members, *invariants):
                faults = one(value, run)
                if faults:
                    found = [*found, *faults]
            return found

        return check

    def invariant(self, asks: specs.Asks, path: str) -> Asked:
        """An invariant in FHIRPath."""
        judged = fhirpath.invariant(asks.fhirpath, path, self.elements.tables)
        severity: Severity = "warning" if asks.severity == "warning" else "error"
        words = f"what {asks.key} of {self.profile} asks does not hold: {asks.fhirpath}"
        broken = fault("invariant", asks.key, words, severity=severity)
        return lambda value, _: _NONE if judged(value) == [True] else broken

    def member(self, name: str, node: _Node, path: str) -> Asked:
        """What is asked of a member of an object: of all its values, and of each slice."""
        whole = self.values(name, node, path)
        slices = [self.slice(name, slice_, one, path) for slice_, one in node.slices.items()]

        def check(parent: Any, run: Run) -> Faults:
            held = list(_held(parent, name))
            found = whole(held, run)
            for one in slices:
                faults = one(held, run)
                if faults:
                    found = [*found, *faults]
            return found

        return check

    def slice(self, name: str, slice_: str, node: _Node, path: str) -> Callable[[list[_Held], Run], Faults]:
        """What is asked of the values that are a slice's: told by their url, their system, their code."""
        type_, pairs = node.last("types") or "", node.last("told_by") or ()
        if type_.startswith("Extension("):
            pairs = (("url", type_[len("Extension(") : -1]),)
        if not pairs:
            # by value set or by nothing that the table tells: not judged
            return lambda _held, _run: _NONE
        of = self.values(f"{name}:{slice_}", node, path)
        return lambda held, run: of([one for one in held if _is(one.value, pairs)], run)

    def values(self, name: str, node: _Node, path: str) -> Callable[[list[_Held], Run], Faults]:
        """What is asked of values: how many, of which types, which value, which codes, and what is below."""
        least, most = node.last("min") or 0, node.last("max")
        checks: list[Callable[[_Held, Run], Faults]] = [*self.types(name, node)]
        fixed = node.last("fixed")
        if fixed is not None:
            checks.append(self.fixed(fixed))
        checks += self.binding(node)
        below_it = self.inner(node, self.context(path)) if node.children or node.invariants else None

        def check(held: list[_Held], run: Run) -> Faults:
            found: list[Fault] = []
            if len(held) < least:
                told = f"{least} times" if least > 1 else "once"
                words = f"`{name}` is missing: {self.profile} asks for it" if not held else f"`{name}` stands {told}"
                found += fault("required", "PROFILE-MIN", words)
            if most is not None and len(held) > most:
                words = f"{self.profile} takes {f'at most {most}' if most else 'no'} `{name}`"
                found += fault("structure", "PROFILE-MAX", words, held[most].place)
            for one in held:
                for test in checks:
                    found += below(one.place, test(one, run))
                inside = one.value if isinstance(one.value, dict) else one.beside
                if below_it is not None and isinstance(inside, dict):
                    # a primitive's extensions stand beside it
                    place = one.place if inside is one.value else one.place.replace(f".{one.name}", f"._{one.name}")
                    found += below(place, below_it(inside, run))
            return found

        return check

    def context(self, path: str) -> str:
        """Path or type whose children an element's values have, for FHIRPath."""
        definition = self.elements.resolve(path.partition(":")[0])
        if definition is None or not definition.types:
            return path
        code = definition.types[0].code
        return path if code in {"BackboneElement", "Element"} else code

    def types(self, name: str, node: _Node) -> Iterator[Callable[[_Held, Run], Faults]]:
        """A choice is one of these types; a reference points to one of these."""
        text = node.last("types") or ""
        code, _, inner = text.partition("(")
        if code == "Reference" and inner:
            yield self.target(tuple(inner[:-1].split("|")))
        stem = name.partition(":")[0].removesuffix("[x]")
        if name.partition(":")[0].endswith("[x]") and text:
            taken = f"{stem}{code[:1].upper()}{code[1:]}"

            def typed(held: _Held, _: Run) -> Faults:
                if held.name == taken:
                    return _NONE
                return fault("structure", "PROFILE-TYPE", f"{self.profile} takes {taken} alone")

            yield typed

    def target(self, targets: tuple[str, ...]) -> Callable[[_Held, Run], Faults]:
        """A reference whose target is known to be of another type."""

        def check(held: _Held, run: Run) -> Faults:
            value = held.value if isinstance(held.value, dict) else {}
            address = str(value.get("reference", ""))
            match = _TARGET.search(address)
            target = run.known.get(address) or (match.group(1) if match is not None else value.get("type"))
            if target is None or target in targets or not self.elements.is_resource(str(target)):
                return _NONE
            words = f"the target is a {target}: {self.profile} allows {', '.join(targets)}"
            return fault("value", "PROFILE-TARGET", words)

        return check

    def fixed(self, value: str) -> Callable[[_Held, Run], Faults]:
        """The one value that is taken."""

        def check(held: _Held, _: Run) -> Faults:
            if held.value is None or held.value == value:
                return _NONE
            words = f"`{shown(held.value)}` stands where {self.profile} asks for `{value}`"
            return fault("value", "PROFILE-FIXED", words)

        return check

    def binding(self, node: _Node) -> Iterator[Callable[[_Held, Run], Faults]]:
        """Codes: a required value set, or an extensible one, whose codes are advised."""
        value_set, strength = node.last("value_set"), node.last("binding")
        allowed: Codings | None = self.known.codings.get(value_set or "")
        if allowed is None or strength not in {"required", "extensible"}:
            return
        judge = required if strength == "required" else advised
        yield lambda held, _: judge(held.value, allowed, str(value_set))


def _held(parent: Any, name: str) -> Iterator[_Held]:
    """The values of an element of an object."""
    if not name.endswith("[x]"):
        yield from _values(parent, name, f".{name}")
        return
    seen: set[str] = set()
    for json in parent:
        bare = json.removeprefix("_")
        if means(name, bare) and bare not in seen:
            seen.add(bare)
            yield from _values(parent, bare, f".{bare}")


def _values(parent: Any, name: str, place: str) -> Iterator[_Held]:
    value, beside = parent.get(name), parent.get(f"_{name}")
    if not isinstance(value, list) and not isinstance(beside, list):
        if value is not None or beside is not None:
            yield _Held(place, name, value, beside)
        return
    one, other = value or [], beside or []
    for i in range(max(len(one), len(other))):
        yield _Held(f"{place}[{i}]", name, one[i] if i < len(one) else None, other[i] if i < len(other) else None)


def _is(value: Any, pairs: Sequence[tuple[str, str]]) -> bool:
    """Whether a value has what a slice is known by: all pairs, of one object below it."""
    head = pairs[0][0].rpartition(".")[0]
    return any(all(one.get(path.rpartition(".")[2]) == told for path, told in pairs) for one in _at(value, head) if one)


def _at(value: Any, path: str) -> Iterator[dict[str, Any]]:
    if isinstance(value, list):
        for one in value:
            yield from _at(one, path)
    elif isinstance(value, dict):
        name, _, rest = path.partition(".")
        if not name:
            yield value
        elif name in value:
            yield from _at(value[name], rest)
