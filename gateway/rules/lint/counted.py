"""Forbids that keep from searches what counts tell, or the other way round."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gateway.rules.account.sameness import relation
from gateway.rules.declared import Domain, Forbid, Permit
from gateway.rules.lint import messages
from gateway.rules.lint.overlap import head
from gateway.source import Diagnostic

_OTHER: Mapping[str, str] = {"search": "count", "count": "search"}


def half_forbidden(domains: Mapping[str, Domain]) -> Iterator[Diagnostic]:
    """Forbids of one of the two where some permit grants the other, and no forbid takes that back."""
    permits = [permit for domain in domains.values() for permit in domain.permits]
    forbids = [forbid for domain in domains.values() for forbid in domain.forbids]
    for forbid in forbids:
        kept = [action for action in forbid.actions if action in _OTHER]
        if len(kept) != 1:
            continue
        other = _OTHER[kept[0]]
        for permit in permits:
            told = _told(forbid, permit, other)
            told -= {name for one in forbids if _takes_back(one, forbid, other) for name in told if _about(one, name)}
            if told:
                types = ", ".join(sorted(told))
                yield messages.HALF_FORBIDDEN.at(
                    head(forbid.span), f"add `{other}` to its actions", word=forbid.id, action=kept[0], other=other,
                    permit=permit.id, types=types,
                )  # fmt: skip
                break


def _told(forbid: Forbid, permit: Permit, other: str) -> set[str]:
    """The types of which a permit grants the other action."""
    if other not in permit.actions:
        return set()
    return {name for name in permit.types if _about(forbid, name)}


def _about(forbid: Forbid, name: str) -> bool:
    return not forbid.types or name in forbid.types


def _takes_back(one: Forbid, forbid: Forbid, other: str) -> bool:
    """Whether another forbid keeps the other action from all of those that this one is about."""
    return one is not forbid and other in one.actions and relation(forbid.when, one.when) in {"same", "wider"}
