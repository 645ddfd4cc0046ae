"""What the operations on resources share: who may, and what of a resource an operation and another action both release.

Source: https://hl7.org/fhir/R4/operations.html; `rules-language.md` of the design, fact `action`, meaning 9 to 11
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gateway.documents.operation_paths import OFFERED
from gateway.interactions.access import released, shown_of
from gateway.interactions.call import Call, Resource, in_scope, permitted
from gateway.interactions.headers import shown
from gateway.interactions.refused import Refused, error
from gateway.interactions.scopes import check_access
from gateway.rules import Decision, Facts


@dataclass(frozen=True, slots=True)
class Operating:
    """An operation that is permitted on a type, and how the rules decided it."""

    facts: Facts
    decision: Decision


def operating(call: Call, name: str, resource_type: str) -> Operating:
    """How the rules permit an operation on a type.

    Errors: Refused (403) with what is missing.
    """
    action = f"operation {name}"
    check_access(call.asking.scopes, action, resource_type)
    facts = call.asking.facts(call.gateway, action, type=resource_type)
    return Operating(facts, permitted(call.gateway, facts))


def released_by_both(
    call: Call, under: Operating, facts: Facts, decision: Decision, by: set[str], resource: Resource
) -> Resource | None:
    """A resource as far as an operation and another action, each by its own rules, release it; None where one doesn't.

    Shape: `by` gathers the rules that decided.
    """
    release = call.gateway.rules.release(under.facts, under.decision, resource, call.around)
    by.update(release.by)
    if not release.released or not in_scope(call, under.facts.action, resource):
        return None
    seen = released(call, facts, decision, by, resource)
    return seen if seen is None or not release.hide else shown_of(call, seen, release.hide)


def only_known(pairs: Sequence[tuple[str, str]], known: Iterable[str]) -> None:
    """Whether an operation was sent no parameter but these, each once. Errors: Refused (400)."""
    taken = tuple(known)
    sent = [name for name, _ in pairs]
    others = sorted({name for name in sent if name not in taken or sent.count(name) > 1})
    if others:
        words = f"is not taken here, or not twice; this operation takes {', '.join(taken)}"
        raise Refused("unreadable", *(
            error("not-supported", f"{shown(name)} {words}", shown(name), "HTTP-O01") for name in others
        ))  # fmt: skip


def unknown(path: str) -> str:
    """What is said of an address with an operation that there isn't."""
    name = path.rpartition("$")[2].partition("/")[0]
    return f"there is no operation ${shown(name)} at this address; there are {', '.join(OFFERED)}"
