"""What a resource may be asked to conform to, by the name that rules give it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from gateway import specs
from gateway.fhir.elements import Elements
from gateway.fhir.jsonformat import Resource
from gateway.fhir.models import departures_from_model, has_model
from gateway.fhir.profiles import departures
from gateway.fhir.validate import MOST_FINDINGS, validate
from gateway.finding import Finding, refuses

MODEL = "model"


@dataclass(frozen=True, slots=True)
class Standard:
    """One standard. Shape: `judge` tells every departure of a resource, `knows` whether it judges a resource type."""

    name: str
    words: str
    judge: Callable[[Resource], tuple[Finding, ...]]
    knows: Callable[[str], bool]

    def kept(self, resource: Resource) -> bool:
        """Whether nothing departs but what is a warning."""
        return not refuses(self.judge(resource))


def r4(elements: Elements) -> Standard:
    """R4 itself, which needs no name."""
    return Standard("", "FHIR R4 (4.0.1)", lambda resource: validate(resource, elements, MOST_FINDINGS), lambda _: True)


def standard_names(root: Path = specs.ROOT) -> tuple[str, ...]:
    """The names that `standards` gives, told without reading what they stand for."""
    return (MODEL, *specs.profile_sets(root))


def standards(elements: Elements, root: Path = specs.ROOT) -> Mapping[str, Standard]:
    """Those with a name: the models, and each set of profiles in `root/fhir`.

    Errors: SpecsError for a set that can't be read.
    """
    found = {
        MODEL: Standard(
            MODEL,
            "the models of fhir.resources, R4B",
            functools.partial(departures_from_model, most=MOST_FINDINGS),
            has_model,
        )
    }
    for name in specs.profile_sets(root):
        known = specs.profiles(name, root)
        judge = functools.partial(departures, elements=elements, known=known, most=MOST_FINDINGS)
        found[name] = Standard(name, f"FHIR R4 and the profiles in specs/fhir/{name}", judge, lambda _: True)
    return found
