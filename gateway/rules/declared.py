"""What a rule set declares, every name looked up: what documents, interactions and the command line read.

All frozen, each with the place where it stands. Organisation codes are in upper case.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from types import MappingProxyType
from typing import Any, Literal

from gateway.finding import Finding
from gateway.hl7v2.conformance import Conformance
from gateway.language.lists import CodeList, NamedList
from gateway.language.nodes import Leaf, Test
from gateway.language.types import NamedSet
from gateway.source import Span

Severity = Literal["error", "warning", "information"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "information")

KEPT: Mapping[str, timedelta] = MappingProxyType({
    "accepted": timedelta(days=400), "refused": timedelta(days=90), "denied": timedelta(days=90),
    "failed": timedelta(days=90),
})  # fmt: skip
"""How long the journal keeps what was sent, by how it ended, where a domain doesn't say."""


@dataclass(frozen=True, slots=True)
class Accept:
    """What a domain takes.

    Shape: `types` are message types for Hl7v2; `versions` the lowest and the highest, both taken, or None for all;
    `holds` the resource types that a Bundle may hold beside those of the domain's own; `overlays` are laid over the
    maps that messages are converted with, in this order.
    """

    data_type: str
    types: tuple[str, ...]
    versions: tuple[str, str] | None
    span: Span
    holds: tuple[str, ...] = ()
    overlays: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Condition:
    """A named condition. Shape: `data_type` is None where it reads no submission."""

    name: str
    data_type: str | None
    test: Test
    span: Span


@dataclass(frozen=True, slots=True)
class Applies:
    """Where a statement applies: `on ...`.

    Shape: without data types, to every submission; without types, to every type of the data type. `data_types` may
    hold `result`, the resources that conversion made.
    """

    data_types: tuple[str, ...] = ()
    types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Link:
    """`linked by PATH`: what else a `rows` condition reads.

    Shape: `type` is that of the linked resource. Forwards the row itself refers to it, by the element `steps` below the
    row; backwards it refers to the row, and is found by the search parameter `parameter`; with `patient` it refers to
    the row's patients instead, each of whom needs one of which the condition holds.
    """

    path: str
    type: str
    steps: tuple[str, ...] = ()
    parameter: str | None = None
    patient: bool = False


@dataclass(frozen=True, slots=True)
class Rows:
    """`rows Encounter where ...`: the resources of a type that a permit shows.

    Shape: with `link`, `where` reads the linked resource, and one that it holds of is enough.
    """

    type: str
    where: Test
    span: Span
    link: Link | None = None


@dataclass(frozen=True, slots=True)
class Because:
    """Why. Shape: one of the two; `agreement` is a declared one's id."""

    agreement: str | None
    text: str | None


@dataclass(frozen=True, slots=True)
class Permit:
    """A grant, and the view that it gives.

    Shape: `types` is empty for ingest; `asking` are alternatives of parameters that a search carries together, empty
    where it need carry none; `rows` by type, a type of `types` that it lacks shows all rows; `hide` are element paths;
    `unguarded` are facts whose absence alone makes it not match.
    """

    id: str
    title: str
    actions: tuple[str, ...]
    types: tuple[str, ...]
    on: Applies
    when: Test | None
    unguarded: frozenset[str]
    asking: tuple[tuple[str, ...], ...]
    allowing: tuple[str, ...]
    rows: Mapping[str, Rows]
    hide: tuple[str, ...]
    because: Because | None
    review_by: date | None
    span: Span


@dataclass(frozen=True, slots=True)
class Forbid:
    """What no permit can grant. Shape: `types` is empty for ingest and for `any`."""

    id: str
    title: str
    actions: tuple[str, ...]
    types: tuple[str, ...]
    on: Applies
    when: Test | None
    because: Because | None
    review_by: date | None
    span: Span


@dataclass(frozen=True, slots=True)
class Mask:
    """What is hidden whatever a permit shows. Shape: `hide` are element paths."""

    id: str
    title: str
    actions: tuple[str, ...]
    types: tuple[str, ...]
    when: Test | None
    hide: tuple[str, ...]
    because: Because | None
    review_by: date | None
    span: Span


@dataclass(frozen=True, slots=True)
class Each:
    """`for each NAME in PATH where ...`."""

    variable: str
    segment: str
    field: int
    where: Test | None


@dataclass(frozen=True, slots=True)
class Judging:
    """How a check tells of departures from the standard, each of them on its own.

    Shape: `severities` by kind, a kind without one is not told; `excepted` are those that the check names itself, None
    for what it ignores; `code` is the check's own, None where each departure has that of its kind; `worded` says that
    the check's text stands before the words of each.
    """

    conformance: Conformance = field(compare=False, repr=False)
    severities: Mapping[str, Severity]
    excepted: Mapping[str, Severity | None]
    code: str | None
    worded: bool = False


@dataclass(frozen=True, slots=True)
class Holding:
    """How a check tells of what a resource departs in from a standard, each departure on its own.

    Shape: `severity` is what its `otherwise` says, which warnings of the standard don't reach; `code` is the check's
    own, None where each departure has its own; `worded` as in `Judging`.
    """

    departures: Callable[[Any], tuple[Finding, ...]] = field(compare=False, repr=False)
    severity: Severity
    code: str | None
    worded: bool = False


@dataclass(frozen=True, slots=True)
class Check:
    """What a submission must satisfy.

    Shape: `code` is a FHIR issue type; `text` the parts of the message, texts and what is read between them; `judging`
    where it requires that the message conforms, and nothing else, `holding` where it requires so of a resource.
    Source: https://hl7.org/fhir/R4/valueset-issue-type.html
    """

    id: str
    title: str
    on: Applies
    when: Test | None
    each: Each | None
    require: Test
    severity: Severity
    code: str
    text: tuple[str | Leaf, ...]
    because: Because | None
    span: Span
    judging: Judging | None = None
    holding: Holding | None = None


@dataclass(frozen=True, slots=True)
class RouteTarget:
    """One target of a route. Shape: `hold` is how long a queue keeps trying; None for reject."""

    name: str
    on_failure: Literal["reject", "queue"]
    hold: timedelta | None


@dataclass(frozen=True, slots=True)
class Route:
    """Where a permitted, valid submission goes. Shape: `order` is what messages that keep their order share."""

    id: str
    title: str
    on: Applies
    when: Test | None
    targets: tuple[RouteTarget, ...]
    order: Leaf | None
    because: Because | None
    span: Span


@dataclass(frozen=True, slots=True)
class Domain:
    """One domain, all of its rules with it.

    Shape: `outcome` is whether acknowledgements carry an OperationOutcome; `window` how long a control id is held;
    `serves` the target that partners' queries of it go to; `keeps` how long the journal keeps what was sent, by how it
    ended.
    """

    name: str
    title: str
    owner: str | None
    contact: str | None
    acknowledge: Literal["http-status", "hl7-over-http"]
    outcome: bool
    same_control_id: Literal["refuse", "accept"]
    window: timedelta
    serves: str | None
    accepts: tuple[Accept, ...]
    sets: Mapping[str, NamedSet]
    conditions: Mapping[str, Condition]
    permits: tuple[Permit, ...]
    forbids: tuple[Forbid, ...]
    checks: tuple[Check, ...]
    routes: tuple[Route, ...]
    span: Span
    masks: tuple[Mask, ...] = ()
    keeps: Mapping[str, timedelta] = field(default_factory=lambda: KEPT)


@dataclass(frozen=True, slots=True)
class Organisation:
    """An organisation. Shape: codes in upper case; `part_of` those that it belongs to directly."""

    code: str
    title: str
    part_of: tuple[str, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Named:
    """A role or a purpose."""

    name: str
    title: str
    span: Span


@dataclass(frozen=True, slots=True)
class Target:
    """Where submissions go; its address is configuration under this name. Shape: `takes` is a data type."""

    name: str
    title: str
    takes: str
    span: Span


@dataclass(frozen=True, slots=True)
class Agreement:
    """A sharing agreement. Shape: `first` and `last` day both count, Europe/London; no purposes means any."""

    id: str
    title: str
    first: date
    last: date
    purposes: tuple[str, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class ListDeclaration:
    """A list of values in a file beside the rules.

    Shape: `file` is the file's name as rule files are named; `made` the day that it says it is of, None where it says
    none; `held` its values as rules ask them.
    """

    name: str
    title: str
    form: str
    file: str
    stale_after: timedelta | None
    made: date | None
    held: NamedList
    span: Span


@dataclass(frozen=True, slots=True)
class CodesDeclaration:
    """A list of codes in a file beside the rules. Shape: `file` is the file's name as rule files are named."""

    name: str
    title: str
    file: str
    held: CodeList
    span: Span


@dataclass(frozen=True, slots=True)
class PrincipalDeclaration:
    """Who may call, with the three permissions.

    Shape: `sends` are message types by domain; `per_second` is how many requests it may make, `per_day` how many
    resources of a type it may see; without a number there is no limit.
    """

    name: str
    title: str
    connects_as: tuple[str, ...]
    sends_as: tuple[str, ...]
    sends: Mapping[str, tuple[str, ...]]
    roles: tuple[str, ...]
    may_assert: tuple[str, ...]
    span: Span
    may_break_glass: bool = False
    per_second: int | None = None
    per_day: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Registry:
    """Who and what there is, by name; organisations by upper-case code."""

    organisations: Mapping[str, Organisation] = field(default_factory=dict)
    roles: Mapping[str, Named] = field(default_factory=dict)
    purposes: Mapping[str, Named] = field(default_factory=dict)
    targets: Mapping[str, Target] = field(default_factory=dict)
    agreements: Mapping[str, Agreement] = field(default_factory=dict)
    principals: Mapping[str, PrincipalDeclaration] = field(default_factory=dict)
    lists: Mapping[str, ListDeclaration] = field(default_factory=dict)
    codes: Mapping[str, CodesDeclaration] = field(default_factory=dict)
