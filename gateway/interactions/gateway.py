"""The parts that interactions use, put together by `app.py`: one frozen value for a request from start to end."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypeAlias, cast
from zoneinfo import ZoneInfo

from starlette.requests import Request

from gateway.config import Settings
from gateway.documents import Library
from gateway.fhir import Elements, Merging
from gateway.identity import Issuer, Verifier
from gateway.interactions.exports import Exports
from gateway.interactions.files import Files
from gateway.interactions.order import Order
from gateway.interactions.paging import Paging
from gateway.interactions.rates import Rates
from gateway.interactions.unchanged import Unchanged
from gateway.journal import Journal
from gateway.mapping import Maps
from gateway.mapping.rows import RowMap
from gateway.rules import RuleSet
from gateway.specs import FhirTables
from gateway.upstream import FhirServer, FolderTarget, Hl7v2Target

Target: TypeAlias = FhirServer | Hl7v2Target | FolderTarget
LONDON = ZoneInfo("Europe/London")


class NotReread(Exception):  # noqa: N818 - says what happened
    """Rules that can't be taken as they stand in their files now.

    Shape: `first` is where the first error stands and its code; `told` every error as the command line tells it.
    """

    def __init__(self, errors: int, first: str, told: tuple[str, ...]) -> None:
        """Keep what to tell."""
        super().__init__(first)
        self.errors = errors
        self.first = first
        self.told = told


class Rereading(Protocol):
    """Reads the rules' files again."""

    every: float | None
    """How often to look whether a file changed; None for never. Units: seconds."""
    began: Hashable
    """What `look` told just before the files were read that are served first; None where nobody looked."""

    async def look(self) -> Hashable:
        """What tells the files as they are now from any others."""

    async def renewed(self, gateway: Gateway) -> Gateway:
        """The same gateway with the rules that the files hold now. Errors: NotReread."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """Everything that a request may touch.

    Shape: `versions` are all of HL7's, oldest first; `clock` answers the moment with its offset; `secret` keys the
    hashes that stand for patients' ids.
    """

    settings: Settings
    rules: RuleSet
    maps: Maps
    row_maps: Mapping[str, RowMap]
    tables: FhirTables
    elements: Elements
    merging: Merging
    versions: tuple[str, ...]
    documents: Library
    journal: Journal
    files: Files
    targets: Mapping[str, Target]
    issuer: Issuer
    verifier: Verifier
    paging: Paging
    order: Order
    unchanged: Unchanged
    secret: bytes
    clock: Callable[[], datetime]
    rates: Rates = field(default_factory=Rates)
    rereading: Rereading | None = None
    exports: Exports | None = None


def of(request: Request) -> Gateway:
    """Gateway that this request is answered by from start to end, whatever rules are loaded meanwhile."""
    state: dict[str, object] = request.scope.setdefault("state", {})
    return cast("Gateway", state.setdefault("gateway", request.app.state.gateway))


def keyed_hash(gateway: Gateway, text: str) -> str:
    """Stand-in for an id in logs and the audit: the same text gives the same hash under this gateway's secret.

    Source: HMAC-SHA-256, RFC 2104, cut to 128 bits.
    """
    return hmac.new(gateway.secret, text.encode(), hashlib.sha256).hexdigest()[:32]


def serving(gateway: Gateway, resource_type: str) -> FhirServer | None:
    """The FHIR server that holds what partners may see of a type, or nothing where no rule grants it."""
    target = gateway.targets.get(gateway.rules.served.get(resource_type, ""))
    return target if isinstance(target, FhirServer) else None
