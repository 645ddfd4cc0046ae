"""What is known of one export, as it is kept beside its files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from gateway.finding import Finding

Owner = tuple[str, str | None, str | None, bool, tuple[str, ...]]
"""Caller, purpose, user, whether glass was broken, and roles: all of them decided what was released."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What ended an export early. Shape: `headers` go with the answer that tells it."""

    findings: tuple[Finding, ...]
    status: int
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class State:
    """One export.

    Shape: `scopes` are those of the token that asked for it, `digest` that of the rules that decided; `files` the
    number of resources by type, `finished` how many types are; `begun` and `done` in moments of the gateway's clock.
    Units: `size` in bytes.
    """

    id: str
    owner: Owner
    scopes: tuple[str, ...]
    digest: str
    request: str
    types: tuple[str, ...]
    begun: datetime
    files: Mapping[str, int] = field(default_factory=dict)
    size: int = 0
    finished: int = 0
    done: datetime | None = None
    failed: Failure | None = None


def written(state: State) -> bytes:
    """A state as JSON."""
    told = asdict(state) | {"begun": state.begun.isoformat(), "done": state.done and state.done.isoformat()}
    return json.dumps(told).encode()


def read(raw: bytes) -> State:
    """A state from JSON. Errors: ValueError for what is none."""
    try:
        told: dict[str, Any] = json.loads(raw)
        failed, done = told["failed"], told["done"]
        caller, purpose, user, glass, roles = told["owner"]
        return State(**{
            **told,
            "owner": (caller, purpose, user, glass, _whole(roles)),
            "scopes": _whole(told["scopes"]),
            "types": tuple(told["types"]),
            "begun": datetime.fromisoformat(told["begun"]),
            "done": None if done is None else datetime.fromisoformat(done),
            "failed": None if failed is None else Failure(
                tuple(Finding(**one) for one in failed["findings"]), failed["status"], failed["headers"]
            ),
        })  # fmt: skip
    except (TypeError, KeyError, AttributeError) as fault:
        raise ValueError("this is no export") from fault


def _whole(value: Any) -> Any:
    """Lists as the tuples that they were."""
    return tuple(map(_whole, value)) if isinstance(value, list) else value
