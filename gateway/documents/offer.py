"""What the rules offer to clients: the one source that the OpenAPI document and the CapabilityStatement are made from.

`offered` reads a rule set, whole or the share of one caller. Principals are never part of an offer.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.specs import SearchParameter

MEDIA_TYPES = {
    "Hl7v2": ("text/plain", "application/hl7-v2", "x-application/hl7-v2+er7"),
    "Fhir": ("text/plain", "application/fhir+json"),
    "Csv": ("text/plain", "text/csv"),
}
"""Content types of a submission by data type, the preferred one first; requests are held to them too."""

VALIDATE, EVERYTHING, EXPORT = "operation validate", "operation everything", "operation export"

FACADE = frozenset({
    "search", "count", "read", "history", "create", "update", "patch", "delete", VALIDATE, EVERYTHING, EXPORT
})  # fmt: skip
"""Actions on stored resources that the facade serves."""

SEARCHING = frozenset({"search", "count"})
"""Actions that come by a search; who may only count asks for the number alone."""


SHOWING = frozenset({"search", "read", "history"})
"""Actions that show resources."""


@dataclass(frozen=True, slots=True)
class Published:
    """What a site's configuration adds to the documents.

    Shape: `public_url` without a last slash; `version` of the gateway; `application` and `facility` as MSH-3 and
    MSH-4 of acknowledgements; `client_secrets` whether client_secret_basic is enabled;
    `versioned_updates` whether an update has to name the version that it changes.
    Units: `body_limit` and `batch_limit` in bytes, `batch_within` in seconds.
    """

    public_url: str
    version: str
    application: str = "DEX"
    facility: str = "QVV"
    body_limit: int = 10 * 1024 * 1024
    batch_limit: int = 256 * 1024 * 1024
    batch_within: float = 25.0
    file_limit: int = 1024 * 1024 * 1024
    rows_at_once: int = 5000
    client_secrets: bool = False
    versioned_updates: bool = False


@dataclass(frozen=True, slots=True)
class Statement:
    """A rule as a reader of the documents sees it.

    Shape: `words` is what the rule says beyond its title (severity and code of a check, targets of a route).
    """

    id: str
    title: str
    words: str = ""


@dataclass(frozen=True, slots=True)
class Accepted:
    """What a domain takes of one data type: message types, layouts or resource types, and HL7 versions in words.

    Shape: `overlays` are laid over the maps that messages are converted with.
    """

    data_type: str
    types: tuple[str, ...]
    versions: str
    overlays: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OfferedColumn:
    """A column of a CSV layout as a reader of the documents sees it.

    Shape: `words` say its type, whether it is required and what it holds.
    """

    name: str
    words: str


@dataclass(frozen=True, slots=True)
class OfferedLayout:
    """A CSV layout. Shape: `words` say how its files are written and taken."""

    name: str
    title: str
    words: str
    columns: tuple[OfferedColumn, ...]


@dataclass(frozen=True, slots=True)
class SendingDomain:
    """A domain that takes submissions.

    Shape: `profile` is `http-status` or `hl7-over-http`; `outcome` whether MSA-3 carries an OperationOutcome.
    """

    name: str
    title: str
    owner: str
    contact: str
    profile: str
    outcome: bool
    same_control_id: str
    accepts: tuple[Accepted, ...]
    permits: tuple[Statement, ...]
    forbids: tuple[Statement, ...]
    checks: tuple[Statement, ...]
    routes: tuple[Statement, ...]
    layouts: tuple[OfferedLayout, ...] = ()


@dataclass(frozen=True, slots=True)
class View:
    """What one permit lets its callers ask of a type.

    Shape: `when` and `rows` are the rule's own words, empty where it says none; `hide` the paths of this type;
    `alternatives` the parameters of `asking`; `roles` those of which a caller needs one, empty where it needs none.
    """

    id: str
    title: str
    actions: frozenset[str]
    when: str
    asking: str
    rows: str
    hide: tuple[str, ...]
    alternatives: tuple[tuple[str, ...], ...] = ()
    roles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Against:
    """A forbid or a mask on a type. Shape: as a view's; `hide` is empty for a forbid."""

    id: str
    title: str
    actions: frozenset[str]
    when: str
    hide: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Use:
    """A search parameter as views of one type have it.

    Shape: `asked` and `allowed` are the permits that ask for it and allow it; `required` says that no view takes a
    search without it; `modifiers` are those that it may carry, `chains` what it may lead to (`patient:Patient._id`).
    """

    parameter: SearchParameter
    asked: tuple[str, ...]
    allowed: tuple[str, ...]
    required: bool
    modifiers: tuple[str, ...]
    chains: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ServedType:
    """A resource type that some permit grants.

    Shape: `actions` those granted; `uses` the search parameters that some view asks or allows, by code; `against` the
    forbids and masks on it; `hidden` the paths that nobody is shown; `includes` and `revincludes` what may come along
    (`Encounter:patient`), `has` what may be asked of what refers to it (`_has:Encounter:patient:_id`).
    """

    name: str
    actions: frozenset[str]
    uses: tuple[Use, ...]
    views: tuple[View, ...]
    against: tuple[Against, ...] = ()
    hidden: tuple[str, ...] = ()
    includes: tuple[str, ...] = ()
    revincludes: tuple[str, ...] = ()
    has: tuple[str, ...] = ()

    @property
    def parameters(self) -> tuple[SearchParameter, ...]:
        """The parameters alone."""
        return tuple(use.parameter for use in self.uses)

    def rules(self, *actions: str) -> tuple[str, ...]:
        """Ids of the permits of any of these actions, and of what stands against them, in alphabetical order."""
        every: list[View | Against] = [*self.views, *self.against]
        return tuple(sorted(one.id for one in every if one.actions & set(actions)))

    def roles(self, *actions: str) -> tuple[str, ...]:
        """Roles of which a caller needs one for any of these actions; none where some permit names none."""
        views = [view for view in self.views if view.actions & set(actions)]
        if not all(view.roles for view in views):
            return ()
        return tuple(sorted({role for view in views for role in view.roles}))


@dataclass(frozen=True, slots=True)
class Offer:
    """Everything that the documents say about the rules; each tuple in the order of its names.

    Shape: `glass` says that some principal may break glass.
    """

    domains: tuple[SendingDomain, ...]
    organisations: tuple[tuple[str, str], ...]
    purposes: tuple[tuple[str, str], ...]
    data_types: tuple[str, ...]
    types: tuple[ServedType, ...]
    glass: bool = False
