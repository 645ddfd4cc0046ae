"""Whether a resource is what a set of profiles asks, such as UK Core: R4, the profile of its type, and extensions.

A resource is held to the profiles that its `meta.profile` names, else to the one of its type; the entries of a Bundle
and contained resources each to their own. Profiles are compiled to closures (`asked.py`) when they are first met.
Source: https://hl7.org/fhir/R4/profiling.html, https://hl7.org/fhir/R4/validation.html
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from gateway.fhir.asked import Asked, compiled
from gateway.fhir.checks import Run
from gateway.fhir.elements import Elements
from gateway.fhir.extensions import ExtensionUse
from gateway.fhir.faults import Fault, Faults, below, fault, shown
from gateway.fhir.jsonformat import Resource
from gateway.fhir.validate import findings, validate
from gateway.finding import Finding
from gateway.specs import Profile, ProfileSet


def departures(
    resource: Resource, elements: Elements, known: ProfileSet, most: int | None = None, *, named: Sequence[str] = ()
) -> tuple[Finding, ...]:
    """Everything in which a resource departs from R4 and from a set of profiles; empty where nothing does.

    Shape: as `validate` tells it; warnings are what a profile advises (codes of extensible bindings). `named` profiles
    stand in place of those that the resource itself and its type say. What is no R4 is not held to profiles: they ask
    of elements that are there as R4 has them.
    """
    wrong = validate(resource, elements, most)
    if wrong:
        return wrong
    faults = _judge(elements, known).resource(resource, Run(sys.maxsize, True, resource), named)  # noqa: FBT003 - advice
    return findings(faults, str(resource["resourceType"]))[:most]


@functools.cache
def _judge(elements: Elements, known: ProfileSet) -> _Judge:
    return _Judge(elements, known)


class _Judge:
    """One set of profiles, compiled as it is met."""

    def __init__(self, elements: Elements, known: ProfileSet) -> None:
        self.elements = elements
        self.known = known
        self.extensions = ExtensionUse(elements, known)
        self._compiled: dict[str, Asked] = {}
        self._own = {name.partition("-")[2]: name for name in known.profiles}

    def resource(self, value: Resource, run: Run, named: Sequence[str] = ()) -> Faults:
        """Faults of a resource that R4 takes, and of those in it."""
        found: list[Fault] = [*self.extensions.faults(value)]
        outer, contained = run.known, value.get("contained")
        if contained:
            run.known = {**outer, **{f"#{one.get('id')}": str(one.get("resourceType")) for one in contained}}
        if named:
            names: Sequence[str] = named
        else:
            names, told = self.profiles_of(value)
            found += told
        for name in names:
            found += self.profile(name)(value, run)
        for place, inner in _inner(value):
            found += below(place, self.resource(inner, run))
        run.known = outer
        return found

    def profiles_of(self, value: Resource) -> tuple[list[str], Faults]:
        """The profiles that a resource is held to, and what is wrong with those that it names."""
        kind = str(value["resourceType"])
        found: list[str] = []
        wrong: list[Fault] = []
        for i, url in enumerate(value.get("meta", {}).get("profile", ())):
            name = str(url).partition("|")[0].rpartition("/")[2]
            profile: Profile | None = self.known.profiles.get(name)
            if profile is None:
                continue  # a profile of somebody else's
            if profile.type == kind:
                found.append(name)
            else:
                words = f"`{shown(name)}` is a profile of {profile.type}, and this is a {kind}"
                wrong += fault("value", "PROFILE-TYPE", words, f".meta.profile[{i}]")
        return found or [self._own[kind]] if kind in self._own else found, wrong

    def profile(self, name: str) -> Asked:
        """The closure of a profile."""
        found = self._compiled.get(name)
        if found is None:
            found = self._compiled[name] = compiled(self.known.profiles[name], self.elements, self.known)
        return found


def _inner(value: Resource) -> Iterator[tuple[str, Any]]:
    """Resources in a resource, with their places."""
    for i, one in enumerate(value.get("contained", ())):
        yield f".contained[{i}]", one
    kind = value["resourceType"]
    if kind == "Bundle":
        for i, entry in enumerate(value.get("entry", ())):
            if "resource" in entry:
                yield f".entry[{i}].resource", entry["resource"]
    elif kind == "Parameters":
        for i, parameter in enumerate(value.get("parameter", ())):
            if "resource" in parameter:
                yield f".parameter[{i}].resource", parameter["resource"]
