"""The parts that interactions use, put together by `app.py`: one frozen value for a request from start to end."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias, cast
from zoneinfo import ZoneInfo

from starlette.requests import Request

from gateway.config import Settings
from gateway.fhir import Elements, Merging
from gateway.identity import Issuer, Verifier
from gateway.interactions.files import Files
from gateway.interactions.order import Order
from gateway.interactions.paging import Paging
from gateway.interactions.unchanged import Unchanged
from gateway.journal import Journal
from gateway.mapping import Maps
from gateway.mapping.rows import RowMap
from gateway.rules import RuleSet
from gateway.specs import FhirTables
from gateway.upstream import FhirServer, FolderTarget, Hl7v2Target

Target: TypeAlias = FhirServer | Hl7v2Target | FolderTarget
LONDON = ZoneInfo("Europe/London")


@dataclass(frozen=True, slots=True)
class Documents:
    """The documents of one rule set, as bytes: they change only with the rules."""

    openapi: bytes
    capability: bytes


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
    documents: Documents
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


def of(request: Request) -> Gateway:
    """Gateway of the application that took this request."""
    return cast("Gateway", request.app.state.gateway)


def keyed_hash(gateway: Gateway, text: str) -> str:
    """Stand-in for an id in logs and the audit: the same text gives the same hash under this gateway's secret.

    Source: HMAC-SHA-256, RFC 2104, cut to 128 bits.
    """
    return hmac.new(gateway.secret, text.encode(), hashlib.sha256).hexdigest()[:32]


def serving(gateway: Gateway, resource_type: str) -> FhirServer | None:
    """The FHIR server that holds what partners may see of a type, or nothing where no rule grants it."""
    target = gateway.targets.get(gateway.rules.served.get(resource_type, ""))
    return target if isinstance(target, FhirServer) else None
