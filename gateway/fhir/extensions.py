"""Whether the extensions of a set of profiles stand where they may, and hold what they hold.

Source: https://hl7.org/fhir/R4/defining-extensions.html#context
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from gateway.fhir.codings import Codings, advised
from gateway.fhir.elements import Elements
from gateway.fhir.faults import Fault, Faults, fault, shown
from gateway.specs import ExtensionDefinition, ProfileSet

_NAMES = frozenset({"extension", "modifierExtension"})


class ExtensionUse:
    """The extensions of one set."""

    def __init__(self, elements: Elements, known: ProfileSet) -> None:
        """Nothing is read until a resource has an extension."""
        self.elements = elements
        self.known = known.extensions
        # who names an extension of the set's publisher that the set hasn't has probably misspelt it
        bases = [url.rpartition("/")[0] for url in known.extensions]
        self._base = max(bases, key=bases.count, default="") + "/"
        self._codes: Mapping[str, Codings] = known.codings

    def faults(self, resource: Mapping[str, Any]) -> Faults:
        """What is wrong with the extensions of a resource, those of resources in it left out."""
        kind = str(resource["resourceType"])
        found: list[Fault] = []
        self._object(resource, kind, kind, frozenset({kind, "Resource", "DomainResource"}), "", found)
        return found

    def _object(
        self,
        value: Mapping[str, Any],
        below: str,
        path: str,
        known_as: AbstractSet[str],
        place: str,
        found: list[Fault],
    ) -> None:
        """Extensions of an object and of all in it; `known_as` are the contexts that the object is."""
        members = self.elements.members(below)
        for name, child in value.items():
            if name in _NAMES:
                for i, one in enumerate(child):
                    self._extension(one, known_as, f"{place}.{name}[{i}]", found)
                continue
            # a primitive's extensions stand beside it
            member = members.get(name[1:] if name[0] == "_" else name)
            if (
                member is None
                or member.type.code == "Resource"
                or (name[0] != "_" and not isinstance(child, (dict, list)))
            ):
                continue
            inner, own = member.below, member.definition.path.rpartition(".")[2]
            contexts = frozenset({f"{path}.{own}", f"{below}.{own}", member.type.code, "Element"})
            if isinstance(child, dict):
                self._object(child, inner, f"{path}.{own}", contexts, f"{place}.{name}", found)
                continue
            for i, one in enumerate(child):
                if isinstance(one, dict):
                    self._object(one, inner, f"{path}.{own}", contexts, f"{place}.{name}[{i}]", found)

    def _extension(self, one: Mapping[str, Any], known_as: AbstractSet[str], place: str, found: list[Fault]) -> None:
        url = str(one["url"])
        definition = self.known.get(url)
        short = shown(url.rpartition("/")[2])
        if definition is not None:
            if not known_as & {*definition.contexts}:
                words = f"{short} stands at {' or '.join(definition.contexts)}, and not here"
                found += fault("extension", "PROFILE-EXTENSION", words, place)
            found += _content(one, definition, place)
            found += self._code(one, definition, place)
        elif url.startswith(self._base):
            words = f"no extension `{short}` is known"
            found += fault("extension", "PROFILE-EXTENSION", words, place, "warning")
        self._object(one, "Extension", "Extension", frozenset({"Extension", "Element"}), place, found)

    def _code(self, one: Mapping[str, Any], definition: ExtensionDefinition, place: str) -> Faults:
        sets = [self._codes[url] for url in definition.value_sets if url in self._codes]
        allowed: Codings = frozenset().union(*sets)
        for value, at in _values(one, place):
            faults = advised(value, allowed, " or ".join(definition.value_sets)) if allowed else ()
            if faults:
                return fault(*faults[0][2:], at, "warning")
        return ()


def _values(one: Mapping[str, Any], place: str) -> list[tuple[Any, str]]:
    """The value of an extension, or of each of its parts, with its place."""
    found = [(value, f"{place}.{name}") for name, value in one.items() if name.startswith("value")]
    for i, part in enumerate(one.get("extension", ())):
        found += _values(part, f"{place}.extension[{i}]")
    return found


def _content(one: Mapping[str, Any], definition: ExtensionDefinition, place: str) -> Faults:
    """An extension has a value of its types, or the parts that it is made of."""
    short = definition.url.rpartition("/")[2]
    value = next((name.lstrip("_") for name in one if name.lstrip("_").startswith("value")), None)
    if definition.parts:
        known = ", ".join(definition.parts)
        if value is not None:
            return fault("structure", "PROFILE-EXTENSION", f"{short} has no value, but the parts {known}", place)
        for i, part in enumerate(one.get("extension", ())):
            if part["url"] not in definition.parts:
                words = f"`{shown(part['url'])}` is no part of {short}: it has {known}"
                return fault("extension", "PROFILE-EXTENSION", words, f"{place}.extension[{i}]")
        return ()
    taken = {f"value{type_[:1].upper()}{type_[1:]}" for type_ in definition.types}
    if definition.types and value not in taken:
        words = f"{short} has {' or '.join(sorted(taken))}"
        return fault("structure", "PROFILE-EXTENSION", words, f"{place}.{value}" if value else place)
    return ()
