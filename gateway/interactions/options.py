"""Query parameters of `POST /$ingest`: `dry-run` and `loss`, nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.datastructures import QueryParams

from gateway.interactions.headers import shown
from gateway.interactions.refused import Refused, error
from gateway.source import nearest

TAKEN = {"dry-run": ("true", "false"), "loss": ("report",)}


@dataclass(frozen=True, slots=True)
class Options:
    """What the sender asked for beside the message."""

    dry_run: bool = False
    loss_report: bool = False


def read(parameters: QueryParams) -> Options:
    """Read the options.

    Errors: Refused (400) for an unknown or repeated parameter and for a value that isn't taken.
    """
    for name, value in parameters.multi_items():
        taken = TAKEN.get(name)
        if taken is None:
            near = nearest(name, TAKEN)
            hint = f"; did you mean {near}?" if near else ""
            raise Refused("unreadable", error(
                "not-supported", f"parameter {shown(name)} is not known{hint}; known are dry-run=true and loss=report",
                name, "HTTP-Q01",
            ))  # fmt: skip
        if value not in taken or len(parameters.getlist(name)) > 1:
            raise Refused("unreadable", error(
                "value", f"parameter {name} takes {' or '.join(taken)}, once; it was {shown(value)}", name, "HTTP-Q02"
            ))  # fmt: skip
    return Options(parameters.get("dry-run") == "true", "loss" in parameters)
