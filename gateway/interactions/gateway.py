"""The parts that interactions use, put together by `app.py`: one frozen value for a request from start to end."""

from __future__ import annotations

import functools
import hmac
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypeAlias, cast
from zoneinfo import ZoneInfo

from starlette.requests import Request

from gateway.config import Settings
from gateway.documents import Library
from gateway.fhir import Elements, Merging
from gateway.guard import whose
from gateway.identity import ClientCertificates, Issuer, Verifier
from gateway.interactions.anchoring import Anchoring
from gateway.interactions.exports import Exports
from gateway.interactions.files import Files
from gateway.interactions.order import Order
from gateway.interactions.paging import Paging
from gateway.interactions.rates import AtOnce, Failures, Rates, Told
from gateway.interactions.refused import Refused, error
from gateway.interactions.tries import Tries
from gateway.interactions.unchanged import Unchanged
from gateway.journal import Journal
from gateway.language.work import MOST, TooMuchWork
from gateway.mapping import Maps
from gateway.mapping.rows import RowMap
from gateway.observing import UNWATCHED, Watch, counts, step
from gateway.rules import Decision, Facts, Routing, RuleSet
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
    hashes that stand for patients' ids; `worker` says which of several processes this is, None where there is one.
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
    failures: Failures = field(default_factory=Failures)
    told: Told = field(default_factory=Told)
    unproved: AtOnce = field(default_factory=AtOnce)
    tries: Tries = field(default_factory=Tries)
    watch: Watch = UNWATCHED
    rereading: Rereading | None = None
    exports: Exports | None = None
    anchoring: Anchoring | None = None
    certificates: ClientCertificates | None = None
    worker: int | None = None


def of(request: Request) -> Gateway:
    """Gateway that this request is answered by from start to end, whatever rules are loaded meanwhile."""
    state: dict[str, object] = request.scope.setdefault("state", {})
    return cast("Gateway", state.setdefault("gateway", request.app.state.gateway))


def address_of(request: Request) -> str:
    """The address that a request comes from, without its port."""
    return request.client.host if request.client else ""


def party_of(request: Request) -> str:
    """By whom a request is counted: its address, or the network of its site."""
    return whose(address_of(request))


@contextmanager
def within_work(facts: Facts) -> Iterator[None]:
    """Around what rules look at in one go.

    Errors: Refused where that is more than they may; nothing was decided then.
    """
    if facts.work is not None:
        facts.work.begin()
    try:
        yield
    except TooMuchWork as fault:
        counts().decided(facts.action, facts.domain or "", "too much", erred=True)
        words = f"the rules would have to look at more than {MOST} repetitions to judge this; send it in smaller parts"
        raise Refused("failed", error("too-costly", words, None, "RUL-01")) from fault


def decided(gateway: Gateway, facts: Facts) -> Decision:
    """A decision of the rules, told to whoever watches.

    Errors: Refused for a submission that would take them too long; nothing was decided then.
    """
    with step("decide"), within_work(facts):
        decision = gateway.rules.decide(facts)
    counts().decided(facts.action, facts.domain or "", decision.effect, erred=bool(decision.erred))
    return decision


def keyed_hash(gateway: Gateway, text: str) -> str:
    """Stand-in for an id in logs and the audit: the same text gives the same hash under this gateway's secret."""
    return hash_of(gateway.secret, text)


def hash_of(secret: bytes, text: str) -> str:
    """The same under a secret.

    Source: HMAC-SHA-256, RFC 2104, cut to 128 bits.
    """
    made = _keyed(secret).copy()
    made.update(text.encode())
    return made.hexdigest()[:32]


@functools.lru_cache(maxsize=4)
def _keyed(secret: bytes) -> hmac.HMAC:
    """What every hash under a secret begins with: to begin takes four times as long as to copy."""
    return hmac.new(secret, digestmod="sha256")


def places(gateway: Gateway, routes: Iterable[Routing]) -> tuple[Routing, ...]:
    """Routes as the journal keeps their places: an order key, which may be a patient's id, is its keyed hash there."""
    return tuple(
        one if one.order_key is None else one._replace(order_key=keyed_hash(gateway, f"order {one.order_key}"))
        for one in routes
    )


def agreements_of(gateway: Gateway, rules: Iterable[str]) -> tuple[str, ...]:
    """The agreements that rules cite, each once."""
    cited = gateway.rules.cited
    return tuple(dict.fromkeys(cited[rule] for rule in rules if rule in cited))


def serving(gateway: Gateway, resource_type: str) -> FhirServer | None:
    """The FHIR server that holds what partners may see of a type, or nothing where no rule grants it."""
    target = gateway.targets.get(gateway.rules.served.get(resource_type, ""))
    return target if isinstance(target, FhirServer) else None
