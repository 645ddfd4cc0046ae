"""Which uses of broken glass are told, and to which targets: routes `on break-glass`, compiled.

A route that can't be decided leads all the same: no use goes untold because of a value that is not there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gateway.language.compile import compile_test
from gateway.rules.decision import Routing
from gateway.rules.declared import Route
from gateway.rules.facts import Facts
from gateway.rules.reading import READER
from gateway.rules.release import holds
from gateway.rules.stored import Asked, Each, Later, Row, each_of, split


@dataclass(frozen=True, slots=True)
class Noticing:
    """A route `on break-glass`, compiled.

    Shape: `when` is the part of its condition that reads the request alone, `each` the part that reads a resource; then
    one that was shown has to satisfy it.
    """

    route: Route
    when: Asked | None
    each: Each | None

    def may(self, facts: Facts) -> bool:
        """Whether it may lead somewhere, as far as the request tells."""
        failed: list[str] = []
        return holds(self.when, self.route.id, failed, facts) or bool(failed)

    def leads(self, facts: Facts, rows: Sequence[Row]) -> bool:
        """Whether a use is told.

        Shape: `rows` are the resources that were shown or written; of its types, where it names any, has to be one of
        them, or what was asked for. A count shows none, and tells of all that it counted.
        """
        types = self.route.on.types
        own = [row for row in rows if not types or row.resource.get("resourceType") in types]
        if not own and types and facts.type not in types:
            return False
        failed: list[str] = []
        if not holds(self.when, self.route.id, failed, facts):
            return bool(failed)
        if self.each is None or (facts.action == "count" and not rows):
            return True
        return any(holds(self.each.of_any, self.route.id, failed, facts, row) for row in own) or bool(failed)

    def reads_patients(self) -> bool:
        """Whether it asks about the patients of what was shown."""
        return self.each is not None and self.each.patient


def noticing(route: Route) -> Noticing:
    """Compile a route; a value that is absent all the same makes it lead."""
    request, resource = split(route.when)
    asked = None
    if request is not None:
        asked = Later(lambda: compile_test(request, READER, absent="passes", name=route.id))
    return Noticing(route, asked, None if resource is None else each_of(resource, route.id, "passes"))


def noticed(rules: Iterable[Noticing], facts: Facts, rows: Sequence[Row]) -> tuple[Routing, ...]:
    """Where a use of broken glass is told, each target once, by the first route that leads there."""
    found: dict[str, Routing] = {}
    for rule in rules:
        new = [target for target in rule.route.targets if target.name not in found]
        if new and rule.leads(facts, rows):
            found |= {t.name: Routing(rule.route.id, t.name, t.on_failure, t.hold, None) for t in new}
    return tuple(found.values())
