"""Elements that stand in several places: what an item holds, its own items hold too.

R4 says so by content references: `QuestionnaireResponse.item.item` and `.item.answer.item` have the content of
`QuestionnaireResponse.item`, `Provenance.entity.agent` that of `Provenance.agent`. Who hides `item.answer` means the
answers of every item, however deep.
Source: https://hl7.org/fhir/R4/elementdefinition-definitions.html#ElementDefinition.contentReference
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import Any

from gateway.fhir.elements import Elements, means


class Again:
    """Takes elements out of a resource wherever their content stands.

    Shape: a place in the resource has the names of all elements whose content it has: its own path, and that which its
    content reference names.
    """

    __slots__ = ("_hidden", "_on", "_references", "_type")

    def __init__(self, resource_type: str, hidden: Mapping[str, Mapping[str, Any]], elements: Elements) -> None:
        """Plan it. Shape: `hidden` is what stands for each path that goes."""
        self._type = resource_type
        self._references = _references(resource_type, elements)
        self._hidden: dict[str, list[tuple[str, Mapping[str, Any]]]] = {}
        for path, stands in hidden.items():
            above, _, name = path.rpartition(".")
            self._hidden.setdefault(above, []).append((name, stands))
        self._on = _leading(hidden, self._references)

    def of(self, resource: dict[str, Any]) -> dict[str, Any]:
        """Copy of a resource without them."""
        found: dict[str, Any] = self._cut(resource, frozenset({self._type}))
        return found

    def _cut(self, node: Any, names: frozenset[str]) -> Any:
        if isinstance(node, list):
            return [self._cut(one, names) for one in node]
        if not isinstance(node, dict):
            return node
        hidden = [one for name in names for one in self._hidden.get(name, ())]
        found: dict[str, Any] = {}
        for key, value in node.items():
            plain = key.removeprefix("_")
            if any(means(name, plain) for name, _ in hidden):
                continue
            below = {f"{name}.{plain}" for name in names}
            below |= {self._references[name] for name in below if name in self._references}
            on = self._on.intersection(below)
            found[key] = self._cut(value, on) if on else value
        for _, stands in hidden:
            found.update(stands)
        return found


def stands_again(path: str, elements: Elements) -> bool:
    """Whether what a path names stands in other places too, by a content reference to something above it."""
    references = _references(path.partition(".")[0], elements)
    return bool(references) and any(name in references.values() for name in _above(path))


@functools.lru_cache(maxsize=512)
def _references(resource_type: str, elements: Elements) -> Mapping[str, str]:
    """Elements of a type whose content is another's, with that other's path."""
    found: dict[str, str] = {}
    left = [resource_type]
    while left:
        for element in elements.tables.elements.children(left.pop()):
            if element.content_reference is not None:
                found[element.path] = element.content_reference
            else:
                left.append(element.path)
    return found


def _above(path: str) -> list[str]:
    steps = path.split(".")
    return [".".join(steps[:end]) for end in range(1, len(steps))]


def _leading(hidden: Iterable[str], references: Mapping[str, str]) -> frozenset[str]:
    """Paths that something hidden stands below, by content references too."""
    found = {name for path in hidden for name in _above(path)}
    while True:
        more = {name for path, target in references.items() if target in found for name in (path, *_above(path))}
        if more <= found:
            return frozenset(found)
        found |= more
