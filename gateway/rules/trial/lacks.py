"""What a permit wants of a request that it does not grant, in the words of `deny for want of ID ...`."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.language.nodes import BreaksGlass, Named, Not, Phrased, Test, leaves
from gateway.rules.account.sight import Sight
from gateway.rules.account.walk import walk
from gateway.rules.around import PATIENT, Around, Reading
from gateway.rules.compile import Granting
from gateway.rules.decide import RuleSet
from gateway.rules.decision import Decision, Resource
from gateway.rules.facts import Facts
from gateway.rules.queries import asked, foreign
from gateway.rules.reading import reads
from gateway.rules.trial.declared import SEARCHED
from gateway.rules.wanting import conjuncts

_PHRASED: Mapping[str, str] = {
    "connects as": "connects",
    "sends as": "sends",
    "sends category": "category",
    "has role": "role",
}


def lacks(granting: Granting, facts: Facts) -> frozenset[str]:
    """What the permit wants; nothing where it grants the request, whatever it shows of the answer."""
    found: set[str] = set()
    gate = granting.gate
    if not gate.first <= facts.today <= gate.last:
        found.add("agreement")
    if gate.purposes and facts.purpose not in gate.purposes:
        found.add("purpose")
    parts = [part for part in conjuncts(granting.permit.when) if not reads(part)]
    found |= {_named(part) for part in parts if not _holds(part, Sight(facts))}
    if facts.action in SEARCHED:
        found |= {"allowing"} if foreign(granting, facts) else set()
        found |= {"asking"} if granting.permit.asking and not asked(granting, facts) else set()
    return frozenset(found)


def withheld(
    rules: RuleSet, facts: Facts, decision: Decision, resource: Resource, around: Around
) -> dict[str, frozenset[str]]:
    """What each permit that grants the request wants of a resource that is not released."""
    found: dict[str, frozenset[str]] = {}
    for view in decision.views:
        permit = rules.granting[view.permit].permit
        seen = sights(facts, resource, around)
        parts = [part for part in conjuncts(permit.when) if reads(part)]
        wants = {_named(part) for part in parts if not all(_holds(part, sight) for sight in seen)}
        found[permit.id] = frozenset(wants or {"rows"})
    return found


def sights(facts: Facts, resource: Resource, around: Around) -> tuple[Sight, ...]:
    """What a condition on a resource is asked of: once for each patient that it is about."""
    own = [resource] if resource["resourceType"] == PATIENT else []
    others = [
        one
        for want, found in around.items()
        if isinstance(want, Reading) and want.type == PATIENT and found is not None
        for one in found
        if one not in own
    ]
    return tuple(Sight(facts, resource, patient) for patient in (*own, *others)) or (Sight(facts, resource),)


def _holds(part: Test, sight: Sight) -> bool:
    return walk(part, sight, "fails").outcome is True


def _named(part: Test) -> str:
    match part:
        case Phrased():
            return _PHRASED.get(part.phrase, "condition")
        case BreaksGlass():
            return "glass"
        case Named() if part.test is not None:
            return _named(part.test)
        case Not():
            return _named(part.part)
    names = {getattr(leaf, "name", "") for leaf in leaves(part)}
    return "purpose" if names == {"purpose"} else "condition"
